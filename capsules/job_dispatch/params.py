"""Parameters of job dispatch (section `job_dispatch`)."""

from typing import Any, Literal

from pydantic import Field

from capsules.parameters.model import Section, param

InputFormat = Literal["aind", "spikeglx", "openephys", "nwb", "spikeinterface"]


class SpikeInterfaceInfo(Section):
    """How SpikeInterface reads the data."""

    reader_type: str = Field(
        description="Name of SpikeInterface's reader, e.g. `intan`; `spikeinterface` for its own folders and files."
    )
    reader_kwargs: dict[str, Any] = param({}, "Arguments of the reader; paths are relative to the data folder.")
    keep_stream_substrings: str | list[str] | None = param(
        None, "Only streams whose name holds this, or one of these; null keeps all."
    )
    skip_stream_substrings: str | list[str] | None = param(
        None, "No streams whose name holds this, or one of these; null skips none."
    )
    probe_paths: str | list[str] | dict[str, str] | None = param(
        None, "ProbeInterface file of every stream, of each in turn, or by the stream's name; null: the reader's probe."
    )


class DataCheck(Section):
    """A cheap look at a sample of each recording before it is sorted."""

    chunks: int = param(10, "Chunks of traces that are looked at, evenly spaced; 0 looks at none.", ge=0)
    chunk_duration_s: float = param(0.2, "Length of one of these chunks.", unit="s", gt=0)
    max_flat_fraction: float = param(
        0.5, "A recording with a larger fraction of channels that never change is not sorted.", ge=0, le=1
    )
    max_saturated_fraction: float = param(
        0.2, "A recording with a larger fraction of samples at the limit of its range is not sorted.", ge=0, le=1
    )
    min_noise_uv: float = param(0.5, "Noise below this makes a warning: the gain looks wrong.", unit="uV", ge=0)
    max_noise_uv: float = param(500, "Noise above this makes a warning: the gain looks wrong.", unit="uV", gt=0)
    spike_threshold: float = param(
        6, "Without a peak of so many deviations a warning says that no spike was seen.", unit="MAD", gt=0
    )


class JobDispatchParams(Section):
    """Which recordings are found in the data folder, and how they are cut into jobs."""

    split_segments: bool = param(
        True,
        "Sort each recording segment on its own; otherwise the segments are concatenated first.",
        flags={"--no-split-segments": False},
    )
    split_gaps: bool = param(
        False,
        "Sort what lies between the gaps of a recording (samples that the instrument dropped, or a jump of its clock) "
        "as separate recordings; otherwise it is sorted as one, with the times of the spikes right on both sides.",
        flags={"--split-gaps": True},
    )
    split_groups: bool = param(
        True,
        "Sort each channel group (probe or shank) on its own; otherwise all groups go into one job.",
        flags={"--no-split-groups": False},
    )
    channel_groups: str | None = param(
        None,
        "Channel groups of recordings that have no channel positions, in the order of the channels: `4x4` are four "
        "tetrodes. null takes those that the reader reports.",
        flags={"--channel-groups": ...},
        pattern=r"^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$",
    )
    debug: bool = param(
        False,
        "Keep only the first `debug_duration` seconds of every recording, for a quick trial of the whole pipeline.",
        flags={"--debug": True},
    )
    debug_duration: float = param(
        30, "What `debug` keeps of each recording.", unit="s", flags={"--debug-duration": ...}, gt=0
    )
    skip_timestamps_check: bool = param(
        False,
        "Do not look at the sample timestamps, for recordings whose timestamps are missing or known to be wrong.",
        flags={"--skip-timestamps-check": True},
    )
    multi_session: bool = param(
        False,
        "The data folder holds one sub-folder per session, and each is a session of its own.",
        flags={"--multi-session": True},
    )
    input: InputFormat = param(
        "openephys",
        "Format of the data. `spikeinterface` reads any format that SpikeInterface knows, with `spikeinterface_info`.",
        flags={"--input": ...},
    )
    spikeinterface_info: str | SpikeInterfaceInfo | None = param(
        None,
        "How SpikeInterface reads the data: `reader_type`, `reader_kwargs`, `keep_stream_substrings`, "
        "`skip_stream_substrings` and `probe_paths`, as an object, as JSON text, or as the path to a JSON file.",
        flags={"--spikeinterface-info": ...},
    )
    nwb_files: list[str] | None = param(
        None,
        "With `input` nwb: the files that are read, relative to the data folder; null reads all in it.",
        flags={"--nwb-files": ...},
        min_length=1,
    )
    data_check: DataCheck = param(DataCheck(), DataCheck.__doc__)
    min_recording_duration: float = param(
        0,
        "Recordings shorter than this are listed as skipped and not worked on; 0 takes all.",
        unit="s",
        flags={"--min-recording-duration": ...},
        ge=0,
    )


PARAMS = JobDispatchParams
