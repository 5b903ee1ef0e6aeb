"""Parameters of the NWB export (section `nwb.ecephys`)."""

from typing import Literal

from capsules.parameters.model import Section, param


class LfpFilter(Section):
    freq_min: float = param(0.1, "Lower bound of the LFP band.", unit="Hz", gt=0)
    freq_max: float = param(500, "Upper bound of the LFP band.", unit="Hz", gt=0)


class Lfp(Section):
    filter: LfpFilter = param(LfpFilter(), "The LFP band.")
    sampling_rate: int = param(2500, "Rate to which a wide band is resampled for the LFP.", unit="Hz", ge=1)


class NwbEcephysParams(Section):
    """What goes into the NWB file besides the units."""

    backend: Literal["zarr", "hdf5"] = param("zarr", "Storage of the NWB file.", flags={"--backend": ...})
    stub: bool = param(False, "Write only the first `stub_seconds` for a quick test.", flags={"--stub": True})
    stub_seconds: float = param(10, "Duration that `stub` keeps.", unit="s", flags={"--stub-seconds": ...}, gt=0)
    write_lfp: bool = param(True, "Write the LFP.", flags={"--skip-lfp": False})
    write_raw: bool = param(
        False, "Write the unfiltered wide-band traces as well; the file gets much larger.", flags={"--write-raw": True}
    )
    lfp_temporal_factor: int = param(
        2,
        "The LFP's rate is divided by this; 0 or 1 keeps the rate.",
        flags={"--lfp_temporal_factor": ...},
        ge=0,
    )
    lfp_spatial_factor: int = param(
        4, "Only every n-th channel of the LFP is written; 0 or 1 keeps all.", flags={"--lfp_spatial_factor": ...}, ge=0
    )
    lfp_highpass_freq_min: float = param(
        0.1,
        "Cut-off of a high-pass filter on the LFP; 0 skips the filter.",
        unit="Hz",
        flags={"--lfp_highpass_freq_min": ...},
        ge=0,
    )
    surface_channel_agar_probes_indices: str = param(
        "",
        "For probes in agar: JSON text with the topmost channel in tissue per probe, e.g. "
        '{"ProbeA": 350}. The median of the channels above it is subtracted from the LFP.',
        flags={"--surface_channel_agar_probes_indices": ...},
    )
    lfp: Lfp = param(Lfp(), "Band and rate of the LFP.")


PARAMS = NwbEcephysParams
