"""Parameters of visualization (section `visualization`)."""

from typing import Annotated, Literal

from pydantic import Field

from capsules.parameters.model import JobKwargs, Section, param

Inches = Annotated[float, Field(gt=0, le=100)]
"""Larger pictures take gigabytes, and Pillow rejects them when it makes the small ones for the report."""


class Timeseries(Section):
    n_snippets_per_segment: int = param(2, "Snippets of traces drawn from each segment.", ge=0)
    snippet_duration_s: float = param(0.5, "Length of a snippet.", unit="s", gt=0)


class DriftDetection(Section):
    peak_sign: Literal["neg", "pos", "both"] = param("neg", "Polarity of the peaks in the drift map.")
    detect_threshold: float = param(5, "Peaks above this many median absolute deviations are drawn.", unit="MAD", gt=0)
    exclude_sweep_ms: float = param(0.1, "Of peaks closer in time than this, the largest is kept.", unit="ms", ge=0)


class DriftLocalization(Section):
    ms_before: float = param(0.1, "Length of the waveform before the peak used to localise it.", unit="ms", gt=0)
    ms_after: float = param(0.3, "Length of the waveform after the peak used to localise it.", unit="ms", gt=0)
    radius_um: float = param(100.0, "Largest distance of the channels used to localise a peak.", unit="um", gt=0)


class Drift(Section):
    detection: DriftDetection = param(
        DriftDetection(),
        "Which peaks are drawn. With the defaults of this section and of `localization` those that preprocessing "
        "detected to estimate the motion, where it did; with other values peaks are detected anew.",
    )
    localization: DriftLocalization = param(
        DriftLocalization(), "How peaks that are detected anew are localised on the probe."
    )
    n_skip: int = param(
        30,
        "Above 100,000 peaks, only every n-th is drawn, with n as small as possible; this is the largest n. Above n "
        "times 100,000 peaks, the density of all is drawn.",
        ge=1,
    )
    alpha: float = param(
        0.6, "Opacity of a point, from 0 to 1; where density is drawn, it makes all cells more opaque.", ge=0, le=1
    )
    vmin: float | None = param(
        None,
        "Amplitude at the lower end of the colour map; null: the 1st percentile, or 0 without negative amplitudes.",
        unit="uV",
    )
    vmax: float | None = param(
        None,
        "Amplitude at the upper end of the colour map; null: the 99th percentile, or 0 without positive amplitudes.",
        unit="uV",
    )
    cmap: str = param("Greys_r", "Matplotlib colour map of the amplitudes.")
    figsize: list[Inches] = param([10, 10], "Width and height of the figure.", unit="in", min_length=2, max_length=2)


class Motion(Section):
    cmap: str = param("Greys_r", "Matplotlib colour map of the amplitudes.")
    scatter_decimate: int = param(
        15,
        "Above 100,000 peaks, only every n-th is drawn, with n as small as possible; this is the largest n. Above n "
        "times 100,000 peaks, the density of all is drawn.",
        ge=1,
    )
    figsize: list[Inches] = param([15, 10], "Width and height of the figure.", unit="in", min_length=2, max_length=2)


class VisualizationParams(Section):
    """The figures of a recording."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    output_format: Literal["png", "svg", "pdf"] = param(
        "png", "File format of the figures.", flags={"--output-format": ...}
    )
    timeseries: Timeseries = param(Timeseries(), "The figures of raw and preprocessed traces.")
    drift: Drift = param(Drift(), "The drift map: depth of peaks over time.")
    motion: Motion = param(Motion(), "The figure of the estimated motion.")


PARAMS = VisualizationParams
