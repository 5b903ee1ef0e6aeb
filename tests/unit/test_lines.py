"""Edges of digital lines, read from every format: exactly where they were written, and a clear error where not."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.sync import edges as edges_module
from capsules.common.sync import spikeglx
from capsules.common.sync.edges import Line, WordChanges, remove_short
from capsules.common.sync.lines import LineSource, list_analog_lines, list_lines, read_line, read_lines
from capsules.common.sync.spikeglx_meta import read_header
from capsules.demo.spikeglx import make_nidq_meta, write_meta
from capsules.job_dispatch.loaders import LINE_SOURCES
from capsules.job_dispatch.loaders.line_sources import select_sources
from capsules.job_dispatch.params import JobDispatchParams
from tests.sync_sessions import GAP_S, SessionSpec, write_openephys_session, write_spikeglx_session

SMALL = SessionSpec(duration_s=14.0, channels=4, spikes=False)


def sources_of(folder: Path, format: str = "spikeglx", **settings) -> dict[str, LineSource]:
    params = JobDispatchParams.model_validate({"input": format} | settings)
    return {source.stream: source for source in LINE_SOURCES[format](folder, folder, params)}


def write_nidq(folder: Path, words: list[np.ndarray], **changes) -> Path:
    """A NIDQ file with one analog channel and words of 16 lines."""
    columns = np.column_stack([np.arange(len(words[0])) % 1000, *words]).astype("<u2")
    file = folder / "run_g0_t0.nidq.bin"
    columns.tofile(file)
    meta = make_nidq_meta(1, len(words), "0:7", 1000.0)
    meta |= {"firstSample": 500, "snsSaveChanSubset": "all", "fileSizeBytes": columns.nbytes} | changes
    write_meta(file.with_suffix(""), {key: value for key, value in meta.items() if value is not None})
    return file


def slow_edges(words: np.ndarray, bit: int) -> tuple[np.ndarray, np.ndarray]:
    """The samples at which a bit changes and its level from there on, one sample after the other."""
    levels = [int(word) >> bit & 1 for word in words]
    places = [index for index in range(1, len(levels)) if levels[index] != levels[index - 1]]
    return np.array(places), np.array([levels[index] for index in places])


@pytest.mark.parametrize("chunk_bytes", [32_000_000, 6, 6 * 7])
def test_all_bits_of_several_words_whatever_the_chunks(tmp_path, monkeypatch, chunk_bytes):
    monkeypatch.setattr(spikeglx, "CHUNK_BYTES", chunk_bytes)
    rng = np.random.default_rng(1)
    words = [rng.integers(0, 2**16, 300).repeat(rng.integers(1, 4, 300))[:400] for _ in range(2)]
    write_nidq(tmp_path, words, niXDChans1="0:4,22", niXDBytes1=3, niXDChans2="1")
    source = sources_of(tmp_path)["nidq"]
    # Line 1 of the second device follows the three bytes of the first one.
    places = {"XD0": (0, 0), "XD3": (0, 3), "XD22": (1, 6), "XD25": (1, 9)}
    assert list_lines(source, tmp_path) == ["XD0", "XD1", "XD2", "XD3", "XD4", "XD22", "XD25"]
    lines = {line.name: line for line in read_lines(source, tmp_path)}
    for name, (word, bit) in places.items():
        samples, levels = slow_edges(words[word], bit)
        np.testing.assert_array_equal(lines[name].samples, samples)
        np.testing.assert_array_equal(lines[name].levels, levels)
        np.testing.assert_allclose(lines[name].seconds, (500 + samples) / 1000)
        assert lines[name].first_level == int(words[word][0]) >> bit & 1


def test_a_word_that_is_not_saved_has_no_lines(tmp_path):
    write_nidq(tmp_path, [np.zeros(9)], acqMnMaXaDw="0,0,2,2", snsSaveChanSubset="1,3", niXDChans1="0:17")
    assert list_lines(sources_of(tmp_path)["nidq"], tmp_path) == ["XD16", "XD17"]
    assert list_analog_lines(sources_of(tmp_path)["nidq"], tmp_path) == ["XA1"]


def test_a_line_that_never_changes_and_one_that_is_noise(tmp_path, monkeypatch):
    monkeypatch.setattr(edges_module, "MOST_EDGES", 50)
    monkeypatch.setattr(spikeglx, "MOST_EDGES", 50)
    monkeypatch.setattr(spikeglx, "CHUNK_BYTES", 400)
    words = np.arange(400) % 2 + 2 * (np.arange(400) // 100 % 2) + 8
    write_nidq(tmp_path, [words])
    noise, slow, never, always = read_lines(sources_of(tmp_path)["nidq"], tmp_path, ["XD0", "XD1", "XD2", "XD3"])
    assert (len(noise.samples), noise.problems) == (0, ["changes more than 50 times: it is noise, and left out"])
    assert slow.samples.tolist() == [100, 200, 300]
    assert slow.problems == never.problems == []
    assert (len(never.samples), never.first_level, len(always.samples), always.first_level) == (0, 0, 0, 1)


def test_an_analog_line_crosses_its_threshold(tmp_path):
    write_nidq(tmp_path, [np.zeros(2500)])
    source = sources_of(tmp_path)["nidq"]
    # A ramp of 1000 counts; 500 counts are 5 V * 500 / 32768.
    line = read_line(source, tmp_path, "XA0", threshold_v=5 * 499.5 / 32768)
    assert line.samples.tolist() == [500, 1000, 1500, 2000]
    assert line.levels.tolist() == [1, 0, 1, 0]
    with pytest.raises(SpikeRelayError, match=r"nidq has no line 'XA1'; did you mean 'XA0'\?; its lines: XA0"):
        read_line(source, tmp_path, "XA1", threshold_v=1)
    with pytest.raises(SpikeRelayError, match="has no line 'XD9'"):
        read_line(source, tmp_path, "XD9")


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fileSizeBytes": 7}, "has 40 bytes, its .meta lists 7"),
        ({"nSavedChans": 3}, "nSavedChans=3, but snsMnMaXaDw lists 2 channels"),
        ({"niSampRate": None}, "lacks niSampRate"),
        ({"niSampRate": "fast"}, "could not convert string to float"),
        ({"niSampRate": "nan"}, "niSampRate=nan is not a sampling rate"),
        ({"typeThis": "camera"}, "typeThis=camera is not imec, nidq or obx"),
        ({"snsMnMaXaDw": "1,1"}, "snsMnMaXaDw"),
        ({"snsSaveChanSubset": "0:7"}, "is not a part of the 2 channels acquired"),
        ({"snsSaveChanSubset": "0:99999999999"}, "is not a list of channels"),
        ({"acqMnMaXaDw": "0,0,9,999999999"}, "is not a list of channel counts"),
        ({"acqMnMaXaDw": "0,0,2,1"}, "but all channels are saved"),
    ],
)
def test_a_header_that_does_not_describe_its_file(tmp_path, changes, problem):
    write_nidq(tmp_path, [np.zeros(10)], **changes)
    source = sources_of(tmp_path)["nidq"]
    assert problem in source.failure
    with pytest.raises(SpikeRelayError, match="nidq: cannot be read"):
        read_lines(source, tmp_path)


def test_a_truncated_file_and_one_without_header(tmp_path):
    file = write_nidq(tmp_path, [np.zeros(10)], fileSizeBytes=None)
    file.write_bytes(file.read_bytes()[:-1])
    assert "not a multiple of the 4 bytes of a sample" in sources_of(tmp_path)["nidq"].failure
    file.with_suffix(".meta").unlink()
    assert "has no .meta file" in sources_of(tmp_path)["nidq"].failure


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    folder = tmp_path_factory.mktemp("glx")
    return folder, write_spikeglx_session(folder, replace(SMALL, missing=0.0, doubled=0.4))


def whole_file_edges(folder: Path, source: LineSource, name: str) -> tuple[list[int], list[int]]:
    """The edges by reading the probe's whole AP file."""
    header = read_header(folder / source.paths[0][0])
    (samples, levels), _, _ = spikeglx._all_edges(header, [name], {})[name]
    return samples.tolist(), levels.tolist()


