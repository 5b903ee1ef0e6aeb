import sys

from capsules.common.tasks.command_line import main
from capsules.spikesorting.params import PARAMS

sys.exit(main("spikesorting", PARAMS))
