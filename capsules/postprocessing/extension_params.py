"""SpikeInterface's analyzer extensions and metrics (section `postprocessing.extensions`).

Names are those of the parameter reference; `translation.py` makes SpikeInterface's arguments from them.
"""

from collections.abc import Container
from typing import Annotated, Any, Literal, get_args

from pydantic import Field

from capsules.common.units.metric_names import metric_dependencies
from capsules.parameters.model import OpenSection, Section, param

Percent = Annotated[float, Field(ge=0, le=100)]
PeakSign = Literal["neg", "pos", "both"]
Localization = Literal["monopolar_triangulation", "center_of_mass", "grid_convolution"]
ONE_SIGN = "Must equal `spike_amplitudes.peak_sign`: SpikeInterface uses one sign for the whole analyzer."

MetricName = Literal[
    "num_spikes",
    "firing_rate",
    "presence_ratio",
    "snr",
    "isi_violation",
    "rp_violation",
    "sliding_rp_violation",
    "amplitude_cutoff",
    "amplitude_median",
    "amplitude_cv",
    "synchrony",
    "firing_range",
    "drift",
    "isolation_distance",
    "l_ratio",
    "d_prime",
    "nearest_neighbor",
    "silhouette",
    "mahalanobis",
    "noise_cutoff",
    "sd_ratio",
    "nn_advanced",
]
"""The metrics of the parameter reference in its order, then SpikeInterface's others."""
_NAMES = get_args(MetricName)
DEFAULT_METRICS = list(_NAMES[: _NAMES.index("mahalanobis")])

METRIC_NAMES = {"isolation_distance": "mahalanobis", "l_ratio": "mahalanobis"}
"""Metric of the parameter reference -> SpikeInterface's; the columns keep the reference's names."""


def missing_extension(
    metric: str, metric_params: dict[str, dict[str, Any]] | None, computed: Container[str]
) -> str | None:
    """The extension that a metric is computed from and that is not in `computed`; None when it has all of them."""
    setting = (metric_params or {}).get(metric, {}).get("amplitude_extension")
    for needed in [setting] if setting else metric_dependencies()[metric]:
        alternatives = needed.split("|")
        if not any(name in computed for name in alternatives):
            return " or ".join(alternatives)
    return None


class RandomSpikes(OpenSection):
    max_spikes_per_unit: int = param(
        500,
        "Largest number of spikes of each unit whose waveforms are extracted. Increase it for smoother templates, "
        "which needs more memory and time. The default of 500 is enough for templates and metrics.",
        ge=1,
    )
    method: Literal["uniform", "all", "percentage", "maximum_rate"] = param(
        "uniform",
        "How these spikes are drawn. Choose `all` to use every spike, which needs much memory. The default is "
        "`uniform`: each spike is as likely as any other.",
    )
    margin_size: int | None = param(
        None,
        "Spikes nearer to the ends of a segment are not drawn. Increase it when waveforms reach beyond the "
        "recording. The default (null) draws from all.",
        unit="samples",
        ge=0,
    )
    seed: int | None = param(
        None,
        "Seed of the draw. Set it to draw other spikes. The default (null) becomes 0, so that results are "
        "reproducible; `stage.json` lists it as a change.",
        ge=0,
    )


class NoiseLevels(OpenSection):
    num_chunks_per_segment: int = param(
        20,
        "Number of random chunks of traces, in each segment, that the noise is estimated from. Increase it when the "
        "noise changes over time. The default of 20 is a few seconds of traces.",
        ge=1,
    )
    chunk_size: int = param(
        10000,
        "Length of one of these chunks. Increase it for a more stable estimate. The default of 10000 is a third of "
        "a second at 30 kHz.",
        unit="samples",
        ge=1,
    )
    seed: int | None = param(
        None,
        "Seed of the chunks. Set it to use other chunks. The default (null) becomes 0, so that results are "
        "reproducible; `stage.json` lists it as a change.",
        ge=0,
    )


