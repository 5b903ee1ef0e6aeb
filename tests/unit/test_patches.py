"""The libraries as they are without our patches: a test fails when an upgrade has mended what a patch works around."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from capsules.common.patches import MADE_FOR

ROOT = Path(__file__).parents[2]
PATCHES = ROOT / "capsules" / "common" / "patches"

UNPATCHED = {
    "classes": """
import os
from spikeinterface.core import base, zarrextractors
for module in (base, zarrextractors):
    assert module._get_class_from_string("os.system") is os.system
""",
    "compiled_code": """
from numba.core.caching import NullCache
from spikeinterface.postprocessing.isi import _compute_isi_histograms_numba as compiled
assert isinstance(compiled._cache, NullCache)
""",
    "faster_preprocessing": """
import inspect
from importlib import import_module
from spikeinterface.core import recording_tools
from spikeinterface.preprocessing import filter_gaussian
labels = import_module("spikeinterface.preprocessing.detect_bad_channels").detect_bad_channels_ibl
assert "np.fft.fft(" in inspect.getsource(filter_gaussian.GaussianFilterRecordingSegment.get_traces)
assert "np.median(" in inspect.getsource(labels) and "axis=0" in inspect.getsource(labels)
assert "np.median(one_chunk, axis=0" in inspect.getsource(recording_tools._noise_level_chunk)
""",
    "faster_extensions": """
import inspect
from spikeinterface.postprocessing import amplitude_scalings, correlograms
from spikeinterface.postprocessing.principal_component import ComputePrincipalComponents
from spikeinterface.sortingcomponents.peak_localization.grid import LocalizeGridConvolution
assert "for spike_index, spike in enumerate(" in inspect.getsource(amplitude_scalings.AmplitudeScalingNode.compute)
assert "np.nanpercentile(" in inspect.getsource(LocalizeGridConvolution.compute)
assert "with ProcessPoolExecutor(" in inspect.getsource(ComputePrincipalComponents._fit_by_channel_local)
assert correlograms._compute_correlograms_one_segment_numba.targetoptions["parallel"]
""",
    "faster_grid_weights": """
import inspect
from spikeinterface.postprocessing import localization_tools
assert "dist_3d = np.sqrt(distances**2" in inspect.getsource(localization_tools.get_convolution_weights)
""",
    "faster_metrics": """
import inspect
from spikeinterface.metrics.quality import pca_metrics, quality_metrics
assert "pca_data_per_unit[unit_id] = {" in inspect.getsource(quality_metrics.ComputeQualityMetrics._prepare_data)
assert "nbrs.kneighbors(" in inspect.getsource(pca_metrics.nearest_neighbors_metrics)
assert "lda.fit_transform(" in inspect.getsource(pca_metrics.d_prime_metric)
""",
    "faster_sorters": """
from importlib import import_module
from spikeinterface import generate_recording
for name in ("spyking_circus2", "lupin", "tridesclous2"):
    sorter = import_module(f"spikeinterface.sorters.internal.{name}")
    kept, _ = sorter.cache_preprocessing(generate_recording(num_channels=4, durations=[1.0]), mode="memory")
    assert kept.get_dtype() == "float32"
    assert sorter.whiten.__module__.startswith("spikeinterface.")
""",
    "motion_without_torch": """
import inspect
from spikeinterface.sortingcomponents.motion import dredge
assert "import torch" in inspect.getsource(dredge.DredgeApRegistration.run)
assert "import torch" in inspect.getsource(dredge.xcorr_windows)
""",
    "plexon_end": """
from pathlib import Path
from tempfile import mkdtemp
from spikeinterface.extractors.extractor_classes import recording_extractor_full_dict as readers
from tests import rigs
folder = Path(mkdtemp())
rigs.write_plexon(folder)
recording = readers["plexon"](file_path=folder / "rat.plx", stream_name="WB-Wideband")
assert not recording.get_traces()[-512:].any()
""",
    "progress": """
import inspect
from spikeinterface.core import job_tools
assert "tqdm(" in inspect.getsource(job_tools.TimeSeriesChunkExecutor)
assert not {"callback", "progress_callback"} & set(inspect.signature(job_tools.TimeSeriesChunkExecutor).parameters)
""",
    "repeatable_sorters": """
