"""`spikerelay doctor`: check whether this machine and this installation can run the pipeline, and say what to do.

Each check is a function that yields `Finding`s. Only the standard library is imported here: a check imports a
library in a separate process, or reports that its import fails.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from capsules.commands.doctor_checks import BROKEN, CHECKS
from capsules.commands.findings import Check, Finding, Places
from capsules.commands.layout import Page, print_pages
from capsules.common.installation import SETUP


def run(arguments: argparse.Namespace) -> int:
    findings = run_checks(
        Places(
            data=_folder(arguments.data, "DATA_PATH"),
            results=_folder(arguments.results, "RESULTS_PATH"),
            launch=Path.cwd(),
        )
    )
    page = report(findings)
    print_pages([page])
    return 1 if page.problems else 0


def report(findings: list[Finding]) -> Page:
    """The findings as a page: what to fix first, notes last."""
    texts = {level: [finding.line for finding in findings if finding.level == level] for level in ("fix", "ok", "note")}
    heading = f"{len(texts['fix'])} to fix" if texts["fix"] else "nothing to fix"
    return Page(f"this machine: {heading}", texts["fix"], {"good": texts["ok"]}, texts["note"])


def run_checks(places: Places) -> list[Finding]:
    """The findings of all checks, in their order; the checks run in parallel, since most of them wait."""
    with ThreadPoolExecutor(max_workers=len(CHECKS)) as pool:
        return [finding for findings in pool.map(partial(run_check, places=places), CHECKS) for finding in findings]


def run_check(check: Check, places: Places) -> list[Finding]:
    """The findings of a check; an error of the check is a finding too."""
    name = check.__name__.replace("_", " ")
    try:
        return list(check(places))
    except BROKEN as error:
        return [Finding("fix", f"{name}: the check failed ({type(error).__name__}: {error}); {SETUP}")]


def _folder(option: Path | None, variable: str) -> Path | None:
    text = option or os.environ.get(variable)
    return Path(text).absolute() if text else None
