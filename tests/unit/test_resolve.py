import json
import subprocess
import sys

import jsonschema
import pytest

from capsules import generate
from capsules.common.errors import Rejected
from capsules.common.units.metric_names import metric_columns
from capsules.resolve_params.options import convert_texts
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.resolve import resolve

SORTER = {"sorter": "spykingcircus2"}


def problems(options, folder):
    with pytest.raises(Rejected) as refused:
        resolve(options, folder)
    return refused.value.problems


@pytest.fixture
def params_file(tmp_path):
    def write(document):
        (tmp_path / "params.json").write_text(document if isinstance(document, str) else json.dumps(document))
        return SORTER | {"params_file": "params.json"}

    return write


def test_defaults_are_the_manuals(tmp_path):
    params = resolve(SORTER, tmp_path).params
    assert params.job_dispatch.input == "openephys"
    assert params.preprocessing.motion_correction.preset == "dredge_fast"
    estimate = params.preprocessing.motion_correction.estimate_motion_kwargs
    assert (estimate.win_step_norm, estimate.win_scale_norm) == (0.1, 0.1)
    assert params.postprocessing.extensions.quality_metrics.metric_params.silhouette.method == ["simplified"]
    assert params.nwb.ecephys.backend == "zarr"
    assert params.visualization.drift.figsize == [10, 10]


def test_the_later_one_wins_and_is_named(tmp_path, params_file):
    options = params_file({"preprocessing": {"motion_correction": {"compute": True, "preset": "dredge"}}})
    assert resolve(options, tmp_path).origins["preprocessing.motion_correction.preset"] == "params file"
    fast = resolve(options | {"runmode": "fast"}, tmp_path)
    assert not fast.params.preprocessing.motion_correction.compute
    assert fast.params.preprocessing.motion_correction.preset == "dredge"
    assert fast.params.postprocessing.extensions.spike_locations is None
    assert fast.origins["postprocessing.extensions.spike_locations"] == "--runmode fast"
    back = resolve(options | {"runmode": "fast", "preprocessing_args": "--motion apply"}, tmp_path)
    assert back.params.preprocessing.motion_correction.compute
    assert back.params.preprocessing.motion_correction.apply
    assert back.origins["preprocessing.motion_correction.apply"] == "--preprocessing_args"
    assert "preprocessing.motion_correction.compute" not in back.origins


def test_the_files_sorter_wins_over_the_option(tmp_path, params_file):
    assert (
        resolve(params_file({"spikesorting": {"sorter": "kilosort4"}}), tmp_path).params.spikesorting.sorter
        == "kilosort4"
    )
    assert (
        resolve(params_file({"spikesorting": {"sorter": None}}), tmp_path).params.spikesorting.sorter
        == "spykingcircus2"
    )


def test_a_task_gets_only_the_chosen_sorters_section(tmp_path):
    (sorting,) = resolve(SORTER, tmp_path).sortings()
    section = sorting["section"]
    assert set(section) == {"sorter", "spykingcircus2"}


def test_the_manuals_example(tmp_path):
    options = {
        "n_jobs": 16,
        "sorter": "kilosort4",
        "job_dispatch_args": "--input spikeglx --debug --debug-duration 120",
        "preprocessing_args": "--motion compute --motion-preset nonrigid_fast_and_accurate",
        "nwb_ecephys_args": "--skip-lfp",
    }
    params = resolve(options, tmp_path).params
    assert (params.job_dispatch.input, params.job_dispatch.debug, params.job_dispatch.debug_duration) == (
        "spikeglx",
        True,
        120,
    )
    assert params.preprocessing.motion_correction.preset == "nonrigid_fast_and_accurate"
    assert not params.nwb.ecephys.write_lfp


def test_quoted_values_keep_their_blanks(tmp_path):
    params = resolve(SORTER | {"curation_args": "--query 'snr > 5 and firing_rate > 1'"}, tmp_path).params
    assert params.curation.query == "snr > 5 and firing_rate > 1"


