"""Parameters of curation (section `curation`)."""

from typing import TYPE_CHECKING, Any, Literal

from pydantic import create_model

from capsules.parameters.model import JobKwargs, Section, param

CLASSIFIERS = ("noise_neural_classifier", "sua_mua_classifier")
"""The parameters that name a model, in the order in which the models are applied."""


class Suspicious(Section):
    """Tests that mark a unit as `suspicious`, whatever its label; null turns a test off.

    No test detects two neurons with the same waveform and amplitude that fire too rarely to violate the refractory
    period.
    """

    max_contamination: float | None = param(
        0.1,
        "A unit is marked when more than this share of its spikes comes from another neuron: the lower bound (95 %, "
        "Poisson) of the contamination, estimated from refractory period violations. Lower it to mark more units. "
        "The default of 0.1 accepts little contamination; a single violation marks no unit.",
        ge=0,
        lt=1,
    )
    min_amplitude_separation: float | None = param(
        2.0,
        "A unit is marked when its amplitude scalings form two groups whose means differ by more than this, in "
        "units of their width (Ashman's D). Lower it to mark more units. The default of 2 is a clean separation.",
        gt=0,
    )
    min_amplitude_share: float = param(
        0.1,
        "A unit is marked only when the smaller group of amplitudes has at least this share of the spikes. Lower it "
        "to mark more units. The default of 0.1 ignores a few outliers.",
        gt=0,
        le=0.5,
    )
    min_waveform_separation: float | None = param(
        4.0,
        "A unit is marked when the principal components of its waveforms form two groups that are further apart "
        "than this, in units of their width (Ashman's D). Lower it to mark more units. The default of 4 is between "
        "the widest groups of a single neuron (3.3) and the narrowest of a mixture (5.6) in our recordings with "
        "known units.",
        gt=0,
    )
    min_waveform_share: float = param(
        0.1,
        "A unit is marked only when the smaller group of waveforms has at least this share of the spikes. Lower it "
        "to mark more units. The default of 0.1 ignores a few outliers.",
        gt=0,
        le=0.5,
    )
    max_position_range_um: float | None = param(
        100,
        "A unit is marked when its position along the probe varies by more than this (metric `drift_ptp`, which "
        "needs a recording of at least two minutes). Lower it to mark more units. The default of 100 is more than "
        "the distance over which most neurons are recorded.",
        unit="um",
        gt=0,
    )
    min_nn_hit_rate: float | None = param(
        0.5,
        "A unit is marked when less than this share of the nearest neighbours of its spikes belongs to the unit "
        "(metric `nn_hit_rate`, by principal components). Increase it to mark more units. At the default of 0.5, "
        "most neighbours belong to other units.",
        gt=0,
        le=1,
    )
    max_amplitude_range: float | None = param(
        0.5,
        "A unit is marked when its median amplitude varies by more than this share over time. Lower it to mark more "
        "units. The default of 0.5 allows slow drift.",
        gt=0,
    )


BOMBCELL: dict[str, dict[str, dict[str, float | None]]] = {
    "noise": {
        "num_positive_peaks": {"less": 2},
        "num_negative_peaks": {"less": 1},
        "peak_to_trough_duration": {"greater": 0.0001, "less": 0.00115},
        "waveform_baseline_flatness": {"less": 0.5},
        "peak_after_to_trough_ratio": {"less": 0.8},
        "exp_decay": {"greater": 0.01, "less": 0.1},
    },
    "mua": {
        "amplitude_median": {"greater": 30},
        "snr": {"greater": 5},
        "amplitude_cutoff": {"less": 0.2},
        "num_spikes": {"greater": 300},
        "sliding_rp_violation": {"less": 0.1},
        "rp_contamination": {"less": None},
        "presence_ratio": {"greater": 0.7},
        "drift_ptp": {"less": 100},
        "isolation_distance": {"greater": 20},
        "l_ratio": {"less": 0.3},
    },
    "non_somatic": {
        "peak_before_to_trough_ratio": {"less": 3},
        "peak_before_width": {"greater": 0.00015},
        "trough_width": {"greater": 0.0002},
        "peak_before_to_peak_after_ratio": {"less": 3},
        "main_peak_to_trough_ratio": {"less": 0.8},
    },
}
"""Bombcell's thresholds: part -> metric -> limits; those of SpikeInterface's `bombcell_get_default_thresholds`."""
SIDES = {
    "greater": "The metric must be greater than this. Lower it to accept more units; null removes the limit. The "
    "default is Bombcell's.",
    "less": "The metric must be less than this. Increase it to accept more units; null removes the limit. The "
    "default is Bombcell's.",
}
UNITS = {"amplitude_median": "uV", "drift_ptp": "um"} | dict.fromkeys(
    ("peak_to_trough_duration", "peak_before_width", "trough_width"), "s"
)


