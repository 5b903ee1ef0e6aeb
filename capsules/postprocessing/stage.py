"""Postprocessing: build the sorting analyzer, drop duplicated units, compute every extension and metric."""

from __future__ import annotations

import warnings
from typing import Any, cast

import spikeinterface as si
from spikeinterface import BaseRecording, BaseSorting, SortingAnalyzer
from spikeinterface.core.zarrextractors import get_default_zarr_compressor
from spikeinterface.preprocessing import load_motion_info
from threadpoolctl import threadpool_limits

from capsules.common.errors import Skip
from capsules.common.facts import PostprocessingFacts, PreprocessingFacts, SpikesortingFacts
from capsules.common.files import write_json
from capsules.common.patches.faster_extensions import speed_up_postprocessing
from capsules.common.patches.faster_metrics import speed_up_isolation_metrics
from capsules.common.patches.faster_preprocessing import speed_up_noise_levels
from capsules.common.patches.template_metrics import mend_template_metrics
from capsules.common.recordings.motion import correct_motion
from capsules.common.recordings.traces import load_traces
from capsules.common.tasks.spikeinterface_jobs import set_job_kwargs
from capsules.common.tasks.task import Task
from capsules.postprocessing.duplicates import SimilarUnits
from capsules.postprocessing.empty_metrics import describe_empty_metrics, find_empty_metrics
from capsules.postprocessing.extension_params import find_refractory_period_ms
from capsules.postprocessing.params import PostprocessingParams, Sparsity
from capsules.postprocessing.translation import Arguments, find_peak_sign, read_seeds, translate_extensions

MIN_SPATIAL_CHANNELS = 3
"""With fewer, SpikeInterface's spread and velocity of a template fail."""
MIN_PRESENCE_BINS = 5
"""With fewer bins, the presence ratio is undefined."""
SEED = 0
"""Of the spikes that the analyzer estimates each unit's main channel from."""

BACKEND_OPTIONS = {"saving_options": {"compressor": get_default_zarr_compressor(clevel=1)}}
"""A fourth of the time of SpikeInterface's level 5 on waveforms, for files that are 6 % larger."""

PostprocessingTask = Task[PostprocessingParams]


def run(task: PostprocessingTask) -> None:
    set_job_kwargs(task, task.params.job_kwargs)
    recording = _load_traces(task)
    sorting = cast(BaseSorting, si.load(task.input("spikesorting", "spikesorted")))
    if sorting.get_num_units() == 0:
        raise Skip("the sorting has no units")
    in_uv = _in_uv(task, recording)
    extensions = _choose_extensions(task, recording, in_uv)
    analyzer = si.create_sorting_analyzer(
        sorting,
        recording,
        format="memory",
        sparse=True,
        peak_sign=find_peak_sign(task.params.extensions.model_dump()),
        seed=SEED,
        return_in_uV=in_uv,
        sparsity_kwargs=make_sparsity_arguments(task.params.sparsity),
    )
    analyzer = _remove_duplicates(task, analyzer, extensions)
    mend_template_metrics()
    speed_up_noise_levels()
    speed_up_postprocessing()
    speed_up_isolation_metrics()
    _compute(analyzer, extensions)
    _undefine_presence_ratio(task, analyzer)
    _report_empty_metrics(task, analyzer)
    analyzer.save_as(folder=task.out / "postprocessed.zarr", format="zarr", backend_options=BACKEND_OPTIONS)
    task.fact(units=analyzer.get_num_units(), extensions=sorted(extensions))
    preprocessing, spikesorting = task.input_facts(PreprocessingFacts), task.input_facts(SpikesortingFacts)
    task.leave(
        PostprocessingFacts(
            start_s=preprocessing.start_s,
            bad_electrodes=preprocessing.bad_electrodes,
            sorter=spikesorting.sorter,
            sorter_version=spikesorting.sorter_version,
        )
    )
    task.record["seeds"] = {"sorting_analyzer": SEED} | read_seeds(extensions)


def _load_traces(task: PostprocessingTask) -> BaseRecording:
    """The written traces, interpolated along the motion when the parameters ask and preprocessing did not."""
    recording: BaseRecording = load_traces(task)
    if not task.params.use_motion_corrected:
        return recording
    folder, record = task.input("preprocessing", "motion"), task.input_record("preprocessing")
    params = record["params"] if record else None
    if task.input_facts(PreprocessingFacts).motion_applied or not folder.exists() or params is None:
        task.change("use_motion_corrected has no effect: preprocessing applied the motion, or did not estimate it")
        return recording
    settings = params["motion_correction"]
    motion = load_motion_info(folder)["motion"]
    corrected: BaseRecording = correct_motion(
        recording, motion, settings["preset"], settings["interpolate_motion_kwargs"]
    )
    return corrected


