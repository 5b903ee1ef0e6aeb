"""Write the metadata of a results folder in AIND's form."""

from __future__ import annotations

from pathlib import Path

from capsules.common.files import write_json
from capsules.results.aind.data_description import describe_data
from capsules.results.aind.processing import describe_processing
from capsules.results.aind.quality_control import describe_quality_control
from capsules.results.aind.run_results import RunResults
from capsules.results.aind.session_files import read_session_files


def write_metadata(run: RunResults, data: Path | None, folder: Path) -> list[str]:
    """Write processing.json, quality_control.json and, where the session is known, data_description.json.

    Parameters
    ----------
    run : RunResults
    data : Path or None
        The raw data folder, with the files that describe the session.
    folder : Path
        An existing folder.

    Returns
    -------
    list of str
        What is missing, and how to add it.
    """
    write_json(folder / "processing.json", describe_processing(run))
    write_json(folder / "quality_control.json", describe_quality_control(run))
    description, warnings = describe_data(read_session_files(data), run.ended)
    if description is not None:
        write_json(folder / "data_description.json", description)
    return warnings
