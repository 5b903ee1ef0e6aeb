"""The whole params file: one section per stage, as the schema describes it."""

from __future__ import annotations

from pydantic import Field

from capsules.curation.params import CurationParams
from capsules.job_dispatch.params import JobDispatchParams
from capsules.nwb_ecephys.params import NwbEcephysParams
from capsules.parameters.model import Section, param
from capsules.postprocessing.params import PostprocessingParams
from capsules.preprocessing.params import PreprocessingParams
from capsules.spikesorting.params import SpikesortingParams
from capsules.visualization.params import VisualizationParams


class NwbParams(Section):
    """The NWB export."""

    ecephys: NwbEcephysParams = param(NwbEcephysParams(), NwbEcephysParams.__doc__ or "")


class PipelineParams(Section):
    """Parameters of the SpikeRelay pipeline; absent parameters have their default."""

    schema_: str | None = Field(
        None, alias="$schema", description="Path or URL of the schema of this file, for editors."
    )
    job_dispatch: JobDispatchParams = param(JobDispatchParams(), JobDispatchParams.__doc__ or "")
    preprocessing: PreprocessingParams = param(PreprocessingParams(), PreprocessingParams.__doc__ or "")
    spikesorting: SpikesortingParams = param(SpikesortingParams(), "Which sorter runs, and its parameters.")
    postprocessing: PostprocessingParams = param(PostprocessingParams(), PostprocessingParams.__doc__ or "")
    curation: CurationParams = param(CurationParams(), CurationParams.__doc__ or "")
    nwb: NwbParams = param(NwbParams(), NwbParams.__doc__ or "")
    visualization: VisualizationParams = param(VisualizationParams(), VisualizationParams.__doc__ or "")
