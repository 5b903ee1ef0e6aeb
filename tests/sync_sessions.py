"""Sessions whose streams have different clocks: two probes and an NI board, as SpikeGLX and as Open Ephys write them.

Everything happens at true times, and each stream counts them by its own clock. The truth is in seconds of the
reference stream, the NI board, as its header counts them.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np

from capsules.demo.spikeglx import (
    NI_RANGE_V,
    Meta,
    make_common_meta,
    make_imec_meta,
    make_nidq_meta,
    make_sync_meta,
    write_bin,
)

AP_GAIN_UV = 2.34375
LF_DECIMATION = 12
LATE_S = 5.0
"""How much later the second probe's recording starts."""
GAP_S = 1.2
RUN_START_S = 2.5
"""When the recordings start, after the start of the instruments' clocks."""
LINES = {"sync": 0, "camera": 1, "reward": 2}
"""Lines of the NI board; line 3 never changes."""


@dataclass(frozen=True)
class Clocked:
    """A stream's true rate and header rate, when its sample 0 was taken (true s), and when its recording starts."""

    name: str
    rate_hz: float
    header_hz: float
    offset_s: float = 0.0
    start_s: float = RUN_START_S
    lost_at_s: float | None = None

    def number(self, true_s: np.ndarray | float) -> np.ndarray:
        """The number of the first sample at or after true times."""
        return np.ceil((np.asarray(true_s) - self.offset_s) * self.rate_hz - 1e-9).astype(np.int64)

    def slower(self) -> Clocked:
        """The LF band of a probe."""
        return replace(self, rate_hz=self.rate_hz / LF_DECIMATION, header_hz=self.header_hz / LF_DECIMATION)


@dataclass(frozen=True)
class SessionSpec:
    """What a session is like. `gap`: none, samples that the second probe lost, or two files of every stream.

    `missing` is the fraction of pulses that each stream misses, `doubled` the fraction whose edges bounce. `nominal`
    headers have 30000 and 25000 Hz, the others the true rates.
    """

    duration_s: float = 60.0
    channels: int = 16
    period_s: float = 1.0
    coded: bool = False
    missing: float = 0.03
    doubled: float = 0.05
    late: bool = True
    gap: Literal["none", "lost", "files"] = "none"
    nominal: bool = True
    lf: bool = True
    pulses: bool = True
    spikes: bool = True
    units: int = 4
    seed: int = 24

    def streams(self) -> list[Clocked]:
        """Two probes and the NI board."""
        rates = {"imec0": (30000.173, 30000.0), "imec1": (29999.871, 30000.0), "nidq": (25000.03, 25000.0)}
        half_s = RUN_START_S + self.duration_s / 2
        return [
            Clocked(
                name,
                true_hz,
                nominal_hz if self.nominal else true_hz,
                offset_s={"imec0": 0.0031, "imec1": -0.0017, "nidq": 0.0}[name],
                start_s=RUN_START_S + (LATE_S if self.late and name == "imec1" else 0.0),
                lost_at_s=half_s if self.gap == "lost" and name == "imec1" else None,
            )
            for name, (true_hz, nominal_hz) in rates.items()
        ]


@dataclass
class Truth:
    """What happened, in seconds of the reference stream.

    `events` has the pulses of each line (pulses, 2): start and stop; `spikes` the spike times of each probe's units;
    `pulses` the rising edges of the synchronisation signal that were sent. Only what the stream recorded is listed,
    except for `pulses`.
    """

    events: dict[str, np.ndarray] = field(default_factory=dict)
    spikes: dict[str, dict[int, np.ndarray]] = field(default_factory=dict)
    pulses: np.ndarray = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True)
class Stretch:
    """Consecutive samples of a file: the number of the first one, its index in the file, how many there are."""

    number: int
    index: int
    count: int


