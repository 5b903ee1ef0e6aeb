import sys

from capsules.common.tasks.command_line import main
from capsules.nwb_ecephys.params import PARAMS

sys.exit(main("nwb_ecephys", PARAMS))
