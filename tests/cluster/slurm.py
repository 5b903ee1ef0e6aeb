"""A real SLURM on this machine, for the tests: one node on loopback, whose files all lie in one folder.

`python -m tests.cluster.slurm` starts one to try things on, until Ctrl-C.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "sinfo", "scontrol")
CPUS, GPUS = 4, 2
"""What the node says it has, whatever the machine has: two probes side by side, each with a core or two."""
WAIT_S = 30
SETTINGS = """
ClusterName=spikerelay
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
# No cgroups and no accounting database, which a container does not have.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
EnforcePartLimits=NO
# A job above its memory is killed, all of it at once: nobody is left to write an exit code.
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
KillWait=5
# More cores than the machine has, and GPUs that are none.
SlurmdParameters=config_overrides
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 Port={node_port} CPUs={cpus} RealMemory={megabytes} Gres=gpu:{gpus} State=UNKNOWN
PartitionName=work Nodes={host} Default=YES MaxTime=7-0 State=UP
PartitionName=short Nodes={host} MaxTime=1:00:00 State=UP
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if not program(name)]


def program(name: str) -> str | None:
    """Where a program is; daemons lie outside of most users' PATH."""
    return shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


class Cluster:
    """The daemons of a cluster of one node, as this process's children."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self.environment = os.environ | {"SLURM_CONF": str(self.conf)}
        self.daemons: dict[str, subprocess.Popen] = {}
        for name in ("state", "spool"):
            (folder / name).mkdir()
        host = socket.gethostname().split(".")[0]
        controller_port, node_port = free_ports(2)
        text = SETTINGS.format(
            folder=folder,
            host=host,
            user=psutil.Process().username(),
            controller_port=controller_port,
            node_port=node_port,
            cpus=CPUS,
            gpus=GPUS,
            megabytes=psutil.virtual_memory().total * 9 // 10 // 2**20,
        )
        self.conf.write_text(text)
        (folder / "gres.conf").write_text(f"NodeName={host} Name=gpu File=/dev/tty[0-{GPUS - 1}]\n")
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))

    def start(self) -> None:
        own = {name: f"--{name}-file={self.folder / 'munge'}.{name}" for name in ("key", "pid", "log", "seed")}
        self.start_daemon("munged", "--foreground", "--force", f"--socket={self.folder}/munge.socket", *own.values())
        wait_for((self.folder / "munge.socket").exists, "munged's socket")
        self.start_controller()
        self.start_node()

    def start_daemon(self, name: str, *arguments: str) -> None:
        """Start a daemon that ends with this process, also when that is killed."""
        command = ["setpriv", "--pdeathsig", "TERM", program(name), *arguments]
        with (self.folder / f"{name}.log").open("a") as log:
            self.daemons[name] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def stop_daemon(self, name: str) -> None:
        daemon = self.daemons.pop(name)
        daemon.terminate()
        daemon.wait(WAIT_S)

    def start_controller(self) -> None:
        self.start_daemon("slurmctld", "-D")
        wait_for(lambda: self.run("scontrol", "ping", check=False).returncode == 0, "slurmctld")

    def start_node(self) -> None:
        """Start slurmd, and wait until the controller hears of it."""
        self.start_daemon("slurmd", "-D")
        wait_for(lambda: self.node_state() in ("idle", "mix", "alloc", "comp"), "slurmd")

    def node_state(self) -> str:
        """As sinfo calls it; it ends in * when the node does not answer."""
        return self.run("sinfo", "-h", "-o", "%t").stdout.split()[0]

    def crash_node(self) -> None:
        """End slurmd and all that the node runs, as a power failure does."""
        mine = {os.getpid(), *(daemon.pid for name, daemon in self.daemons.items() if name != "slurmd")}
        jobs = [one for one in self.processes() if one.pid not in mine and one.name() != "java"]
        for process in jobs:
            process.kill()
        self.daemons.pop("slurmd").wait(WAIT_S)

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess:
        return subprocess.run(command, env=self.environment, capture_output=True, text=True, check=check)

    def jobs(self, name: str, state: str = "R") -> list[str]:
        """The ids of the jobs in a state whose name begins so."""
        listed = self.run("squeue", "-h", "-t", state, "-o", "%i %j").stdout.splitlines()
        return [id for id, _, job in (line.partition(" ") for line in listed) if job.startswith(name)]

    def processes(self) -> list[psutil.Process]:
        """The daemons and every process of a job: they have this cluster's configuration in their environment."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("SLURM_CONF") == str(self.conf) and process.pid != os.getpid():
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def stop(self) -> None:
        """Cancel all jobs and stop all daemons; nothing of the cluster is left running."""
        if "slurmctld" in self.daemons:
            self.run("scancel", "--user", psutil.Process().username(), check=False)
            with suppress(TimeoutError):
                wait_for(lambda: not self.run("squeue", "-h", check=False).stdout, "the last job's end")
        for name in ("slurmd", "slurmctld", "munged"):
            if name in self.daemons:
                self.stop_daemon(name)
        for process in self.processes():
            process.kill()


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A running cluster; it is stopped and its folder removed at the end."""
    # Not below pytest's folder: a socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        slurm = Cluster(Path(folder))
        try:
            slurm.start()
            yield slurm
        finally:
            slurm.stop()


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def wait_for(condition: Callable[[], bool], what: str, seconds: float = WAIT_S) -> None:
    """Look until the condition holds.

    Raises
    ------
    TimeoutError
        After so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)


def main() -> int:
    if lacking := missing():
        print(f"slurm: missing {', '.join(lacking)}; install them with: sudo apt-get install slurm-wlm munge")
        return 1
    with cluster() as slurm:
        print(f"export SLURM_CONF={slurm.conf}    # logs in {slurm.folder}; Ctrl-C ends it", flush=True)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
