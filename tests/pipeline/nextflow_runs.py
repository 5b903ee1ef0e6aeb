"""Run the pipeline under Nextflow from a test, and read what it left."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.halves import rest_is_slow

ROOT = Path(__file__).parents[2]
VARIANTS = [("24.10.0", "v1"), ("25.04.4", "v1"), ("25.04.4", "v2")]
"""Nextflow release and syntax parser."""
EACH_VARIANT = rest_is_slow([(variant,) for variant in VARIANTS])
"""For tests of the workflow by each of them: `make test` takes the first, `make test-full` all."""
TIMEOUT_S = 900


@dataclass
class Finished:
    """A run that has ended."""

    code: int
    output: str
    results: Path

    @property
    def status(self) -> dict:
        return json.loads((self.results / "status.json").read_text())

    @property
    def trace(self) -> list[dict[str, str]]:
        """A row for each task; processes without the subworkflow before their names."""
        with (self.results / "nextflow" / "trace.txt").open() as stream:
            rows = list(csv.DictReader(stream, delimiter="\t"))
        return [row | {"process": row["process"].rpartition(":")[2]} for row in rows]

    def tasks(self, **wanted: str) -> list[dict[str, str]]:
        """The trace's rows in which every given column has the given value."""
        return [row for row in self.trace if all(row[column] == value for column, value in wanted.items())]

    def record(self, stage: str, id: str) -> dict:
        return json.loads((self.results / "logs" / id / f"{stage}.json").read_text())


@dataclass
class Pipeline:
    """A launch folder with its data and results."""

    folder: Path
    data: Path
    root: Path = ROOT
    results_name: str = "results"
    work_name: str = "work"
    data_format: str | None = "spikeglx"
    """None: it is found in the data."""

    def command(self, *arguments: str, config: Path | None = None, sorter: str = "spykingcircus2") -> list[str]:
        config = config or self.root / "nextflow_local.config"
        fixed = ["--sorter", sorter, "-w", str(self.folder / self.work_name)]
        if self.data_format:
            fixed += ["--job_dispatch_args", f"--input {self.data_format}"]
        script = self.root / "main_multi_backend.nf"
        return [str(ROOT / "nextflow"), "-C", str(config), "run", str(script), "-ansi-log", "false", *fixed, *arguments]

    def environment(self, version: str, parser: str) -> dict[str, str]:
        return os.environ | {
            "SPIKERELAY_NEXTFLOW": version,
            "SPIKERELAY_VENV": str(ROOT / ".venv"),
            "NXF_SYNTAX_PARSER": parser,
            "DATA_PATH": str(self.data),
            "RESULTS_PATH": str(self.results),
        }

    @property
    def results(self) -> Path:
        return self.folder / self.results_name

    def run(
        self,
        *arguments: str,
        variant: tuple[str, str] = VARIANTS[0],
        config: Path | None = None,
        stub: bool = True,
        sorter: str = "spykingcircus2",
    ) -> Finished:
        arguments = (*arguments, "-stub-run") if stub else arguments
        finished = subprocess.run(
            self.command(*arguments, config=config, sorter=sorter),
            cwd=self.folder,
            env=self.environment(*variant),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Finished(finished.returncode, finished.stdout, self.results)

    def config_with(self, text: str, base: str = "nextflow_local.config") -> Path:
        """A configuration of the pipeline with more lines after it."""
        file = self.folder / "test.config"
        file.write_text(f"includeConfig '{self.root / base}'\n{text}\n")
        return file


def checkout(folder: Path) -> Path:
    """A copy of this checkout, to be changed; it shares the installed packages."""
    left = shutil.ignore_patterns(".git", ".venv", ".demo", ".docs", ".aind", "work", ".nextflow*", ".pytest_cache")
    shutil.copytree(ROOT, folder, ignore=left)
    (folder / ".venv").symlink_to(ROOT / ".venv")
    return folder
