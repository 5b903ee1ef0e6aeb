"""Parameters of job dispatch (section `job_dispatch`)."""

from typing import Any, Literal

from pydantic import Field

from capsules.parameters.model import Section, param, section

InputFormat = Literal["aind", "spikeglx", "openephys", "nwb", "spikeinterface"]


class SpikeInterfaceInfo(Section):
    """How SpikeInterface reads the data."""

    reader_type: str = Field(
        description="SpikeInterface's reader of the data, e.g. `intan`; `spikeinterface` for folders and files that "
        "SpikeInterface wrote. It has no default, because the pipeline cannot guess the format."
    )
    reader_kwargs: dict[str, Any] = param(
        {},
        "Arguments of the reader; paths are relative to the data folder. Set it when the reader needs a file name "
        "or a stream. By default, the reader gets none.",
    )
    keep_stream_substrings: str | list[str] | None = param(
        None,
        "Sort only the streams whose name contains this text, or one of these texts. Set it when the data have "
        "streams that you do not want to sort. The default (null) keeps all.",
    )
    skip_stream_substrings: str | list[str] | None = param(
        None,
        "Leave out the streams whose name contains this text, or one of these texts. Set it when a few streams of "
        "many are unwanted. The default (null) leaves out none.",
    )
    probe_paths: str | list[str] | dict[str, str] | None = param(
        None,
        "ProbeInterface files with the channel positions: one file for all streams, a list with one file per "
        "stream, or an object of stream name and file. Set it when the data have no positions. The default (null) "
        "uses the positions that the reader reports.",
    )


class DataCheck(Section):
    """A quick check of a sample of each recording before it is sorted."""

    chunks: int = param(
        10,
        "Number of chunks of traces that are checked, evenly spaced over each segment. Increase it when recordings "
        "are bad only in parts; 0 checks none. The default of 10 takes about two seconds.",
        ge=0,
    )
    chunk_duration_s: float = param(
        0.2,
        "Length of a checked chunk. Increase it when spikes are so rare that none is in the chunks. The default of "
        "0.2 keeps the check short.",
        unit="s",
        gt=0,
    )
    max_flat_fraction: float = param(
        0.5,
        "A recording fails when a larger fraction of its channels never change in the checked chunks. Increase it "
        "to sort a probe with many disconnected channels. The default of 0.5 detects a dead headstage or a wrong "
        "file.",
        ge=0,
        le=1,
    )
    max_saturated_fraction: float = param(
        0.2,
        "A recording is skipped when a larger fraction of its checked samples are at the converter's limits. "
        "Increase it to sort such a recording nevertheless. The default of 0.2 is used because so much saturation "
        "hides spikes.",
        ge=0,
        le=1,
    )
    min_noise_uv: float = param(
        0.5,
        "The pipeline warns that the gain may be wrong when the noise is lower. Lower it when your amplifier has so "
        "little noise. The default of 0.5 is below the noise of usual amplifiers.",
        unit="uV",
        ge=0,
    )
    max_noise_uv: float = param(
        500,
        "The pipeline warns that the gain may be wrong when the noise is higher. Increase it for recordings that "
        "are noisy for a known reason. The default of 500 is many times the usual 5 to 20.",
        unit="uV",
        gt=0,
    )
    spike_threshold: float = param(
        6,
        "The pipeline warns that it detected no spike when no peak in the checked chunks is larger. Lower it when "
        "your spikes are small. The default of 6 is larger than almost all peaks of pure noise.",
        unit="MAD",
        gt=0,
    )


class Sync(Section):
    """One clock for all streams of a recording, by pulses that every instrument records (`docs/sync.md`)."""

    enabled: bool = param(
        True,
        "Align the clocks of the streams by their sync pulses. Otherwise each stream keeps its clock. Nothing is "
        "guessed: a stream without pulses, or with pulses that fit several offsets, keeps its clock and is reported.",
        flags={"--no-sync": False},
    )
    reference: str | None = param(
        None,
        "Stream on whose clock all times are, e.g. `nidq` or `imec0.ap`; null chooses the NI board where it has "
        "pulses, otherwise the first probe that has. Name it when behaviour is recorded by another stream.",
    )
    lines: dict[str, str] = param(
        {},
        'Line with the sync pulses by stream, e.g. `{"nidq": "XD3"}` or `{"imec0": "imec0:SY6"}`. A stream that is not '
        "listed uses the line that its header names; Open Ephys names none, and the line whose pulses match is used. "
        "`spikerelay sync` lists the lines.",
    )
    period_s: float | None = param(
        None,
        "Period of regular pulses; null uses that of the header, or estimates it from the pulses. Set it when so many "
        "pulses are missing that the estimate is wrong.",
        unit="s",
        gt=0,
    )
    threshold_v: float | None = param(
        None,
        "Threshold of analog sync lines; null uses that of the header, or 1.1 V. Set it to half of the pulses' height.",
        unit="V",
    )
    offsets_s: dict[str, float] = param(
        {},
        'How much later a moment is on the reference clock than on a stream\'s, e.g. `{"imec0.ap": -12.3}`, to within '
        "0.4 periods. Only regular pulses of clocks without a shared zero need it: they fit several offsets.",
        unit="s",
    )
    pulses_file: str | None = param(
        None,
        "CSV file with pulses, in the session's folder or the data folder, for streams whose format has no lines: "
        "columns `stream` and either `time_s` (on the stream's clock) or `sample`, one row per pulse.",
        min_length=1,
    )


