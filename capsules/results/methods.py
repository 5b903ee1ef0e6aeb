"""A paragraph on the methods of a run, with citations, ready for a paper."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

CITATIONS = {
    "spikeinterface": "Buccino, A. P. et al. SpikeInterface, a unified framework for spike sorting. eLife 9, e61834 "
    "(2020).",
    "kilosort4": "Pachitariu, M., Sridhar, S., Pennington, J. & Stringer, C. Spike sorting with Kilosort4. Nature "
    "Methods 21, 914-921 (2024).",
    "spykingcircus": "Yger, P. et al. A spike sorting toolbox for up to thousands of electrodes validated with ground "
    "truth recordings in vitro and in vivo. eLife 7, e34518 (2018).",
    "dredge": "Windolf, C. et al. DREDge: robust motion correction for high-density extracellular recordings across "
    "species. Nature Methods (2025).",
    "nextflow": "Di Tommaso, P. et al. Nextflow enables reproducible computational workflows. Nature Biotechnology 35, "
    "316-319 (2017).",
    "nwb": "Rübel, O. et al. The Neurodata Without Borders ecosystem for neurophysiological data science. eLife 11, "
    "e78362 (2022).",
}
SHORT = {
    "spikeinterface": "Buccino et al., 2020",
    "kilosort4": "Pachitariu et al., 2024",
    "spykingcircus": "Yger et al., 2018",
    "dredge": "Windolf et al., 2025",
    "nextflow": "Di Tommaso et al., 2017",
    "nwb": "Rübel et al., 2022",
}
SORTERS = {
    "kilosort4": ("Kilosort4", "kilosort", "kilosort4"),
    "spykingcircus2": ("SpykingCircus2, as implemented in SpikeInterface", None, "spykingcircus"),
    "tridesclous2": ("Tridesclous2, as implemented in SpikeInterface", None, None),
    "lupin": ("Lupin, as implemented in SpikeInterface", None, None),
    "kilosort25": ("Kilosort 2.5", None, None),
}
"""Sorter -> its name, the package that has its version, its citation."""
DENOISING = {"cmr": "common median reference", "destripe": "spatial highpass filter (destriping)"}


def write_methods(
    status: dict[str, Any], params: dict[str, Any], versions: dict[str, str], clocks: str = ""
) -> tuple[list[str], list[str]]:
    """Describe what the run did: paragraphs, and the list of cited papers.

    Parameters
    ----------
    status, params : dict
        The contents of status.json and params.json. Parts of `params` that are missing are left out of the text.
    versions : dict
        Software -> version.
    clocks : str
        A sentence on the synchronisation of the streams; empty where nothing was synchronised.
    """
    cited: list[str] = []

    def cite(name: str) -> str:
        cited.append(name)
        return SHORT[name]

    def version(name: str) -> str:
        return f" {versions[name]}" if name in versions else ""

    estimated = any(entry.get("drift_um") is not None for entry in status["recordings"].values())
    resolved: dict[str, Any] = params.get("params", {})
    software = f"SpikeRelay{version('spikerelay')}, a pipeline that runs SpikeInterface{version('spikeinterface')}"
    first = [
        f"Recordings were processed with {software} ({cite('spikeinterface')}) under Nextflow ({cite('nextflow')}).",
        *([clocks] if clocks else []),
        *_preprocessing(resolved.get("preprocessing") or {}, estimated, cite),
    ]
    sorters = list(dict.fromkeys(entry["sorter"] for entry in status["recordings"].values()))
    if sorters:
        first.append(f"Spikes were sorted with {_join(_sorter(name, version, cite) for name in sorters)}.")
    first += _curation(resolved.get("curation") or {})
    if any(entry["status"] == "ok" for entry in status["blocks"].values()):
        first.append(f"Results were written in the NWB format ({cite('nwb')}) with NeuroConv{version('neuroconv')}.")
    paragraphs = [" ".join(first), *_differences(params.get("differences", {}))]
    return paragraphs, [CITATIONS[name] for name in dict.fromkeys(cited)]


def _sorter(name: str, version: Any, cite: Any) -> str:
    title, package, paper = SORTERS.get(name, (name, None, None))
    return title + (version(package) if package else "") + (f" ({cite(paper)})" if paper else "")


def _join(parts: Iterable[str]) -> str:
    """Parts as an enumeration: a, b and c."""
    *others, last = parts
    return f"{', '.join(others)} and {last}" if others else last


def _preprocessing(section: dict[str, Any], estimated: bool, cite: Any) -> Iterable[str]:
    """Sentences on the steps; `estimated`: whether the motion of a recording was estimated."""
    if section.get("custom_preprocessing_pipeline"):
        yield "Traces were preprocessed by the steps in `preprocessing.custom_preprocessing_pipeline`."
        return
    steps = []
    kind = section.get("filter_type")
    band = section.get(f"{kind}_filter") or {}
    if kind == "highpass" and "freq_min" in band:
        steps.append(f"highpass filtered at {band['freq_min']:g} Hz")
    elif kind == "bandpass" and "freq_max" in band:
        steps.append(f"bandpass filtered between {band['freq_min']:g} and {band['freq_max']:g} Hz")
    denoising = DENOISING.get(str(section.get("denoising_strategy")))
    if denoising:
        steps.append(f"denoised with a {denoising}")
    if steps:
        yield f"Traces were {_join(steps)}."
    motion = section.get("motion_correction") or {}
    preset = motion.get("preset")
    if preset and estimated:
        paper = f" ({cite('dredge')})" if "dredge" in str(preset) else ""
        applied = "corrected by interpolation" if motion.get("apply") else "not corrected in the traces"
        yield f"Motion of the probe was estimated with SpikeInterface's preset {preset}{paper} and {applied}."


def _curation(section: dict[str, Any]) -> Iterable[str]:
    query = section.get("query")
    if query and str(query).strip():
        least = section.get("min_spikes")
        spikes = f" and have at least {least} spikes" if least else ""
        yield f"Units were labelled good when they meet `{' '.join(str(query).split())}`{spikes}."


def _differences(differences: dict[str, Any]) -> Iterable[str]:
    """What was set otherwise than by default, as the last paragraph."""
    texts = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}"
        for name, (_, value) in differences.items()
        if not name.startswith("job_dispatch.")
    ]
    yield f"Parameters other than the defaults: {'; '.join(texts)}." if texts else "All parameters had their defaults."
