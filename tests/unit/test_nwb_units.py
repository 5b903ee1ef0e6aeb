"""The units of an NWB file: what they say, who can read them, and what the file says where there are none."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from capsules.common.units.metrics import get_metrics_table
from capsules.nwb_units import stage
from capsules.nwb_units.columns import Column, SortedUnits, Waveforms
from capsules.nwb_units.table import join_units
from tests.halves import rest_is_slow
from tests.two_probes import CHANNELS, IDS, contents, job, linked_run, perform, quiet_tasks, task_of

BACKENDS = ["zarr", "hdf5"]


@pytest.fixture(scope="module", params=rest_is_slow(BACKENDS))
def exported(request, run_folder, tmp_path_factory):
    """Folder of the stages, with raw traces and units of both probes in `nwb_units_day/file.nwb`."""
    folder = linked_run(run_folder, tmp_path_factory.mktemp("nwb") / "run", "postprocessing_", "curation_")
    with quiet_tasks():
        perform("nwb_ecephys", "day", [job(0), job(1)], folder, backend=request.param, write_raw=True)
        perform("nwb_units", "day", [job(0), job(1)], folder)
    return folder


@pytest.fixture
def nwbfile(exported):
    from pynwb import read_nwb

    return read_nwb(exported / "nwb_units_day" / "file.nwb")


@pytest.mark.parametrize("backend", rest_is_slow(BACKENDS))
def test_electrodes_have_the_labels_of_bad_channels(backend, run_folder, tmp_path):
    from pynwb import read_nwb, validate

    folder = linked_run(run_folder, tmp_path / "run", "curation_", f"postprocessing_{IDS[1]}")
    own = folder / f"postprocessing_{IDS[0]}"
    shutil.copytree(run_folder / own.name, own)
    record = json.loads((own / "stage.json").read_text())
    record["facts"]["bad_electrodes"] = {"2": "dead", "7": "out"}
    (own / "stage.json").write_text(json.dumps(record))
    with quiet_tasks():
        perform("nwb_ecephys", "day", [job(0), job(1)], folder, backend=backend)
        perform("nwb_units", "day", [job(0), job(1)], folder)
    written = read_nwb(folder / "nwb_units_day" / "file.nwb")
    assert not validate(io=written.read_io)
    electrodes = written.electrodes.to_dataframe()
    bad = electrodes[(electrodes["channel_label"] != "good") & (electrodes["group_name"] == "imec0")]
    assert dict(zip(bad["channel_name"], bad["channel_label"], strict=True)) == {"2": "dead", "7": "out"}
    assert "channel_label" not in read_nwb(folder / "nwb_ecephys_day" / "file.nwb").electrodes.colnames


def test_electrodes_of_a_probe_without_units_have_no_label(run_folder, tmp_path):
    from pynwb import read_nwb

    folder = linked_run(run_folder, tmp_path / "run", f"curation_{IDS[0]}", f"postprocessing_{IDS[0]}")
    with quiet_tasks():
        perform("nwb_ecephys", "day", [job(0), job(1)], folder)
        perform("nwb_units", "day", [job(0), job(1)], folder)
    electrodes = read_nwb(folder / "nwb_units_day" / "file.nwb").electrodes.to_dataframe()
    labels = electrodes.groupby("group_name")["channel_label"].agg(set)
    found = json.loads((run_folder / f"preprocessing_{IDS[0]}" / "bad_channels.json").read_text())
    assert labels["imec0"] == set(found.values())
    assert labels["imec1"] == {"unknown"}


def stages_of(run_folder, id):
    """The analyzer and the curated sorting that the units were made of."""
    import spikeinterface as si

    analyzer = si.load(run_folder / f"postprocessing_{id}" / "postprocessed.zarr", load_extensions=True)
    return analyzer, si.load(run_folder / f"curation_{id}" / "curated")


def rows_of(units, id):
    return [row for row, recording in enumerate(units["recording"].data[:]) if recording == id]


@pytest.mark.parametrize("id", IDS)
def test_units_are_those_of_the_curated_sorting(id, nwbfile, run_folder):
    analyzer, sorting = stages_of(run_folder, id)
    units, rows = nwbfile.units, rows_of(nwbfile.units, id)
    assert [units["sorting_unit_id"][row] for row in rows] == list(sorting.unit_ids)
    assert [units["unit_name"][row] for row in rows] == [f"{id}_{unit}" for unit in sorting.unit_ids]
    amplitudes = analyzer.get_extension("spike_amplitudes").get_data(outputs="by_unit")[0]
    for row, unit in zip(rows, sorting.unit_ids, strict=True):
        np.testing.assert_array_equal(units["spike_times"][row], sorting.get_unit_spike_train(unit) / 30000)
        np.testing.assert_array_equal(units["spike_amplitudes"][row], amplitudes[unit])
        np.testing.assert_allclose(units["obs_intervals"][row], [[0, 4]])
    for name in sorting.get_property_keys():
        if name in ("default_qc", "decoder_label", "bombcell_label"):
            assert [units[name][row] for row in rows] == list(sorting.get_property(name))
    assert set(np.array(units["sorter"].data[:])[rows]) == {"spykingcircus2"}
    assert set(np.array(units["sorter_version"].data[:])[rows]) == {"2025.12"}
    assert units.resolution == 1 / 30000


@pytest.mark.parametrize("id", IDS)
def test_metrics_and_places_are_the_analyzers(id, nwbfile, run_folder):
    analyzer, _ = stages_of(run_folder, id)
    units, rows = nwbfile.units, rows_of(nwbfile.units, id)
    metrics = get_metrics_table(analyzer)
    for name, values in metrics.items():
        if name in units.colnames:
            np.testing.assert_array_equal(units[name].data[:][rows], values.to_numpy(dtype=float))
    assert units["num_spikes"].data[:].dtype == np.int64
    places = analyzer.get_extension("unit_locations").get_data()
    for axis, values in zip("xyz", places.T, strict=False):
        np.testing.assert_array_equal(units[f"estimated_{axis}"].data[:][rows], values)


def test_no_column_is_empty_and_what_is_missing_is_named(exported, nwbfile, run_folder):
    record = json.loads((exported / "nwb_units_day" / "stage.json").read_text())
    left_out = record["facts"]["columns_left_out"]
    assert "presence_ratio" in left_out
    columns = {str(name) for id in IDS for name in get_metrics_table(stages_of(run_folder, id)[0])}
    assert columns == ((set(nwbfile.units.colnames) | set(left_out)) & columns)
    assert set(left_out) - columns <= {"suspicious_reason"}
    for column in nwbfile.units.columns:
        data = np.asarray(column.data[:])
        assert data.dtype.kind != "f" or not np.isnan(data).all(), column.name


@pytest.mark.parametrize("id", IDS)
def test_waveforms_are_the_templates_on_the_units_electrodes(id, nwbfile, run_folder):
    analyzer, _ = stages_of(run_folder, id)
    templates = analyzer.get_extension("templates")
    places = analyzer.get_channel_locations()
    units = nwbfile.units
    names = ("waveform_mean", "waveform_sd")
    for index, (row, unit) in enumerate(zip(rows_of(units, id), analyzer.unit_ids, strict=True)):
        channels = analyzer.sparsity.unit_id_to_channel_indices[unit]
        electrodes = units["electrodes"][row]
        assert set(electrodes["group_name"]) == {units["electrode_group"][row].name} == {id.split("_")[1]}
        np.testing.assert_array_equal(electrodes[["rel_x", "rel_y"]].to_numpy(), places[channels])
        for name, operator in zip(names, ("average", "std"), strict=True):
            expected = templates.get_templates(operator=operator)[index][:, channels]
            np.testing.assert_array_equal(units[name][row][:, : len(channels)], expected)
            assert np.isnan(units[name][row][:, len(channels) :]).all()
        main = channels[np.ptp(templates.get_templates()[index][:, channels], axis=0).argmax()]
        (found,) = units["max_electrode"][row][["rel_x", "rel_y"]].to_numpy()
        np.testing.assert_array_equal(found, places[main])
    assert (units.waveform_unit, units.waveform_rate) == ("microvolts", 30000)
    assert units.waveform_time_before_peak_in_ms == templates.nbefore / 30
    assert nwbfile.units["waveform_mean"].data.shape[2] > CHANNELS[0]


def test_spikeinterface_reads_the_units(exported, run_folder):
    from spikeinterface.extractors import read_nwb_sorting

    file = exported / "nwb_units_day" / "file.nwb"
    for use_pynwb in (False, True):
        path = "acquisition/ElectricalSeries-imec0"
        read = read_nwb_sorting(file, electrical_series_path=path, use_pynwb=use_pynwb)
        assert len(set(read.unit_ids)) == 8
        for id in IDS:
            _, sorting = stages_of(run_folder, id)
            for unit in sorting.unit_ids:
                train = read.get_unit_spike_train(f"{id}_{unit}")
                np.testing.assert_array_equal(train, sorting.get_unit_spike_train(unit))
        assert read.get_property("snr").dtype == float
        assert set(read.get_property("default_qc")) <= {"good", "bad"}


def test_the_file_is_valid_and_nwbinspector_finds_nothing_in_the_units(exported):
    from nwbinspector import Importance, inspect_nwbfile_object
    from pynwb import NWBHDF5IO, validate

    file = exported / "nwb_units_day" / "file.nwb"
    if file.is_file():
        io = NWBHDF5IO(file, "r")
    else:
        from hdmf_zarr import NWBZarrIO

        io = NWBZarrIO(str(file), "r")
    with io:
        assert validate(io=io) == []
        found = list(inspect_nwbfile_object(io.read()))
    ours = [message for message in found if "/units" in str(message.location) or message.object_type == "Units"]
    assert [one for one in ours if one.importance.value >= Importance.BEST_PRACTICE_VIOLATION.value] == []


def test_the_first_half_stays_as_it_is_when_the_second_is_stopped(exported, tmp_path, monkeypatch):
    folder = linked_run(exported, tmp_path / "run", "postprocessing_", "curation_")
    shutil.copytree(exported / "nwb_ecephys_day", folder / "nwb_ecephys_day")
    before = contents(folder / "nwb_ecephys_day")
    if (folder / "nwb_ecephys_day" / "file.nwb").is_file():
        from pynwb import NWBHDF5IO as Io
    else:
        from hdmf_zarr import NWBZarrIO as Io
    write, calls = Io.write_dataset, []

    def stop_halfway(*args, **kwargs):
        calls.append(1)
        if len(calls) > 40:
            raise KeyboardInterrupt
        return write(*args, **kwargs)

    monkeypatch.setattr(Io, "write_dataset", stop_halfway)
    with quiet_tasks():
        with pytest.raises(KeyboardInterrupt):
            perform("nwb_units", "day", [job(0), job(1)], folder)
        assert contents(folder / "nwb_ecephys_day") == before
        assert not (folder / "nwb_units_day").exists()
        monkeypatch.undo()
        shutil.rmtree(folder / ".nwb_units_day.partial")
        perform("nwb_units", "day", [job(0), job(1)], folder)
    assert contents(folder / "nwb_ecephys_day") == before
    again, first = (stages / "nwb_units_day" / "file.nwb" for stages in (folder, exported))
    assert again.is_file() or contents(again).keys() == contents(first).keys()


def _end(folder, id, status, reason):
    """Make a recording's curation end otherwise: skipped for a reason, or without anything, as a failed one does."""
    (folder / f"curation_{id}").unlink()
    if status == "skipped":
        (folder / f"curation_{id}").mkdir()
        record = {"stage": "curation", "id": id, "recording": id, "status": status, "reason": reason}
        (folder / f"curation_{id}" / "stage.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("ends", "units", "said"),
    [
        ({IDS[1]: "failed"}, 4, [f"{IDS[1]} has no units: an earlier stage failed."]),
        ({IDS[0]: "skipped"}, 4, [f"{IDS[0]} has no units: the sorting has no units."]),
        (
            {IDS[0]: "skipped", IDS[1]: "failed"},
            0,
            [
                f"{IDS[0]} has no units: the sorting has no units.",
                f"{IDS[1]} has no units: an earlier stage failed.",
                "No recording of this block has units: the file has no units table.",
            ],
        ),
    ],
)
def test_the_file_says_which_recordings_have_no_units(ends, units, said, exported, tmp_path):
    from pynwb import read_nwb

    folder = linked_run(exported, tmp_path / "run", "postprocessing_", "curation_", "nwb_ecephys_")
    for id, status in ends.items():
        _end(folder, id, status, "the sorting has no units")
    with quiet_tasks():
        record = perform("nwb_units", "day", [job(0), job(1)], folder)
    assert record["warnings"] == said
    assert record["facts"]["units"] == units
    file = folder / "nwb_units_day" / "file.nwb"
    nwbfile = read_nwb(file)
    assert nwbfile.data_collection == "\n".join(said)
    assert (0 if nwbfile.units is None else len(nwbfile.units)) == units
    if units:
        assert nwbfile.units.description.endswith("\n".join(said))


