"""`spikerelay export`, `curate` and `rerun`, on a results folder made by the stages themselves."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from capsules.load import load
from capsules.results.published import place
from tests.data import differ_at_most_where_chunks_end
from tests.pipeline.nextflow_runs import ROOT
from tests.two_probes import IDS, contents, job, linked_run, perform, quiet_tasks


def edited(results, file, **changes):
    document = json.loads((results / "curated" / IDS[0] / "curation.json").read_text()) | changes
    file.write_text(json.dumps(document))
    return file


def labelled(name, value, exclusive=True):
    """A curation's changes: one label, with two options, given to unit 0."""
    return {
        "label_definitions": {name: {"label_options": ["good", "bad"], "exclusive": exclusive}},
        "manual_labels": [{"unit_id": "0", "labels": {name: [value]}}],
    }


def units_table(file):
    from pynwb import read_nwb

    return read_nwb(file).units.to_dataframe()


def rows(table, id):
    return table[table["recording"] == id].set_index("sorting_unit_id")


def test_export_to_phy(results, run_folder, spikerelay):
    before = contents(results)
    code, said, _ = spikerelay("export", results, "--to", "phy", "--recording", IDS[0])
    folder = results / "phy" / IDS[0]
    assert (code, "4 units without traces (give --data to write them)" in said) == (0, True)
    assert {name: content for name, content in contents(results).items() if not name.startswith("phy/")} == before
    assert len(np.load(folder / "spike_times.npy")) == len(np.load(folder / "spike_clusters.npy"))
    labels = (folder / "cluster_default_qc.tsv").read_text().split()
    assert set(labels[3::2]) <= {"good", "bad"}
    np.testing.assert_allclose(np.load(folder / "spike_seconds.npy"), np.load(folder / "spike_times.npy") / 30000)
    assert not (folder / "recording.dat").exists()
    assert "dat_path = None" in (folder / "params.py").read_text()
    code, _, complaint = spikerelay("export", results, "--to", "phy", "--recording", IDS[0])
    assert (code, "exists: remove it" in complaint) == (2, True)


def put_a_gap(results, id, after=60000, seconds=1.2):
    """Change the clock of a published recording, as if samples had been dropped."""
    file = place(results, "preprocessing", "stage.json", id)
    record = json.loads(file.read_text())
    clock = record["facts"]["clock"]
    assert (clock["samples"], clock["starts_s"]) == ([0], [0.0])
    clock |= {"samples": [0, after], "starts_s": [5.0, 5.0 + after / 30000 + seconds], "rates_hz": [30000.0] * 2}
    file.write_text(json.dumps(record))


def test_times_are_right_across_a_gap(results, run_folder, spikerelay):
    import spikeinterface as si

    curated = si.load(results / "curated" / IDS[0])
    kept = json.loads((results / "curated" / IDS[0] / "clock.json").read_text())
    assert kept == json.loads(place(results, "preprocessing", "stage.json", IDS[0]).read_text())["facts"]["clock"]
    put_a_gap(results, IDS[0])
    assert spikerelay("export", results, "--to", "phy", "--recording", IDS[0])[0] == 0
    samples = np.load(results / "phy" / IDS[0] / "spike_times.npy")
    expected = 5 + samples / 30000 + 1.2 * (samples >= 60000)
    assert 0 < (samples >= 60000).sum() < len(samples)
    np.testing.assert_allclose(np.load(results / "phy" / IDS[0] / "spike_seconds.npy"), expected)
    session = load(results, data=run_folder / "data")
    for sorting in (session.curated[IDS[0]], session.sortings[IDS[0]]):
        for unit in sorting.unit_ids:
            train = sorting.get_unit_spike_train(unit)
            times = sorting.get_unit_spike_train(unit, return_times=True)
            np.testing.assert_allclose(times, 5 + train / 30000 + 1.2 * (train >= 60000))
    recording = session.recordings[IDS[0]]
    np.testing.assert_allclose(recording.sample_index_to_time(np.array([59999, 60000])), [7 - 1 / 30000, 8.2])
    assert session.clocks[IDS[0]].samples_at([6.0, 8.2]).tolist() == [30000, 60000]
    assert len(curated.unit_ids) == len(session.curated[IDS[0]].unit_ids)