def make_files(spec: SessionSpec, stream: Clocked, unit: int = 1) -> list[list[Stretch]]:
    """The stretches of each file of a stream; all counts are multiples of `unit`."""
    end_s = RUN_START_S + spec.duration_s
    cuts = [(stream.start_s, end_s)]
    if spec.gap == "files":
        half_s = RUN_START_S + spec.duration_s / 2
        cuts = [(stream.start_s, half_s), (half_s + GAP_S, end_s)]
    files = []
    for start_s, stop_s in cuts:
        first, last = (int(stream.number(at_s)) // unit * unit for at_s in (start_s, stop_s))
        if stream.lost_at_s is None:
            files.append([Stretch(first, 0, last - first)])
            continue
        lost = int(stream.number(stream.lost_at_s)) // unit * unit
        after = int(stream.number(stream.lost_at_s + GAP_S)) // unit * unit
        files.append([Stretch(first, 0, lost - first), Stretch(after, lost - first, last - after)])
    return files


def file_index(stretches: list[Stretch], numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indices of numbered samples in a file, and whether they were recorded; others have the next index."""
    index = np.full(len(numbers), stretches[-1].index + stretches[-1].count, dtype=np.int64)
    inside = np.zeros(len(numbers), dtype=bool)
    for stretch in reversed(stretches):
        before = numbers < stretch.number + stretch.count
        index[before] = stretch.index + (numbers[before] - stretch.number).clip(min=0)
        inside |= (numbers >= stretch.number) & before
    return index, inside


def level_trace(stretches: list[Stretch], stream: Clocked, pulses: np.ndarray) -> np.ndarray:
    """The level (samples,) of a line that is high during pulses (pulses, 2), true times."""
    count = sum(stretch.count for stretch in stretches)
    steps = np.zeros(count + 1, dtype=np.int32)
    for column, step in ((0, 1), (1, -1)):
        index, _ = file_index(stretches, stream.number(pulses[:, column]))
        np.add.at(steps, index, step)
    return (np.cumsum(steps[:-1]) > 0).astype(np.int16)


def draw_pulses(spec: SessionSpec, rng: np.random.Generator) -> np.ndarray:
    """The pulses of the synchronisation signal (pulses, 2), true times, from before the first recording on."""
    end_s = RUN_START_S + spec.duration_s + 2
    if not spec.pulses:
        return np.empty((0, 2))
    if not spec.coded:
        starts = np.arange(0.35, end_s, spec.period_s)
        return np.column_stack([starts, starts + spec.period_s / 2])
    starts = 0.35 + np.cumsum(rng.uniform(0.4, 1.6, round(end_s)))
    starts = starts[starts < end_s]
    return np.column_stack([starts, starts + 0.05])


def spoil_pulses(spec: SessionSpec, pulses: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The pulses as one stream receives them: some are missing, and some rising edges bounce for half a millisecond."""
    kept = pulses[rng.random(len(pulses)) >= spec.missing]
    bounces = rng.random(len(kept)) < spec.doubled
    short = np.column_stack([kept[bounces, 0], kept[bounces, 0] + 0.0003])
    late = kept.copy()
    late[bounces, 0] += 0.0006
    return np.sort(np.concatenate([late, short]), axis=0)


def draw_events(spec: SessionSpec, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """The pulses (pulses, 2) of the event lines: a camera of 30 frames/s, rewards of 100 ms, a photodiode."""
    end_s = RUN_START_S + spec.duration_s
    frames = np.arange(RUN_START_S + 1.01, end_s - 0.5, 1 / 30)
    rewards = RUN_START_S + 2 + np.cumsum(rng.uniform(2.0, 4.0, round(spec.duration_s)))
    rewards = rewards[rewards < end_s - 1]
    flashes = np.arange(RUN_START_S + 0.77, end_s - 1, 2.3)
    lengths = {"camera": (frames, 0.005), "reward": (rewards, 0.1), "photodiode": (flashes, 0.5)}
    return {name: np.column_stack([starts, starts + length_s]) for name, (starts, length_s) in lengths.items()}


def draw_spikes(spec: SessionSpec, rewards: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """The true spike times of the units of a probe; the first one also responds to each reward with three spikes."""
    end_s = RUN_START_S + spec.duration_s
    trains = []
    for unit in range(spec.units):
        intervals = 0.005 + rng.exponential(0.12 + 0.02 * unit, round(spec.duration_s * 12))
        train = RUN_START_S + np.cumsum(intervals)
        if unit == 0:
            train = np.concatenate([train, *(rewards + delay_s for delay_s in (0.015, 0.025, 0.035))])
        train = np.sort(train[train < end_s - 0.01])
        trains.append(train[np.append(True, np.diff(train) > 0.003)])
    return trains


def make_traces(
    spec: SessionSpec, stretches: list[Stretch], stream: Clocked, trains: list[np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Noise of 8 uV with the spikes of the units: int16 counts (samples, channels), and which spikes are in them."""
    count = sum(stretch.count for stretch in stretches)
    traces = (rng.standard_normal((count, spec.channels), dtype=np.float32) * (8 / AP_GAIN_UV)).astype(np.int16)
    shape = np.arange(-20, 40)
    inside = []
    for unit, train in enumerate(trains):
        numbers = np.rint((train - stream.offset_s) * stream.rate_hz).astype(np.int64)
        index, kept = file_index(stretches, numbers)
        kept &= (index >= 20) & (index < count - 40)
        inside.append(kept)
        waveform = -np.exp(-((shape / (4 + unit)) ** 2)) + 0.4 * np.exp(-(((shape - 12) / (7 + unit)) ** 2))
        center = (unit + 0.5) * spec.channels / spec.units
        decay = np.exp(-np.abs(np.arange(spec.channels) - center) / 1.5)
        template = np.rint((150 + 40 * unit) / AP_GAIN_UV * waveform[:, None] * decay).astype(np.int16)
        for row, offset in zip(template, shape, strict=True):
            # The spikes of a unit are farther apart than its waveform lasts, so that no index repeats.
            traces[index[kept] + offset] += row
    return traces, inside


def write_spikeglx_session(folder: Path, spec: SessionSpec = SessionSpec(), run: str = "run") -> Truth:
    """Write a SpikeGLX session with AP, on request LF, and SYNC of two probes, and NIDQ; return what happened."""
    rng = np.random.default_rng(spec.seed)
    pulses, events = draw_pulses(spec, rng), draw_events(spec, rng)
    streams = spec.streams()
    nidq = streams[-1]
    truth = Truth(pulses=reference_s(nidq, pulses[:, 0]))
    home = folder / f"{run}_g0"
    home.mkdir(parents=True)
    for slot, probe in enumerate(streams[:2]):
        received = spoil_pulses(spec, pulses, rng)
        trains = draw_spikes(spec, events["reward"][:, 0], rng) if spec.spikes else []
        kept = [np.zeros(len(train), dtype=bool) for train in trains]
        place = home / f"{run}_g0_{probe.name}"
        place.mkdir()
        for trigger, stretches in enumerate(make_files(spec, probe, LF_DECIMATION)):
            stem = place / f"{run}_g0_t{trigger}.{probe.name}"
            traces, inside = make_traces(spec, stretches, probe, trains, rng)
            kept = [own | new for own, new in zip(kept, inside, strict=True)]
            sync = level_trace(stretches, probe, received) * 64
            write_bin(f"{stem}.ap", [traces, sync[:, None]], _imec_meta(spec, probe, slot, "ap", stretches))
            if spec.lf:
                _write_lf(stem, spec, probe, slot, stretches, received)
        truth.spikes[probe.name] = {
            unit: reference_s(nidq, train[own]) for unit, (train, own) in enumerate(zip(trains, kept, strict=True))
        }
    _write_nidq(home, run, spec, nidq, {"sync": spoil_pulses(spec, pulses, rng), **events}, truth, rng)
    return truth


def reference_s(reference: Clocked, true_s: np.ndarray) -> np.ndarray:
    """True times as the reference stream's header counts them."""
    return (true_s - reference.offset_s) * reference.rate_hz / reference.header_hz


def _write_lf(
    stem: Path, spec: SessionSpec, probe: Clocked, slot: int, stretches: list[Stretch], received: np.ndarray
) -> None:
    slow = [Stretch(*(value // LF_DECIMATION for value in (own.number, own.index, own.count))) for own in stretches]
    count = sum(stretch.count for stretch in slow)
    wave = np.rint(40 * np.sin(2 * np.pi * 10 * np.arange(count) / 2500)).astype(np.int16)
    sync = level_trace(slow, probe.slower(), received) * 64
    traces = np.repeat(wave[:, None], spec.channels, axis=1)
    write_bin(f"{stem}.lf", [traces, sync[:, None]], _imec_meta(spec, probe.slower(), slot, "lf", slow))


def _write_nidq(
    home: Path,
    run: str,
    spec: SessionSpec,
    nidq: Clocked,
    lines: dict[str, np.ndarray],
    truth: Truth,
    rng: np.random.Generator,
) -> None:
    truth.events = {name: np.empty((0, 2)) for name in lines}
    for trigger, stretches in enumerate(make_files(spec, nidq)):
        levels = {name: level_trace(stretches, nidq, pulses) for name, pulses in lines.items()}
        word = sum(levels[name] << bit for name, bit in LINES.items())
        noise = rng.normal(0, 0.01, len(word))
        photodiode = np.rint((3 * levels["photodiode"] + noise) / NI_RANGE_V * 32768).astype(np.int16)
        wheel = np.rint(16000 * np.sin(2 * np.pi * 0.5 * np.arange(len(word)) / nidq.rate_hz)).astype(np.int16)
        columns = [photodiode[:, None], wheel[:, None], np.asarray(word, dtype=np.int16)[:, None]]
        meta = make_nidq_meta(2, 1, "0:3", nidq.header_hz) | _common_meta(spec, nidq, stretches)
        write_bin(home / f"{run}_g0_t{trigger}.nidq", columns, meta)
        for name, pulses in lines.items():
            inside = [file_index(stretches, nidq.number(pulses[:, column]))[1] for column in (0, 1)]
            own = reference_s(nidq, pulses[inside[0] & inside[1]])
            truth.events[name] = np.concatenate([truth.events[name], own])


def _common_meta(spec: SessionSpec, stream: Clocked, stretches: list[Stretch]) -> Meta:
    count = sum(stretch.count for stretch in stretches)
    sync = make_sync_meta(LINES["sync"], spec.period_s, source=1 if spec.coded else 2)
    return make_common_meta(count, stream.header_hz, stretches[0].number) | sync


def _imec_meta(spec: SessionSpec, probe: Clocked, slot: int, band: str, stretches: list[Stretch]) -> Meta:
    return make_imec_meta(band, slot, spec.channels, probe.header_hz) | _common_meta(spec, probe, stretches)


def write_openephys_session(folder: Path, spec: SessionSpec = SessionSpec()) -> Truth:
    """Write the same in Open Ephys' binary format (0.6): AP and TTL events of two probes, and an NI board.

    `gap` "lost" appears in the second probe's `sample_numbers`; "files" are two recordings.
    """
    from tests.formats import UV_PER_COUNT, Probe, _settings

    rng = np.random.default_rng(spec.seed)
    pulses, events = draw_pulses(spec, rng), draw_events(spec, rng)
    streams = [
        replace(stream, name=name) for stream, name in zip(spec.streams(), ("ProbeA", "ProbeB", "NI"), strict=True)
    ]
    truth = Truth(pulses=reference_s(streams[-1], pulses[:, 0]))
    node = folder / "Record Node 101"
    node.mkdir(parents=True)
    electrodes = tuple(range(spec.channels))
    (node / "settings.xml").write_text(_settings([Probe(stream.name, electrodes) for stream in streams[:2]]))
    structures: list[dict[str, list]] = [
        {"GUI version": "0.6.4", "continuous": [], "events": [], "spikes": []}  # type: ignore[dict-item]
        for _ in make_files(spec, streams[0])
    ]
    for stream in streams:
        is_probe = stream.name != "NI"
        lines = {"sync": spoil_pulses(spec, pulses, rng)} | ({} if is_probe else events)
        trains = draw_spikes(spec, events["reward"][:, 0], rng) if spec.spikes and is_probe else []
        kept = [np.zeros(len(train), dtype=bool) for train in trains]
        recorded = {name: np.empty((0, 2)) for name in lines}
        for index, stretches in enumerate(make_files(spec, stream)):
            recording = node / "experiment1" / f"recording{index + 1}"
            if is_probe:
                traces, inside = make_traces(spec, stretches, stream, trains, rng)
                traces = np.rint(traces * np.float32(AP_GAIN_UV / UV_PER_COUNT)).astype(np.int16)
                kept = [own | new for own, new in zip(kept, inside, strict=True)]
            else:
                traces = np.zeros((sum(own.count for own in stretches), 2), dtype=np.int16)
            name = f"Neuropix-PXI-100.{stream.name}-AP" if is_probe else "NI-DAQmx-102.PXI-6133"
            _write_openephys_stream(recording, name, stream, traces, stretches, lines, structures[index])
            for line, own in lines.items():
                numbers = [file_index(stretches, stream.number(own[:, column]))[1] for column in (0, 1)]
                recorded[line] = np.concatenate(
                    [recorded[line], reference_s(streams[-1], own[numbers[0] & numbers[1]])]
                )
        if is_probe:
            truth.spikes[stream.name] = {
                unit: reference_s(streams[-1], train[own])
                for unit, (train, own) in enumerate(zip(trains, kept, strict=True))
            }
        else:
            truth.events = recorded
    for index, structure in enumerate(structures):
        file = node / "experiment1" / f"recording{index + 1}" / "structure.oebin"
        file.write_text(json.dumps(structure))
    return truth


def _write_openephys_stream(
    recording: Path,
    name: str,
    stream: Clocked,
    traces: np.ndarray,
    stretches: list[Stretch],
    lines: dict[str, np.ndarray],
    structure: dict[str, list],
) -> None:
    from tests.formats import UV_PER_COUNT

    processor, _, stream_name = name.partition(".")
    folder = recording / "continuous" / name
    folder.mkdir(parents=True)
    traces.tofile(folder / "continuous.dat")
    numbers = np.concatenate([np.arange(own.number, own.number + own.count) for own in stretches])
    np.save(folder / "sample_numbers.npy", numbers)
    np.save(folder / "timestamps.npy", numbers / stream.header_hz)
    entry = {
        "folder_name": f"{name}/",
        "sample_rate": stream.header_hz,
        "source_processor_name": processor.rsplit("-", 1)[0],
        "source_processor_id": int(processor.rsplit("-", 1)[1]),
        "stream_name": stream_name,
    }
    prefix = "AP" if stream.name.startswith("Probe") else "AI"
    structure["continuous"].append(
        entry
        | {
            "recorded_processor": "Record Node",
            "recorded_processor_id": 101,
            "num_channels": traces.shape[1],
            "channels": [
                {"channel_name": f"{prefix}{index + 1}", "description": "", "bit_volts": UV_PER_COUNT, "units": "uV"}
                for index in range(traces.shape[1])
            ],
        }
    )
    states, places = [], []
    for number, pulses in enumerate(lines.values(), start=1):
        for column, sign in ((0, 1), (1, -1)):
            own = stream.number(pulses[:, column])
            own = own[file_index(stretches, own)[1]]
            places.append(own)
            states.append(np.full(len(own), sign * number))
    at, state = np.concatenate(places), np.concatenate(states)
    order = np.argsort(at, kind="stable")
    ttl = recording / "events" / name / "TTL"
    ttl.mkdir(parents=True)
    np.save(ttl / "states.npy", state[order].astype(np.int16))
    np.save(ttl / "sample_numbers.npy", at[order])
    np.save(ttl / "timestamps.npy", at[order] / stream.header_hz)
    np.save(ttl / "full_words.npy", np.zeros(len(at), dtype=np.uint64))
    structure["events"].append(
        entry | {"folder_name": f"{name}/TTL/", "channel_name": "TTL events", "type": "int16", "num_channels": 1}
    )
