import sys

from capsules.common.task import main
from capsules.spikesorting.params import PARAMS
from capsules.spikesorting.stage import run

sys.exit(main("spikesorting", run, params=PARAMS))
