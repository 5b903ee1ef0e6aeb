"""Every parameter of visualization: what the libraries are called with, or what comes out otherwise."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from capsules.common.patches import progress
from capsules.common.recordings.peaks import complete_settings, detect_peaks
from capsules.common.tasks.perform import perform
from capsules.parameters.problems import problems_of
from capsules.visualization import stage
from capsules.visualization.params import PARAMS, DriftDetection, DriftLocalization
from capsules.visualization.pictures import Gallery
from tests.event_folder import write_events
from tests.halves import rest_is_slow
from tests.leaf_values import LEAVES, other_value
from tests.reach.conftest import write_record
from tests.reach.spy import Spy, changed_section, stage_leaves, task_for
from tests.reach.test_curation_reach import analyzed  # noqa: F401

PREFIX = "visualization"
FIGURES = {"drift_map", "motion", "traces_1", "traces_2", "traces_3"}


@pytest.fixture(scope="module")
def curated(analyzed, truth):  # noqa: F811
    import spikeinterface as si
    import spikeinterface.preprocessing as spre
    from spikeinterface.sortingcomponents.peak_detection import detect_peaks
    from spikeinterface.sortingcomponents.peak_localization import localize_peaks

    truth[1].save(folder=analyzed / "curation_r" / "curated")
    for name in ("postprocessing", "curation"):
        write_record(analyzed / f"{name}_r", name, units=4, good_units=2)
    traces = si.load(analyzed / "preprocessing_r" / "traces")
    peaks = detect_peaks(traces, method="by_channel", method_kwargs={"noise_levels": np.full(16, 8.0)})
    places = localize_peaks(traces, peaks, method="center_of_mass")
    motion = si.Motion([np.zeros((3, 1))], [np.array([1.0, 2.0, 3.0])], np.array([50.0]))
    info = {"parameters": {}, "run_times": {}, "peaks": peaks, "peak_locations": places, "motion": motion}
    spre.save_motion_info(info, analyzed / "preprocessing_r" / "motion")
    starts_s = np.linspace(0.8, 2.6, 8)
    write_record(write_events(analyzed / "events_b", {"XD0": ("other", starts_s, starts_s + 0.05)}), "events")
    return analyzed


@pytest.fixture(scope="module")
def seen(curated, data, tmp_path_factory, module_patch):
    import matplotlib.axes
    import matplotlib.figure
    import spikeinterface as si

    from capsules.visualization import drift_figures, peaks, trace_figures

    spy = Spy(module_patch)
    spy.watch(si, "set_global_job_kwargs")
    spy.watch(peaks, "detect_peaks")
    spy.watch(progress, "show_progress")
    spy.watch(drift_figures, "draw_drift_map")
    spy.watch(drift_figures, "draw_motion")
    spy.watch(trace_figures, "draw_traces")
    spy.watch(matplotlib.axes.Axes, "scatter")
    sizes = {}
    add = Gallery.add

    def keep_size(gallery, figure, name, *arguments, **named):
        sizes[name.split("/")[1]] = list(figure.get_size_inches())
        add(gallery, figure, name, *arguments, **named)

    module_patch.setattr(Gallery, "add", keep_size)
    task = task_for("visualization", changed_section(PARAMS, PREFIX), tmp_path_factory.mktemp("shown"), data)
    task.inputs = curated
    stage.run(task)
    return spy, task, sizes


def scatter_of(spy, cmap_owner):
    """The call that drew the peaks of the drift map, or after it of the motion figure."""
    drift, motion = [call for call in spy.calls["scatter"] if "cmap" in call][:2]
    return drift if cmap_owner == "drift" else motion


def most_points(spy, function, most_skipped):
    """Whether a figure, drawn again, has points for so many times MOST_POINTS peaks, and a density for one more."""
    from capsules.visualization import drift_figures
    from capsules.visualization.recording_data import Peaks

    count = len(spy.calls[function][0]["peaks"].seconds) // most_skipped * most_skipped
    images = []
    for extra in (0, 1):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(drift_figures, "MOST_POINTS", count // most_skipped)
            all_peaks = spy.calls[function][0]["peaks"]
            chosen = np.arange(count + extra) % len(all_peaks.seconds)
            peaks = Peaks(all_peaks.seconds[chosen], all_peaks.depths_um[chosen], all_peaks.amplitudes[chosen])
            figure = getattr(drift_figures, function)(**(spy.calls[function][0] | {"peaks": peaks}))
        images.append(len(figure.axes[0].images))
    return images == [0, 1]


def argument(function, path):
    return lambda spy, task, sizes, value: spy.saw(function, path, value)


def responses(task):
    """What the report gets of the units' responses to events."""
    return json.loads((task.out / "report.json").read_text())["units"]["events"]


