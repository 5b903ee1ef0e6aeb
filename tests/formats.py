"""Small recordings in the formats that instruments write, with traces that the tests know: `counts` makes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from capsules.demo.spikeglx import NEUROPIXELS_CHANNELS, make_common_meta, make_imec_meta, write_bin

RATE = 30000.0
UV_PER_COUNT = 0.195


@dataclass(frozen=True)
class Probe:
    """One probe of a small session: its name, its electrodes by number, and its part number.

    Electrodes from 1280 on lie on the second shank of a four-shank NP2013, and so on.
    """

    name: str
    electrodes: tuple[int, ...]
    part: str = "NP1000"

    @property
    def channels(self) -> int:
        return len(self.electrodes)


PROBE_A = Probe("ProbeA", tuple(range(4)))
FOUR_SHANKS = Probe("ProbeB", tuple(1280 * shank + row for shank in range(4) for row in range(2)), "NP2013")


def counts(name: str, segment: int, samples: int, channels: int) -> np.ndarray:
    """The traces (samples, channels) of a stream's segment: noise that its name and number determine."""
    seed = sum(map(ord, name)) * 100 + segment
    return np.random.default_rng(seed).integers(-400, 400, (samples, channels), dtype="int16")


def write_openephys(
    folder: Path,
    probes: list[Probe],
    durations_s: list[float],
    start_s: float = 5.0,
    gaps: dict[float, float] | None = None,
    node_id: int = 101,
    experiment: int = 1,
) -> None:
    """Open Ephys binary (GUI 0.6): AP and LFP of every probe and an NI-DAQ stream; one recording per duration.

    `gaps`: after so many seconds of samples -> how many seconds of samples were dropped.
    """
    node = folder / f"Record Node {node_id}"
    node.mkdir(parents=True, exist_ok=True)
    (node / f"settings{'' if experiment == 1 else f'_{experiment}'}.xml").write_text(_settings(probes))
    for segment, duration in enumerate(durations_s):
        recording = node / f"experiment{experiment}" / f"recording{segment + 1}"
        streams = [
            _openephys_stream(
                recording, probe.name + band, rate, probe.channels, segment, duration, start_s, gaps or {}
            )
            for probe in probes
            for band, rate in (("-AP", RATE), ("-LFP", RATE / 12))
        ]
        streams.append(_openephys_stream(recording, "NI-DAQmx", RATE, 2, segment, duration, start_s, gaps or {}))
        structure = {"GUI version": "0.6.4", "continuous": streams, "events": [], "spikes": []}
        (recording / "structure.oebin").write_text(json.dumps(structure))


def _openephys_stream(
    recording: Path,
    stream: str,
    rate: float,
    channels: int,
    segment: int,
    duration_s: float,
    start_s: float,
    gaps: dict[float, float],
) -> dict:
    processor = "NI-DAQmx-102" if "NI-DAQ" in stream else "Neuropix-PXI-100"
    name = f"{processor}.{stream}"
    folder = recording / "continuous" / name
    folder.mkdir(parents=True)
    samples = round(duration_s * rate)
    counts(stream, segment, samples, channels).tofile(folder / "continuous.dat")
    first = round((start_s + 100 * segment) * rate)
    numbers = np.arange(first, first + samples, dtype="int64")
    for after_s, dropped_s in gaps.items():
        numbers[round(after_s * rate) :] += round(dropped_s * rate)
    np.save(folder / "sample_numbers.npy", numbers)
    np.save(folder / "timestamps.npy", numbers / rate)
    prefix = "LFP" if stream.endswith("LFP") else "AI" if "NI" in stream else "AP"
    return {
        "folder_name": f"{name}/",
        "sample_rate": rate,
        "source_processor_name": processor.rsplit("-", 1)[0],
        "source_processor_id": int(processor.rsplit("-", 1)[1]),
        "stream_name": stream,
        "recorded_processor": "Record Node",
        "recorded_processor_id": 101,
        "num_channels": channels,
        "channels": [
            {"channel_name": f"{prefix}{index + 1}", "description": "", "bit_volts": UV_PER_COUNT, "units": "uV"}
            for index in range(channels)
        ],
    }