import inspect
import numpy as np
from spikeinterface.core.time_series_tools import get_random_sample_slices
from spikeinterface.sortingcomponents.peak_selection import select_peaks
for function in (get_random_sample_slices, select_peaks):
    assert inspect.signature(function).parameters["seed"].default is None

from spikeinterface import generate_ground_truth_recording
from spikeinterface.core.template_tools import estimate_templates_with_accumulator as summed
recording, sorting = generate_ground_truth_recording(durations=[10.0], num_channels=4, num_units=2, seed=0)
spikes = sorting.to_spike_vector()
work = {"pool_engine": "thread", "chunk_duration": "0.1s", "progress_bar": False}
one, *others = [
    summed(recording, spikes, sorting.unit_ids, 30, 30, return_in_uV=False, n_jobs=jobs, **work) for jobs in (1, 3, 4)
]
assert any(not np.array_equal(one, other) for other in others)
""",
    "spikeglx_probes": """
import json
from pathlib import Path
from tempfile import mkdtemp
import pytest
from neo.rawio import spikeglxrawio
from tests.spikeglx_headers import PARTS, write_stream
features = json.loads(spikeglxrawio.neuropixels_probe_features_file.read_text())["neuropixels_probes"]
assert features["NP1300"]["databus_decoder_type"] == "1.0"
assert not spikeglxrawio._is_1_0_probe(features["NP1300"])
meta = write_stream(Path(mkdtemp()), PARTS["NP1110"]).with_suffix(".meta")
with pytest.raises(IndexError):
    spikeglxrawio.extract_stream_info(meta, spikeglxrawio.read_meta_file(meta))
""",
    "torch_left_out": """
import sys
import spikeinterface.sortingcomponents.peak_detection.method_list
assert "torch" in sys.modules
""",
    "template_metrics": """
import numpy as np
import pytest
import spikeinterface as si
from spikeinterface.metrics.template import metrics
recording, sorting = si.generate_ground_truth_recording(durations=[2.0], num_channels=64, num_units=2, seed=0)
analyzer = si.create_sorting_analyzer(sorting, recording, format="memory", sparse=True)
analyzer.compute({"random_spikes": {}, "templates": {}, "template_metrics": {"include_multi_channel_metrics": False}})
assert "spread" in analyzer.get_extension("template_metrics").get_data()
places = np.column_stack([np.arange(4.0), np.zeros(4)])
settings = {"column_range": None, "depth_direction": "y", "spread_threshold": 0.2, "spread_smooth_um": 20}
template = np.random.default_rng(0).normal(size=(60, 4))
with pytest.raises(Exception):
    metrics.get_spread(template, places, 30000.0, **settings)
""",
}
"""Module of the patches -> what is still so without it."""


def test_the_patches_were_made_for_the_installed_versions():
    assert {name: version(name) for name in MADE_FOR} == MADE_FOR


@pytest.mark.parametrize("name", UNPATCHED)
def test_a_patch_is_still_needed(name):
    done = subprocess.run(
        [sys.executable, "-c", UNPATCHED[name]], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr


def test_every_patch_has_its_test():
    assert {file.stem for file in PATCHES.glob("*.py")} - {"__init__"} == set(UNPATCHED)


def test_libraries_are_changed_in_the_room_of_patches_alone():
    """No other file assigns to an attribute of a module, or of a class, that it has imported from a library."""
    changes = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in (ROOT / "capsules").rglob("*.py")
        if file.parent != PATCHES
        for node in library_changes(ast.parse(file.read_text()))
    ]
    assert changes == []


def library_changes(tree: ast.AST):
    """The assignments to what was imported from elsewhere, but for matplotlib's settings, which are there to be set."""
    imported = {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if not getattr(node, "module", alias.name).startswith("capsules")
    } - {"os"}
    for node in ast.walk(tree):
        for target in getattr(node, "targets", []):
            changed = isinstance(target, ast.Attribute | ast.Subscript) and "rcParams" not in ast.unparse(target)
            if changed and ast.unparse(target).split(".")[0] in imported:
                yield node