@pytest.mark.parametrize("way", ["lf", "steps"])
def test_sync_of_a_probe_without_reading_its_whole_file(session, way, monkeypatch):
    folder, _ = session
    source = sources_of(folder)["imec0.ap"]
    assert (source.sync_line, source.sync_period_s) == ("SY6", 1.0)
    if way == "steps":
        source = source.model_copy(update={"paths": [own[:1] for own in source.paths]})
    samples, levels = whole_file_edges(folder, source, "SY6")
    monkeypatch.setattr(spikeglx, "_all_edges", None)
    line = read_line(source, folder, "SY6")
    assert (line.samples.tolist(), line.levels.tolist()) == (samples, levels)
    assert len(samples) > 16
    np.testing.assert_allclose(
        line.seconds, (read_header(folder / source.paths[0][0]).first_sample + line.samples) / 30000
    )


def test_a_probe_whose_lf_file_disagrees_is_read_whole(tmp_path):
    write_spikeglx_session(tmp_path, SMALL)
    source = sources_of(tmp_path)["imec0.ap"]
    lf_meta = (tmp_path / source.paths[0][1]).with_suffix(".meta")
    first = read_header(tmp_path / source.paths[0][1]).first_sample
    lf_meta.write_text(lf_meta.read_text().replace(f"firstSample={first}", f"firstSample={first + 100}"))
    expected = whole_file_edges(tmp_path, source, "SY6")
    # Then in the whole file, since a coded signal has no period.
    ap_meta = (tmp_path / source.paths[0][0]).with_suffix(".meta")
    ap_meta.write_text(ap_meta.read_text().replace("syncSourceIdx=2", "syncSourceIdx=1"))
    line = read_line(sources_of(tmp_path)["imec0.ap"], tmp_path, "SY6")
    assert (line.samples.tolist(), line.levels.tolist()) == expected