def test_short_flags_of_the_sorters_set_the_chosen_one(tmp_path):
    params = resolve(SORTER | {"spikesorting_args": "--min-drift-channels 50"}, tmp_path).params
    assert params.spikesorting.spykingcircus2.min_drift_channels == 50


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"preprocesing": {}}, "preprocesing: unknown parameter; did you mean 'preprocessing'?"),
        (
            {"preprocessing": {"filter_typ": "highpass"}},
            "preprocessing.filter_typ: unknown parameter; did you mean 'filter_type'",
        ),
        (
            {"job_dispatch": {"split_segments": "false"}},
            'line 1, column 19: job_dispatch.split_segments: must be boolean; got "false"',
        ),
        ({"preprocessing": {"max_bad_channel_fraction": 2}}, "must be number >= 0, <= 1; got 2"),
        ({"preprocessing": {"denoising_strategy": "car"}}, 'must be one of cmr, destripe; got "car"'),
        ({"curation": {"query": "import os"}}, "curation.query: cannot be read"),
        ("[]", "a JSON object is needed"),
        ({"spikesorting": None}, "spikesorting: "),
        ({"nwb": []}, "nwb: "),
        ('{"curation": {}, "curation": {}}', "line 1, column 18: curation is given twice"),
        ('{"curation": {"query": NaN}}', "NaN is not JSON"),
        ('{"curation": {},}', "line 1, column 16: a comma before the closing bracket"),
    ],
)
def test_a_mistake_in_the_file_is_named(tmp_path, params_file, document, message):
    assert any(message in problem for problem in problems(params_file(document), tmp_path))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sorter": "kilosort3"}, "--sorter: must be one of"),
        ({"sorter": "spykingcircus2", "runmode": "slow"}, "--runmode: must be one of full, fast"),
        ({"sorter": "spykingcircus2", "n_jobs": 0}, "--n_jobs"),
        ({"sorter": "spykingcircus2", "n_job": 2}, "--n_job: unknown option; did you mean 'n_jobs'"),
        (
            {"sorter": "spykingcircus2", "preprocessing_args": "--motion sometimes"},
            "--motion: must be one of skip, compute, apply",
        ),
        (
            {"sorter": "spykingcircus2", "preprocessing_args": "--motion_correction.compute=maybe"},
            "ignored explicit argument",
        ),
        ({"sorter": "spykingcircus2", "curation_args": "--query 'unclosed"}, "No closing quotation"),
        (
            {"sorter": "spykingcircus2", "nwb_ecephys_args": "--backend netcdf"},
            "--nwb_ecephys_args: --backend: must be",
        ),
        ({}, "no sorter chosen"),
        ({"sorter": "kilosort25"}, "ks2_5_compiled"),
    ],
)
def test_a_mistake_on_the_command_line_is_named(tmp_path, options, message, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert any(message in problem for problem in problems(options, tmp_path))


def test_all_mistakes_are_told_at_once(tmp_path, params_file):
    options = params_file({"preprocessing": {"filter_type": 3}, "curation": {"qery": ""}}) | {"runmode": "x", "foo": 1}
    assert len(problems(options, tmp_path)) == 4


def test_generated_files_are_up_to_date():
    # In a process of its own: what other tests import registers further colour maps.
    check = [sys.executable, "-m", "capsules.generate", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False, cwd=generate.ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_default_file_meets_the_schema_and_changes_nothing():
    schema = json.loads((generate.ROOT / "pipeline" / "default_params_schema.json").read_text())
    defaults = json.loads((generate.ROOT / "pipeline" / "default_params.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(defaults, schema)
    jsonschema.validate({"$schema": "./default_params_schema.json", "job_dispatch": {"input": "nwb"}}, schema)
    assert PipelineParams.model_validate(defaults) == PipelineParams()
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"curation": {"qery": ""}}, schema)


SHORT_FLAGS = {
    "job_dispatch": "--input spikeinterface --debug --debug-duration 5 --no-split-segments --no-split-groups "
    "--skip-timestamps-check --multi-session --min-recording-duration 3 "
    '--spikeinterface-info \'{"reader_type": "intan"}\'',
    "preprocessing": "--denoising destripe --filter-type bandpass --no-remove-out-channels --no-remove-bad-channels "
    "--max-bad-channel-fraction 0.3 --motion apply --motion-preset dredge --motion-temporal-bin-s 2 --t-start 1 "
    "--t-stop 9 --min-duration-for-preprocessing 7",
    "spikesorting": "--raise-if-fails --skip-motion-correction --min-drift-channels 9 --clear-cache",
    "postprocessing": "--use-motion-corrected --skip-extensions isi_histograms,correlograms",
    "curation": "--noise-strategy both",
    "visualization": "--output-format svg",
    "nwb_ecephys": "--backend hdf5 --stub --stub-seconds 4 --skip-lfp --write-raw --lfp_temporal_factor 3 "
    "--lfp_spatial_factor 5 --lfp_highpass_freq_min 0.5 --surface_channel_agar_probes_indices '{\"ProbeA\": 3}'",
}
"""The flags that users type, all of them."""


def test_every_short_flag_sets_its_parameter(tmp_path):
    options = {"sorter": "kilosort4"} | {f"{stage}_args": text for stage, text in SHORT_FLAGS.items()}
    params = resolve(options, tmp_path).params
    dispatch, traces, sorting = params.job_dispatch, params.preprocessing, params.spikesorting.kilosort4
    assert (dispatch.input, dispatch.debug, dispatch.debug_duration) == ("spikeinterface", True, 5)
    assert (dispatch.split_segments, dispatch.split_groups, dispatch.multi_session) == (False, False, True)
    assert (dispatch.skip_timestamps_check, dispatch.min_recording_duration) == (True, 3)
    assert dispatch.spikeinterface_info.reader_type == "intan"
    assert (traces.denoising_strategy, traces.filter_type) == ("destripe", "bandpass")
    assert (traces.remove_out_channels, traces.remove_bad_channels) == (False, False)
    assert (traces.max_bad_channel_fraction, traces.min_preprocessing_duration) == (0.3, 7)
    assert (traces.t_start, traces.t_stop) == (1, 9)
    motion = traces.motion_correction
    assert (motion.compute, motion.apply, motion.preset) == (True, True, "dredge")
    assert motion.estimate_motion_kwargs.bin_s == 2
    assert (sorting.raise_if_fails, sorting.skip_motion_correction) == (True, True)
    assert (sorting.min_drift_channels, sorting.clear_cache) == (9, True)
    extensions = params.postprocessing.extensions
    assert params.postprocessing.use_motion_corrected
    assert (extensions.isi_histograms, extensions.correlograms) == (None, None)
    assert params.curation.noise_strategy == "both"
    assert params.visualization.output_format == "svg"
    nwb = params.nwb.ecephys
    assert (nwb.backend, nwb.stub, nwb.stub_seconds) == ("hdf5", True, 4)
    assert (nwb.write_lfp, nwb.write_raw) == (False, True)
    assert (nwb.lfp_temporal_factor, nwb.lfp_spatial_factor, nwb.lfp_highpass_freq_min) == (3, 5, 0.5)
    assert nwb.surface_channel_agar_probes_indices == '{"ProbeA": 3}'


def test_nwb_files_may_be_a_list_of_names(tmp_path):
    for text in ("a.nwb,b.nwb", '\'["a.nwb", "b.nwb"]\''):
        options = SORTER | {"job_dispatch_args": f"--input nwb --nwb-files {text}"}
        assert resolve(options, tmp_path).params.job_dispatch.nwb_files == ["a.nwb", "b.nwb"]


def test_the_default_file_equals_no_file_but_for_its_input_being_named():
    named = SORTER | {"params_file": "pipeline/default_params.json"}
    with_file, without = resolve(named, generate.ROOT), resolve(SORTER, generate.ROOT)
    assert with_file.params == without.params
    assert with_file.origins == without.origins == {"spikesorting.sorter": "--sorter"}
    assert (with_file.input_is_set, without.input_is_set) == (True, False)


def test_several_sorters_each_get_a_section_and_a_suffix(tmp_path):
    arguments = "--kilosort4.sorter.nblocks 0 --lupin.skip_motion_correction"
    resolved = resolve({"sorter": "kilosort4,lupin", "spikesorting_args": arguments}, tmp_path)
    first, second = resolved.sortings()
    assert [(one["name"], one["suffix"], one["gpu"]) for one in (first, second)] == [
        ("kilosort4", "_kilosort4", True),
        ("lupin", "_lupin", False),
    ]
    assert set(first["section"]) == {"sorter", "kilosort4"}
    assert first["section"]["sorter"] == "kilosort4"
    assert first["section"]["kilosort4"]["sorter"]["nblocks"] == 0
    assert second["section"]["lupin"]["skip_motion_correction"] is True
    assert resolved.notes == ["each recording is sorted 2 times, by kilosort4 and lupin"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"sorter": "kilosort4,kilosort5"}, "got 'kilosort5'; did you mean 'kilosort25'?"),
        ({"sorter": "kilosort4,"}, "got ''"),
        ({"sorter": "lupin,lupin"}, "--sorter: lupin is named twice"),
        ({"sorter": "lupin", "n_gpus": -1}, "--n_gpus: must be an integer of at least 0; got -1"),
        ({"sorter": "lupin,kilosort4", "spikesorting_args": "--skip-motion-correction"}, "--skip-motion-correction"),
        (
            {"sorter": "spykingcircus2,lupin", "spikesorting_args": "--lupin.sorter.freq_min 8000"},
            "spikesorting.lupin.sorter.freq_min: must be below spikesorting.lupin.sorter.freq_max",
        ),
        ({"sorter": "spykingcircus2,kilosort25"}, "kilosort25 needs a CUDA GPU"),
    ],
)
def test_several_sorters_are_checked_like_one(options, told, tmp_path):
    with pytest.raises(Rejected) as refusal:
        resolve(options, tmp_path)
    assert any(told in problem for problem in refusal.value.problems), refusal.value.problems


