from capsules.postprocessing.extension_params import Extensions
from capsules.postprocessing.translation import translate_extensions

EXTENSIONS = Extensions().model_dump()


def test_the_manuals_names_become_spikeinterfaces_and_each_is_noted():
    notes = []
    arguments = translate_extensions(EXTENSIONS, notes.append)
    assert arguments["noise_levels"] == {
        "random_slices_kwargs": {"num_chunks_per_segment": 20, "chunk_size": 10000, "seed": 0}
    }
    assert "peak_sign" not in arguments["spike_amplitudes"]
    metrics = arguments["quality_metrics"]
    assert metrics["metric_names"].count("mahalanobis") == 1
    assert "l_ratio" not in metrics["metric_names"]
    assert metrics["metric_params"]["snr"] == {"method": "extremum"}
    assert metrics["metric_params"]["silhouette"] == {"method": "simplified"}
    for text in ("isolation_distance", "snr.peak_mode", "spike_amplitudes.peak_sign", "random_spikes.seed = 0"):
        assert any(text in note for note in notes), text
    assert EXTENSIONS["spike_amplitudes"] == {"peak_sign": "neg"}


def test_metrics_without_their_extension_are_left_out_and_noted():
    notes = []
    kept = EXTENSIONS | {"principal_components": None, "spike_locations": None}
    names = translate_extensions(kept, notes.append)["quality_metrics"]["metric_names"]
    assert not {"mahalanobis", "d_prime", "nearest_neighbor", "silhouette", "drift"} & set(names)
    assert sum("is skipped: it needs the extension" in note for note in notes) == 5


def test_a_given_seed_is_kept():
    arguments = translate_extensions({"random_spikes": {"seed": 5}}, lambda note: None)
    assert arguments["random_spikes"]["seed"] == 5
