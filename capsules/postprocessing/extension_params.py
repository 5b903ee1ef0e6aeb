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
    max_spikes_per_unit: int = param(500, "Maximum of spikes of each unit that are drawn.", ge=1)
    method: Literal["uniform", "all", "percentage", "maximum_rate"] = param("uniform", "How the spikes are drawn.")
    margin_size: int | None = param(
        None, "Spikes nearer to a segment's ends are not drawn; null draws from all.", unit="samples", ge=0
    )
    seed: int | None = param(None, "Seed of the draw; null becomes 0, which `stage.json` lists as a change.", ge=0)


class NoiseLevels(OpenSection):
    num_chunks_per_segment: int = param(
        20, "Random chunks of traces that the noise is estimated from, in each segment.", ge=1
    )
    chunk_size: int = param(10000, "Length of one of these chunks.", unit="samples", ge=1)
    seed: int | None = param(None, "Seed of the chunks; null becomes 0, which `stage.json` lists as a change.", ge=0)


class Waveforms(OpenSection):
    ms_before: float = param(2.0, "Waveform before the spike's peak.", unit="ms", gt=0)
    ms_after: float = param(3.0, "Waveform after the spike's peak.", unit="ms", gt=0)
    dtype: Literal["float32", "float64", "int16", "int32"] | None = param(
        None, "Sample type of the waveforms; null uses that of the traces."
    )


class SpikeAmplitudes(OpenSection):
    peak_sign: PeakSign = param("neg", "Sign of the peaks, which determines a unit's main channel and its amplitudes.")


class AmplitudeScalings(OpenSection):
    handle_collisions: bool = param(True, "Fit overlapping spikes of other units together with the spike.")
    delta_collision_ms: float = param(
        2, "Spikes of other units up to this interval are fitted as well.", unit="ms", gt=0
    )


class TemplateSimilarity(OpenSection):
    method: Literal["l1", "l2", "cosine"] = param("l1", "Distance between two templates.")


class Correlograms(OpenSection):
    window_ms: float = param(50.0, "Width of the correlograms.", unit="ms", gt=0)
    bin_ms: float = param(1.0, "Width of a bin.", unit="ms", gt=0)


class IsiHistograms(OpenSection):
    window_ms: float = param(100.0, "Longest interval between spikes in the histograms.", unit="ms", gt=0)
    bin_ms: float = param(5.0, "Width of a bin.", unit="ms", gt=0)


class UnitLocations(OpenSection):
    method: Localization = param(
        "monopolar_triangulation", "How the location of a unit is estimated from its template."
    )


class SpikeLocations(OpenSection):
    method: Localization = param("grid_convolution", "How the location of each spike is estimated from its waveform.")


class TemplateMetrics(OpenSection):
    upsampling_factor: int = param(10, "Templates are first resampled to this multiple of their rate.", ge=1)
    sparsity: None = param(None, "Only null is possible: SpikeInterface uses the analyzer's own sparsity.")
    include_multi_channel_metrics: bool = param(True, "Include metrics that need several channels, such as velocity.")


class PrincipalComponents(OpenSection):
    n_components: int = param(5, "Components kept for each channel.", ge=1)
    # SpikeInterface's "concatenated" needs all channels of every unit; the analyzer is sparse.
    mode: Literal["by_channel_local", "by_channel_global"] = param(
        "by_channel_local", "One PCA for each channel, or one for all."
    )
    whiten: bool = param(True, "Scale the components to unit variance.")


class PresenceRatio(OpenSection):
    bin_duration_s: float = param(60, "Length of a bin in which the unit fires or does not.", unit="s", gt=0)


class Snr(OpenSection):
    peak_sign: PeakSign = param("neg", ONE_SIGN)
    peak_mode: Literal["extremum", "at_index", "peak_to_peak"] = param(
        "extremum", "Amplitude: the largest value, the value at the spike, or peak to trough."
    )


class IsiViolation(OpenSection):
    isi_threshold_ms: float = param(1.5, "Shorter intervals between spikes are violations.", unit="ms", gt=0)
    min_isi_ms: float = param(0, "Shortest interval that the sorter can detect.", unit="ms", ge=0)


class RpViolation(OpenSection):
    refractory_period_ms: float = param(1, "Refractory period of a neuron.", unit="ms", gt=0)
    censored_period_ms: float = param(0.0, "Shorter intervals are not counted.", unit="ms", ge=0)


class SlidingRpViolation(OpenSection):
    bin_size_ms: float = param(0.25, "Bin of the autocorrelogram.", unit="ms", gt=0)
    window_size_s: float = param(1, "Half width of the autocorrelogram.", unit="s", gt=0)
    exclude_ref_period_below_ms: float = param(0.5, "Shorter refractory periods are not tested.", unit="ms", ge=0)
    max_ref_period_ms: float = param(10, "Longest refractory period that is tested.", unit="ms", gt=0)
    contamination_values: list[float] | None = param(
        None, "Contaminations that are tested; null uses SpikeInterface's."
    )


class AmplitudeCutoff(OpenSection):
    peak_sign: PeakSign = param("neg", ONE_SIGN)
    num_histogram_bins: int = param(100, "Bins of the amplitude histogram.", ge=1)
    histogram_smoothing_value: float = param(3, "Width of the Gaussian that smooths the histogram.", unit="bins", gt=0)
    amplitudes_bins_min_ratio: float = param(
        5, "Minimum ratio of spikes to bins; below it the metric is undefined.", gt=0
    )