def end_of(events):
    return events["start_s"] + events["bins"] * events["width_s"]


def spans(events, seconds, value):
    """Whether a part of the window is that long, to a whole bin."""
    return value <= seconds < value + events["width_s"]


def drawn(owner, name):
    return lambda spy, task, sizes, value: scatter_of(spy, owner)[name] == value


EVIDENCE = {
    "job_kwargs.chunk_duration": argument("set_global_job_kwargs", "chunk_duration"),
    "job_kwargs.progress_bar": argument("show_progress", "bars"),
    "output_format": lambda spy, task, sizes, value: {file.stem for file in task.out.rglob(f"*.{value}")} >= FIGURES,
    "timeseries.n_snippets_per_segment": lambda spy, task, sizes, value: len(spy.calls["draw_traces"]) == value,
    "timeseries.snippet_duration_s": argument("draw_traces", "duration_s"),
    "drift.detection.peak_sign": argument("detect_peaks", "detection.peak_sign"),
    "drift.detection.detect_threshold": argument("detect_peaks", "detection.detect_threshold"),
    "drift.detection.exclude_sweep_ms": argument("detect_peaks", "detection.exclude_sweep_ms"),
    "drift.localization.ms_before": argument("detect_peaks", "localization.ms_before"),
    "drift.localization.ms_after": argument("detect_peaks", "localization.ms_after"),
    "drift.localization.radius_um": argument("detect_peaks", "localization.radius_um"),
    "drift.n_skip": lambda spy, task, sizes, value: most_points(spy, "draw_drift_map", value),
    "drift.alpha": drawn("drift", "alpha"),
    "drift.vmin": drawn("drift", "vmin"),
    "drift.vmax": drawn("drift", "vmax"),
    "drift.cmap": drawn("drift", "cmap"),
    "drift.figsize": lambda spy, task, sizes, value: sizes["drift_map"] == value,
    "motion.cmap": drawn("motion", "cmap"),
    "motion.scatter_decimate": lambda spy, task, sizes, value: most_points(spy, "draw_motion", value),
    "motion.figsize": lambda spy, task, sizes, value: sizes["motion"] == value,
    "events.line": lambda spy, task, sizes, value: responses(task)["line"] == value,
    "events.edge": lambda spy, task, sizes, value: responses(task)["edge"] == value,
    "events.before_s": lambda spy, task, sizes, value: spans(responses(task), -responses(task)["start_s"], value),
    "events.after_s": lambda spy, task, sizes, value: spans(responses(task), end_of(responses(task)), value),
    "events.bin_ms": lambda spy, task, sizes, value: responses(task)["width_s"] == pytest.approx(value / 1000),
}


@pytest.mark.parametrize("name", stage_leaves(PREFIX))
def test_the_parameter_has_its_effect(name, seen):
    assert EVIDENCE[name](*seen, other_value(LEAVES[f"{PREFIX}.{name}"]))


@pytest.mark.parametrize("figure", ["drift", "motion"])
def test_a_figure_that_no_picture_can_hold_is_refused(figure):
    (problem,) = problems_of(PARAMS, {figure: {"figsize": [10, 700]}})
    assert "100" in str(problem)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["png", "svg", "pdf"])
