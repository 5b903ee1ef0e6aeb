"""The time of a stream: its clock, by the instrument's timestamps or its sample numbers, and where it has gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from capsules.common.recordings.clock import Clock, concatenated, counted, fit_clock, overlap
from capsules.common.recordings.reading import open_reader
from capsules.job_dispatch.loaders.streams import Stream, cause

MOST_SHOWN = 5
"""Gaps that a warning lists."""


@dataclass
class Timing:
    """The time of a job, as in `Job`; `durations_s` are those of its segments, `warnings` are for the user."""

    clock: Clock
    regular: bool
    durations_s: list[float]
    starts_s: list[float]
    in_turn: bool = False
    lfp_clock: Clock | None = None
    part: tuple[int, int] | None = None
    lfp_part: tuple[int, int] | None = None
    warnings: list[str] = field(default_factory=list)


def timing_of(stream: Stream, segments: list[int], session: Path, read: bool) -> Timing:
    """The time of some segments of a stream, concatenated.

    Parameters
    ----------
    stream : Stream
    segments : list of int
    session : Path
        The stream's readers are relative to it.
    read : bool
        Whether the instrument's timestamps and sample numbers are read.
    """
    warnings: list[str] = []
    clocks, regular = segment_clocks(stream.recording, segments, stream.sample_numbers, read, warnings)
    timing = Timing(
        clock=concatenated(clocks),
        regular=regular,
        durations_s=[clock.num_samples / clock.sampling_frequency_hz for clock in clocks],
        starts_s=[clock.starts_s[0] for clock in clocks],
        in_turn=overlap(clocks),
        warnings=warnings,
    )
    if timing.in_turn:
        clocks = in_turn(clocks)
        timing.clock = concatenated(clocks)
    if stream.lfp_reader is not None:
        try:
            lfp = open_reader(stream.lfp_reader, session)
            timing.lfp_clock = lfp_clock(lfp, segments, stream, clocks, timing.in_turn, read, warnings)
        # Readers raise whatever their parsing runs into; the NWB step, which needs the stream, fails then.
        except Exception as error:  # noqa: BLE001
            warnings.append(f"the LF stream cannot be read: {cause(error)}")
    return timing


def in_turn(clocks: list[Clock]) -> list[Clock]:
    """The clocks of segments that are counted one after the other from 0."""
    end_s, shifted = 0.0, []
    for clock in clocks:
        shifted.append(clock.shifted_to(end_s))
        end_s = shifted[-1].end_s
    return shifted


def lfp_clock(
    lfp: Any,
    segments: list[int],
    stream: Stream,
    clocks: list[Clock],
    shifted: bool,
    read: bool,
    warnings: list[str],
) -> Clock:
    """The clock of the LF stream; where it differs from that of the wide band (one for each segment), it warns."""
    problems: list[str] = []
    own, _ = segment_clocks(lfp, segments, stream.lfp_sample_numbers, read, problems)
    if shifted:
        own = [slow.shifted_to(clock.starts_s[0]) for slow, clock in zip(own, clocks, strict=True)]
    warnings += [f"LF stream: {problem}" for problem in problems]
    for index, slow, clock in zip(segments, own, clocks, strict=True):
        sample_s = 1 / slow.sampling_frequency_hz
        for edge, at_s, expected_s in (
            ("begins", slow.starts_s[0], clock.starts_s[0]),
            ("ends", slow.end_s, clock.end_s),
        ):
            if abs(at_s - expected_s) > 2 * sample_s:
                warnings.append(
                    f"LF stream: segment {index + 1} {edge} at {at_s:.6f} s, in the wide band at {expected_s:.6f} s"
                )
    return concatenated(own)


def segment_clocks(
    recording: Any, segments: list[int], sample_numbers: list[Path], read: bool, warnings: list[str]
) -> tuple[list[Clock], bool]:
    """The clock of each segment, and whether the samples of all are counted from its start."""
    found = []
    for index in segments:
        numbers = sample_numbers[index] if index < len(sample_numbers) else None
        found.append(segment_clock(recording, index, numbers, read, warnings))
    return [clock for clock, _ in found], all(regular for _, regular in found)


def segment_clock(
    recording: Any, index: int, numbers: Path | None, read: bool, warnings: list[str]
) -> tuple[Clock, bool]:
    """The clock of a segment: by its timestamps, else by its sample numbers, else counted from its start."""
    import numpy as np

    count, rate_hz = recording.get_num_samples(segment_index=index), float(recording.sampling_frequency)
    start_s = float(recording.get_start_time(segment_index=index))
    sources: dict[str, Callable[[int, int], Any]] = {}
    if read and recording.has_time_vector(segment_index=index):
        sources["timestamps"] = lambda first, end: recording.get_times(index, start_frame=first, end_frame=end)
    if read and numbers is not None and numbers.exists():
        counts = np.load(numbers, mmap_mode="r")
        if len(counts) == count:
            sources["sample numbers"] = lambda first, end: counts[first:end] / rate_hz
        else:
            warnings.append(f"sample numbers of segment {index + 1}: {len(counts)} for {count} samples; not used")
    fitted: dict[str, Clock] = {}
    for name, source in sources.items():
        place = f"{name} of segment {index + 1}"
        try:
            clock, tolerance_s = fit_clock(source, count, rate_hz)
        except ValueError as error:
            warnings.append(f"{place}: {error}; {instead(name, sources)}")
            continue
        if back := clock.steps_back():
            texts = [text for text in (listed("steps back", back), listed("gaps", clock.gaps())) if text]
            warnings.append(f"{place}: {'; '.join(texts)}; {instead(name, sources)}")
            continue
        fitted[name] = clock
        if tolerance_s > 1 / rate_hz:
            warnings.append(f"{place} jitter: times are within {1000 * tolerance_s:.2g} ms of them")
    if not fitted:
        return counted(count, rate_hz, start_s if np.isfinite(start_s) else 0.0), True
    name, clock = next(iter(fitted.items()))
    if gaps := clock.gaps():
        warnings.append(f"{name} of segment {index + 1}: {listed('gaps', gaps)}; times are right on both sides")
    if len(fitted) > 1:
        warnings += disagreements(fitted, index)
    return clock, False


def instead(name: str, sources: dict[str, Any]) -> str:
    """What is used instead of a source of time that is wrong."""
    later = list(sources)[list(sources).index(name) + 1 :]
    return f"time is counted by {'samples' if not later else later[0]} instead"


def listed(kind: str, steps: list[tuple[int, float, float]]) -> str:
    """How many steps, how long they are in all, and the largest with their places, in order."""
    if not steps:
        return ""
    shown = sorted(sorted(steps, key=lambda step: -abs(step[2]))[:MOST_SHOWN])
    places = ", ".join(f"{length_s:.6g} s at {at_s:.3f} s" for _, at_s, length_s in shown)
    more = f" (the largest {MOST_SHOWN})" if len(steps) > MOST_SHOWN else ""
    return f"{len(steps)} {kind}, {sum(length_s for *_, length_s in steps):.6g} s in all{more}: {places}"


def disagreements(fitted: dict[str, Clock], index: int) -> Iterator[str]:
    """Gaps that the timestamps of a segment have and its sample numbers do not, and the other way round."""
    places = {name: {sample for sample, *_ in clock.gaps()} for name, clock in fitted.items()}
    for name, other in (("timestamps", "sample numbers"), ("sample numbers", "timestamps")):
        alone = [gap for gap in fitted[name].gaps() if gap[0] not in places[other]]
        if alone:
            yield f"segment {index + 1}: the {name} have {listed('gaps', alone)}, the {other} do not"


def parts_of(timing: Timing) -> list[Timing]:
    """The time of each part of a segment between its gaps; the segment's where it has none."""
    cuts = [sample for sample, *_ in timing.clock.gaps()]
    if not cuts:
        return [timing]
    parts = []
    for first, end in zip([0, *cuts], [*cuts, timing.clock.num_samples], strict=True):
        clock = timing.clock.part(first, end - first)
        part = replace(timing, clock=clock, part=(first, end - first), starts_s=[clock.starts_s[0]])
        part.durations_s = [clock.num_samples / clock.sampling_frequency_hz]
        if timing.lfp_clock is not None:
            half_s = 0.5 / timing.lfp_clock.sampling_frequency_hz
            slow_first = int(timing.lfp_clock.samples_at(clock.starts_s[0]))
            slow_end = int(timing.lfp_clock.samples_at(clock.end_s - half_s)) + 1
            part.lfp_part = (slow_first, slow_end - slow_first)
            part.lfp_clock = timing.lfp_clock.part(*part.lfp_part)
        parts.append(part)
    return parts
