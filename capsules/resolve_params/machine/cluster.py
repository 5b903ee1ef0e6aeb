"""The options for a SLURM cluster: their valid values, and whether the cluster would accept such jobs.

The workflow writes them into the header of job scripts, so only plain names and plain sbatch options are valid.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from typing import Any

CLUSTER_VARIABLE = "SPIKERELAY_CLUSTER"
"""Set by nextflow_slurm.config alone."""
_NAME = r"\w[\w.@+-]*"
_WORD = r"(-[A-Za-z]|--[a-z][a-z-]*)([= ][\w.,:@%+/*|&()\[\]=][\w.,:@%+/*|&()\[\]=-]*)?"
_FOLDER = r"(/[\w.+-]+)+/?"
FORMS = {
    "slurm_queue": (rf"{_NAME}(,{_NAME})*", "names of partitions, like work or work,long"),
    "slurm_account": (_NAME, "the name of an account"),
    "slurm_options": (rf"{_WORD}( {_WORD})*", "sbatch options, like --slurm_options='--qos=high'"),
    "slurm_gpu_queue": (rf"{_NAME}(,{_NAME})*", "names of partitions, like gpu"),
    "slurm_gpu_options": (rf"{_WORD}( {_WORD})*", "sbatch options, like --slurm_gpu_options='--gres=gpu:1'"),
    "slurm_scratch": (rf"True|False|{_FOLDER}|\$[A-Za-z_]\w*({_FOLDER})?", "a folder, like /scratch or '$TMPDIR'"),
}
"""Option -> the pattern of its whole text, and its description for messages."""
COUNTS = {"slurm_jobs": 1}
"""Options that are counts -> the smallest valid count."""
OPTIONS = [*FORMS, *COUNTS]
OWN_OPTIONS = {
    "--slurm_queue": ("-p", "--partition"),
    "--slurm_account": ("-A", "--account"),
    "--n_jobs": ("-c", "--cpus-per-task", "-n", "--ntasks"),
    "--max_memory": ("--mem", "--mem-per-cpu", "--mem-per-gpu"),
    "--max_time": ("-t", "--time"),
    "no other value: the run depends on it": (
        "-a", "--array", "-D", "--chdir", "-e", "--error", "-o", "--output", "--export", "--requeue", "--wrap",
    ),
}  # fmt: skip
"""The option to use instead -> sbatch options that the pipeline sets."""
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
LIST_NODES = "`sinfo -o '%P %a %l %c %m %G'`"
"""Partitions, and the time, cores, memory in MB and GPUs of their nodes."""
MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


def option_problems(options: dict[str, Any]) -> list[str]:
    """What is wrong with the text of each option."""
    problems = []
    for name, (form, wanted) in FORMS.items():
        value = options.get(name)
        # Nextflow makes an option without a value true.
        bare = value is True and name != "slurm_scratch"
        if value is not None and (bare or not re.fullmatch(form, str(value), re.ASCII)):
            problems.append(f"--{name}: must be {wanted}; got {value!r}")
        elif value is not None and name.endswith("_options"):
            words = re.split("[= ]", str(value))
            problems += [
                f"--{name}: the pipeline sets {word}; use {instead}"
                for instead, own in OWN_OPTIONS.items()
                for word in words
                if word in own
            ]
    return problems


def cluster_problems(options: dict[str, Any], gpu_sorters: list[str]) -> list[str]:
    """Why the cluster would reject the run's jobs, or never start them.

    Parameters
    ----------
    options : dict
        The pipeline's options, with valid texts.
    gpu_sorters : list of str
        The chosen sorters that use a GPU.
    """
    if shutil.which("sbatch") is None:
        return [
            "nextflow_slurm.config: this machine has no sbatch; start the run on a machine where jobs are submitted"
        ]
    queue, gpu = options.get("slurm_queue"), bool(gpu_sorters) and options["n_gpus"] > 0
    gpu_queue = options.get("slurm_gpu_queue") or queue
    if options.get("slurm_gpu_queue") and options["n_gpus"] == 0:
        return ["--slurm_gpu_queue: no job requests a GPU; set --n_gpus to the number of GPU jobs that may run at once"]
    plain = _job_options(options, queue)
    cores = min(options["n_jobs"], options["max_cpus"])
    requests = {"--slurm_queue, --slurm_account, --slurm_options": plain, f"--n_jobs {cores}": [*plain, f"-c{cores}"]}
    if gpu:
        gpu_options = shlex.split(options["slurm_gpu_options"])
        requests["--slurm_gpu_queue, --slurm_gpu_options"] = [*_job_options(options, gpu_queue), *gpu_options]
    problems = []
    for names, words in requests.items():
        if reason := _rejection(words):
            problems.append(f"{names}: SLURM rejects such a job ({reason}); {LIST_NODES} lists what there is")
            if words is plain:  # All others have these options too.
                break
    if problems:
        return problems
    return [
        f"--max_time {options['max_time']}: the queue {name or 'that is the default'} allows {limit / 3600:g} h, "
        f"and a job that requests more would never start; give --max_time '{limit // 60} min' or less"
        for name in dict.fromkeys((queue, gpu_queue if gpu else queue))
        if (limit := _time_limit(name)) is not None and seconds(options["max_time"]) > limit
    ]


def cluster_notes(options: dict[str, Any], gpu_sorters: list[str]) -> list[str]:
    """Notes on the jobs of a run that can start; arguments as for `cluster_problems`."""
    notes = [] if options["n_gpus"] else [f"{name} sorts on CPUs: --n_gpus is 0" for name in gpu_sorters]
    if options["n_gpus"] and not gpu_sorters:
        notes.append("no chosen sorter uses a GPU: --n_gpus and --slurm_gpu_* have no effect, and no GPU is requested")
    cores, memory = options["max_cpus"], options["max_memory"]
    largest = [f"-c{cores}", f"--mem={megabytes(memory)}M"]
    if _rejection([*_job_options(options, options.get("slurm_queue")), *largest]):
        notes.append(
            f"no node has {cores} cores with {memory} at the moment: --max_cpus and --max_memory limit what a job may "
            "request"
        )
    return notes


def seconds(text: str) -> float:
    """Seconds of a time as Nextflow reads it, e.g. `1h 30m`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)[ .]?(ms|mill|[smhd])", str(text).lower())
    return sum(float(number) * SECONDS[unit.replace("mill", "ms")] for number, unit in parts)