def test_a_sorter_option_that_the_file_overrules_is_told(tmp_path):
    (tmp_path / "p.json").write_text('{"spikesorting": {"sorter": "lupin"}}')
    resolved = resolve({"sorter": "kilosort4", "params_file": "p.json"}, tmp_path)
    assert resolved.sorters == ["lupin"]
    assert resolved.notes == ["--sorter kilosort4 has no effect: the parameters name lupin"]


EXTENSIONS = "postprocessing.extensions"


@pytest.mark.parametrize(
    ("query", "extensions", "message"),
    [
        ("snrr > 5", {}, "no metric 'snrr'; did you mean 'snr'?"),
        ("__class__ > 5", {}, "no metric '__class__'"),
        ("drift > 5", {}, "'drift' is a metric with several values: drift_ptp, drift_std, drift_mad"),
        ("half_width > 5", {}, "'half_width' is a metric with several values: trough_half_width, peak_half_width"),
        ("sd_ratio > 5", {}, f"sd_ratio is not computed: add 'sd_ratio' to {EXTENSIONS}.quality_metrics.metric_names"),
        (
            "snr > 5 and l_ratio < 1",
            {"quality_metrics": {"metric_names": ["snr", "d_prime"]}},
            f"l_ratio is not computed: add 'mahalanobis' to {EXTENSIONS}.quality_metrics.metric_names",
        ),
        (
            "spread > 1 and recovery_slope > 1",
            {"template_metrics": {"metric_names": ["half_width"]}},
            f"recovery_slope is not computed: add 'recovery_slope' to {EXTENSIONS}.template_metrics.metric_names",
        ),
        (
            "spread > 5",
            {"template_metrics": {"include_multi_channel_metrics": False}},
            f"spread is not computed: {EXTENSIONS}.template_metrics.include_multi_channel_metrics is false",
        ),
        ("snr > 5", {"quality_metrics": None}, f"snr needs {EXTENSIONS}.quality_metrics, which is off (null)"),
        ("spread > 5", {"template_metrics": None}, f"spread needs {EXTENSIONS}.template_metrics, which is off (null)"),
        ("drift_ptp > 5", {"spike_locations": None}, f"drift_ptp needs {EXTENSIONS}.spike_locations, which is off"),
        ("snr > 5", {"noise_levels": None}, f"snr needs {EXTENSIONS}.noise_levels, which is off (null)"),
        (
            "amplitude_cv_range > 5",
            {
                "quality_metrics": {"metric_params": {"amplitude_cv": {"amplitude_extension": "amplitude_scalings"}}},
                "amplitude_scalings": None,
            },
            f"amplitude_cv_range needs {EXTENSIONS}.amplitude_scalings, which is off (null)",
        ),
    ],
)
def test_a_query_over_what_is_not_computed_is_refused(query, extensions, message, tmp_path, params_file):
    document = {"curation": {"query": query}, "postprocessing": {"extensions": extensions}}
    (problem,) = problems(params_file(document), tmp_path)
    assert "params.json, line 1, column 15: curation.query: " in problem
    assert message in problem


