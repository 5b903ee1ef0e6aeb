"""Parameters of preprocessing (section `preprocessing`)."""

from typing import Any, ClassVar, Literal

from capsules.parameters.model import JobKwargs, MotionPreset, OpenSection, Section, param


class HighpassFilter(Section):
    freq_min: float = param(
        300.0,
        "Cut-off frequency of the high-pass filter. Lower it when wide spikes lose amplitude; increase it when slow "
        "waves remain. The default of 300 removes the LFP and keeps spikes.",
        unit="Hz",
        gt=0,
    )
    margin_ms: float = param(
        5.0,
        "Traces that are read beyond each chunk, so that the filter has no edge effects. Increase it when you lower "
        "the cut-off. The default of 5 suits the default cut-off; where the pipeline computes filter and reference "
        "in one step, it reads at least 25.",
        unit="ms",
        ge=0,
    )


class BandpassFilter(Section):
    freq_min: float = param(
        300.0,
        "Lower cut-off frequency of the band-pass filter. Lower it when wide spikes lose amplitude; increase it "
        "when slow waves remain. The default of 300 removes the LFP and keeps spikes.",
        unit="Hz",
        gt=0,
    )
    freq_max: float = param(
        6000.0,
        "Upper cut-off frequency of the band-pass filter, below half the sampling rate. Lower it when "
        "high-frequency noise hides spikes. The default of 6000 keeps the shape of narrow spikes.",
        unit="Hz",
        gt=0,
    )
    margin_ms: float = param(
        5.0,
        "Traces that are read beyond each chunk, so that the filter has no edge effects. Increase it when you lower "
        "the cut-off. The default of 5 suits the default cut-off; where the pipeline computes filter and reference "
        "in one step, it reads at least 25.",
        unit="ms",
        ge=0,
    )


class PhaseShift(Section):
    margin_ms: float = param(
        100.0,
        "Traces that are read beyond each chunk when channels are aligned in time. Lower it only to save time with "
        "short chunks. The default of 100 keeps the ends of chunks correct.",
        unit="ms",
        ge=0,
    )


class DetectBadChannels(Section):
    method: Literal["coherence+psd", "std", "mad", "neighborhood_r2"] = param(
        "coherence+psd",
        "How bad channels are detected. Choose `std` or `mad` when the recording has no gains or few channels: they "
        "compare noise levels only. The default, `coherence+psd`, detects dead, noisy and out-of-brain channels by "
        "the coherence with their neighbours and the spectrum.",
    )
    dead_channel_threshold: float = param(
        -0.5,
        "With `coherence+psd`: a channel is dead when its coherence with its neighbours is below theirs by more "
        "than this. Increase it (towards 0) to detect more dead channels. The default of -0.5 is SpikeInterface's.",
    )
    noisy_channel_threshold: float = param(
        1.0,
        "With `coherence+psd`: a channel is noisy when its coherence is above that of its neighbours by more than "
        "this; a channel with too much power near half the sampling rate is noisy as well. Lower it to detect more "
        "noisy channels. The default of 1 is SpikeInterface's.",
    )
    outside_channel_threshold: float = param(
        -0.3,
        "With `coherence+psd`: channels at the end of the probe are outside the brain when their coherence with all "
        "channels is below 1 plus this. Lower it (towards -1) when channels in the brain are removed. The default "
        "of -0.3 detects more such channels than SpikeInterface's -0.75.",
    )
    outside_channels_location: Literal["top", "bottom", "both"] = param(
        "top",
        "End of the probe at which channels can be outside the brain. Choose `bottom` or `both` when the tip leaves "
        "the brain. The default is `top`, because probes are inserted from above.",
    )
    n_neighbors: int = param(
        11,
        "Number of neighbouring channels that a channel is compared with. Lower it on sparse probes, where distant "
        "channels differ. The default of 11 suits dense probes; it is reduced on shanks with fewer channels.",
        ge=1,
    )
    seed: int | None = param(
        0,
        "Seed of the random chunks that are analysed. Change it to see whether the bad channels depend on the "
        "chunks. The default of 0 makes the result reproducible; null becomes 0, which `stage.json` lists as a "
        "change.",
        ge=0,
    )


