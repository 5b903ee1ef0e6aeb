import sys

from capsules.common.task import main
from capsules.results.stage import run

sys.exit(main("results", run))