def test_the_file_says_that_no_unit_is_good(exported, run_folder, tmp_path):
    from pynwb import read_nwb

    folder = linked_run(exported, tmp_path / "run", "postprocessing_", f"curation_{IDS[0]}", "nwb_ecephys_")
    with quiet_tasks():
        perform("curation", IDS[1], [job(1)], folder, query="num_spikes > 100000")
        record = perform("nwb_units", "day", [job(0), job(1)], folder)
    said = f"{IDS[1]} has no good units: the curation query labels 4 bad."
    assert record["warnings"] == [said]
    nwbfile = read_nwb(folder / "nwb_units_day" / "file.nwb")
    assert nwbfile.data_collection == said
    assert [nwbfile.units["default_qc"][row] for row in rows_of(nwbfile.units, IDS[1])] == ["bad"] * 4


def test_a_probe_that_is_not_in_the_file_leaves_the_others_units(run_folder, tmp_path):
    from pynwb import read_nwb

    folder = linked_run(run_folder, tmp_path / "run", "postprocessing_", "curation_")
    with quiet_tasks():
        perform("nwb_ecephys", "day", [job(1)], folder)
        record = perform("nwb_units", "day", [job(0), job(1)], folder)
    assert record["warnings"] == [f"{IDS[0]} has no units: its probe is not in this file."]
    assert len(read_nwb(folder / "nwb_units_day" / "file.nwb").units) == 4


