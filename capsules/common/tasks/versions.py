"""The code and libraries that a stage's result depends on."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version

from capsules.common.contract import Stage
from capsules.common.installation import PACKAGE, ROOT


def read_library_versions(stage: Stage) -> dict[str, str]:
    """The installed version of each library that the stage declares, and of Python and this package."""
    versions = {"python": platform.python_version()}
    for name in ("spikerelay", *stage.libraries):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def compute_code_fingerprint(stage: Stage) -> str:
    """A digest of the stage's sub-package, of `common` and `parameters`, of its process and of its libraries' versions.

    Nextflow hashes it into every task of the stage, so that a task runs again after a change of the code or an upgrade.
    """
    digest = hashlib.sha256(repr(sorted(read_library_versions(stage).items())).encode())
    for folder in ("common", "parameters", stage.name):
        files = (file for file in (PACKAGE / folder).rglob("*") if file.is_file() and "__pycache__" not in file.parts)
        for file in sorted(files):
            digest.update(str(file.relative_to(PACKAGE)).encode() + b"\0" + file.read_bytes() + b"\0")
    for module in sorted((ROOT / "pipeline" / "modules").glob("*.nf")):
        digest.update(module.read_bytes())
    return digest.hexdigest()[:16]
