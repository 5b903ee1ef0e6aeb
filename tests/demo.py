"""Nextflow's command line, as the documentation has it, for the benchmarks."""

from __future__ import annotations

from capsules.commands.run import LOCAL, make_command
from capsules.common.installation import ROOT


def pipeline_command(*arguments: str) -> list[str]:
    return make_command(ROOT / LOCAL, list(arguments))