@pytest.mark.parametrize(
    ("query", "extensions"),
    [
        ("isolation_distance > 5 and l_ratio < 1", {"quality_metrics": {"metric_names": ["isolation_distance"]}}),
        ("l_ratio < 1", {"quality_metrics": {"metric_names": ["mahalanobis"]}}),
        ("nn_hit_rate > 0.5 and sync_spike_2 < 1 and drift_mad < 5 and num_spikes > 1", {}),
        ("trough_half_width > 0 and velocity_above > 0 and exp_decay > 0 and spread > 0", {}),
        ("trough_half_width > 0 and spread > 0", {"template_metrics": {"metric_names": ["half_width"]}}),
        (
            "spread > 0",
            {"template_metrics": {"include_multi_channel_metrics": False, "metric_names": ["half_width", "spread"]}},
        ),
        (None, {"quality_metrics": None}),
        ("", {"quality_metrics": None}),
        ("1 < 2", {"quality_metrics": None}),
    ],
)
def test_a_query_over_what_is_computed_is_taken(query, extensions, tmp_path, params_file):
    document = {"curation": {"query": query}, "postprocessing": {"extensions": extensions}}
    assert resolve(params_file(document), tmp_path).params.curation.query == query


def test_a_fast_run_has_what_the_default_query_needs_and_says_what_it_lacks(tmp_path):
    assert resolve(SORTER | {"runmode": "fast"}, tmp_path).params.curation.query
    options = SORTER | {"runmode": "fast", "curation_args": "--query 'nn_hit_rate > 0.5'"}
    (problem,) = problems(options, tmp_path)
    assert problem.startswith("--curation_args: --query: curation.query: nn_hit_rate needs ")
    assert "principal_components, which is off (null)" in problem


