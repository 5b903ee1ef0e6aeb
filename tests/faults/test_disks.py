"""Disks that are full, cannot be written, or have no room for a run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.faults.faulty import SHORT, STAGES, Faulty, files_of, fill, remount
from tests.pipeline.nextflow_runs import ROOT, Finished

pytestmark = pytest.mark.pipeline
PAGE = 4096


class Again:
    """A stage's task of a finished run, done again by itself in another folder."""

    def __init__(self, run: Finished, stage: str, folder: Path, results: Path):
        (row,) = (row for row in run.trace if row["process"] == stage.upper())
        self.before, self.folder, self.results = Path(row["workdir"]), folder, results
        self.name = next(path.name for path in self.before.glob(f"{stage}_*"))
        (folder / "inputs").mkdir(parents=True)
        for link in self.before.glob("inputs/*"):
            if link.is_symlink():
                (folder / "inputs" / link.name).symlink_to(link.resolve())

    def run(self, data: Path, **variables: str) -> subprocess.CompletedProcess:
        environment = os.environ | {
            "DATA_PATH": str(data),
            "RESULTS_PATH": str(self.results),
            "NXF_TASK_WORKDIR": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "PATH": f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
        }
        return subprocess.run(
            ["bash", "-euo", "pipefail", self.before / ".command.sh"],
            cwd=self.folder,
            env=environment | variables,
            capture_output=True,
            text=True,
            check=False,
        )

    def half_of_its_output(self) -> int:
        """Bytes on a disk of pages, besides what the task writes of its own accord."""
        sizes = [path.stat().st_size for path in (self.before / self.name).rglob("*") if path.is_file()]
        return 4 * PAGE + sum(-(-size // PAGE) * PAGE for size in sizes) // 2

    @property
    def mark(self) -> dict | None:
        file = self.results / "nextflow" / "failed" / f"{self.name}.json"
        return json.loads(file.read_text()) if file.exists() else None

    def is_whole(self) -> bool:
        made = files_of(self.folder / self.name)
        return made == files_of(self.before / self.name) and (self.folder / "publish").is_dir()


@pytest.mark.parametrize("stage", [*STAGES, "results"])
def test_disk_full(undisturbed, session, disk, tmp_path, stage):
    """Room for half of what a stage writes."""
    small = disk("small", "size=64m")
    again = Again(undisturbed, stage, small / "task", tmp_path / "results")
    filler = fill(small, again.half_of_its_output())
    ended = again.run(session)
    assert ended.returncode == 1, ended.stderr
    assert "a disk is full (" in ended.stderr
    assert "make room and run the same command with -resume" in ended.stderr
    assert "a disk is full (" in again.mark["reason"]
    # The results' own record is read for the reason; other stages leave no folder.
    assert files_of(again.folder / again.name) == ({"stage.json", "log.txt"} if stage == "results" else set())
    assert not (again.folder / "publish").exists()
    filler.unlink()
    ended = again.run(session)
    assert ended.returncode == 0, ended.stderr
    assert again.mark is None
    assert again.is_whole()


def test_files_used_up(undisturbed, session, disk, tmp_path):
    """A disk with room, and no inode for another file."""
    small = disk("small", "size=64m,nr_inodes=40")
    again = Again(undisturbed, "postprocessing", small / "task", tmp_path / "results")
    ended = again.run(session)
    assert ended.returncode == 1
    assert "no more files in" in again.mark["reason"]
    assert not (again.folder / again.name).exists()
    remount(small, "nr_inodes=10000")
    assert again.run(session).returncode == 0
    assert again.is_whole()


@pytest.mark.parametrize("stage", ["preprocessing", "spikesorting", "postprocessing", "nwb_ecephys"])
def test_tmp_full(undisturbed, session, disk, tmp_path, stage):
    """No stage needs the folder for temporary files."""
    temporary = disk("temporary", "size=64k")
    fill(temporary, 0)
    again = Again(undisturbed, stage, tmp_path / "task", tmp_path / "results")
    ended = again.run(session, TMPDIR=str(temporary))
    assert ended.returncode == 0, ended.stderr
    assert again.is_whole()


def test_disk_full_during_a_run(disk, tmp_path, session, same):
    """The work folder and the results on one disk, which someone else fills."""
    small = disk("small", "size=100m")
    faulty = Faulty(tmp_path / "launch", session, work_name="../small/work", results_name="../small/results")
    faulty.folder.mkdir()
    started = faulty.start(*SHORT, "--skip_disk_check")
    started.task("spikesorting")
    filler = fill(small, 0)
    failed = started.wait()
    assert failed.code == 1
    assert "a disk is full (" in failed.output or "No space left on device" in failed.output
    for place in ("postprocessed", "curated", "nwb"):
        assert not list((failed.results / place).glob("*"))
    filler.unlink()
    same(faulty.real("-resume"))


@pytest.mark.slow
def test_run_too_large_for_the_disk(disk, tmp_path, session):
    disk("small", "size=20m")
    faulty = Faulty(tmp_path / "launch", session, work_name="../small/work")
    faulty.folder.mkdir()
    refused = faulty.real()
    assert refused.code == 1
    assert "MB of work files do not fit in" in refused.output
    assert "make room, or choose a larger disk with -w" in refused.output
    assert "PREPROCESSING" not in refused.output


def test_results_too_large_for_their_disk(disk, tmp_path, session):
    disk("small", "size=5m")
    faulty = Faulty(tmp_path / "launch", session, results_name="../small/results")
    faulty.folder.mkdir()
    refused = faulty.real()
    assert refused.code == 1
    assert "MB of results do not fit in" in refused.output
    assert "PREPROCESSING" not in refused.output


def test_results_disk_full_during_a_run(disk, tmp_path, session, same_stub):
    """Results on a disk of their own, which get copies."""
    small = disk("small", "size=20m")
    faulty = Faulty(tmp_path / "launch", session, results_name="../small/results")
    faulty.folder.mkdir()
    started = faulty.slow()
    filler = fill(small, 0)
    failed = started.wait()
    assert failed.code == 1
    assert "No space left on device" in failed.output
    assert not (failed.results / "status.json").exists()
    filler.unlink()
    same_stub(faulty.run("-resume"))


def test_results_read_only_from_the_start(disk, tmp_path, session):
    small = disk("small", "size=10m")
    remount(small, "ro")
    faulty = Faulty(tmp_path / "launch", session, results_name="../small/results")
    faulty.folder.mkdir()
    refused = faulty.run()
    assert refused.code == 1
    assert "cannot be written: Read-only file system" in refused.output
    assert "JOB_DISPATCH" not in refused.output


def test_results_read_only_during_a_run(faulty, same_stub):
    """Folders that take no new file, which binds root too."""
    started = faulty.slow()
    closed = [faulty.results, *(path for path in faulty.results.rglob("*") if path.is_dir())]
    if subprocess.run(["chattr", "+i", *closed], check=False, capture_output=True).returncode:
        started.kill(signal.SIGKILL)
        pytest.skip("chattr +i needs root, and a file system that knows it")
    try:
        failed = started.wait()
    finally:
        subprocess.run(["chattr", "-i", *closed], check=True)
    assert failed.code == 1
    assert "Operation not permitted" in failed.output
    assert "Traceback" not in failed.output
    same_stub(faulty.run("-resume"))


def test_work_files_released(faulty, same_stub):
    """Published files are links of their own and stay; a later -resume does everything again."""
    run = faulty.run("--release_intermediates")
    same_stub(run)
    assert "The work files are removed" in run.output
    assert not list(faulty.work.glob("*/*/preprocessing_*"))
    again = faulty.run("-resume")
    assert {row["status"] for row in again.trace} == {"COMPLETED"}
    same_stub(again)


def test_work_files_kept_when_a_probe_fails(faulty, same_stub):
    broken = faulty.config_with("process { withName: 'CURATION' { beforeScript = 'exit 3' } }")
    run = faulty.run("--release_intermediates", config=broken)
    assert run.code == 1
    assert "The work files are kept" in run.output
    again = faulty.run("-resume")
    assert again.tasks(process="POSTPROCESSING", status="CACHED")
    same_stub(again)
