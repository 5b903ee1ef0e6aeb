"""The header of a SpikeGLX file: its channels, by what is saved of what was acquired, and its clock."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.clock import Clock, count_clock
from capsules.common.untrusted.small_files import read_small

SYNC_BIT = 6
"""The bit of the SYNC signal in the digital word of SpikeGLX' imec and OneBox streams."""
WORD_BITS = 16
MOST_CHANNELS = 20_000
"""No SpikeGLX file has as many: a header that lists more is broken, and would take too much memory."""
FROM_SIGNAL_SOURCE = 2
"""`syncSourceIdx` of a square wave that the hardware makes; a lower number means an external signal, or none."""

Device = Literal["imec", "nidq", "obx"]
RATE_KEYS: dict[Device, str] = {"imec": "imSampRate", "nidq": "niSampRate", "obx": "obSampRate"}
SAVED_KEYS: dict[Device, str] = {"imec": "snsApLfSy", "nidq": "snsMnMaXaDw", "obx": "snsXaDwSy"}
ACQUIRED_KEYS: dict[Device, str] = {"imec": "acqApLfSy", "nidq": "acqMnMaXaDw", "obx": "acqXaDwSy"}
KINDS: dict[Device, tuple[str, ...]] = {
    "imec": ("AP", "LF", "SY"),
    "nidq": ("MN", "MA", "XA", "XD"),
    "obx": ("XA", "XD", "SY"),
}


def read_meta(file: Path) -> dict[str, str]:
    """The lines `key=value` of a `.meta` file."""
    pairs = (line.split("=", 1) for line in read_small(file).splitlines() if "=" in line)
    return {key.strip(): value.strip() for key, value in pairs}


def creation_time(meta: dict[str, str]) -> str | None:
    """When the instrument created a file, in ISO form; in its own file, CatGT replaces that time by its own."""
    return meta.get("fileCreateTime_original", meta.get("fileCreateTime"))


def first_sample_s(meta: dict[str, str]) -> float:
    """When a probe's file begins, in seconds since the start of the acquisition.

    Raises
    ------
    KeyError, ValueError, ZeroDivisionError
        When the header lacks the first sample or the rate, or they are no such numbers.
    """
    return int(meta["firstSample"]) / float(meta["imSampRate"])


@dataclass(frozen=True)
class Header:
    """The header of a file: `columns` are the channels in the file (`XA0`, `XD0` is a word of 16 lines), in order.

    `bits` has the place (column, bit) of each digital line, `gains_v` the volts per count of each analog channel.
    """

    file: Path
    device: Device
    columns: tuple[str, ...]
    bits: dict[str, tuple[int, int]]
    gains_v: dict[str, float]
    rate_hz: float
    first_sample: int
    num_samples: int
    sync_line: str | None
    sync_period_s: float | None
    sync_threshold_v: float | None

    @property
    def clock(self) -> Clock:
        """Samples are counted from the start of the instrument's run."""
        return count_clock(self.num_samples, self.rate_hz, self.first_sample / self.rate_hz)


def read_header(file: Path) -> Header:
    """Read the header of a `.bin` file, and compare it with the file's size.

    Raises
    ------
    SpikeRelayError
        With the reason, when it is missing, damaged, or does not describe the file.
    """
    meta_file = file.with_suffix(".meta")
    if not meta_file.exists():
        raise SpikeRelayError(f"{file.name} has no .meta file in the same folder")
    meta = read_meta(meta_file)
    try:
        return _header_of(file, meta)
    except KeyError as error:
        raise SpikeRelayError(f"{meta_file.name} lacks {error.args[0]}") from None
    except (ValueError, ZeroDivisionError, OverflowError) as error:
        raise SpikeRelayError(f"{meta_file.name} cannot be read: {error}") from None


def _header_of(file: Path, meta: dict[str, str]) -> Header:
    device = _device(meta["typeThis"])
    columns = _columns(meta, device)
    bits = _bits(meta, device, columns)
    frame = 2 * len(columns)
    size = file.stat().st_size
    if (listed := meta.get("nSavedChans")) and int(listed) != len(columns):
        raise ValueError(f"nSavedChans={listed}, but {SAVED_KEYS[device]} lists {len(columns)} channels")
    if "fileSizeBytes" in meta and int(meta["fileSizeBytes"]) != size:
        raise SpikeRelayError(
            f"{file.name} has {size} bytes, its .meta lists {meta['fileSizeBytes']}: the copy or the recording is "
            "incomplete"
        )
    if size == 0 or size % frame:
        raise SpikeRelayError(
            f"{file.name} has {size} bytes, which is not a multiple of the {frame} bytes of a sample: copy it again"
        )
    rate_hz = float(meta[RATE_KEYS[device]])
    if not 0 < rate_hz < 1e7:
        raise ValueError(f"{RATE_KEYS[device]}={rate_hz:g} is not a sampling rate")
    line, threshold_v = _sync_line(meta, device, columns, bits)
    is_made = int(meta.get("syncSourceIdx", 0)) >= FROM_SIGNAL_SOURCE
    return Header(
        file=file,
        device=device,
        columns=columns,
        bits=bits,
        gains_v=_gains(meta, device, columns),
        rate_hz=rate_hz,
        first_sample=int(meta.get("firstSample", 0)),
        num_samples=size // frame,
        sync_line=line,
        sync_period_s=float(meta["syncSourcePeriod"]) if is_made and "syncSourcePeriod" in meta else None,
        sync_threshold_v=threshold_v,
    )


def _device(name: str) -> Device:
    for device in KINDS:
        if name == device:
            return device
    raise ValueError(f"typeThis={name} is not imec, nidq or obx")


