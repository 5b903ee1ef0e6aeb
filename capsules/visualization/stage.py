"""Visualization: figures, checks and tables of a recording and its units, as far as the earlier stages came."""

from __future__ import annotations

from typing import Any

from capsules.common.files import write_json
from capsules.common.recordings.peaks import complete_settings, find_peaks
from capsules.common.recordings.reading import load_recording
from capsules.common.recordings.saturation import without_frames
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.common.units.metrics import REASONS, labels_of, metrics_table, write_table
from capsules.visualization.pictures import Gallery

PSD_CAPTION = (
    "Power spectral density over frequency: above, each channel by depth; below, the median channel. Narrow peaks at "
    "50 or 60 Hz and multiples are line noise"
)


def run(task: Task) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    import matplotlib as mpl

    from capsules.visualization.checks import check_all

    mpl.use("Agg")
    # Else an svg's ids are drawn at random.
    mpl.rcParams["svg.hashsalt"] = task.id
    # A name with two $ in it is no formula.
    mpl.rcParams["text.parse_math"] = False
    for folder in ("visualization", "quality_control"):
        (task.out / folder).mkdir()
    gallery = Gallery(task.out, task.params.output_format)
    raw = load_recording(task.job, task.data)
    traces = _traces(task)
    labels = _channel_labels(task, raw)
    noise_uv = _show_channels(task, gallery, raw, traces, labels)
    _show_traces(task, gallery, raw, traces)
    if traces is not None:
        _show_drift(task, gallery, traces)
    units = _show_units(task, gallery, raw) if _reached(task, "postprocessing", "units") else None
    records = {stage: task.input_record(stage) for stage in task.stage.may_take}
    checks = check_all(records, raw.get_num_channels(), noise_uv)
    write_json(task.out / "quality_control" / "checks.json", checks)
    shown = {"probe": _probe(raw, labels), "checks": checks, "units": units, "pictures": gallery.pictures}
    write_json(task.out / "report.json", shown)
    task.fact(
        figures=sorted(picture["file"] for picture in gallery.pictures),
        checks_out_of_range=[check["name"] for check in checks if not check["within"]],
    )


def _reached(task: Task, stage: str, gives: str) -> bool:
    """Whether a stage left its result; else it is recorded that what it gives is not shown."""
    record = task.input_record(stage)
    if record is not None and record["status"] == "ok":
        return True
    task.change(f"no {gives}: {stage} {'failed' if record is None else record['status']}")
    return False


def _traces(task: Task) -> Any | None:
    """The preprocessed traces, if there are any."""
    import spikeinterface as si

    return si.load(task.input("preprocessing", "traces")) if _reached(task, "preprocessing", "traces") else None


def _channel_labels(task: Task, raw: Any) -> list[str]:
    """The label of each raw channel: `good`, or what preprocessing, however far it came, found to be wrong with it."""
    record = task.input_record("preprocessing")
    bad = (record["facts"].get("bad_channels") if record else None) or {}
    labels = {channel: label for label, channels in bad.items() for channel in channels}
    return [labels.get(str(channel), "good") for channel in raw.channel_ids]


def _show_channels(task: Task, gallery: Gallery, raw: Any, traces: Any | None, labels: list[str]) -> float | None:
    """Bad channels, RMS and spectra; the preprocessed noise (median over the channels, uV), where it is known."""
    import numpy as np

    from capsules.visualization import channel_figures

    recordings = {"raw": raw} | ({} if traces is None else {"preprocessed": traces})
    excluded = _saturated_frames(task, raw)
    found = {
        title: channel_figures.channel_statistics(without_frames(recording, excluded[title]))
        for title, recording in recordings.items()
    }
    if raw.has_probe():
        figure = channel_figures.probe_figure(raw.get_channel_locations(), labels)
        gallery.add(figure, "quality_control/channels", "The probe's contacts, coloured by what is wrong with them")
    figure = channel_figures.rms_figure(found, labels)
    gallery.add(figure, "quality_control/rms", "RMS of each channel over the depth of the probe")
    figure = channel_figures.psd_figure(found)
    gallery.add(figure, "quality_control/psd", PSD_CAPTION)
    if traces is None or found["preprocessed"].unit != "uV":
        return None
    return float(np.median(found["preprocessed"].noise))


def _saturated_frames(task: Task, raw: Any) -> dict[str, list[tuple[int, int]]]:
    """Samples of the raw and of the preprocessed traces, start and end, where the converter was saturated."""
    record = task.input_record("preprocessing")
    facts = record["facts"] if record else {}
    spans = (facts.get("saturation") or {}).get("excluded_s", [])
    rate, offset_s = raw.sampling_frequency, facts.get("start_s", 0.0)
    return {
        title: [(round((start + shift) * rate), round((end + shift) * rate)) for start, end in spans]
        for title, shift in (("raw", offset_s), ("preprocessed", 0.0))
    }


