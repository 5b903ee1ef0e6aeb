"""Parameters of preprocessing (section `preprocessing`)."""

from typing import Any, ClassVar, Literal

from capsules.parameters.model import JobKwargs, MotionPreset, OpenSection, Section, param


class HighpassFilter(Section):
    freq_min: float = param(300.0, "Cut-off frequency of the high-pass filter.", unit="Hz", gt=0)
    margin_ms: float = param(5.0, "Traces read beyond each chunk so that the filter leaves no edge.", unit="ms", ge=0)


class BandpassFilter(Section):
    freq_min: float = param(300.0, "Lower cut-off frequency of the band-pass filter.", unit="Hz", gt=0)
    freq_max: float = param(6000.0, "Upper cut-off frequency of the band-pass filter.", unit="Hz", gt=0)
    margin_ms: float = param(5.0, "Traces read beyond each chunk so that the filter leaves no edge.", unit="ms", ge=0)


class PhaseShift(Section):
    margin_ms: float = param(100.0, "Traces read beyond each chunk when channels are aligned.", unit="ms", ge=0)


class DetectBadChannels(Section):
    method: Literal["coherence+psd", "std", "mad", "neighborhood_r2"] = param(
        "coherence+psd",
        "How bad channels are detected; `coherence+psd` distinguishes dead, noisy and out-of-brain channels by "
        "their coherence with their neighbours and their spectrum.",
    )
    dead_channel_threshold: float = param(-0.5, "A channel less coherent with its neighbours than this is dead.")
    noisy_channel_threshold: float = param(1.0, "A channel with more high-frequency power than this is noisy.")
    outside_channel_threshold: float = param(
        -0.3, "A channel below this, at the end of the probe, is out of the brain."
    )
    outside_channels_location: Literal["top", "bottom", "both"] = param(
        "top", "End of the probe at which channels may be out of the brain."
    )
    n_neighbors: int = param(11, "Neighbouring channels that a channel is compared with.", ge=1)
    seed: int | None = param(
        0, "Seed of the random chunks that are analysed; null becomes 0, which `stage.json` lists as a change.", ge=0
    )


class Artifacts(Section):
    """Periods in which most channels record something else than neurons."""

    detect: bool = param(
        True,
        "Detect and report periods in which most channels are larger than usual.",
        flags={"--no-detect-artifacts": False},
    )
    detect_threshold: float = param(
        10.0,
        "How far the envelope, as the median over channels, is above its usual level in such a period, in median "
        "absolute deviations.",
        gt=0,
    )
    freq_max: float = param(20.0, "Cut-off frequency of the envelope.", unit="Hz", gt=0)
    blank: bool = param(
        False,
        "Set the traces to zero in the detected periods, and where the converter is saturated.",
        flags={"--blank-artifacts": True},
    )
    times: str | None = param(
        None,
        "CSV file in the data folder with periods to set to zero, in seconds of the spike times: columns `start_s` "
        "and, optionally, `stop_s`.",
        flags={"--artifact-times": ...},
    )
    ms_before: float = param(0.5, "Time before each of these periods that is set to zero as well.", unit="ms", ge=0)
    ms_after: float = param(3.0, "Time after each of these periods that is set to zero as well.", unit="ms", ge=0)


class CommonReference(Section):
    reference: Literal["global", "local"] = param(
        "global", "Channels that the reference is computed from: all good ones, or those in a ring around each channel."
    )
    operator: Literal["median", "average"] = param(
        "median", "How the reference is computed; the median does not follow single outliers."
    )


class HighpassSpatialFilter(Section):
    n_channel_pad: int | None = param(60, "Channels mirrored at each end of the probe before filtering.", ge=0)
    n_channel_taper: int | None = param(None, "Channels of the cosine taper at each end; null chooses it.", ge=0)
    direction: Literal["x", "y"] = param("y", "Axis of the probe along which the filter runs; `y` is depth.")
    apply_agc: bool = param(True, "Equalise the gain over time before filtering.")
    agc_window_length_s: float = param(0.01, "Window of the gain equalisation.", unit="s", gt=0)
    highpass_butter_order: int = param(3, "Order of the spatial Butterworth high-pass.", ge=1)
    highpass_butter_wn: float = param(
        0.01, "Cut-off of the spatial filter, as a fraction of the Nyquist frequency.", gt=0, lt=1
    )


