"""The units table of an NWB file: units of several recordings, which need not have the same columns."""

from datetime import UTC, datetime

import numpy as np


def test_units_that_lack_a_column_have_a_blank_there(tmp_path):
    from pynwb import NWBHDF5IO, NWBFile, read_nwb

    from capsules.nwb_units.stage import write_units

    nwbfile = NWBFile("session", "id", datetime(2026, 1, 1, tzinfo=UTC))
    device = nwbfile.create_device("probe")
    group = nwbfile.create_electrode_group("imec0", "one", "brain", device)
    nwbfile.add_electrode(location="brain", group=group)
    waveform = {"waveform_mean": np.zeros(5), "waveform_sd": np.ones(5), "electrodes": [0]}
    rows = [
        {"spike_times": np.array([1.0, 2.0]), "snr": 5.0, "label": "good", **waveform},
        {"spike_times": np.array([1.5]), "spread": 40.0, "odd": True, **waveform},
    ]
    waveforms = {"waveform_rate": 30000.0, "waveform_unit": "microvolts", "resolution": 1 / 30000}
    write_units(nwbfile, waveforms, {"snr": "s", "label": "l", "spread": "p", "odd": "o"}, rows)
    with NWBHDF5IO(tmp_path / "file.nwb", "w") as io:
        io.write(nwbfile)
    table = read_nwb(tmp_path / "file.nwb").units.to_dataframe()
    assert table["snr"].tolist()[0] == 5
    assert table["snr"].isna().tolist() == [False, True]
    assert table["spread"].isna().tolist() == [True, False]
    assert table["label"].tolist() == ["good", ""]
    assert table["odd"].tolist() == [False, True]
