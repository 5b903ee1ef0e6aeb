"""`spikerelay editor`: serve the parameter editor to a browser on this machine."""

from __future__ import annotations

import argparse
import os
import sys

from capsules.common.installation import ROOT


def run(arguments: argparse.Namespace) -> int:
    words = [str(arguments.port)] if arguments.port is not None else []
    words += ["--no-browser"] if arguments.no_browser else []
    os.execv(sys.executable, [sys.executable, str(ROOT / "params_app" / "serve.py"), *words])
