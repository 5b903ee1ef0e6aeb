import sys

from capsules.common.task import main
from capsules.nwb_units.stage import run

sys.exit(main("nwb_units", run))
