"""Postprocessing: build the sorting analyzer, drop duplicated units, compute every extension and metric."""

from __future__ import annotations

import warnings
from typing import Any

from capsules.common.errors import Skip
from capsules.common.files import write_json
from capsules.common.patches.template_metrics import mend_template_metrics
from capsules.common.recordings.motion import motion_corrected
from capsules.common.recordings.traces import written_traces
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.postprocessing.empty_metrics import empty_metrics, sentences
from capsules.postprocessing.extension_params import refractory_period_ms
from capsules.postprocessing.params import Sparsity
from capsules.postprocessing.translation import extension_arguments, peak_sign, seeds

MIN_SPATIAL_CHANNELS = 3
"""With fewer, SpikeInterface's spread and velocity of a template fail."""
MIN_PRESENCE_BINS = 5
"""With fewer bins, the presence ratio is undefined."""
SEED = 0
"""Of the spikes that the analyzer finds each unit's main channel with."""


def run(task: Task) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    import spikeinterface as si

    recording = _traces(task)
    sorting = si.load(task.input("spikesorting", "spikesorted"))
    if sorting.get_num_units() == 0:
        raise Skip("the sorting has no units")
    given = task.params.extensions.model_dump()
    extensions = extension_arguments(given, task.change)
    in_uv = _in_uv(task, recording)
    if not in_uv and extensions.pop("template_metrics", None) is not None:
        task.change("template_metrics left out: SpikeInterface computes them from templates in microvolts alone")
    shape = extensions.get("template_metrics", {})
    if recording.get_num_channels() < MIN_SPATIAL_CHANNELS and shape.get("include_multi_channel_metrics"):
        shape["include_multi_channel_metrics"] = False
        task.change(f"multi-channel template metrics left out: fewer than {MIN_SPATIAL_CHANNELS} channels")
    analyzer = si.create_sorting_analyzer(
        sorting,
        recording,
        format="memory",
        sparse=True,
        peak_sign=peak_sign(given),
        seed=SEED,
        return_in_uV=in_uv,
        sparsity_kwargs=sparsity_arguments(task.params.sparsity),
    )
    analyzer = _without_duplicates(task, analyzer, extensions)
    mend_template_metrics()
    _compute(analyzer, extensions)
    _undefine_presence_ratio(task, analyzer)
    _report_empty_metrics(task, analyzer)
    analyzer.save_as(folder=task.out / "postprocessed.zarr", format="zarr")
    sorted_by, preprocessed = (task.input_record(stage)["facts"] for stage in ("spikesorting", "preprocessing"))
    task.fact(
        units=analyzer.get_num_units(),
        extensions=sorted(extensions),
        start_s=preprocessed["start_s"],
        bad_electrodes=preprocessed.get("bad_electrodes"),
        sorter=sorted_by["sorter"],
        sorter_version=sorted_by["sorter_version"],
    )
    task.record["seeds"] = {"sorting_analyzer": SEED} | seeds(extensions)


def _traces(task: Task) -> Any:
    """The written traces, interpolated along the drift when the parameters ask and it was not done before."""
    import spikeinterface.preprocessing as spre

    recording = written_traces(task)
    if not task.params.use_motion_corrected:
        return recording
    motion, record = task.input("preprocessing", "motion"), task.input_record("preprocessing")
    if record["facts"]["motion_applied"] or not motion.exists():
        task.change("use_motion_corrected has no effect: motion was applied in preprocessing, or not estimated")
        return recording
    estimated = record["params"]["motion_correction"]
    drift = spre.load_motion_info(motion)["motion"]
    return motion_corrected(recording, drift, estimated["preset"], estimated["interpolate_motion_kwargs"])


def sparsity_arguments(sparsity: Sparsity) -> dict[str, Any]:
    """SpikeInterface's `estimate_sparsity` arguments: the method, and the setting that it goes by."""
    setting = "radius_um" if sparsity.method == "radius" else "num_channels"
    return {"method": sparsity.method, setting: getattr(sparsity, setting)}


def _in_uv(task: Task, recording: Any) -> bool:
    if task.params.return_in_uV and not recording.has_scaleable_traces():
        task.change("return_in_uV = false: the recording has no gains")
        return False
    return task.params.return_in_uV


def _without_duplicates(task: Task, analyzer: Any, extensions: dict[str, dict]) -> Any:
    """The analyzer without duplicated units; `merge_candidates.json` lists the pairs that are similar and stay."""
    from capsules.postprocessing.duplicates import SimilarUnits

    spikes = extensions.get("random_spikes", {"seed": SEED})
    analyzer.compute({"random_spikes": spikes, "templates": {}})
    params = task.params
    refractory_ms = refractory_period_ms(params.extensions)
    similar = SimilarUnits(analyzer, params.duplicate_threshold, params.duplicate_shared_spikes, refractory_ms)
    duplicates, candidates = similar.duplicates, similar.merge_candidates
    task.fact(duplicated_units_removed=[duplicate.fact() for duplicate in duplicates], merge_candidates=len(candidates))
    write_json(task.out / "merge_candidates.json", [candidate.fact() for candidate in candidates])
    removed = {duplicate.removed for duplicate in duplicates}
    if removed:
        analyzer = analyzer.select_units([unit for unit in analyzer.unit_ids if unit not in removed])
    for name in ("templates", "random_spikes"):
        if name not in extensions:
            analyzer.delete_extension(name)
    return analyzer


def _compute(analyzer: Any, extensions: dict[str, dict]) -> None:
    """Compute all extensions; a metric that fails, which SpikeInterface only warns of, is an error here."""
    from threadpoolctl import threadpool_limits

    last = ("principal_components", "quality_metrics")
    steps = [{name: arguments for name, arguments in extensions.items() if name not in last}]
    steps += [{name: extensions[name]} for name in last if name in extensions]
    # The extensions do many small matrix products on several cores at once: within each, threads only wait for others.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in steps:
            # Processes: locating spikes holds the interpreter's lock, so threads would wait for each other. For each
            # unit's components SpikeInterface starts them anew: slower than one.
            analyzer.compute(step, **({"n_jobs": 1} if "principal_components" in step else {"pool_engine": "process"}))
    for warning in caught:
        if "Error computing metric" in str(warning.message):
            raise RuntimeError(str(warning.message))
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _undefine_presence_ratio(task: Task, analyzer: Any) -> None:
    """In a few bins nearly every unit is present: SpikeInterface gives 1.0 for a unit of one spike in a single bin."""
    extension = analyzer.get_extension("quality_metrics")
    if extension is None or "presence_ratio" not in (table := extension.get_data()):
        return
    bin_s = extension.params["metric_params"]["presence_ratio"]["bin_duration_s"]
    bins = int(analyzer.get_total_duration() / bin_s)
    if bins < MIN_PRESENCE_BINS:
        table["presence_ratio"] = float("nan")
        task.change(
            f"presence_ratio is undefined: {bins} bins of {bin_s:g} s, and at least {MIN_PRESENCE_BINS} are needed"
        )


def _report_empty_metrics(task: Task, analyzer: Any) -> None:
    """Name every metric that came out as NaN for all units, with what it needs."""
    for name, columns in empty_metrics(analyzer).items():
        for sentence in sentences(analyzer, columns):
            task.warn(f"{name}: {sentence}")
        task.fact(**{f"nan_{name}": columns})
