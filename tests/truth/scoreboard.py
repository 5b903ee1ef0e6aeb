"""Score the whole chain on recordings of known units, stage by stage, next to an expert's plain script.

python -m tests.truth.scoreboard [--rows NAME ...] [--full] [--out FILE] [--work DIR] [--keep-sorted]

With --work, each row leaves its stages' folders in DIR/rows/NAME, and what each of its units is in `units.csv`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from capsules.curation.params import CurationParams
from tests.data import DRIFT_RATE_HZ
from tests.truth import chain, scores
from tests.truth.rows import ROWS, Recording, Row, session_file
from tests.truth.scores import Share

QUERY = CurationParams().query
PIPELINE, SCRIPT = "SpikeRelay", "script"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, metavar="NAME", help=f"some of: {', '.join(ROWS)}")
    parser.add_argument("--full", action="store_true", help="the whole grid")
    parser.add_argument("--out", type=Path, help="write the table to this file as well")
    parser.add_argument("--work", type=Path, help="keep recordings and the stages' folders here")
    parser.add_argument("--keep-sorted", action="store_true", help="use the sortings that --work has from before")
    given = parser.parse_args()
    chosen = [ROWS[name] for name in given.rows or [row.name for row in ROWS.values() if given.full or row.quick]]
    with tempfile.TemporaryDirectory() as temporary:
        work = given.work or Path(temporary)
        results = []
        for row in chosen:
            if reason := row.unavailable():
                print(f"{row.name}: skipped: {reason}", flush=True)
                continue
            start = time.monotonic()
            results.append(score_row(row, work, given.keep_sorted))
            print(f"{row.name}: {(time.monotonic() - start) / 60:.1f} min", flush=True)
            print(*map(" | ".join, map(cells, results[-1])), sep="\n", flush=True)
            if given.work is None:
                shutil.rmtree(work / "rows")
        if not results:
            raise SystemExit("no row could run")
        text = table(results)
        print(text)
        if given.out:
            given.out.write_text(text + "\n")


def score_row(row: Row, work: Path, keep_sorted: bool = False) -> list[dict[str, Any]]:
    """Run a row through the pipeline and through the script; their scores, which are also in `scores.json`."""
    data = made(row.recording, work / "recordings" / row.recording.name)
    folder = (work / "rows" / row.name).resolve()
    job = run_pipeline(row, data, folder, keep_sorted)
    script = data / f"script-{row.sorter}"
    if not (script / "labelled").exists():
        shutil.rmtree(script, ignore_errors=True)
        chain.run_bare(data, script, "--sorter", row.sorter, "--query", QUERY)
    ours, units = score_pipeline(row, data, folder, job)
    by_hand, units_by_hand = score_script(row, data, folder, script)
    import pandas as pd

    pd.concat([units, units_by_hand]).to_csv(folder / "units.csv", index_label="unit")
    found = [as_json(one | {"row": row.name, "held_out": row.held_out}) for one in (ours, by_hand)]
    (folder / "scores.json").write_text(json.dumps(found, indent=1))
    return [ours | {"row": row.name, "held_out": row.held_out}, by_hand | {"row": row.name, "held_out": row.held_out}]


def as_json(scored: dict[str, Any]) -> dict[str, Any]:
    return {name: [value.hits, value.cases] if isinstance(value, Share) else value for name, value in scored.items()}


def made(recording: Recording, folder: Path) -> Path:
    """The folder of a recording, made once."""
    folder = folder.resolve()
    if not (folder / "truth").exists() or not (folder / "rec").exists():
        shutil.rmtree(folder, ignore_errors=True)
        partial = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        recording.make(partial)
        partial.rename(folder)
    return folder


def run_pipeline(row: Row, data: Path, folder: Path, keep_sorted: bool) -> Path:
    """Every stage of a row by its command line; returns the job's file."""
    if not keep_sorted:
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("job_dispatch_*"):
        shutil.rmtree(old)
    (job,) = chain.dispatch(data, folder)
    words = {name: row.words.get(name, ()) for name in ("preprocessing", "spikesorting", "postprocessing", "curation")}
    if not (folder / f"spikesorting_{job.stem}").exists():
        checked(chain.preprocess(job, data, folder, *words["preprocessing"]))
        checked(chain.spikesort(job, folder, folder, *words["spikesorting"], sorter=row.sorter))
    for old in [*folder.glob("postprocessing_*"), *folder.glob("curation_*"), *folder.glob("nwb_*"), folder / "truth"]:
        shutil.rmtree(old, ignore_errors=True)
    checked(chain.postprocess(job, folder, folder, *words["postprocessing"]))
    checked(chain.curate(job, folder, folder, *words["curation"]))
    checked(chain.write_nwb(job, data, folder))
    measure_truth(job, data, folder, words["postprocessing"])
    return job


