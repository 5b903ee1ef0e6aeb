"""Ten hostile strings through Nextflow: what the capsules are given in process, `tests/security/` has."""

from __future__ import annotations

import json
import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests.data import ProbeSpec, write_spikeglx
from tests.pipeline.nextflow_runs import ROOT, VARIANTS, Pipeline

pytestmark = pytest.mark.pipeline

HOSTILE = [
    "$(touch harmed)",
    "`touch harmed`",
    "'; touch harmed; '",
    '"; touch harmed; "',
    "\nSPIKERELAY_JSON\ntouch harmed\n",
    "${'touch harmed'.execute()}",
    "\\\\' || touch harmed #",
    "-rf --id=..",
    "..%..%..%harmed",
    "\x1b[2J\u202e<b>数据{0.__class__}%s *",
]


def harmed(*folders: Path) -> list[Path]:
    return [path for folder in folders for path in folder.rglob("harmed*")]


@pytest.mark.slow
def test_as_names_of_probes_in_params_and_in_arguments(tmp_path):
    """Each string names a probe's folder and file; all of them stand in the params file and in the arguments."""
    write_spikeglx(tmp_path / "made", [ProbeSpec("imec0", channels=4, units=1, duration_s=1.0)])
    (probe,) = {file.parent for file in (tmp_path / "made").rglob("*.ap.bin")}
    for index, text in enumerate(HOSTILE):
        folder = tmp_path / "session" / text.replace("/", "_")
        folder.mkdir(parents=True)
        for file in probe.iterdir():
            copy = folder / file.name.replace("run_g0", f"{text}{index}".replace("/", "_"))
            shutil.copyfile(file, copy)
            if copy.suffix == ".meta":
                # A probe is in a session once.
                copy.write_text(copy.read_text().replace("imDatPrb_sn=", f"imDatPrb_sn={index}"))
    launch = tmp_path / "launch"
    launch.mkdir()
    together = " ".join(HOSTILE)
    (launch / "params.json").write_text(json.dumps({"curation": {"sua_mua_classifier": together}}))
    arguments = f"--noise_neural_classifier {shlex.quote(together)}"
    run = Pipeline(launch, tmp_path / "session").run("--params_file", "params.json", f"--curation_args={arguments}")
    assert run.code == 0, run.output
    assert not harmed(tmp_path)
    assert len(run.status["recordings"]) == len(HOSTILE)
    assert {entry["status"] for entry in run.status["recordings"].values()} == {"ok"}
    id = next(iter(run.status["recordings"]))
    for name in ("sua_mua_classifier", "noise_neural_classifier"):
        assert run.record("curation", id)["params"][name] == together
    assert "\x1b[2J" not in run.output
    page = (run.results / "report.html").read_text()
    assert "<b>" not in page


OPTIONS = {"n_gpus": 0, "n_jobs": 1, "sorter": 2, "runmode": 5, "preprocessing_args": 4, "params_file": 9}


@pytest.mark.slow
def test_as_values_of_options(tmp_path, tiny_session):
    """All are refused at once, by a first task whose environment has them already."""
    given = {option: HOSTILE[index] for option, index in OPTIONS.items()}
    run = Pipeline(tmp_path, tiny_session).run(*(f"--{option}={text}" for option, text in given.items()))
    assert run.code != 0
    for option in set(given) - {"params_file"}:
        assert f"--{option}: " in run.output
    assert "Traceback" not in run.output and "\tat " not in run.output and "\x1b" not in run.output
    assert {row["process"] for row in run.trace} <= {"RESOLVE_PARAMS"}
    assert not harmed(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["max_memory", "max_time"])
def test_as_a_size_that_the_configuration_reads(tmp_path, tiny_session, option):
    run = Pipeline(tmp_path, tiny_session).run(f"--{option}={HOSTILE[0]}")
    assert run.code != 0
    assert "\tat " not in run.output
    assert not harmed(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", VARIANTS[:2], ids="-".join)
def test_as_the_path_of_the_checkout(tmp_path, tiny_session, variant):
    checkout = tmp_path / """it's "here" $(touch harmed) `touch harmed` \\ 数据"""
    checkout.mkdir()
    for name in ("capsules", "pipeline", "main_multi_backend.nf", "nextflow_local.config", "capsule_versions.env"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copyfile)(ROOT / name, checkout / name)
    os.symlink((ROOT / ".venv").resolve(), checkout / ".venv")
    run = Pipeline(tmp_path, tiny_session, root=checkout).run(variant=variant)
    assert run.code == 0, run.output
    assert not harmed(tmp_path)
