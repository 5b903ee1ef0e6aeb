import sys

from capsules.common.task import main
from capsules.job_dispatch.params import PARAMS
from capsules.job_dispatch.stage import run

sys.exit(main("job_dispatch", run, PARAMS))