class JobDispatchParams(Section):
    """Which recordings of the data folder are sorted, and how they are cut into jobs."""

    split_segments: bool = param(
        True,
        "Sort each recording segment separately. Turn it off to join the segments and follow units across them. On "
        "by default, because units can change while the recording is stopped.",
        flags={"--no-split-segments": False},
    )
    split_gaps: bool = param(
        False,
        "Sort the parts between gaps (samples that the instrument dropped, or a jump of its clock) as separate "
        "recordings. Turn it on when gaps are long: filters mix both sides of a gap. Off by default, because units "
        "then stay the same over the whole recording, and spike times are correct either way.",
        flags={"--split-gaps": True},
    )
    split_groups: bool = param(
        True,
        "Sort each channel group (probe or shank) separately. Turn it off when groups are so close that they record "
        "the same neurons. On by default, because each group drifts independently.",
        flags={"--no-split-groups": False},
    )
    channel_groups: str | None = param(
        None,
        "Channel groups of recordings without channel positions, in the order of the channels: `4x4` means four "
        "tetrodes. Set it when the pipeline reports that the channels have no positions. The default (null) uses "
        "the groups that the reader reports.",
        flags={"--channel-groups": ...},
        pattern=r"^[1-9][0-9]{0,3}x[1-9][0-9]{0,3}$",
    )
    debug: bool = param(
        False,
        "Keep only the first `debug_duration` seconds of every recording. Turn it on to try the whole pipeline "
        "quickly. Off by default.",
        flags={"--debug": True},
    )
    debug_duration: float = param(
        30,
        "Duration that `debug` keeps of each recording. Increase it when too few units are detected. The default of "
        "30 keeps the trial short.",
        unit="s",
        flags={"--debug-duration": ...},
        gt=0,
    )
    skip_timestamps_check: bool = param(
        False,
        "Ignore the timestamps of the samples. Turn it on only when they are missing or known to be wrong. Off by "
        "default, because timestamps show gaps and jumps of the clock.",
        flags={"--skip-timestamps-check": True},
    )
    multi_session: bool = param(
        False,
        "Treat each sub-folder of the data folder as a session. Turn it on when the data folder has one sub-folder "
        "per session. Off by default: the data folder is one session.",
        flags={"--multi-session": True},
    )
    input: InputFormat = param(
        "openephys",
        "Format of the data; `spikeinterface` reads any format that SpikeInterface knows, with "
        "`spikeinterface_info`. Set it when the data folder has several formats. When you name none and the folder "
        "has exactly one known format, this format is used instead of the default.",
        flags={"--input": ...},
    )
    spikeinterface_info: str | SpikeInterfaceInfo | None = param(
        None,
        "How SpikeInterface reads the data: an object, its JSON text, or the path of a JSON file with "
        "`reader_type`, `reader_kwargs`, `keep_stream_substrings`, `skip_stream_substrings` and `probe_paths`. It "
        "is needed when `input` is `spikeinterface`. The default is null: the other formats need no description.",
        flags={"--spikeinterface-info": ...},
    )
    nwb_files: list[str] | None = param(
        None,
        "Files to read when `input` is `nwb`, relative to the data folder. Set it when the folder has several NWB "
        "files. The default (null) reads the only one.",
        flags={"--nwb-files": ...},
        min_length=1,
    )
    data_check: DataCheck = section(DataCheck)
    sync: Sync = section(Sync)
    min_recording_duration: float = param(
        0,
        "Recordings shorter than this are skipped. Increase it to leave out recordings that were stopped early. The "
        "default of 0 keeps all; `preprocessing.min_preprocessing_duration` skips short ones later.",
        unit="s",
        flags={"--min-recording-duration": ...},
        ge=0,
    )


PARAMS = JobDispatchParams
