"""What `spikerelay.load` offers to people: tables, spike trains in seconds, other packages, the notebook."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from capsules.load import load
from capsules.results.hand_over import make_integer_keys
from capsules.results.published import place
from capsules.results.session_table import MOST_ROWS
from tests.event_folder import write_events
from tests.notebooks import run_notebook
from tests.two_probes import IDS

ROOT = Path(__file__).parents[2]
SORTERS = ("kilosort4", "spykingcircus2")
FAILED = "day_imec2_recording1"
REASON = "<script>alert('x')</script> & \x1b[31mred"
START_S, GAP_S, AFTER = 5.0, 1.2, 60000


def seconds_of(samples):
    """The times of the recording with a gap, by hand."""
    return START_S + samples / 30000 + GAP_S * (samples >= AFTER)


@pytest.fixture
def session(results):
    """Two sorters of two recordings, of which the first has a gap; a third recording failed before sorting."""
    entries = {}
    for id in IDS:
        for part in ("curated/{}", "spikesorted/{}", "postprocessed/{}.zarr"):
            for sorter in SORTERS:
                shutil.copytree(results / part.format(id), results / part.format(f"{id}_{sorter}"))
            shutil.rmtree(results / part.format(id))
        for sorter in SORTERS:
            entry = {"recording": id, "sorter": sorter, "status": "ok", "reason": None}
            entries[f"{id}_{sorter}"] = entry | {"units": 4, "good_units": 3}
    for sorter in SORTERS:
        entry = {"recording": FAILED, "sorter": sorter, "status": "failed", "reason": REASON}
        entries[f"{FAILED}_{sorter}"] = entry
    (results / "status.json").write_text(json.dumps({"recordings": entries, "blocks": {}}))
    file = place(results, "preprocessing", "stage.json", IDS[0])
    record = json.loads(file.read_text())
    starts_s = [START_S, START_S + AFTER / 30000 + GAP_S]
    record["facts"]["clock"] |= {"samples": [0, AFTER], "starts_s": starts_s, "rates_hz": [30000.0] * 2}
    file.write_text(json.dumps(record))
    return load(results.rename(results.parent / "<b>results & more"))


def test_the_table_has_a_row_for_each_unit(session):
    units = session.units
    assert units.index.names == ["sorting", "unit"]
    assert len(units) == units.index.nunique() == 16
    assert set(zip(units["recording"], units["sorter"], strict=True)) == {(id, name) for id in IDS for name in SORTERS}
    assert list(units)[:4] == ["recording", "sorter", "default_qc", "default_qc_reason"]
    for id, curated in session.curated.items():
        rows = units.loc[id]
        assert list(rows.index) == list(curated.unit_ids)
        for label in ("default_qc", "default_qc_reason", "suspicious"):
            assert list(rows[label]) == list(curated.get_property(label))
        positions = session.analyzers[id].get_extension("unit_locations").get_data()
        np.testing.assert_array_equal(rows[["x_um", "y_um", "z_um"]], positions)
        assert list(rows["num_spikes"]) == list(curated.count_num_spikes_per_unit().values())
    bad = units.query("default_qc == 'bad'")
    assert len(bad) and bad["default_qc_reason"].str.startswith("failed: num_spikes > 40").all()
    assert set(units) - set(session.metrics) == {"recording", "sorter", "x_um", "y_um", "z_um"}


def test_units_without_an_analyzer_keep_their_labels(session):
    ids = list(session.curated)
    for id in ids[1:]:
        shutil.rmtree(session.folder / "curated" / id)
    shutil.rmtree(session.folder / "postprocessed" / f"{ids[0]}.zarr")
    units = load(session.folder).units
    assert list(units.index) == [(ids[0], unit) for unit in session.curated[ids[0]].unit_ids]
    assert set(units["default_qc"]) <= {"good", "bad"}
    shutil.rmtree(session.folder / "curated" / ids[0])
    units = load(session.folder).units
    assert (len(units), units.index.names) == (0, ["sorting", "unit"])
    assert len(units.query("default_qc == 'good'")) == 0


def test_spike_trains_are_seconds_of_the_recordings_clock(session):
    assert list(session.spike_trains) == list(session.curated)
    for id, trains in session.spike_trains.items():
        for unit, train in trains.items():
            samples = session.curated[id].get_unit_spike_train(unit)
            expected = seconds_of(samples) if id.startswith(IDS[0]) else samples / 30000
            assert train.dtype == np.float64
            np.testing.assert_allclose(train, expected, rtol=0, atol=1e-9)
    gapped = np.concatenate(list(session.spike_trains[f"{IDS[0]}_kilosort4"].values()))
    assert (gapped < 7).any() and (gapped > 8.2).any()
    assert not ((gapped > 7) & (gapped < 8.2)).any()


def test_without_a_clock_time_is_counted_from_the_first_sample(session):
    for id in IDS:
        place(session.folder, "preprocessing", "stage.json", id).unlink()
    loaded, id = load(session.folder), f"{IDS[0]}_kilosort4"
    train = session.curated[id].get_unit_spike_train("0")
    np.testing.assert_allclose(loaded.spike_trains[id]["0"], train / 30000)
    assert len(loaded.to_pynapple(id)[0]) == len(train)


def test_pynapple_gets_the_trains_the_table_and_the_intervals(session):
    id = f"{IDS[0]}_kilosort4"
    group = session.to_pynapple(id)
    assert list(group.index) == [0, 1, 2, 3]
    np.testing.assert_allclose(group.time_support.values, [[5, 7], [8.2, 8.2 + (120000 - AFTER) / 30000]])
    for unit, train in session.spike_trains[id].items():
        np.testing.assert_allclose(group[int(unit)].t, train, rtol=0, atol=2e-9)
    rows = session.units.loc[id]
    assert list(group["unit"]) == list(rows.index)
    for name in rows:
        pd.testing.assert_series_equal(
            pd.Series(group.get_info(name)), rows[name], check_index=False, check_names=False, check_dtype=False
        )
    good = group[group["default_qc"] == "good"]
    assert [str(unit) for unit in good.index] == list(rows.query("default_qc == 'good'").index)


@pytest.mark.parametrize(
    ("units", "keys"),
    [
        (["0", "7", "3"], [0, 7, 3]),
        ([4, 2], [4, 2]),
        (["0a", "0b"], [0, 1]),
        (["1", "01"], [0, 1]),
        (["5", "-1"], [0, 1]),
        ([], []),
    ],
)
def test_keys_are_the_ids_where_these_are_integers(units, keys):
    assert make_integer_keys(units) == keys


def test_units_in_another_order_keep_their_rows(session, monkeypatch):
    id = f"{IDS[1]}_kilosort4"
    session.curated[id]._main_ids = np.array(["9", "<i>", "1", "4"])
    session.analyzers[id].sorting._main_ids = np.array(["9", "3", "1", "4"])
    group = session.to_pynapple(id)
    assert list(group["unit"]) == ["9", "<i>", "1", "4"]
    session.curated[id]._main_ids = np.array(["9", "3", "1", "4"])
    session = load(session.folder)
    session.curated[id]._main_ids = np.array(["9", "3", "1", "4"])
    group = session.to_pynapple(id)
    assert list(group.index) == [1, 3, 4, 9]
    assert list(group["unit"]) == ["1", "3", "4", "9"]
    assert [len(group[int(unit)]) for unit in group["unit"]] == list(group["num_spikes"])


def test_without_pynapple_the_error_says_what_to_install(session, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynapple", None)
    with pytest.raises(ImportError, match=r"pip install 'spikerelay\[pynapple\]'"):
        session.to_pynapple(f"{IDS[0]}_kilosort4")


def test_spikeinterface_gets_labels_times_and_traces(session, run_folder):
    id = f"{IDS[0]}_kilosort4"
    session = load(session.folder, data=run_folder / "data")
    analyzer = session.to_spikeinterface(id)
    rows = session.units.loc[id]
    assert list(analyzer.sorting.get_property("default_qc")) == list(rows["default_qc"])
    for unit, train in session.spike_trains[id].items():
        np.testing.assert_allclose(analyzer.sorting.get_unit_spike_train(unit, return_times=True), train)
    assert analyzer.get_extension("templates").get_data().shape[0] == 4
    traces = analyzer.recording.get_traces(start_frame=100, end_frame=200)
    np.testing.assert_array_equal(traces, session.recordings[IDS[0]].get_traces(start_frame=100, end_frame=200))
    assert "default_qc" not in session.analyzers[id].sorting.get_property_keys()
    assert not load(session.folder).to_spikeinterface(id).has_temporary_recording()
    with pytest.raises(KeyError, match=f"did you mean '{id}'"):
        session.to_spikeinterface(f"{id}5")


def test_keys_complete(session):
    ids = list(session.curated)
    assert len(ids) == 4
    for mapping in (session.curated, session.analyzers, session.sortings, session.spike_trains):
        assert mapping._ipython_key_completions_() == ids
        assert set(ids) <= set(dir(mapping))
    assert session.curated.day_imec0_recording1_kilosort4 is session.curated["day_imec0_recording1_kilosort4"]
    assert {"units", "spike_trains", "to_pynapple", "to_spikeinterface"} <= set(dir(session))
    assert FAILED not in dir(session.curated)
    with pytest.raises(AttributeError, match="no attribute 'day_imec9'"):
        _ = session.curated.day_imec9
    with pytest.raises(KeyError, match="did you mean 'day_imec0_recording1_kilosort4'"):
        session.curated["day_imec0_recording1_kilosort"]


def test_the_text_is_a_table(session):
    lines = repr(session).splitlines()
    assert lines[0].endswith("<b>results & more: 3 recordings, 6 sortings")
    assert re.split(r"\s{2,}", lines[1]) == ["recording", "state", "units", "good units", "duration"]
    assert re.split(r"\s{2,}", lines[2]) == [f"{IDS[0]}_kilosort4", "ok", "4", "3", "4.0 s"]
    assert lines[-1].startswith(f"{FAILED}_spykingcircus2") and "failed: <script>" in lines[-1]
    assert "\x1b" not in repr(session)
    assert len(lines) == 8


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.tags, self.cells = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        assert not attrs

    def handle_data(self, data):
        self.cells.append(data)


def test_the_html_is_the_same_table_with_names_escaped(session):
    page = Tags()
    page.feed(session._repr_html_())
    assert set(page.tags) == {"div", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert page.cells[0].endswith("<b>results & more: 3 recordings, 6 sortings")
    assert page.cells[1:6] == ["recording", "state", "units", "good units", "duration"]
    assert page.cells[6:11] == [f"{IDS[0]}_kilosort4", "ok", "4", "3", "4.0 s"]
    assert page.cells[-1] == "failed: <script>alert('x')</script> & \\x1b[31mred"


def test_hundreds_of_recordings_do_not_fill_the_screen(session):
    entry = session.status["recordings"][f"{FAILED}_kilosort4"]
    session.status["recordings"].update({f"r{index}": entry | {"recording": f"r{index}"} for index in range(100)})
    for text in (repr(session), session._repr_html_()):
        assert "and 66 more: see session.status" in text
    assert len(repr(session).splitlines()) == MOST_ROWS + 3


def test_import_and_a_look_need_no_spikeinterface(session):
    lines = [
        "import sys, spikerelay",
        "heavy = {'numpy', 'pandas', 'spikeinterface', 'torch', 'pynapple'}",
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)",
        f"session = spikerelay.load({str(session.folder)!r})",
        "repr(session), session._repr_html_(), dir(session.curated), list(session.analyzers)",
        "heavy -= {'numpy'}",
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=ROOT, check=True)


def test_the_notebook_runs(session, tmp_path, monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    (tmp_path / "spikerelay_demo").mkdir()
    (tmp_path / "spikerelay_demo" / "results").symlink_to(session.folder)
    rising_s = np.array([5.1, 5.9, 6.2, 6.9, 7.5, 9.0, 10.1])
    written = write_events(tmp_path / "made", {"XD1": ("stimulus", rising_s, rising_s + 0.05)})
    (session.folder / "events").mkdir()
    shutil.move(written / "events", session.folder / "events" / "day")
    monkeypatch.chdir(tmp_path)
    scope = {}
    shown = run_notebook(ROOT / "docs" / "tutorial.ipynb", scope)
    assert "3 recordings, 6 sortings" in shown[0]
    assert "default_qc_reason" in shown[1]
    id = scope["id"]
    assert id.startswith(IDS[0])
    rows = scope["raster"].axes[0].collections
    shown_trains = [session.spike_trains[id][name] for name in scope["shown"]]
    for row, train in zip(rows, shown_trains, strict=True):
        np.testing.assert_allclose(row.get_positions(), train)
    assert [line.get_xdata()[0] for line in scope["raster"].axes[0].lines] == list(rising_s)
    # Those whose window, from 0.3 s before to 0.6 s after, is in 5 to 7 s or in 8.2 to 10.2 s.
    assert list(scope["events_s"]) == [5.9, 6.2, 9.0]
    rates = scope["rates"]
    train = session.spike_trains[id][rates.index[0]]
    assert rates["before_hz"].iloc[0] == pytest.approx(count_around(train, [5.9, 6.2, 9.0], -0.3, 0) / 0.9)
    assert rates["after_hz"].iloc[0] == pytest.approx(count_around(train, [5.9, 6.2, 9.0], 0.02, 0.12) / 0.3)
    chosen = scope["chosen"]
    assert chosen == [rates["change_hz"].idxmax(), rates["change_hz"].idxmin()]
    for unit, (top, bottom) in zip(chosen, scope["panels"].T, strict=True):
        counts = [count_around(session.spike_trains[id][unit], [event], -0.3, 0.6) for event in (5.9, 6.2, 9.0)]
        assert [len(row.get_positions()) for row in top.collections] == counts
        assert bottom.patches[0].get_data().values.sum() * 0.01 * 3 == pytest.approx(sum(counts))
    scope["plt"].close("all")


def count_around(train_s, events_s, start_s, stop_s):
    return sum(int(((train_s >= event + start_s) & (train_s < event + stop_s)).sum()) for event in events_s)


def test_the_notebook_has_what_its_cells_show():
    """`make pictures GROUPS=tutorial` writes it."""
    text = (ROOT / "docs" / "tutorial.ipynb").read_text()
    assert len(text) < 200_000
    notebook = json.loads(text)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    for cell in code:
        source = "".join(cell["source"])
        kinds = {kind for output in cell["outputs"] for kind in output["data"]}
        assert ("image/png" in kinds) == ("plt.subplots" in source)
    # The folder of whoever made it is not in it.
    assert code[0]["outputs"][0]["data"]["text/plain"][0].startswith("SpikeRelay results in spikerelay_demo/results")
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
