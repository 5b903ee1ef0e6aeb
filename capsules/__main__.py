"""The `spikerelay` command: what one does around a run.

spikerelay validate FILE    check a params file; exit code 0 good, 2 refused
spikerelay hash RESULTS     digests of what a results folder says, the same for the same content
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from capsules.common.errors import Refused


def main() -> int:
    parser = argparse.ArgumentParser(prog="spikerelay", description="Around a run of the SpikeRelay pipeline.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    validate = commands.add_parser("validate", help="check a params file")
    validate.add_argument("file", type=Path)
    validate.set_defaults(run=lambda arguments: _validate(arguments.file))
    digest = commands.add_parser("hash", help="digests of what a results folder says")
    digest.add_argument("results", type=Path)
    digest.set_defaults(run=lambda arguments: _hash(arguments.results))
    arguments = parser.parse_args()
    return arguments.run(arguments)


def _validate(file: Path) -> int:
    from capsules.resolve_params.resolve import validate_file

    try:
        validate_file(file)
    except Refused as refusal:
        print(*refusal.problems, sep="\n", file=sys.stderr)
        return 2
    print(f"{file}: good")
    return 0


def _hash(results: Path) -> int:
    from capsules.results.content import content_digests, total

    if not (results / "status.json").exists():
        print(f"{results} is no results folder of a finished run: it has no status.json", file=sys.stderr)
        return 2
    digests = content_digests(results)
    for name, value in digests.items():
        print(f"{value}  {name}")
    print(f"{total(digests)}  total")
    return 0


if __name__ == "__main__":
    sys.exit(main())
