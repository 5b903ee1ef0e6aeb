"""Why a sorter failed, in one line: from its executable's own message, or from Python's traceback."""

import json

import pytest

from capsules.spikesorting.failure import FailureLog, find_cause, read_failure_log

MARK = "-" * 40
OUT_OF_MEMORY = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 178.00 MiB."
TRACE = f"Traceback (most recent call last):\n  File ..., line 1009, in filter\n{OUT_OF_MEMORY}"


@pytest.mark.parametrize(
    ("log", "mark", "cause"),
    [
        (FailureLog("Computing preprocessing variables.\nN batches: 120", TRACE), "", OUT_OF_MEMORY),
        (FailureLog(f"loading\n{MARK}\nNo GPU\nwas seen", "Traceback\nit failed"), MARK, "No GPU was seen"),
        (FailureLog("loading\nlibrary missing", "Traceback\nit failed"), MARK, "library missing"),
        (FailureLog("", TRACE), MARK, OUT_OF_MEMORY),
        (FailureLog(), "", "no spikes"),
    ],
)
def test_the_cause_is_the_message_and_not_what_was_printed_before(log, mark, cause):
    assert find_cause(ValueError("no spikes"), log, mark) == cause


def test_the_log_of_a_sorter_that_did_not_fail_is_empty(tmp_path):
    assert read_failure_log(tmp_path) == FailureLog()
    log = {"error": True, "runtime_trace": ["one", "two"], "error_trace": TRACE.splitlines()}
    (tmp_path / "spikeinterface_log.json").write_text(json.dumps(log))
    assert read_failure_log(tmp_path) == FailureLog("one\ntwo", TRACE)