def megabytes(text: str) -> int:
    """Megabytes of a size as Nextflow reads it, e.g. `16 GB`."""
    number, unit = re.findall(r"^(\d+(?:\.\d+)?)[ .]?([KMGT]?)", str(text).upper())[0]
    return int(float(number) * (MEGABYTES[unit] if unit else 1 / 1024**2))


def _job_options(options: dict[str, Any], queue: str | None) -> list[str]:
    account = options.get("slurm_account")
    words = [f"--partition={queue}"] if queue else []
    return words + ([f"--account={account}"] if account else []) + shlex.split(options.get("slurm_options") or "")


def _rejection(words: list[str]) -> str | None:
    """Why sbatch rejects a job with these options, or None; nothing is submitted."""
    test = subprocess.run(["sbatch", "--test-only", *words, "--wrap=true"], capture_output=True, text=True, check=False)
    return "; ".join(test.stderr.split("\n")).strip("; ") if test.returncode else None


def _time_limit(queue: str | None) -> int | None:
    """The longest time in s that a queue (or the default queue, or any of several) allows; None without a limit."""
    listed = subprocess.run(["sinfo", "-h", "-o", "%P %l"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    names = queue.split(",") if queue else [name for name, _ in rows if name.endswith("*")]
    limits = [limit for name, limit in rows if name in names or name.rstrip("*") in names]
    endless = not limits or "infinite" in limits
    return None if endless else max(_slurm_seconds(limit) for limit in limits)


def _slurm_seconds(text: str) -> int:
    """Seconds of `days-hours:minutes:seconds`; the left parts may be absent."""
    days, _, clock = text.rpartition("-")
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return 86400 * int(days or 0) + total