def test_the_metrics_columns_are_those_of_the_installed_library():
    from spikeinterface.core.sortinganalyzer import get_extension_class

    for extension, metrics in metric_columns().items():
        columns = [column for given in metrics.values() for column in given]
        assert columns == list(get_extension_class(extension).get_metric_columns())
        assert len(set(columns)) == len(columns)


def test_options_that_arrive_as_texts_become_values(tmp_path):
    texts = {"n_jobs": "4", "max_cpus": "2", "overwrite": "false", "release_intermediates": "true", "slurm_jobs": "9"}
    values = convert_texts(texts | {"slurm_scratch": "false", "max_memory": "16 GB", "params_file": "1"})
    assert values == {
        "n_jobs": 4, "max_cpus": 2, "overwrite": False, "release_intermediates": True, "slurm_jobs": 9,
        "slurm_scratch": False, "max_memory": "16 GB", "params_file": "1",
    }  # fmt: skip
    wrong = convert_texts(SORTER | {"n_jobs": "1.5", "n_gpus": "-1", "overwrite": "perhaps", "max_cpus": "0"})
    assert problems(wrong, tmp_path) == [
        "--n_jobs: must be an integer of at least 1; got '1.5'",
        "--n_gpus: must be an integer of at least 0; got '-1'",
        "--max_cpus: must be an integer of at least 1; got 0",
        "--overwrite: takes no value; got 'perhaps'",
    ]
