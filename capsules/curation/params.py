"""Parameters of curation (section `curation`)."""

from typing import Literal

from capsules.common.params import JobKwargs, Section, param


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


PARAMS = CurationParams
