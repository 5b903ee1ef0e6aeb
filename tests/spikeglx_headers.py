"""Small SpikeGLX files of any probe in probeinterface's catalogue: headers as SpikeGLX writes them, known traces."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tests.formats import RATE, counts

SAVED = 8


@dataclass(frozen=True)
class Part:
    """A probe: part number, type in the header of its imro table, table's form, channels, the converter's range.

    `lf` is whether it has a second band; `shanks` over how many the saved channels are spread.
    """

    number: str
    type: str
    form: str
    channels: int = 384
    max_int: int = 512
    gain: float = 500
    range_v: float = 0.6
    lf: bool = False
    shanks: int = 1

    @property
    def uv_per_count(self) -> float:
        return self.range_v / self.max_int / self.gain * 1e6


def make_two(
    number: str, type: str, shanks: int = 1, max_int: int = 2048, gain: float = 100, range_v: float = 0.62
) -> Part:
    """A Neuropixels 2.0."""
    form = "shanks" if shanks > 1 else "banks"
    return Part(number, type, form, max_int=max_int, gain=gain, range_v=range_v, shanks=shanks)


PARTS = {
    part.number: part
    for part in (
        Part("NP1000", "0", "gains", lf=True),
        Part("PRB_1_4_0480_1", "0", "gains", lf=True),
        Part("NP1010", "0", "gains", lf=True),
        Part("NP1015", "0", "gains", lf=True),
        Part("NP1022", "1020", "gains", lf=True),
        Part("NP1030", "1030", "gains", lf=True),
        Part("NP1032", "1030", "gains", lf=True),
        Part("NP1100", "1100", "gains", lf=True),
        Part("NP1110", "1110", "groups", lf=True),
        Part("NP1121", "1121", "gains", lf=True),
        Part("NP1300", "1300", "gains", lf=True),
        make_two("NP2000", "21", max_int=8192, gain=80, range_v=0.5),
        make_two("PRB2_1_2_0640_0", "21", max_int=8192, gain=80, range_v=0.5),
        make_two("NP2003", "2003"),
        make_two("NP2004", "2003"),
        make_two("NP2010", "24", 4, max_int=8192, gain=80, range_v=0.5),
        make_two("PRB2_4_2_0640_0", "24", 4, max_int=8192, gain=80, range_v=0.5),
        make_two("NP2013", "2013", 4),
        make_two("NP2014", "2013", 4),
        Part("NP2020", "2020", "shanks", channels=1536, max_int=2048, gain=100, range_v=0.62, shanks=4),
        Part("NP2021", "NP2021", "shanks", channels=1536, max_int=2048, gain=100, range_v=0.62, shanks=4),
    )
}


def imro_table(part: Part) -> str:
    """The table of a probe's selected electrodes, the first of each bank; shanks take turns."""
    channels = range(part.channels)
    if part.form == "gains":
        return f"({part.type},{part.channels})" + "".join(f"({channel} 0 0 500 250 1)" for channel in channels)
    if part.form == "groups":
        return f"({part.type},2,0,500,250,1)" + "".join(f"({group} 0 0)" for group in range(24))
    if part.form == "banks":
        return f"({part.type},{part.channels})" + "".join(f"({channel} 1 0 {channel})" for channel in channels)
    rows = [(channel % part.shanks, channel // part.shanks) for channel in channels]
    entries = "".join(f"({channel} {shank} 0 0 {row})" for channel, (shank, row) in enumerate(rows))
    return f"({part.type},{part.channels}){entries}"


def write_stream(
    folder: Path,
    part: Part,
    run: str = "run",
    gate: int = 0,
    trigger: int | str = 0,
    probe: int = 0,
    first_sample: int = 0,
    duration_s: float = 1.0,
    band: str = "ap",
    serial: int = 2000,
    **more: Any,
) -> Path:
    """Write one `.bin` and its `.meta`, and return the `.bin`; `more` are further lines of the header, None removes."""
    folder.mkdir(parents=True, exist_ok=True)
    rate = RATE if band == "ap" else RATE / 12
    samples, first = round(duration_s * rate), 0 if band == "ap" else part.channels
    file = folder / f"{run}_g{gate}_t{trigger}.imec{probe}.{band}.bin"
    traces = counts(f"imec{probe}.{band}", 0, samples, SAVED)
    np.hstack([traces, np.zeros((samples, 1), "int16")]).tofile(file)
    lf = part.channels if part.lf else 0
    sync = part.channels + lf
    name = band.upper()
    chan_map = "".join(f"({name}{index};{first + index}:{index})" for index in range(SAVED))
    meta = {
        "typeThis": "imec",
        "fileName": f"D:/data/{file.name}",
        "imSampRate": f"{rate:g}",
        "nSavedChans": SAVED + 1,
        "snsApLfSy": f"{SAVED},0,1" if band == "ap" else f"0,{SAVED},1",
        "snsSaveChanSubset": f"{first}:{first + SAVED - 1},{sync}",
        "fileSizeBytes": file.stat().st_size,
        "fileTimeSecs": f"{duration_s:.6f}",
        "fileCreateTime": "2026-01-15T10:30:00",
        "firstSample": round(first_sample * rate / RATE),
        "imAiRangeMax": part.range_v,
        "imAiRangeMin": -part.range_v,
        "imMaxInt": part.max_int,
        "imDatPrb_type": part.type.removeprefix("NP"),
        "imDatPrb_pn": part.number,
        "imDatPrb_sn": serial + probe,
        "imDatPrb_slot": 2,
        "imDatPrb_port": probe + 1,
        "imDatPrb_dock": 1,
        "acqApLfSy": f"{part.channels},{lf},1",
        "appVersion": "20240620",
        "~imroTbl": imro_table(part),
        "~snsChanMap": f"({part.channels},{lf},1){chan_map}(SY0;{sync}:{SAVED})",
    } | more
    lines = [f"{key}={value}\n" for key, value in meta.items() if value is not None]
    file.with_suffix(".meta").write_text("".join(lines))
    return file