class Waveforms(OpenSection):
    ms_before: float = param(
        2.0,
        "Length of the waveform before the spike's peak. Increase it when spikes begin earlier. The default of 2 "
        "includes the baseline before the spike.",
        unit="ms",
        gt=0,
    )
    ms_after: float = param(
        3.0,
        "Length of the waveform after the spike's peak. Increase it when the repolarization is slower. The default "
        "of 3 includes the repolarization.",
        unit="ms",
        gt=0,
    )
    dtype: Literal["float32", "float64", "int16", "int32"] | None = param(
        None,
        "Sample type of the waveforms. Choose `float32` when later steps need fractions. The default (null) uses "
        "the type of the traces, which needs the least memory.",
    )


class SpikeAmplitudes(OpenSection):
    peak_sign: PeakSign = param(
        "neg",
        "Sign of the peaks, which determines a unit's main channel and its amplitudes. Choose `pos` or `both` when "
        "your spikes are positive. The default is `neg`, because extracellular spikes near the soma are negative.",
    )


class AmplitudeScalings(OpenSection):
    handle_collisions: bool = param(
        True,
        "Fit overlapping spikes of other units together with the spike. Turn it off to save time. On by default, "
        "because overlaps otherwise change the scaling.",
    )
    delta_collision_ms: float = param(
        2,
        "Spikes of other units up to this interval are fitted together. Increase it for long waveforms. The default "
        "of 2 covers the main part of a waveform.",
        unit="ms",
        gt=0,
    )


class TemplateSimilarity(OpenSection):
    method: Literal["l1", "l2", "cosine"] = param(
        "l1",
        "How two templates are compared. Choose `cosine` to ignore their amplitude. The default is `l1`, the sum of "
        "absolute differences.",
    )


class Correlograms(OpenSection):
    window_ms: float = param(
        50.0,
        "Width of the correlograms. Increase it to see slow rhythms. The default of 50 shows the refractory period "
        "and bursts.",
        unit="ms",
        gt=0,
    )
    bin_ms: float = param(
        1.0,
        "Width of a bin. Lower it to see the refractory period more exactly, when there are many spikes. The "
        "default of 1 suits most units.",
        unit="ms",
        gt=0,
    )


class IsiHistograms(OpenSection):
    window_ms: float = param(
        100.0,
        "Longest interval between spikes in the histograms. Increase it for units that fire slowly. The default of "
        "100 shows bursts and fast firing.",
        unit="ms",
        gt=0,
    )
    bin_ms: float = param(
        5.0,
        "Width of a bin. Lower it for finer histograms, when there are many spikes. The default of 5 suits most units.",
        unit="ms",
        gt=0,
    )


class UnitLocations(OpenSection):
    method: Localization = param(
        "monopolar_triangulation",
        "How the location of a unit is estimated from its template. Choose `center_of_mass` for speed, or for "
        "sparse probes. The default is `monopolar_triangulation`, which also estimates the distance from the probe.",
    )


class SpikeLocations(OpenSection):
    method: Localization = param(
        "grid_convolution",
        "How the location of each spike is estimated from its waveform. Choose `center_of_mass` for speed. The "
        "default is `grid_convolution`, a good compromise between speed and accuracy.",
    )


class TemplateMetrics(OpenSection):
    upsampling_factor: int = param(
        10,
        "Templates are first resampled to this multiple of their rate. Increase it for finer durations. The default "
        "of 10 is 3 us at 30 kHz.",
        ge=1,
    )
    sparsity: None = param(None, "Only null is possible: SpikeInterface uses the sparsity of the analyzer.")
    include_multi_channel_metrics: bool = param(
        True,
        "Compute also the metrics that need several channels, such as the velocity along the probe. Turn it off for "
        "tetrodes. On by default.",
    )


