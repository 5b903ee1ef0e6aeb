import sys

from capsules.common.task import main
from capsules.curation.params import PARAMS
from capsules.curation.stage import run

sys.exit(main("curation", run, params=PARAMS))
