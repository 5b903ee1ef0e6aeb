import sys

from capsules.common.tasks.command_line import main
from capsules.curation.params import PARAMS

sys.exit(main("curation", PARAMS))
