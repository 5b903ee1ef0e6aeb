"""AIND's metadata by aind-data-schema itself. It runs with `.aind/venv/bin/python`, which alone has the package.

`aind_schema.py FOLDER` reads the metadata in a folder and prints what it read as JSON; an invalid file is an error.
`aind_schema.py --vocabulary` prints what `capsules/results/aind/vocabulary.json` must have: after a new version of the
package, write it to that file.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

from aind_data_schema.core.data_description import DataDescription
from aind_data_schema.core.processing import Processing
from aind_data_schema.core.quality_control import QualityControl
from aind_data_schema_models.data_name_patterns import Group
from aind_data_schema_models.licenses import License
from aind_data_schema_models.modalities import Modality
from aind_data_schema_models.organizations import Organization

MODELS = {"data_description": DataDescription, "processing": Processing, "quality_control": QualityControl}


def read_metadata(folder: Path) -> dict[str, dict]:
    """The files of the folder as the package reads them; every warning is an error."""
    warnings.simplefilter("error")
    files = {name: folder / f"{name}.json" for name in MODELS}
    read = {name: MODELS[name].model_validate_json(file.read_text()) for name, file in files.items() if file.exists()}
    for name, model in read.items():
        written = json.loads(files[name].read_text())
        assert written["schema_version"] == model.schema_version, f"{name}: {model.schema_version} is current"
        assert written["describedBy"] == model.describedBy
    return {name: model.model_dump(mode="json") for name, model in read.items()}


def list_vocabulary() -> dict:
    """The words that the schema knows."""
    organizations = [organization().model_dump(mode="json") for organization in Organization.ALL]
    return {
        "aind_data_schema": version("aind-data-schema"),
        "schema_versions": {name: model.model_fields["schema_version"].default for name, model in MODELS.items()},
        "modalities": {modality().abbreviation: modality().name for modality in Modality.ALL},
        "licenses": [item.value for item in License],
        "groups": [item.value for item in Group],
        "organizations": sorted(organizations, key=lambda organization: organization["name"]),
    }


if __name__ == "__main__":
    content = list_vocabulary() if sys.argv[1] == "--vocabulary" else read_metadata(Path(sys.argv[1]))
    print(json.dumps(content, indent=1, ensure_ascii=False))
