"""The error of each motion preset where the drift is known: a table for docs/preprocessing.md.

python -m tests.truth.motion_presets [--recordings NAME ...] [--work DIR] [--out FILE]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any, get_args

from capsules.preprocessing.params import MotionCorrection
from tests.truth import chain
from tests.truth.rows import ROWS, WINDOWS
from tests.truth.scoreboard import drift_error, made

PRESETS = get_args(MotionCorrection.model_fields["preset"].annotation)
WINDOW_WORDS = {"default": (), "half of the span": WINDOWS}
RECORDINGS = ("drift-0", "drift-30")
HEAD = ("recording", "windows", "preset", "error (um rms)", "estimated range (um)", "its interval (um)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recordings", nargs="+", choices=RECORDINGS, default=RECORDINGS)
    parser.add_argument("--work", type=Path, help="keep recordings here")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        lines = [HEAD, ("---",) * len(HEAD)]
        for name in given.recordings:
            data = made(ROWS[name].recording, work / "recordings" / name)
            for windows, words in WINDOW_WORDS.items():
                for preset in PRESETS:
                    found = estimated(data, Path(temporary) / "stages", "--motion-preset", preset, *words)
                    lines.append((name, windows, preset, *found))
                    print(*lines[-1], sep=" | ", flush=True)
        text = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        print(text)
        if given.out:
            given.out.write_text(text + "\n")


def estimated(data: Path, folder: Path, *words: str) -> tuple[str, ...]:
    """The cells of one estimate; the folder is emptied."""
    shutil.rmtree(folder, ignore_errors=True)
    (job,) = chain.dispatch(data, folder)
    ended = chain.preprocess(job, data, folder, *words)
    assert ended.status == "ok", ended.output
    motion: dict[str, Any] = json.loads((ended.folder / "stage.json").read_text())["facts"]["motion"]
    interval = " to ".join(f"{end:.1f}" for end in motion["range_interval_um"] or []) or "unknown"
    return f"{drift_error(data, folder, job):.1f}", f"{motion['range_um']:.1f}", interval


if __name__ == "__main__":
    main()
