"""The options for a SLURM cluster: what they may hold, and whether the cluster would take such jobs.

They end up in the header of job scripts, so only plain names and plain sbatch options pass.
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
"""Option -> the form of its whole text, and how that is told."""
COUNTS = {"slurm_jobs": 1}
"""Options that are counts -> the smallest one."""
OPTIONS = [*FORMS, *COUNTS]
OWN_OPTIONS = {
    "--slurm_queue": ("-p", "--partition"),
    "--slurm_account": ("-A", "--account"),
    "--n_jobs": ("-c", "--cpus-per-task", "-n", "--ntasks"),
    "--max_memory": ("--mem", "--mem-per-cpu", "--mem-per-gpu"),
    "--max_time": ("-t", "--time"),
    "nothing: the run needs it as it is": (
        "-a", "--array", "-D", "--chdir", "-e", "--error", "-o", "--output", "--export", "--requeue", "--wrap",
    ),
}  # fmt: skip
"""What the pipeline sets itself, and what to give instead."""
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
MEGABYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024**2}


def option_problems(options: dict[str, Any]) -> list[str]:
    """What is wrong with the text of the options."""
    problems = []
    for name, (form, wanted) in FORMS.items():
        given = options.get(name)
        # Without a value, Nextflow makes an option true.
        bare = given is True and name != "slurm_scratch"
        if given is not None and (bare or not re.fullmatch(form, str(given), re.ASCII)):
            problems.append(f"--{name}: must be {wanted}; got {given!r}")
        elif given is not None and name.endswith("_options"):
            words = re.split("[= ]", str(given))
            problems += [
                f"--{name}: {word} is the pipeline's own; use {instead}"
                for instead, own in OWN_OPTIONS.items()
                for word in words
                if word in own
            ]
    return problems


def cluster_problems(options: dict[str, Any], gpu_sorters: list[str]) -> list[str]:
    """Why the cluster would refuse the run's jobs, or never start them.

    Parameters
    ----------
    options : dict
        The pipeline's options, with good texts.
    gpu_sorters : list of str
        The chosen sorters that use a GPU.
    """
    if shutil.which("sbatch") is None:
        return ["nextflow_slurm.config: there is no sbatch here; start the run on a machine where jobs are submitted"]
    queue, gpu = options.get("slurm_queue"), bool(gpu_sorters) and options["n_gpus"] > 0
    gpu_queue = options.get("slurm_gpu_queue") or queue
    if options.get("slurm_gpu_queue") and options["n_gpus"] == 0:
        return ["--slurm_gpu_queue: no job asks for a GPU; give --n_gpus, how many sorting jobs may have one at once"]
    plain = _job_options(options, queue)
    cores = min(options["n_jobs"], options["max_cpus"])
    asked = {"--slurm_queue, --slurm_account, --slurm_options": plain, f"--n_jobs {cores}": [*plain, f"-c{cores}"]}
    if gpu:
        gpu_options = shlex.split(options["slurm_gpu_options"])
        asked["--slurm_gpu_queue, --slurm_gpu_options"] = [*_job_options(options, gpu_queue), *gpu_options]
    for names, words in asked.items():
        if reason := _refusal(words):
            return [f"{names}: SLURM refuses such a job ({reason}); `sinfo` shows what there is"]
    return [
        f"--max_time {options['max_time']}: the queue {name or 'that is the default'} allows {limit / 3600:g} h, "
        f"and a job that asks for more would wait for ever; give --max_time '{limit // 60} min' or less"
        for name in dict.fromkeys((queue, gpu_queue if gpu else queue))
        if (limit := _time_limit(name)) is not None and seconds(options["max_time"]) > limit
    ]


def cluster_notes(options: dict[str, Any], gpu_sorters: list[str]) -> list[str]:
    """What the user should know about the jobs of a run that can start; arguments as for `cluster_problems`."""
    notes = [] if options["n_gpus"] else [f"{name} sorts on CPUs: --n_gpus is 0" for name in gpu_sorters]
    most = [f"-c{options['max_cpus']}", f"--mem={megabytes(options['max_memory'])}M"]
    if _refusal([*_job_options(options, options.get("slurm_queue")), *most]):
        most = f"{options['max_cpus']} cores with {options['max_memory']}"
        notes.append(
            f"no node has {most} at the moment: --max_cpus and --max_memory say what a job may ask for at most"
        )
    return notes


def seconds(text: str) -> float:
    """Seconds of a time as Nextflow takes it, e.g. `1h 30m`."""
    parts = re.findall(r"(\d+(?:\.\d+)?)[ .]?(ms|mill|[smhd])", str(text).lower())
    return sum(float(number) * SECONDS[unit.replace("mill", "ms")] for number, unit in parts)


def megabytes(text: str) -> int:
    """Megabytes of a size as Nextflow takes it, e.g. `16 GB`."""
    number, unit = re.match(r"(\d+(?:\.\d+)?)[ .]?([KMGT]?)", str(text).upper()).groups()
    return int(float(number) * (MEGABYTES[unit] if unit else 1 / 1024**2))


def _job_options(options: dict[str, Any], queue: str | None) -> list[str]:
    account = options.get("slurm_account")
    words = [f"--partition={queue}"] if queue else []
    return words + ([f"--account={account}"] if account else []) + shlex.split(options.get("slurm_options") or "")


def _refusal(words: list[str]) -> str | None:
    """What sbatch says against a job with these options; nothing is submitted."""
    asked = subprocess.run(
        ["sbatch", "--test-only", *words, "--wrap=true"], capture_output=True, text=True, check=False
    )
    return "; ".join(asked.stderr.split("\n")).strip("; ") if asked.returncode else None


def _time_limit(queue: str | None) -> int | None:
    """The longest time in s that a queue (or the default one, or one of several) gives; None without a limit."""
    listed = subprocess.run(["sinfo", "-h", "-o", "%P %l"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    names = queue.split(",") if queue else [name for name, _ in rows if name.endswith("*")]
    limits = [limit for name, limit in rows if name in names or name.rstrip("*") in names]
    endless = not limits or "infinite" in limits
    return None if endless else max(_slurm_seconds(limit) for limit in limits)


def _slurm_seconds(text: str) -> int:
    """Seconds of `days-hours:minutes:seconds`, where what is to the left may be absent."""
    days, _, clock = text.rpartition("-")
    total = 0
    for part in clock.split(":"):
        total = 60 * total + int(part)
    return 86400 * int(days or 0) + total
