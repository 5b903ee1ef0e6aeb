"""The models and the schema agree on every document, and bad input is refused with its place and its cure."""

import json
import random
import re
from copy import deepcopy

import jsonschema
import pytest

from capsules import generate
from capsules.common.contract import SECTION_OF_STAGE
from capsules.common.errors import MOST_SHOWN, Rejected
from capsules.parameters.model import sections, set_dotted
from capsules.parameters.problems import problems_of
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.resolve import resolve
from capsules.spikesorting.sorters import SORTERS
from tests.halves import rest_is_slow
from tests.leaf_values import LEAVES, bad_values, is_fixed, other_value

ROOT = generate.ROOT
SCHEMA = json.loads((ROOT / "pipeline" / "default_params_schema.json").read_text())
DEFAULTS = json.loads((ROOT / "pipeline" / "default_params.json").read_text())
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)
SORTER = {"sorter": "spykingcircus2"}


def verdicts(document):
    """Whether the models take a document, and whether the schema does."""
    return not problems_of(PipelineParams, document), VALIDATOR.is_valid(document)


def refused(options, folder):
    with pytest.raises(Rejected) as refusal:
        resolve(options, folder)
    return refusal.value.problems


def places(document, path=()):
    yield path
    items = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    for key, value in items:
        yield from places(value, (*path, key))


VALUES = [None, True, False, 0, 1, -1, 2.0, 0.5, -0.0, 1e300, 2**70, "", "x", "1s", "1s\n", "500ms", "é", [], [1],
          [1.0, 2], ["a"], [None], [[1, 2]], [2, 4, 8], [2.0, 4.0, 8.0], {}, {"a": 1}, {"": None},
          {"reader_type": "x"}]  # fmt: skip


def mutate(document, chance):
    """Change one place of a document at random; returns the new document."""
    document = deepcopy(document)
    path = chance.choice([path for path in places(document) if path])
    holder = document
    for key in path[:-1]:
        holder = holder[key]
    key, value = path[-1], holder[path[-1]]
    kind = chance.choice(["replace", "delete", "rename", "add", "wrap", "nudge", "swap"])
    if kind == "delete":
        del holder[key]
    elif kind == "rename" and isinstance(holder, dict):
        holder[str(key) + chance.choice(["s", "_", " ", "\n"])] = holder.pop(key)
    elif kind == "add" and isinstance(value, dict):
        value[chance.choice(["extra", "", "$schema", "schema_", "seed", "query"])] = chance.choice(VALUES)
    elif kind == "wrap":
        holder[key] = chance.choice([[value], {"value": value}, str(value)])
    elif kind == "nudge" and isinstance(value, (int, float)):
        holder[key] = chance.choice([value + 0.5, -value, value * 1000, float(value), -1, str(value), bool(value)])
    elif kind == "nudge" and isinstance(value, str):
        holder[key] = chance.choice([value + "\n", value.upper(), " " + value, value[:-1]])
    elif kind == "swap" and isinstance(value, list):
        holder[key] = chance.choice([value[::-1], value + value, value[:1]])
    else:
        holder[key] = chance.choice(VALUES)
    return document


@pytest.mark.parametrize("mutants", rest_is_slow([150, 3000]))
def test_mutants_of_the_defaults_have_equal_verdicts(mutants):
    chance = random.Random(4)
    taken = 0
    for _ in range(mutants):
        mutant = DEFAULTS
        for _ in range(chance.choice([1, 1, 1, 2, 3])):
            mutant = mutate(mutant, chance)
        ours, schemas = verdicts(mutant)
        assert ours == schemas, problems_of(PipelineParams, mutant) or list(VALIDATOR.iter_errors(mutant))
        taken += ours
    assert mutants / 10 < taken < mutants * 9 / 10


@pytest.mark.parametrize("document", [None, 5, "x", [], True, {"$schema": 5}, {"$schema": "x"}, {}, {"schema_": "x"}])
def test_odd_documents_have_equal_verdicts(document):
    ours, schemas = verdicts(document)
    assert ours == schemas


def one(dotted, value):
    document = {}
    set_dotted(document, dotted, value)
    return document


BAD_DOCUMENTS = [(dotted, value) for dotted, leaf in LEAVES.items() for value in bad_values(leaf)]
BAD_DOCUMENTS += [
    (".".join((*path, name)), 1)
    for path, section in sections(PipelineParams)
    if section.model_config["extra"] == "forbid"
    for name in (f"{next(iter(section.model_fields), 'x')}_", "no such")
]


def test_there_are_more_than_200_malformed_documents():
    assert len(BAD_DOCUMENTS) > 200


