"""What the report says first: how the run went, what needs attention, and what was not computed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

CHECK_ADVICE = {
    "bad channels": "See the channels' figure; a probe that is partly outside the brain is normal",
    "noise, median channel": "See the noise by depth and the spectra: line noise, reference, or a dead probe",
    "drift, upper end": "See the drift map; turn on motion correction if the units' depths follow the motion",
    "units": "See the traces and the drift map: is there spiking activity at all?",
    "good units": "Try other thresholds in the field of the query above the unit table",
    "suspicious good units": "Open these units: the button 'suspicious' above the unit table shows them",
}
"""Check -> what to do when it is outside its range."""
NOT_COMPUTED = {
    "curation.noise_neural_classifier": "classifier labels not computed",
    "curation.sua_mua_classifier": "classifier labels not computed",
    "noise_neural_classifier": "classifier labels not computed",
    "sua_mua_classifier": "classifier labels not computed",
    "no LFP power": "LFP power not computed",
    "no query": "no curation query: units have no label",
    "Bombcell's thresholds": "some of Bombcell's thresholds not applied",
    "suspicious:": "some tests for suspicious units not made",
}
"""Beginning of a note or change -> what was not computed, in a few words."""

SYMBOLS = {"um": "µm", "uV": "µV"}
"""Unit in the files -> in the page."""


@dataclass(frozen=True)
class Finding:
    """Something that needs attention, in the recordings that it concerns; `severity`: 0 is the worst."""

    severity: int
    text: str
    advice: str = ""
    recordings: list[str] = field(default_factory=list)


def describe_run(status: dict[str, Any]) -> str:
    """How the run went, as one sentence for the scientist."""
    entries = status["recordings"].values()
    if not entries:
        return "No recording was sorted: the data folder has none."
    done = [entry for entry in entries if entry["status"] == "ok"]
    units = sum(entry.get("units") or 0 for entry in entries)
    labelled = [entry["good_units"] for entry in entries if entry.get("good_units") is not None]
    sentence = f"{len(done)} of {_count(len(entries), 'recording')} {_was(len(done))} sorted"
    if units:
        sentence += f": {_count(units, 'unit')}" + (f", {sum(labelled)} of them good" if labelled else "")
    others = [
        f"{sum(entry['status'] == state for entry in entries)} {verb}"
        for state, verb in (("failed", "failed"), ("skipped", "skipped"))
        if any(entry["status"] == state for entry in entries)
    ]
    sentence += f". {', '.join(others).capitalize()}" if others else ""
    files = status["blocks"].values()
    broken = sum(entry["status"] == "failed" for entry in files)
    return sentence + (f". {_count(broken, 'NWB file')} could not be written." if broken else ".")


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def collect_findings(
    status: dict[str, Any], content: dict[str, dict[str, Any]], others: Iterable[Finding] = ()
) -> list[Finding]:
    """What needs attention, with `others`, most important first; equal findings of several recordings are one."""
    findings = [*_failures(status), *_checks(status, content), *others]
    merged: dict[tuple[int, str, str], list[str]] = {}
    for finding in findings:
        merged.setdefault((finding.severity, finding.text, finding.advice), []).extend(finding.recordings)
    ordered = sorted(merged.items(), key=lambda item: item[0][0])
    return [Finding(severity, text, advice, ids) for (severity, text, advice), ids in ordered]


def _failures(status: dict[str, Any]) -> Iterable[Finding]:
    for kind in ("recordings", "blocks"):
        for id, entry in status[kind].items():
            if entry["status"] == "ok":
                continue
            what = "" if kind == "recordings" else "the NWB file: "
            severity = 0 if entry["status"] == "failed" else 1
            text = f"{what}{entry['status']} in {entry['stage']}: {entry['reason']}"
            yield Finding(severity, text, entry["next_step"] or "", [id])


def _checks(status: dict[str, Any], content: dict[str, dict[str, Any]]) -> Iterable[Finding]:
    for id in status["recordings"]:
        for check in content.get(id, {}).get("checks", []):
            if not check["within"]:
                yield Finding(2, describe_check(check), CHECK_ADVICE.get(check["name"], ""), [id])


def describe_check(check: dict[str, Any]) -> str:
    """A check outside its range, with its value and what is usual."""
    unit = _unit(check)
    return f"{check['name']}: {check['value']:g}{unit} (usual: {describe_range(check)})"


def describe_range(check: dict[str, Any]) -> str:
    """The typical range of a check, in words."""
    low, high = check["low"], check["high"]
    unit = _unit(check)
    if low is None and high is None:
        return "no limit"
    if low is None:
        return f"at most {high:g}{unit}"
    return f"at least {low:g}{unit}" if high is None else f"{low:g} to {high:g}{unit}"


def _unit(check: dict[str, Any]) -> str:
    return f" {SYMBOLS.get(check['unit'], check['unit'])}" if check["unit"] else ""


def collect_warnings(status: dict[str, Any]) -> list[tuple[str, str, list[str]]]:
    """Stage, text and recordings (or blocks) of each warning: each text once."""
    collected: dict[tuple[str, str], list[str]] = {}
    for kind in ("recordings", "blocks"):
        for id, entry in status[kind].items():
            for stage, state in entry["stages"].items():
                for text in state["warnings"]:
                    collected.setdefault((stage, text), []).append(id)
    return [(stage, text, list(dict.fromkeys(ids))) for (stage, text), ids in collected.items()]


def collect_not_computed(status: dict[str, Any], notes: Iterable[str]) -> dict[str, list[str]]:
    """What was not computed, in a few words -> the notes and changes that say why."""
    lines = list(notes)
    for entry in status["recordings"].values():
        for state in entry["stages"].values():
            lines += [*state["changes"], *state["warnings"]]
    collected: dict[str, list[str]] = {}
    for line in dict.fromkeys(lines):
        for start, words in NOT_COMPUTED.items():
            if line.startswith(start):
                collected.setdefault(words, []).append(line)
                break
    return collected


def attention_line(id: str, entry: dict[str, Any], content: dict[str, dict[str, Any]]) -> str:
    """What needs attention in one recording, in one line; empty when nothing does."""
    if entry["status"] != "ok":
        return f"{entry['status']} in {entry['stage']}: {entry['reason']}"
    outside = [check for check in content.get(id, {}).get("checks", []) if not check["within"]]
    return "; ".join(map(describe_check, outside))