def test_events_of_the_ni_board_are_where_they_were_written(session):
    folder, truth = session
    source = sources_of(folder)["nidq"]
    assert (source.dataset, source.segments, source.sync_line) == ("run_g0", ["g0_t0"], "XD0")
    lines = {line.name: line for line in read_lines(source, folder, thresholds_v={"XA0": 1.5})}
    for name, event in (("XD1", "camera"), ("XD2", "reward"), ("XA0", "photodiode")):
        rising = lines[name].seconds[lines[name].levels == 1]
        assert len(rising) > 1
        # A pulse is seen in the first sample at or after it.
        late_s = rising - truth.events[event][:, 0]
        assert (late_s >= -1e-6).all()
        assert late_s.max() < 41e-6
        lasting_s = np.diff(truth.events[event])[:, 0]
        np.testing.assert_allclose(lines[name].durations()[lines[name].levels == 1], lasting_s, rtol=0, atol=41e-6)
    assert len(lines["XD3"].samples) == 0


def test_two_files_of_each_stream(tmp_path):
    write_spikeglx_session(tmp_path, replace(SMALL, gap="files", missing=0.0, doubled=0.0))
    sources = list(sources_of(tmp_path).values())
    (nidq,) = [source for source in sources if source.stream == "nidq"]
    assert nidq.segments == ["g0_t0", "g0_t1"]
    both = read_line(nidq, tmp_path, "XD1")
    second = read_line(nidq.select(["g0_t1"]), tmp_path, "XD1")
    count = nidq.clocks[0].num_samples
    own = both.samples >= count
    np.testing.assert_array_equal(both.samples[own] - count, second.samples)
    np.testing.assert_array_equal(both.seconds[own], second.seconds)
    assert np.diff(both.seconds).max() > GAP_S
    chosen = select_sources(sources, "run_g0", "imec1.ap", [1])
    assert [(source.stream, source.segments) for source in chosen] == [
        ("imec0.ap", ["g0_t1"]),
        ("imec1.ap", ["g0_t1"]),
        ("nidq", ["g0_t1"]),
    ]
    assert select_sources(sources, "other_g0", "imec1.ap", [1]) == []