def _columns(meta: dict[str, str], device: Device) -> tuple[str, ...]:
    """The channels of the file: those acquired, by kind and number, of which `snsSaveChanSubset` are saved."""
    saved_counts = [int(count) for count in meta[SAVED_KEYS[device]].split(",")]
    counts = [int(count) for count in meta.get(ACQUIRED_KEYS[device], meta[SAVED_KEYS[device]]).split(",")]
    if len(counts) != len(KINDS[device]) or not 0 < sum(counts) <= MOST_CHANNELS or min(counts) < 0:
        raise ValueError(f"{ACQUIRED_KEYS[device]} or {SAVED_KEYS[device]} is not a list of channel counts")
    names = [f"{kind}{index}" for kind, count in zip(KINDS[device], counts, strict=True) for index in range(count)]
    subset = meta.get("snsSaveChanSubset", "all")
    if subset in ("", "all"):
        if counts != saved_counts:
            raise ValueError(f"{SAVED_KEYS[device]} differs from {ACQUIRED_KEYS[device]}, but all channels are saved")
        return tuple(names)
    saved = _numbers(subset)
    if not saved or max(saved) >= len(names):
        raise ValueError(f"snsSaveChanSubset={subset} is not a part of the {len(names)} channels acquired")
    columns = tuple(names[number] for number in saved)
    for kind, count in zip(KINDS[device], saved_counts, strict=True):
        if sum(name.startswith(kind) for name in columns) != count:
            raise ValueError(f"snsSaveChanSubset={subset} does not have the channels that {SAVED_KEYS[device]} counts")
    return columns


def _numbers(text: str) -> list[int]:
    """The numbers of a list such as `0:3,8`."""
    numbers: list[int] = []
    for part in (part for part in text.split(",") if part):
        first, _, last = part.partition(":")
        if int(first) < 0 or int(last or first) - int(first) > MOST_CHANNELS:
            raise ValueError(f"{text} is not a list of channels")
        numbers += range(int(first), int(last or first) + 1)
    return numbers


def _bits(meta: dict[str, str], device: Device, columns: tuple[str, ...]) -> dict[str, tuple[int, int]]:
    """The column and the bit of each digital line.

    The whole bytes of the NI device are followed by those of the second one; words of 16 bits are saved of them. A
    line's name has its place in this row, which for the first device is its number.
    """
    place = {name: index for index, name in enumerate(columns)}
    lines: dict[str, tuple[int, int]] = {}
    if device == "nidq":
        words = sum(name.startswith("XD") for name in columns)
        numbers = [*_numbers(meta.get("niXDChans1", ""))]
        first_bytes = int(meta.get("niXDBytes1", 0))
        numbers += [8 * first_bytes + number for number in _numbers(meta.get("niXDChans2", ""))]
        # Without a list, every bit of the words may be a line.
        for number in numbers or range(WORD_BITS * words):
            word = f"XD{number // WORD_BITS}"
            if word in place:
                lines[f"XD{number}"] = (place[word], number % WORD_BITS)
        return lines
    for word, column in place.items():
        if word.startswith("XD"):
            first = WORD_BITS * int(word[2:])
            lines |= {f"XD{first + bit}": (column, bit) for bit in range(WORD_BITS)}
        if word.startswith("SY"):
            lines[f"SY{SYNC_BIT}"] = (column, SYNC_BIT)
    return lines


def _gains(meta: dict[str, str], device: Device, columns: tuple[str, ...]) -> dict[str, float]:
    """The volts per count of the analog channels; none for a probe, whose channels are traces."""
    if device == "imec":
        return {}
    if device == "obx":
        step_v = float(meta["obAiRangeMax"]) / int(meta.get("obMaxInt", 32768))
        return {name: step_v for name in columns if name.startswith("XA")}
    step_v = float(meta.get("niAiRangeMax", 5)) / int(meta.get("niMaxInt", 32768))
    gains = {"XA": 1.0, "MN": float(meta.get("niMNGain", 1)), "MA": float(meta.get("niMAGain", 1))}
    return {name: step_v / gains[kind] for name in columns if (kind := name[:2]) in gains}


def _sync_line(
    meta: dict[str, str], device: Device, columns: tuple[str, ...], bits: dict[str, tuple[int, int]]
) -> tuple[str | None, float | None]:
    """The line of the synchronisation signal, and the threshold of an analog one."""
    if device != "nidq":
        name = f"SY{SYNC_BIT}"
        return (name if name in bits else None), None
    if int(meta.get("syncSourceIdx", 0)) == 0 or "syncNiChan" not in meta:
        return None, None
    channel = int(meta["syncNiChan"])
    if int(meta.get("syncNiChanType", 0)) == 0:
        return (f"XD{channel}" if f"XD{channel}" in bits else None), None
    counts = [int(count) for count in meta.get(ACQUIRED_KEYS["nidq"], meta[SAVED_KEYS["nidq"]]).split(",")]
    names = [f"{kind}{index}" for kind, count in zip(KINDS["nidq"], counts, strict=True) for index in range(count)]
    name = names[channel] if 0 <= channel < len(names) else ""
    return (name, float(meta.get("syncNiThresh", 1.1))) if name in columns else (None, None)


def segment_name(file: Path) -> str:
    """The gate and trigger in a file's name: `run_g0_t1.nidq.bin` is `g0_t1`; a name without them is `g0_t0`."""
    match = re.search(r"_(g\d+)_(t(?:\d+|cat))\.", file.name)
    return f"{match[1]}_{match[2]}" if match else "g0_t0"