def test_a_recording_that_could_not_be_read_is_named_with_its_reason(run_folder, tmp_path):
    folder = linked_run(run_folder, tmp_path / "run", "none")
    broken = [job(0).model_copy(update={"failure": "the file is cut off"})]
    curated, remarks = stage.find_curated_sortings(task_of("nwb_units", "day", broken, folder))
    assert (curated, remarks) == ([], [f"{IDS[0]} has no units: the file is cut off."])


def sorted_units(number, waveforms=None, rate_hz=30000.0, **columns):
    times = [np.array([1.0, 2.0])] * number
    columns = {name: Column(name, values) for name, values in ({"spike_times": times} | columns).items()}
    return SortedUnits(columns, waveforms, rate_hz)


def test_columns_keep_their_kinds_across_sortings():
    one = sorted_units(
        2,
        spikes=np.array([3, 4]),
        snr=np.array([5.0, np.nan]),
        label=np.array(["good", "bad"]),
        odd=np.array([True, False]),
        count=np.array([1, 2]),
        empty=np.array([np.nan, np.nan]),
        amplitudes=[np.ones(2), np.ones(3)],
        name=np.array([1, 2]),
    )
    other = sorted_units(1, spikes=np.array([9]), spread=np.array([40.0]), name=np.array(["a"]))
    table = join_units([one, other])
    values = {name: column.values for name, column in table.columns.items()}
    assert values["spikes"].tolist() == [3, 4, 9]
    assert values["spikes"].dtype == int
    assert values["label"].tolist() == ["good", "bad", ""]
    assert (values["odd"].tolist(), values["odd"].dtype) == ([True, False, False], bool)
    np.testing.assert_array_equal(values["count"], [1, 2, np.nan])
    np.testing.assert_array_equal(values["spread"], [np.nan, np.nan, 40])
    assert values["name"].tolist() == ["1", "2", "a"]
    assert [len(own) for own in values["amplitudes"]] == [2, 3, 0]
    assert table.left_out == ["empty"]


def test_waveforms_of_probes_are_aligned_at_the_spike():
    def waveforms(before, after, electrodes, rate_hz):
        mean = np.zeros((before + after, electrodes))
        mean[before] = -1
        return Waveforms([mean], [mean], rate_hz, before, "microvolts")

    one, other = waveforms(30, 60, 2, 30000.1), waveforms(29, 59, 4, 29999.9)
    table = join_units([sorted_units(1, one, 30000.1), sorted_units(1, other, 29999.9)])
    mean = table.columns["waveform_mean"].values
    assert mean.shape == (2, 90, 4)
    assert np.nanargmin(mean[:, :, 0], axis=1).tolist() == [30, 30]
    assert np.isnan(mean[1, [0, -1]]).all()
    assert table.attributes["waveform_time_before_peak_in_ms"] == pytest.approx(1, rel=1e-4)
    slow = sorted_units(1, replace(other, rate_hz=20000.0), 20000.0)
    table = join_units([sorted_units(1, one, 30000.1), slow])
    assert table.left_out == ["waveform_mean", "waveform_sd"]
    assert table.attributes == {"resolution": 1 / 30000.1}
