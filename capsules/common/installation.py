"""Where this installation's files are: the workflow, its configurations, the schema, the editor.

Nothing but the standard library is imported here: `spikerelay doctor` must run where the other commands cannot.
"""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def find_root() -> Path:
    """The folder of the workflow: the clone, or the copy that an installed package brings within it."""
    copied = PACKAGE / "installation"
    return copied if copied.is_dir() else PACKAGE.parent


ROOT = find_root()
