"""Visualization: figures, checks and tables of a recording and its units, up to the last completed stage."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from spikeinterface import BaseRecording, BaseSorting, SortingAnalyzer, load, load_sorting_analyzer
from spikeinterface.core.motion import Motion
from spikeinterface.preprocessing import load_motion_info

from capsules.common.facts import CurationFacts, PreprocessingFacts
from capsules.common.files import write_json
from capsules.common.recordings.clock import Clock
from capsules.common.recordings.peaks import is_located
from capsules.common.recordings.reading import load_lfp_segments, load_recording
from capsules.common.recordings.saturation import remove_frames
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.common.units.metrics import REASONS, get_labels, get_metrics_table, write_table
from capsules.visualization import channel_figures, drift_figures, trace_figures, unit_figures
from capsules.visualization.channel_figures import ChannelStatistics
from capsules.visualization.checks import check_recording
from capsules.visualization.event_view import load_event_lines, show_event_timeline, show_responses
from capsules.visualization.layout import set_style
from capsules.visualization.lfp import LfpPower, measure_lfp
from capsules.visualization.params import VisualizationParams
from capsules.visualization.peaks import describe_peaks, detect_drift_peaks, scale_amplitudes
from capsules.visualization.pictures import Gallery
from capsules.visualization.recording_data import (
    DriftImage,
    Peaks,
    collect_recording_data,
    image_drift,
    list_periods,
    motion_error_um,
)
from capsules.visualization.spike_statistics import SpikeStatistics
from capsules.visualization.unit_data import collect_unit_data

CAPTIONS = {
    "quality_control/channels": "Contacts of the probe by position; colour and marker are the channel's label. "
    "Channels in the brain should be good",
    "quality_control/rms": "RMS of each channel over depth. Channels far from their neighbours are dead or noisy",
    "quality_control/psd": "Power spectral density over frequency: above, each channel by depth; below, the median "
    "channel. Narrow peaks at 50 or 60 Hz and multiples are line noise",
    "visualization/units": "Units by their estimated position on the probe; area is firing rate. Open circles are bad "
    "units",
    "quality_control/firing": "Firing over time, from top to bottom: saturated periods, artifacts, gaps; rate of all "
    "units together; rate by depth; rate of each unit. Changes of all units at the time of a period are not neural; a "
    "row that starts or ends abruptly is a unit that appeared or was lost",
    "quality_control/unit_yield": "Number of units with each label, and distributions of the main metrics; bad units "
    "are grey. A metric by which many units are rejected has its grey bars apart from the others",
    "visualization/unit_summaries": "Each unit: template on its main channel; autocorrelogram from -20 to 20 ms in "
    "bins of 0.5 ms, refractory period in red; amplitudes over time, darker where there are more spikes. Bars in the "
    "red band are refractory period violations; amplitudes that are cut off mean missed spikes",
}
DRIFT_CAPTION = (
    "Drift map: depth of detected peaks over time; colour is amplitude; where there are too many peaks for points, "
    "opacity is their number. Horizontal bands are stable units; slanted bands mean the probe moved"
)
MOTION_CAPTION = (
    "Estimated motion: above, depth of the peaks it was estimated from, over time; below, displacement over time at "
    "each depth, {band}. The lower axis spans at least the distance between two contacts, so that a smaller motion "
    "looks small"
)

VisualizationTask = Task[VisualizationParams]


@dataclass(frozen=True)
class Units:
    """The sorted units, their labels by curation and their metrics."""

    analyzer: SortingAnalyzer
    statistics: SpikeStatistics
    labels: dict[str, np.ndarray]
    metrics: pd.DataFrame

    @property
    def depths_um(self) -> np.ndarray | None:
        locations = self.analyzer.get_extension("unit_locations")
        return None if locations is None else np.asarray(locations.get_data()[:, 1])

    @property
    def bad(self) -> np.ndarray:
        return unit_figures.is_bad(self.labels.get("default_qc"), self.statistics.units)


def run(task: VisualizationTask) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    set_style(task.id)
    for folder in ("visualization", "quality_control"):
        (task.out / folder).mkdir()
    gallery = Gallery(task.out, task.params.output_format)
    raw = load_recording(task.job, task.data)
    traces, labels = _load_traces(task), _channel_labels(task, raw)
    units = _load_units(task) if _has_result(task, "postprocessing", "units") else None
    lines, clock = load_event_lines(task), _clock_of(task, raw, traces)
    facts = task.input_facts(PreprocessingFacts)
    statistics = _show_channels(task, gallery, raw, traces, labels)
    lfp = _show_lfp(task, gallery, raw, labels)
    _show_traces(task, gallery, raw, traces)
    drift, motion = (None, None) if traces is None else _show_drift(task, gallery, traces, units)
    shown = None if units is None else _show_units(task, gallery, raw, units)
    if units is not None and shown is not None:
        shown["events"] = show_responses(task, gallery, lines, clock, units.statistics, units.depths_um, units.bad)
    checks = check_recording(
        facts, task.input_facts(CurationFacts), raw.get_num_channels(), _noise_uv(statistics.get("preprocessed"))
    )
    write_json(task.out / "quality_control" / "checks.json", checks)
    duration_s = (raw if traces is None else traces).get_total_duration()
    events = show_event_timeline(task, gallery, lines, clock, duration_s)
    content = {
        "probe": _probe(raw, labels),
        "checks": checks,
        "recording": collect_recording_data(statistics, facts, duration_s, drift, motion, lfp) | {"events": events},
        "units": shown,
        "pictures": gallery.pictures,
    }
    write_json(task.out / "report.json", content)
    task.fact(
        figures=sorted(gallery.files),
        checks_out_of_range=[check["name"] for check in checks if not check["within"]],
    )


def _has_result(task: VisualizationTask, stage: str, result: str) -> bool:
    """Whether a stage completed; otherwise it is recorded that its result is not shown."""
    record = task.input_record(stage)
    if record is not None and record["status"] == "ok":
        return True
    task.change(f"no {result}: {stage} {'failed' if record is None else record['status']}")
    return False


def _load_traces(task: VisualizationTask) -> BaseRecording | None:
    """The preprocessed traces; None when preprocessing did not complete."""
    if not _has_result(task, "preprocessing", "traces"):
        return None
    return cast(BaseRecording, load(task.input("preprocessing", "traces")))


def _clock_of(task: VisualizationTask, raw: BaseRecording, traces: BaseRecording | None) -> Clock:
    """The clock of the preprocessed traces, or of the raw ones without them; events are on the same clock."""
    start_s = 0.0 if traces is None else task.input_facts(PreprocessingFacts).start_s or 0.0
    return task.job.clock_of_traces(start_s, (raw if traces is None else traces).get_num_samples())


def _channel_labels(task: VisualizationTask, raw: BaseRecording) -> list[str]:
    """The label of each raw channel: `good`, or why preprocessing marked it as bad, even when it did not complete."""
    bad = task.input_facts(PreprocessingFacts).bad_channels or {}
    labels = {channel: label for label, channels in bad.items() for channel in channels}
    return [labels.get(str(channel), "good") for channel in raw.channel_ids]


def _show_channels(
    task: VisualizationTask, gallery: Gallery, raw: BaseRecording, traces: BaseRecording | None, labels: list[str]
) -> dict[str, ChannelStatistics]:
    """Draw bad channels, RMS and spectra; return the statistics of the raw and the preprocessed channels."""
    recordings = {"raw": raw} | ({} if traces is None else {"preprocessed": traces})
    excluded = _saturated_frames(task, raw)
    statistics = {
        title: channel_figures.measure_channels(remove_frames(recording, excluded[title]))
        for title, recording in recordings.items()
    }
    if raw.has_probe():
        _add(
            gallery, channel_figures.draw_probe(raw.get_channel_locations(), labels), "quality_control/channels", False
        )
    _add(gallery, channel_figures.draw_rms(statistics, labels), "quality_control/rms")
    _add(gallery, channel_figures.draw_spectra(statistics), "quality_control/psd")
    return statistics


def _noise_uv(preprocessed: ChannelStatistics | None) -> float | None:
    """The preprocessed noise, median over the channels, if known in uV."""
    if preprocessed is None or preprocessed.physical_unit != "uV":
        return None
    return float(np.median(preprocessed.noise))


def _show_lfp(task: VisualizationTask, gallery: Gallery, raw: BaseRecording, labels: list[str]) -> LfpPower | None:
    """Draw the LFP's power over depth, from the LF stream or else from the raw band."""
    try:
        lfp = _measure_lfp(task, raw, labels)
    # Readers raise any kind of error on broken data; job dispatch warns of an LF stream that cannot be read.
    except Exception as error:  # noqa: BLE001
        lfp = f"the LFP cannot be read: {type(error).__name__}: {error}"
    if isinstance(lfp, str):
        task.change(f"no LFP power: {lfp}")
        return None
    caption = (
        f"LFP power over depth by frequency band, from the {lfp.source}; left, in dB; right, relative to each band's "
        f"median. Power drops at the surface of the brain: {lfp.surface_reason}"
    )
    gallery.add(channel_figures.draw_lfp(lfp), "quality_control/lfp", caption)
    return lfp


