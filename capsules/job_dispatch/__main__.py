import sys

from capsules.common.tasks.command_line import main
from capsules.job_dispatch.params import PARAMS

sys.exit(main("job_dispatch", PARAMS))
