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

    ecephys: NwbEcephysParams = param(NwbEcephysParams(), NwbEcephysParams.__doc__)


class PipelineParams(Section):
    """Parameters of the SpikeRelay pipeline; what is absent takes its default."""

    schema_: str | None = Field(None, alias="$schema", description="Where an editor finds the schema of this file.")
    job_dispatch: JobDispatchParams = param(JobDispatchParams(), JobDispatchParams.__doc__)
    preprocessing: PreprocessingParams = param(PreprocessingParams(), PreprocessingParams.__doc__)
    spikesorting: SpikesortingParams = param(SpikesortingParams(), "Which sorter runs, and with what.")
    postprocessing: PostprocessingParams = param(PostprocessingParams(), PostprocessingParams.__doc__)
    curation: CurationParams = param(CurationParams(), CurationParams.__doc__)
    nwb: NwbParams = param(NwbParams(), NwbParams.__doc__)
    visualization: VisualizationParams = param(VisualizationParams(), VisualizationParams.__doc__)
