"""UnitRefine's classifiers, from a local folder or the local model cache; the network is never asked here.

Jain, Greene et al., UnitRefine (2025); SpikeInterface's `unitrefine_label_units`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def local_model(name: str) -> Path | None:
    """The folder of a model that is here: a folder of that name, or the cached copy of a hub repository."""
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def label_units(analyzer: Any, noise_neural: Path | None, sua_mua: Path | None) -> Any:
    """Label each unit with one or both classifiers.

    Returns
    -------
    pandas.DataFrame
        Unit id -> label and its probability.
    """
    from spikeinterface.curation import unitrefine_label_units

    return unitrefine_label_units(
        analyzer,
        noise_neural_classifier=None if noise_neural is None else str(noise_neural),
        sua_mua_classifier=None if sua_mua is None else str(sua_mua),
    )