def _show_traces(task: Task, gallery: Gallery, raw: Any, traces: Any | None) -> None:
    """Snippets at evenly spaced times, raw beside preprocessed."""
    from capsules.visualization import figures

    settings = task.params.timeseries
    offset = 0.0 if traces is None else task.input_record("preprocessing")["facts"]["start_s"]
    spare = max(0.0, (raw if traces is None else traces).get_total_duration() - settings.snippet_duration_s)
    for index in range(settings.n_snippets_per_segment):
        start = spare * (index + 1) / (settings.n_snippets_per_segment + 1)
        shown = {"raw": (raw, start + offset)} | ({} if traces is None else {"preprocessed": (traces, start)})
        figure = figures.traces_figure(shown, settings.snippet_duration_s)
        caption = f"{' and '.join(shown)} traces, {settings.snippet_duration_s:g} s from {start:.1f} s on".capitalize()
        caption += ": channels by depth over time; each pixel is the sample farthest from the channel's median"
        gallery.add(figure, f"visualization/traces_{index + 1}", caption)


def _show_drift(task: Task, gallery: Gallery, traces: Any) -> None:
    """The drift map, which is peaks and where they are on the preprocessed traces, and the estimated motion."""
    import spikeinterface.preprocessing as spre

    from capsules.visualization import figures

    folder = task.input("preprocessing", "motion")
    info = spre.load_motion_info(folder) if folder.exists() else None
    rate, settings = traces.sampling_frequency, task.params.drift
    peaks, places = _peaks(task, traces, info)
    if len(peaks) == 0:
        task.warn("no drift map: no peak was found")
    else:
        figure = figures.drift_figure(peaks, places["y"], _in_uv(traces, peaks), rate, settings)
        caption = (
            "Drift map: depth of detected peaks over time; colour is amplitude. Horizontal bands are stable units; "
            "slanted bands mean the probe moved"
        )
        gallery.add(figure, "visualization/drift_map", caption)
    if info is not None:
        pitch_um = figures.contact_pitch_um(traces)
        figure = figures.motion_figure(info, _in_uv(traces, info["peaks"]), rate, task.params.motion, pitch_um)
        caption = (
            "Estimated motion: above, depth of the peaks it was estimated from, over time; below, the displacement of "
            "each depth. The lower axis spans at least the distance between two contacts"
        )
        gallery.add(figure, "visualization/motion", caption)


def _peaks(task: Task, traces: Any, info: dict[str, Any] | None) -> tuple[Any, Any]:
    """The peaks of the drift map: those that preprocessing kept when it would find the same ones, else its own."""
    settings = task.params.drift
    localization = {"method": "center_of_mass", **settings.localization.model_dump()}
    detection = {"method": "locally_exclusive", **settings.detection.model_dump()}
    detection["radius_um"] = settings.localization.radius_um
    before = task.input_record("preprocessing")["facts"]
    kept = before.get("peaks")
    same = kept and not before["motion_applied"] and kept["settings"] == complete_settings(detection, localization)
    if same:
        peaks, places = info["peaks"], info["peak_locations"]
    else:
        peaks, places = find_peaks(traces, detection, localization)
    task.fact(peaks=len(peaks), peaks_found_by="preprocessing" if same else "visualization")
    return peaks, places


def _in_uv(traces: Any, peaks: Any) -> Any:
    """The peaks' amplitudes in microvolts, or in counts when the recording has no gains."""
    gains = traces.get_channel_gains()[peaks["channel_index"]] if traces.has_scaleable_traces() else 1.0
    return peaks["amplitude"] * gains


def _show_units(task: Task, gallery: Gallery, raw: Any) -> dict[str, Any]:
    """The units' figures and table, and what the report shows of each."""
    import spikeinterface as si

    from capsules.visualization import unit_figures
    from capsules.visualization.unit_data import unit_data

    # Each extension is read when it is asked for: waveforms and principal components, the largest, are not.
    analyzer = si.load(task.input("postprocessing", "postprocessed.zarr"), load_extensions=False)
    curated = _reached(task, "curation", "labels")
    labels = labels_of(si.load(task.input("curation", "curated"))) if curated else {}
    metrics, qc = metrics_table(analyzer), labels.get("default_qc")
    write_table(labels, metrics, task.out / "quality_control" / "metrics.csv")
    if analyzer.has_extension("unit_locations"):
        gallery.add(unit_figures.units_figure(analyzer, qc), "visualization/units", "Where the units are on the probe")
    gallery.add(unit_figures.firing_figure(analyzer), "quality_control/firing", "Firing rate of each unit over time")
    named = {name: values for name, values in labels.items() if name not in (*REASONS, "decoder_probability")}
    figure = unit_figures.yield_figure(metrics, named)
    gallery.add(figure, "quality_control/unit_yield", "How many units have each label, and their metrics")
    for page, figure in enumerate(unit_figures.summary_figures(analyzer, qc), start=1):
        gallery.add(figure, f"visualization/unit_summaries_{page}", "Template and autocorrelogram of each unit")
    return unit_data(analyzer, labels, metrics, [str(channel) for channel in raw.channel_ids])


def _probe(raw: Any, labels: list[str]) -> dict[str, Any] | None:
    """The contacts as the report draws them."""
    if not raw.has_probe():
        return None
    x_um, y_um = raw.get_channel_locations()[:, :2].T
    return {"ids": list(map(str, raw.channel_ids)), "x": x_um.tolist(), "y": y_um.tolist(), "labels": labels}
