"""SpikeInterface's progress as lines in a log, without a terminal for bars."""

from __future__ import annotations

import logging
import sys
from typing import Any

from spikeinterface.core import job_tools
from tqdm import tqdm

from capsules.common.tasks.progress_line import Step

PROGRESS_INTERVAL_S = 10


def show_progress(bars: bool, log: logging.Logger) -> None:
    """Show SpikeInterface's progress as bars, or as a line in the log every PROGRESS_INTERVAL_S.

    SpikeInterface (0.105.3) supports only tqdm's bars.

    Parameters
    ----------
    bars : bool
        Whether to show bars; without a terminal, lines appear nevertheless.
    log : logging.Logger
    """

    class Lines(tqdm):
        def __init__(self, *args: Any, **kwargs: Any):
            super().__init__(
                *args, **(kwargs | dict.fromkeys(("mininterval", "maxinterval", "delay"), PROGRESS_INTERVAL_S))
            )

        def display(self, *args: Any, **kwargs: Any) -> None:
            log.info("%s", Step(self.desc, self.n, self.total))

    job_tools.tqdm = tqdm if bars and sys.stderr.isatty() else Lines  # type: ignore[misc, assignment]  # the patch