def test_export_with_traces(results, run_folder, spikerelay, tmp_path):
    import spikeinterface as si

    out = tmp_path / "phy"
    words = ("--recording", IDS[1], "--data", run_folder / "data", "--output", out, "--n_jobs", 1)
    code, said, complaint = spikerelay("export", results, "--to", "phy", *words)
    assert (code, "with its traces" in said) == (0, True), complaint
    assert "dat_path = r'recording.dat'" in (out / "params.py").read_text()
    traces = si.load(run_folder / f"preprocessing_{IDS[1]}" / "traces").get_traces()
    written = np.fromfile(out / "recording.dat", "int16").reshape(traces.shape)
    assert differ_at_most_where_chunks_end(written, traces)
    assert np.load(out / "pc_features.npy").shape[0] == len(np.load(out / "spike_times.npy"))


def test_export_that_fails_leaves_nothing(results, spikerelay, tmp_path):
    (tmp_path / "elsewhere" / "data").mkdir(parents=True)
    words = ("--recording", IDS[0], "--data", tmp_path / "elsewhere" / "data", "--output", tmp_path / "phy")
    code, _, complaint = spikerelay("export", results, "--to", "phy", *words)
    assert (code, "does not hold the recording" in complaint) == (1, True)
    assert not list(tmp_path.glob("*phy*"))


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ([], f"add --recording, one of {', '.join(IDS)}"),
        (["--recording", "day_imec0_recording2"], "did you mean 'day_imec0_recording1'?"),
    ],
)
def test_the_recording_must_be_clear(words, complaint, results, spikerelay):
    code, _, told = spikerelay("export", results, "--to", "phy", *words)
    assert (code, complaint in told) == (2, True)


def test_no_results_folder_is_refused(tmp_path, spikerelay):
    for words in (["export", tmp_path, "--to", "phy"], ["curate", tmp_path, "--apply", "c.json"], ["rerun", tmp_path]):
        code, _, told = spikerelay(*words)
        assert (code, "not the results folder of a finished run" in told) == (2, True)


def test_the_runs_own_curation_changes_nothing(results, spikerelay, tmp_path):
    import spikeinterface as si

    own = results / "curated" / IDS[0]
    before = contents(results)
    for output in ("once", "twice"):
        words = ("--apply", own / "curation.json", "--recording", IDS[0], "--output", tmp_path / output)
        code, said, complaint = spikerelay("curate", results, *words)
        assert (code, "4 units became 4" in said) == (0, True), complaint
    assert contents(results) == before
    first, second, published = (
        si.load(folder) for folder in (tmp_path / "once" / "curated", tmp_path / "twice" / "curated", own)
    )
    for sorting in (first, second):
        np.testing.assert_array_equal(sorting.to_spike_vector(), published.to_spike_vector())
        for name in published.get_property_keys():
            np.testing.assert_array_equal(sorting.get_property(name), published.get_property(name))
        np.testing.assert_array_equal(sorting.get_property("quality"), published.get_property("default_qc"))
    assert (tmp_path / "once" / "curation.json").read_bytes() == (own / "curation.json").read_bytes()
    assert (tmp_path / "once" / "metrics.csv").read_bytes() == (tmp_path / "twice" / "metrics.csv").read_bytes()
    ours, theirs = units_table(tmp_path / "once" / "day.nwb"), units_table(results / "nwb" / "day.nwb")
    assert set(ours.columns) - set(theirs.columns) == {"quality", "quality_reason", "suspicion"}
    for id in IDS:
        one, other = rows(ours, id), rows(theirs, id)
        for name in one.columns.drop(
            ["quality", "quality_reason", "suspicion", "electrodes", "max_electrode", "electrode_group"]
        ):
            for mine, other_one in zip(one[name], other[name], strict=True):
                np.testing.assert_array_equal(mine, other_one)
            assert one[name].dtype == other[name].dtype
        for name in ("electrodes", "max_electrode"):
            assert [list(part.index) for part in one[name]] == [list(part.index) for part in other[name]]
        assert [group.name for group in one["electrode_group"]] == [group.name for group in other["electrode_group"]]


