"""Write the files that are made from the models, or with `--check` say which are out of date.

python -m capsules.generate [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from capsules.common.metrics import LIBRARY_NAMES, METRICS
from capsules.common.schema import draft07_schema, parameter_page
from capsules.resolve_params import library_names
from capsules.resolve_params.params import PipelineParams

ROOT = Path(__file__).parent.parent


def generated() -> dict[Path, str]:
    """File -> its text."""
    defaults = PipelineParams().model_dump(mode="json", exclude={"schema_"})
    names = library_names.collect()
    schema = draft07_schema(PipelineParams, names)
    return {
        LIBRARY_NAMES: json.dumps(names | {METRICS: library_names.collect_metrics()}, indent=1) + "\n",
        ROOT / "pipeline" / "default_params.json": json.dumps(defaults, indent=4) + "\n",
        ROOT / "pipeline" / "default_params_schema.json": json.dumps(schema, indent=2) + "\n",
        ROOT / "docs" / "parameters.md": parameter_page(PipelineParams),
    }


def main() -> int:
    texts = generated()
    stale = [file for file, text in texts.items() if not file.exists() or file.read_text() != text]
    if "--check" in sys.argv[1:]:
        for file in stale:
            print(f"{file.relative_to(ROOT)} is out of date: run `make generate`")
        return 1 if stale else 0
    for file in stale:
        file.write_text(texts[file])
        print(f"wrote {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
