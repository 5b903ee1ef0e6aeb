"""The time of a stream: its clock, from the instrument's timestamps or sample numbers, and its gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from spikeinterface import BaseRecording

from capsules.common.recordings.clock import Clock, concatenate_clocks, count_clock, fit_clock, overlap
from capsules.common.recordings.reading import open_reader
from capsules.job_dispatch.loaders.streams import Stream, cause

MOST_SHOWN = 5
"""Gaps that a warning lists."""
Source = Callable[[int, int], npt.NDArray[np.float64]]
"""Times in seconds from one sample up to another."""


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


def read_timing(stream: Stream, segments: list[int], session: Path, use_timestamps: bool) -> Timing:
    """Read the time of some segments of a stream, concatenated.

    Parameters
    ----------
    stream : Stream
    segments : list of int
    session : Path
        The stream's readers are relative to it.
    use_timestamps : bool
        Whether the instrument's timestamps and sample numbers are read.
    """
    warnings: list[str] = []
    clocks, regular = fit_segment_clocks(stream.recording, segments, stream.sample_numbers, use_timestamps, warnings)
    timing = Timing(
        clock=concatenate_clocks(clocks),
        regular=regular,
        durations_s=[clock.num_samples / clock.sampling_frequency_hz for clock in clocks],
        starts_s=[clock.starts_s[0] for clock in clocks],
        in_turn=overlap(clocks),
        warnings=warnings,
    )
    if timing.in_turn:
        warnings.append(
            "the segments overlap by their own clock: their times follow each other from 0, those of digital lines do "
            "not"
        )
        clocks = shift_in_turn(clocks)
        timing.clock = concatenate_clocks(clocks)
    if stream.lfp_reader is not None:
        try:
            lfp = open_reader(stream.lfp_reader, session)
            timing.lfp_clock = fit_lfp_clock(lfp, segments, stream, clocks, timing.in_turn, use_timestamps, warnings)
        # Readers raise any kind of error on broken data; the NWB stage, which needs the stream, fails then.
        except Exception as error:  # noqa: BLE001
            warnings.append(f"the LF stream cannot be read: {cause(error)}")
    return timing


def shift_in_turn(clocks: list[Clock]) -> list[Clock]:
    """The clocks of segments that are counted one after the other from 0."""
    end_s, shifted = 0.0, []
    for clock in clocks:
        shifted.append(clock.shift_to(end_s))
        end_s = shifted[-1].end_s
    return shifted


def fit_lfp_clock(
    lfp: BaseRecording,
    segments: list[int],
    stream: Stream,
    clocks: list[Clock],
    is_shifted: bool,
    use_timestamps: bool,
    warnings: list[str],
) -> Clock:
    """Fit the clock of the LF stream, and warn where it differs from the wide band's (`clocks`, one per segment)."""
    problems: list[str] = []
    lfp_clocks, _ = fit_segment_clocks(lfp, segments, stream.lfp_sample_numbers, use_timestamps, problems)
    if is_shifted:
        lfp_clocks = [slow.shift_to(clock.starts_s[0]) for slow, clock in zip(lfp_clocks, clocks, strict=True)]
    warnings += [f"LF stream: {problem}" for problem in problems]
    for index, slow, clock in zip(segments, lfp_clocks, clocks, strict=True):
        sample_s = 1 / slow.sampling_frequency_hz
        for edge, at_s, expected_s in (
            ("begins", slow.starts_s[0], clock.starts_s[0]),
            ("ends", slow.end_s, clock.end_s),
        ):
            if abs(at_s - expected_s) > 2 * sample_s:
                warnings.append(
                    f"LF stream: segment {index + 1} {edge} at {at_s:.6f} s, in the wide band at {expected_s:.6f} s"
                )
    return concatenate_clocks(lfp_clocks)


def fit_segment_clocks(
    recording: BaseRecording, segments: list[int], sample_numbers: list[Path], use_timestamps: bool, warnings: list[str]
) -> tuple[list[Clock], bool]:
    """The clock of each segment, and whether the samples of all are counted from its start."""
    clocks, all_regular = [], True
    for index in segments:
        numbers = sample_numbers[index] if index < len(sample_numbers) else None
        clock, regular = fit_segment_clock(recording, index, numbers, use_timestamps, warnings)
        clocks.append(clock)
        all_regular = all_regular and regular
    return clocks, all_regular