class PrincipalComponents(OpenSection):
    n_components: int = param(
        5,
        "Number of components for each channel. Lower it to save memory; increase it to describe waveforms more "
        "exactly. The default of 5 is SpikeInterface's.",
        ge=1,
    )
    # SpikeInterface's "concatenated" needs all channels of every unit; the analyzer is sparse.
    mode: Literal["by_channel_local", "by_channel_global"] = param(
        "by_channel_local",
        "One PCA for each channel (`by_channel_local`), or one for all channels (`by_channel_global`). Choose the "
        "latter when channels have too few spikes for a separate PCA. The default is `by_channel_local`, which "
        "describes each channel best.",
    )
    whiten: bool = param(
        True,
        "Scale the components to unit variance. Turn it off to keep their relative size. On by default, as in "
        "SpikeInterface.",
    )


class PresenceRatio(OpenSection):
    bin_duration_s: float = param(
        60,
        "Length of a bin in which the unit fires or does not. Lower it for short recordings: with fewer than five "
        "bins the metric is undefined. The default of 60 also suits units that fire slowly.",
        unit="s",
        gt=0,
    )


class Snr(OpenSection):
    peak_sign: PeakSign = param(
        "neg",
        "Must equal `spike_amplitudes.peak_sign`, because SpikeInterface uses one sign for the whole analyzer. The "
        "default is `neg`.",
    )
    peak_mode: Literal["extremum", "at_index", "peak_to_peak"] = param(
        "extremum",
        "Amplitude of the template: its largest value (`extremum`), its value at the spike (`at_index`), or from "
        "peak to trough (`peak_to_peak`). Choose `peak_to_peak` to compare with other tools that use it. The "
        "default is `extremum`.",
    )


class IsiViolation(OpenSection):
    isi_threshold_ms: float = param(
        1.5,
        "Shorter intervals between spikes are violations. Lower it for neurons that fire very fast. The default of "
        "1.5 is shorter than the refractory period of most neurons.",
        unit="ms",
        gt=0,
    )
    min_isi_ms: float = param(
        0,
        "Shortest interval that the sorter can detect. Set it to the sorter's dead time, if it has one. The default "
        "of 0 means that it has none.",
        unit="ms",
        ge=0,
    )


class RpViolation(OpenSection):
    refractory_period_ms: float = param(
        1,
        "Refractory period of a neuron: shorter intervals are violations. Increase it when your neurons have a "
        "longer one; the test for contamination then detects more. The default of 1 is valid for almost all "
        "neurons.",
        unit="ms",
        gt=0,
    )
    censored_period_ms: float = param(
        0.0,
        "Shorter intervals are not counted. Set it to the sorter's dead time, if it has one. The default of 0 "
        "counts all.",
        unit="ms",
        ge=0,
    )


class SlidingRpViolation(OpenSection):
    bin_size_ms: float = param(
        0.25,
        "Bin of the autocorrelogram. Lower it to test more refractory periods. The default of 0.25 is "
        "SpikeInterface's.",
        unit="ms",
        gt=0,
    )
    window_size_s: float = param(
        1,
        "Half width of the autocorrelogram. Increase it for units that fire slowly. The default of 1 is enough for "
        "the firing rate.",
        unit="s",
        gt=0,
    )
    exclude_ref_period_below_ms: float = param(
        0.5,
        "Shorter refractory periods are not tested. Lower it for neurons that fire very fast. The default of 0.5 is "
        "shorter than any neuron's.",
        unit="ms",
        ge=0,
    )
    max_ref_period_ms: float = param(
        10,
        "Longest refractory period that is tested. Lower it to save time. The default of 10 includes slow neurons.",
        unit="ms",
        gt=0,
    )
    contamination_values: list[float] | None = param(
        None,
        "Contaminations that are tested. Set it for a finer or wider range. The default (null) uses SpikeInterface's.",
    )


class AmplitudeCutoff(OpenSection):
    peak_sign: PeakSign = param(
        "neg",
        "Must equal `spike_amplitudes.peak_sign`, because SpikeInterface uses one sign for the whole analyzer. The "
        "default is `neg`.",
    )
    num_histogram_bins: int = param(
        100,
        "Bins of the amplitude histogram. Lower it when units have few spikes. The default of 100 needs 500 spikes, "
        "with `amplitudes_bins_min_ratio`.",
        ge=1,
    )
    histogram_smoothing_value: float = param(
        3,
        "Width of the Gaussian that smooths the histogram. Increase it when histograms are noisy. The default of 3 "
        "is SpikeInterface's.",
        unit="bins",
        gt=0,
    )
    amplitudes_bins_min_ratio: float = param(
        5,
        "Smallest ratio of spikes to bins; below it the metric is undefined. Lower it to get values for units with "
        "few spikes, which are less reliable. The default of 5 needs 500 spikes for 100 bins.",
        gt=0,
    )


