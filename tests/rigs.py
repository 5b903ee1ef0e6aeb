"""Small files as other rigs write them, by the makers' published layouts: 4 channels of known counts, one second."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from tests.formats import RATE, counts

CHANNELS = 4
SAMPLES = 30_720
"""Of each file: one second, in whole blocks of 128, 512 and 3 samples."""


def traces(name: str) -> np.ndarray:
    return counts(name, 0, SAMPLES, CHANNELS)


def _text(text: str) -> bytes:
    """A QString: its bytes in UTF-16, after their number."""
    content = text.encode("utf-16-le")
    return struct.pack("<I", len(content)) + content


def _intan_header(auxiliary: bool = False) -> bytes:
    """Of RHD2000, version 2.0: one port with the amplifier's channels, and an auxiliary one on request."""
    head = struct.pack("<Ihh", 0xC6912702, 2, 0)
    head += struct.pack("<fhffffffhff", RATE, 1, 1.0, 0.1, 7500.0, 1.0, 0.1, 7500.0, 0, 1000.0, 1000.0)
    head += _text("") * 3 + struct.pack("<hh", 0, 0) + _text("") + struct.pack("<h", 1)
    head += _text("Port A") + _text("A") + struct.pack("<hhh", 1, CHANNELS + auxiliary, CHANNELS)
    for channel in range(CHANNELS + auxiliary):
        is_auxiliary = channel == CHANNELS
        head += _text("A-AUX1" if is_auxiliary else f"A-{channel:03d}") * 2
        head += struct.pack("<hhhhhhhhhhff", channel, channel, is_auxiliary, 1, channel, 0, 1, 0, 0, 0, 0.0, 0.0)
    return head


