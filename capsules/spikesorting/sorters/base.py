"""What a sorter of the registry declares, and the parameters that all sorters share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from capsules.common.reference import MIN_REFERENCE_CHANNELS
from capsules.parameters.model import JobKwargs, Section, param


class SorterParams(Section):
    """Settings around the sorter's own parameters."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    skip_motion_correction: bool = param(
        False,
        "Turn the sorter's own drift correction off. Turn it on for probes that do not drift, or to compare. Off by "
        "default: the sorter corrects drift, unless preprocessing applied the motion.",
        flags={"--skip-motion-correction": True},
    )
    min_drift_channels: int = param(
        6,
        "Recordings with fewer channels are sorted without drift correction. Increase it when the correction makes "
        "short probes worse. The default of 6 is used because fewer channels cannot show motion.",
        flags={"--min-drift-channels": ...},
        ge=1,
    )
    raise_if_fails: bool = param(
        True,
        "A sorter that fails makes the recording fail. Turn it off to list the failure and continue with exit code "
        "0. On by default, so that no failure is missed.",
        flags={"--raise-if-fails": True, "--no-raise-if-fails": False},
    )
    clear_cache: bool = param(
        False,
        "Free GPU memory between the steps that need much of it. Only Kilosort4 can, so that only the default is "
        "possible here.",
        fixed=True,
    )
    sorter: Section = param(Section(), "The sorter's own parameters.")


P = TypeVar("P", bound=SorterParams)


@dataclass(frozen=True)
class Context:
    """What a sorter's settings depend on besides its parameters."""

    num_channels: int
    duration_s: float
    motion_applied: bool
    referenced: bool
    job_kwargs: dict[str, Any]
    cache_bytes: int
    """Size of the traces in half precision, which is how a sorter caches what it filtered."""
    free_bytes: int
    """Free memory that processes can share."""
    cache_folder: str
    """Where a sorter may cache its traces; it is removed after the sorting."""
    change: Callable[[str], None]
    """Records an automatic change of a setting."""

    def choose_seed(self, seed: int | None) -> int:
        """The seed; null becomes 0, which is recorded."""
        if seed is None:
            self.change("seed = 0 instead of null: the result is reproducible")
        return seed or 0

    def subtracts_reference(self, name: str, chosen: bool | None) -> bool:
        """Whether the sorter subtracts a common reference.

        Null does, unless preprocessing did or there are too few channels, which is recorded.
        """
        if chosen is not None:
            return chosen
        few = self.num_channels < MIN_REFERENCE_CHANNELS
        if self.referenced or few:
            too_few = f"{self.num_channels} channels are too few for a common reference"
            self.change(f"{name} = false: {too_few if few else 'preprocessing subtracted the common reference'}")
        return not (self.referenced or few)

    def corrects_drift(self, params: SorterParams) -> bool:
        """Whether the sorter may correct drift; a `no` that the parameters do not ask for is recorded."""
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
    "pool_engine": "the pipeline chooses it",
    "mp_context": "the pipeline chooses it",
    "max_threads_per_worker": "use --n_jobs",
    "chunk_duration": "use the sorter's job_kwargs.chunk_duration",
    "progress_bar": "use the sorter's job_kwargs.progress_bar",
}
"""SpikeInterface's settings of parallel work, which it mixes with the sorter's own: name -> what to use instead."""


@dataclass(frozen=True)
class Sorter(Generic[P]):
    """One sorter of the registry."""

    name: str
    spikeinterface_name: str
    params: type[P]
    make_arguments: Callable[[P, Context], dict[str, Any]]
    """The keyword arguments of SpikeInterface's `run_sorter`: every setting, and what depends on the recording."""
    find_changes: Callable[[dict[str, Any]], dict[str, Any]] = lambda arguments: {}
    """The arguments that differ from the defaults of the sorter's own table."""
    patch: Callable[[], None] = lambda: None
    """Patches the sorter's libraries for the rest of the process."""
    pin_seeds: Callable[[dict[str, Any]], dict[str, Any]] = lambda arguments: {}
    """Seeds the sorter's random draws; returns the seeds, for the record."""
    keeps_files: Callable[[dict[str, Any]], bool] = lambda arguments: False
    """Whether the arguments ask to keep files that the sorter writes in addition to its spikes."""
    threads: int | None = None
    """Threads of the sorter's own process, when their number changes its result; None: the task's cores."""
    nothing_to_sort: dict[str, str] = field(default_factory=dict)
    """Text of the sorter's error when the traces have too little to sort -> why the recording is skipped."""
    repeats: str = "the same data, parameters and machine give the same spikes"
    """What is known of a second run."""
    unavailable: Callable[[], str | None] = lambda: None
    """Why the sorter cannot run on this machine, and what to install; None when it can."""
    uses_gpu: Callable[[P], bool] = lambda params: False
    """Whether the sorter works on a GPU where there is one."""
    estimate_cpu_seconds: Callable[[dict[str, Any], int, float], float] | None = None
    """Roughly how many seconds a sorter made for GPUs works on one core, by its arguments, channels and duration."""
    reduce_memory: Callable[[dict[str, Any]], list[dict[str, Any]]] = lambda arguments: []
    """The arguments to change when the GPU runs out of memory, step after step."""
    has_image: bool = False
    """Whether the workflow runs it in a separate image when a container engine is on (`image_of`)."""
    device: str = "cpu"
    """Where a sorter works that has no argument `torch_device`."""
    estimate_scratch: Callable[[P, float], float] = lambda params, megabytes: 0
    """MB that it writes and removes again, by its parameters and the MB of the traces."""
    error_mark: str = ""
    """What its executable prints before its error message; empty for a sorter in Python, whose traceback has it."""
