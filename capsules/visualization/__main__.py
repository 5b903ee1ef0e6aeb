import sys

from capsules.common.task import main
from capsules.visualization.params import PARAMS
from capsules.visualization.stage import run

sys.exit(main("visualization", run, params=PARAMS))
