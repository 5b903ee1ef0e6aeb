"""`spikerelay validate` and `spikerelay params diff`: a params file, without a run."""

from __future__ import annotations

import argparse
import json

from capsules.resolve_params.params_file import differences, validate_file


def validate(arguments: argparse.Namespace) -> int:
    validate_file(arguments.file)
    print(f"{arguments.file}: good")
    return 0


def show_differences(arguments: argparse.Namespace) -> int:
    for dotted, (default, value) in differences(validate_file(arguments.file)).items():
        print(f"{dotted}: {json.dumps(default)} -> {json.dumps(value)}")
    return 0
