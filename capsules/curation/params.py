"""Parameters of curation (section `curation`)."""

from typing import Literal

from capsules.common.params import JobKwargs, Section, param

CLASSIFIERS = ("noise_neural_classifier", "sua_mua_classifier")
"""The parameters that name a model, in the order in which the models are applied."""


class CurationParams(Section):
    """How units are labelled; none is ever removed here."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    query: str | None = param(
        "isi_violations_ratio < 0.5 and presence_ratio > 0.8 and amplitude_cutoff < 0.1",
        "Units that meet this condition on their metrics are `good`, the others `bad`; null or empty labels none.",
    )
    noise_neural_classifier: str | None = param(
        "SpikeInterface/UnitRefine_noise_neural_classifier",
        "Model that tells neural units from noise: a folder, or a name on the Hugging Face hub.",
        min_length=1,
    )
    sua_mua_classifier: str | None = param(
        "SpikeInterface/UnitRefine_sua_mua_classifier",
        "Model that tells single units from multi-unit activity: a folder, or a name on the Hugging Face hub.",
        min_length=1,
    )
    noise_strategy: Literal["unitrefine", "bombcell", "both"] = param(
        "unitrefine",
        "How noise is told from units: by UnitRefine's classifiers (`decoder_label`), by Bombcell's thresholds "
        "(`bombcell_label`), or by both.",
        flags={"--noise-strategy": ...},
    )
    on_missing_model: Literal["warn", "refuse"] = param(
        "warn",
        "A classifier that is neither on this machine nor to be had from the hub: its labels are left out with a "
        "warning, or the run is refused.",
    )

    def models(self) -> dict[str, str]:
        """The classifiers that are asked for: parameter -> model."""
        if self.noise_strategy == "bombcell":
            return {}
        given = {name: getattr(self, name) for name in CLASSIFIERS}
        return {name: model for name, model in given.items() if model is not None}


PARAMS = CurationParams