def placed(problem, dotted, text):
    """Whether a problem names the parameter, and a line of the params file's text on which its name is."""
    at = re.match(r"params.json, line (\d+), column \d+: ", problem)
    key = dotted.split(".")[-1]
    return at and dotted in problem and (f'"{key}"' in text.splitlines()[int(at[1]) - 1] or f".{key}." in problem)


def test_a_malformed_document_is_refused_by_both():
    for dotted, value in BAD_DOCUMENTS:
        assert verdicts(one(dotted, value)) == (False, False), (dotted, value)


def apart(documents):
    """The documents in groups of as many as are told at once, none of whose parameters lies within another."""
    groups = []
    for dotted, value in documents:
        for group in groups:
            within = (f"{other}.".startswith(f"{dotted}.") or f"{dotted}.".startswith(f"{other}.") for other in group)
            if len(group) < MOST_SHOWN and not any(within):
                group[dotted] = value
                break
        else:
            groups.append({dotted: value})
    return groups


def test_malformed_parameters_are_refused_together_each_with_its_path(tmp_path):
    for group in apart(BAD_DOCUMENTS):
        document = {}
        for dotted, value in group.items():
            set_dotted(document, dotted, value)
        text = json.dumps(document, indent=1)
        (tmp_path / "params.json").write_text(text)
        problems = refused(SORTER | {"params_file": "params.json"}, tmp_path)
        assert len(problems) == len(group)
        for dotted, value in group.items():
            assert any(placed(problem, dotted, text) for problem in problems), (dotted, value)


@pytest.mark.slow
@pytest.mark.parametrize("dotted", sorted({dotted for dotted, _ in BAD_DOCUMENTS}))
def test_a_malformed_parameter_is_refused_alone_with_its_path(dotted, tmp_path):
    for value in [value for name, value in BAD_DOCUMENTS if name == dotted]:
        text = json.dumps(one(dotted, value), indent=1)
        (tmp_path / "params.json").write_text(text)
        (problem,) = refused(SORTER | {"params_file": "params.json"}, tmp_path)
        assert placed(problem, dotted, text), problem


@pytest.mark.parametrize("dotted", [dotted for dotted, leaf in LEAVES.items() if not is_fixed(leaf)])
def test_another_good_value_is_taken_by_both(dotted):
    value = other_value(LEAVES[dotted])
    assert value != LEAVES[dotted].default
    assert verdicts(one(dotted, value)) == (True, True)


TEXTS = {
    '{"curation": {"query": ' + "[" * 120 + "]" * 120 + "}}": "more than 100 brackets within each other",
    '{"curation": {"\\ud800": 1}}': "half of a surrogate pair",
    "\ufeff{}": "byte order mark",
    "{'curation': {}}": "single quotes",
    '{"curation": {} // why\n}': "a comment",
    '{"curation": {} /* why */}': "a comment",
    '{# why\n"curation": {}}': "a comment",
    '{"curation": {},}': "a comma before the closing bracket",
    '{"visualization": {"drift": {"figsize": [1, 2,]}}}': "a comma before the closing bracket",
    '{"curation": {"query": NaN}}': "NaN is not JSON",
    '{"preprocessing": {"min_preprocessing_duration": Infinity}}': "Infinity is not JSON",
    '{"preprocessing": {"min_preprocessing_duration": -Infinity}}': "-Infinity is not JSON",
    '{"preprocessing": {"min_preprocessing_duration": 1e999}}': "too large a number",
    '{"preprocessing": {"min_preprocessing_duration": ' + "9" * 400 + "}}": "too large a number",
    '{"preprocessing": {"min_preprocessing_duration": ' + "9" * 5000 + "}}": "cannot be read",
    '{"job_dispatch": {"debug": True}}': "True is not JSON; write true",
    '{"curation": {"query": None}}': "None is not JSON; write null",
    '{"curation": {}, "curation": {}}': "is given twice",
    '{"curation": {"query": "a", "query": "b"}}': "curation.query is given twice",
    '{"curation": {"query": "\\ud800"}}': "half of a surrogate pair",
    '{"curation": {"query": "\\u0000"}}': "NUL character",
    '{"curation": {"query": "a\nb"}}': "invalid control character",
    '{"curation": {"query" "a"}}': "expecting ':'",
    '{"curation": {} "nwb": {}}': "expecting ','",
    '{"curation": {}': "ends too early",
    "": "the file is empty",
    "   \n": "the file is empty",
    "[" * 100_000: "nested too deeply",
    "[]": "a JSON object is needed",
    "5": "a JSON object is needed",
    "null": "a JSON object is needed",
    '"x"': "a JSON object is needed",
    "{} {}": "extra data",
    '{"job_dispatch": {"debug_duration": 030}}': "expecting ','",
    '{"job_dispatch": {"debug_duration": .5}}': "expecting value",
    '{"job_dispatch": {"debug_duration": +5}}': "expecting value",
    '{"job_dispatch": {"debug_duration": 0x10}}': "expecting ','",
}