class Artifacts(Section):
    """Periods in which most channels record something else than neurons."""

    detect: bool = param(
        True,
        "Detect and report periods in which most channels are larger than usual. Turn it off to save time. On by "
        "default, because such periods can be stimulation, movement or chewing.",
        flags={"--no-detect-artifacts": False},
    )
    detect_threshold: float = param(
        10.0,
        "An artifact period begins when the envelope (median over channels) exceeds its usual level by this many "
        "median absolute deviations. Lower it to detect weaker artifacts. The default of 10 is used because noise "
        "alone reaches SpikeInterface's 5 within minutes.",
        gt=0,
    )
    freq_max: float = param(
        20.0,
        "Cut-off frequency of the low-pass filter of the envelope. Increase it to detect shorter artifacts. The "
        "default of 20 smooths over single spikes.",
        unit="Hz",
        gt=0,
    )
    blank: bool = param(
        False,
        "Set the traces to zero in the detected periods, and where the converter is saturated. Turn it on when "
        "artifacts are sorted as units. Off by default: spikes in these periods are then lost.",
        flags={"--blank-artifacts": True},
    )
    times: str | None = param(
        None,
        "CSV file in the data folder with periods that are set to zero, in seconds of the spike times: columns "
        "`start_s` and, optionally, `stop_s`. Set it when the times of stimuli are known. The default is null: no "
        "times.",
        flags={"--artifact-times": ...},
    )
    ms_before: float = param(
        0.5,
        "Time before each blanked period that is set to zero as well. Increase it when artifacts begin earlier than "
        "the period. The default of 0.5 covers the rise of a pulse.",
        unit="ms",
        ge=0,
    )
    ms_after: float = param(
        3.0,
        "Time after each blanked period that is set to zero as well. Increase it when the traces still ring after "
        "the period. The default of 3 covers the ringing of the filter after a short pulse.",
        unit="ms",
        ge=0,
    )


class CommonReference(Section):
    reference: Literal["global", "local"] = param(
        "global",
        "Channels that the reference is computed from: all good ones (`global`), or those in a ring around each "
        "channel (`local`). Choose `local` when noise differs along the probe. The default is `global`, which "
        "removes noise that all channels share.",
    )
    operator: Literal["median", "average"] = param(
        "median",
        "How the reference is computed from the channels. Choose `average` only to compare with an earlier "
        "analysis. The default is `median`, because large spikes on a few channels do not change it.",
    )


class HighpassSpatialFilter(Section):
    n_channel_pad: int | None = param(
        60,
        "Number of channels that are mirrored at each end of the probe before filtering. Increase it when the ends "
        "of the probe keep shared noise. The default of 60 suits Neuropixels probes; it is reduced on shanks with "
        "fewer channels.",
        ge=0,
    )
    n_channel_taper: int | None = param(
        None,
        "Number of channels of the cosine taper at each end of the probe. Lower it to change fewer channels at the "
        "ends. The default (null) uses `n_channel_pad`.",
        ge=0,
    )
    direction: Literal["x", "y"] = param(
        "y",
        "Axis of the probe along which the filter works. Choose `x` when the contacts lie along x. The default is "
        "`y`, the depth.",
    )
    apply_agc: bool = param(
        True,
        "Equalise the gain over time before filtering. Turn it off to keep the original amplitude ratios. On by "
        "default, so that large spikes do not spread along the probe.",
    )
    agc_window_length_s: float = param(
        0.01,
        "Window over which the gain is equalised. Increase it to follow the amplitude more slowly. The default of "
        "0.01 is some spikes long.",
        unit="s",
        gt=0,
    )
    highpass_butter_order: int = param(
        3,
        "Order of the spatial Butterworth high-pass filter. Increase it for a steeper filter. The default of 3 has "
        "little ringing along the probe.",
        ge=1,
    )
    highpass_butter_wn: float = param(
        0.01,
        "Cut-off of the spatial filter, as a fraction of the Nyquist frequency. Increase it to remove noise of "
        "fewer channels. The default of 0.01 removes only noise that most channels share.",
        gt=0,
        lt=1,
    )


class EstimateMotion(OpenSection):
    win_step_norm: float | None = param(
        0.1,
        "Step of the spatial windows, as a fraction of the probe's span, and at least 100 um. Increase it to 0.5 on "
        "short probes or with few spikes; null uses the preset's windows. The default of 0.1 lets the ends of a long "
        "probe move differently.",
        gt=0,
    )
    win_scale_norm: float | None = param(
        0.1,
        "Width of a spatial window, as a fraction of the probe's span, and at least 100 um. Increase it to 0.5 on "
        "short probes or with few spikes; null uses the preset's windows. The default of 0.1 lets the ends of a long "
        "probe move differently.",
        gt=0,
    )
    bin_s: float | None = param(
        None,
        "Length of a bin of time. Lower it to follow faster motion, when there are many spikes; increase it when "
        "there are few. The default (null) uses the preset's.",
        unit="s",
        flags={"--motion-temporal-bin-s": ...},
        gt=0,
    )