def test_merges_removals_splits_and_labels(results, spikerelay, tmp_path):
    import pandas as pd
    import spikeinterface as si

    own = si.load(results / "curated" / IDS[0])
    counts = own.count_num_spikes_per_unit()
    file = edited(
        results,
        tmp_path / "mine.json",
        label_definitions={
            "quality": {"label_options": ["good", "bad"], "exclusive": True},
            "note": {"label_options": ["odd", "fine"], "exclusive": False},
        },
        manual_labels=[{"unit_id": "0", "labels": {"quality": ["bad"], "note": ["odd"]}}],
        merges=[{"unit_ids": ["1", "2"], "new_unit_id": "1+2"}],
        splits=[{"unit_id": "0", "mode": "indices", "indices": [[0, 1, 2]], "new_unit_ids": ["0a", "0b"]}],
        removed=["3"],
    )
    code, said, complaint = spikerelay("curate", results, "--apply", file, "--recording", IDS[0])
    assert code == 0, complaint
    assert "4 units became 3" in said
    assert "come from the saved data, not from the traces" in said
    folder = results / "hand_curated" / IDS[0]
    sorting = si.load(folder / "curated")
    assert set(sorting.unit_ids) == {"1+2", "0a", "0b"}
    assert sorting.count_num_spikes_per_unit() == {"1+2": counts["1"] + counts["2"], "0a": 3, "0b": counts["0"] - 3}
    labels = dict(zip(sorting.unit_ids, sorting.get_property("quality"), strict=True))
    assert labels == {"1+2": "", "0a": "bad", "0b": "bad"}
    assert dict(zip(sorting.unit_ids, sorting.get_property("odd"), strict=True))["0a"]
    table = pd.read_csv(folder / "metrics.csv", index_col="unit")
    assert table.loc["1+2", "num_spikes"] == counts["1"] + counts["2"]
    units = units_table(folder / "day.nwb")
    assert set(rows(units, IDS[0]).index) == {"1+2", "0a", "0b"}
    assert len(rows(units, IDS[1])) == 4
    published = rows(units_table(results / "nwb" / "day.nwb"), IDS[0])
    merged = np.sort(np.concatenate([published.loc[unit, "spike_times"] for unit in ("1", "2")]))
    np.testing.assert_array_equal(rows(units, IDS[0]).loc["1+2", "spike_times"], merged)
    assert [path.name for path in results.rglob(".*partial*")] == []


def add_rewards(file: Path) -> None:
    """Add a table of two events to an NWB file."""
    from pynwb.event import EventsTable

    from capsules.nwb_units.stage import open_io

    table = EventsTable(name="reward", description="rewards")
    for time_s in (0.5, 1.5):
        table.add_event(timestamp=time_s, duration=0.1)
    with open_io(file) as io:
        nwbfile = io.read()
        nwbfile.add_events_table(table)
        io.write(nwbfile)


def rewards(file: Path) -> list[float]:
    """The times of that table."""
    from pynwb import read_nwb

    return read_nwb(file).events["reward"]["timestamp"][:].tolist()


@pytest.mark.slow
def test_units_in_an_hdf5_file_are_replaced_too(run_folder, results, spikerelay, tmp_path):
    folder = linked_run(run_folder, tmp_path / "hdf5", "postprocessing_", "curation_")
    with quiet_tasks():
        for stage in ("nwb_ecephys", "nwb_units"):
            perform(stage, "day", [job(0), job(1)], folder, backend="hdf5")
    shutil.rmtree(results / "nwb" / "day.nwb")
    shutil.copyfile(folder / "nwb_units_day" / "file.nwb", results / "nwb" / "day.nwb")
    add_rewards(results / "nwb" / "day.nwb")
    before = contents(results)
    file = edited(results, tmp_path / "mine.json", removed=["3"])
    words = ("--recording", IDS[0], "--output", tmp_path / "mine")
    code, said, complaint = spikerelay("curate", results, "--apply", file, *words)
    assert (code, "4 units became 3" in said) == (0, True), complaint
    assert contents(results) == before
    ours, theirs = units_table(tmp_path / "mine" / "day.nwb"), units_table(results / "nwb" / "day.nwb")
    assert list(rows(ours, IDS[0]).index) == ["0", "1", "2"]
    assert rewards(tmp_path / "mine" / "day.nwb") == [0.5, 1.5]
    for id in IDS:
        for unit, row in rows(ours, id).iterrows():
            np.testing.assert_array_equal(row["spike_times"], rows(theirs, id).loc[unit, "spike_times"])


@pytest.mark.slow
def test_a_file_whose_units_are_all_removed_has_none(run_folder, results, spikerelay, tmp_path):
    from pynwb import read_nwb

    folder = linked_run(run_folder, tmp_path / "alone", f"postprocessing_{IDS[0]}", f"curation_{IDS[0]}")
    with quiet_tasks():
        for stage in ("nwb_ecephys", "nwb_units"):
            perform(stage, "day", [job(0)], folder)
    shutil.rmtree(results / "nwb" / "day.nwb")
    shutil.copytree(folder / "nwb_units_day" / "file.nwb", results / "nwb" / "day.nwb")
    file = edited(results, tmp_path / "mine.json", removed=["0", "1", "2", "3"])
    code, said, complaint = spikerelay("curate", results, "--apply", file, "--recording", IDS[0])
    assert (code, "4 units became 0" in said) == (0, True), complaint
    assert read_nwb(results / "hand_curated" / IDS[0] / "day.nwb").units is None