def test_a_source_survives_json(session):
    folder, _ = session
    for source in sources_of(folder).values():
        assert LineSource.model_validate_json(source.model_dump_json()) == source
        assert len(source.model_dump_json()) < 2000


def test_onebox(tmp_path):
    columns = np.zeros((100, 4), dtype="<i2")
    columns[:, 0] = np.where(np.arange(100) >= 50, 1000, -1000)
    columns[20:30, 2] = 1 << 9
    columns[40:, 3] = 1 << 6
    file = tmp_path / "run_g0" / "run_g0_t0.obx0.obx.bin"
    file.parent.mkdir()
    columns.tofile(file)
    meta = "typeThis=obx\nobSampRate=100\nfirstSample=0\nsnsXaDwSy=2,1,1\nobAiRangeMax=5\nobMaxInt=32768\n"
    file.with_suffix(".meta").write_text(f"{meta}nSavedChans=4\nfileSizeBytes={columns.nbytes}\n")
    source = sources_of(tmp_path)["obx0"]
    lines = {line.name: line for line in read_lines(source, tmp_path, ["XD9", "SY6"], {"XA0": 0.0})}
    assert source.sync_line == "SY6"
    assert lines["XD9"].samples.tolist() == [20, 30]
    assert lines["SY6"].seconds.tolist() == [0.4]
    assert lines["XA0"].samples.tolist() == [50]


@pytest.mark.parametrize("gap", ["none", "lost", "files"])
def test_open_ephys(tmp_path, gap):
    truth = write_openephys_session(tmp_path, replace(SMALL, gap=gap, missing=0.0, doubled=0.0))
    sources = sources_of(tmp_path, "openephys")
    board = sources["Record Node 101#NI-DAQmx-102.PXI-6133"]
    assert board.dataset == "experiment1"
    assert list_lines(board, tmp_path) == ["TTL1", "TTL2", "TTL3", "TTL4"]
    for name, event in (("TTL2", "camera"), ("TTL3", "reward")):
        line = read_line(board, tmp_path, name)
        rising = line.seconds[line.levels == 1]
        late_s = rising - truth.events[event][:, 0]
        assert (late_s >= -1e-6).all()
        assert late_s.max() < 41e-6
    probe = sources["Record Node 101#Neuropix-PXI-100.ProbeB-AP"]
    line = read_line(probe, tmp_path, "TTL1")
    # The samples are indices of the file, whatever was lost before them.
    clock = probe.clock
    assert clock is not None
    np.testing.assert_allclose(clock.seconds(line.samples), line.seconds, atol=1e-7)
    assert line.samples.max() < clock.num_samples
    assert bool(clock.gaps()) == (gap != "none")


def test_open_ephys_before_0_6_and_damaged(tmp_path):
    write_openephys_session(tmp_path, replace(SMALL, missing=0.0, doubled=0.4))
    recording = tmp_path / "Record Node 101" / "experiment1" / "recording1"
    expected = read_line(sources_of(tmp_path, "openephys")["Record Node 101#NI-DAQmx-102.PXI-6133"], tmp_path, "TTL3")
    for folder in [*recording.glob("continuous/*"), *recording.glob("events/*/TTL")]:
        (folder / "sample_numbers.npy").replace(folder / "timestamps.npy")
    for folder in recording.glob("events/*/TTL"):
        (folder / "states.npy").rename(folder / "channel_states.npy")
        folder.rename(folder.parent / "TTL_1")
    source = sources_of(tmp_path, "openephys")["Record Node 101#NI-DAQmx-102.PXI-6133"]
    line = read_line(source, tmp_path, "TTL3")
    np.testing.assert_array_equal(line.samples, expected.samples)
    np.testing.assert_allclose(line.seconds, expected.seconds)
    states = tmp_path / source.paths[0][0] / "channel_states.npy"
    np.save(states, np.load(states)[:-1])
    with pytest.raises(SpikeRelayError, match="states for"):
        read_lines(source, tmp_path)
    states.write_bytes(b"none")
    with pytest.raises(SpikeRelayError, match="cannot be read"):
        read_lines(source, tmp_path)
    (recording / "structure.oebin").write_text(json.dumps({"continuous": [], "events": []}))
    assert "no sampling rate" in sources_of(tmp_path, "openephys")["Record Node 101#NI-DAQmx-102.PXI-6133"].failure


