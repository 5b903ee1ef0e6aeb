"""SpikeInterface's extensions of an analyzer (0.105.3) with the same results in a fraction of the time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import IncrementalPCA
from spikeinterface.core import analyzer_extension_core
from spikeinterface.postprocessing import correlograms
from spikeinterface.postprocessing.amplitude_scalings import AmplitudeScalingNode
from spikeinterface.postprocessing.principal_component import ComputePrincipalComponents
from spikeinterface.sortingcomponents import peak_localization
from spikeinterface.sortingcomponents.peak_localization.method_list import peak_localization_methods

from capsules.common.patches.faster_grid_weights import speed_up_grid_weights
from capsules.common.recordings.grid_convolution import GridConvolution, NoWaveforms
from capsules.common.tasks.resources import count_cores
from capsules.common.units.channel_pca import fit_batch, project, take_channel
from capsules.common.units.correlograms import count_lags, count_own_lags
from capsules.common.units.scalings import fit_scalings
from capsules.common.units.spike_groups import split_by_unit

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]


def speed_up_postprocessing() -> None:
    """Replace all functions of this module for the rest of this process."""
    speed_up_grid_weights()
    speed_up_spike_locations()
    speed_up_amplitude_scalings()
    speed_up_principal_components()
    speed_up_correlograms()
    extract_waveforms_once()


def extract_waveforms_once() -> None:
    """Use the waveforms where the workers wrote them.

    SpikeInterface copies them from the workers' shared memory, and so needs their size twice.
    """
    if analyzer_extension_core.extract_waveforms_to_single_buffer.__module__ != __name__:
        analyzer_extension_core.extract_waveforms_to_single_buffer = _without_copy(
            analyzer_extension_core.extract_waveforms_to_single_buffer
        )


def _without_copy(plain: Callable[..., Any]) -> Callable[..., Any]:
    def extract(*args: Any, copy: bool = False, **kwargs: Any) -> Any:
        if not copy or kwargs.get("mode") != "shared_memory":
            return plain(*args, copy=copy, **kwargs)
        waveforms, description = plain(*args, copy=False, **kwargs)
        if (shared := description["shm"]) is not None:
            shared.unlink()
            # The array alone refers to the memory, which ends with it.
            shared._buf = shared._mmap = None
            shared.close()
        return waveforms

    return extract


def speed_up_spike_locations() -> None:
    """Locate spikes by grid convolution in compiled code.

    SpikeInterface copies all channels around each spike, and computes each spike's quantile in Python.
    """
    if peak_localization_methods["grid_convolution"] is not GridConvolution:
        peak_localization_methods["grid_convolution"] = GridConvolution
        peak_localization.get_localization_pipeline_nodes = _without_waveforms(
            peak_localization.get_localization_pipeline_nodes
        )


def _without_waveforms(plain: Callable[..., Any]) -> Callable[..., Any]:
    def get_nodes(recording: Any, peak_source: Any, *args: Any, **kwargs: Any) -> Any:
        source, extract, locate = plain(recording, peak_source, *args, **kwargs)
        if isinstance(locate, GridConvolution):
            window = {"ms_before": extract.ms_before, "ms_after": extract.ms_after}
            extract = NoWaveforms(recording, parents=[source], return_output=False, **window)
            locate.parents = [source, extract]  # type: ignore[list-item]  # SpikeInterface declares classes
        return [source, extract, locate]

    return get_nodes


def speed_up_amplitude_scalings() -> None:
    """Fit the scale of the templates in compiled code.

    SpikeInterface builds each fit in Python, spike by spike, with Python's lock.
    """
    AmplitudeScalingNode.compute = _fit_chunk  # type: ignore[method-assign]  # the patch


def _fit_chunk(node: AmplitudeScalingNode, traces: npt.NDArray[Any], peaks: npt.NDArray[np.void]) -> tuple[Any, Any]:
    """The scales of a chunk's spikes, and which of them overlap others."""
    wanted = np.flatnonzero(~peaks["in_margin"])
    scalings, colliding = np.zeros(len(wanted)), np.zeros(len(wanted), bool)
    channels = traces.shape[1]
    units = len(node._all_templates)
    fit_scalings(
        traces,
        peaks["sample_index"].astype("int64"),
        peaks["unit_index"].astype("int64"),
        wanted,
        node._all_templates,
        np.asarray(node._sparsity_mask),
        np.zeros((units, units), bool) if node._overlap_matrix is None else node._overlap_matrix,
        (node._nbefore, node._cut_out_before, node._cut_out_after),
        node._delta_collision_samples if node._handle_collisions else 0,
        np.ones(channels) if node._gains is None else np.asarray(node._gains, float),
        np.zeros(channels) if node._offsets is None else np.asarray(node._offsets, float),
        scalings,
        colliding,
    )
    return scalings.astype(node._dtype), colliding


