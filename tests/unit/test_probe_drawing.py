"""The drawing of a probe in the terminal, and what `spikerelay inspect` lists next to it."""

from __future__ import annotations

import io

import numpy as np
import pytest

from capsules.commands import probe_drawing
from capsules.commands.inspect import inspect_folder
from capsules.commands.probe_drawing import ACROSS, ALONG, WIDTH, draw_probe
from capsules.job_dispatch.params import JobDispatchParams
from tests.spikeglx_headers import PARTS, write_stream


def decode(line):
    """Which dots a line of braille has: (across, along)."""
    dots = np.zeros((ACROSS, WIDTH * ALONG), bool)
    for index, letter in enumerate(line):
        bits = 0 if letter == " " else ord(letter) - probe_drawing.BRAILLE
        for row, columns in enumerate(probe_drawing.DOT_BITS):
            for column, bit in enumerate(columns):
                dots[row, index * ALONG + column] = bool(bits & bit)
    return dots


def column(count, x_um=0.0, pitch_um=20.0):
    return np.column_stack([np.full(count, x_um), pitch_um * np.arange(count)])


def test_contacts_are_dots_at_their_places():
    line, scale = draw_probe(np.vstack([column(96), column(1, x_um=32.0)]), ["0"] * 97, braille=True)
    dots = decode(line)
    assert (dots[0].sum(), dots[1:3].sum(), dots[3].sum()) == (96, 0, 1)
    assert dots[3, 0]
    assert scale.split() == ["0", "um", "1900", "um"]
    assert len(scale) == WIDTH


def test_each_shank_has_a_line_on_one_scale():
    low, high = column(4), column(4, 250.0) + np.array([0, 1000])
    lines = list(draw_probe(np.vstack([low, high]), ["a"] * 4 + ["b"] * 4, braille=True))
    assert [line.split()[:2] for line in lines[:2]] == [["group", "a"], ["group", "b"]]
    first, second = (np.flatnonzero(decode(line[len("group a  ") :]).any(axis=0)) for line in lines[:2])
    assert first[0] == 0 and second[-1] == WIDTH * ALONG - 1
    assert first[-1] < second[0]
    assert lines[2].startswith(" " * len("group a  ") + "0 um")


def test_tetrodes_and_a_single_contact():
    many = np.vstack([column(4, 300.0 * group) for group in range(12)])
    lines = list(draw_probe(many, [str(group) for group in range(12) for _ in range(4)]))
    assert len(lines) == 8 + 1 + 1
    assert lines[8] == "and 4 more groups"
    assert list(draw_probe(np.array([[0.0, 70.0]]), ["0"], braille=False)) == [".", "70 um"]


def test_a_terminal_without_braille_gets_ascii(monkeypatch):
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    line, _ = draw_probe(column(384), [""] * 384)
    assert line.isascii() and len(line) == WIDTH and "#" not in line
    assert set(line) == {"."}


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    data = tmp_path_factory.mktemp("inspected")
    for trigger in (0, 1):
        for band in ("ap", "lf"):
            write_stream(data / "run_g0" / "run_g0_imec0", PARTS["NP1000"], band=band, trigger=trigger)
        write_stream(data / "run_g0" / "run_g0_imec1", PARTS["NP2013"], probe=1, trigger=trigger)
    return data


def test_inspect_draws_each_probe_once_and_lists_streams_by_reason(session):
    page = inspect_folder(session, JobDispatchParams(input="spikeglx", split_groups=False))
    lengths = {id: len(lines) for id, lines in page.parts.items()}
    assert lengths == {
        "run_g0_imec0.ap_recording1": 2 + 2,
        "run_g0_imec0.ap_recording2": 2,
        "run_g0_imec1.ap_recording1": 2 + 5,
        "run_g0_imec1.ap_recording2": 2,
        "lines, whose edges become events": 2,
        "not sorted": 2,
    }
    assert page.parts["lines, whose edges become events"] == ["run_g0 imec0.ap: SY6", "run_g0 imec1.ap: SY6"]
    assert page.parts["not sorted"] == [
        "the LFP band, by its name: run_g0_imec0 imec0.lf",
        "not a neural signal, by its name: run_g0_imec0 imec0.ap-SYNC, run_g0_imec0 imec0.lf-SYNC, "
        "run_g0_imec1 imec1.ap-SYNC",
    ]
    assert page.parts["run_g0_imec1.ap_recording1"][-1].split() == ["0", "um"]


def test_inspect_draws_nothing_of_what_cannot_be_read(session, tmp_path):
    write_stream(tmp_path / "run_g0" / "run_g0_imec0", PARTS["NP1000"]).with_suffix(".meta").unlink()
    page = inspect_folder(tmp_path, JobDispatchParams(input="spikeglx"))
    assert page.parts["run_g0_imec0.ap_recording1"] == []
    assert len(page.problems) == 1