def test_open_ephys_events_that_were_lost_are_reported(tmp_path):
    write_openephys_session(tmp_path, replace(SMALL, missing=0.0, doubled=0.4))
    source = sources_of(tmp_path, "openephys")["Record Node 101#NI-DAQmx-102.PXI-6133"]
    folder = tmp_path / source.paths[0][0]
    states = np.load(folder / "states.npy")
    kept = np.ones(len(states), dtype=bool)
    kept[np.flatnonzero(states == -3)[0]] = False
    for name in ("states", "sample_numbers"):
        np.save(folder / f"{name}.npy", np.load(folder / f"{name}.npy")[kept])
    line = read_line(source, tmp_path, "TTL3")
    assert line.problems == ["1 events repeat the level before them: the events between are missing"]


def test_the_older_open_ephys_format(tmp_path):
    from capsules.common.sync.openephys import OLDER_EVENT

    events = np.zeros(5, dtype=OLDER_EVENT)
    events["timestamp"] = [1000, 1100, 1200, 1300, 1400]
    events["type"] = [3, 5, 3, 3, 3]
    events["state"] = [1, 0, 0, 1, 1]
    events["channel"] = [2, 0, 2, 0, 0]
    events["recording"] = [0, 0, 0, 0, 1]
    header = "header.format = 'Open Ephys Data Format';\nheader.sampleRate = 1000;\n".ljust(1024)
    (tmp_path / "all_channels.events").write_bytes(header.encode() + events.tobytes())
    source = sources_of(tmp_path, "openephys")["all_channels.events"]
    first, third = read_lines(source, tmp_path)
    assert (first.name, first.seconds.tolist()) == ("TTL1", [1.3])
    assert (third.name, third.seconds.tolist(), third.levels.tolist()) == ("TTL3", [1.0, 1.2], [1, 0])
    (tmp_path / "all_channels.events").write_bytes(header.encode() + events.tobytes()[:-3])
    with pytest.raises(SpikeRelayError, match="it is cut off"):
        read_lines(source, tmp_path)