def _in_uv(task: PostprocessingTask, recording: BaseRecording) -> bool:
    if task.params.return_in_uV and not recording.has_scaleable_traces():
        task.change("return_in_uV = false: the recording has no gains")
        return False
    return task.params.return_in_uV


def _choose_extensions(task: PostprocessingTask, recording: BaseRecording, in_uv: bool) -> dict[str, Arguments]:
    """The arguments of the extensions, without the template metrics that this recording does not allow."""
    extensions = translate_extensions(task.params.extensions.model_dump(), task.change)
    if not in_uv and extensions.pop("template_metrics", None) is not None:
        task.change("template_metrics are skipped: SpikeInterface computes them from templates in microvolts alone")
    settings = extensions.get("template_metrics", {})
    if recording.get_num_channels() < MIN_SPATIAL_CHANNELS and settings.get("include_multi_channel_metrics"):
        settings["include_multi_channel_metrics"] = False
        task.change(f"multi-channel template metrics are skipped: fewer than {MIN_SPATIAL_CHANNELS} channels")
    return extensions


def make_sparsity_arguments(sparsity: Sparsity) -> dict[str, Any]:
    """SpikeInterface's `estimate_sparsity` arguments: the method, and the setting that it uses."""
    setting = "radius_um" if sparsity.method == "radius" else "num_channels"
    return {"method": sparsity.method, setting: getattr(sparsity, setting)}


def _remove_duplicates(
    task: PostprocessingTask, analyzer: SortingAnalyzer, extensions: dict[str, Arguments]
) -> SortingAnalyzer:
    """Remove duplicated units; `merge_candidates.json` lists the similar pairs that remain."""
    spikes = extensions.get("random_spikes", {"seed": SEED})
    analyzer.compute({"random_spikes": spikes, "templates": {}})
    params = task.params
    refractory_ms = find_refractory_period_ms(params.extensions)
    similar = SimilarUnits(analyzer, params.duplicate_threshold, params.duplicate_shared_spikes, refractory_ms)
    duplicates, candidates = similar.duplicates, similar.merge_candidates
    task.fact(
        duplicated_units_removed=[duplicate.to_json() for duplicate in duplicates], merge_candidates=len(candidates)
    )
    write_json(task.out / "merge_candidates.json", [candidate.to_json() for candidate in candidates])
    removed = {duplicate.removed for duplicate in duplicates}
    if removed:
        analyzer = analyzer.select_units([unit for unit in analyzer.unit_ids if unit not in removed])
    for name in ("templates", "random_spikes"):
        if name not in extensions:
            analyzer.delete_extension(name)
    return analyzer


def _compute(analyzer: SortingAnalyzer, extensions: dict[str, Arguments]) -> None:
    """Compute all extensions; a metric that fails is an error here, while SpikeInterface only warns."""
    last = ("principal_components", "quality_metrics")
    steps = [{name: arguments for name, arguments in extensions.items() if name not in last}]
    steps += [{name: extensions[name]} for name in last if name in extensions]
    # The extensions compute many small matrix products on several cores at once: more threads would only wait.
    with threadpool_limits(1), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for step in steps:
            analyzer.compute(step)
    for warning in caught:
        if "Error computing metric" in str(warning.message):
            raise RuntimeError(str(warning.message))
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


def _undefine_presence_ratio(task: PostprocessingTask, analyzer: SortingAnalyzer) -> None:
    """Set it to NaN for few bins: SpikeInterface computes 1.0 for a unit of one spike in a single bin."""
    extension = analyzer.get_extension("quality_metrics")
    if extension is None or "presence_ratio" not in (table := extension.get_data()):
        return
    bin_s = extension.params["metric_params"]["presence_ratio"]["bin_duration_s"]
    bins = int(analyzer.get_total_duration() / bin_s)
    if bins < MIN_PRESENCE_BINS:
        table["presence_ratio"] = float("nan")
        task.change(
            f"presence_ratio is undefined: {bins} bins of {bin_s:g} s, fewer than the {MIN_PRESENCE_BINS} that it needs"
        )


def _report_empty_metrics(task: PostprocessingTask, analyzer: SortingAnalyzer) -> None:
    """Warn of every metric that is NaN for all units, with what it needs."""
    for name, columns in find_empty_metrics(analyzer).items():
        for sentence in describe_empty_metrics(analyzer, columns):
            task.warn(f"{name}: {sentence}")
        task.fact(**{f"nan_{name}": columns})
