"""What commands print in a terminal, with its colours."""

from __future__ import annotations

import io
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import time
from fcntl import ioctl
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from capsules.common.contract import RECORDING_STAGES
from capsules.generate import ROOT
from tests.pictures.studio import Studio
from tests.pictures.tutorial import run_demo
from tests.unit.test_live import IDS, Folders

COLUMNS = 104
RUNNING_S = 200
BLACK, RED, GREEN, YELLOW, BLUE = (30, 30, 30), (178, 24, 24), (16, 112, 48), (138, 96, 0), (24, 80, 168)
MAGENTA, CYAN, GREY = (136, 40, 136), (0, 104, 128), (90, 90, 90)
COLOURS = [BLACK, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN, GREY]
THEME = TerminalTheme((255, 255, 255), BLACK, COLOURS, COLOURS)
STYLE = """
body { margin: 0; background: white }
#window { display: inline-block; border: 1px solid #b8c0c8; border-radius: 8px; overflow: hidden }
#bar { background: #eef1f4; color: #555; padding: 5px 12px; border-bottom: 1px solid #d5dae0; font: 13px sans-serif }
pre { margin: 0; padding: 10px 14px; font: 14px/1.3 "DejaVu Sans Mono", monospace }
"""


def make(studio: Studio) -> None:
    demo = run_demo(studio.cache)
    show(studio, "terminal_inspect.webp", "inspect session", demo)
    show(studio, "terminal_plan.webp", "run session results --sorter spykingcircus2 --overwrite --dry-run", demo)
    show(studio, "terminal_doctor.webp", "doctor --data session --results results", demo)
    with tempfile.TemporaryDirectory() as folder, _half_done(Path(folder)).locked():
        show(studio, "terminal_status.webp", "status results", Path(folder))


def show(studio: Studio, name: str, command: str, folder: Path) -> None:
    """Run a command of spikerelay in a folder, and save what it prints."""
    printed = run_in_terminal([sys.executable, "-m", "capsules", *command.split()], folder)
    for path, shown in ((folder, "/data/rat1"), (ROOT, "/opt/spikerelay"), (Path.home(), "~")):
        printed = printed.replace(str(path), shown)
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(Text(f"$ spikerelay {command}\n", "bold"), Text.from_ansi(printed.rstrip()), sep="", soft_wrap=False)
    body = console.export_html(theme=THEME, inline_styles=True, code_format="<pre>{code}</pre>")
    page = f'<style>{STYLE}</style><div id="window"><div id="bar">Terminal</div>{body}</div>'
    file = studio.cache / "terminal.html"
    file.write_text(f'<meta charset="utf-8">{page}')
    with studio.open(file) as opened:
        studio.shoot(name, opened, "#window")


def run_in_terminal(command: list[str], folder: Path) -> str:
    """What a command prints in a terminal of COLUMNS, with its escape sequences; a failed one is printed too."""
    reader, writer = pty.openpty()
    ioctl(writer, termios.TIOCSWINSZ, struct.pack("HHHH", 60, COLUMNS, 0, 0))
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TERM": "xterm-256color", "PYTHONUTF8": "1"}
    environment |= {"COLUMNS": str(COLUMNS)}
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=writer, stderr=writer, stdin=writer)
    os.close(writer)
    printed = b""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:  # how Linux reports the end of a terminal
            break
        if not part:
            break
        printed += part
    os.close(reader)
    process.wait()
    return printed.decode().replace("\r\n", "\n")


def _half_done(folder: Path) -> Folders:
    """A run of three recordings: one is sorted, one was skipped, one failed."""
    run = Folders(folder)
    began = time.time() - RUNNING_S
    os.utime(run.lock, (began, began))
    run.dispatch()
    run.finish("preprocessing", IDS[0], seconds=100)
    step = "2026-11-27 12:00:00,1 INFO detect peaks (workers: 2 threads): 252 of 300 chunks\n"
    run.start("spikesorting", IDS[0], step)
    reason = "30.0 s long, shorter than min_preprocessing_duration = 120 s"
    for stage in RECORDING_STAGES:
        run.finish(stage, IDS[1], "skipped", reason)
    full = "a disk is full: make room and run the same command with --resume"
    run.start("preprocessing", IDS[2], kind="failed", reason=full)
    return run
