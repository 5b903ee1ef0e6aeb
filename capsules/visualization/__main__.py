import sys

from capsules.common.tasks.command_line import main
from capsules.visualization.params import PARAMS

sys.exit(main("visualization", PARAMS))