def checked(ended: chain.Ended) -> None:
    assert ended.status == "ok", f"{ended.folder.name}: {ended.reason}\n{ended.output}"


def measure_truth(job: Path, data: Path, folder: Path, words: tuple[str, ...]) -> None:
    """Postprocess the true units as if they had been sorted, without removing any, to have their metrics."""
    truth, sorted_in = folder / "truth", f"spikesorting_{job.stem}"
    (truth / sorted_in).mkdir(parents=True)
    shutil.copyfile(folder / sorted_in / "stage.json", truth / sorted_in / "stage.json")
    (truth / sorted_in / "spikesorted").symlink_to(data / "truth")
    (truth / f"preprocessing_{job.stem}").symlink_to(folder / f"preprocessing_{job.stem}")
    keep_all = ("--duplicate_threshold", "1", "--skip-extensions", "principal_components")
    checked(chain.postprocess(job, truth, truth, *words, *keep_all))


def fit_units(truth: Any, folder: Path, job: Path) -> set[str]:
    """The true units that ought to be good: single, with enough spikes, and passing the query."""
    import spikeinterface as si

    from capsules.common.units.metrics import get_metrics_table

    analyzer = si.load(folder / "truth" / f"postprocessing_{job.stem}" / "postprocessed.zarr", load_extensions=False)
    query = json.loads((folder / f"curation_{job.stem}" / "stage.json").read_text())["params"]["query"]
    passing = dict(zip(analyzer.unit_ids, scores.passes(query, get_metrics_table(analyzer)), strict=True))
    counts = truth.count_num_spikes_per_unit()
    single = dict(zip(truth.unit_ids, truth.get_property("is_single"), strict=True))
    return {
        str(unit)
        for unit in truth.unit_ids
        if single[unit] and counts[unit] >= scores.ENOUGH_SPIKES and passing.get(unit, False)
    }


def score_pipeline(row: Row, data: Path, folder: Path, job: Path) -> tuple[dict[str, Any], Any]:
    """Scores after each stage, and what each unit is."""
    import pandas as pd
    import spikeinterface as si

    truth, neuron = si.load(data / "truth"), neurons_of(row.recording, data)
    stages = {
        "sorted": si.load(folder / f"spikesorting_{job.stem}" / "spikesorted"),
        "postprocessed": si.load(
            folder / f"postprocessing_{job.stem}" / "postprocessed.zarr", load_extensions=False
        ).sorting,
        "labelled": si.load(folder / f"curation_{job.stem}" / "curated"),
    }
    in_file, times = units_in_nwb(folder, job, truth.sampling_frequency)
    tables = {name: scores.unit_table(truth, sorting, neuron) for name, sorting in stages.items()}
    tables["nwb"] = scores.unit_table(truth, in_file, neuron)
    curated, labelled = stages["labelled"], tables["labelled"]
    add_labels(labelled, curated)
    fit = fit_units(truth, folder, job)
    (folder / "fit_units.json").write_text(json.dumps(sorted(fit)))
    scored = judged(tables["sorted"], labelled, fit) | {
        "chain": PIPELINE,
        "true": truth.get_num_units(),
        "units": curated.get_num_units(),
        "well": [len(scores.well_found(tables[name])) for name in ("sorted", "postprocessed")]
        + [len(scores.well_found(labelled[labelled.good & ~labelled.suspicious]))]
        + [len(scores.well_found(tables["nwb"]))],
        "drift_um": drift_error(data, folder, job),
        "nwb_errors": nwb_errors(truth, curated, labelled, times),
        **scores.errors_of_sorting(truth, curated),
    }
    units = pd.concat([table.assign(chain=PIPELINE, stage=name) for name, table in tables.items()])
    return scored, units


