"""`spikerelay params import`: parameters of AIND's pipeline, or of Kilosort4, as a params file.

Every change is printed: nothing of the source is dropped or replaced silently.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from capsules.commands.layout import Page, print_pages
from capsules.common.errors import Rejected
from capsules.common.untrusted.pickles import load_pickled_dict
from capsules.parameters import strict_json
from capsules.parameters.foreign.aind import is_aind, translate_aind
from capsules.parameters.foreign.changes import Kind, Translation
from capsules.parameters.foreign.kilosort4 import is_kilosort4, translate_ops, translate_settings
from capsules.parameters.model import get_dotted
from capsules.parameters.problems import Problem, problems_of, quote
from capsules.resolve_params.params import PipelineParams
from capsules.resolve_params.params_file import whole_file_problems
from capsules.spikesorting.sorters.kilosort4_parameters import Kilosort4Settings

TITLES: dict[Kind, str] = {
    "renamed": "renamed",
    "set": "written, since the other program's defaults are not ours",
    "left out": "left out",
    "differs": "behaves differently",
}
QUERY = ("curation", "query")
MAX_JSON_BYTES = 50_000_000


def run(arguments: argparse.Namespace) -> int:
    output: Path | None = arguments.output
    if output is not None and output.exists():
        raise Rejected([f"{output}: exists: remove it, or choose another name"])
    name, work = translate_file(arguments.file)
    page = describe(name, work, settle(work))
    text = json.dumps(work.params, indent=4) + "\n"
    if output is None:
        print(text, end="")
        print_pages([page], sys.stderr)
        return 0
    output.write_text(text)
    page.notes.append(f"{output} is a valid params file; `spikerelay params diff {output}` compares it with ours")
    print_pages([page])
    return 0


def translate_file(file: Path) -> tuple[str, Translation]:
    """The kind of a file, and its translation.

    Raises
    ------
    Rejected
        When it is none of those that are known.
    """
    known = list(Kilosort4Settings.model_fields)
    if file.suffix == ".npy":
        return "Kilosort4's ops.npy", translate_ops(load_pickled_dict(file), known)
    document = _read_json(file)
    if is_aind(document):
        # Read again, strictly: a key that is given twice would be lost, and its place is named.
        document = strict_json.read_file(file).value
        return f"AIND's params file {document.get('pipeline_version', '')}".strip(), translate_aind(document)
    if isinstance(document.get("settings"), dict):
        return "Kilosort4's settings", translate_ops(document, known)
    if is_kilosort4(document, known):
        return "Kilosort4's settings", translate_settings(document, known)
    raise Rejected([f"{file}: neither a params file of AIND's pipeline nor settings of Kilosort4: no key is known"])


def _read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file; Python's `Infinity` is accepted, which Kilosort's settings have."""
    try:
        with file.open("rb") as stream:
            content = stream.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise Rejected([f"{file}: too large (limit: {MAX_JSON_BYTES / 1e6:g} MB)"])
        document = json.loads(content)
    except OSError as error:
        raise Rejected([f"{file}: {error.strerror}"]) from None
    except (ValueError, RecursionError) as error:
        raise Rejected([f"{file}: not JSON: {error}"]) from None
    if not isinstance(document, dict):
        raise Rejected([f"{file}: a JSON object is needed"])
    return document


def settle(work: Translation) -> list[str]:
    """Leave out what our parameters reject, so that the result is valid; one line for each.

    Raises
    ------
    Rejected
        When a rule is broken by parameters that the file does not set.
    """
    lines = []
    while problems := _next_problems(work.params):
        for problem in problems:
            # The default query would need metrics that the file may not compute.
            if problem.path == QUERY:
                lines.append(f"curation.query: left out, so that no unit is labelled by a query: {problem.text}")
                work.set("curation.query", None)
        problems = [problem for problem in problems if problem.path != QUERY]
        if foreign := [problem for problem in problems if not _has(work.params, problem.path)]:
            raise Rejected([str(problem) for problem in foreign])
        # From the end: an item of a list is removed by its index.
        for problem in reversed(problems):
            lines.append(f"{'.'.join(map(str, problem.path))}: left out, {_fallback(problem)}: {problem.text}")
            _remove(work.params, problem.path)
    return lines[::-1]


def _next_problems(params: dict[str, Any]) -> list[Problem]:
    """What is wrong with the structure, or with valid parameters together; each place once."""
    problems = problems_of(PipelineParams, params) or whole_file_problems(PipelineParams.model_validate(params))
    return list({problem.path: problem for problem in problems}.values())


def _fallback(problem: Problem) -> str:
    """What applies instead of a value that was left out."""
    default = get_dotted(PipelineParams().model_dump(mode="json"), ".".join(map(str, problem.path)), ...)
    return "and nothing replaces it" if default is ... else f"so the default {quote(default)} applies"


def _has(params: Any, path: tuple[str | int, ...]) -> bool:
    for key in path:
        is_item = isinstance(params, list) and isinstance(key, int) and key < len(params)
        if not (is_item or (isinstance(params, dict) and key in params)):
            return False
        params = params[key]
    return bool(path)


def _remove(params: Any, path: tuple[str | int, ...]) -> None:
    for key in path[:-1]:
        params = params[key]
    del params[path[-1]]


def describe(name: str, work: Translation, lines: list[str]) -> Page:
    """Every change, by its kind."""
    parts = {
        title: texts
        for kind, title in TITLES.items()
        if (texts := [change.text for change in work.changes if change.kind == kind])
    }
    return Page(f"{name}: {len(work.changes) + len(lines)} changes", lines, parts)
