"""`spikerelay doctor`: each check once made to fail, and the whole on a broken installation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from capsules.commands import doctor, doctor_checks, findings
from capsules.commands.findings import Finding, Places
from capsules.common import classifier_models as models

ROOT = Path(__file__).parents[2]
Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def places(tmp_path):
    return Places(data=None, results=tmp_path / "results", launch=tmp_path)


@pytest.fixture
def found(places):
    """What a check finds, as (level, text) pairs."""

    def look(check, **other):
        asked = Places(**{name: other.get(name, getattr(places, name)) for name in ("data", "results", "launch")})
        return [(finding.level, finding.text) for finding in check(asked)]

    return look


@pytest.fixture
def read_only(monkeypatch):
    """Folders in which no file can be made; permissions would not hold for root."""

    def close(*folders):
        made = doctor_checks.tempfile.TemporaryFile

        def refuse(*args, dir=None, **kwargs):
            if Path(dir) in folders:
                raise PermissionError(13, "Permission denied")
            return made(*args, dir=dir, **kwargs)

        monkeypatch.setattr(doctor_checks.tempfile, "TemporaryFile", refuse)

    return close


def only(findings, level):
    """The one finding, which has this level."""
    ((given, text),) = findings
    assert given == level, text
    return text


def program(folder, name, says, code=0):
    """A program that prints a line."""
    file = folder / name
    file.write_text(f"#!/bin/sh\necho '{says}'\nexit {code}\n")
    file.chmod(0o755)
    return file


# --- the installation


def test_another_python(found, monkeypatch):
    assert only(found(doctor_checks.python), "ok")
    Info = namedtuple("Info", "major minor micro")
    monkeypatch.setattr(doctor_checks.sys, "version_info", Info(3, 9, 1))
    assert "3.9.1" in only(found(doctor_checks.python), "fix")


def test_packages_missing_and_of_other_versions(found, monkeypatch, tmp_path):
    assert only(found(doctor_checks.packages), "ok")
    (tmp_path / "capsule_versions.env").write_text(
        'NEXTFLOW=1.0\nCONTAINER_TAG=1\nEXTRA_INSTALLS=""\nNUMPY=0.0.1\nNOT_WANTED=3\n'
    )
    (tmp_path / "pyproject.toml").write_text(
        '[project]\ndependencies = ["numpy"]\n[project.optional-dependencies]\ndev = ["no-such"]\n'
    )
    monkeypatch.setattr(doctor_checks, "ROOT", tmp_path)
    (missing, other) = found(doctor_checks.packages)
    assert missing[0] == "fix" and missing[1].startswith("packages missing: no-such;")
    assert other[0] == "note" and "(pinned: 0.0.1)" in other[1]


def test_java_missing_and_another_one(found, monkeypatch, tmp_path):
    assert only(found(doctor_checks.java), "ok")
    monkeypatch.setattr(doctor_checks, "find_java", lambda: None)
    assert "make setup" in only(found(doctor_checks.java), "fix")
    monkeypatch.setattr(doctor_checks, "find_java", lambda: tmp_path)
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin", "java", 'openjdk version "17.0.1"')
    assert "17.0.1" in only(found(doctor_checks.java), "fix")


def test_nextflow_missing_another_and_a_home_that_cannot_be_written(found, monkeypatch, tmp_path, read_only):
    versions = tmp_path / "capsule_versions.env"
    versions.write_text("NEXTFLOW=24.10.0\n")
    monkeypatch.setattr(doctor_checks, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setenv("NXF_HOME", str(tmp_path))
    assert "No such file" in only(found(doctor_checks.nextflow), "fix")
    program(tmp_path, "nextflow", "nextflow version 23.04.1", code=0)
    assert "23.04.1" in only(found(doctor_checks.nextflow), "fix")
    program(tmp_path, "nextflow", "no Nextflow 24.10.0 in .venv", code=1)
    assert "does not start" in only(found(doctor_checks.nextflow), "fix")
    program(tmp_path, "nextflow", "nextflow version 24.10.0.1")
    assert only(found(doctor_checks.nextflow), "ok")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert [level for level, _ in found(doctor_checks.nextflow)] == ["ok", "note"]
    read_only(tmp_path)
    assert "NXF_HOME" in dict(found(doctor_checks.nextflow))["fix"]


def test_a_checkout_whose_path_has_a_colon(found, monkeypatch, tmp_path):
    folder = tmp_path / "a:b"
    folder.mkdir()
    (folder / "capsule_versions.env").write_text("NEXTFLOW=24.10.0\n")
    monkeypatch.setattr(doctor_checks, "ROOT", folder)
    assert ("fix", True) in [(level, "colon" in text) for level, text in found(doctor_checks.nextflow)]


@pytest.mark.parametrize(
    ("facts", "gpu", "visible", "level", "says"),
    [
        (({"version": "2", "cuda": None, "gpus": []}, None), False, None, "ok", "no NVIDIA GPU"),
        (({"version": "2", "cuda": "13", "gpus": ["H200"]}, None), True, None, "ok", "uses H200"),
        (({"version": "2", "cuda": None, "gpus": []}, None), True, None, "note", "a build for the CPU"),
        (({"version": "2", "cuda": "13", "gpus": []}, None), True, "", "note", "CUDA_VISIBLE_DEVICES"),
        (({"version": "2", "cuda": "13", "gpus": []}, None), True, None, "note", "driver"),
        ((None, "ImportError: libcudart.so"), True, None, "fix", "ImportError: libcudart.so"),
    ],
)
def test_torch_and_the_gpu(found, monkeypatch, tmp_path, facts, gpu, visible, level, says):
    monkeypatch.setattr(doctor_checks, "run_python", lambda code: facts)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    if gpu:
        (tmp_path / "gpus" / "0000:01").mkdir(parents=True)
    monkeypatch.setattr(doctor_checks, "GPUS", tmp_path / "gpus")
    assert says in only(found(doctor_checks.torch), level)


def test_sorters(found, monkeypatch):
    monkeypatch.setattr(doctor_checks, "run_python", lambda code: ({"one": None, "two": "two is not installed"}, None))
    assert found(doctor_checks.sorters) == [("ok", "sorters: one"), ("note", "not usable: two is not installed")]
    monkeypatch.setattr(doctor_checks, "run_python", lambda code: ({"two": "two is not installed"}, None))
    assert "two" in only(found(doctor_checks.sorters), "fix")
    monkeypatch.setattr(doctor_checks, "run_python", lambda code: (None, "ModuleNotFoundError: neo"))
    assert "neo" in only(found(doctor_checks.sorters), "fix")


def test_caches_that_cannot_be_written(found, monkeypatch, tmp_path, read_only):
    for name in ("NUMBA_CACHE_DIR", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / name / "deep"))
    assert [level for level, _ in found(doctor_checks.caches)] == ["ok", "ok"]
    read_only(tmp_path)
    (numba, fonts) = found(doctor_checks.caches)
    assert numba[0] == "fix" and "NUMBA_CACHE_DIR" in numba[1]
    assert fonts[0] == "note" and "MPLCONFIGDIR" in fonts[1]


def test_models_here_to_be_fetched_and_out_of_reach(found, monkeypatch, tmp_path):
    monkeypatch.setattr(models, "find_model", lambda name: tmp_path)
    assert {level for level, _ in found(doctor_checks.models)} == {"ok"}
    monkeypatch.setattr(models, "find_model", lambda name: None)
    monkeypatch.setattr(models, "explain_unreachable", lambda name: None)
    assert "which is available" in only(found(doctor_checks.models), "note")
    monkeypatch.setattr(models, "explain_unreachable", lambda name: "the hub did not answer")
    assert "did not answer" in only(found(doctor_checks.models), "note")


def test_the_hub_is_not_waited_for(monkeypatch):
    """The tests have HF_HUB_OFFLINE set; a hub that never answers is given up."""
    assert "HF_HUB_OFFLINE" in models.explain_unreachable("SpikeInterface/none")
    import time

    monkeypatch.setattr(models, "PATIENCE_S", 0.2)
    monkeypatch.setattr("huggingface_hub.HfApi.model_info", lambda *args, **kwargs: time.sleep(5))
    start = time.monotonic()
    assert "did not answer" in models.explain_unreachable("SpikeInterface/none")
    assert time.monotonic() - start < 3


def test_container_engines_are_not_needed(found, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "none" in only(found(doctor_checks.container), "ok")
    program(tmp_path, "apptainer", "")
    assert "apptainer" in only(found(doctor_checks.container), "ok")


# --- the machine


def test_fewer_cores_than_the_machine_has(found, monkeypatch):
    monkeypatch.setattr(doctor_checks.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(doctor_checks.os, "sched_getaffinity", lambda _: {1, 2})
    assert "--n_jobs 2" in only(found(doctor_checks.cores), "note")


def test_little_memory_and_a_limit(found, monkeypatch, tmp_path):
    (tmp_path / "limit").write_text("max\n")
    monkeypatch.setattr(doctor_checks, "MEMORY_LIMITS", (tmp_path / "limit", tmp_path / "none"))
    monkeypatch.setattr(doctor_checks.os, "sysconf", lambda name: 4096 if name == "SC_PAGE_SIZE" else 8 * 2**18)
    assert "8.0 GB" in only(found(doctor_checks.memory), "ok")
    (tmp_path / "limit").write_text(str(4 * 2**30))
    assert "--max_memory '3 GB'" in only(found(doctor_checks.memory), "note")
    (tmp_path / "limit").write_text(str(2**30))
    assert "1.0 GB of memory" in only(found(doctor_checks.memory), "fix")


def test_shared_memory_missing_closed_and_little(found, monkeypatch, tmp_path, read_only):
    monkeypatch.setattr(doctor_checks, "SHARED_MEMORY", tmp_path / "shm")
    assert "does not exist" in only(found(doctor_checks.shared_memory), "fix")
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(doctor_checks.shutil, "disk_usage", lambda _: Usage(1, 1, 64 * 2**20))
    assert "--shm-size" in only(found(doctor_checks.shared_memory), "note")
    read_only(tmp_path / "shm")
    assert "cannot be written" in only(found(doctor_checks.shared_memory), "fix")


@pytest.mark.parametrize(("soft", "level"), [(128, "fix"), (512, "note"), (4096, "ok"), (-1, "ok")])
def test_the_limit_of_open_files(found, monkeypatch, soft, level):
    monkeypatch.setattr("resource.getrlimit", lambda _: (soft, 4096))
    text = only(found(doctor_checks.open_files), level)
    assert level == "ok" or "ulimit -n 1024" in text


def test_a_locale_without_utf8(found, monkeypatch):
    monkeypatch.setattr("locale.getpreferredencoding", lambda _: "ANSI_X3.4-1968")
    assert "C.UTF-8" in only(found(doctor_checks.locale), "note")
    monkeypatch.setattr(doctor_checks.sys, "getfilesystemencoding", lambda: "ascii")
    assert "LC_ALL" in only(found(doctor_checks.locale), "fix")


# --- the folders


def test_data_folders(found, tmp_path):
    assert found(doctor_checks.data) == []
    assert "No such file" in only(found(doctor_checks.data, data=tmp_path / "none"), "fix")
    (tmp_path / "data").mkdir()
    assert "empty" in only(found(doctor_checks.data, data=tmp_path / "data"), "fix")
    (tmp_path / "data" / "file").touch()
    assert only(found(doctor_checks.data, data=tmp_path / "data"), "ok")


def test_disks_full_without_inodes_and_closed(found, monkeypatch, tmp_path, read_only):
    Space = namedtuple("Space", "f_bavail f_frsize f_files f_favail")
    for free_gb, inodes, level in ((100, 5, "ok"), (5, 5, "note"), (0.5, 5, "fix"), (100, 0, "fix")):
        space = Space(int(free_gb * 2**18), 4096, 10, inodes)
        monkeypatch.setattr(doctor_checks.os, "statvfs", lambda _, space=space: space)
        assert {given for given, _ in found(doctor_checks.disk)} == {level}
    read_only(tmp_path)
    levels = dict(reversed(pair) for pair in found(doctor_checks.disk))
    assert {levels[text] for text in levels if "cannot be written" in text} == {"fix"}
    assert sum("cannot be written" in text for text in levels) == 2


@pytest.mark.parametrize("kind", ["flock", "lockf", "HDF5"])
def test_locks_that_do_not_work(found, monkeypatch, kind):
    assert {level for level, _ in found(doctor_checks.locks)} <= {"ok", "note"}

    def refuse(*args, **kwargs):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("h5py.File" if kind == "HDF5" else f"fcntl.{kind}", refuse)
    findings = found(doctor_checks.locks)
    assert {level for level, _ in findings} == {"fix"}
    assert all("HDF5_USE_FILE_LOCKING" in text for _, text in findings)


def test_a_network_disk_is_told(found, monkeypatch, tmp_path):
    mounts = tmp_path / "mounts"
    place = str(tmp_path).replace(" ", "\\040")
    mounts.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {place} nfs4 rw 0 0\n")
    monkeypatch.setattr(doctor_checks, "MOUNTS", mounts)
    assert ("note", True) in [(level, "nfs4" in text) for level, text in found(doctor_checks.locks)]


def test_two_file_systems(found, monkeypatch, tmp_path):
    assert only(found(doctor_checks.links), "ok")
    assert found(doctor_checks.links, results=None) == []
    if (shared := Path("/dev/shm")).stat().st_dev != tmp_path.stat().st_dev:
        assert "copied" in only(found(doctor_checks.links, results=shared), "note")


# --- the whole


def test_a_check_that_cannot_be_done_is_a_finding(places):
    def strange(places):
        yield Finding("ok", "first")
        raise ModuleNotFoundError("No module named 'psutil'")

    (finding,) = doctor.run_check(strange, places)
    assert finding.level == "fix"
    assert "psutil" in finding.text


def test_a_library_that_ends_its_process_is_told():
    assert findings.run_python("import os; os.kill(os.getpid(), 4)") == (None, "signal 4 kills it")
    assert findings.run_python("import no_such_thing")[1] == "ModuleNotFoundError: No module named 'no_such_thing'"
    assert findings.run_python("import time; time.sleep(9)", timeout_s=0.1)[1] == "it takes longer than 0.1 s"
    assert findings.run_python("print(1, '2', sep='\\n')") == (2, None)


def test_the_exit_code_and_the_lines(monkeypatch, spikerelay):
    monkeypatch.setattr(doctor, "CHECKS", (lambda places: [Finding("ok", "all\nwell")],))
    assert spikerelay("doctor")[:2] == (0, "this machine: nothing to fix\n\ngood:\n  all well\n")
    monkeypatch.setattr(doctor, "CHECKS", (lambda places: [Finding("fix", str(places.results))],))
    shown = f"this machine: 1 to fix\n\nproblems:\n  {Path.cwd() / 'here'}\n"
    assert spikerelay("doctor", "--results", "here")[:2] == (1, shown)


def test_a_broken_installation_is_told_and_not_died_of(tmp_path):
    """torch, pydantic and SpikeInterface cannot be imported, and no program is found."""
    for name in ("torch", "pydantic", "spikeinterface", "h5py", "huggingface_hub"):
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name} is broken')\n")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}:{ROOT}", "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "capsules", "doctor", "--data", str(tmp_path / "none")],
        env=environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    problems = done.stdout.partition("problems:\n")[2].partition("\n\n")[0]
    for broken in ("torch is broken", "spikeinterface is broken", "pydantic is broken", "h5py is broken"):
        assert broken in problems


def test_every_check_is_named_in_the_manual():
    text = (ROOT / "docs" / "doctor.md").read_text()
    told = {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")}
    assert {check.__name__.replace("_", " ") for check in doctor_checks.CHECKS} <= told


def test_the_pins_are_read():
    assert dict(findings.pins(ROOT / "capsule_versions.env"))["nextflow"] == "24.10.0"
    json.dumps(dict(findings.pins(ROOT / "capsule_versions.env")))