def score_script(row: Row, data: Path, folder: Path, script: Path) -> tuple[dict[str, Any], Any]:
    import pandas as pd
    import spikeinterface as si

    truth, neuron = si.load(data / "truth"), neurons_of(row.recording, data)
    found, labelled = si.load(script / "all"), si.load(script / "labelled")
    tables = {"sorted": scores.unit_table(truth, found, neuron), "labelled": scores.unit_table(truth, labelled, neuron)}
    add_labels(tables["labelled"], labelled)
    good = tables["labelled"][tables["labelled"].good]
    fit = set(json.loads((folder / "fit_units.json").read_text()))
    well = [len(scores.well_found(units)) for units in (tables["sorted"], tables["labelled"], good)]
    scored = judged(tables["sorted"], tables["labelled"], fit) | {
        "chain": SCRIPT,
        "true": truth.get_num_units(),
        "units": labelled.get_num_units(),
        "well": well,
        "drift_um": None,
        "nwb_errors": None,
        **scores.errors_of_sorting(truth, labelled),
    }
    return scored, pd.concat([table.assign(chain=SCRIPT, stage=name) for name, table in tables.items()])


def judged(found: Any, labelled: Any, fit: set[str]) -> dict[str, Any]:
    """Recall and precision of the label good, and the median completeness of what is good."""
    good = labelled[labelled.good & ~labelled.suspicious]
    return {
        "recall": scores.recall_of_good(fit, scores.well_found(found), labelled),
        "precision": scores.precision_of_good(labelled),
        "completeness": float(good.completeness.median()) if len(good) else None,
    }


def add_labels(units: Any, sorting: Any) -> None:
    """The columns `good` and `suspicious` of a table of units; a sorting without the flag has no suspicious unit."""
    units["label"] = sorting.get_property("default_qc")
    units["good"] = units.label == "good"
    flags = sorting.get_property("suspicious")
    units["suspicious"] = np.zeros(len(units), dtype=bool) if flags is None else np.asarray(flags, dtype=bool)