def _measure_lfp(task: VisualizationTask, raw: BaseRecording, labels: list[str]) -> LfpPower | str:
    """The LFP's power, or the reason why it is missing."""
    stream = load_lfp_segments(task.job, task.data)
    good = np.isin(labels, ("dead", "noise", "saturated"), invert=True)
    if stream is None:
        return measure_lfp([raw], "wide band", good, labels.count("out"))
    if stream[0].get_num_channels() != len(good):
        good = np.ones(stream[0].get_num_channels(), dtype=bool)
    return measure_lfp(stream, "LF stream", good, labels.count("out"))


def _add(gallery: Gallery, figure: Figure, name: str, in_report: bool = True) -> None:
    gallery.add(figure, name, CAPTIONS[name], in_report)


def _saturated_frames(task: VisualizationTask, raw: BaseRecording) -> dict[str, list[tuple[int, int]]]:
    """Samples of the raw and of the preprocessed traces, start and end, where the converter was saturated."""
    facts = task.input_facts(PreprocessingFacts)
    spans = facts.saturation.excluded_s if facts.saturation else []
    rate_hz = raw.sampling_frequency
    return {
        title: [(round((start + shift_s) * rate_hz), round((end + shift_s) * rate_hz)) for start, end in spans]
        for title, shift_s in (("raw", facts.start_s or 0.0), ("preprocessed", 0.0))
    }


