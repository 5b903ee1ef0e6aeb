"""Visualization: figures, checks and tables of a recording and its units, up to the last completed stage."""

from __future__ import annotations

from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from spikeinterface import BaseRecording, BaseSorting, load, load_sorting_analyzer
from spikeinterface.preprocessing import load_motion_info

from capsules.common.facts import CurationFacts, PreprocessingFacts
from capsules.common.files import write_json
from capsules.common.recordings.peaks import complete_settings, detect_peaks
from capsules.common.recordings.reading import load_recording
from capsules.common.recordings.saturation import remove_frames
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.common.units.metrics import REASONS, get_labels, get_metrics_table, write_table
from capsules.visualization import channel_figures, figures, unit_figures
from capsules.visualization.checks import check_recording
from capsules.visualization.params import VisualizationParams
from capsules.visualization.pictures import Gallery
from capsules.visualization.unit_data import collect_unit_data

CAPTIONS = {
    "quality_control/channels": "Contacts of the probe by position; colour is the channel's label. Channels in the "
    "brain should be good",
    "quality_control/rms": "RMS of each channel over depth. Channels far from their neighbours are dead or noisy",
    "quality_control/psd": "Power spectral density over frequency: above, each channel by depth; below, the median "
    "channel. Narrow peaks at 50 or 60 Hz and multiples are line noise",
    "visualization/drift_map": "Drift map: depth of detected peaks over time; colour is amplitude. Horizontal bands "
    "are stable units; slanted bands mean the probe moved",
    "visualization/motion": "Estimated motion: above, depth of the peaks it was estimated from, over time; below, the "
    "displacement of each depth over time. The lower axis spans at least the distance between two contacts",
    "visualization/units": "Units by their estimated position on the probe; area is firing rate. Open circles are bad "
    "units",
    "quality_control/firing": "Firing rate of each unit over time; colour is the rate. A row that starts or ends "
    "abruptly is a unit that appeared or was lost",
    "quality_control/unit_yield": "Left, number of units with each label; right, distributions of the main metrics, "
    "bad units in grey",
}
SUMMARY_CAPTION = (
    "Each unit: left, template on its main channel over time; right, autocorrelogram over lag. A gap at lag 0 is the "
    "refractory period"
)

VisualizationTask = Task[VisualizationParams]


