"""The command line of a stage, made from its contract and its parameters."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any, TypeVar

from capsules.common.contract import STAGES, Stage
from capsules.common.errors import Rejected, printable
from capsules.common.tasks import resources
from capsules.parameters import flags, strict_json
from capsules.parameters.model import Section, set_dotted
from capsules.parameters.problems import problems_of

S = TypeVar("S", bound=Section)


def main(stage_name: str, params: type[Section] | None = None) -> int:
    """The command line of a stage. Returns the exit code: 0 done or skipped, 1 failed, 2 rejected.

    The stage itself, with the scientific libraries, is imported when there is work for it: `--help` and mistakes
    answer at once, and BLAS and numba read their number of threads when they are imported.
    """
    stage = STAGES[stage_name]
    try:
        arguments = flags.parse_all(_parser(stage, params))
        section = None if params is None else read_section(params, arguments.params, arguments.overrides, stage.name)
    except Rejected as error:
        print(*map(printable, error.problems), sep="\n", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"{stage.name}: cannot read {error.filename}: {error.strerror}", file=sys.stderr)
        return 2
    resources.limit_threads(arguments.n_jobs)
    from capsules.common.tasks.start import start

    return start(stage, section, arguments)


def read_section(model: type[S], file: Path | None, overrides: dict[str, flags.FlagValue], where: str) -> S:
    """The resolved section: defaults, then the JSON file, then the flags.

    Raises
    ------
    Rejected
        With every problem of the file and the flags.
    """
    document: Any = {}
    if file is not None:
        document = strict_json.read_file(file).value
        if not isinstance(document, dict):
            raise Rejected([f"{file}: a JSON object is needed, with the parameters of {where}"])
    for dotted, override in overrides.items():
        set_dotted(document, dotted, override.value)
    if problems := problems_of(model, document):
        raise Rejected([f"{where}.{problem}" for problem in problems])
    return model.model_validate(document)


def _parser(stage: Stage, params: type[Section] | None) -> flags.Parser:
    module = importlib.import_module(f"capsules.{stage.name}")
    parser = flags.Parser(prog=f"python -m capsules.{stage.name}", description=module.__doc__)
    takes = ", ".join(f"{name}_<id>" for name in stage.takes) or "none"
    parser.add_argument("--job", type=Path, metavar="FILE", help="JSON file with the job, or a list of jobs")
    parser.add_argument("--id", help="name of the output; default: the job's id")
    parser.add_argument("--data", type=Path, metavar="DIR", help="the raw data folder")
    parser.add_argument(
        "--inputs",
        type=Path,
        default=Path(),
        metavar="DIR",
        help=f"folder with the earlier stages' folders (needed: {takes})",
    )
    parser.add_argument(
        "--output", type=Path, default=Path(), metavar="DIR", help=f"{stage.name}_<id> is written into it"
    )
    parser.add_argument("--publish", type=Path, metavar="DIR", help="hard-link the parts that users see here as well")
    parser.add_argument(
        "--params", type=Path, metavar="FILE", help="JSON file with this stage's section; default: none"
    )
    parser.add_argument("--n-jobs", type=int, default=1, metavar="N", help="cores to use [default: 1]")
    parser.add_argument("--stub-run", action="store_true", help="write an empty output with all parts")
    if params is None:
        parser.set_defaults(overrides={}, problems=[])
    else:
        flags.add_params(parser, params)
    return parser