class AmplitudeMedian(OpenSection):
    peak_sign: PeakSign = param("neg", ONE_SIGN)


class AmplitudeCv(OpenSection):
    average_num_spikes_per_bin: int = param(50, "Average number of spikes in a bin of time.", ge=1)
    percentiles: list[Percent] = param(
        [5, 95], "Percentiles of the bins that the range is computed between.", min_length=2, max_length=2
    )
    min_num_bins: int = param(10, "With fewer bins the metric is undefined.", ge=1)
    amplitude_extension: Literal["spike_amplitudes", "amplitude_scalings"] = param(
        "spike_amplitudes", "The extension that the amplitudes come from."
    )


class FiringRange(OpenSection):
    bin_size_s: float = param(5, "Length of a bin of time.", unit="s", gt=0)
    percentiles: list[Percent] = param(
        [5, 95], "Percentiles of the firing rate that the range is computed between.", min_length=2, max_length=2
    )


class Synchrony(OpenSection):
    synchrony_sizes: list[int] = param(
        [2, 4, 8], "Numbers of units that fire in the same sample; SpikeInterface has no others.", fixed=True
    )


class NearestNeighbor(OpenSection):
    max_spikes: int = param(10000, "Maximum of spikes that are compared.", ge=1)
    n_neighbors: int = param(4, "Neighbours that each spike is compared with.", ge=1)


class Silhouette(OpenSection):
    method: list[Literal["simplified", "full"]] = param(
        ["simplified"], "One method; `full` compares all pairs of spikes and is slow.", min_length=1, max_length=1
    )


class MetricParams(Section):
    """Settings of single metrics; those of a metric that is not in `metric_names` have no effect."""

    presence_ratio: PresenceRatio = param(PresenceRatio(), "Share of the time bins in which the unit fires.")
    snr: Snr = param(Snr(), "Signal-to-noise ratio.")
    isi_violation: IsiViolation = param(IsiViolation(), "Violations of the refractory period, from the intervals.")
    rp_violation: RpViolation = param(RpViolation(), "Violations of the refractory period, by Llobet's method.")
    sliding_rp_violation: SlidingRpViolation = param(SlidingRpViolation(), "Violations of several refractory periods.")
    amplitude_cutoff: AmplitudeCutoff = param(AmplitudeCutoff(), "Share of spikes below the detection threshold.")
    amplitude_median: AmplitudeMedian = param(AmplitudeMedian(), "Median amplitude.")
    amplitude_cv: AmplitudeCv = param(AmplitudeCv(), "Variation of the amplitude over time.")
    firing_range: FiringRange = param(FiringRange(), "Range of the firing rate.")
    synchrony: Synchrony = param(Synchrony(), "Spikes in the same sample as those of other units.")
    nearest_neighbor: NearestNeighbor = param(NearestNeighbor(), "Isolation by nearest neighbours.")
    silhouette: Silhouette = param(Silhouette(), "Silhouette score.")
    drift: OpenSection = param(OpenSection(), "Drift of the unit along the probe.")
    noise_cutoff: OpenSection = param(OpenSection(), "Share of spikes below the threshold, from the low tail.")
    sd_ratio: OpenSection = param(OpenSection(), "Spread of the amplitude compared with the noise.")
    nn_advanced: OpenSection = param(OpenSection(), "Isolation and noise overlap by nearest neighbours.")


class QualityMetrics(OpenSection):
    metric_names: list[MetricName] = param(DEFAULT_METRICS, "The metrics that are computed.")
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
        "Scale of its unit's template in every spike, with overlapping spikes fitted together; `amplitude_cutoff` and "
        "the tests of amplitudes in `curation.suspicious` use it.",
    )
    template_similarity: TemplateSimilarity | None = param(TemplateSimilarity(), "Similarity of the templates.")
    correlograms: Correlograms | None = param(Correlograms(), "Auto- and cross-correlograms.")
    isi_histograms: IsiHistograms | None = param(IsiHistograms(), "Histograms of the intervals between spikes.")
    unit_locations: UnitLocations | None = param(UnitLocations(), "Location of each unit.")
    spike_locations: SpikeLocations | None = param(SpikeLocations(), "Location of each spike.")
    template_metrics: TemplateMetrics | None = param(TemplateMetrics(), "Measures of the templates' shape.")
    principal_components: PrincipalComponents | None = param(PrincipalComponents(), "PCA of the waveforms.")
    quality_metrics: QualityMetrics | None = param(QualityMetrics(), "Measures of each unit's quality.")
    auto_correlograms: OpenSection | None = param(None, "Autocorrelograms alone.")
    valid_unit_periods: OpenSection | None = param(None, "Periods in which a unit is complete and clean.")
    # spiketrain_metrics, the remaining one, cannot be read back from a saved analyzer (SpikeInterface 0.105.3).


def find_refractory_period_ms(extensions: Extensions) -> float:
    """The refractory period of the metrics, also when they are not computed."""
    metrics = extensions.quality_metrics or QualityMetrics()
    return metrics.metric_params.rp_violation.refractory_period_ms
