"""Files as SpikeGLX writes them: the headers of a Neuropixels 1.0 probe and of an NI board, with their data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NEUROPIXELS_CHANNELS = 384
SYNC_BIT = 6
"""The bit of the SYNC signal in the last channel of a probe's files."""
NI_RANGE_V = 5.0
Meta = dict[str, object]


def write_meta(stem: Path | str, meta: Meta) -> None:
    """Write the header of `<stem>.bin`."""
    Path(f"{stem}.meta").write_text("".join(f"{key}={value}\n" for key, value in meta.items()))


def write_bin(stem: Path | str, columns: list[np.ndarray[Any, Any]], meta: Meta) -> None:
    """Write the columns (samples, channels) and the header, with what it says about the file."""
    traces = np.hstack(columns)
    traces.tofile(f"{stem}.bin")
    write_meta(stem, meta | {"fileName": f"{stem}.bin", "fileSizeBytes": traces.nbytes})


def make_common_meta(samples: int, rate_hz: float, first_sample: int = 0) -> Meta:
    """What the headers of all streams have; `rate_hz` is the header's."""
    return {
        "fileTimeSecs": f"{samples / rate_hz:.6f}",
        "fileCreateTime": "2026-01-15T10:30:00",
        "firstSample": first_sample,
        "appVersion": "20230101",
        "gateMode": "Immediate",
        "trigMode": "Immediate",
    }


def make_sync_meta(line: int = 0, period_s: float = 1.0, source: int = 2) -> Meta:
    """The synchronisation signal: its line of the NI board, and its source (2: a square wave of the hardware)."""
    return {
        "syncSourceIdx": source,
        "syncSourcePeriod": f"{period_s:g}",
        "syncNiChan": line,
        "syncNiChanType": 0,
    }


def make_imec_meta(band: str, slot: int, channels: int, rate_hz: float) -> Meta:
    """A band (`ap` or `lf`) of a Neuropixels 1.0 probe of which the first `channels` are saved."""
    first = 0 if band == "ap" else NEUROPIXELS_CHANNELS
    imro = "".join(f"({channel} 0 0 500 250 1)" for channel in range(NEUROPIXELS_CHANNELS))
    prefix = band.upper()
    channel_map = "".join(f"({prefix}{index};{first + index}:{index})" for index in range(channels))
    return {
        "typeThis": "imec",
        "imSampRate": f"{rate_hz:.9g}",
        "nSavedChans": channels + 1,
        "snsApLfSy": f"{channels},0,1" if band == "ap" else f"0,{channels},1",
        "snsSaveChanSubset": f"{first}:{first + channels - 1},{2 * NEUROPIXELS_CHANNELS}",
        "imAiRangeMax": 0.6,
        "imAiRangeMin": -0.6,
        "imMaxInt": 512,
        "imDatPrb_type": 0,
        "imDatPrb_pn": "NP1000",
        "imDatPrb_sn": 18005116811 + slot,
        "imDatPrb_slot": 2,
        "imDatPrb_port": slot + 1,
        "imDatPrb_dock": 1,
        "acqApLfSy": f"{NEUROPIXELS_CHANNELS},{NEUROPIXELS_CHANNELS},1",
        "~imroTbl": f"(0,{NEUROPIXELS_CHANNELS}){imro}",
        "~snsChanMap": f"({NEUROPIXELS_CHANNELS},{NEUROPIXELS_CHANNELS},1){channel_map}"
        f"(SY0;{2 * NEUROPIXELS_CHANNELS}:{channels})",
    }


def make_nidq_meta(analog: int, words: int, lines: str, rate_hz: float, line_bytes: int = 1) -> Meta:
    """An NI board with analog channels and digital words of 16 lines; `lines` are those that are acquired (`0:3`)."""
    names = [*(f"XA{index}" for index in range(analog)), *(f"XD{index}" for index in range(words))]
    channel_map = "".join(f"({name};{index}:{index})" for index, name in enumerate(names))
    return {
        "typeThis": "nidq",
        "niSampRate": f"{rate_hz:.9g}",
        "nSavedChans": len(names),
        "snsMnMaXaDw": f"0,0,{analog},{words}",
        "acqMnMaXaDw": f"0,0,{analog},{words}",
        "snsSaveChanSubset": f"0:{len(names) - 1}",
        "niAiRangeMax": NI_RANGE_V,
        "niAiRangeMin": -NI_RANGE_V,
        "niMNGain": 1,
        "niMAGain": 1,
        "niXAChans1": f"0:{analog - 1}" if analog else "",
        "niXDChans1": lines,
        "niXDBytes1": line_bytes,
        "~snsChanMap": f"(0,0,1,{analog},{words}){channel_map}",
    }
