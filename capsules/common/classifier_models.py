"""The classifiers' models: on this machine, or fetched from the Hugging Face hub before a run.

A model is a folder with one `.skops` file and a `model_info.json`, or the name of a hub repository that holds the same.
A task only calls `find_model`, which searches this machine; only `fetch_models` asks the hub.

huggingface_hub is imported in functions: the first process of a run needs it only for models that are not a folder.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Literal

FILES = ["*.skops", "*.json"]
"""The needed files of a repository."""
INFO = "model_info.json"
PATIENCE_S = 5
"""Time for the first answer of the hub; the download itself may take longer."""


@dataclass(frozen=True)
class Model:
    """A model: its name, its folder (None: missing), the folder's origin, and a message about it for the user."""

    name: str
    folder: Path | None
    origin: Literal["folder", "cache", "hub"] | None
    message: str


def find_model(name: str, start: Path | None = None) -> Path | None:
    """The folder of a model that is on this machine.

    Parameters
    ----------
    name : str
        A folder, or a hub repository, searched in the local model cache.
    start : Path, optional
        Where a relative folder starts; default: the current folder.
    """
    return _local(name, start) or _cached(name)


def fetch_models(names: Iterable[str], start: Path | None = None) -> list[Model]:
    """Find models, and fetch the missing ones from the hub in parallel."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(partial(_ready, start=start), names))


def digest_models(folders: Iterable[Path | None]) -> str:
    """A digest of the content of models; None is a missing model."""
    total = hashlib.sha256()
    for folder in folders:
        total.update(b"\0model\0")
        files = [] if folder is None else sorted(file for pattern in FILES for file in folder.glob(pattern))
        for file in files:
            total.update(file.name.encode() + b"\0" + hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()[:16]


def _ready(name: str, start: Path | None) -> Model:
    if (folder := _local(name, start)) is not None:
        return Model(name, folder, "folder", f"the folder {folder}")
    if (folder := _cached(name)) is not None:
        return Model(name, folder, "cache", f"in the local model cache, {folder}")
    if (reason := _fetch(name)) is not None:
        folder = _folder(name, start)
        bare = f"the folder {folder} lacks a .skops file or {INFO}" if os.path.isdir(folder) else None
        return Model(name, None, None, bare or reason)
    if (folder := _cached(name)) is None:
        return Model(name, None, None, f"the hub's lacks a .skops file or {INFO}")
    return Model(name, folder, "hub", f"fetched from the hub into {folder}")


def _folder(name: str, start: Path | None) -> Path:
    return (start or Path.cwd()) / os.path.expanduser(name)


def _local(name: str, start: Path | None) -> Path | None:
    """The folder of this name, if it has a model: another folder may have the name of a repository by chance."""
    folder = _folder(name, start)
    return folder if os.path.isdir(folder) and _is_whole(folder) else None


def _is_whole(folder: Path) -> bool:
    return any(folder.glob("*.skops")) and (folder / INFO).exists()


def _cached(name: str) -> Path | None:
    """The copy of a repository in the local model cache, if it is whole."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(name, allow_patterns=FILES, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    # The cache knows what belongs to a repository only when it fetched all of it at once.
    return folder if _is_whole(folder) else None


def explain_unreachable(name: str) -> str | None:
    """The reason why the hub does not serve a repository now, or None; nothing is fetched."""
    from huggingface_hub import HfApi

    return _why_not(partial(_in_time, partial(HfApi().model_info, name, timeout=PATIENCE_S)))


def _fetch(name: str) -> str | None:
    """Bring a repository into the local model cache; the reason why it is unavailable, or None."""
    from huggingface_hub import snapshot_download

    return explain_unreachable(name) or _why_not(partial(snapshot_download, name, allow_patterns=FILES))


def _why_not(ask: Callable[[], object]) -> str | None:
    """Ask the hub; the reason why it does not answer, or None."""
    from httpx2 import HTTPError, TimeoutException
    from huggingface_hub.errors import HFValidationError, OfflineModeIsEnabled, RepositoryNotFoundError

    reasons = (
        (HFValidationError, "there is no such folder, and a hub repository cannot have this name"),
        (RepositoryNotFoundError, "there is no such folder, and the hub has no such repository for you"),
        (OfflineModeIsEnabled, "not on this machine, and Hugging Face is not asked: HF_HUB_OFFLINE is set"),
        (
            (TimeoutException, TimeoutError),
            f"not on this machine, and Hugging Face did not answer within {PATIENCE_S} s",
        ),
        (Exception, "not on this machine, and could not be fetched: {}"),
    )
    try:
        ask()
    except (HFValidationError, HTTPError, OSError) as error:
        (text, *_) = (text for kind, text in reasons if isinstance(error, kind))
        return text.format(str(error).partition("\n")[0])
    return None


def _in_time(ask: Callable[[], object]) -> None:
    """Wait for an answer; a machine that drops packets lets each address and name server wait separately.

    Raises
    ------
    TimeoutError
        When there is none; the request continues in the background.
    """
    answer: Future[object] = Future()

    def work() -> None:
        try:
            answer.set_result(ask())
        except Exception as error:  # noqa: BLE001  the caller raises it
            answer.set_exception(error)

    Thread(target=work, daemon=True).start()
    answer.result(timeout=PATIENCE_S)
