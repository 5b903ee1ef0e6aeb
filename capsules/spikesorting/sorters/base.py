"""What a sorter of the registry declares, and the parameters that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from capsules.common.reference import MIN_REFERENCE_CHANNELS
from capsules.parameters.model import JobKwargs, Section, param


class SorterParams(Section):
    """Settings around the sorter's own."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    skip_motion_correction: bool = param(
        False, "Turn the sorter's own drift correction off.", flags={"--skip-motion-correction": True}
    )
    min_drift_channels: int = param(
        6,
        "Recordings with fewer channels are sorted without drift correction.",
        flags={"--min-drift-channels": ...},
        ge=1,
    )
    raise_if_fails: bool = param(
        True,
        "A sorter that fails makes the run fail; otherwise the failure is listed and the run goes on.",
        flags={"--raise-if-fails": True, "--no-raise-if-fails": False},
    )
    clear_cache: bool = param(
        False,
        "Give GPU memory back between the steps that need much of it; only Kilosort4 can.",
        fixed=True,
    )
    sorter: Section


@dataclass(frozen=True)
class Context:
    """What a sorter's settings depend on besides its parameters."""

    num_channels: int
    motion_applied: bool
    referenced: bool
    job_kwargs: dict[str, Any]
    change: Callable[[str], None]
    """Records an automatic change of a setting."""

    def seed(self, name: str, chosen: int | None) -> int:
        """A seed; null becomes 0, which is recorded."""
        if chosen is None:
            self.change(f"{name} = 0 in place of null, so that a second run gives the same")
        return chosen or 0

    def own_reference(self, name: str, chosen: bool | None) -> bool:
        """Whether the sorter subtracts a reference itself.

        Null does, unless preprocessing did or there are too few channels for one, which is recorded.
        """
        if chosen is not None:
            return chosen
        few = self.num_channels < MIN_REFERENCE_CHANNELS
        if self.referenced or few:
            too_few = f"{self.num_channels} channels are too few for a common reference"
            self.change(
                f"{name} = false: {too_few if few else 'preprocessing subtracted the common reference already'}"
            )
        return not (self.referenced or few)

    def drift_correction(self, params: SorterParams) -> bool:
        """Whether the sorter may correct drift itself; a `no` that the parameters do not say is recorded."""
        if params.skip_motion_correction:
            return False
        if self.motion_applied:
            self.change("the sorter's drift correction is off: preprocessing applied the motion to the traces")
            return False
        if self.num_channels < params.min_drift_channels:
            self.change(
                f"the sorter's drift correction is off: {self.num_channels} channels, "
                f"fewer than min_drift_channels = {params.min_drift_channels}"
            )
            return False
        return True


JOB_KWARGS_REPLACED = {
    "n_jobs": "use --n_jobs",
    "pool_engine": "it is chosen by the pipeline",
    "mp_context": "it is chosen by the pipeline",
    "max_threads_per_worker": "use --n_jobs",
    "chunk_duration": "use the sorter's job_kwargs.chunk_duration",
    "progress_bar": "use the sorter's job_kwargs.progress_bar",
}
"""SpikeInterface's settings of parallel work, which it mixes with the sorter's own: name -> where they are set here."""


@dataclass(frozen=True)
class Sorter:
    """One sorter of the registry."""

    name: str
    spikeinterface_name: str
    params: type[SorterParams]
    arguments: Callable[[SorterParams, Context], dict[str, Any]]
    """The keyword arguments of SpikeInterface's `run_sorter`: every setting, and what depends on the recording."""
    differing: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    """Of the arguments, those that the sorter's own table tells to be no default."""
    pin_seeds: Callable[[dict[str, Any]], dict[str, Any]] = lambda arguments: {}
    """Set what the sorter draws at random; returns the seeds, for the record."""
    keeps_files: Callable[[dict[str, Any]], bool] = lambda arguments: False
    """Whether the arguments ask to keep what the sorter writes beside its spikes."""
    threads: int | None = None
    """Threads of the sorter's own process, when their number changes its result; None: the task's cores."""
    finds_nothing: dict[str, str] = field(default_factory=dict)
    """What the sorter's error says when the traces hold too little to sort, which is no failure -> how we say it."""
    repeats: str = "the same data, parameters and machine give the same spikes"
    """What is known of a second run."""
    unavailable: Callable[[], str | None] = lambda: None
    """Why the sorter cannot run on this machine, and what to install; None when it can."""
    uses_gpu: Callable[[SorterParams], bool] = lambda params: False
    """Whether the sorter works on a GPU where there is one."""
    cpu_seconds: Callable[[dict[str, Any], int, float], float] | None = None
    """Roughly how many seconds a sorter made for GPUs works on one core, by its arguments, channels and duration."""
    when_memory_is_short: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda arguments: []
    """The arguments to change when the GPU runs out of memory, step after step."""
    has_image: bool = False
    """Whether the workflow runs it in an image of its own when a container engine is on (`image_of`)."""
    device: str = "cpu"
    """Where a sorter works that has no argument `torch_device`."""
    scratch_per_megabyte: float = 0
    """MB that it writes and removes again, per MB of traces."""
    error_mark: str = ""
    """What its executable prints before its error message; empty: nothing, and the last line is the message."""
