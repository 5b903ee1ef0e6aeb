import multiprocessing
import os
import time
from itertools import pairwise

import pytest

from capsules.spikesorting import gpu


@pytest.fixture(autouse=True)
def own_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(gpu.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpu, "POLL_S", 0.05)
    monkeypatch.delenv(gpu.DEVICES_VARIABLE, raising=False)


def hold(seconds, spans):
    with gpu.reserve_gpu() as number:
        start = time.monotonic()
        time.sleep(seconds)
        spans.append((number, os.environ[gpu.DEVICES_VARIABLE], start, time.monotonic()))


@pytest.mark.parametrize(("visible", "names"), [(None, {"0", "1"}), ("3,5,6", {"3", "5"})])
def test_two_gpus_never_have_more_than_one_task_each(visible, names, monkeypatch):
    monkeypatch.setenv(gpu.GPUS_VARIABLE, "2")
    if visible:
        monkeypatch.setenv(gpu.DEVICES_VARIABLE, visible)
    fork = multiprocessing.get_context("fork")
    with fork.Manager() as manager:
        spans = manager.list()
        tasks = [fork.Process(target=hold, args=(0.3, spans)) for _ in range(5)]
        for task in tasks:
            task.start()
        for task in tasks:
            task.join()
        held = sorted(spans)
    assert {number for number, *_ in held} == names
    assert all(number == seen for number, seen, *_ in held)
    for name in names:
        own = sorted((start, end) for number, _, start, end in held if number == name)
        assert all(before[1] <= after[0] for before, after in pairwise(own))


def test_a_killed_task_lets_its_gpu_go(monkeypatch):
    monkeypatch.setenv(gpu.GPUS_VARIABLE, "1")
    fork = multiprocessing.get_context("fork")
    task = fork.Process(target=hold, args=(60, []))
    task.start()
    time.sleep(0.5)
    task.kill()
    task.join()
    with gpu.reserve_gpu() as number:
        assert number == "0"


@pytest.mark.parametrize("shared", ["", "0"])
def test_where_no_gpu_is_shared_none_is_chosen(shared, monkeypatch):
    monkeypatch.setenv(gpu.GPUS_VARIABLE, shared)
    with gpu.reserve_gpu() as number:
        assert number is None
    assert gpu.DEVICES_VARIABLE not in os.environ
