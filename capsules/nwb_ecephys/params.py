"""Parameters of the NWB export (section `nwb.ecephys`)."""

from typing import Literal

from capsules.parameters.model import Section, param


class LfpFilter(Section):
    freq_min: float = param(
        0.1,
        "Lower bound of the LFP band. Increase it to remove slow drifts of the signal. The default of 0.1 keeps "
        "slow rhythms.",
        unit="Hz",
        gt=0,
    )
    freq_max: float = param(
        500,
        "Upper bound of the LFP band. Lower it for a smaller band; it is limited to half the rate of the LFP. The "
        "default of 500 keeps fast rhythms and leaves spikes out.",
        unit="Hz",
        gt=0,
    )


class Lfp(Section):
    filter: LfpFilter = param(LfpFilter(), "The LFP band.")
    sampling_rate: int = param(
        2500,
        "Rate to which a wide band is resampled for the LFP; a separate LF stream keeps its rate. Increase it when "
        "you increase `lfp.filter.freq_max`. The default of 2500 is the rate of the LF stream of Neuropixels 1.0.",
        unit="Hz",
        ge=1,
    )


class NwbEcephysParams(Section):
    """What goes into the NWB file besides the units."""

    backend: Literal["zarr", "hdf5"] = param(
        "zarr",
        "Storage of the NWB file. Choose `hdf5` for a single file that every NWB tool reads. The default is `zarr`, "
        "a folder that is faster to write and to read in parallel.",
        flags={"--backend": ...},
    )
    stub: bool = param(
        False,
        "Write only the first `stub_seconds` of the traces. Turn it on to test the NWB file quickly. Off by default.",
        flags={"--stub": True},
    )
    stub_seconds: float = param(
        10,
        "Duration that `stub` keeps. Increase it to test with more data. The default of 10 is written in seconds.",
        unit="s",
        flags={"--stub-seconds": ...},
        gt=0,
    )
    write_lfp: bool = param(
        True,
        "Write the LFP. Turn it off for a smaller file, or when the probe records no LFP. On by default.",
        flags={"--skip-lfp": False},
    )
    write_raw: bool = param(
        False,
        "Write the unfiltered wide-band traces as well. Turn it on for archives that ask for raw data. Off by "
        "default, because the file gets about as large as the raw data.",
        flags={"--write-raw": True},
    )
    lfp_temporal_factor: int = param(
        2,
        "The rate of the LFP is divided by this; 0 or 1 keeps the rate. Increase it for a smaller file; the LFP "
        "band is then limited to half the new rate. The default of 2 gives 1250 Hz from 2500 Hz.",
        flags={"--lfp_temporal_factor": ...},
        ge=0,
    )
    lfp_spatial_factor: int = param(
        4,
        "Only every n-th channel of the LFP is written; 0 or 1 keeps all. Increase it for a smaller file; lower it "
        "for current source density. The default of 4 is used because neighbouring channels have nearly the same "
        "LFP.",
        flags={"--lfp_spatial_factor": ...},
        ge=0,
    )
    lfp_highpass_freq_min: float = param(
        0.1,
        "Cut-off frequency of a high-pass filter on the LFP; 0 skips the filter. Increase it to remove slow drifts "
        "of the signal. The default of 0.1 removes the offset.",
        unit="Hz",
        flags={"--lfp_highpass_freq_min": ...},
        ge=0,
    )
    surface_channel_agar_probes_indices: str = param(
        "",
        'For probes in agar: JSON text with the topmost channel in tissue per probe, e.g. {"ProbeA": 350}. The '
        "median of the channels above it is subtracted from the LFP. The default is empty: no probe is in agar.",
        flags={"--surface_channel_agar_probes_indices": ...},
    )
    lfp: Lfp = param(Lfp(), "Band and rate of the LFP.")


PARAMS = NwbEcephysParams