@pytest.mark.parametrize("text", TEXTS, ids=[text[:30] for text in TEXTS])
def test_a_text_that_is_not_json_is_named_for_what_it_is(text, tmp_path):
    (tmp_path / "params.json").write_text(text)
    (problem,) = refused(SORTER | {"params_file": "params.json"}, tmp_path)
    assert problem.startswith("params.json")
    assert TEXTS[text] in problem


CROSSED = {
    "preprocessing.bandpass_filter.freq_min: must be below": {
        "preprocessing": {"bandpass_filter": {"freq_min": 7000}}
    },
    "preprocessing.t_start: must be below preprocessing.t_stop": {"preprocessing": {"t_start": 5, "t_stop": 5}},
    "nwb.ecephys.lfp.filter.freq_min: must be below": {"nwb": {"ecephys": {"lfp": {"filter": {"freq_min": 500}}}}},
    "visualization.drift.vmin: must be below": {"visualization": {"drift": {"vmin": 0, "vmax": 0}}},
    'spikeinterface_info: is needed when job_dispatch.input is "spikeinterface"': {
        "job_dispatch": {"input": "spikeinterface"}
    },
    "spikeinterface_info: has an effect only when": {"job_dispatch": {"spikeinterface_info": {"reader_type": "intan"}}},
    "spikeinterface_info.reader_type: is missing": {
        "job_dispatch": {"input": "spikeinterface", "spikeinterface_info": '{"reader_kwargs": {}}'}
    },
    "spikeinterface_info: not JSON": {"job_dispatch": {"input": "spikeinterface", "spikeinterface_info": "{"}},
    "nwb_files: has an effect only when": {"job_dispatch": {"nwb_files": ["a.nwb"]}},
    "motion_correction.compute: is needed when": {
        "preprocessing": {"motion_correction": {"compute": False, "apply": True}}
    },
    "must be the same in all of these": {"postprocessing": {"extensions": {"spike_amplitudes": {"peak_sign": "pos"}}}},
    "unit_locations: needs templates, which is off": {"postprocessing": {"extensions": {"templates": None}}},
    "principal_components: needs waveforms": {"postprocessing": {"extensions": {"waveforms": None}}},
    "surface_channel_agar_probes_indices: must be a JSON object with integer values": {
        "nwb": {"ecephys": {"surface_channel_agar_probes_indices": '{"a": 1.5}'}}
    },
    "surface_channel_agar_probes_indices: must be empty or a JSON object": {
        "nwb": {"ecephys": {"surface_channel_agar_probes_indices": "imec0=5"}}
    },
    "ms_befor: no such setting in the library; did you mean 'ms_before'": {
        "postprocessing": {"extensions": {"waveforms": {"ms_befor": 1}}}
    },
    "detect_treshold: no such setting in the library; did you mean 'detect_threshold'": {
        "preprocessing": {"motion_correction": {"detect_kwargs": {"detect_treshold": 5}}}
    },
    "bandpas_filter: no such setting in the library; did you mean 'bandpass_filter'": {
        "preprocessing": {"custom_preprocessing_pipeline": {"bandpas_filter": {}}}
    },
    "common_reference.operatorr: no such setting": {
        "preprocessing": {"custom_preprocessing_pipeline": {"common_reference": {"operatorr": "median"}}}
    },
    "curation.query": {"curation": {"query": "__import__('os')"}},
    "starts a comment": {"curation": {"query": "snr > 5 # good\n and firing_rate > 1"}},
    "cannot be read: ": {"curation": {"query": "not " * 1200 + "snr > 5"}},
    "win_step_um: has an effect only when": {
        "preprocessing": {"motion_correction": {"estimate_motion_kwargs": {"win_step_um": 50}}}
    },
    "nt: must be odd; got 60": {"spikesorting": {"kilosort4": {"sorter": {"nt": 60}}}},
    "scaleproc: is needed when": {
        "spikesorting": {"sorter": "kilosort25", "kilosort25": {"sorter": {"skip_kilosort_preprocessing": True}}}
    },
    "snr.method: no such setting": {
        "postprocessing": {"extensions": {"quality_metrics": {"metric_params": {"snr": {"method": "extremum"}}}}}
    },
    "templates.ms_before: has an effect only when postprocessing.extensions.waveforms is null": {
        "postprocessing": {"extensions": {"templates": {"ms_before": 1}}}
    },
    "random_spikes.percentage: is needed when": {
        "postprocessing": {"extensions": {"random_spikes": {"method": "percentage"}}}
    },
    "valid_unit_periods: needs amplitude_scalings": {
        "postprocessing": {"extensions": {"valid_unit_periods": {}, "amplitude_scalings": None}}
    },
    "bin_ms: must be below postprocessing.extensions.correlograms.window_ms": {
        "postprocessing": {"extensions": {"correlograms": {"bin_ms": 60}}}
    },
    "lfp_highpass_freq_min: must be below": {"nwb": {"ecephys": {"lfp_highpass_freq_min": 2000}}},
    "detect_kwargs.method: the library has no 'typo'": {
        "preprocessing": {"motion_correction": {"detect_kwargs": {"method": "typo"}}}
    },
    "reader_type: the library has no 'intann'; did you mean 'intan'": {
        "job_dispatch": {"input": "spikeinterface", "spikeinterface_info": {"reader_type": "intann"}}
    },
    "bandpass_filter: must be an object with the step's settings; got 5": {
        "preprocessing": {"custom_preprocessing_pipeline": {"bandpass_filter": 5}}
    },
    "visualization.drift.cmap: the library has no 'virids'; did you mean 'viridis'": {
        "visualization": {"drift": {"cmap": "virids"}}
    },
}  # fmt: skip


