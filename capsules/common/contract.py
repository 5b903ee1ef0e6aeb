"""What each stage takes and gives: the one list of stages, their inputs, their parts and where parts are published.

A stage writes one folder `<stage>_<id>/` with a `stage.json`, a `log.txt` and its parts. `{id}` in `published` is the
recording's (or sorting's, or block's) id; a part without `published` is handed on but not shown in the results folder.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Part:
    """A file or folder that a stage writes."""

    name: str
    published: str | None = None
    optional: bool = False

    def place(self, stage: str, id: str) -> str | None:
        """The place of the part in the results folder, or None when it is not shown there."""
        return None if self.published is None else self.published.format(stage=stage, id=id)


LOG_PARTS = (Part("stage.json", "logs/{id}/{stage}.json"), Part("log.txt", "logs/{id}/{stage}.log"))


@dataclass(frozen=True)
class Size:
    """What the first attempt of a task asks for; a second and third ask for twice and three times as much.

    Memory depends on the channels, since chunks limit it whatever the duration; time on the megabytes of raw traces.
    `docs/benchmarks.md` has what tasks took: the time is ten times that of one core or more, for slow disks. A sorting
    without a GPU asks for three times what Kilosort4 takes then; one on a GPU has another time per megabyte.
    """

    memory_mb: float = 2048
    memory_mb_per_channel: float = 5
    minutes: float = 30
    seconds_per_megabyte: float = 0.5
    gpu_seconds_per_megabyte: float | None = None

    def memory_gb(self, channels: int) -> float:
        """Memory in GB."""
        return (self.memory_mb + self.memory_mb_per_channel * channels) / 1024

    def time_min(self, megabytes: float, on_gpu: bool = False) -> float:
        """Time in minutes."""
        rate = self.gpu_seconds_per_megabyte if on_gpu else None
        return self.minutes + (self.seconds_per_megabyte if rate is None else rate) * megabytes / 60


@dataclass(frozen=True)
class Output:
    """MB that a task writes. What the parameters decide (traces, LFP) is added by `resolve_params/machine/disk.py`."""

    mb: float = 0
    mb_per_channel: float = 0
    mb_per_megabyte: float = 0

    def megabytes(self, channels: int, megabytes: float) -> float:
        """MB for so many channels and megabytes of raw traces."""
        return self.mb + self.mb_per_channel * channels + self.mb_per_megabyte * megabytes


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    `takes` names the stages whose folders it reads, and without which it does not run; `may_take` those that it reads
    where they exist, to report a recording up to its last completed step. A stage works per `recording`, per `sorting`
    (one recording by one sorter), per `block` (all recordings of one NWB file) or once per `run`. `libraries` are the
    distributions whose upgrade makes its results stale. `section` is the path of its parameters in the params file.
    """

    name: str
    level: str
    takes: tuple[str, ...] = ()
    may_take: tuple[str, ...] = ()
    gives: tuple[Part, ...] = ()
    libraries: tuple[str, ...] = ()
    section: tuple[str, ...] = ()
    size: Size = Size()
    output: Output = Output()
    parts: tuple[Part, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", LOG_PARTS + self.gives)

    def folder(self, id: str) -> str:
        return f"{self.name}_{id}"


_CORE = ("spikeinterface", "probeinterface", "neo", "numpy", "scipy", "numba")

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("job_dispatch", "run", gives=(Part("jobs.json"),), libraries=_CORE, section=("job_dispatch",)),
        Stage(
            "preprocessing",
            "recording",
            gives=(
                Part("preprocessed.json", "preprocessed/{id}.json"),
                Part("traces"),
                Part("motion", "preprocessed/motion/{id}", optional=True),
                Part("bad_channels.json"),
            ),
            libraries=(*_CORE, "torch"),
            section=("preprocessing",),
            output=Output(1, 0, 1),
        ),
        Stage(
            "spikesorting",
            "sorting",
            takes=("preprocessing",),
            gives=(Part("spikesorted", "spikesorted/{id}"), Part("sorter", "sorter_output/{id}", optional=True)),
            libraries=(*_CORE, "torch", "kilosort", "scikit-learn", "hdbscan", "networkx"),
            section=("spikesorting",),
            size=Size(3072, 20, 60, 30, 0.5),
            output=Output(1, 0, 0.005),
        ),
        Stage(
            "postprocessing",
            "sorting",
            takes=("preprocessing", "spikesorting"),
            gives=(
                Part("postprocessed.zarr", "postprocessed/{id}.zarr"),
                Part("merge_candidates.json", "postprocessed/{id}.merge_candidates.json"),
            ),
            libraries=(*_CORE, "scikit-learn", "pandas", "zarr", "numcodecs"),
            section=("postprocessing",),
            output=Output(2, 2, 0.02),
        ),
        Stage(
            "curation",
            "sorting",
            takes=("postprocessing",),
            gives=(Part("curated", "curated/{id}"),),
            libraries=(*_CORE, "scikit-learn", "skops", "pandas", "zarr", "numcodecs"),
            section=("curation",),
            output=Output(1, 0, 0.005),
        ),
        Stage(
            "visualization",
            "sorting",
            may_take=("preprocessing", "postprocessing", "curation", "events"),
            gives=(
                Part("visualization", "visualization/{id}"),
                Part("quality_control", "quality_control/{id}"),
                Part("report.json"),
            ),
            libraries=(*_CORE, "matplotlib", "pillow", "pandas", "zarr", "numcodecs"),
            section=("visualization",),
            output=Output(3, 0.1, 0),
        ),
        Stage(
            "events",
            "block",
            gives=(Part("events", "events/{id}"),),
            libraries=(*_CORE, "pynwb", "hdmf", "hdmf-zarr", "h5py", "zarr"),
            section=("events",),
            size=Size(1024, 0, 10, 0.1),
            output=Output(1, 0, 0.001),
        ),
        Stage(
            "nwb_ecephys",
            "block",
            may_take=("events",),
            # Not published: nwb_units gives the same file with the units, or without when there are none.
            gives=(Part("file.nwb"),),
            libraries=(*_CORE, "neuroconv", "pynwb", "hdmf", "hdmf-zarr", "h5py", "zarr"),
            section=("nwb", "ecephys"),
            output=Output(1, 0.01, 0),
        ),
        Stage(
            "nwb_units",
            "block",
            takes=("nwb_ecephys", "postprocessing", "curation"),
            gives=(Part("file.nwb", "nwb/{id}.nwb"),),
            libraries=(*_CORE, "neuroconv", "pynwb", "hdmf", "hdmf-zarr", "h5py", "zarr", "numcodecs"),
            output=Output(2, 0.5, 0.005),
        ),
        Stage(
            "results",
            "run",
            gives=(
                Part("status.json", "status.json"),
                Part("processing.json", "processing.json"),
                Part("params.json", "params.json"),
                Part("sorter_agreement.json", "sorter_agreement.json"),
                Part("sync.json", "sync.json"),
                Part("visualization_output.json", "visualization_output.json"),
                Part("report.html", "report.html"),
                # With AIND's sessions alone.
                Part("aind_metadata", "aind_metadata", optional=True),
                Part("summary.txt"),
            ),
            libraries=("jinja2", "spikeinterface"),
            output=Output(10, 0.1, 0),
        ),
    )
}

RECORDING_STAGES = [stage.name for stage in STAGES.values() if stage.level in ("recording", "sorting")]
BLOCK_STAGES = [stage.name for stage in STAGES.values() if stage.level == "block"]


def list_needed_stages(stage: str) -> list[str]:
    """The stages without which this one does not run (nwb_units waits for nwb_ecephys alone)."""
    return [name for name in STAGES[stage].takes if stage not in BLOCK_STAGES or name in BLOCK_STAGES]


SECTION_OF_STAGE = {stage.name: stage.section for stage in STAGES.values() if stage.section}
"""Stage -> the path of its section in the params file. `--<stage>_args` addresses the same section."""

RUN_RECORD = "nextflow/run.json"
"""Where the results folder says which data it belongs to, and with which options it was made."""
COMMAND_RECORD = "nextflow/command.sh"
"""The Nextflow command of a run that `spikerelay run` started."""
TRACE = "nextflow/trace.txt"
"""Nextflow's table of the tasks that ended (`pipeline/records.config`)."""
FAILURES = "nextflow/failed"
"""Where a task's note is while it runs, and stays when it fails."""
LOCK = "nextflow/lock.json"
"""What the Nextflow that writes a results folder holds (`pipeline/hold_results.groovy`)."""
