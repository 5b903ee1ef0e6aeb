"""Where electrodes lie in the brain: files for each probe, on their way to electrodes, units, report and `load`."""

from __future__ import annotations

import json

import pytest

from capsules.common.errors import SpikeRelayError
from capsules.common.recordings.electrode_locations import ElectrodeLocation, find_location_file, read_locations
from tests.two_probes import IDS, job, linked_run, perform, publish, quiet_tasks

CHANNELS = {"AP0": (0, 0.0), "AP1": (1, 20.0), "AP2": (2, 40.0)}


def write(folder, text, name="imec0_channel_locations.csv"):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text)
    return folder / name


def test_a_table_by_channel(tmp_path):
    file = write(tmp_path, "\ufeffChannel,Acronym,AP (um),ml_mm,DV\n0,CA1,-2000.5,1.5,-1200\n2,VISp,,,\n")
    assert read_locations(file, CHANNELS) == {
        "AP0": ElectrodeLocation(region="CA1", ap_um=-2000.5, ml_um=1500.0, dv_um=-1200.0),
        "AP2": ElectrodeLocation(region="VISp"),
    }


def test_a_table_by_depth_reaches_as_far_as_its_lines_are_apart(tmp_path):
    file = write(tmp_path, "depth_um,region\n30,VISp\n5,CA1\n")
    deep = CHANNELS | {"AP3": (3, 60.0)}
    found = read_locations(file, deep)
    assert {id: place.region for id, place in found.items()} == {"AP0": "CA1", "AP1": "VISp", "AP2": "VISp"}


def test_the_alignment_tools_json(tmp_path):
    told = {"x": -1500.0, "y": 800.0, "z": -3000.0, "axial": 20.0, "lateral": 43.0, "brain_region_id": 382}
    document = {"channel_1": told | {"brain_region": "CA1"}, "origin": {"bregma": [1, 2, 3]}}
    file = write(tmp_path, json.dumps(document), "imec0_channel_locations.json")
    assert read_locations(file, CHANNELS) == {
        "AP1": ElectrodeLocation(region="CA1", ap_um=800.0, ml_um=-1500.0, dv_um=-3000.0)
    }


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("csv", "electrode,acronym\n0,CA1\n", "or depth_um, and acronym, are needed; its first line has electrode"),
        ("csv", "channel,acronym\n1.5,CA1\nx,CA1\n-1,CA1\n", "line 2: 1.5 is not a channel number.*line 3.*line 4"),
        ("csv", "channel,acronym,ap\n1,CA1,nan\n", "line 2: nan is not a number"),
        ("csv", "channel,acronym,ap,ap_mm\n1,CA1,1,1\n", "ap in two columns"),
        ("csv", "channel,acronym\n", "lists no electrode"),
        ("csv", "channel,acronym\n77,CA1\n", "lists none of the 3 channels"),
        ("json", "[1]", "a table of channels is needed"),
        ("json", "{", "cannot be read"),
        ("json", '{"imec0": {}}', "imec0 is not a channel name"),
        ("json", '{"channel_0": {"brain_region": "CA1", "x": "left"}}', "channel_0: left is not a number"),
        ("json", '{"channel_0": 5}', "channel_0: a table"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_place(name, text, what, tmp_path):
    file = write(tmp_path, text, f"imec0_channel_locations.{name}")
    with pytest.raises(SpikeRelayError, match=what) as raised:
        read_locations(file, CHANNELS)
    assert str(file) in str(raised.value)


def test_depths_need_positions(tmp_path):
    file = write(tmp_path, "depth_um,region\n30,VISp\n")
    with pytest.raises(SpikeRelayError, match="the channels have no positions"):
        read_locations(file, {"0": (0, None)})


def test_a_groups_own_file_goes_before_its_probes(tmp_path):
    near, far = tmp_path / "near", tmp_path
    probe = write(near, "", "imec0_channel_locations.csv")
    group = write(far, "", "imec0-group1_channel_locations.json")
    assert find_location_file([near, far], ["imec0-group1", "imec0"]) == group
    assert find_location_file([near, far], ["imec0-group2", "imec0"]) == probe
    assert find_location_file([near, far], ["imec1"]) is None


def test_units_have_the_region_of_their_largest_electrode(run_folder, tmp_path):
    import spikeinterface as si
    from pynwb import read_nwb

    from capsules.load import load

    located = job(0)
    located.locations_file = "imec0_channel_locations.csv"
    located.electrode_locations = {
        str(channel): ElectrodeLocation(region="CA1" if channel < 4 else None, ap_um=100.0 * channel)
        for channel in range(8)
    }
    folder = linked_run(run_folder, tmp_path / "run", "preprocessing_", "spikesorting_", "postprocessing_")
    with quiet_tasks():
        record = perform("curation", IDS[0], [located], folder)
        perform("curation", IDS[1], [job(1)], folder)
        perform("nwb_ecephys", "day", [located, job(1)], folder)
        perform("nwb_units", "day", [located, job(1)], folder)
    publish(folder, folder / "results")
    assert record["facts"]["locations_file"] == located.locations_file

    curated = si.load(folder / f"curation_{IDS[0]}" / "curated")
    analyzer = si.load(folder / f"postprocessing_{IDS[0]}" / "postprocessed.zarr")
    templates = analyzer.get_extension("templates").get_data()
    largest = [int(channel) for channel in templates.min(axis=1).argmin(axis=1)]
    regions = ["CA1" if channel < 4 else "unknown" for channel in largest]
    assert len(set(regions)) == 2
    assert curated.get_property("brain_region").tolist() == regions
    assert curated.get_property("ap_um").tolist() == [100.0 * channel for channel in largest]
    assert "ml_um" not in curated.get_property_keys()

    nwbfile = read_nwb(folder / "nwb_units_day" / "file.nwb")
    electrodes = nwbfile.electrodes.to_dataframe()
    own = electrodes[electrodes["group_name"] == "imec0"]
    assert own["location"].tolist() == ["CA1"] * 4 + ["unknown"] * 4
    assert own["ap_um"].tolist() == [100.0 * channel for channel in range(8)]
    assert set(electrodes[electrodes["group_name"] == "imec1"]["location"]) == {"unknown"}
    assert "imec0_channel_locations.csv" in nwbfile.electrodes["ap_um"].description
    units = nwbfile.units.to_dataframe()
    assert units[units["recording"] == IDS[0]]["brain_region"].tolist() == regions

    assert load(folder / "results").metrics.loc[IDS[0]]["brain_region"].tolist() == regions