@pytest.mark.parametrize("message", CROSSED)
def test_what_only_several_parameters_tell_is_refused_with_its_line(message, tmp_path):
    document = CROSSED[message]
    assert verdicts(document) == (True, True)
    (tmp_path / "params.json").write_text(json.dumps(document))
    problems = refused(SORTER | {"params_file": "params.json"}, tmp_path)
    assert any(message in problem for problem in problems), problems


def flag_of(dotted):
    """The stage whose arguments hold a parameter, and the parameter's name there."""
    for stage, path in SECTION_OF_STAGE.items():
        prefix = ".".join(path) + "."
        if dotted.startswith(prefix):
            return stage, dotted.removeprefix(prefix)
    raise LookupError(dotted)


def quoted(value):
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "'\\''") + "'"


def command_line(dotted, value):
    """Options that set one parameter by its dotted flag."""
    stage, name = flag_of(dotted)
    leaf = LEAVES[dotted]
    chosen = dotted.split(".")[1] if dotted.startswith("spikesorting.") and dotted != "spikesorting.sorter" else None
    options = {"sorter": chosen} if chosen else dict(SORTER)
    if leaf.type_name == "boolean" and isinstance(value, bool):
        return options | {f"{stage}_args": f"--{'' if value else 'no-'}{name}"}
    if leaf.is_boolean:
        return options | {f"{stage}_args": f"--set-{name}={quoted(value)}"}
    return options | {f"{stage}_args": f"--{name}={quoted(value)}"}


REACHABLE = [dotted for dotted, leaf in LEAVES.items() if not is_fixed(leaf)]


@pytest.mark.parametrize("dotted", REACHABLE)
def test_every_parameter_has_a_dotted_flag(dotted, tmp_path, monkeypatch):
    monkeypatch.setattr("capsules.resolve_params.resolve._whole_problems", lambda params, in_image: [])
    value = other_value(LEAVES[dotted])
    if dotted == "spikesorting.sorter":
        value = "kilosort25"
    resolved = resolve(command_line(dotted, value), tmp_path)
    stage, _ = flag_of(dotted)
    found = resolved.document()
    for key in dotted.split("."):
        found = found[key]
    if isinstance(value, dict):
        assert value.items() <= found.items()
    else:
        assert found == value
    assert resolved.origins.get(dotted) == f"--{stage}_args"


