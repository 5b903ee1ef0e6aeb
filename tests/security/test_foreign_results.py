"""Results folders of somebody else that try to have something run, or that are broken."""

from __future__ import annotations

import ast
import json
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ID = "a_recording1"


class Harm:
    """Its pickle makes a file when it is read."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return subprocess.check_call, (["touch", str(self.canary)],)


@pytest.fixture(scope="module")
def analyzer():
    """A small sorting analyzer (spikeinterface SortingAnalyzer) with templates."""
    import spikeinterface as si

    recording, sorting = si.generate_ground_truth_recording(durations=[1.0], num_channels=4, num_units=2, seed=0)
    made = si.create_sorting_analyzer(sorting, recording)
    made.compute(["random_spikes", "templates"])
    return made


@pytest.fixture
def foreign(tmp_path, analyzer):
    """A results folder with one recording, as far as the commands look at it before they load units."""
    results = tmp_path / "results"
    (results / "curated").mkdir(parents=True)
    entry = {"recording": ID, "sorter": "x", "status": "ok", "reason": None, "stages": {}}
    (results / "status.json").write_text(json.dumps({"recordings": {ID: entry}, "blocks": {}}))
    analyzer.save_as(format="zarr", folder=results / "postprocessed" / f"{ID}.zarr")
    return results


def plant_templates(folder, analyzer, harm):
    analyzer.save_as(format="binary_folder", folder=folder)
    (folder / "extensions" / "templates" / "x.pkl").write_bytes(harm)


def plant_recording(folder, analyzer, harm):
    analyzer.save_as(format="binary_folder", folder=folder)
    (folder / "recording.json").unlink(missing_ok=True)
    (folder / "recording.pickle").write_bytes(harm)


def plant_cached(folder, analyzer, harm):
    folder.mkdir()
    (folder / "cached.pkl").write_bytes(harm)


def plant_sorter_folder(folder, analyzer, harm):
    analyzer.sorting.save(folder=folder / "sorter_output" / "sorting")
    (folder / "spikeinterface_params.json").write_text("{}")
    log = {"sorter_name": "spykingcircus2", "sorter_version": "1", "error": False}
    (folder / "spikeinterface_log.json").write_text(json.dumps(log))
    (folder / "spikeinterface_recording.pickle").write_bytes(harm)


PLANTS = [plant_templates, plant_recording, plant_cached, plant_sorter_folder]


def test_spikeinterface_runs_what_the_tests_plant(tmp_path, analyzer):
    """In a process without the guard every canary sings, so that the next test can fail."""
    folders = [str(tmp_path / plant.__name__) for plant in PLANTS]
    for plant, folder in zip(PLANTS, folders, strict=True):
        plant(Path(folder), analyzer, pickle.dumps(Harm(Path(f"{folder}.sung"))))
    lines = ["import contextlib", "import spikeinterface as si", f"for folder in {folders!r}:"]
    lines += ["    with contextlib.suppress(Exception):", "        si.load(folder)"]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, check=True)
    assert [folder for folder in folders if not Path(f"{folder}.sung").exists()] == []


@pytest.mark.parametrize("plant", PLANTS)
def test_a_foreign_results_folder_runs_nothing(foreign, tmp_path, analyzer, spikerelay, plant):
    """`hash`, `export` and `curate` say in one line that it is no sorting of ours; so does `load`, and for motion."""
    from capsules.common.errors import SpikeRelayError
    from capsules.load import load

    canary = tmp_path / "canary"
    harm = pickle.dumps(Harm(canary))
    for place in ("curated", "spikesorted", "preprocessed/motion"):
        (foreign / place).mkdir(parents=True, exist_ok=True)
        plant(foreign / place / ID, analyzer, harm)
    (tmp_path / "curation.json").write_text(json.dumps({"format_version": "2", "unit_ids": ["0"]}))
    for command in (["hash"], ["export", "--to", "phy"], ["curate", "--apply", tmp_path / "curation.json"]):
        code, _, complaint = spikerelay(command[0], foreign, *command[1:])
        assert code in (1, 2)
        assert "Traceback" not in complaint and len(complaint.splitlines()) == 1, complaint
    session = load(foreign)
    for read in (session.curated, session.sortings, session.motion):
        with pytest.raises(SpikeRelayError):
            read[ID]
    assert session.analyzers[ID].get_num_units() == 2
    assert not canary.exists()


def test_arrays_of_foreign_motion_and_sortings_run_nothing(foreign, tmp_path, analyzer):
    """A bare pickle in the place of an array, and one within an object array."""
    from capsules.common.errors import SpikeRelayError
    from capsules.load import load

    canary = tmp_path / "canary"
    analyzer.sorting.save(folder=foreign / "curated" / ID)
    assert load(foreign).curated[ID].get_num_units() == 2
    areas = np.array([Harm(canary)] * 2, dtype=object)
    (foreign / "curated" / ID / "properties").mkdir(exist_ok=True)
    np.save(foreign / "curated" / ID / "properties" / "area.npy", areas, allow_pickle=True)
    motion = foreign / "preprocessed" / "motion" / ID
    motion.mkdir(parents=True)
    for name in ("parameters", "run_times"):
        (motion / f"{name}.json").write_text("{}")
    (motion / "peaks.npy").write_bytes(pickle.dumps(Harm(canary)))
    session = load(foreign)
    for read in (session.curated, session.motion):
        with pytest.raises(SpikeRelayError):
            read[ID]
    assert not canary.exists()


def test_only_the_guarded_loader_reads_results():
    """SpikeInterface's own `load` and `load_motion_info` have no place where results of others are read."""
    readers = [*(ROOT / "capsules" / "commands").glob("*.py"), *(ROOT / "capsules" / "results").glob("*.py")]
    for file in [ROOT / "capsules" / "load.py", *readers]:
        text = file.read_text()
        assert "si.load(" not in text and "load_motion_info(" not in text, file


