"""What a command costs: seconds, memory and bytes of its whole process tree, as the kernel counts them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.demo import ROOT

GB = 1e9
OFTEN_S = 0.5
"""How often the memory of a single stage is sampled."""


@dataclass(frozen=True)
class Cost:
    """What one command took.

    Attributes
    ----------
    wall_s, cpu_s : float
        Seconds; CPU of all its processes, user and system.
    peak_resident_bytes : int
        Largest resident size of any one of its processes (VmHWM). Pages of mapped files are in it, though the kernel
        takes them back when another needs the memory. 0 when not asked for.
    peak_own_bytes : int
        Largest sum over all its processes of the memory that only its end gives back: anonymous and shared, each page
        divided among those that share it (Pss). Sampled, so that a shorter peak is missed; 0 when not asked for.
    read_bytes, written_bytes : int
        Fetched from storage, read-ahead included, and given to storage.
    others_cores : float
        Cores that everything else on the machine kept busy meanwhile, on average. On a machine that is not quiet,
        compare CPU seconds: wall seconds tell about the others.
    """

    wall_s: float
    cpu_s: float
    peak_resident_bytes: int
    peak_own_bytes: int
    read_bytes: int
    written_bytes: int
    others_cores: float


def cost(
    *command: str | Path,
    memory_every_s: float | None = None,
    limit_s: float | None = None,
    **environment: str | None,
) -> Cost:
    """Run a command in the repository's root and tell what it took.

    Parameters
    ----------
    command : str or Path
    memory_every_s : float or None
        Sample the memory so often, which takes a few percent of a core at 2 s; None: never.
    limit_s : float or None
        Kill the command and its descendants after this time; None: never.
    environment : str or None
        Changes to the environment; None takes a variable away.

    Raises
    ------
    RuntimeError
        When the command fails, with the end of what it said.
    TimeoutError
        When it was killed.
    """
    variables = {name: value for name, value in (os.environ | environment).items() if value is not None}
    peaks, ended, before, busy_s, start = _Peaks(), threading.Event(), _io(), _busy_s(), os.times()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen([*map(str, command)], cwd=ROOT, env=variables, stdout=said, stderr=said)
        sampler = threading.Thread(target=peaks.sample, args=(process.pid, ended, memory_every_s))
        if memory_every_s:
            sampler.start()
        killed = threading.Event()
        killer = threading.Timer(limit_s or 0.0, _kill, (process.pid, killed))
        if limit_s is not None:
            killer.start()
        # Not Popen.wait: the kernel adds the times of the children that the command waited for to these.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall_s, busy_s = os.times().elapsed - start.elapsed, _busy_s() - busy_s
        ended.set()
        killer.cancel()
        if memory_every_s:
            sampler.join()
        if killed.is_set():
            killer.join()
            raise TimeoutError(f"stopped after {wall_s:.0f} s")
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{process.args} failed: {said.read()[-2000:].decode(errors='replace')}")
    after, cpu_s = _io(), usage.ru_utime + usage.ru_stime
    return Cost(
        wall_s=wall_s,
        cpu_s=cpu_s,
        peak_resident_bytes=peaks.resident_bytes,
        peak_own_bytes=peaks.own_bytes,
        read_bytes=after["read_bytes"] - before["read_bytes"],
        written_bytes=after["write_bytes"] - before["write_bytes"],
        others_cores=max(0.0, busy_s - cpu_s) / wall_s,
    )


def _kill(pid: int, killed: threading.Event) -> None:
    """Kill a process and its descendants, and say so first."""
    killed.set()
    for process in list(_tree(pid)):
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


class _Peaks:
    """The largest sizes that were seen of a process and its descendants."""

    def __init__(self):
        self.resident_bytes = self.own_bytes = 0

    def sample(self, pid: int, ended: threading.Event, every_s: float) -> None:
        while not ended.wait(every_s):
            processes = list(_tree(pid))
            # Not what wait4 tells: there a child starts with the size of the process that it is forked from.
            self.resident_bytes = max([self.resident_bytes, *(_sizes(one, "status")["VmHWM"] for one in processes)])
            shares = [_sizes(one, "smaps_rollup") for one in processes]
            self.own_bytes = max(self.own_bytes, sum(share["Pss_Anon"] + share["Pss_Shmem"] for share in shares))


def _tree(pid: int) -> Iterator[int]:
    """A process and its descendants; those that end meanwhile are left out."""
    yield pid
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except (FileNotFoundError, ProcessLookupError):
        return
    for thread in threads:
        for line in _lines(Path(f"/proc/{pid}/task/{thread}/children")):
            for child in line.split():
                yield from _tree(int(child))


def _sizes(pid: int, file: str) -> Counter[str]:
    """The sizes that one of a process's files in /proc tells, in bytes; 0 for those that it does not tell."""
    pairs = (line.split(":") for line in _lines(Path(f"/proc/{pid}/{file}")) if line.endswith(" kB"))
    return Counter({name: int(size.removesuffix("kB")) * 1024 for name, size in pairs})


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        # The process has ended.
        return []


def _io() -> dict[str, int]:
    """This process's `/proc/self/io`; the kernel adds that of each child to it when the child is waited for."""
    return {name: int(number) for name, number in (line.split(":") for line in _lines(Path("/proc/self/io")))}


def _busy_s() -> float:
    """Seconds that all cores have been busy since the machine started, those taken by its host included."""
    user, nice, system, _idle, _waiting, *rest = map(int, _lines(Path("/proc/stat"))[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def forget_cached(folder: Path) -> None:
    """Take a folder's files out of the page cache, so that reading them counts as reading from storage."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as stream:
                # Pages that still wait to be written would stay.
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def python(module: str, *arguments: str | Path) -> tuple[str | Path, ...]:
    """The command that runs a module with this interpreter."""
    return (sys.executable, "-m", module, *arguments)


def table(*rows: tuple[str, ...]) -> str:
    """Rows as a Markdown table; the first one is the head."""
    head, *body = ("| " + " | ".join(row) + " |" for row in rows)
    return "\n".join([head, "| " + " | ".join("---" for _ in rows[0]) + " |", *body])