def _show_traces(task: VisualizationTask, gallery: Gallery, raw: BaseRecording, traces: BaseRecording | None) -> None:
    """Draw snippets at evenly spaced times, raw next to preprocessed."""
    settings = task.params.timeseries
    offset_s = 0.0 if traces is None else task.input_facts(PreprocessingFacts).start_s or 0.0
    spare_s = max(0.0, (raw if traces is None else traces).get_total_duration() - settings.snippet_duration_s)
    for index in range(settings.n_snippets_per_segment):
        start_s = spare_s * (index + 1) / (settings.n_snippets_per_segment + 1)
        snippets = {"raw": (raw, start_s + offset_s)}
        if traces is not None:
            snippets["preprocessed"] = (traces, start_s)
        titles = " and ".join(snippets).capitalize()
        caption = f"{titles} traces, {settings.snippet_duration_s:g} s from {start_s:.1f} s on"
        caption += ": channels by depth over time; each pixel is the sample farthest from the channel's median"
        figure = trace_figures.draw_traces(snippets, settings.snippet_duration_s)
        gallery.add(figure, f"visualization/traces_{index + 1}", caption)


def _show_drift(
    task: VisualizationTask, gallery: Gallery, traces: BaseRecording, units: Units | None
) -> tuple[DriftImage | None, Motion | None]:
    """Draw the drift map, which is the peaks of the preprocessed traces, and the estimated motion."""
    folder = task.input("preprocessing", "motion")
    info = load_motion_info(folder) if folder.exists() else None
    facts, motion = task.input_facts(PreprocessingFacts), None if info is None else cast(Motion, info["motion"])
    physical_unit = "uV" if traces.has_scaleable_traces() else "counts"
    duration_s = traces.get_total_duration()
    # Applied motion is not in the traces any more.
    over = None if facts.motion_applied else motion
    peaks = detect_drift_peaks(task, traces, info)
    if len(peaks.seconds) == 0:
        task.warn("no drift map: no peak was detected")
    else:
        side = _unit_depths(units)
        figure = drift_figures.draw_drift_map(peaks, duration_s, task.params.drift, physical_unit, over, side)
        caption = DRIFT_CAPTION + describe_peaks(peaks, duration_s)
        if over is not None:
            caption += "; the lines are the estimated motion, which should follow the bands"
        if side is not None:
            caption += "; right, depth and amplitude of the sorted units"
        gallery.add(figure, "visualization/drift_map", caption)
    complete = peaks
    if info is not None and motion is not None:
        located = is_located(info["peak_locations"])
        complete = Peaks(
            info["peaks"]["sample_index"][located] / traces.sampling_frequency,
            info["peak_locations"]["y"][located],
            scale_amplitudes(traces, info["peaks"])[located],
        )
        error_um = motion_error_um(facts.motion)
        figure = drift_figures.draw_motion(
            complete,
            duration_s,
            motion,
            task.params.motion,
            physical_unit,
            error_um=error_um,
            pitch_um=drift_figures.contact_pitch_um(traces),
        )
        band = "without its uncertainty, for which there are too few peaks"
        if error_um is not None:
            band = "with its 95 % interval, from estimates of two halves of the peaks"
        gallery.add(figure, "visualization/motion", MOTION_CAPTION.format(band=band))
    if len(complete.seconds) == 0:
        return None, motion
    return image_drift(complete, duration_s, traces.get_channel_locations()[:, 1]), motion