def fit_segment_clock(
    recording: BaseRecording, index: int, numbers: Path | None, use_timestamps: bool, warnings: list[str]
) -> tuple[Clock, bool]:
    """The clock of a segment: from its timestamps, else from its sample numbers, else counted from its start."""
    count, rate_hz = recording.get_num_samples(segment_index=index), float(recording.sampling_frequency)
    start_s = float(recording.get_start_time(segment_index=index))
    sources: dict[str, Source] = {}
    if use_timestamps and recording.has_time_vector(segment_index=index):
        sources["timestamps"] = lambda first, end: recording.get_times(index, start_frame=first, end_frame=end)
    if use_timestamps and numbers is not None and numbers.exists():
        counts = np.load(numbers, mmap_mode="r")
        if len(counts) == count:
            sources["sample numbers"] = lambda first, end: counts[first:end] / rate_hz
        else:
            warnings.append(f"sample numbers of segment {index + 1}: {len(counts)} for {count} samples; not used")
    clocks: dict[str, Clock] = {}
    for name, source in sources.items():
        place = f"{name} of segment {index + 1}"
        try:
            clock, tolerance_s = fit_clock(source, count, rate_hz)
        except ValueError as error:
            warnings.append(f"{place}: {error}; {_describe_fallback(name, sources)}")
            continue
        if back := clock.steps_back():
            texts = [text for text in (list_steps("steps back", back), list_steps("gaps", clock.gaps())) if text]
            warnings.append(f"{place}: {'; '.join(texts)}; {_describe_fallback(name, sources)}")
            continue
        clocks[name] = clock
        if tolerance_s > 1 / rate_hz:
            warnings.append(f"{place} jitter: times are within {1000 * tolerance_s:.2g} ms of them")
    if not clocks:
        return count_clock(count, rate_hz, start_s if np.isfinite(start_s) else 0.0), True
    name, clock = next(iter(clocks.items()))
    if gaps := clock.gaps():
        warnings.append(f"{name} of segment {index + 1}: {list_steps('gaps', gaps)}; times are correct on both sides")
    if len(clocks) > 1:
        warnings += compare_gaps(clocks, index)
    return clock, False


def _describe_fallback(name: str, sources: Iterable[str]) -> str:
    """What replaces an invalid source of time: the next of the sources, or counting."""
    names = list(sources)
    later = names[names.index(name) + 1 :]
    return f"time is counted by {later[0] if later else 'samples'} instead"


def list_steps(kind: str, steps: list[tuple[int, float, float]]) -> str:
    """The number of steps, their total length, and the largest with their places, in order."""
    if not steps:
        return ""
    shown = sorted(sorted(steps, key=lambda step: -abs(step[2]))[:MOST_SHOWN])
    places = ", ".join(f"{length_s:.6g} s at {at_s:.3f} s" for _, at_s, length_s in shown)
    more = f" (the largest {MOST_SHOWN})" if len(steps) > MOST_SHOWN else ""
    return f"{len(steps)} {kind}, {sum(length_s for *_, length_s in steps):.6g} s in all{more}: {places}"


def compare_gaps(clocks: dict[str, Clock], index: int) -> Iterator[str]:
    """A warning for gaps that the timestamps of a segment have and its sample numbers lack, or the reverse."""
    places = {name: {sample for sample, *_ in clock.gaps()} for name, clock in clocks.items()}
    for name, other in (("timestamps", "sample numbers"), ("sample numbers", "timestamps")):
        alone = [gap for gap in clocks[name].gaps() if gap[0] not in places[other]]
        if alone:
            yield f"segment {index + 1}: the {name} have {list_steps('gaps', alone)}, the {other} do not"


def split_at_gaps(timing: Timing) -> list[Timing]:
    """The time of each part of a segment between its gaps; the segment's time where it has none."""
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
