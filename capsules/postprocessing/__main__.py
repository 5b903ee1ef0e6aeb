import sys

from capsules.common.tasks.command_line import main
from capsules.postprocessing.params import PARAMS

sys.exit(main("postprocessing", PARAMS))