def write_intan(folder: Path, auxiliary: bool = False) -> None:
    """One `.rhd` with header and traces in blocks of 128 samples; the traces are unsigned."""
    unsigned = (traces("intan").astype("int32") + 32768).astype("uint16")
    content = _intan_header(auxiliary)
    for start in range(0, SAMPLES, 128):
        content += np.arange(start, start + 128, dtype="int32").tobytes() + unsigned[start : start + 128].T.tobytes()
        content += bytes(2 * 128 // 4) * auxiliary
    (folder / "rat.rhd").write_bytes(content)


def write_intan_channels(folder: Path) -> None:
    """One file per channel, next to `info.rhd` and the sample numbers."""
    (folder / "info.rhd").write_bytes(_intan_header())
    np.arange(SAMPLES, dtype="int32").tofile(folder / "time.dat")
    for channel, own in enumerate(traces("intan").T):
        own.tofile(folder / f"amp-A-{channel:03d}.dat")


def write_intan_signals(folder: Path) -> None:
    """One file for all channels of the amplifier, next to `info.rhd` and the sample numbers."""
    (folder / "info.rhd").write_bytes(_intan_header())
    np.arange(SAMPLES, dtype="int32").tofile(folder / "time.dat")
    traces("intan").tofile(folder / "amplifier.dat")


def write_blackrock(folder: Path) -> None:
    """An `.ns5` of NSx version 2.3: basic header, a header for each channel, one packet."""
    per_channel = 66
    size = 314 + CHANNELS * per_channel
    head = struct.pack(
        "<8sBBI16s256sII8HI",
        b"NEURALCD",
        2,
        3,
        size,
        b"30 kS/s",
        b"",
        1,
        30_000,
        2026,
        1,
        4,
        15,
        10,
        30,
        0,
        0,
        CHANNELS,
    )
    for channel in range(CHANNELS):
        head += struct.pack(
            "<2sH16sBBhhhh16sIIHIIH", b"CC", channel + 1, f"elec{channel + 1}".encode(), 1, channel + 1,
            -32764, 32764, -8191, 8191, b"uV", 300, 0, 0, 7500, 0, 0,
        )  # fmt: skip
    own = traces("blackrock")
    (folder / "rat.ns5").write_bytes(head + struct.pack("<BII", 1, 0, SAMPLES) + own.tobytes())


def write_neuralynx(folder: Path) -> None:
    """An `.ncs` for each channel: a header as text, records of 512 samples with a time in us. The rate is 32 kHz."""
    rate = 32_000
    for channel, own in enumerate(traces("neuralynx").T):
        header = (
            "######## Neuralynx Data File Header\r\n"
            f'-OriginalFileName "C:\\CheetahData\\CSC{channel + 1}.ncs"\r\n-TimeCreated 2026/01/15 10:30:00\r\n'
            "-TimeClosed 2026/01/15 10:31:00\r\n-FileType NCS\r\n-FileVersion 3.4\r\n-RecordSize 1044\r\n"
            '-ApplicationName Cheetah "6.3.2"\r\n'
            f"-AcqEntName CSC{channel + 1}\r\n-ADChannel {channel}\r\n-SamplingFrequency {rate}\r\n"
            "-ADMaxValue 32767\r\n-ADBitVolts 0.000000030517578125\r\n-NumADChannels 1\r\n-InputRange 1000\r\n"
            "-InputInverted False\r\n-AcquisitionSystem AcqSystem1 DigitalLynxSX\r\n"
        )
        content = header.encode().ljust(16384, b"\0")
        for start in range(0, SAMPLES, 512):
            content += struct.pack("<QIII", 1_000_000 + start * 1_000_000 // rate, channel, rate, 512)
            content += own[start : start + 512].tobytes()
        (folder / f"CSC{channel + 1}.ncs").write_bytes(content)


def write_mcs_raw(folder: Path) -> None:
    """MC_DataTool's `.raw`: a header as text, unsigned samples."""
    names = ";".join(f"El_{channel + 1:02d}" for channel in range(CHANNELS))
    head = (
        "MC_DataTool binary conversion\r\nVersion 2.6.15\r\nMC_REC file = rat.mcd\r\n"
        f"Sample rate = {RATE:g}\r\nADC zero = 32768\r\nEl = 0.1\xb5V/AD\r\nStreams = {names}\r\nEOH\r\n"
    )
    unsigned = (traces("mcs").astype("int32") + 32768).astype("uint16")
    (folder / "rat.raw").write_bytes(head.encode("cp1252") + unsigned.tobytes())


def write_mcs_h5(folder: Path) -> None:
    """Multi Channel DataManager's `.h5`."""
    import h5py

    with h5py.File(folder / "rat.h5", "w") as file:
        stream = file.create_group("Data/Recording_0/AnalogStream/Stream_0")
        stream["ChannelData"] = traces("mcs").T.astype("int32")
        tick_us = 50
        stream["ChannelDataTimeStamps"] = np.array([[0, 0, SAMPLES - 1]], "int64")
        kinds: list[Any] = [("ChannelID", "i4"), ("Label", "S8"), ("Unit", "S2"), ("Exponent", "i4")]
        kinds += [("ADZero", "i4"), ("Tick", "i8"), ("ConversionFactor", "i8")]
        info = [(channel, f"{channel + 1}", "V", -12, 0, tick_us, 59605) for channel in range(CHANNELS)]
        stream["InfoChannel"] = np.array(info, dtype=kinds)


def write_maxwell(folder: Path) -> None:
    """MaxLab Live's `.raw.h5`, uncompressed, of one well; its electrodes have positions."""
    import h5py

    with h5py.File(folder / "rat.raw.h5", "w") as file:
        file["version"] = np.array([b"20190530"])
        record = file.create_group("wells/well000/rec0000")
        settings = record.create_group("settings")
        settings["sampling"], settings["lsb"] = np.array([20_000.0]), np.array([6.3e-6])
        kinds: list[Any] = [("channel", "i4"), ("electrode", "i4"), ("x", "f8"), ("y", "f8")]
        places = [(channel, 100 + channel, 0.0, 17.5 * channel) for channel in range(CHANNELS)]
        settings["mapping"] = np.array(places, dtype=kinds)
        unsigned = (traces("maxwell").astype("int32") + 512).clip(0, 1023).astype("uint16")
        record["groups/routed/raw"] = unsigned.T


def write_axona(folder: Path) -> None:
    """A `.set` with one tetrode, and a `.bin` of packets with three samples of 64 channels each, at 48 kHz."""
    from neo.rawio.axonarawio import AxonaRawIO

    lines = {"trial_date": "Thursday, 15 Jan 2026", "trial_time": "10:30:00", "rawRate": 48000, "duration": 1}
    lines |= {"ADC_fullscale_mv": 1500, "sw_version": "1.2.2.16", "pretrigSamps": 10, "spikeLockout": 40}
    lines |= {f"gain_ch_{channel}": 8000 for channel in range(64)}
    lines |= {f"collectMask_{tetrode}": int(tetrode == 1) for tetrode in range(1, 17)}
    (folder / "rat.set").write_text("".join(f"{key} {value}\r\n" for key, value in lines.items()) + "data_start")
    packets = np.zeros((SAMPLES // 3, 216), "int16")
    for channel, own in enumerate(traces("axona").T):
        for sample in range(3):
            packets[:, 16 + 64 * sample + AxonaRawIO.channel_memory_offset[channel]] = own[sample::3]
    packets.tofile(folder / "rat.bin")


def write_plexon(folder: Path) -> None:
    """A `.plx` of version 106 with wide-band channels, in blocks of 512 samples."""
    from neo.rawio.plexonrawio import DataBlockHeader, GlobalHeader, SlowChannelHeader

    head = np.zeros(1, GlobalHeader)
    head["MagicNumber"], head["Version"], head["ADFrequency"] = 0x58454C50, 106, round(RATE)
    head["NumSlowChannels"], head["Year"], head["Month"], head["Day"] = CHANNELS, 2026, 1, 15
    head["BitsPerSpikeSample"], head["BitsPerSlowSample"], head["SlowMaxMagnitudeMV"] = 16, 16, 5000
    slow = np.zeros(CHANNELS, SlowChannelHeader)
    slow["Name"] = [f"WB{channel + 1:03d}" for channel in range(CHANNELS)]
    slow["Channel"], slow["ADFreq"], slow["Gain"] = np.arange(CHANNELS), round(RATE), 1
    slow["Enabled"], slow["PreampGain"], slow["SrcId"] = 1, 1000, 1
    content = head.tobytes() + slow.tobytes()
    own = traces("plexon")
    for start in range(0, SAMPLES, 512):
        for channel in range(CHANNELS):
            block = np.zeros(1, DataBlockHeader)
            block["Type"], block["Channel"], block["TimeStamp"] = 5, channel, start
            block["NumberOfWaveforms"], block["NumberOfWordsInWaveform"] = 1, 512
            content += block.tobytes() + own[start : start + 512, channel].tobytes()
    (folder / "rat.plx").write_bytes(content)


def write_binary(folder: Path) -> None:
    traces("binary").tofile(folder / "rat.bin")
