"""neo's reading of SpikeGLX headers (0.14.6) for the probes whose gains it does not find."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from neo.rawio import spikeglxrawio

GROUPED = "NP1110"
"""Neuropixels Ultra with switches: its table has one entry for each group of electrodes, and the gains in its head."""
PLACE_OF_GAINS = slice(3, 5)


@cache
def read_all_gains() -> None:
    """Let neo read the gains of Neuropixels Ultra (NP1110), and of 1.0-like probes without `1.0` in their description.

    neo searches a key of the catalogue that has another name there, and then takes such probes for 2.0 (NP1200, NP1210,
    NP1300). For NP1110 it reads the gains of each channel in a table that has them once.
    """
    read_meta_file: Callable[[Any], dict[str, Any]] = spikeglxrawio.read_meta_file

    def read_with_gains(meta_file: Any) -> dict[str, Any]:
        meta = read_meta_file(meta_file)
        if meta.get("imDatPrb_pn") == GROUPED and "imroTbl" in meta:
            meta["imroTbl"] = _list_gains(meta_file, int(meta["nSavedChans"]))
        return meta

    spikeglxrawio.read_meta_file = read_with_gains
    spikeglxrawio._is_1_0_probe = lambda features: (
        "1.0" in "".join(features.get(key, "") for key in ("datasheet", "description", "databus_decoder_type"))
    )


def _list_gains(meta_file: Any, count: int) -> list[str]:
    """An entry for each channel, as 1.0 probes have it: channel, bank, reference, gains of AP and LF, filter."""
    from probeinterface.neuropixels_tools import parse_spikeglx_meta

    # (type, columns, reference, gain of AP, gain of LF, filter)
    head = parse_spikeglx_meta(meta_file)["imroTbl"].split(")")[0].strip("(").split(",")
    ap_gain, lf_gain = head[PLACE_OF_GAINS]
    return [f"{channel} 0 {head[2]} {ap_gain} {lf_gain} {head[5]}" for channel in range(count)]