class MotionCorrection(Section):
    compute: bool = param(
        True,
        "Estimate the motion of the probe and save it. Turn it off for tetrodes and arrays, whose motion cannot be "
        "estimated. On by default, because the estimate shows whether units drift.",
    )
    apply: bool = param(
        False,
        "Interpolate the traces along the estimated motion. Turn it on when the drift map shows drift and the "
        "sorter does not correct it. Off by default, because sorters such as Kilosort4 correct drift themselves.",
    )
    preset: MotionPreset = param(
        "dredge_fast",
        "SpikeInterface's preset for the whole estimate. Choose another to compare with: `dredge` is slower, "
        "`rigid_fast` is a quick check, which detected 18 of 30 um of motion. The default, `dredge_fast`, was as "
        "accurate as any other in our comparison.",
        flags={"--motion-preset": ...},
    )
    detect_kwargs: OpenSection = param(
        OpenSection(),
        "Changes to the preset's peak detection. Set `detect_threshold` lower when too few peaks are detected. The "
        "default changes nothing.",
    )
    select_kwargs: OpenSection = param(
        OpenSection(),
        "Changes to the preset's selection of peaks. Set it to use fewer peaks and save time. The default changes "
        "nothing.",
    )
    localize_peaks_kwargs: OpenSection = param(
        OpenSection(),
        "Changes to the preset's localization of peaks. Set it for unusual distances between contacts. The default "
        "changes nothing.",
    )
    estimate_motion_kwargs: EstimateMotion = param(EstimateMotion(), "Changes to the preset's estimate.")
    interpolate_motion_kwargs: OpenSection = param(
        OpenSection(),
        "Changes to the preset's interpolation; used when `apply` is on. Set it to choose another border mode or "
        "method. The default changes nothing.",
    )


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
        "Recordings shorter than this are skipped. Lower it to sort short recordings. The default of 120 is used "
        "because shorter recordings have too few spikes for most metrics.",
        unit="s",
        flags={"--min-duration-for-preprocessing": ...},
        ge=0,
    )
    t_start: float | None = param(
        None,
        "Traces before this time are not sorted. Set it to leave out a bad beginning. The default (null) starts at "
        "the beginning of the recording.",
        unit="s",
        flags={"--t-start": ...},
        ge=0,
    )
    t_stop: float | None = param(
        None,
        "Traces from this time on are not sorted. Set it to leave out a bad end. The default (null) continues to "
        "the end of the recording.",
        unit="s",
        flags={"--t-stop": ...},
        gt=0,
    )
    custom_preprocessing_pipeline: dict[str, Any] | None = param(
        None,
        "Your steps in SpikeInterface's dictionary form, which replace all steps except the motion. Set it when you "
        "need another order or other steps. The default (null) uses filter, phase shift, bad channels, and "
        "reference or destriping.",
    )
    denoising_strategy: Literal["cmr", "destripe"] = param(
        "cmr",
        "How noise that channels share is removed: `cmr` subtracts the median over the good channels, `destripe` "
        "applies a high-pass filter along the probe. Choose `destripe` when noise differs along a dense probe. The "
        "default is `cmr`, which works for every probe of 8 channels or more.",
        flags={"--denoising": ...},
    )
    filter_type: Literal["highpass", "bandpass"] = param(
        "highpass",
        "Filter over time, the first step. Choose `bandpass` when high-frequency noise hides spikes. The default is "
        "`highpass`, which keeps the shape of narrow spikes.",
        flags={"--filter-type": ...},
    )
    highpass_filter: HighpassFilter = param(
        HighpassFilter(), "Settings of the filter when `filter_type` is `highpass`."
    )
    bandpass_filter: BandpassFilter = param(
        BandpassFilter(), "Settings of the filter when `filter_type` is `bandpass`."
    )
    phase_shift: PhaseShift = param(PhaseShift(), "Alignment of channels that the probe samples one after the other.")
    detect_bad_channels: DetectBadChannels = param(DetectBadChannels(), "Detection of bad channels.")
    artifacts: Artifacts = param(Artifacts(), "Periods in which most channels are larger than usual.")
    remove_out_channels: bool = param(
        True,
        "Remove the channels that are detected as outside the brain. Turn it off for arrays, and for probes that "
        "are too short or sparse for this detection. On by default, because these channels have noise and no "
        "neurons.",
        flags={"--no-remove-out-channels": False},
    )
    remove_bad_channels: bool = param(
        True,
        "Remove dead, noisy and saturated channels. Turn it off to keep the number of channels the same over "
        "sessions. On by default, because their noise spreads to other channels through the reference.",
        flags={"--no-remove-bad-channels": False},
    )
    max_bad_channel_fraction: float = param(
        0.5,
        "A recording with a larger fraction of bad channels is skipped. Increase it to sort it with the channels "
        "that remain. The default of 0.5 is used because so many bad channels usually mean a broken probe or a "
        "wrong threshold.",
        flags={"--max-bad-channel-fraction": ...},
        ge=0,
        le=1,
    )
    common_reference: CommonReference = param(
        CommonReference(), "Settings of the reference when `denoising_strategy` is `cmr`."
    )
    highpass_spatial_filter: HighpassSpatialFilter = param(
        HighpassSpatialFilter(), "Settings of the filter when `denoising_strategy` is `destripe`."
    )
    motion_correction: MotionCorrection = param(MotionCorrection(), "Estimate and correction of the probe's motion.")


PARAMS = PreprocessingParams
