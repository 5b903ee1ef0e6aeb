"""Parameters of job dispatch (section `job_dispatch`)."""

from typing import Any, Literal

from pydantic import Field

from capsules.parameters.model import Section, param, section

InputFormat = Literal["aind", "spikeglx", "openephys", "nwb", "spikeinterface"]


class SpikeInterfaceInfo(Section):
    """How SpikeInterface reads the data."""

    reader_type: str = Field(
        description="Name of SpikeInterface's reader, e.g. `intan`; `spikeinterface` for its own folders and files."
    )
    reader_kwargs: dict[str, Any] = param({}, "Arguments of the reader; paths are relative to the data folder.")
    keep_stream_substrings: str | list[str] | None = param(
        None, "Keep only streams whose name contains this text, or one of these; null keeps all."
    )
    skip_stream_substrings: str | list[str] | None = param(
        None, "Skip streams whose name contains this text, or one of these; null skips none."
    )
    probe_paths: str | list[str] | dict[str, str] | None = param(
        None,
        "ProbeInterface file for all streams, list with a file per stream, or stream name -> file; null uses the "
        "reader's probe.",
    )


class DataCheck(Section):
    """A quick check of a sample of each recording before it is sorted."""

    chunks: int = param(10, "Number of chunks of traces to check, evenly spaced; 0 checks none.", ge=0)
    chunk_duration_s: float = param(0.2, "Length of a chunk.", unit="s", gt=0)
    max_flat_fraction: float = param(
        0.5, "A recording fails if a larger fraction of its channels never change.", ge=0, le=1
    )
    max_saturated_fraction: float = param(
        0.2, "A recording is skipped if a larger fraction of its samples are at the converter's limits.", ge=0, le=1
    )
    min_noise_uv: float = param(0.5, "Warn if the noise is lower: the gain may be wrong.", unit="uV", ge=0)
    max_noise_uv: float = param(500, "Warn if the noise is higher: the gain may be wrong.", unit="uV", gt=0)
    spike_threshold: float = param(
        6, "Warn that no spike was detected if no peak is larger than this.", unit="MAD", gt=0
    )


class JobDispatchParams(Section):
    """Which recordings of the data folder are sorted, and how they are cut into jobs."""

    split_segments: bool = param(
        True,
        "Sort each recording segment separately; otherwise the segments are concatenated first.",
        flags={"--no-split-segments": False},
    )
    split_gaps: bool = param(
        False,
        "Sort the parts between the gaps of a recording (samples that the instrument dropped, or a jump of its clock) "
        "as separate recordings; otherwise it is sorted as one recording, with correct spike times on both sides.",
        flags={"--split-gaps": True},
    )
    split_groups: bool = param(
        True,
        "Sort each channel group (probe or shank) separately; otherwise all groups go into one job.",
        flags={"--no-split-groups": False},
    )
    channel_groups: str | None = param(
        None,
        "Channel groups of recordings without channel positions, in the order of the channels: `4x4` are four "
        "tetrodes. null uses the groups that the reader reports.",
        flags={"--channel-groups": ...},
        pattern=r"^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$",
    )
    debug: bool = param(
        False,
        "Keep only the first `debug_duration` seconds of every recording, for a quick trial of the whole pipeline.",
        flags={"--debug": True},
    )
    debug_duration: float = param(
        30, "Duration that `debug` keeps of each recording.", unit="s", flags={"--debug-duration": ...}, gt=0
    )
    skip_timestamps_check: bool = param(
        False,
        "Ignore the sample timestamps, for recordings whose timestamps are missing or known to be wrong.",
        flags={"--skip-timestamps-check": True},
    )
    multi_session: bool = param(
        False,
        "The data folder has one sub-folder per session.",
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
        "With `input` nwb: the files to read, relative to the data folder; null reads the only file in it.",
        flags={"--nwb-files": ...},
        min_length=1,
    )
    data_check: DataCheck = section(DataCheck)
    min_recording_duration: float = param(
        0,
        "Recordings shorter than this are skipped; 0 keeps all.",
        unit="s",
        flags={"--min-recording-duration": ...},
        ge=0,
    )


PARAMS = JobDispatchParams
