import sys

from capsules.common.task import main
from capsules.preprocessing.params import PARAMS
from capsules.preprocessing.stage import run

sys.exit(main("preprocessing", run, params=PARAMS))
