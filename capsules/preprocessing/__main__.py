import sys

from capsules.common.tasks.command_line import main
from capsules.preprocessing.params import PARAMS

sys.exit(main("preprocessing", PARAMS))