def test_events_in_an_nwb_file(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile
    from pynwb.event import EventsTable

    nwbfile = NWBFile("test", "id", datetime(2026, 1, 1, tzinfo=UTC))
    licks = EventsTable(name="licks", description="licks")
    for time_s in (3.0, 1.0, 2.0):
        licks.add_event(timestamp=time_s)
    stimuli = EventsTable(name="stimuli", description="stimuli")
    stimuli.add_column("event_type", "kind")
    for time_s, kind in ((1.0, "tone"), (2.0, "light"), (4.0, "tone")):
        stimuli.add_event(timestamp=time_s, duration=0.25, event_type=kind)
    for table in (licks, stimuli):
        nwbfile.add_events_table(table)
    with NWBHDF5IO(tmp_path / "day.nwb", "w") as io:
        io.write(nwbfile)
    sources = sources_of(tmp_path, "nwb")
    assert {name: source.dataset for name, source in sources.items()} == {"licks": "day", "stimuli": "day"}
    (line,) = read_lines(sources["licks"], tmp_path)
    assert (line.name, line.seconds.tolist(), line.levels.tolist()) == ("events", [1.0, 2.0, 3.0], [1, 1, 1])
    tone, light = read_lines(sources["stimuli"], tmp_path)
    assert (tone.name, tone.seconds.tolist(), tone.levels.tolist()) == ("tone", [1.0, 1.25, 4.0, 4.25], [1, 0, 1, 0])
    assert light.durations()[0] == 0.25
    (tmp_path / "day.nwb").write_bytes(b"none")
    assert "cannot be read" in sources_of(tmp_path, "nwb")["day.nwb"].failure


def csv_source(file: Path, stream: str = "imec0.ap") -> LineSource:
    return LineSource(dataset="d", stream=stream, format="csv", segments=["all"], paths=[[file.name]])


def test_a_file_of_pulses(tmp_path):
    file = tmp_path / "pulses.csv"
    file.write_text("stream,time_s\nimec0.ap,2.5\nnidq,1\nimec0.ap,0.5\n")
    (line,) = read_lines(csv_source(file), tmp_path)
    assert (line.name, line.seconds.tolist(), line.levels.tolist()) == ("pulses", [0.5, 2.5], [1, 1])
    file.write_text("stream,sample,level,line\nnidq,10,1,a\nnidq,20,0,a\nnidq,5,1,b\n")
    with pytest.raises(SpikeRelayError, match="have no clock"):
        read_lines(csv_source(file, "nidq"), tmp_path)
    from capsules.common.recordings.clock import count_clock

    source = csv_source(file, "nidq").model_copy(update={"clocks": [count_clock(100, 10.0, 1.0)]})
    first, _ = read_lines(source, tmp_path)
    assert (first.name, first.samples.tolist(), first.seconds.tolist()) == ("a", [10, 20], [2.0, 3.0])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("stream,tme_s\n", "unknown column 'tme_s'; did you mean 'time_s'"),
        ("time_s\n1\n", "give the columns stream and either time_s or sample"),
        ("stream,time_s,sample\n", "give the columns stream and either"),
        ("stream,time_s\na,x\n", "line 2: time_s is 'x', not a number"),
        ("stream,time_s\na,nan\n", "line 2: time_s is nan"),
        ("stream,sample\na,-1\n", "line 2: sample is -1"),
        ("stream,sample\na,1.5\n", "line 2: sample is 1.5"),
        ("stream,sample,level\na,1,2\n", "line 2: level is '2'"),
        ("stream,time_s\n,1\n", "line 2: the stream is missing"),
    ],
)
def test_a_file_of_pulses_with_a_mistake(tmp_path, text, problem):
    file = tmp_path / "pulses.csv"
    file.write_text(text)
    with pytest.raises(SpikeRelayError, match=problem):
        read_lines(csv_source(file), tmp_path)
    file.unlink()
    with pytest.raises(SpikeRelayError, match="no such file"):
        read_lines(csv_source(file), tmp_path)


def a_line(edges: list[tuple[float, int]]) -> Line:
    seconds = np.array([second for second, _ in edges])
    levels = np.array([level for _, level in edges], dtype=np.int8)
    return Line("x", "s", np.rint(seconds * 1000).astype(np.int64), levels, seconds)


def test_durations_last_until_the_next_opposite_edge():
    line = a_line([(1.0, 1), (1.5, 0), (4.0, 1), (5.0, 1), (5.25, 0), (6.0, 1)])
    np.testing.assert_allclose(line.durations(), [0.5, 2.5, 1.25, 0.25, 0.75, np.nan])


@pytest.mark.parametrize(
    ("edges", "kept"),
    [
        # A bouncing rising edge begins where it begins.
        ([(1.0, 1), (1.001, 0), (1.002, 1), (2.0, 0)], [1.0, 2.0]),
        # A short pulse and a short interruption are removed.
        ([(1.0, 1), (1.001, 0), (2.0, 1), (3.0, 0)], [2.0, 3.0]),
        ([(1.0, 1), (2.0, 0), (2.001, 1), (3.0, 0)], [1.0, 3.0]),
        ([(1.0, 1)], [1.0]),
    ],
)
def test_short_pulses_are_removed(edges, kept):
    line = a_line(edges)
    assert remove_short(line, 0.005).seconds.tolist() == kept
    assert remove_short(line, 0.0).seconds.tolist() == line.seconds.tolist()


def test_changes_of_no_words_at_all():
    changes = WordChanges()
    changes.add(np.empty(0, dtype=np.uint16))
    assert [len(part) for part in changes.edges(3)] == [0, 0]