def _bombcell_part(name: str, meaning: str) -> type[Section]:
    metrics: dict[str, Any] = {}
    for metric, limits in BOMBCELL[name].items():
        sides: dict[str, Any] = {
            side: (float | None, param(limit, SIDES[side], unit=UNITS.get(metric))) for side, limit in limits.items()
        }
        section = create_model(f"Bombcell_{name}_{metric}", __base__=Section, __doc__=f"`{metric}`.", **sides)
        metrics[metric] = (section, param(section(), f"Limits of `{metric}`."))
    return create_model(f"Bombcell_{name}", __base__=Section, __doc__=meaning, **metrics)


if TYPE_CHECKING:
    # mypy cannot use a model that is made at run time as a type.
    Noise = Section
    Mua = Section
    NonSomatic = Section
else:
    Noise = _bombcell_part("noise", "A unit outside of a limit is `noise`.")
    Mua = _bombcell_part("mua", "A unit outside of a limit is `mua`, unless it is `noise`.")
    NonSomatic = _bombcell_part("non_somatic", "A unit outside of a limit is `non_soma`, unless it is `noise`.")


class Bombcell(Section):
    """Bombcell's thresholds (`bombcell_label`); they have no effect when `noise_strategy` is `unitrefine`."""

    noise: Noise = param(Noise(), "Limits of the waveform's shape.")
    mua: Mua = param(Mua(), "Limits of the unit's quality; set at most one of the two refractory period metrics.")
    non_somatic: NonSomatic = param(NonSomatic(), "Limits that separate waveforms of axons from those of somata.")

    def thresholds(self) -> dict[str, dict[str, dict[str, Any]]]:
        """The thresholds for SpikeInterface's `bombcell_label_units`, without the metrics that have no limit."""
        thresholds: dict[str, dict[str, dict[str, Any]]] = {
            part: {
                metric: {"greater": None, "less": None} | sides
                for metric, sides in metrics.items()
                if any(limit is not None for limit in sides.values())
            }
            for part, metrics in self.model_dump().items()
        }
        if "amplitude_median" in thresholds["mua"]:
            thresholds["mua"]["amplitude_median"]["abs"] = True
        thresholds["non-somatic"] = thresholds.pop("non_somatic")
        return thresholds


class CurationParams(Section):
    """How units are labelled; curation removes no unit."""

    job_kwargs: JobKwargs = param(JobKwargs(), "Chunks of the parallel work.")
    query: str | None = param(
        "isi_violations_ratio < 0.5 and presence_ratio > 0.8 and amplitude_cutoff < 0.1",
        "Condition on the metrics: a unit that meets it is `good`, a unit that fails it `bad`, and a unit with too "
        "little data to decide `undetermined`. Add or tighten clauses to accept fewer units; null or empty labels "
        "none. The default requires few refractory period violations, firing over most of the recording, and few "
        "missed spikes.",
    )
    undefined_metric: Literal["leave_out", "reject", "undetermined"] = param(
        "leave_out",
        "What to do with a clause of the query whose metric is undefined because the recording is too short or the "
        "unit has too few spikes. Choose `undetermined` or `reject` (`bad`) to label such a unit so, unless other "
        "clauses decide. The default is `leave_out`: the other clauses decide.",
    )
    min_spikes: int = param(
        50,
        "A unit with fewer spikes is `undetermined` even when it meets the query. Increase it to accept only well "
        "measured units. The default of 50 is used because metrics of fewer spikes say little.",
        ge=0,
    )
    suspicious: Suspicious = param(Suspicious(), "Tests that mark a unit as suspicious.")
    bombcell: Bombcell = param(Bombcell(), "Bombcell's thresholds.")
    noise_neural_classifier: str | None = param(
        "SpikeInterface/UnitRefine_noise_neural_classifier",
        "Model that separates neural units from noise: a folder, or a name on the Hugging Face hub. Set it to your "
        "own model when UnitRefine's does not fit your data; null skips it. The default is UnitRefine's published "
        "model.",
        min_length=1,
    )
    sua_mua_classifier: str | None = param(
        "SpikeInterface/UnitRefine_sua_mua_classifier",
        "Model that separates single units from multi-unit activity: a folder, or a name on the Hugging Face hub. "
        "Set it to your own model when UnitRefine's does not fit your data; null skips it. The default is "
        "UnitRefine's published model.",
        min_length=1,
    )
    noise_strategy: Literal["unitrefine", "bombcell", "both"] = param(
        "unitrefine",
        "How noise is separated from units: by UnitRefine's classifiers (`decoder_label`), by Bombcell's thresholds "
        "(`bombcell_label`), or by both. Choose `bombcell` when no classifier is available. The default is "
        "`unitrefine`; neither changes `default_qc`.",
        flags={"--noise-strategy": ...},
    )
    on_missing_model: Literal["warn", "refuse"] = param(
        "warn",
        "What to do when a classifier is neither on this machine nor available from the hub. Choose `refuse` to "
        "reject the run. The default is `warn`: the labels of this classifier are left out with a warning.",
    )

    def models(self) -> dict[str, str]:
        """The models to use: parameter -> model."""
        if self.noise_strategy == "bombcell":
            return {}
        return {name: model for name in CLASSIFIERS if (model := getattr(self, name)) is not None}


PARAMS = CurationParams