@pytest.mark.slow
def test_a_label_of_the_run_is_changed_and_a_merged_units_empty_metrics_are_told(results, spikerelay, tmp_path):
    add_rewards(results / "nwb" / "day.nwb")
    changes = labelled("default_qc", "bad") | {"merges": [{"unit_ids": ["1", "2"], "new_unit_id": "1"}]}
    file = edited(results, tmp_path / "mine.json", **changes)
    code, said, complaint = spikerelay("curate", results, "--apply", file, "--recording", IDS[0])
    assert (code, "New units: 1." in said, "Undefined for" in said) == (0, True, True), complaint
    units = rows(units_table(results / "hand_curated" / IDS[0] / "day.nwb"), IDS[0])
    assert dict(units["default_qc"]) == {"0": "bad", "1": "", "3": ""}
    assert rewards(results / "hand_curated" / IDS[0] / "day.nwb") == [0.5, 1.5]


def test_what_is_gone_or_cannot_be_written_is_told_in_a_line(results, spikerelay, tmp_path):
    file = edited(results, tmp_path / "mine.json")
    chosen = ("--recording", IDS[0])
    (tmp_path / "file").touch()
    (results / "nwb" / "stray.nwb").touch()
    for command in (("curate", results, "--apply", file), ("export", results, "--to", "phy")):
        code, _, complaint = spikerelay(*command, *chosen, "--output", tmp_path / "file" / "inside")
        assert (code, complaint.endswith("Not a directory\n")) == (1, True)
    code, _, complaint = spikerelay("export", results, "--to", "phy", *chosen, "--n_jobs", "0")
    assert (code, complaint) == (2, "--n_jobs: must be an integer of at least 1; got 0\n")
    shutil.rmtree(results / "postprocessed")
    for command in (("curate", results, "--apply", file), ("export", results, "--to", "phy")):
        code, _, complaint = spikerelay(*command, *chosen)
        assert (code, f"{IDS[0]}.zarr is missing" in complaint, complaint.count("\n")) == (1, True, 1)


@pytest.mark.slow
def test_new_units_never_get_the_id_of_a_removed_one(results, spikerelay, tmp_path):
    import spikeinterface as si

    splits = [{"unit_id": "0", "mode": "indices", "indices": [[0, 1, 2]]}]
    file = edited(results, tmp_path / "mine.json", merges=[{"unit_ids": ["1", "2"]}], splits=splits, removed=["3"])
    code, said, complaint = spikerelay("curate", results, "--apply", file, "--recording", IDS[0])
    assert (code, "New units: 4, 5, 6." in said) == (0, True), complaint
    assert set(si.load(results / "hand_curated" / IDS[0] / "curated").unit_ids) == {"4", "5", "6"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{'a': 1}", "mine.json, line 1, column 2"),
        ("[]", "not a curation of SpikeInterface's format, version 1 or 2"),
        ({"unit_ids": ["7", "8"]}, f"its unit_ids are not the units of {IDS[0]}; is it another recording's"),
        ({"removed": ["9"]}, "Removed unit_id 9 is not in the unit list"),
        ({"merges": [{"unit_ids": ["1"]}]}, "at least 2"),
        (
            {"merges": [{"unit_ids": ["1", "2"]}], "splits": [{"unit_id": "2", "indices": [[0]]}]},
            "some units were both merged and split",
        ),
        ({"merges": [{"unit_ids": ["1", "2"], "new_unit_id": 7}]}, "new unit id 7: must be of type str"),
        ({"splits": [{"unit_id": "1", "indices": [[0, 99999]]}]}, "lists spikes that the unit does not have"),
        ({"splits": [{"unit_id": "1", "mode": "labels", "labels": [0, 1]}]}, "has 2 labels for"),
        ({"splits": [{"unit_id": "1", "indices": [[0]], "new_unit_ids": ["a"]}]}, "makes 2 units"),
        ({"splits": [{"unit_id": "1", "indices": [[], [0]]}]}, "needs two parts or more, with spikes in each"),
        ({"splits": [{"unit_id": "1", "indices": [[0]]}, {"unit_id": "1", "indices": [[1]]}]}, "split more than once"),
        ({"merges": [{"unit_ids": ["1", "1"]}]}, "a merge names a unit twice: 1, 1"),
        ({"merges": 5}, "not in the format: TypeError"),
        ({"mergess": []}, "\"mergess\" is not in the format; did you mean 'merges'?"),
        (labelled("quality", "superb"), 'unit 0: quality has no option "superb"'),
        (labelled("quality", "god"), "has no option \"god\"; did you mean 'good'?"),
        (labelled("note", "superb", exclusive=False), 'unit 0: note has no option "superb"'),
        (labelled("../../x", "good"), 'label "../../x": invalid name'),
        (labelled("", "good"), 'label "": invalid name'),
        *(
            (labelled(taken, "good"), f"label {taken}: the units already have a column of this name")
            for taken in ("id", "snr", "spike_times", "spike_times_index", "waveforms", "colnames", "main_channel_id")
        ),
        (
            {"label_definitions": {name: {"label_options": ["a", "b"], "exclusive": False} for name in "xy"}}
            | {"manual_labels": []},
            "label a is defined twice",
        ),
    ],
)
def test_a_curation_that_cannot_be_applied_is_refused(text, complaint, results, spikerelay, tmp_path):
    file = tmp_path / "mine.json"
    file.write_text(text) if isinstance(text, str) else edited(results, file, **text)
    code, _, told = spikerelay("curate", results, "--apply", file, "--recording", IDS[0])
    assert (code, complaint in told) == (2, True), told
    assert not (results / "hand_curated").exists()


