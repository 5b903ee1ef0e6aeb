"""Classifiers for the tests: trained by SpikeInterface on generated units, in folders, in a cache and on a hub."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
METRICS = {
    "quality_metrics": {"metric_names": ["num_spikes", "firing_rate", "snr", "isi_violation"]},
    "template_metrics": {},
}
FEATURES = ["snr", "isi_violations_ratio", "peak_to_trough_duration", "trough_half_width", "main_peak_to_trough_ratio"]


def units_and_noise(seed: int, units: int = 8) -> tuple[Any, list[str]]:
    """An analyzer of neurons, and of as many noise units that spike at random, and what each unit is."""
    import numpy as np
    import spikeinterface as si

    recording, neurons = si.generate_ground_truth_recording(
        durations=[10.0], num_channels=16, num_units=units, seed=seed, noise_kwargs={"strategy": "on_the_fly"}
    )
    draw = np.random.default_rng(seed)
    spikes = {unit: neurons.get_unit_spike_train(unit) for unit in neurons.unit_ids}
    spikes |= {f"noise{index}": np.sort(draw.integers(100, 249_900, size=150)) for index in range(units)}
    sorting = si.NumpySorting.from_unit_dict(spikes, sampling_frequency=recording.sampling_frequency)
    analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=False, seed=seed)
    seeded = {"random_spikes": {"seed": seed}, "noise_levels": {"random_slices_kwargs": {"seed": seed}}}
    analyzer.compute(seeded | {"templates": {}} | METRICS)
    return analyzer, ["noise" if str(unit).startswith("noise") else "neural" for unit in analyzer.unit_ids]


def train(folder: Path, analyzers: list[Any], labels: list[list[str]], **settings: Any) -> Path:
    """A model in a folder, by SpikeInterface's trainer: one small random forest, unless `settings` say otherwise."""
    from scipy.stats import randint
    from spikeinterface.curation import train_model

    one_forest = {"RandomForestClassifier": {"n_estimators": randint(20, 21)}}
    defaults = {
        "imputation_strategies": ["median"],
        "scaling_techniques": ["standard_scaler"],
        "classifiers": one_forest,
        "metric_names": FEATURES,
        "search_kwargs": {"cv": 2, "n_iter": 1},
    }
    train_model(
        mode="analyzers",
        analyzers=analyzers,
        labels=labels,
        folder=folder,
        seed=0,
        verbose=False,
        **defaults | settings,
    )
    return folder


def put_in_cache(model: Path, name: str, home: Path) -> dict[str, str]:
    """Put a model where the hub's client keeps what it fetched under this name; the environment that finds it."""
    repository = home / "hub" / f"models--{name.replace('/', '--')}"
    shutil.copytree(model, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return {"HF_HOME": str(home)}


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub as fetching a repository needs: about it, its files, and each of them."""

    protocol_version = "HTTP/1.1"

    def __init__(self, repositories: dict[str, Path], delay_s: float, asked: list[str], *arguments: Any):
        self.repositories, self.delay_s, self.asked = repositories, delay_s, asked
        super().__init__(*arguments)

    def do_GET(self) -> None:
        self.asked.append(self.path)
        time.sleep(self.delay_s)
        path = self.path.partition("?")[0]
        for name, folder in self.repositories.items():
            if path.startswith(f"/api/models/{name}/tree/"):
                files = [{"type": "file", "path": file.name, "size": file.stat().st_size, "oid": file.name}
                         for file in sorted(folder.iterdir())]  # fmt: skip
                return self._send(json.dumps(files).encode())
            if path in (f"/api/models/{name}", f"/api/models/{name}/revision/main"):
                return self._send(json.dumps({"id": name, "sha": COMMIT, "tags": [], "siblings": []}).encode())
            if path.startswith(f"/{name}/resolve/{COMMIT}/"):
                file = folder / path.rpartition("/")[2]
                return self._send(file.read_bytes(), ETag=f'"{file.name}"', **{"X-Repo-Commit": COMMIT})
        return self._send(b"{}", 404, **{"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def _send(self, content: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextmanager
def hub(repositories: dict[str, Path], delay_s: float = 0) -> Iterator[tuple[dict[str, str], list[str]]]:
    """A hub on this machine: the environment that leads to it, and the paths it is asked for."""
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Hub, repositories, delay_s, asked))
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_OFFLINE": "0"}, asked
    finally:
        server.shutdown()
        server.server_close()
