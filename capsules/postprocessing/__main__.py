import sys

from capsules.common.task import main
from capsules.postprocessing.params import PARAMS
from capsules.postprocessing.stage import run

sys.exit(main("postprocessing", run, params=PARAMS))