class AmplitudeMedian(OpenSection):
    peak_sign: PeakSign = param(
        "neg",
        "Must equal `spike_amplitudes.peak_sign`, because SpikeInterface uses one sign for the whole analyzer. The "
        "default is `neg`.",
    )


class AmplitudeCv(OpenSection):
    average_num_spikes_per_bin: int = param(
        50,
        "Average number of spikes in a bin of time. Increase it for a more stable value, in fewer bins. The default "
        "of 50 is SpikeInterface's.",
        ge=1,
    )
    percentiles: list[Percent] = param(
        [5, 95],
        "The two percentiles of the bins between which the range is computed. Move them towards 0 and 100 to "
        "include rare changes. The default, 5 and 95, ignores outliers.",
        min_length=2,
        max_length=2,
    )
    min_num_bins: int = param(
        10,
        "With fewer bins the metric is undefined. Lower it for short recordings. The default of 10 is needed for "
        "percentiles.",
        ge=1,
    )
    amplitude_extension: Literal["spike_amplitudes", "amplitude_scalings"] = param(
        "spike_amplitudes",
        "The extension that the amplitudes come from. Choose `amplitude_scalings` to include overlapping spikes "
        "correctly. The default is `spike_amplitudes`, in microvolts.",
    )


class FiringRange(OpenSection):
    bin_size_s: float = param(
        5,
        "Length of a bin of time. Increase it for units that fire slowly. The default of 5 shows changes of behaviour.",
        unit="s",
        gt=0,
    )
    percentiles: list[Percent] = param(
        [5, 95],
        "The two percentiles of the firing rate between which the range is computed. Move them towards 0 and 100 to "
        "include rare changes. The default, 5 and 95, ignores outliers.",
        min_length=2,
        max_length=2,
    )


class Synchrony(OpenSection):
    synchrony_sizes: list[int] = param(
        [2, 4, 8],
        "Numbers of units that fire in the same sample. Only the default is possible: SpikeInterface has no others.",
        fixed=True,
    )


class NearestNeighbor(OpenSection):
    max_spikes: int = param(
        10000,
        "Largest number of spikes that are compared. Lower it to save time and memory. The default of 10000 is "
        "SpikeInterface's.",
        ge=1,
    )
    n_neighbors: int = param(
        4,
        "Number of neighbours that each spike is compared with. Increase it for a more stable value. The default of "
        "4 suits small units as well.",
        ge=1,
    )


class Silhouette(OpenSection):
    method: list[Literal["simplified", "full"]] = param(
        ["simplified"],
        "How the score is computed; `full` compares all pairs of spikes and is slow. Choose `full` only for few "
        "spikes. The default is `simplified`, which compares spikes with the centres of units.",
        min_length=1,
        max_length=1,
    )


