"""Power spectral densities of snippets."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import scipy.fft

Floats = npt.NDArray[np.float32]


def compute_density(rows: Floats, rate_hz: float) -> tuple[npt.NDArray[np.float64], Floats]:
    """Compute the power spectral density of each row with a Hann window over its whole length.

    The same as `scipy.signal.welch` with a single window, a test checks; but importing scipy.signal takes as long as
    most of the figures.

    Parameters
    ----------
    rows : array of float32, (rows, samples)
    rate_hz : float

    Returns
    -------
    frequencies_hz : array, (frequencies,)
    density : array of float32, (rows, frequencies)
        In the squared unit of the rows per Hz.
    """
    length = rows.shape[1]
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype("float32")
    spectra = scipy.fft.rfft((rows - rows.mean(axis=1, keepdims=True)) * window, axis=1, overwrite_x=True)
    density = np.square(spectra.real) + np.square(spectra.imag)
    density /= rate_hz * np.square(window).sum()
    # Negative frequencies have the same power; 0 Hz and, for an even length, the highest frequency are there once.
    density[:, 1 : -1 if length % 2 == 0 else None] *= 2
    frequencies_hz: npt.NDArray[np.float64] = np.arange(length // 2 + 1) * (rate_hz / length)
    return frequencies_hz, density