BAD_LINES = [
    command_line(dotted, value)
    for dotted, leaf in LEAVES.items()
    for value in bad_values(leaf)
    # As text these are good: a flag's text is not typed.
    if not (isinstance(value, str) and not leaf.choices and not leaf.pattern)
    and not (leaf.type_name.startswith("text") and not leaf.pattern)
    and not (leaf.type_name == "boolean" and isinstance(value, bool))
    and not (leaf.choices and value is None)
    and not (leaf.is_text_list and not isinstance(value, list))
]
BAD_LINES += [
    SORTER | {f"{stage}_args": text} for stage in SECTION_OF_STAGE for text in ("--nonsense", "stray", "--x=1", "'")
]
BAD_LINES += [
    {"sorter": "kilosort4", "spikesorting_args": text}
    for text in (
        "--kilosort25.sorter.nPCs 4",
        "--sorter.n_chan_bin 4",
        "--sorter.Th_universal 0",
        "--sorter.Th_universal",
        "--min-drift-channels x",
        "--sorter nonsense",
        "--kilosort4.sorter.Th_universl 9",
    )
]
BAD_LINES += [
    SORTER | {"spikesorting_args": "--clear-cache"},
    SORTER | {"postprocessing_args": "--skip-extensions waveform"},
    SORTER | {"postprocessing_args": "--extensions.waveforms '[1]'"},
    SORTER | {"postprocessing_args": "--extensions.waveforms '{'"},
    SORTER | {"preprocessing_args": "--motion apply --no-motion_correction.compute"},
    SORTER | {"preprocessing_args": "--motion"},
    SORTER | {"preprocessing_args": "--mot apply"},
    SORTER | {"job_dispatch_args": "--debug=false"},
    SORTER | {"n_jobs": "two"},
    SORTER | {"n_jobs": True},
    SORTER | {"n_jobs": 1.5},
    SORTER | {"runmode": "FAST"},
    SORTER | {"params_file": "nowhere.json"},
    {"sorter": "Kilosort4"},
    {"sorter": ["kilosort4"]},
    SORTER | {"runmode": ["fast"]},
    SORTER | {"max_memory": "banana"},
    SORTER | {"max_time": "soon"},
    SORTER | {"visualization_args": "--drift.figsize [0,1]"},
    SORTER | {"preprocessing_args": "--job_kwargs.chunk_duration 0s"},
    SORTER | {"nwb_ecephys_args": "--lfp.sampling_rate 0.5"},
    SORTER | {"curation_args": "--noise_neural_classifier ''"},
]


@pytest.mark.parametrize("every", rest_is_slow([12, 1]))
def test_malformed_command_lines_are_refused_each_naming_its_flag(tmp_path, every):
    assert len(BAD_LINES) > 100
    for options in BAD_LINES[::every]:
        problems = refused(options, tmp_path)
        given = [name for name in options if name != "sorter" or len(options) == 1]
        told = (f"--{given[0]}", str(options[given[0]]))
        assert any(text in problem for text in told for problem in problems), (options, problems)


@pytest.mark.parametrize(
    ("arguments", "waveforms"),
    [
        ("--extensions.waveforms.ms_before 1 --extensions.waveforms null --extensions.waveforms.ms_before 1.5", 1.5),
        ("--extensions.waveforms null --extensions.waveforms {}", 2.0),
        ('--skip-extensions waveforms --extensions.waveforms {"ms_before":4}', 4.0),
        ("--extensions.waveforms {} --extensions.waveforms.ms_before 2.5e0", 2.5),
    ],
)
def test_the_last_flag_counts(arguments, waveforms, tmp_path):
    arguments = arguments.replace('{"ms_before":4}', """'{"ms_before":4}'""")
    params = resolve(SORTER | {"postprocessing_args": arguments}, tmp_path).params
    assert params.postprocessing.extensions.waveforms.ms_before == waveforms


def test_sizes_and_negative_numbers_are_read(tmp_path):
    options = SORTER | {"max_memory": "16 GB", "max_time": "1h 30m", "visualization_args": "--drift.vmin -2e2"}
    assert resolve(options, tmp_path).params.visualization.drift.vmin == -200


def test_rules_are_told_beside_structural_mistakes(tmp_path):
    (tmp_path / "params.json").write_text('{"curation": {"qery": 1}, "preprocessing": {"t_start": 5, "t_stop": 2}}')
    problems = refused(SORTER | {"params_file": "params.json"}, tmp_path)
    assert any("curation.qery" in problem for problem in problems)
    assert any("preprocessing.t_start: must be below" in problem for problem in problems)


def test_without_a_sorter_only_that_is_told(tmp_path):
    (problem,) = refused({"spikesorting_args": "--sorter.Th_universal 8"}, tmp_path)
    assert "no sorter chosen" in problem


def test_skipping_what_others_need_is_refused_naming_them(tmp_path):
    problems = refused(SORTER | {"postprocessing_args": "--skip-extensions templates"}, tmp_path)
    assert any("unit_locations: needs templates, which is off" in problem for problem in problems)


@pytest.mark.parametrize("stage", SECTION_OF_STAGE)
def test_no_two_flags_of_a_stage_are_the_same(stage):
    from capsules.resolve_params.resolve import _parser

    for sorter in SORTERS if stage == "spikesorting" else [None]:
        assert _parser(stage, [sorter] if sorter else [])