class EstimateMotion(OpenSection):
    win_step_norm: float | None = param(
        0.1, "Step between spatial windows, as a fraction of the probe's span; null leaves it to the preset.", gt=0
    )
    win_scale_norm: float | None = param(
        0.1, "Width of a spatial window, as a fraction of the probe's span; null leaves it to the preset.", gt=0
    )
    bin_s: float | None = param(
        None,
        "Length of a bin of time; null leaves it to the preset.",
        unit="s",
        flags={"--motion-temporal-bin-s": ...},
        gt=0,
    )


class MotionCorrection(Section):
    compute: bool = param(True, "Estimate the motion of the probe and save it.")
    apply: bool = param(False, "Interpolate the traces along the estimated motion; otherwise the motion is only saved.")
    preset: MotionPreset = param(
        "dredge_fast", "SpikeInterface's preset for the whole estimate.", flags={"--motion-preset": ...}
    )
    detect_kwargs: OpenSection = param(OpenSection(), "Changes to the preset's peak detection.")
    select_kwargs: OpenSection = param(OpenSection(), "Changes to the preset's selection of peaks.")
    localize_peaks_kwargs: OpenSection = param(OpenSection(), "Changes to the preset's localisation of peaks.")
    estimate_motion_kwargs: EstimateMotion = param(EstimateMotion(), "Changes to the preset's estimate.")
    interpolate_motion_kwargs: OpenSection = param(OpenSection(), "Changes to the preset's interpolation.")


class PreprocessingParams(Section):
    """What happens to the traces before they are sorted."""

    choice_flags: ClassVar = {
        "--motion": {
            "skip": {"motion_correction.compute": False, "motion_correction.apply": False},
            "compute": {"motion_correction.compute": True, "motion_correction.apply": False},
            "apply": {"motion_correction.compute": True, "motion_correction.apply": True},
        }
    }

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    min_preprocessing_duration: float = param(
        120,
        "Recordings shorter than this are skipped.",
        unit="s",
        flags={"--min-duration-for-preprocessing": ...},
        ge=0,
    )
    t_start: float | None = param(
        None,
        "Traces before this time are excluded; null starts at the beginning of the recording.",
        unit="s",
        flags={"--t-start": ...},
        ge=0,
    )
    t_stop: float | None = param(
        None,
        "Traces from this time on are excluded; null continues to the end of the recording.",
        unit="s",
        flags={"--t-stop": ...},
        gt=0,
    )
    custom_preprocessing_pipeline: dict[str, Any] | None = param(
        None,
        "Your pipeline in SpikeInterface's dictionary form, which replaces all steps but the motion; null uses "
        "filter, phase shift, bad channels, and reference or destriping.",
    )
    denoising_strategy: Literal["cmr", "destripe"] = param(
        "cmr",
        "`cmr` subtracts the median over the good channels; `destripe` high-passes along the probe.",
        flags={"--denoising": ...},
    )
    filter_type: Literal["highpass", "bandpass"] = param(
        "highpass", "Filter over time, the first step.", flags={"--filter-type": ...}
    )
    highpass_filter: HighpassFilter = param(HighpassFilter(), "Used when `filter_type` is `highpass`.")
    bandpass_filter: BandpassFilter = param(BandpassFilter(), "Used when `filter_type` is `bandpass`.")
    phase_shift: PhaseShift = param(PhaseShift(), "Alignment of channels that the probe samples one after the other.")
    detect_bad_channels: DetectBadChannels = param(DetectBadChannels(), "Detection of bad channels.")
    artifacts: Artifacts = param(Artifacts(), "Periods in which most channels record something else than neurons.")
    remove_out_channels: bool = param(
        True, "Remove channels outside the brain.", flags={"--no-remove-out-channels": False}
    )
    remove_bad_channels: bool = param(
        True, "Remove dead and noisy channels.", flags={"--no-remove-bad-channels": False}
    )
    max_bad_channel_fraction: float = param(
        0.5,
        "A recording with a larger fraction of bad channels is skipped.",
        flags={"--max-bad-channel-fraction": ...},
        ge=0,
        le=1,
    )
    common_reference: CommonReference = param(CommonReference(), "Used when `denoising_strategy` is `cmr`.")
    highpass_spatial_filter: HighpassSpatialFilter = param(
        HighpassSpatialFilter(), "Used when `denoising_strategy` is `destripe`."
    )
    motion_correction: MotionCorrection = param(MotionCorrection(), "Drift of the probe.")


PARAMS = PreprocessingParams
