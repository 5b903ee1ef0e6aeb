"""Principal components of each channel's waveforms: scikit-learn's incremental fit, from the covariances.

`IncrementalPCA` (scikit-learn 1.9.1) computes all singular values of every batch. The components that are kept are also
the first eigenvectors of the batch's scalar products, which are found in a fraction of the time.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt
from scipy.linalg import eigh

Floats = npt.NDArray[np.floating[Any]]
Integers = npt.NDArray[np.integer[Any]]

NEARLY_DEPENDENT = 1e-9
"""Ratio of the last to the first component's power below which rounding matters."""


def fit_batch(model: Any, rows: Floats) -> None:
    """Do what `model.partial_fit` does with waveforms, (rows, features).

    The last component of nearly dependent rows is due to rounding, and is computed by scikit-learn itself.
    """
    first, kept = not hasattr(model, "components_"), model.n_components
    number, features = rows.shape
    seen = 0 if first else model.n_samples_seen_
    centred = rows.astype(float)
    mean = centred.mean(axis=0)
    centred -= mean
    products = centred.T @ centred
    variances = np.diag(products).copy()
    total = number + seen
    if not first:
        shift = model.mean_ - mean
        correction = seen * number / total
        scaled = model.singular_values_[:, np.newaxis] * model.components_
        products += scaled.T @ scaled + correction * np.outer(shift, shift)
        variances += model.var_ * seen + correction * shift**2
        mean = (model.mean_ * seen + mean * number) / total
    power = np.trace(products)
    squares, vectors = eigh(products, subset_by_index=[max(features - kept, 0), features - 1], check_finite=False)
    if kept > features or squares[0] <= NEARLY_DEPENDENT * squares[-1]:
        model.partial_fit(rows)
        return
    squares, vectors = squares[::-1], vectors.T[::-1]
    # The largest entry is positive, as scikit-learn chooses the signs.
    vectors = vectors * np.sign(vectors[np.arange(kept), np.abs(vectors).argmax(axis=1)])[:, np.newaxis]
    model.n_features_in_, model.n_components_, model.n_samples_seen_ = features, kept, np.int64(total)
    model.mean_, model.var_ = mean, variances / total
    model.components_, model.singular_values_ = vectors, np.sqrt(squares)
    model.explained_variance_ = squares / (total - 1)
    model.explained_variance_ratio_ = squares / variances.sum()
    rest = min(features, number + (0 if first else kept + 1)) - kept
    undefined = kept in (number, features)
    model.noise_variance_ = 0.0 if undefined else (power - squares.sum()) / (total - 1) / rest


def project(model: Any, rows: Floats) -> Floats:
    """What `model.transform` gives: (rows, components)."""
    scores = (rows - model.mean_) @ model.components_.T
    if model.whiten:
        scores /= np.maximum(np.sqrt(model.explained_variance_), np.finfo(model.explained_variance_.dtype).eps)
    projected: Floats = scores
    return projected


@numba.njit(nogil=True)
def take_channel(waveforms: npt.NDArray[Any], spikes: Integers, channel: int) -> npt.NDArray[Any]:
    """The waveforms of some spikes on a channel; `waveforms` is (spikes, samples, channels)."""
    rows = np.empty((spikes.size, waveforms.shape[1]), waveforms.dtype)
    for row in range(spikes.size):
        for sample in range(waveforms.shape[1]):
            rows[row, sample] = waveforms[spikes[row], sample, channel]
    return rows
