import pytest

from capsules.common.errors import Rejected
from capsules.resolve_params.machine import cluster
from capsules.resolve_params.resolve import resolve
from capsules.resolve_params.stage import resolve_run

SORTER = {"sorter": "spykingcircus2"}
HOSTILE = (
    "x;y", "x'y", 'x"y', "x\ny", "x`y`", "$(x)", "x\\y", "x#y", "x>y", "", "x\r", "\nx", "ü", True, ["x"],
)  # fmt: skip


@pytest.mark.parametrize("name", ["slurm_queue", "slurm_gpu_queue", "slurm_account"])
@pytest.mark.parametrize("value", [*HOSTILE, "x y", "-x"], ids=repr)
def test_a_name_that_a_job_script_cannot_hold_is_refused(name, value, tmp_path):
    with pytest.raises(Rejected, match=f"--{name}: must be"):
        resolve(SORTER | {name: value}, tmp_path)


@pytest.mark.parametrize("name", ["slurm_options", "slurm_gpu_options"])
@pytest.mark.parametrize(
    "value",
    [
        *HOSTILE, *(f"--qos={value}" for value in HOSTILE if value is not True), "--qos=high high", "high",
        "--qos=high --",
        "--qos=high\n#SBATCH -p x", "--qos=high  --x=y", "--comment='a b'",
    ],
    ids=repr,
)  # fmt: skip
def test_options_that_a_job_script_cannot_hold_are_refused(name, value, tmp_path):
    with pytest.raises(Rejected, match=f"--{name}: must be"):
        resolve(SORTER | {name: value}, tmp_path)


@pytest.mark.parametrize(
    ("value", "instead"),
    [
        ("--partition=x", "--slurm_queue"),
        ("-A x", "--slurm_account"),
        ("--qos=high --mem=3G", "--max_memory"),
        ("-t 1:00", "--max_time"),
        ("-c 4", "--n_jobs"),
        ("--array=1-3", "no other value"),
    ],
)
def test_what_the_pipeline_sets_itself_is_refused(value, instead, tmp_path):
    with pytest.raises(Rejected, match=f"the pipeline sets .*; use {instead}"):
        resolve(SORTER | {"slurm_options": value}, tmp_path)


def test_good_options_pass(tmp_path):
    good = {
        "slurm_queue": "work,long-2", "slurm_account": "lab.ephys", "slurm_gpu_queue": "gpu_a100", "slurm_jobs": 3,
        "slurm_options": "--qos=high --constraint=a&b|c* -x node[1-3],node7", "slurm_gpu_options": "-G 1",
        "slurm_scratch": "$TMPDIR/x", "max_cpus": 4,
    }  # fmt: skip
    resolve(SORTER | good, tmp_path)
    for scratch in (True, False, "/scratch/me"):
        resolve(SORTER | {"slurm_scratch": scratch}, tmp_path)


@pytest.mark.parametrize("value", ["relative", "/a b", "$(x)", "/a;b", "${x}", "/a$b", "/a\nb"])
def test_a_scratch_folder_that_a_script_cannot_hold_is_refused(value, tmp_path):
    with pytest.raises(Rejected, match="--slurm_scratch: must be a folder"):
        resolve(SORTER | {"slurm_scratch": value}, tmp_path)


def test_options_of_a_cluster_are_refused_without_one(tmp_path, monkeypatch):
    monkeypatch.delenv(cluster.CLUSTER_VARIABLE, raising=False)
    with pytest.raises(Rejected, match=r"--slurm_queue: needs -C nextflow_slurm\.config"):
        resolve_run({"options": SORTER | {"slurm_queue": "work"}, "launch_folder": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "expected"), [("72 h", 259200), ("1h 30m", 5400), ("90.min", 5400), ("1.5d", 129600), ("2 days", 172800)]
)
def test_times_are_read_as_nextflow_reads_them(text, expected):
    assert cluster.seconds(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("16 GB", 16384), ("1.5.GB", 1536), ("512M", 512), ("1TB", 1048576)])
def test_sizes_are_read_as_nextflow_reads_them(text, expected):
    assert cluster.megabytes(text) == expected
