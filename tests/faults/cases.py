"""The one table of faults: each test here has its row, and docs/faults.md shows all of them.

`python -m tests.faults.cases` writes the table into docs/faults.md.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from tests.faults.faulty import IN_ORDER, STAGES

DOC = Path(__file__).parents[2] / "docs" / "faults.md"
BEGIN, END = "<!-- the table -->\n", "<!-- end of the table -->\n"


class Case(NamedTuple):
    """What happens to a run, what the user reads, and what to do."""

    event: str
    message: str
    remedy: str


RESUME = "`-resume`"
MADE_ROOM = "free space, `-resume`"
AGAIN = "nothing: the task is repeated"
HELD = "`RESULTS_PATH=... is being written by another run, process N on HOST since ...`"
FULL = "`a disk is full (0.0 MB in ... are free): make room and run the same command with -resume`"

CASES: dict[str, Case] = {
    **{
        f"test_nextflow_killed[{stage}]": Case(f"Nextflow killed (-9) during {stage}", "nothing", RESUME)
        for stage in IN_ORDER
    },
    "test_nextflow_killed_at_every_stage_and_resumed": Case("one run, killed during each of them", "nothing", RESUME),
    "test_every_capsule_killed_while_it_writes": Case(
        "each stage's process killed (-9) while it writes, job dispatch too", "exit 137 in `nextflow/trace.txt`", AGAIN
    ),
    "test_task_killed_three_times": Case(
        "a task killed (137) at each attempt", "`failed in curation: ... run the same command with -resume`", RESUME
    ),
    "test_nextflow_killed_while_a_task_starts": Case(
        "Nextflow killed (-9) before a task's Python has begun", "nothing; the task ends at once", RESUME
    ),
    "test_nextflow_stopped[SIGTERM]": Case("Nextflow ended by SIGTERM", "Nextflow's own lines", RESUME),
    "test_nextflow_stopped[SIGINT]": Case("Nextflow ended by Ctrl-C", "Nextflow's own lines", RESUME),
    "test_nextflow_stopped[SIGHUP]": Case("the terminal closed", "Nextflow's own lines", RESUME),
    **{
        f"test_disk_full[{stage}]": Case(f"disk full half way through {stage}", FULL, MADE_ROOM)
        for stage in (*STAGES, "results")
    },
    "test_disk_full_during_a_run": Case("the disk of work files and results filled by others", FULL, MADE_ROOM),
    "test_results_disk_full_during_a_run": Case(
        "results on a separate disk, which fills", "`No space left on device`", MADE_ROOM
    ),
    "test_files_used_up": Case("no inode left", "`a disk is full (... and no more files in ...)`", MADE_ROOM),
    **{
        f"test_tmp_full[{stage}]": Case(f"`/tmp` full during {stage}", "nothing; it is not needed", "nothing")
        for stage in ("preprocessing", "spikesorting", "postprocessing", "nwb_ecephys")
    },
    "test_run_too_large_for_the_disk": Case(
        "a run that does not fit on the disk of the work folder",
        "rejected: `about N MB of work files do not fit in ..., where N MB are free`",
        "`-w` on a larger disk",
    ),
    "test_results_too_large_for_their_disk": Case(
        "a run that does not fit on the disk of the results",
        "rejected: `about N MB of results do not fit in ...`",
        "another `RESULTS_PATH`",
    ),
    "test_results_read_only_from_the_start": Case(
        "results that cannot be written",
        "rejected: `cannot be written: Read-only file system`",
        "make it writable, then the same command",
    ),
    "test_results_read_only_during_a_run": Case(
        "results in which no new file can be made any more", "`Operation not permitted`", RESUME
    ),
    "test_results_removed_during_a_run": Case(
        "the results folder removed during the run",
        "its failed tasks; then rejected: `is not a results folder`",
        "`-resume --overwrite`",
    ),
    "test_results_removed_between_the_runs": Case("the results folder removed after a run", "nothing", RESUME),
    "test_work_folder_removed_between_the_runs": Case(
        "the work folder removed", "nothing; everything is repeated", RESUME
    ),
    "test_nextflow_cache_removed_between_the_runs": Case(
        "Nextflow's own `.nextflow` removed", "nothing; everything is repeated", RESUME
    ),
    "test_work_files_released": Case(
        "`--release_intermediates`", "`-resume would do everything again`", "`-resume`, which repeats everything"
    ),
    "test_work_files_kept_when_a_probe_fails": Case(
        "`--release_intermediates`, and a stage fails", "`The work files are kept`", RESUME
    ),
    "test_second_run_into_the_folder": Case("a second run into the same results folder", f"rejected: {HELD}", "wait"),
    "test_two_runs_started_at_once": Case("two of them at the same moment", f"one rejected: {HELD}", "wait"),
    "test_resumed_while_it_still_runs": Case("`-resume` of a run that still runs", f"rejected: {HELD}", "wait"),
    "test_lock_of_a_dead_run": Case("the results folder of a run that was killed (-9)", "nothing", RESUME),
    "test_lock_held_on_another_machine": Case(
        "a results folder that another machine uses",
        "rejected: `... if that machine is gone, remove .../nextflow/lock.json`",
        "wait, or remove the file",
    ),
    "test_results_of_another_data_set": Case(
        "the results folder of other data", "rejected: `holds the results of ...`", "another `RESULTS_PATH`"
    ),
    **{
        f"test_results_folder_of_somebody_else[{place}]": Case(
            f"a results folder of somebody else, in which `{place}` is a link to elsewhere",
            "rejected: `the link ... leads out of the results folder: remove the link`",
            "remove the link",
        )
        for place in ("curated", "nextflow/lock.json", "nextflow/trace.txt")
    },
    "test_results_folder_with_the_users_own_files": Case(
        "a folder of the user's own files as the results folder",
        "rejected: `holds files that the run would replace (...)`",
        "another `RESULTS_PATH`, or `--overwrite`, which moves them aside",
    ),
    "test_results_in_the_data_folder": Case(
        "results in the data folder", "rejected: `... is inside the data folder`", "another `RESULTS_PATH`"
    ),
    "test_refused_for_a_mistake": Case(
        "a mistake on the command line, over finished results", "rejected, with the mistake", "correct the command"
    ),
    "test_broken_record_in_the_results[nextflow/run.json]": Case(
        "`nextflow/run.json` broken",
        "rejected: `... is broken: choose another folder or give --overwrite`",
        "do one of the two",
    ),
    "test_broken_record_in_the_results[nextflow/lock.json]": Case("`nextflow/lock.json` broken", "nothing", "nothing"),
    "test_broken_record_in_the_results[status.json]": Case("`status.json` broken", "nothing", "nothing"),
    "test_broken_stage_json": Case(
        "a work folder's `stage.json` broken",
        "`a work file was changed after it was written (...): remove ...`",
        "remove it, `-resume`",
    ),
    "test_traces_cut_after_they_were_written": Case(
        "preprocessed traces cut short",
        "`... (the traces are not those that preprocessing wrote): remove ...`",
        "remove it, `-resume`",
    ),
    "test_leftovers_of_a_killed_task": Case(
        "incomplete files of an earlier attempt in the task's folder", "nothing", "nothing"
    ),
    "test_input_removed_during_a_run": Case(
        "the data folder gone after job dispatch", "`... is missing: mount or restore it ...`", RESUME
    ),
    "test_input_changed_between_the_runs": Case(
        "a raw file changed between the runs", "nothing; its tasks are repeated", RESUME
    ),
    "test_input_is_a_dangling_link": Case(
        "a raw file that is a link to nowhere", "rejected, with its name", "restore the file"
    ),
    "test_input_may_not_be_read": Case(
        "a raw file without read permission", "`Permission denied`", "give the permission"
    ),
    "test_file_times_in_the_future_and_the_past": Case("raw files of the years 1970 and 2096", "nothing", "nothing"),
    "test_clock_set_back_during_a_run": Case("the clock set back an hour before `-resume`", "nothing", "nothing"),
}


def table() -> str:
    """All rows, as Markdown; the tests check that nothing is lost in any of them."""
    lines = ["| what happens | message | lost | what to do |", "| --- | --- | --- | --- |"]
    lines += [f"| {case.event} | {case.message} | nothing | {case.remedy} |" for case in CASES.values()]
    return "\n".join(lines) + "\n"


def with_table(text: str) -> str:
    """The page with the table as it is now."""
    old = re.compile(f"(?<={re.escape(BEGIN)}).*(?={re.escape(END)})", re.DOTALL)
    return old.sub(lambda _: table(), text)


def main() -> int:
    DOC.write_text(with_table(DOC.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
