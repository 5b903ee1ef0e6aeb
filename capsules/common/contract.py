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
        """Where the part lies in the results folder, or None when it is not shown there."""
        return None if self.published is None else self.published.format(stage=stage, id=id)


LOG_PARTS = (Part("stage.json", "logs/{id}/{stage}.json"), Part("log.txt", "logs/{id}/{stage}.log"))


@dataclass(frozen=True)
class Stage:
    """One stage of the pipeline.

    `takes` names the stages whose folders it reads, and without which it does not run; `may_take` those that it
    reads where they are, to show how far a recording came. A stage works per `recording`, per `sorting` (one recording
    by one sorter), per `block` (all recordings of one NWB file) or once per `run`. `libraries` are the distributions
    whose upgrade makes its results stale.
    """

    name: str
    level: str
    takes: tuple[str, ...] = ()
    may_take: tuple[str, ...] = ()
    gives: tuple[Part, ...] = ()
    libraries: tuple[str, ...] = ()
    parts: tuple[Part, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "parts", LOG_PARTS + self.gives)

    def folder(self, id: str) -> str:
        return f"{self.name}_{id}"


_CORE = ("spikeinterface", "probeinterface", "neo", "numpy", "scipy", "numba")

STAGES: dict[str, Stage] = {
    stage.name: stage
    for stage in (
        Stage("job_dispatch", "run", gives=(Part("jobs.json"),), libraries=_CORE),
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
        ),
        Stage(
            "spikesorting",
            "sorting",
            takes=("preprocessing",),
            gives=(Part("spikesorted", "spikesorted/{id}"), Part("sorter", "sorter_output/{id}", optional=True)),
            libraries=(*_CORE, "torch", "kilosort", "scikit-learn", "hdbscan", "networkx"),
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
        ),
        Stage(
            "curation",
            "sorting",
            takes=("postprocessing",),
            gives=(Part("curated", "curated/{id}"),),
            libraries=(*_CORE, "scikit-learn", "skops", "pandas", "zarr", "numcodecs"),
        ),
        Stage(
            "visualization",
            "sorting",
            may_take=("preprocessing", "postprocessing", "curation"),
            gives=(
                Part("visualization", "visualization/{id}"),
                Part("quality_control", "quality_control/{id}"),
                Part("report.json"),
            ),
            libraries=(*_CORE, "matplotlib", "pillow", "pandas", "zarr", "numcodecs"),
        ),
        Stage(
            "nwb_ecephys",
            "block",
            # Not published: nwb_units gives the same file with the units, or without when there are none.
            gives=(Part("file.nwb"),),
            libraries=(*_CORE, "neuroconv", "pynwb", "hdmf", "hdmf-zarr", "h5py", "zarr"),
        ),
        Stage(
            "nwb_units",
            "block",
            takes=("nwb_ecephys", "postprocessing", "curation"),
            gives=(Part("file.nwb", "nwb/{id}.nwb"),),
            libraries=(*_CORE, "neuroconv", "pynwb", "hdmf", "hdmf-zarr", "h5py", "zarr", "numcodecs"),
        ),
        Stage(
            "results",
            "run",
            gives=(
                Part("status.json", "status.json"),
                Part("processing.json", "processing.json"),
                Part("params.json", "params.json"),
                Part("sorter_agreement.json", "sorter_agreement.json"),
                Part("visualization_output.json", "visualization_output.json"),
                Part("report.html", "report.html"),
                Part("summary.txt"),
            ),
            libraries=("jinja2", "plotly", "spikeinterface"),
        ),
    )
}

RECORDING_STAGES = [stage.name for stage in STAGES.values() if stage.level in ("recording", "sorting")]
BLOCK_STAGES = [stage.name for stage in STAGES.values() if stage.level == "block"]

RUN_RECORD = "nextflow/run.json"
"""Where the results folder says which data it belongs to, and with which options it was made."""
LOCK = "nextflow/lock.json"
"""What the Nextflow that writes a results folder holds (`pipeline/hold_results.groovy`)."""