class MetricParams(Section):
    """Settings of single metrics; those of a metric that is not in `metric_names` have no effect."""

    presence_ratio: PresenceRatio = param(PresenceRatio(), "Share of the time bins in which the unit fires.")
    snr: Snr = param(Snr(), "Signal-to-noise ratio.")
    isi_violation: IsiViolation = param(IsiViolation(), "Violations of the refractory period, from the intervals.")
    rp_violation: RpViolation = param(RpViolation(), "Violations of the refractory period, by Llobet's method.")
    sliding_rp_violation: SlidingRpViolation = param(SlidingRpViolation(), "Violations of several refractory periods.")
    amplitude_cutoff: AmplitudeCutoff = param(
        AmplitudeCutoff(), "Estimated share of spikes below the detection threshold."
    )
    amplitude_median: AmplitudeMedian = param(AmplitudeMedian(), "Median amplitude.")
    amplitude_cv: AmplitudeCv = param(AmplitudeCv(), "Variation of the amplitude over time.")
    firing_range: FiringRange = param(FiringRange(), "Range of the firing rate.")
    synchrony: Synchrony = param(Synchrony(), "Spikes in the same sample as spikes of other units.")
    nearest_neighbor: NearestNeighbor = param(NearestNeighbor(), "Isolation by nearest neighbours.")
    silhouette: Silhouette = param(Silhouette(), "Silhouette score.")
    drift: OpenSection = param(OpenSection(), "Drift of the unit along the probe.")
    noise_cutoff: OpenSection = param(
        OpenSection(), "Estimated share of spikes below the threshold, from the low tail of the amplitudes."
    )
    sd_ratio: OpenSection = param(OpenSection(), "Spread of the amplitude compared with the noise.")
    nn_advanced: OpenSection = param(OpenSection(), "Isolation and noise overlap by nearest neighbours.")


class QualityMetrics(OpenSection):
    metric_names: list[MetricName] = param(
        DEFAULT_METRICS,
        "The metrics that are computed. Remove those that you do not use to save time; add those that your curation "
        "query needs. The default is every metric of the parameter reference.",
    )
    metric_params: MetricParams = param(MetricParams(), "Settings of single metrics.")


class Extensions(Section):
    """SpikeInterface's analyzer extensions; those of the parameter reference are on, the others are null."""

    random_spikes: RandomSpikes | None = param(RandomSpikes(), "The spikes whose waveforms are extracted.")
    noise_levels: NoiseLevels | None = param(NoiseLevels(), "Noise of each channel.")
    waveforms: Waveforms | None = param(Waveforms(), "Waveforms of the drawn spikes.")
    templates: OpenSection | None = param(OpenSection(), "Mean waveform of each unit.")
    spike_amplitudes: SpikeAmplitudes | None = param(SpikeAmplitudes(), "Amplitude of every spike.")
    amplitude_scalings: AmplitudeScalings | None = param(
        AmplitudeScalings(),
        "Scale of its unit's template in every spike, with overlapping spikes fitted together. `amplitude_cutoff` "
        "and the tests of amplitudes in `curation.suspicious` use it; null saves time.",
    )
    template_similarity: TemplateSimilarity | None = param(TemplateSimilarity(), "Similarity of the templates.")
    correlograms: Correlograms | None = param(Correlograms(), "Autocorrelograms and cross-correlograms.")
    isi_histograms: IsiHistograms | None = param(IsiHistograms(), "Histograms of the intervals between spikes.")
    unit_locations: UnitLocations | None = param(UnitLocations(), "Location of each unit.")
    spike_locations: SpikeLocations | None = param(
        SpikeLocations(), "Location of each spike; null saves time, and then `drift_ptp` is missing."
    )
    template_metrics: TemplateMetrics | None = param(TemplateMetrics(), "Measures of the templates' shape.")
    principal_components: PrincipalComponents | None = param(
        PrincipalComponents(),
        "Principal components of the waveforms; null saves time, and then the isolation metrics are missing.",
    )
    quality_metrics: QualityMetrics | None = param(QualityMetrics(), "Measures of each unit's quality.")
    auto_correlograms: OpenSection | None = param(
        None,
        "Autocorrelograms alone. Turn it on when `correlograms` is off. Off (null) by default, because "
        "`correlograms` includes them.",
    )
    valid_unit_periods: OpenSection | None = param(
        None,
        "Periods in which a unit is complete and clean. Turn it on for long recordings with units that come and go. "
        "Off (null) by default.",
    )
    # spiketrain_metrics, the remaining one, cannot be read back from a saved analyzer (SpikeInterface 0.105.3).


def find_refractory_period_ms(extensions: Extensions) -> float:
    """The refractory period of the metrics, also when they are not computed."""
    metrics = extensions.quality_metrics or QualityMetrics()
    return metrics.metric_params.rp_violation.refractory_period_ms
