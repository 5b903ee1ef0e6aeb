"""SpikeRelay in Python: what users of a results folder call.

>>> import spikerelay
>>> session = spikerelay.load("/data/results")
>>> session.metrics
"""

from capsules.load import Session, load

__all__ = ["Session", "load"]
