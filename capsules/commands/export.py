"""`spikerelay export`: write the results for another program, or for another lab's archive."""

from __future__ import annotations

import argparse
from importlib import import_module


def run(arguments: argparse.Namespace) -> int:
    # SpikeInterface, which Phy's folder needs, takes seconds to import.
    code: int = import_module(f"capsules.commands.export_{arguments.to}").run(arguments)
    return code
