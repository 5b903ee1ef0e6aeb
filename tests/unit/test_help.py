"""`spikerelay --help` and `--version`, `params show`, completion in bash and zsh, and the workflow's help."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tomllib

import pytest

from capsules.__main__ import make_parser
from capsules.commands.completion import completion_script
from capsules.commands.params_show import explain, parameter_names
from capsules.commands.table import COMMANDS, GROUPS
from capsules.common.errors import Rejected
from capsules.parameters.model import Leaf, leaves
from capsules.resolve_params.options import OPTIONS
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.usage import workflow_help
from tests.docs_pages import ROOT

MOTION = "preprocessing.motion_correction"


def test_help_lists_each_command_below_its_group(spikerelay, capsys):
    with pytest.raises(SystemExit) as ended:
        spikerelay("--help")
    assert ended.value.code == 0
    lines = capsys.readouterr().out.splitlines()
    headings = [line.removesuffix(":") for line in lines if line.removesuffix(":") in GROUPS]
    assert headings == [group for group in GROUPS if any(command.group == group for command in COMMANDS.values())]
    for name, command in COMMANDS.items():
        (at,) = (number for number, line in enumerate(lines) if line.startswith(f"  spikerelay {name}")
                 and line.endswith(command.help))  # fmt: skip
        above = [line for line in lines[:at] if line.removesuffix(":") in GROUPS]
        assert above[-1] == f"{command.group}:"


def test_version_is_that_of_the_project(spikerelay, capsys):
    with pytest.raises(SystemExit) as ended:
        spikerelay("--version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (ended.value.code, capsys.readouterr().out) == (0, f"spikerelay {version}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_of_a_command_are_accepted_by_its_parser(name):
    assert COMMANDS[name].examples
    for example in COMMANDS[name].examples:
        words = shlex.split(example)
        # In `eval "$(spikerelay ...)"` the command is one word.
        words = shlex.split(words[1].strip("$()")) if words[0] == "eval" else words
        words = words[: words.index(">")] if ">" in words else words
        assert words[: 1 + len(name.split())] == ["spikerelay", *name.split()]
        make_parser(name).parse_args(words[1 + len(name.split()) :])


def test_the_help_of_a_run_lists_each_option_once_and_the_main_settings(monkeypatch):
    monkeypatch.setenv("COLUMNS", "110")
    text = make_parser("run").format_help()
    for name in OPTIONS:
        spelling = "--params" if name == "params_file" else f"--{name.replace('_', '-')}"
        assert sum(line.split()[:1] == [spelling] for line in text.splitlines()) == 1, name
    assert "--n_jobs" not in text and "--params-file" not in text
    assert text.index("--set PATH=VALUE") < text.index("--slurm-queue") < text.index("--preprocessing-args")
    names = parameter_names()
    settings = [line.split()[0] for line in text.partition("main settings")[2].splitlines() if line[2:3].isalpha()]
    settings = [setting for setting in settings if "." in setting]
    assert {"preprocessing.motion_correction.preset", "curation.query", "spikesorting.sorter"} <= set(settings)
    assert all(name.replace("SORTER", "kilosort4") in names for name in settings)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["help"], 0, "usage: spikerelay COMMAND"),
        (["params"], 2, "`params` needs a second word: `spikerelay params show` or `spikerelay params diff`"),
        (["plann"], 2, "unknown command 'plann'; did you mean 'plan'?"),
        (["sort", "data"], 2, "unknown command 'sort'; did you mean 'run'?"),
    ],
)
def test_words_that_are_no_command(words, code, said, spikerelay, capsys):
    with pytest.raises(SystemExit) as ended:
        spikerelay(*words)
    output = capsys.readouterr()
    assert ended.value.code == code and said in output.out + output.err


def shown(name):
    return "\n".join(explain(name))


def test_a_parameter_is_explained():
    text = shown("preprocessing.bandpass_filter.freq_min")
    for part in (
        "default  300.0",
        "range    > 0",
        "unit     Hz",
        "set      --set preprocessing.bandpass_filter.freq_min=VALUE",
        'flag     --preprocessing_args="--bandpass_filter.freq_min VALUE"',
        "rule     below preprocessing.bandpass_filter.freq_max",
    ):
        assert f"  {part}" in text
    preset = shown(f"{MOTION}.preset")
    assert "choices  dredge, dredge_fast," in preset
    assert preset.index("--motion-preset VALUE") < preset.index("--motion_correction.preset VALUE")
    assert "--motion skip|compute|apply" in shown(f"{MOTION}.apply")
    assert "--sorter.nt VALUE" in shown("spikesorting.kilosort4.sorter.nt")


def test_a_section_lists_what_it_contains():
    text = shown(MOTION)
    assert "  compute = true\n      Estimate the motion" in text
    assert "  estimate_motion_kwargs: section\n" in text
    assert '  preset = "dredge_fast" (dredge, dredge_fast, ' in text
    assert "  freq_min = 300.0 Hz (> 0)\n" in shown("preprocessing.bandpass_filter")
    assert "--motion skip|compute|apply" in text
    assert "--skip-extensions correlograms" in shown("postprocessing.extensions.correlograms")
    assert "      fast_mode = " in shown("postprocessing.extensions.correlograms")
    assert "passed on unchanged" in shown(f"{MOTION}.detect_kwargs.detect_threshold")
    assert "  nwb: section" in shown(None)


def test_every_parameter_and_section_is_explained():
    names = parameter_names()
    assert {name for name, subject in names.items() if isinstance(subject, Leaf)} == {
        leaf.dotted for leaf in leaves(PipelineParams) if leaf.dotted != "schema_"
    }
    for name in names:
        assert shown(name).splitlines()[0] == name


@pytest.mark.parametrize(
    ("wrong", "suggested"),
    [
        ("preprocessing.filter_typ", "preprocessing.filter_type"),
        ("motion_correction", MOTION),
        ("preprocesing.motion_correction.preset", f"{MOTION}.preset"),
        ("nothing_like_it", "lists the sections"),
        ("threshold", "job_dispatch.data_check.spike_threshold"),
    ],
)
def test_a_near_name_is_suggested(wrong, suggested, spikerelay):
    with pytest.raises(Rejected, match=suggested):
        shown(wrong)
    code, _, complaint = spikerelay("params", "show", wrong)
    assert (code, suggested in complaint) == (2, True)


def test_the_workflows_help_has_every_option_and_short_flag():
    text = workflow_help()
    for name in OPTIONS:
        assert f"--{name}" in text
    for leaf in leaves(PipelineParams):
        for flag in leaf.flags:
            assert f"    {flag}" in text
    assert max(map(len, text.splitlines())) <= 120


COMPLETE = {
    "bash": """{script}
