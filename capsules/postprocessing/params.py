"""Parameters of postprocessing (section `postprocessing`)."""

from typing import ClassVar, Literal

from capsules.parameters.model import JobKwargs, Section, param
from capsules.postprocessing.extension_params import Extensions


class Sparsity(Section):
    method: Literal["radius", "best_channels", "closest_channels"] = param(
        "radius",
        "How the channels of a unit are chosen: near its main channel (`radius`), with the largest amplitudes "
        "(`best_channels`), or the nearest ones (`closest_channels`). Choose one of the last two when every unit "
        "needs the same number of channels. The default is `radius`, which follows the geometry of the probe.",
    )
    radius_um: float = param(
        100,
        "Distance from the main channel, for the method `radius`. Lower it on very dense probes to save memory; "
        "increase it on sparse ones. The default of 100 contains the channels that usually record a neuron.",
        unit="um",
        gt=0,
    )
    num_channels: int = param(
        16,
        "Number of channels, for the methods `best_channels` and `closest_channels`. Increase it when waveforms "
        "reach more channels. The default of 16 is used only with these methods.",
        ge=1,
    )


class PostprocessingParams(Section):
    """What is computed from the sorted spikes."""

    off_flags: ClassVar[dict[str, str]] = {"--skip-extensions": "extensions"}

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    use_motion_corrected: bool = param(
        False,
        "Interpolate the traces along the estimated motion before waveforms and metrics are computed. Turn it on "
        "when drift smears the waveforms. Off by default; it has no effect when preprocessing applied the motion or "
        "estimated none.",
        flags={"--use-motion-corrected": True},
    )
    sparsity: Sparsity = param(Sparsity(), "Channels that are kept for each unit.")
    duplicate_threshold: float = param(
        0.9,
        "Two units are compared when their templates correlate more than this at any shift up to 0.3 ms: they are "
        "duplicates when they also share spikes, else a merge candidate, which is reported and kept. Lower it to "
        "compare more pairs. The default of 0.9 finds units with nearly the same template.",
        ge=0,
        le=1,
    )
    duplicate_shared_spikes: float = param(
        0.3,
        "One of two similar units is removed when at least this share of the smaller unit's spikes coincides with "
        "the other's within 0.4 ms, beyond chance. Lower it to remove more units; above 1 none is removed. The "
        "default of 0.3 keeps two neurons that only fire together, and the unit with more clean spikes is kept.",
        ge=0,
    )
    return_in_uV: bool = param(
        True,
        "Waveforms and templates are in microvolts; otherwise they are in the counts of the recording. Turn it off "
        "only when the gains are wrong. On by default, because amplitudes then compare between recordings.",
    )
    extensions: Extensions = param(
        Extensions(),
        "SpikeInterface's analyzer extensions with their settings; an extension that is null is not computed.",
    )


PARAMS = PostprocessingParams
