"""The section `curation` of AIND's params files: thresholds become our query, and Bombcell's limits our parameters."""

from __future__ import annotations

from typing import Any

from capsules.parameters.foreign.changes import ABSENT, Translation
from capsules.parameters.model import get_dotted
from capsules.parameters.problems import quote

SIGNS = {"greater": ">=", "less": "<=", ">": ">", ">=": ">=", "<": "<", "<=": "<="}
"""How a threshold names its side -> the sign in a query; SpikeInterface's thresholds are inclusive."""
OPPOSITE = str.maketrans("<>", "><")
STRATEGIES = {"bombcell+unitrefine": "both"}
OWN_LIMITS = {
    "sliding_rp_violation": "less",
    "rp_contamination": "less",
    "isolation_distance": "greater",
    "l_ratio": "less",
}
"""Bombcell's metrics of ours that AIND's files may lack, which then have no limit there -> the side of our limit."""
BOTH_SIDES = ("peak_to_trough_duration", "exp_decay")
SIDE_OF_METRIC = {
    "noise": {
        "num_positive_peaks": "less",
        "num_negative_peaks": "less",
        "waveform_baseline_flatness": "less",
        "peak_after_to_trough_ratio": "less",
    },
    "mua": OWN_LIMITS
    | {
        "amplitude_median": "greater",
        "snr": "greater",
        "amplitude_cutoff": "less",
        "num_spikes": "greater",
        "presence_ratio": "greater",
        "drift_ptp": "less",
    },
    "non_somatic": {
        "peak_before_to_trough_ratio": "less",
        "peak_before_width": "greater",
        "trough_width": "greater",
        "peak_before_to_peak_after_ratio": "less",
        "main_peak_to_trough_ratio": "less",
    },
}
"""Part of Bombcell's thresholds -> metric -> the side on which our parameters have a limit."""


def translate_curation(work: Translation) -> None:
    _translate_query(work)
    for name in ("noise_neural_classifier", "sua_mua_classifier"):
        work.rename(f"curation.unitrefine.{name}", f"curation.{name}")
    if work.take("curation.unitrefine") not in (ABSENT, {}, None):
        work.note("left out", "curation.unitrefine: further settings of the classifiers are unknown")
    strategy = work.take("curation.noise_strategy")
    if isinstance(strategy, str) and strategy in STRATEGIES:
        work.set("curation.noise_strategy", STRATEGIES[strategy])
        work.note("renamed", f"curation.noise_strategy {quote(strategy)} -> {quote(STRATEGIES[strategy])}")
    elif strategy is None:
        work.note("left out", "curation.noise_strategy = null: noise is always labelled, and never removed")
    elif strategy is not ABSENT:
        work.set("curation.noise_strategy", strategy)
    work.drop(
        "curation.slay",
        "units are not proposed for merging by SLAy; postprocessing lists merge candidates by similarity and spikes",
    )
    _translate_bombcell(work)


def _translate_query(work: Translation) -> None:
    """Thresholds as a query; a `query` may be a dictionary of thresholds too."""
    query = get_dotted(work.source, "curation.query")
    old = "curation.query" if isinstance(query, dict) else "curation.qc_thresholds"
    thresholds = work.take(old)
    if thresholds is ABSENT or thresholds is None:
        return
    if not isinstance(thresholds, dict):
        work.note("left out", f"{old} = {quote(thresholds)}: an object with a threshold per metric is needed")
        return
    clauses = [clause for metric, limits in thresholds.items() for clause in _clauses(work, old, metric, limits)]
    text = " and ".join(clauses)
    work.set("curation.query", text)
    work.note("renamed", f"{old} -> curation.query = {quote(text)}")


def _clauses(work: Translation, old: str, metric: str, limits: Any) -> list[str]:
    """The clauses of one metric, such as `snr >= 5`."""
    if isinstance(limits, str):
        return [f"{metric} {limits}"]
    if not isinstance(limits, dict):
        work.note("left out", f"{old}.{metric} = {quote(limits)}: limits such as {{'less': 0.5}} are needed")
        return []
    absolute, clauses = limits.get("abs", False), []
    for side, limit in limits.items():
        if limit is None or side == "abs":
            continue
        if side not in SIGNS:
            work.note("left out", f"{old}.{metric}.{side} = {quote(limit)}: only {', '.join(SIGNS)} are known")
            continue
        sign = SIGNS[side]
        clause = f"{metric} {sign} {limit}"
        if absolute and isinstance(limit, (int, float)):
            joined = "or" if sign.startswith(">") else "and"
            clause = f"({clause} {joined} {metric} {sign.translate(OPPOSITE)} {-limit})"
        clauses.append(clause)
    return clauses


def _translate_bombcell(work: Translation) -> None:
    """Bombcell's limits; a metric that the file does not limit has no limit, also where ours has one by default."""
    bombcell = work.take("curation.bombcell")
    if not isinstance(bombcell, dict):
        return
    if "non-somatic" in bombcell:
        bombcell["non_somatic"] = bombcell.pop("non-somatic")
        work.note("renamed", "curation.bombcell.non-somatic -> curation.bombcell.non_somatic")
    for part, metrics in bombcell.items():
        if part not in SIDE_OF_METRIC or not isinstance(metrics, dict):
            work.note("left out", f"curation.bombcell.{part}: the parts are {', '.join(SIDE_OF_METRIC)}")
            continue
        for metric, limits in metrics.items():
            _translate_limits(work, part, metric, limits)
        for metric, side in SIDE_OF_METRIC[part].items():
            if metric not in metrics:
                work.set(f"curation.bombcell.{part}.{metric}.{side}", None)
                work.note("set", f"curation.bombcell.{part}.{metric}.{side} = null: the file has no such limit")
        for metric in BOTH_SIDES if part == "noise" else ():
            if metric not in metrics:
                work.set(f"curation.bombcell.noise.{metric}", {"greater": None, "less": None})
                work.note("set", f"curation.bombcell.noise.{metric} = null on both sides: the file has no such limit")


def _translate_limits(work: Translation, part: str, metric: str, limits: Any) -> None:
    place = f"curation.bombcell.{part}.{metric}"
    side = SIDE_OF_METRIC[part].get(metric)
    sides = ("greater", "less") if metric in BOTH_SIDES else (side,)
    if not isinstance(limits, dict) or (side is None and metric not in BOTH_SIDES):
        work.note("left out", f"{place} = {quote(limits)}: there is no such limit here")
        return
    for name, limit in limits.items():
        if name in sides:
            work.set(f"{place}.{name}", limit)
        elif name == "abs" and (limit is False or metric == "amplitude_median"):
            continue  # Our pipeline always compares the absolute amplitude, and no other.
        elif limit is not None:
            work.note("left out", f"{place}.{name} = {quote(limit)}: {metric} has no such limit here")
