import sys

from capsules.common.task import main
from capsules.nwb_ecephys.params import PARAMS
from capsules.nwb_ecephys.stage import run

sys.exit(main("nwb_ecephys", run, params=PARAMS))
