"""Parameters of visualization (section `visualization`)."""

from typing import Annotated, Literal

from pydantic import Field

from capsules.parameters.model import JobKwargs, Section, param

Inches = Annotated[float, Field(gt=0, le=100)]
"""Larger pictures take gigabytes, and Pillow rejects them when it makes the small ones for the report."""


class Timeseries(Section):
    n_snippets_per_segment: int = param(
        2,
        "Number of snippets of traces that are drawn from each segment. Increase it to see more of the recording; 0 "
        "draws none. The default of 2 keeps the report small.",
        ge=0,
    )
    snippet_duration_s: float = param(
        0.5,
        "Length of a snippet. Lower it to see single spikes; increase it to see slow events. The default of 0.5 "
        "shows both.",
        unit="s",
        gt=0,
    )


class DriftDetection(Section):
    peak_sign: Literal["neg", "pos", "both"] = param(
        "neg",
        "Sign of the peaks in the drift map. Choose `pos` or `both` when your spikes are positive. The default is "
        "`neg`.",
    )
    detect_threshold: float = param(
        5,
        "Peaks larger than this are drawn. Lower it when the drift map is too empty; increase it to see large units "
        "only. The default of 5 is rarely reached by noise.",
        unit="MAD",
        gt=0,
    )
    exclude_sweep_ms: float = param(
        0.1,
        "Of peaks closer in time than this, the largest is kept. Increase it when a spike gives several peaks. The "
        "default of 0.1 is a few samples.",
        unit="ms",
        ge=0,
    )


class DriftLocalization(Section):
    ms_before: float = param(
        0.1,
        "Length of the waveform before the peak that is used to localize it. Increase it for slower spikes. The "
        "default of 0.1 uses the peak itself.",
        unit="ms",
        gt=0,
    )
    ms_after: float = param(
        0.3,
        "Length of the waveform after the peak that is used to localize it. Increase it for slower spikes. The "
        "default of 0.3 uses the peak itself.",
        unit="ms",
        gt=0,
    )
    radius_um: float = param(
        100.0,
        "Largest distance of the channels that are used to localize a peak. Increase it on sparse probes. The "
        "default of 100 contains the channels that usually record a neuron.",
        unit="um",
        gt=0,
    )


class Drift(Section):
    detection: DriftDetection = param(
        DriftDetection(),
        "Which peaks are drawn. With the defaults of this section and of `localization`, these are the peaks that "
        "preprocessing detected for the motion, if it did; with other values peaks are detected again.",
    )
    localization: DriftLocalization = param(
        DriftLocalization(), "How peaks that are detected again are localized on the probe."
    )
    n_skip: int = param(
        30,
        "Above 100,000 peaks, only every n-th is drawn, with n as small as possible; this is the largest n. Lower "
        "it to draw density earlier: above n times 100,000 peaks, the density of all is drawn. The default of 30 "
        "draws points up to 3 million peaks.",
        ge=1,
    )
    alpha: float = param(
        0.6,
        "Opacity of a point, from 0 to 1; where density is drawn, it makes all cells more opaque. Lower it when "
        "points hide each other. The default of 0.6 shows overlaps.",
        ge=0,
        le=1,
    )
    vmin: float | None = param(
        None,
        "Amplitude at the lower end of the colour map. Set it to compare drift maps of several recordings. The "
        "default (null) uses the 1st percentile, or 0 without negative amplitudes.",
        unit="uV",
    )
    vmax: float | None = param(
        None,
        "Amplitude at the upper end of the colour map. Set it to compare drift maps of several recordings. The "
        "default (null) uses the 99th percentile, or 0 without positive amplitudes.",
        unit="uV",
    )
    cmap: str = param(
        "Greys_r",
        "Matplotlib colour map of the amplitudes. Change it to your taste. The default, `Greys_r`, draws large "
        "negative spikes dark.",
    )
    figsize: list[Inches] = param(
        [10, 10],
        "Width and height of the figure. Increase them for long recordings. The default, 10 by 10, fits the report.",
        unit="in",
        min_length=2,
        max_length=2,
    )


class Motion(Section):
    cmap: str = param(
        "Greys_r",
        "Matplotlib colour map of the amplitudes. Change it to your taste. The default, `Greys_r`, draws large "
        "negative spikes dark.",
    )
    scatter_decimate: int = param(
        15,
        "Above 100,000 peaks, only every n-th is drawn, with n as small as possible; this is the largest n. Lower "
        "it to draw density earlier: above n times 100,000 peaks, the density of all is drawn. The default of 15 "
        "draws points up to 1.5 million peaks.",
        ge=1,
    )
    figsize: list[Inches] = param(
        [15, 10],
        "Width and height of the figure. Increase them for long recordings. The default, 15 by 10, fits the report.",
        unit="in",
        min_length=2,
        max_length=2,
    )


class Events(Section):
    line: str | None = param(
        None,
        "Line whose events the raster and the peri-stimulus time histogram (PSTH) of each unit are aligned to: its "
        "name (`events.names`) or the stream's own name of it (`XD0`), with the stream before it when two streams have "
        "lines of one name (`nidq:XD0`); or its file in `events/` without `.csv`. Set it to the line of your stimulus; "
        "the report lists all lines. The default, null, draws neither, because the pipeline cannot know which line is "
        "the stimulus.",
        min_length=1,
        max_length=200,
    )
    edge: Literal["rising", "falling"] = param(
        "rising",
        "Edge of the line that is the event. Use `falling` for a line that is low during the stimulus, or for "
        "responses to its end. The default of `rising` is the start of a stimulus whose line is high.",
    )
    before_s: float = param(
        0.5,
        "Length of the window before the event. Its bins are the baseline of the z-scores: increase it for wide bins "
        "or low rates, decrease it when it reaches into the previous response. The default has 50 bins of 10 ms.",
        unit="s",
        gt=0,
        le=60,
    )
    after_s: float = param(
        1.0,
        "Length of the window after the event. Increase it for responses that last longer. The default of 1 contains "
        "most sensory responses.",
        unit="s",
        gt=0,
        le=60,
    )
    bin_ms: float = param(
        10,
        "Width of a bin of the PSTH. Decrease it to 1 to 5 for sharp responses to many events, increase it to 20 to 50 "
        "for few events or low rates. A window of more than 600 bins gets wider bins. The default of 10 shows "
        "latencies and leaves few bins empty with 100 events.",
        unit="ms",
        gt=0,
        le=1000,
    )


class VisualizationParams(Section):
    """The figures of a recording."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    output_format: Literal["png", "svg", "pdf"] = param(
        "png",
        "File format of the figures. Choose `svg` or `pdf` to edit or print them. The default is `png`, which every "
        "program shows.",
        flags={"--output-format": ...},
    )
    timeseries: Timeseries = param(Timeseries(), "The figures of raw and preprocessed traces.")
    drift: Drift = param(Drift(), "The drift map: spike depth over time.")
    motion: Motion = param(Motion(), "The figure of the estimated motion.")
    events: Events = param(Events(), "Raster and PSTH of each unit, around the events of one digital line.")


PARAMS = VisualizationParams
