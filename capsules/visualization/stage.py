"""Visualization: the figures of one recording, and its quality-control figures and tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from capsules.common.job import load_recording
from capsules.common.metrics import metrics_table
from capsules.common.peaks import complete_settings, find_peaks
from capsules.common.task import Task


def run(task: Task) -> None:
    task.use_spikeinterface(task.params.job_kwargs)
    import matplotlib as mpl
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    mpl.use("Agg")
    # Else an svg's ids are drawn at random.
    mpl.rcParams["svg.hashsalt"] = task.id
    from capsules.visualization import figures

    shown, checked = task.out / "visualization", task.out / "quality_control"
    shown.mkdir()
    checked.mkdir()
    raw = load_recording(task.job, task.data)
    traces = si.load(task.input("preprocessing", "traces"))
    analyzer = si.load(task.input("postprocessing", "postprocessed.zarr"), load_extensions=True)
    sorting = si.load(task.input("curation", "curated"))

    _draw_traces(task, raw, traces, shown)
    _draw_drift(task, traces, shown)
    motion = task.input("preprocessing", "motion")
    if motion.exists():
        info = spre.load_motion_info(motion)
        amplitudes = _in_uv(traces, info["peaks"])
        _save(
            task,
            figures.motion_figure(info, amplitudes, traces.sampling_frequency, task.params.motion),
            shown,
            "motion",
        )
    if analyzer.has_extension("unit_locations"):
        _save(task, figures.units_figure(analyzer, sorting.get_property("default_qc")), shown, "units")
    _check_channels(task, raw, checked)
    _write_metrics(analyzer, sorting, checked)
    task.fact(
        figures=sorted(str(file.relative_to(task.out)) for file in task.out.rglob(f"*.{task.params.output_format}"))
    )


def _draw_traces(task: Task, raw: Any, traces: Any, folder: Path) -> None:
    """Snippets at evenly spaced times, raw beside preprocessed."""
    from capsules.visualization import figures

    settings = task.params.timeseries
    offset = task.input_record("preprocessing")["facts"]["start_s"]
    spare = max(0.0, traces.get_total_duration() - settings.snippet_duration_s)
    for index in range(settings.n_snippets_per_segment):
        start = spare * (index + 1) / (settings.n_snippets_per_segment + 1)
        shown = {"raw": (raw, start + offset), "preprocessed": (traces, start)}
        _save(task, figures.traces_figure(shown, settings.snippet_duration_s), folder, f"traces_{index + 1}")


def _draw_drift(task: Task, traces: Any, folder: Path) -> None:
    """The drift map: peaks and where they are, on the preprocessed traces."""
    from capsules.visualization import figures

    settings = task.params.drift
    peaks, places = _peaks(task, traces)
    if len(peaks) == 0:
        task.warn("no drift map: no peak was found")
        return
    figure = figures.drift_figure(peaks, places["y"], _in_uv(traces, peaks), traces.sampling_frequency, settings)
    _save(task, figure, folder, "drift_map")


def _peaks(task: Task, traces: Any) -> tuple[Any, Any]:
    """The peaks of the drift map: those that preprocessing kept when it would find the same ones, else its own."""
    import spikeinterface.preprocessing as spre

    settings = task.params.drift
    localization = {"method": "center_of_mass", **settings.localization.model_dump()}
    detection = {"method": "locally_exclusive", **settings.detection.model_dump()}
    detection["radius_um"] = settings.localization.radius_um
    before = task.input_record("preprocessing")["facts"]
    kept = before.get("peaks")
    same = kept and not before["motion_applied"] and kept["settings"] == complete_settings(detection, localization)
    if same:
        info = spre.load_motion_info(task.input("preprocessing", "motion"))
        peaks, places = info["peaks"], info["peak_locations"]
    else:
        peaks, places = find_peaks(traces, detection, localization)
    task.fact(peaks=len(peaks), peaks_found_by="preprocessing" if same else "visualization")
    return peaks, places


def _in_uv(traces: Any, peaks: Any) -> Any:
    """The peaks' amplitudes in microvolts, or in counts when the recording has no gains."""
    gains = traces.get_channel_gains()[peaks["channel_index"]] if traces.has_scaleable_traces() else 1.0
    return peaks["amplitude"] * gains


def _check_channels(task: Task, raw: Any, folder: Path) -> None:
    from capsules.visualization import figures

    labels = json.loads(task.input("preprocessing", "bad_channels.json").read_text())
    if raw.has_probe():
        values = [labels[str(channel)] for channel in raw.channel_ids]
        _save(task, figures.probe_figure(raw.get_channel_locations(), values), folder, "channels")


def _write_metrics(analyzer: Any, sorting: Any, folder: Path) -> None:
    """The metrics of all units, their labels first, as a table for spreadsheets."""
    import pandas as pd

    columns = ("default_qc", "decoder_label", "decoder_probability", "bombcell_label")
    names = [name for name in columns if name in sorting.get_property_keys()]
    labels = pd.DataFrame({name: sorting.get_property(name) for name in names}, index=sorting.unit_ids)
    pd.concat([labels, metrics_table(analyzer)], axis=1).to_csv(folder / "metrics.csv", index_label="unit")


NO_DATES = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
"""Metadata that would make equal figures differ, by format."""


def _save(task: Task, figure: Any, folder: Path, name: str) -> None:
    import matplotlib.pyplot as plt

    form = task.params.output_format
    figure.savefig(folder / f"{name}.{form}", dpi=100, metadata=NO_DATES[form])
    plt.close(figure)
