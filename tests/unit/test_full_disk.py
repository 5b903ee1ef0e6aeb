"""A full disk is told by its errors, in whatever form a library hands them on, and what was half written goes."""

import errno
import json
import os
import subprocess
import sys

import pytest

from capsules.common.tasks import full_disk
from capsules.common.tasks import perform as performing
from tests.two_probes import IDS, job, quiet_tasks, task_of


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("sorter log: ... No space left on device"),
        OSError("Can't write data (file write failed: errno = 28, error message = '...')"),
    ],
)
def test_forms_of_a_full_disk(error):
    assert full_disk.is_full(error)
    wrapped = ValueError("the sorter failed")
    wrapped.__cause__ = error
    assert full_disk.is_full(wrapped)


def test_other_errors_are_not():
    assert not full_disk.is_full(OSError(errno.EACCES, "Permission denied"))
    assert not full_disk.is_full(ValueError("28"))


def test_the_text_says_where_how_much_and_what_to_do(tmp_path):
    text = full_disk.describe_full_disk(OSError(errno.ENOSPC, "No space left on device"), tmp_path, None)
    assert f" MB in {tmp_path}" in text
    assert "make room and run the same command with -resume" in text


def end(tmp_path, monkeypatch, run) -> tuple[int, dict, list[str]]:
    """A curation task that ends by `run`: its exit code, the mark it leaves and the files in its folder."""
    monkeypatch.setenv("RESULTS_PATH", str(tmp_path / "results"))
    monkeypatch.setenv("NXF_TASK_WORKDIR", str(tmp_path))
    monkeypatch.setattr(performing, "end_with_nextflow", lambda: None)
    monkeypatch.setattr(performing, "_pass_on_skips", lambda task: None)
    ours = task_of("curation", IDS[0], [job(0)], tmp_path)
    with quiet_tasks():
        code = performing.perform(ours, run, tmp_path)
    mark = tmp_path / "results" / "nextflow" / "failed" / f"curation_{IDS[0]}.json"
    return code, json.loads(mark.read_text()), sorted(path.name for path in ours.out.iterdir())


def test_what_was_half_written_goes(tmp_path, monkeypatch):
    def run(task):
        (task.out / "curated").mkdir()
        (task.out / "curated" / "spikes.npy").write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    code, mark, left = end(tmp_path, monkeypatch, run)
    assert code == 1
    assert mark["kind"] == "failed"
    assert "a disk is full" in mark["reason"]
    assert left == ["log.txt", "stage.json"]


def test_no_room_for_the_record_either(tmp_path, monkeypatch, capsys):
    plain = performing.write_json

    def full(file, content):
        if file.name == "stage.json":
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(file, content)

    monkeypatch.setattr(performing, "write_json", full)
    code, mark, left = end(tmp_path, monkeypatch, lambda task: (task.out / "curated").mkdir())
    assert code == 1
    assert "a disk is full" in mark["reason"]
    assert "a disk is full" in capsys.readouterr().err
    assert left == ["log.txt"]


def test_a_folder_that_is_gone_is_told(tmp_path, monkeypatch):
    def run(task):
        raise FileNotFoundError(task.data)

    _, mark, _ = end(tmp_path, monkeypatch, run)
    assert f"{tmp_path / 'data'} is missing" in mark["reason"]


def test_a_task_that_begins_without_its_nextflow_ends(tmp_path):
    script = "from capsules.common.tasks.orphan import end_with_nextflow as end; end(); print('went on')"
    variables = {"NXF_TASK_WORKDIR": str(tmp_path), "SPIKERELAY_NEXTFLOW_PID": "1"}
    for more, code, text in ((variables, 143, ""), ({"NXF_TASK_WORKDIR": str(tmp_path)}, 0, "went on\n")):
        ended = subprocess.run(
            [sys.executable, "-c", script], env=os.environ | more, capture_output=True, text=True, check=False
        )
        assert (ended.returncode, ended.stdout) == (code, text)