COMP_WORDS=({words}) COMP_CWORD={index}
_spikerelay
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
    # compinit asks a question where the folder of the functions has other owners; -u answers it.
    "zsh": """autoload -U +X compinit && compinit -u -d {dump}
{script}
COMP_WORDS=({words}) COMP_CWORD={index}
setopt ksh_arrays sh_word_split
_spikerelay
printf '%s\\n' "${{COMPREPLY[@]}}"
""",
}


@pytest.fixture(scope="module")
def scripts():
    return {shell: completion_script(shell) for shell in COMPLETE}


@pytest.mark.parametrize("shell", COMPLETE)
@pytest.mark.parametrize(
    ("words", "offered", "others"),
    [
        (["va"], ["validate"], ["plan"]),
        (["params", ""], ["show", "diff"], ["validate"]),
        (["params", "show", f"{MOTION}.pre"], [f"{MOTION}.preset"], [MOTION]),
        (["plan", "--sor"], ["--sorter"], ["--sessions"]),
        (["plan", "--sorter", "ki"], ["kilosort4", "kilosort25"], ["lupin"]),
        (["plan", "--data", ""], [], ["--sorter"]),
        (["validate", ""], [], ["--help"]),
        (["export", "x", "--to", ""], ["phy"], []),
        (["completion", ""], ["bash", "zsh"], []),
    ],
)
def test_completion(shell, words, offered, others, scripts, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    quoted = " ".join(f"'{word}'" for word in ["spikerelay", *words])
    code = COMPLETE[shell].format(script=scripts[shell], words=quoted, index=len(words), dump=tmp_path / "dump")
    options = ["-f"] if shell == "zsh" else ["--norc", "--noprofile"]
    done = subprocess.run([shell, *options, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    # zsh itself removes the words that do not begin with what was typed.
    found = [word for word in done.stdout.split() if word.startswith(words[-1])]
    assert set(offered) <= set(found) and not set(others) & set(found)
    assert bool(found) == bool(offered)
