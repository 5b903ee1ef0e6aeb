"""What the wheel has beyond the package: the files of the workflow, and the versions that it was tested with.

An editable installation uses the clone's files, and `make setup` installs exactly the pinned versions.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILES = (
    "capsule_versions.env",
    "main_multi_backend.nf",
    "nextflow",
    "nextflow_local.config",
    "nextflow_slurm.config",
    "params_app",
    "pipeline",
    "pyproject.toml",
)
PATCHED = ("kilosort", "numcodecs", "spikeinterface")
"""Libraries of which `capsules/common/patches` replaces code, or that are broken in the next version."""


class WheelHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        root = Path(self.root)
        build_data["force_include"] |= {str(root / name): f"capsules/installation/{name}" for name in FILES}
        pins = dict(re.findall(r"^([A-Z0-9_]+)=([0-9]\S*)$", (root / "capsule_versions.env").read_text(), re.MULTILINE))
        build_data["dependencies"] += [
            require(name, pins[name.upper().replace("-", "_")]) for name in self.metadata.core.dependencies
        ]


def require(name: str, pin: str) -> str:
    """A requirement: the pinned version alone, or up to the next major version."""
    major, minor = pin.split(".")[:2]
    return f"{name}=={pin}" if name in PATCHED else f"{name}~={major}.{minor}"
