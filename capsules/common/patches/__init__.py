"""Where libraries are made to do otherwise for the rest of this process: a module for each reason, and nowhere else.

Each function says what is wrong, in which version. `MADE_FOR` are the versions that the patches were made for: after
an upgrade, tests/unit/test_patches.py fails until each has been looked at, and fails for each that is no longer needed.
"""

MADE_FOR = {"spikeinterface": "0.105.3", "numba": "0.68.1"}
