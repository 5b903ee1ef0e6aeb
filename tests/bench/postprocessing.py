"""Postprocessing, 64 channels x 300 s, 40 units: the capsule beside a script written by hand, in turn."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tests.bench.measure import GB, Cost, cost, python, table
from tests.bench.memory import NO_MINIMUM
from tests.bench.sessions import RESULTS, Session, empty_folder, session

WANTED = 0.45
"""The capsule's wall time as a fraction of the script's."""
TOLERANCE = 1e-4
"""Between two runs; the algebra library's threads change the last digits of float32."""


def main() -> None:
    """Run both ways in turn, `--rounds` times; print their costs, and how far two runs of the capsule differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2, help="times that each way runs")
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--units", type=int, default=40)
    given = parser.parse_args()
    measured = session(channels=given.channels, units=given.units, duration_s=given.seconds)
    inputs = sorted_by_truth(measured)
    # This fills the cache of compiled code and the page cache; its numbers are held against those of the last run.
    capsule(measured, inputs, "postprocessing_first")
    ours, theirs = [], []
    for _ in range(given.rounds):
        ours.append(capsule(measured, inputs, "postprocessing"))
        theirs.append(by_hand(inputs))
    rows = [
        (
            name,
            *(
                f"{run.wall_s:.1f}; {run.cpu_s:.1f}; {run.peak_own_bytes / GB:.2f}; {run.others_cores:.1f}"
                for run in runs
            ),
        )
        for name, runs in (("capsule", ours), ("by hand", theirs))
    ]
    heads = (f"run {number}: wall, s; CPU, s; memory, GB; others' cores" for number in range(1, given.rounds + 1))
    print(table(("way", *heads), *rows))
    ratios = [a.wall_s / b.wall_s for a, b in zip(ours, theirs, strict=True)]
    print(f"\nCapsule / by hand, wall: {', '.join(f'{ratio:.2f}' for ratio in ratios)} (wanted: {WANTED}).")
    print(f"Two runs of the capsule differ in: {', '.join(differing()) or 'nothing'}.")


def sorted_by_truth(measured: Session, motion: str = "skip") -> Path:
    """A folder with the traces as preprocessing writes them and the true units in place of a sorter's."""
    folder = empty_folder("postprocessing_inputs")
    cost(*measured.stage("preprocessing", folder, *NO_MINIMUM, "--motion", motion))
    put_truth(measured, folder)
    return folder


def put_truth(measured: Session, folder: Path) -> None:
    """Write the true units into a folder of results, as a sorter's."""
    import spikeinterface as si

    id = json.loads(measured.job.read_text())["id"]
    target = folder / f"spikesorting_{id}"
    # Without the properties of the generated units: their main channels are named as in another recording.
    truth = si.load(measured.truth)
    trains = {unit: truth.get_unit_spike_train(unit) for unit in truth.unit_ids}
    si.NumpySorting.from_unit_dict([trains], truth.sampling_frequency).save(folder=target / "spikesorted")
    record = {"stage": "spikesorting", "id": id, "status": "ok", "reason": None, "versions": {}}
    record["facts"] = {"sorter": "spykingcircus2", "sorter_version": "1"}
    (target / "stage.json").write_text(json.dumps(record))


def capsule(measured: Session, inputs: Path, name: str) -> Cost:
    """Run the capsule; argparse takes the last `--inputs`."""
    return cost(*measured.stage("postprocessing", empty_folder(name), "--inputs", str(inputs)), memory_every_s=1)


def by_hand(inputs: Path) -> Cost:
    (traces,), (sorting,) = inputs.glob("*/traces"), inputs.glob("*/spikesorted")
    script = python("tests.bench.plain_postprocessing", traces, sorting, empty_folder("postprocessing_by_hand"))
    return cost(*script, memory_every_s=1)


def differing() -> list[str]:
    """Extensions whose numbers differ between the first and the last run of the capsule."""
    import spikeinterface as si

    first, last = (
        si.load(next((RESULTS / name).rglob("postprocessed.zarr")), load_extensions=True)
        for name in ("postprocessing_first", "postprocessing")
    )
    names = set(first.get_loaded_extension_names()) | set(last.get_loaded_extension_names())
    return sorted(name for name in names if not same(first.get_extension(name).data, last.get_extension(name).data))


def same(one: object, other: object) -> bool:
    """Whether two extensions' data hold the same numbers."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one if key != "runtime_s")
    if hasattr(one, "columns"):
        return bool(np.allclose(one.astype(float), other[one.columns].astype(float), rtol=TOLERANCE, equal_nan=True))
    if hasattr(one, "components_"):
        return bool(np.allclose(one.components_, other.components_, atol=TOLERANCE))
    if isinstance(one, np.ndarray) and one.dtype.names:
        return all(same(one[name], other[name]) for name in one.dtype.names)
    if isinstance(one, np.ndarray) and one.dtype.kind == "f":
        return bool(np.allclose(one, other, rtol=TOLERANCE, atol=TOLERANCE, equal_nan=True))
    return bool(np.all(one == other))


if __name__ == "__main__":
    main()