def test_equal_figures_are_equal_files(form, curated, data, tmp_path):
    written = []
    for name in ("a", "b"):
        params = PARAMS.model_validate({"output_format": form, "events": {"line": "XD0", "after_s": 0.5}})
        task = task_for("visualization", params, tmp_path / name, data)
        task.inputs = curated
        stage.run(task)
        written.append({file.name: file.read_bytes() for file in task.out.rglob(f"*.{form}")})
        shown = json.loads((task.out / "report.json").read_text())
        hidden = {"channels", "units", "unit_summaries_1", "events", "psth", "psth_units_1"}
        assert shown["units"]["ids"] and len(shown["pictures"]) == len(
            {Path(file).stem for file in written[-1]} - hidden
        )
    assert written[0] == written[1]
    assert {Path(file).stem for file in written[0]} >= {
        "traces_1",
        "motion",
        "psd",
        "rms",
        "firing",
        "unit_yield",
        "events",
        "psth",
    }


@pytest.mark.parametrize("left", rest_is_slow(["nothing", "skipped", "traces"]))
def test_a_recording_is_shown_as_far_as_it_came(left, curated, data, tmp_path):
    """Preprocessing that failed leaves nothing, one that was skipped its record, a failed sorting the traces."""
    import spikeinterface as si

    inputs = tmp_path / "inputs"
    inputs.mkdir()
    if left == "traces":
        shutil.copytree(curated / "preprocessing_r", inputs / "preprocessing_r")
    if left == "skipped":
        (inputs / "preprocessing_r").mkdir()
        bad = {"dead": [str(channel) for channel in si.load(data / "rec").channel_ids[:2]]}
        write_record(inputs / "preprocessing_r", "preprocessing", status="skipped", bad_channels=bad)
    task = task_for("visualization", PARAMS(), tmp_path, data)
    task.inputs = inputs
    stage.run(task)
    figures = {Path(figure).stem for figure in task.record["facts"]["figures"]}
    assert figures >= {"traces_1", "traces_2", "channels", "rms", "psd"}
    assert ("drift_map" in figures) == (left == "traces")
    assert "unit_yield" not in figures
    assert "no units: postprocessing failed" in task.record["changes"]
    shown = json.loads((task.out / "report.json").read_text())
    assert shown["units"] is None
    recording = shown["recording"]
    assert (recording["duration_s"], recording["channels"], recording["start_s"]) == (4.0, 16, 0.0)
    assert len(recording["channels_noise"]["raw_uv"]) == 16
    for part in ("drift", "motion"):
        assert (recording[part] is not None) == (left == "traces")
    assert (recording["channels_noise"]["preprocessed_uv"] is not None) == (left == "traces")
    assert ("dead" in shown["probe"]["labels"]) == (left == "skipped")


def test_units_are_shown_without_labels_when_curation_failed(curated, data, tmp_path):
    inputs = tmp_path / "inputs"
    inputs.mkdir()
    for stage_before in ("preprocessing", "postprocessing"):
        (inputs / f"{stage_before}_r").symlink_to(curated / f"{stage_before}_r")
    task = task_for("visualization", PARAMS(), tmp_path, data)
    task.inputs = inputs
    stage.run(task)
    assert {Path(figure).stem for figure in task.record["facts"]["figures"]} >= {"firing", "unit_yield"}
    assert "no labels: curation failed" in task.record["changes"]
    units = json.loads((task.out / "report.json").read_text())["units"]
    assert units["labels"] == {} and units["query"] is None and units["metrics"]["num_spikes"]


def test_an_lf_stream_that_cannot_be_read_costs_only_its_figure(curated, data, tmp_path):
    reader = {"name": "spikeinterface", "kwargs": {"file_or_folder_path": "no such folder"}}
    task = task_for(
        "visualization", PARAMS(), tmp_path, data, lfp_reader=reader | {"path_arguments": ["file_or_folder_path"]}
    )
    task.inputs = curated
    stage.run(task)
    (change,) = [change for change in task.record["changes"] if change.startswith("no LFP power")]
    assert "cannot be read" in change
    assert json.loads((task.out / "report.json").read_text())["recording"]["lfp"] is None
    assert "quality_control/lfp.png" not in task.record["facts"]["figures"]


