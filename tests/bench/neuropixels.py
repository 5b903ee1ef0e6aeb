"""A Neuropixels-like recording, 384 channels x 60 s, 150 units: SpykingCircus2 by the capsules and by hand."""

from __future__ import annotations

from pathlib import Path
from statistics import mean

from capsules.demo.score import WELL_FOUND, Score, compare
from tests.bench.measure import GB, OFTEN_S, Cost, cost, python, table
from tests.bench.memory import NO_MINIMUM
from tests.bench.sessions import Session, empty_folder, session


def main() -> None:
    """Preprocess and sort both ways, once each; print the costs of each stage and the scores."""
    measured = session(channels=384, units=150, duration_s=60)
    costs, scores = {}, []
    for name, way in (("capsules", by_capsules), ("by hand", by_hand)):
        folder = empty_folder("neuropixels")
        costs |= {(name, stage): ran for stage, ran in way(measured, folder).items()}
        (sorting,) = folder.rglob("spikesorted")
        scores.append(score_of(name, measured.truth, sorting))
    print(cost_table(costs), score_table(scores), sep="\n\n")
    print(f"\nWell found: accuracy >= {WELL_FOUND}. The units stand out of white noise; real recordings are harder.")


def by_capsules(measured: Session, folder: Path) -> dict[str, Cost]:
    """Run both capsules; stage -> cost."""
    sort = measured.stage("spikesorting", folder, "--sorter", "spykingcircus2")
    return {
        "preprocessing": cost(*measured.stage("preprocessing", folder, *NO_MINIMUM), memory_every_s=OFTEN_S),
        "spikesorting": cost(*sort, memory_every_s=OFTEN_S),
    }


def by_hand(measured: Session, folder: Path) -> dict[str, Cost]:
    """Run both scripts; stage -> cost."""
    return {
        "preprocessing": cost(
            *python("tests.bench.plain_preprocessing", measured.data, folder), memory_every_s=OFTEN_S
        ),
        "spikesorting": cost(*python("tests.bench.plain_sorting", folder), memory_every_s=OFTEN_S),
    }


def score_of(name: str, truth: Path, sorting: Path) -> Score:
    """Compare a saved sorting with the truth."""
    import spikeinterface as si

    return compare(name, si.load(truth), si.load(sorting))


def cost_table(costs: dict[tuple[str, str], Cost]) -> str:
    """Seconds and memory of each stage."""
    rows = (
        (
            *names,
            f"{ran.wall_s:.0f}",
            f"{ran.cpu_s:.0f}",
            f"{ran.peak_own_bytes / GB:.2f}",
            f"{ran.peak_resident_bytes / GB:.2f}",
        )
        for names, ran in costs.items()
    )
    return table(("way", "stage", "wall, s", "CPU, s", "peak own, GB", "peak resident, GB"), *rows)


def score_table(scores: list[Score]) -> str:
    """Units and accuracies of each way."""
    rows = (
        (one.recording, str(one.true_units), str(one.found_units), str(one.well_found), f"{mean(one.accuracies):.3f}")
        for one in scores
    )
    return table(("way", "true units", "found", "well found", "mean accuracy"), *rows)


if __name__ == "__main__":
    main()
