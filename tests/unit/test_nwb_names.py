import numpy as np
import probeinterface

from capsules.common.recordings.job import electrode_names
from tests.two_probes import job


def probe(x, wiring, ids):
    made = probeinterface.Probe(ndim=2, si_units="um")
    made.set_contacts(np.array([[x, 0.0], [x, 20.0]]), shapes="circle", shape_params={"radius": 5})
    made.set_device_channel_indices(wiring)
    if ids:
        made.set_contact_ids(ids)
    return made


def group(*probes):
    made = probeinterface.ProbeGroup()
    for one in probes:
        made.add_probe(one)
    return made


def test_names_follow_the_channels_and_tell_probes_apart():
    interleaved = group(probe(0.0, [0, 2], ["e0", "e1"]), probe(500.0, [1, 3], ["e0", "e1"]))
    assert electrode_names(job(0), [10, 11, 12, 13], interleaved) == [
        "probe0:e0",
        "probe1:e0",
        "probe0:e1",
        "probe1:e1",
    ]
    assert electrode_names(job(0), [10, 11], group(probe(0.0, [1, 0], ["e0", "e1"]))) == ["e1", "e0"]


def test_without_a_probe_the_channels_name_themselves():
    assert electrode_names(job(0), ["a", 7], None) == ["a", "7"]
