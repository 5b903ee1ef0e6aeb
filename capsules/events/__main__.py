import sys

from capsules.common.tasks.command_line import main
from capsules.events.params import PARAMS

sys.exit(main("events", PARAMS))