def speed_up_correlograms() -> None:
    """Count the lags between spikes in one thread.

    SpikeInterface's functions set the number of threads, for which numba does not cache them: compiling takes longer
    than counting. Their threads also add to the same numbers at once, which may lose counts.
    """
    correlograms._compute_correlograms_one_segment_numba = _without_threads(count_lags)  # type: ignore[assignment]
    correlograms._compute_auto_correlograms_one_segment_numba = _without_threads(count_own_lags)  # type: ignore[assignment]


def _without_threads(count: Callable[..., None]) -> Callable[..., None]:
    def count_in_one_thread(*arguments: Any) -> None:
        *wanted, _threads = arguments
        count(*wanted)

    return count_in_one_thread


def speed_up_principal_components() -> None:
    """Fit and project channels in threads, from covariances.

    SpikeInterface fits with scikit-learn's singular value decomposition. With several workers it starts new
    processes for every unit, which takes longer than one worker; it projects with one.
    """
    if ComputePrincipalComponents._fit_by_channel_local is not _fit_channels:
        extension: Any = ComputePrincipalComponents
        extension._fit_by_channel_local = _fit_channels
        extension._transform_waveforms = _transform(extension._transform_waveforms)


def _fit_channels(extension: Any, n_jobs: int, *_settings: Any) -> list[IncrementalPCA]:
    """A model for each channel, fitted to the units that have it, one after another."""
    analyzer, params = extension.sorting_analyzer, extension.params
    waveforms = np.asarray(analyzer.get_extension("waveforms").data["waveforms"])
    parts: list[list[tuple[Integers, int]]] = [[] for _ in analyzer.channel_ids]
    for spikes, channels in _group_by_unit(extension, analyzer.get_extension("random_spikes").get_random_spikes()):
        if len(spikes) >= params["n_components"]:
            for column, channel in enumerate(channels):
                parts[channel].append((spikes, column))
    models = [
        IncrementalPCA(n_components=params["n_components"], whiten=params["whiten"]) for _ in analyzer.channel_ids
    ]

    def fit(channel: int) -> None:
        for spikes, column in parts[channel]:
            fit_batch(models[channel], take_channel(waveforms, spikes, column))

    with ThreadPoolExecutor(max(n_jobs, 1)) as threads:
        list(threads.map(fit, range(len(models))))
    return models


def _transform(plain: Callable[..., Any]) -> Callable[..., Any]:
    def transform(
        extension: Any,
        spikes: npt.NDArray[np.void],
        waveforms: npt.NDArray[Any],
        pca_model: Any,
        progress_bar: bool,
    ) -> npt.NDArray[np.float32]:
        if extension.params["mode"] != "by_channel_local":
            projected: npt.NDArray[np.float32] = plain(extension, spikes, waveforms, pca_model, progress_bar)
            return projected
        scores = np.zeros((len(waveforms), extension.params["n_components"], waveforms.shape[2]), "float32")
        waveforms = np.asarray(waveforms)

        def project_unit(unit: tuple[Integers, Integers]) -> bool:
            """Write the scores of a unit's spikes; whether all its channels have a model."""
            own, channels = unit
            has_model = [hasattr(pca_model[channel], "components_") for channel in channels]
            for column in np.flatnonzero(has_model) if len(own) else ():
                scores[own, :, column] = project(pca_model[channels[column]], take_channel(waveforms, own, int(column)))
            return all(has_model) or not len(own)

        with ThreadPoolExecutor(count_cores()) as threads:
            if not all(threads.map(project_unit, _group_by_unit(extension, spikes))):
                warnings.warn(
                    "The principal components of some channels are zero: too few waveforms to fit them", stacklevel=2
                )
        return scores

    return transform


def _group_by_unit(extension: Any, spikes: npt.NDArray[np.void]) -> Sequence[tuple[Integers, Integers]]:
    """The places of each unit's spikes, and its channels."""
    analyzer = extension.sorting_analyzer
    groups = split_by_unit(spikes["unit_index"], len(analyzer.unit_ids))
    everywhere = np.arange(len(analyzer.channel_ids))
    sparsity = analyzer.sparsity
    channels = [
        everywhere if sparsity is None else np.flatnonzero(sparsity.mask[index]) for index in range(len(groups))
    ]
    return list(zip(groups, channels, strict=True))
