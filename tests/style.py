"""The words that the project does not use, with what to write instead; `python -m tests.style` lists where they are.

Readers are neuroscientists and engineers, most of them not native speakers: one term per thing, the field's own.
"""

from __future__ import annotations

import re
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PHRASES = {
    r"\b(?:is|are|was|were|be|been|that) told\b|\btold (?:by|from|apart)\b": "reported, detected from, estimated from",
    r"\b(?:tells?|telling) (?:what|which|where|who|how|the|its?|so|them|when|why|about|nothing)\b": "report, say",
    r"\bstands? (?:in|for|there|at|beside|before)\b": "is in, is listed in; means",
    r"\bbeside\b": "next to, compared with, in parallel",
    r"\bheld against\b": "compared with",
    r"\b(?:of|on) (?:its|their|your) own\b|\bby (?:itself|themselves)\b": "separate, independently",
    r"\bgoes on\b|\bwent on\b|\bgo on\b": "continues",
    r"\b(?:is|are|was|were|be|been) refused\b": "rejected (input), fails (task)",
    r"""(?<!["'`])\brefuse(?:s|d)?\b(?!["'`])""": "rejected (input), fails (task)",
    r"\bcannot be had\b|\bcan be had\b|\bat hand\b": "unavailable, available",
    r"\b(?:is|are) no (?!longer|t\b|more|need|reason|such|way|other|GPU|limit)[a-z]+\b": "is not a",
    r"\bwhole numbers?\b": "integer",
    r"\bas far as it came\b|\bhow far (?:it|a recording) came\b": "up to the last completed step",
    r"\bdone otherwise\b": "automatic adjustments to your parameters",
    r"\bthrough NaN\b": "because a metric is undefined",
    r"\bfor want of\b": "too few",
    r"\bnobody would worry\b": "a typical range",
    r"\bupside down\b": "invert",
    r"\bas no such\b": "too large (limit: ...)",
    r"\bwhat people use now\b": "other pipelines",
    r"\blooked (?:at|for)\b|\ba look at\b": "detected, checked, searched",
    r"\btaken (?:away|for)\b": "removed, interpreted as",
    r"\bput (?:that|it|this) right\b": "correct it",
    r"\blie(?:s)? (?:in|on|at|beside|there|below|above|now)\b": "is in",
}
"""Regular expression, without regard to case -> what to write instead."""
NAMES = {"told", "held", "found", "given", "one", "fitted", "placed", "looked_at"}
"""Names of functions that are no verbs, and of values that are no nouns."""
CODE = ("capsules/**/*.py", "pipeline/**/*.py", "spikerelay.py")
TEXTS = ("main_multi_backend.nf", "pipeline/**/*.nf", "pipeline/*.groovy", "pipeline/*.config", "*.config")
TEXTS += (
    "params_app/index.html",
    "params_app/js/*.js",
    "capsules/**/*.jinja",
    "capsules/**/*.js",
    "pipeline/params_rules.json",
)
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/*.md")


def problems() -> Iterator[str]:
    """Each place where a word is used that is not ours: file, line, the word, what to write instead."""
    for pattern in CODE:
        for file in sorted(ROOT.glob(pattern)):
            for line, text, is_name in _tokens(file):
                if is_name:
                    if text in NAMES:
                        yield f"{file.relative_to(ROOT)}:{line}: name `{text}`: functions are verbs, values are nouns"
                else:
                    yield from _phrases(file, line, text)
    for pattern in (*TEXTS, *PAGES):
        for file in sorted(ROOT.glob(pattern)):
            for line, text in enumerate(file.read_text().splitlines(), start=1):
                yield from _phrases(file, line, text)


def _tokens(file: Path) -> Iterator[tuple[int, str, bool]]:
    """Line, text and whether it is a name, of the comments, strings and names of a Python file."""
    with file.open("rb") as stream:
        for token in tokenize.tokenize(stream.readline):
            if token.type == tokenize.NAME:
                yield token.start[0], token.string, True
            elif token.type in (tokenize.COMMENT, tokenize.STRING):
                yield token.start[0], token.string, False


def _phrases(file: Path, line: int, text: str) -> Iterator[str]:
    for phrase, instead in PHRASES.items():
        for match in re.finditer(phrase, text, re.IGNORECASE):
            at = line + text.count("\n", 0, match.start())
            yield f"{file.relative_to(ROOT)}:{at}: {match[0]!r}: {instead}"


if __name__ == "__main__":
    lines = list(problems())
    print(*lines, sep="\n")
    sys.exit(f"{len(lines)} places" if lines else 0)