def test_the_query_is_the_one_that_curation_applied(curated, data, tmp_path):
    inputs = tmp_path / "inputs"
    shutil.copytree(curated, inputs, symlinks=True)
    file = inputs / "curation_r" / "stage.json"
    record = json.loads(file.read_text()) | {"params": {"query": "snr > 5"}}
    file.write_text(json.dumps(record))
    (inputs / "postprocessing_r" / "merge_candidates.json").write_text(
        json.dumps([{"units": ["0", "1"], "correlation": 0.95, "distance_um": 20.0, "refractory_ratio": None}])
    )
    task = task_for("visualization", PARAMS(), tmp_path, data)
    task.inputs = inputs
    stage.run(task)
    units = json.loads((task.out / "report.json").read_text())["units"]
    assert units["query"] == "snr > 5"
    (merge,) = units["merges"]
    assert (merge["units"], merge["similarity"], merge["dip"]) == ([0, 1], 0.95, None)
    assert [0, 1] in units["pairs"]["index"]


def test_a_recording_that_cannot_be_read_is_skipped(data, tmp_path):
    task = task_for("visualization", PARAMS(), tmp_path, data, failure="the file is cut off")
    assert perform(task, stage.run, tmp_path) == 0
    assert (task.record["status"], task.record["reason"]) == ("skipped", "the file is cut off")


ASKED = {"detection": {"detect_threshold": 6}}


@pytest.mark.parametrize(
    ("asked", "kept", "taken"),
    rest_is_slow(
        [
            ({}, {"detect_threshold": 6}, True),
            (ASKED, {"detect_threshold": 5}, False),
            ({"localization": {"radius_um": 90.0}}, {"detect_threshold": 6}, False),
            (ASKED, {"detect_threshold": 6}, True),
            ({}, {"motion_applied": True}, False),
        ]
    ),
)
def test_peaks_kept_by_preprocessing_are_drawn_unless_others_are_asked_for(asked, kept, taken, curated, data, tmp_path):
    """Settings that differ in one number, or traces that were moved since, are other peaks."""
    import spikeinterface as si
    import spikeinterface.preprocessing as spre

    localization = {"method": "center_of_mass", **DriftLocalization().model_dump()}
    radius = localization["radius_um"]
    detection = {"method": "locally_exclusive", **DriftDetection().model_dump(), "radius_um": radius}
    traces = si.load(curated / "preprocessing_r" / "traces")
    peaks, places = detect_peaks(traces, detection, localization)
    inputs = tmp_path / "inputs"
    shutil.copytree(curated, inputs)
    info = spre.load_motion_info(inputs / "preprocessing_r" / "motion") | {"peaks": peaks, "peak_locations": places}
    spre.save_motion_info(info, inputs / "preprocessing_r" / "motion", overwrite=True)
    file = inputs / "preprocessing_r" / "stage.json"
    record = json.loads(file.read_text())
    detection |= {name: value for name, value in kept.items() if name in detection}
    record["facts"]["peaks"] = {"count": len(peaks), "settings": complete_settings(detection, localization)}
    record["facts"]["motion_applied"] = kept.get("motion_applied", False)
    file.write_text(json.dumps(record))
    task = task_for("visualization", PARAMS.model_validate({"drift": asked}), tmp_path, data)
    task.inputs = inputs
    stage.run(task)
    assert task.record["facts"]["peaks_found_by"] == ("preprocessing" if taken else "visualization")
    # Another localization has as many peaks.
    assert (task.record["facts"]["peaks"] == len(peaks)) == (taken or "detection" not in asked)


def test_the_shortest_snippet_is_one_sample(truth):
    from capsules.visualization.trace_figures import draw_traces

    (image,) = draw_traces({"raw": (truth[0], 0.5)}, 1e-9).axes[0].images
    assert image.get_array().shape == (truth[0].get_num_channels(), 1)