def _settings(probes: list[Probe]) -> str:
    """The part of Open Ephys' settings.xml that tells the probes."""
    streams = "".join(
        f'<STREAM name="{probe.name}{band}" sample_rate="{rate:g}" channel_count="{probe.channels}"/>'
        for probe in probes
        for band, rate in (("-AP", RATE), ("-LFP", RATE / 12))
    )
    selected = [
        " ".join(f'E{index}="{electrode}"' for index, electrode in enumerate(probe.electrodes)) for probe in probes
    ]
    described = "".join(
        f'<NP_PROBE slot="2" port="{port + 1}" dock="1" probe_serial_number="{1000 + port}" '
        f'probe_part_number="{probe.part}" apGainValue="500x" lfpGainValue="250x" isEnabled="1">'
        f"<SELECTED_ELECTRODES {electrodes}/></NP_PROBE>"
        for port, (probe, electrodes) in enumerate(zip(probes, selected, strict=True))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8"?><SETTINGS><INFO><VERSION>0.6.4</VERSION></INFO><SIGNALCHAIN>'
        '<PROCESSOR name="Neuropix-PXI" libraryName="Neuropix-PXI" libraryVersion="0.6.0" nodeId="100">'
        f"{streams}<EDITOR>{described}</EDITOR></PROCESSOR>"
        '<PROCESSOR name="Record Node" nodeId="101"/></SIGNALCHAIN></SETTINGS>'
    )


def write_spikeglx_segments(
    folder: Path, durations_s: list[float], probes: tuple[int, ...] = (0, 1), first_samples: list[int] | None = None
) -> None:
    """SpikeGLX with one trigger file per duration; probe 0 is a Neuropixels 1.0, probe 1 a four-shank 2.0.

    `first_samples` are the files' `firstSample`, in the AP band's count.
    """
    firsts = first_samples or [1000 + 1_000_000 * segment for segment in range(len(durations_s))]
    for probe in probes:
        home = folder / "run_g0" / f"run_g0_imec{probe}"
        home.mkdir(parents=True)
        for segment, duration in enumerate(durations_s):
            stem = home / f"run_g0_t{segment}.imec{probe}"
            for band, rate in (("ap", RATE), ("lf", RATE / 12)) if probe == 0 else (("ap", RATE),):
                _spikeglx_file(stem, band, rate, probe, segment, duration, firsts[segment])


