"""SpikeRelay in Python: load a results folder.

>>> import spikerelay
>>> session = spikerelay.load("/data/results")
>>> session.units
"""

from capsules.load import Session, load

__all__ = ["Session", "load"]