def odd_status(results, entry):
    (results / "status.json").write_text(json.dumps({"recordings": {ID: entry}, "blocks": {}}))


ODD = {
    "no status": lambda results: odd_status(results, {"recording": ID}),
    "no recording": lambda results: odd_status(results, {"status": "ok"}),
    "status is a list": lambda results: odd_status(results, {"recording": ID, "status": []}),
    "status is a folder": lambda results: ((results / "status.json").unlink(), (results / "status.json").mkdir()),
    "nested": lambda results: (results / "status.json").write_text("[" * 100_000),
    "empty sorting": lambda results: (results / "curated" / ID).mkdir(),
    "half a sorting": lambda results: (results / "curated" / ID / "spikes.npy").unlink(),
    "other units": lambda results: (results / "curated" / ID / "numpysorting_info.json").write_text("{}"),
    "no facts": lambda results: (results / "logs" / ID / "preprocessing.json").write_text("{}"),
    "facts is a list": lambda results: (results / "logs" / ID / "preprocessing.json").write_text('{"facts": []}'),
    "metrics": lambda results: (results / "quality_control" / ID / "metrics.csv").write_text("a,b\n1"),
    "empty analyzer": lambda results: (
        shutil.rmtree(results / "postprocessed" / f"{ID}.zarr"),
        (results / "postprocessed" / f"{ID}.zarr").mkdir(),
    ),
    "block": lambda results: (results / "nwb" / "a.nwb").write_text("x"),
    "run": lambda results: (results / "params.json").write_text("[]"),
}


@pytest.mark.parametrize("odd", ODD)
def test_odd_folders_end_the_commands_in_one_line(foreign, tmp_path, analyzer, spikerelay, odd):
    for name in (f"logs/{ID}", f"quality_control/{ID}", "nwb", "nextflow"):
        (foreign / name).mkdir(parents=True)
    status = json.loads((foreign / "status.json").read_text()) | {"blocks": {"a": {}}}
    (foreign / "status.json").write_text(json.dumps(status))
    for name in ("params.json", "nextflow/run.json"):
        (foreign / name).write_text("{}")
    if odd != "empty sorting":
        analyzer.sorting.save(folder=foreign / "curated" / ID)
    ODD[odd](foreign)
    (tmp_path / "curation.json").write_text(json.dumps({"format_version": "2", "unit_ids": ["0", "1"]}))
    commands = (["hash"], ["load"], ["rerun"], ["export", "--to", "phy"], ["export", "--to", "aind"])
    codes = []
    for command, *words in (*commands, ["curate", "--apply", tmp_path / "curation.json"]):
        code, _, complaint = spikerelay(command, foreign, *words)
        codes.append(code)
        lines = [line for line in complaint.splitlines() if "Warning" not in line and "warnings.warn" not in line]
        assert code == 0 or len(lines) == 1, complaint
        assert "Traceback" not in complaint
    assert any(codes)


