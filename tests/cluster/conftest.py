"""The real SLURM, and a pipeline that runs on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.slurm import Cluster, cluster, missing
from tests.pipeline.nextflow_runs import Pipeline
from tests.pipeline.slurm_stand_in import QUICK


@pytest.fixture(scope="session")
def running_cluster() -> Iterator[Cluster]:
    if lacking := missing():
        pytest.skip(f"no SLURM here (missing: {', '.join(lacking)}); `make test-cluster` sets it up")
    with cluster() as slurm:
        yield slurm


@pytest.fixture
def slurm(running_cluster, monkeypatch) -> Cluster:
    """The cluster, with its configuration in the environment of what the test starts."""
    monkeypatch.setenv("SLURM_CONF", str(running_cluster.conf))
    return running_cluster


@pytest.fixture
def pipeline(slurm, tmp_path, tiny_session) -> Pipeline:
    return Pipeline(tmp_path, tiny_session)


@pytest.fixture
def config(pipeline):
    """Write nextflow_slurm.config with further lines, which by default make it look at the jobs more often."""

    def write(text: str = "") -> Path:
        return pipeline.config_with(QUICK + text, "nextflow_slurm.config")

    return write