def _spikeglx_file(
    stem: Path, band: str, rate: float, probe: int, segment: int, duration_s: float, first_sample: int
) -> None:
    channels, samples = 8, round(duration_s * rate)
    traces = counts(f"imec{probe}.{band}", segment, samples, channels)
    # SYNC, bit 6 of the digital word, changes every half second.
    sync = (np.arange(samples) // round(rate / 2) % 2 * 64).astype("int16")
    # Each band counts its own samples.
    meta = make_imec_meta(band, probe, channels, rate)
    meta |= make_common_meta(samples, rate, round(first_sample * rate / RATE)) | {"imDatPrb_sn": 1000 + probe}
    if probe == 1:
        # Two channels on each of four shanks, then the rest on the first.
        total = NEUROPIXELS_CHANNELS
        shanks = [channel // 2 if channel < channels else 0 for channel in range(total)]
        rows = [channel % 2 if channel < channels else channel for channel in range(total)]
        entries = zip(range(total), shanks, rows, strict=True)
        table = f"(2013,{total})" + "".join(f"({channel} {shank} 0 0 {row})" for channel, shank, row in entries)
        meta |= {"imDatPrb_type": 2013, "imDatPrb_pn": "NP2013", "imMaxInt": 2048, "acqApLfSy": f"{total},0,1"}
        meta |= {"snsSaveChanSubset": f"0:{channels - 1},{total}", "~imroTbl": table}
        meta["~snsChanMap"] = str(meta["~snsChanMap"]).replace(f"({total},{total},1)", f"({total},0,1)")
    write_bin(f"{stem}.{band}", [traces, sync[:, None]], meta)


def numpy_recording(name: str, durations_s: list[float], shanks: int = 1, dtype: str = "int16", rate: float = RATE):
    """A recording of the known counts with 8 channels on a probe of so many shanks."""
    from probeinterface import Probe as ProbeModel
    from spikeinterface.core import NumpyRecording

    traces = [
        counts(name, index, round(duration * rate), 8).astype(dtype) for index, duration in enumerate(durations_s)
    ]
    recording = NumpyRecording(traces, rate)
    shank_of = np.arange(8) * shanks // 8
    positions = np.column_stack([250.0 * shank_of, 20.0 * np.arange(8)])
    probe = ProbeModel(ndim=2, si_units="um")
    probe.set_contacts(positions, shapes="circle", shape_params={"radius": 6}, shank_ids=shank_of.astype(str))
    probe.set_device_channel_indices(np.arange(8))
    recording.set_probe(probe, group_mode="by_shank")
    recording.set_channel_gains(UV_PER_COUNT)
    recording.set_channel_offsets(0.0)
    return recording


def write_openephys_older(folder: Path, durations_s: list[float], channels: int = 4, start_s: float = 5.0) -> None:
    """Open Ephys' older format: a `.continuous` file for each channel, in records of 1024 samples (big-endian)."""
    folder.mkdir(parents=True, exist_ok=True)
    header = (
        "header.format = 'Open Ephys Data Format'; header.version = 0.4; header.header_bytes = 1024;"
        "header.description = ''; header.date_created = '15-Jan-2026 103000'; header.channel = 'CH{number}';"
        f"header.channelType = 'Continuous'; header.sampleRate = {RATE:g}; header.blockLength = 1024;"
        f"header.bufferSize = 1024; header.bitVolts = {UV_PER_COUNT};"
    )
    for channel in range(channels):
        content = header.replace("{number}", str(channel + 1)).ljust(1024).encode()
        for segment, duration_s in enumerate(durations_s):
            samples = round(duration_s * RATE) // 1024 * 1024
            traces = counts("older", segment, samples, channels)[:, channel]
            first = round((start_s + 100 * segment) * RATE)
            for start in range(0, samples, 1024):
                content += (first + start).to_bytes(8, "little") + (1024).to_bytes(2, "little")
                content += segment.to_bytes(2, "little") + traces[start : start + 1024].astype(">i2").tobytes()
                content += bytes(range(9)) + b"\xff"
        (folder / f"100_CH{channel + 1}.continuous").write_bytes(content)


def write_nwb(file: Path, series: dict[str, int], backend: str, duration_s: float = 2.0) -> None:
    """An NWB file with an ElectricalSeries of this name and number of shanks each."""
    from datetime import UTC, datetime

    from neuroconv.tools.nwb_helpers import configure_and_write_nwbfile
    from neuroconv.tools.spikeinterface import add_recording_to_nwbfile
    from pynwb import NWBFile

    nwbfile = NWBFile("test", file.name, datetime(2026, 1, 1, tzinfo=UTC))
    for name, shanks in series.items():
        recording = numpy_recording(name, [duration_s], shanks)
        groups = np.array([f"{name}-{group}" for group in recording.get_channel_groups()])
        recording.set_property("group_name", groups)
        recording.set_property("channel_name", np.array([f"{name}{index}" for index in range(8)]))
        locations = recording.get_channel_locations()
        recording.set_property("rel_x", locations[:, 0])
        recording.set_property("rel_y", locations[:, 1])
        metadata = {
            "Devices": {"probe": {"name": "probe", "description": "simulated"}},
            "Ecephys": {
                "ElectrodeGroups": {
                    group: {"name": group, "description": group, "location": "unknown", "device_metadata_key": "probe"}
                    for group in dict.fromkeys(groups.tolist())
                },
                "ElectricalSeries": {name: {"name": name, "description": "simulated"}},
            },
        }
        add_recording_to_nwbfile(recording, nwbfile=nwbfile, metadata=metadata, metadata_key=name)
    configure_and_write_nwbfile(nwbfile, nwbfile_path=file, backend=backend)


AIND_PROBES = [Probe("ProbeA", tuple(range(8))), FOUR_SHANKS]
AIND_DURATIONS_S = [2.0, 1.0]
AIND_DATE = "15 Jan 2026 10:30:00"


def make_wavpack() -> Any:
    """The compressor of AIND's sessions, with their level; the test is skipped where it is not installed."""
    import numcodecs
    import pytest

    try:
        return numcodecs.get_codec({"id": "wavpack", "level": 3})
    except ValueError:
        pytest.skip("WavPack is not installed: make setup-aind (as root, on Debian)")


def write_aind(folder: Path, compressor: Any = None) -> None:
    """An AIND session: AP of two probes, LFP of one and an NI-DAQ stream, of two recordings."""
    streams = {
        "Neuropix-PXI-100.ProbeA-AP": numpy_recording("ProbeA-AP", AIND_DURATIONS_S),
        "Neuropix-PXI-100.ProbeA-LFP": numpy_recording("ProbeA-LFP", AIND_DURATIONS_S, rate=RATE / 12),
        "Neuropix-PXI-100.ProbeB-AP": numpy_recording("ProbeB-AP", AIND_DURATIONS_S, 4),
        "NI-DAQmx-102.NI-DAQmx": numpy_recording("NI-DAQmx", AIND_DURATIONS_S),
    }
    write_aind_session(folder, streams, AIND_PROBES, compressor)


def write_aind_session(folder: Path, streams: dict[str, Any], probes: list[Probe], compressor: Any = None) -> None:
    """AIND's layout: a zarr of each stream, and the Open Ephys folder with the same recordings, whose traces are cut.

    Parameters
    ----------
    folder : Path
        The session's.
    streams : dict
        Open Ephys stream -> its recording.
    probes : list of Probe
        Those of the settings file.
    compressor : numcodecs codec, optional
        zarr's default where it is absent.
    """
    compressed, clipped = folder / "ecephys" / "ecephys_compressed", folder / "ecephys" / "ecephys_clipped"
    longest = next(iter(streams.values()))
    durations_s = [longest.get_duration(segment_index=index) for index in range(longest.get_num_segments())]
    write_openephys(clipped, probes, durations_s)
    for traces in clipped.rglob("continuous.dat"):
        traces.write_bytes(traces.read_bytes()[:800])
    for settings in clipped.rglob("settings*.xml"):
        settings.write_text(settings.read_text().replace("</INFO>", f"<DATE>{AIND_DATE}</DATE></INFO>"))
    more = {} if compressor is None else {"compressor": compressor}
    for name, recording in streams.items():
        store = compressed / f"experiment1_Record Node 101#{name}.zarr"
        recording.save(folder=store, format="zarr", progress_bar=False, **more)


def write_neuroscope(folder: Path, duration_s: float = 2.0) -> None:
    """Neuroscope: a `.dat` with its `.xml`, and a ProbeInterface file beside them."""
    from probeinterface import write_probeinterface

    folder.mkdir(parents=True, exist_ok=True)
    counts("neuroscope", 0, round(duration_s * RATE), 8).tofile(folder / "rat.dat")
    channels = "".join(f'<channel skip="0">{index}</channel>' for index in range(8))
    (folder / "rat.xml").write_text(
        '<?xml version="1.0"?><parameters><acquisitionSystem><nBits>16</nBits><nChannels>8</nChannels>'
        f"<samplingRate>{RATE:g}</samplingRate><voltageRange>20</voltageRange><amplification>1000</amplification>"
        "<offset>0</offset></acquisitionSystem><fieldPotentials><lfpSamplingRate>1250</lfpSamplingRate>"
        "</fieldPotentials><anatomicalDescription><channelGroups><group>"
        f"{channels}</group></channelGroups></anatomicalDescription></parameters>"
    )
    write_probeinterface(folder / "probe.json", numpy_recording("neuroscope", [0.1]).get_probegroup())