def run(task: VisualizationTask) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    mpl.use("Agg")
    # Otherwise an svg's ids are random.
    mpl.rcParams["svg.hashsalt"] = task.id
    # Otherwise matplotlib reads a name with two $ in it as a formula.
    mpl.rcParams["text.parse_math"] = False
    for folder in ("visualization", "quality_control"):
        (task.out / folder).mkdir()
    gallery = Gallery(task.out, task.params.output_format)
    raw = load_recording(task.job, task.data)
    traces = _load_traces(task)
    labels = _channel_labels(task, raw)
    noise_uv = _show_channels(task, gallery, raw, traces, labels)
    _show_traces(task, gallery, raw, traces)
    if traces is not None:
        _show_drift(task, gallery, traces)
    units = _show_units(task, gallery, raw) if _has_result(task, "postprocessing", "units") else None
    preprocessing, curation = task.input_facts(PreprocessingFacts), task.input_facts(CurationFacts)
    checks = check_recording(preprocessing, curation, raw.get_num_channels(), noise_uv)
    write_json(task.out / "quality_control" / "checks.json", checks)
    content = {"probe": _probe(raw, labels), "checks": checks, "units": units, "pictures": gallery.pictures}
    write_json(task.out / "report.json", content)
    task.fact(
        figures=sorted(picture["file"] for picture in gallery.pictures),
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


def _channel_labels(task: VisualizationTask, raw: BaseRecording) -> list[str]:
    """The label of each raw channel: `good`, or why preprocessing marked it as bad, even when it did not complete."""
    bad = task.input_facts(PreprocessingFacts).bad_channels or {}
    labels = {channel: label for label, channels in bad.items() for channel in channels}
    return [labels.get(str(channel), "good") for channel in raw.channel_ids]


def _show_channels(
    task: VisualizationTask, gallery: Gallery, raw: BaseRecording, traces: BaseRecording | None, labels: list[str]
) -> float | None:
    """Draw bad channels, RMS and spectra; return the preprocessed noise (median over the channels, uV) if known."""
    recordings = {"raw": raw} | ({} if traces is None else {"preprocessed": traces})
    excluded = _saturated_frames(task, raw)
    statistics = {
        title: channel_figures.measure_channels(remove_frames(recording, excluded[title]))
        for title, recording in recordings.items()
    }
    if raw.has_probe():
        _add(gallery, channel_figures.draw_probe(raw.get_channel_locations(), labels), "quality_control/channels")
    _add(gallery, channel_figures.draw_rms(statistics, labels), "quality_control/rms")
    _add(gallery, channel_figures.draw_spectra(statistics), "quality_control/psd")
    if traces is None or statistics["preprocessed"].physical_unit != "uV":
        return None
    return float(np.median(statistics["preprocessed"].noise))


def _add(gallery: Gallery, figure: Figure, name: str) -> None:
    gallery.add(figure, name, CAPTIONS[name])


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
        figure = figures.draw_traces(snippets, settings.snippet_duration_s)
        gallery.add(figure, f"visualization/traces_{index + 1}", caption)


def _show_drift(task: VisualizationTask, gallery: Gallery, traces: BaseRecording) -> None:
    """Draw the drift map, which is the peaks of the preprocessed traces, and the estimated motion."""
    folder = task.input("preprocessing", "motion")
    info = load_motion_info(folder) if folder.exists() else None
    rate_hz = traces.sampling_frequency
    peaks, locations = _drift_map_peaks(task, traces, info)
    if len(peaks) == 0:
        task.warn("no drift map: no peak was detected")
    else:
        amplitudes = scale_amplitudes(traces, peaks)
        figure = figures.draw_drift_map(peaks, locations["y"], amplitudes, rate_hz, task.params.drift)
        _add(gallery, figure, "visualization/drift_map")
    if info is not None:
        amplitudes = scale_amplitudes(traces, info["peaks"])
        pitch_um = figures.contact_pitch_um(traces)
        figure = figures.draw_motion(info, amplitudes, rate_hz, task.params.motion, pitch_um)
        _add(gallery, figure, "visualization/motion")


def _drift_map_peaks(
    task: VisualizationTask, traces: BaseRecording, info: dict[str, Any] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Peaks and their locations: those that preprocessing kept if its settings are the same, else new ones."""
    settings = task.params.drift
    localization = {"method": "center_of_mass", **settings.localization.model_dump()}
    detection = {"method": "locally_exclusive", **settings.detection.model_dump()}
    detection["radius_um"] = settings.localization.radius_um
    facts = task.input_facts(PreprocessingFacts)
    if (
        info is not None
        and facts.peaks is not None
        and not facts.motion_applied
        and facts.peaks.settings == complete_settings(detection, localization)
    ):
        source, peaks, locations = "preprocessing", info["peaks"], info["peak_locations"]
    else:
        source = "visualization"
        peaks, locations = detect_peaks(traces, detection, localization)
    task.fact(peaks=len(peaks), peaks_found_by=source)
    return peaks, locations


def scale_amplitudes(traces: BaseRecording, peaks: np.ndarray) -> np.ndarray:
    """The peaks' amplitudes in microvolts, or in counts when the recording has no gains."""
    gains = traces.get_channel_gains()[peaks["channel_index"]] if traces.has_scaleable_traces() else 1.0
    return np.asarray(peaks["amplitude"] * gains)


def _show_units(task: VisualizationTask, gallery: Gallery, raw: BaseRecording) -> dict[str, Any]:
    """Draw the units' figures, write their table, and return what the report shows of each."""
    # An extension is read when it is used: waveforms and principal components, the largest, are not.
    analyzer = load_sorting_analyzer(task.input("postprocessing", "postprocessed.zarr"), load_extensions=False)
    curated = _has_result(task, "curation", "labels")
    labels = get_labels(cast(BaseSorting, load(task.input("curation", "curated")))) if curated else {}
    metrics, qc = get_metrics_table(analyzer), labels.get("default_qc")
    write_table(labels, metrics, task.out / "quality_control" / "metrics.csv")
    if analyzer.has_extension("unit_locations"):
        _add(gallery, unit_figures.draw_locations(analyzer, qc), "visualization/units")
    _add(gallery, unit_figures.draw_firing(analyzer), "quality_control/firing")
    counted = {name: values for name, values in labels.items() if name not in (*REASONS, "decoder_probability")}
    _add(gallery, unit_figures.draw_yield(metrics, counted), "quality_control/unit_yield")
    for page, figure in enumerate(unit_figures.draw_summaries(analyzer, qc), start=1):
        gallery.add(figure, f"visualization/unit_summaries_{page}", SUMMARY_CAPTION)
    return collect_unit_data(analyzer, labels, metrics, [str(channel) for channel in raw.channel_ids])


def _probe(raw: BaseRecording, labels: list[str]) -> dict[str, Any] | None:
    """The contacts and their labels for the report."""
    if not raw.has_probe():
        return None
    x_um, y_um = raw.get_channel_locations()[:, :2].T
    return {"ids": list(map(str, raw.channel_ids)), "x": x_um.tolist(), "y": y_um.tolist(), "labels": labels}
