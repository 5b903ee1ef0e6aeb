"""Recordings of known units through the capsules, scored against the truth and against a script by hand."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from capsules.demo.score import compare
from tests.data import (
    DRIFT_RATE_HZ,
    ProbeSpec,
    as_counts,
    drifting_ground_truth,
    ground_truth,
    grouped_ground_truth,
    shank_probe,
    tetrode_probe,
)
from tests.truth.chain import bare, dispatch, preprocess, sort_groups, spikesort, write

WINDOWS = (
    "--motion_correction.estimate_motion_kwargs.win_step_norm=0.5",
    "--motion_correction.estimate_motion_kwargs.win_scale_norm=0.5",
)
"""Two windows on the whole probe: it drifts as one."""


def scores(truth, found):
    """Well-found units of all groups together, and a line that tells them."""
    assert set(found) == set(truth)
    compared = [compare(str(group), truth[group], found[group]) for group in truth]
    return sum(score.well_found for score in compared), sum(score.true_units for score in compared)


def told(capsys, what, ours, by_hand):
    with capsys.disabled():
        print(f"\n{what}: well found {ours[0]} of {ours[1]}, by hand {by_hand[0]}")


@pytest.mark.slow
def test_static(tmp_path, capsys):
    recording, truth = ground_truth(ProbeSpec(channels=32, units=10, duration_s=60.0, seed=7))
    write(as_counts(recording), tmp_path)
    ours = scores({None: truth}, sort_groups(tmp_path, tmp_path / "ours"))
    by_hand = scores({None: truth}, bare(tmp_path, tmp_path / "bare"))
    told(capsys, "static", ours, by_hand)
    assert ours[0] >= max(by_hand[0], 0.8 * ours[1])


def grouped(probe, channels, units, pitch_um, shanks, duration_s=30.0):
    specs = [ProbeSpec(channels=channels, units=units, duration_s=duration_s, seed=20 + index) for index in range(4)]
    return grouped_ground_truth(specs, [probe(x_um=index * pitch_um) for index in range(4)], shanks)


SHANKS = partial(grouped, partial(shank_probe, 16), 16, 5, 250.0, True)
PROBES = partial(grouped, partial(shank_probe, 16), 16, 5, 250.0, False)
TETRODES = partial(grouped, tetrode_probe, 4, 2, 300.0, False)


@pytest.mark.parametrize(
    ("make", "split"),
    [
        pytest.param(SHANKS, True, id="shanks-each", marks=pytest.mark.slow),
        pytest.param(SHANKS, False, id="shanks-together", marks=pytest.mark.slow),
        pytest.param(TETRODES, True, id="tetrodes-each", marks=pytest.mark.slow),
    ],
)
def test_groups(make, split, tmp_path, capsys, request):
    from spikeinterface import aggregate_units

    recording, truths = make()
    write(as_counts(recording), tmp_path)
    truth = {str(group): truth for group, truth in enumerate(truths)} if split else {None: aggregate_units(truths)}
    ours = scores(truth, sort_groups(tmp_path, tmp_path / "ours", *([] if split else ["--no-split-groups"])))
    by_hand = scores(truth, bare(tmp_path, tmp_path / "bare", split))
    told(capsys, request.node.callspec.id, ours, by_hand)
    assert ours[0] >= max(by_hand[0], 0.8 * ours[1])


def test_several_probes_in_one_recording_end_before_the_work_with_what_to_do(tmp_path):
    recording, _ = PROBES(duration_s=5.0)
    write(as_counts(recording), tmp_path)
    (job,) = dispatch(tmp_path, tmp_path, "--no-split-groups")
    ended = preprocess(job, tmp_path, tmp_path)
    assert (ended.code, ended.status) == (1, "failed")
    assert ended.reason.startswith("4 probes in one recording")
    assert "split_groups" in ended.reason


@pytest.fixture(scope="module")
def drifting(tmp_path_factory):
    """Folder with the data, the job, the true units and the true displacement."""
    folder = tmp_path_factory.mktemp("drifting")
    spec = ProbeSpec(channels=64, units=40, duration_s=60.0, seed=5)
    recording, truth, displacement_um = drifting_ground_truth(spec, drift_um=40.0, period_s=60.0)
    write(as_counts(recording), folder)
    (job,) = dispatch(folder, folder)
    return folder, job, {None: truth}, displacement_um


@pytest.fixture(scope="module")
def preprocessed(drifting):
    """Name of the motion's settings -> the folder of the preprocessed recording."""
    folder, job, *_ = drifting
    settings = {"default": (), "compute": WINDOWS, "apply": ("--motion", "apply", *WINDOWS)}
    for name, words in settings.items():
        ended = preprocess(job, folder, folder / name, *words)
        assert ended.status == "ok", ended.output
    return {name: folder / name for name in settings}


