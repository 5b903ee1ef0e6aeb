"""What CatGT did to a SpikeGLX file (`tcat`), by the commands that it writes into the header.

https://billkarsh.github.io/SpikeGLX/#catgt. From version 2.2 on it aligns the channels in time unless `-no_tshift` is
given; 1.8 to 2.1 did with `-tshift`, and had options for filters that 2.2 replaced by `-apfilter`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

COMMAND = re.compile(r"catGTCmdline\d*")
OPTION = re.compile(r"(?<!\S)-(\w+)(=\S+)?")
EARLIER_OPTIONS = {"aphipass", "aplopass", "lfhipass", "lflopass"}
"""Options of versions before 2.2, which aligned the channels only with `-tshift`."""
CHANGES = ("apfilter", "aphipass", "aplopass", "loccar", "loccar_um", "gblcar", "gbldmx", "gfix")
"""Options that change the traces, other than the alignment."""


@dataclass(frozen=True)
class CatGT:
    """What CatGT did: whether it aligned the channels (None: its command is unknown), what else, how many files it
    joined."""

    aligned: bool | None
    changes: tuple[str, ...]
    joined: int

    @property
    def warnings(self) -> list[str]:
        """What the user should know."""
        texts = {
            True: "CatGT aligned the channels in time: the phase shift is not applied a second time",
            None: "CatGT's command is not in the header; it aligns the channels in time by default, so the phase shift "
            "is not applied",
        }
        lines = [texts[self.aligned]] if self.aligned in texts else []
        if self.changes:
            lines.append(
                f"CatGT changed the traces ({' '.join(self.changes)}): preprocessing filters and references them again"
            )
        if self.joined > 1:
            lines.append(f"CatGT joined {self.joined} files and filled the gaps between them, which have no spikes")
        return lines


def read_catgt(file: Path, meta: dict[str, str]) -> CatGT | None:
    """What CatGT did to a file, by its name and header; None where it did not write it."""
    commands = [value for key, value in meta.items() if COMMAND.fullmatch(key)]
    if not commands and "_tcat." not in file.name:
        return None
    options = [match for command in commands for match in OPTION.finditer(command.strip("<>"))]
    names = {match[1] for match in options}
    aligned: bool | None
    if "no_tshift" in names:
        aligned = False
    elif "tshift" in names:
        aligned = True
    elif names & EARLIER_OPTIONS:
        aligned = False
    else:
        # Joining runs (supercat) leaves the first pass's commands out, and a renamed file has none.
        aligned = True if names and "supercat" not in names else None
    joined = meta.get("catNFiles", meta.get("catNRuns", "1"))
    changes = tuple(match[0] for match in options if match[1] in CHANGES)
    return CatGT(aligned, changes, int(joined) if joined.isdigit() else 1)
