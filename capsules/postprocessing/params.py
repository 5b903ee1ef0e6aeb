"""Parameters of postprocessing (section `postprocessing`)."""

from typing import ClassVar, Literal

from capsules.parameters.model import JobKwargs, Section, param
from capsules.postprocessing.extension_params import Extensions


class Sparsity(Section):
    method: Literal["radius", "best_channels", "closest_channels"] = param(
        "radius",
        "How the channels of a unit are chosen: those near its main channel (`radius`), those with the largest "
        "amplitudes (`best_channels`), or the nearest ones (`closest_channels`).",
    )
    radius_um: float = param(100, "Radius for the method `radius`.", unit="um", gt=0)
    num_channels: int = param(16, "Number of channels for the methods `best_channels` and `closest_channels`.", ge=1)


class PostprocessingParams(Section):
    """What is computed from the sorted spikes."""

    off_flags: ClassVar[dict[str, str]] = {"--skip-extensions": "extensions"}

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    use_motion_corrected: bool = param(
        False,
        "Interpolate the traces along the estimated motion before anything is computed; without effect when "
        "preprocessing did so or estimated no motion.",
        flags={"--use-motion-corrected": True},
    )
    sparsity: Sparsity = param(Sparsity(), "Channels kept for each unit.")
    duplicate_threshold: float = param(
        0.9,
        "Two units whose templates correlate more than this, at any shift up to 0.3 ms, are compared: a duplicate when "
        "they also share spikes (`duplicate_shared_spikes`), else a merge candidate, which is reported and kept.",
        ge=0,
        le=1,
    )
    duplicate_shared_spikes: float = param(
        0.3,
        "Of two similar units, one is removed when at least this share of the smaller unit's spikes coincides with "
        "spikes of the other within 0.4 ms, beyond chance. The unit with more spikes, less those that may be "
        "contamination, is kept. Lower values remove more units; above 1 none is removed.",
        ge=0,
    )
    return_in_uV: bool = param(True, "Waveforms and templates in microvolts; otherwise in the recording's own counts.")
    extensions: Extensions = param(
        Extensions(), "SpikeInterface's analyzer extensions with their settings; one that is null is not computed."
    )


PARAMS = PostprocessingParams
