"""The whole params file: one section per stage, as the schema describes it."""

from __future__ import annotations

from pydantic import Field

from capsules.curation.params import CurationParams
from capsules.events.params import EventsParams
from capsules.job_dispatch.params import JobDispatchParams
from capsules.nwb_ecephys.params import NwbEcephysParams
from capsules.parameters.model import Section, param, section
from capsules.postprocessing.params import PostprocessingParams
from capsules.preprocessing.params import PreprocessingParams
from capsules.spikesorting.params import SpikesortingParams
from capsules.visualization.params import VisualizationParams


class NwbParams(Section):
    """The NWB export."""

    ecephys: NwbEcephysParams = section(NwbEcephysParams)


class PipelineParams(Section):
    """Parameters of the SpikeRelay pipeline; absent parameters have their default."""

    schema_: str | None = Field(
        None, alias="$schema", description="Path or URL of the schema of this file, for editors."
    )
    job_dispatch: JobDispatchParams = section(JobDispatchParams)
    preprocessing: PreprocessingParams = section(PreprocessingParams)
    spikesorting: SpikesortingParams = param(SpikesortingParams(), "Which sorter runs, and its parameters.")
    postprocessing: PostprocessingParams = section(PostprocessingParams)
    curation: CurationParams = section(CurationParams)
    events: EventsParams = section(EventsParams)
    nwb: NwbParams = section(NwbParams)
    visualization: VisualizationParams = section(VisualizationParams)