def _unit_depths(units: Units | None) -> drift_figures.UnitDepths | None:
    """What the side of the drift map shows; None without units, or without their depths and amplitudes."""
    if units is None or units.depths_um is None or units.statistics.amplitudes is None:
        return None
    medians = [float(np.median(np.abs(values))) if len(values) else np.nan for values in units.statistics.amplitudes]
    known = np.isfinite(units.depths_um) & np.isfinite(medians)
    if not known.any():
        return None
    return drift_figures.UnitDepths(units.depths_um[known], np.array(medians)[known], units.bad[known])


def _load_units(task: VisualizationTask) -> Units:
    """The units of postprocessing, with the labels of curation where it completed."""
    # An extension is read when it is used: waveforms and principal components, the largest, are not.
    analyzer = load_sorting_analyzer(task.input("postprocessing", "postprocessed.zarr"), load_extensions=False)
    curated = _has_result(task, "curation", "labels")
    labels = get_labels(cast(BaseSorting, load(task.input("curation", "curated")))) if curated else {}
    return Units(analyzer, SpikeStatistics(analyzer), labels, get_metrics_table(analyzer))


def _show_units(task: VisualizationTask, gallery: Gallery, raw: BaseRecording, units: Units) -> dict[str, Any]:
    """Draw the units' figures, write their table, and return what the report shows of each."""
    analyzer, statistics, labels, metrics = units.analyzer, units.statistics, units.labels, units.metrics
    qc = labels.get("default_qc")
    write_table(labels, metrics, task.out / "quality_control" / "metrics.csv")
    if units.depths_um is not None:
        figure = unit_figures.draw_locations(analyzer, statistics.mean_rates_hz, qc)
        _add(gallery, figure, "visualization/units", False)
    periods = list_periods(task.input_facts(PreprocessingFacts))
    _add(gallery, unit_figures.draw_firing(statistics, units.depths_um, periods), "quality_control/firing")
    counted = {name: values for name, values in labels.items() if name not in (*REASONS, "decoder_probability")}
    _add(gallery, unit_figures.draw_yield(metrics, counted), "quality_control/unit_yield")
    # The report has a page for each unit, and a table with the same drawings.
    for page, figure in enumerate(unit_figures.draw_summaries(analyzer, statistics, qc), start=1):
        name = "visualization/unit_summaries"
        gallery.add(figure, f"{name}_{page}", CAPTIONS[name], in_report=False)
    file = task.input("postprocessing", "merge_candidates.json")
    candidates = json.loads(file.read_text()) if file.exists() else []
    contacts = [str(channel) for channel in raw.channel_ids]
    shown = collect_unit_data(analyzer, statistics, labels, metrics, contacts, candidates)
    return shown | {"query": _query(task)}


def _query(task: VisualizationTask) -> str | None:
    """The curation query as it was applied; None when curation did not complete or has no query."""
    record = task.input_record("curation")
    if record is None or record["status"] != "ok" or record["params"] is None:
        return None
    query = record["params"].get("query")
    return query if query and query.strip() else None


def _probe(raw: BaseRecording, labels: list[str]) -> dict[str, Any] | None:
    """The contacts and their labels for the report."""
    if not raw.has_probe():
        return None
    x_um, y_um = raw.get_channel_locations()[:, :2].T
    return {"ids": list(map(str, raw.channel_ids)), "x": x_um.tolist(), "y": y_um.tolist(), "labels": labels}