@pytest.mark.parametrize("sorter", ["spykingcircus2", "spykingcircus2,tridesclous2"])
def test_rerun_resolves_to_the_same_params(sorter, tmp_path, spikerelay, monkeypatch):
    from capsules.resolve_params.resolve import resolve
    from capsules.resolve_params.stage import resolve_run

    data, results = tmp_path / "my data", tmp_path / "results"
    data.mkdir()
    (data / "x").touch()
    monkeypatch.setenv("DATA_PATH", str(data))
    monkeypatch.setenv("RESULTS_PATH", str(results))
    options = {"sorter": sorter, "n_jobs": 2, "runmode": "fast", "curation_args": "--query 'snr > 5'",
               "job_dispatch_args": "--input spikeglx"}  # fmt: skip
    configured = {"config_files": [str(ROOT / "nextflow_local.config")], "profile": "standard"}
    resolved = resolve_run(configured | {"options": options, "launch_folder": str(tmp_path)})
    record = resolved["sessions"][0]["params"]
    (results / "params.json").write_text(record)
    (results / "status.json").write_text('{"recordings": {}, "blocks": {}}')
    code, said, complaint = spikerelay("rerun", results)
    assert code == 0, complaint
    words = shlex.split(said)
    assert words[3:5] == [f"DATA_PATH={data}", f"RESULTS_PATH={results}_2"]
    assert words[5:10] == ["./nextflow", "-C", "nextflow_local.config", "run", "main_multi_backend.nf"]
    pairs = dict(word.removeprefix("--").split("=", 1) for word in words[10:])
    assert pairs["n_jobs"] == "2"
    again = resolve(pairs | {"n_jobs": 2}, Path("/"))
    assert again.document() == json.loads(record)["params"]
    assert again.sorters == sorter.split(",")


def test_a_record_says_when_where_and_with_what(run_folder):
    record = json.loads((run_folder / f"postprocessing_{IDS[0]}" / "stage.json").read_text())
    for name in ("code", "versions", "params", "started", "ended", "machine", "device", "seeds", "seconds"):
        assert record[name], name
    assert record["started"] <= record["ended"]


def test_rerun_of_an_installed_package_writes_nothing_among_its_files(tmp_path, monkeypatch):
    from capsules.commands import rerun

    monkeypatch.setattr(rerun, "IS_CLONE", False)
    (tmp_path / "status.json").write_text('{"recordings": {}, "blocks": {}}')
    (tmp_path / "params.json").write_text('{"params": {}, "sorters": [{"name": "lupin"}]}')
    (tmp_path / "nextflow").mkdir()
    (tmp_path / "nextflow" / "run.json").write_text('{"data": "/d"}')
    words = shlex.split(rerun.rerun_command(tmp_path))
    assert words[0] == "DATA_PATH=/d"
    assert {str(ROOT / name) for name in ("nextflow", "nextflow_local.config", "main_multi_backend.nf")} <= set(words)
