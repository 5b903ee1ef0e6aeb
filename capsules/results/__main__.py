import sys

from capsules.common.tasks.command_line import main

sys.exit(main("results"))
