"""Changes to libraries for the rest of this process: a module for each reason, and nowhere else.

Each function says what is wrong, and in which version. `MADE_FOR` lists the versions that the patches were made for:
after an upgrade, tests/unit/test_patches.py fails until each was checked, and for each that is no longer needed.
"""

MADE_FOR = {"spikeinterface": "0.105.3", "numba": "0.68.1", "neo": "0.14.6"}


def patch_readers() -> None:
    """Let neo read what it misreads: for every process that opens raw recordings."""
    # neo takes a while to import, and most patches do without it.
    from capsules.common.patches.plexon_end import read_last_block
    from capsules.common.patches.spikeglx_probes import read_all_gains

    read_all_gains()
    read_last_block()