@pytest.mark.slow
@pytest.mark.parametrize("settings", ["default", "compute"])
def test_the_drift_is_told_within_5_um(settings, drifting, preprocessed, capsys):
    """Up to an offset for each window, which no estimate can know."""
    from spikeinterface.preprocessing import load_motion_info

    _, job, _, displacement_um = drifting
    motion = load_motion_info(preprocessed[settings] / f"preprocessing_{job.stem}" / "motion")["motion"]
    true = np.interp(motion.temporal_bins_s[0], np.arange(len(displacement_um)) / DRIFT_RATE_HZ, displacement_um)
    error = motion.displacement[0] - true[:, None]
    rms = float(np.sqrt(np.mean((error - np.median(error, axis=0)) ** 2)))
    with capsys.disabled():
        print(f"\ndrift, {settings}: {rms:.2f} um rms")
    assert np.ptp(true) > 35
    assert rms < 5


def sorting_of(drifting, preprocessed, settings, *words):
    import spikeinterface as si

    folder, job, *_ = drifting
    ended = spikesort(job, preprocessed[settings], folder / "".join((settings, *words)), *words)
    assert ended.status == "ok", ended.output
    return si.load(ended.folder / "spikesorted")


def sorted_by(drifting, preprocessed, settings, *words):
    return scores(drifting[2], {None: sorting_of(drifting, preprocessed, settings, *words)})


@pytest.mark.slow
def test_applying_the_motion_finds_more_units(drifting, preprocessed, capsys):
    off = "--skip-motion-correction"
    moved = sorted_by(drifting, preprocessed, "apply", off)
    left = sorted_by(drifting, preprocessed, "compute", off)
    with capsys.disabled():
        print(f"\ndrifting: well found {moved[0]} of {moved[1]} with the motion applied, {left[0]} without")
    assert moved[0] > left[0]


@pytest.mark.slow
def test_drifting_with_the_sorters_own_correction(drifting, preprocessed, capsys):
    folder, _, truth, _ = drifting
    ours = sorted_by(drifting, preprocessed, "compute")
    by_hand = scores(truth, bare(folder, folder / "bare"))
    told(capsys, "drifting", ours, by_hand)
    assert ours[0] >= by_hand[0]


@pytest.mark.slow
def test_the_same_spikes_for_any_number_of_workers(drifting, preprocessed):
    """More spikes than SpykingCircus2 looks at for its template of a spike, so that it stops before the end."""
    found = [
        sorting_of(drifting, preprocessed, "compute", "--n-jobs", n_jobs).to_spike_vector() for n_jobs in ("1", "2")
    ]
    assert len(found[0]) > 10000
    np.testing.assert_array_equal(*found)


@pytest.mark.slow
def test_kilosort4_finds_what_it_finds_without_us(tmp_path, capsys):
    """Our defaults are Kilosort's: the same traces give the same units through the capsule and Kilosort alone."""
    import spikeinterface as si

    recording, truth = ground_truth(ProbeSpec(channels=16, units=5, duration_s=40.0, seed=3))
    write(as_counts(recording), tmp_path)
    (job,) = dispatch(tmp_path, tmp_path / "ours")
    preprocessed = preprocess(job, tmp_path, tmp_path / "ours")
    assert preprocessed.status == "ok", preprocessed.output
    sorted_ = spikesort(job, tmp_path / "ours", tmp_path / "ours", sorter="kilosort4")
    assert sorted_.status == "ok", sorted_.output
    facts = sorted_.record["facts"]
    by_hand = bare_kilosort4(preprocessed.folder / "traces", tmp_path / "bare", facts["arguments"]["do_CAR"])
    found = [compare("", truth, sorting) for sorting in (si.load(sorted_.folder / "spikesorted"), by_hand)]
    counts, well_found = [one.found_units for one in found], [one.well_found for one in found]
    with capsys.disabled():
        print(f"\nkilosort4, capsule and alone: {counts} units, {well_found} of {found[0].true_units} well found")
    assert facts["differing_from_defaults"] == {}
    assert abs(counts[0] - counts[1]) <= 0.02 * counts[1]
    assert well_found[0] == well_found[1]


def bare_kilosort4(traces, folder, do_car):
    """`run_kilosort` with its own defaults on the capsule's traces; of our arguments only what the traces decide."""
    import spikeinterface as si
    import torch
    from kilosort import run_kilosort
    from spikeinterface.extractors import read_kilosort

    recording = si.load(traces)
    x, y = recording.get_channel_locations().T
    channels = np.arange(recording.get_num_channels())
    probe = {"chanMap": channels, "xc": x, "yc": y, "kcoords": np.zeros(len(channels)), "n_chan": len(channels)}
    run_kilosort(
        settings={"n_chan_bin": len(channels), "fs": recording.sampling_frequency},
        probe=probe,
        filename=traces / "traces_cached_seg0.raw",
        results_dir=folder,
        data_dtype="int16",
        do_CAR=do_car,
        device=torch.device("cuda" if torch.cuda.is_available() else "cpu"),
    )
    return read_kilosort(folder, keep_good_only=False)