# Calls of the pinned SpikeInterface that run what a file holds, outside of its benchmarks.
# Pickles: `_check_unpickling` stops each of them, since it is SpikeInterface's or numpy's own code that unpickles.
UNPICKLING = {
    ("core/core_tools.py", "load_properties_from_folder", "np.load(allow_pickle)"),
    ("core/loading.py", "load", "pickle.load"),
    ("core/sortinganalyzer.py", "load_data", "pickle.load"),
    ("extractors/phykilosortextractors.py", "_make_templates", "np.load(allow_pickle)"),
    ("preprocessing/pipeline.py", "get_preprocessing_list_from_file", "pickle.load"),
    ("sorters/external/kilosort4.py", "read_kilosort4_motion", "np.load(allow_pickle)"),
    ("sortingcomponents/waveforms/temporal_pca.py", "__init__", "pickle.load"),
}
# Text that is run as Python, and torch's models: no kind that the loaders read reaches them.
OTHERS = {
    ("core/core_tools.py", "read_python", "exec"),
    ("extractors/sinapsrecordingextractors.py", "parse_sinaps_meta", "eval"),
    ("sorters/external/ironclust.py", "get_sorter_version", "exec"),
    ("sortingcomponents/waveforms/neural_network_denoiser.py", "load", "torch.load"),
}
LOADING = {"load", "loads", "Unpickler", "read_pickle"}


def calls_that_run_files(package: Path):
    """(file, function, call) of each call in a package that unpickles a file or runs its text."""
    for file in sorted(package.rglob("*.py")):
        name = file.relative_to(package).as_posix()
        if "tests/" in name or name.startswith("benchmark/"):
            continue
        text = file.read_text()
        if not any(word in text for word in ("pickle", "dill", "joblib", "torch", "exec(", "eval(", "run_path")):
            continue
        tree = ast.parse(text)
        for function in [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]:
            for call in [node for node in ast.walk(function) if isinstance(node, ast.Call)]:
                text = ast.unparse(call.func)
                module, _, last = text.rpartition(".")
                if module in ("pickle", "cloudpickle", "dill", "joblib", "torch", "pd", "pandas") and last in LOADING:
                    yield name, function.name, text
                elif any(word.arg == "allow_pickle" for word in call.keywords) and last in ("load", "fromfile"):
                    yield name, function.name, f"{text}(allow_pickle)"
                elif text in ("exec", "eval") or text == "runpy.run_path":
                    yield name, function.name, text


def test_every_call_of_spikeinterface_that_runs_files_is_known():
    """An upgrade that adds one fails here: see that `distrust_files` covers it, then add it to the list."""
    import spikeinterface

    assert set(calls_that_run_files(Path(spikeinterface.__file__).parent)) == UNPICKLING | OTHERS


def test_whatever_unpickles_in_spikeinterface_is_stopped(tmp_path):
    """Also what an upgrade would add: SpikeInterface's code is stopped wherever it calls pickle."""
    from spikeinterface.core import loading

    from capsules.common.untrusted.distrust import ForeignCode, distrust_files

    distrust_files()
    canary = tmp_path / "canary"
    for call in ("pickle.loads(harm)", "pickle.Unpickler(io.BytesIO(harm)).load()", "pickle._loads(harm)"):
        with pytest.raises(ForeignCode, match=r"subprocess\.check_call"):
            scope = {"__name__": loading.__name__, "harm": pickle.dumps(Harm(canary))}
            exec(f"import io, pickle; {call}", scope)
    assert not canary.exists()