def neurons_of(recording: Recording, data: Path) -> np.ndarray:
    """The neuron of each true unit; a hybrid's are compared over their whole session."""
    import spikeinterface as si

    truth, kept = si.load(data / "truth"), data / "neurons.npy"
    if recording.session is None:
        return np.arange(truth.get_num_units())
    if not kept.exists():
        import h5py

        with h5py.File(session_file(recording.session), "r") as session:
            seconds = [session[reference][()].ravel() for reference in session["raw_spike_time_s"][0]]
        # Units are named for their number in the session: T181_u12.
        whole = [seconds[int(str(unit).rsplit("_u", 1)[1])] for unit in truth.unit_ids]
        rate = truth.sampling_frequency
        trains = [np.sort(np.round(train * rate).astype(np.int64)) for train in whole]
        # Two electrodes in each row of 20 um.
        depths = 20.0 * (truth.get_property("electrode") // 2)
        np.save(kept, scores.neurons(trains, rate, np.abs(depths[:, None] - depths[None])))
    return np.load(kept)


def units_in_nwb(folder: Path, job: Path, rate_hz: float) -> tuple[Any, dict[str, np.ndarray]]:
    """The NWB file's units as a sorting, and the times of each, by the unit's id in its sorting."""
    from pynwb import NWBHDF5IO
    from spikeinterface.core import NumpySorting

    block = json.loads(job.read_text())["block"]
    with NWBHDF5IO(folder / f"nwb_units_{block}" / "file.nwb", mode="r") as io:
        units = io.read().units
        names = [str(unit) for unit in units["sorting_unit_id"][:]]
        times = {name: np.asarray(units["spike_times"][index]) for index, name in enumerate(names)}
    trains = {name: np.round(train * rate_hz).astype(np.int64) for name, train in times.items()}
    return NumpySorting.from_unit_dict([trains], rate_hz), times


def nwb_errors(truth: Any, curated: Any, labelled: Any, times: dict[str, np.ndarray]) -> list[float]:
    """Median and largest error of the well-found units' spike times in the NWB file, in samples, against the true
    spikes, and the largest against the sorted ones, which has no part by the sorter."""
    rate, true_units = truth.sampling_frequency, {str(unit): unit for unit in truth.unit_ids}
    from_true, from_sorted = [np.zeros(0)], [np.zeros(0)]
    for unit in curated.unit_ids:
        about = labelled.loc[unit]
        frames = curated.get_unit_spike_train(unit)
        from_sorted.append(times[str(unit)] * rate - frames)
        if about.accuracy >= scores.WELL_FOUND:
            true = truth.get_unit_spike_train(true_units[about.true_unit])
            from_true.append(scores.time_errors(times[str(unit)], frames, true, rate))
    errors, own = np.abs(np.concatenate(from_true)), np.abs(np.concatenate(from_sorted))
    return [float(np.median(errors)) if len(errors) else 0.0, float(errors.max(initial=0)), float(own.max(initial=0))]


def drift_error(data: Path, folder: Path, job: Path) -> float | None:
    """Error of the estimated drift; hybrids and generated recordings without drift do not move. None: not estimated."""
    from spikeinterface.preprocessing import load_motion_info

    place = folder / f"preprocessing_{job.stem}" / "motion"
    if not place.exists():
        return None
    motion = load_motion_info(place)["motion"]
    seconds, displacement = motion.temporal_bins_s[0], data / "displacement_um.npy"
    true = np.zeros(len(seconds))
    if displacement.exists():
        moved = np.load(displacement)
        true = np.interp(seconds, np.arange(len(moved)) / DRIFT_RATE_HZ, moved)
    return scores.drift_error_um(motion.displacement[0], true)


# ---------- the table

HEAD = (
    "row",
    "chain",
    "true",
    "units",
    "well found",
    "recall of good",
    "precision of good",
    "completeness",
    "oversplit",
    "overmerged",
    "false",
    "drift error (um)",
    "NWB times (samples)",
)


def table(results: list[list[dict[str, Any]]]) -> str:
    """A markdown table: two lines for each row, then the sums."""
    lines = [HEAD, ("---",) * len(HEAD)]
    lines += [cells(scored) for pair in results for scored in pair]
    for name, chosen in (
        ("**all rows**", results),
        ("**held-out rows**", [pair for pair in results if pair[0]["held_out"]]),
    ):
        if len(results) > 1 and chosen:
            lines += [cells(pooled(name, [pair[index] for pair in chosen])) for index in (0, 1)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def pooled(name: str, scored: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums over rows."""
    added = ("true", "units", "oversplit", "overmerged", "false")
    shares = {key: sum((one[key] for one in scored), Share(0, 0)) for key in ("recall", "precision")}
    return {
        "row": name,
        "held_out": False,
        "chain": scored[0]["chain"],
        **{key: sum(one[key] for one in scored) for key in added},
        **shares,
        "well": np.sum([one["well"] for one in scored], axis=0).tolist(),
        "completeness": None,
        "drift_um": None,
        "nwb_errors": None,
    }


def cells(scored: dict[str, Any]) -> tuple[str, ...]:
    def number(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    return (
        scored["row"] + " (held out)" * scored["held_out"],
        scored["chain"],
        str(scored["true"]),
        str(scored["units"]),
        " > ".join(map(str, scored["well"])),
        str(scored["recall"]),
        str(scored["precision"]),
        number(scored["completeness"], 2),
        str(scored["oversplit"]),
        str(scored["overmerged"]),
        str(scored["false"]),
        number(scored["drift_um"], 1),
        "" if scored["nwb_errors"] is None else " / ".join(f"{value:.2g}" for value in scored["nwb_errors"]),
    )


if __name__ == "__main__":
    main()
