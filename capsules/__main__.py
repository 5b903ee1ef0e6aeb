"""The `spikerelay` command: everything around a run.

Exit codes: 0 good; 1 the data or the results have a problem; 2 rejected: a mistake in the command or the params file.
"""

from __future__ import annotations

import argparse
import importlib
import os
import select
import sys
from collections.abc import Iterator
from importlib import metadata
from typing import NoReturn

from capsules.commands.table import COMMANDS, GROUPS
from capsules.common.errors import Rejected, SpikeRelayError, nearest, printable

EXAMPLES = """\
examples:
  spikerelay demo                                            # is everything installed? sort a made-up session
  spikerelay inspect /data/session                           # which recordings are there?
  spikerelay run /data/session --sorter kilosort4 --dry-run  # what would a run do, and how long would it take?
  spikerelay run /data/session --sorter kilosort4            # sort them
  spikerelay status session_results --watch                  # what does the run of another terminal do?
  spikerelay params show preprocessing.motion_correction     # what does this section of parameters do?
  spikerelay COMMAND --help                                  # the arguments of a command
"""


CLOSED_PIPE = 141
"""As a shell names the end of a program by SIGPIPE."""
SYNONYMS = {"sort": "run", "start": "run", "check": "doctor", "install": "setup", "phy": "export"}
"""Commands that people type, and what does it."""


class Parser(argparse.ArgumentParser):
    """A parser whose mistakes quote arguments without characters that steer the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def main() -> int:
    words = sys.argv[1:]
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in COMMANDS), None)
    if name is None:
        return _explain(words)
    command = COMMANDS[name]
    arguments = command.parse(make_parser(name), words[len(name.split()) :])
    try:
        if command.uses_libraries:
            # Before SpikeInterface is imported: it hands its functions to numba then.
            importlib.import_module("capsules.common.tasks.resources").use_numba_cache()
        module = importlib.import_module(f"capsules.commands.{command.module}")
        code: int = getattr(module, command.function)(arguments)
        sys.stdout.flush()
        return code
    except Rejected as refusal:
        return _fail(refusal.problems, 2)
    except SpikeRelayError as error:
        return _fail([str(error)], 1)
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _has_lost_reader():
            return CLOSED_PIPE
        # Such as a place where nothing can be written.
        return _fail([f"{error.filename}: {error.strerror}" if error.filename else str(error)], 1)


def _has_lost_reader() -> bool:
    """Whether nobody reads what is printed, as when `head` has enough; nothing more is written then."""
    poll = select.poll()
    poll.register(sys.stdout.fileno(), 0)
    if not any(event & select.POLLERR for _, event in poll.poll(0)):
        return False
    # Python writes what is left when it ends.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True


def make_parser(name: str) -> argparse.ArgumentParser:
    """The parser of a command's arguments."""
    command = COMMANDS[name]
    more = [command.more_help()] if command.more_help else []
    parser = Parser(
        prog=f"spikerelay {name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog="\n\n".join(["\n  ".join(["examples:", *command.examples]), *more]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_arguments(parser)
    return parser


def _explain(words: list[str]) -> int:
    """Print the list of commands or the version where no command was named; otherwise end with a mistake."""
    parser = argparse.ArgumentParser(
        prog="spikerelay",
        usage="spikerelay COMMAND [ARGUMENTS]",
        description="\n".join([(__doc__ or "").partition("\n")[0], *_list_commands()]),
        epilog=EXAMPLES + (__doc__ or "").partition("\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"spikerelay {_version()}")
    if words[:1] == ["--version"] or {"-h", "--help"} & set(words) or words == ["help"]:
        parser.parse_args(["--version" if words[0] == "--version" else "--help"])
    if not words:
        parser.error("a command is needed; `spikerelay --help` lists them")
    if seconds := [name for name in COMMANDS if name.startswith(f"{words[0]} ")]:
        parser.error(f"`{words[0]}` needs a second word: {' or '.join(f'`spikerelay {name}`' for name in seconds)}")
    meant = SYNONYMS.get(words[0])
    hint = f"; did you mean {meant!r}?" if meant else nearest(words[0], list(COMMANDS))
    parser.error(f"unknown command {printable(words[0])!r}{hint}")


def _list_commands() -> Iterator[str]:
    """The commands of each group, below its name."""
    for group in GROUPS:
        commands = {name: command for name, command in COMMANDS.items() if command.group == group}
        yield from ("", f"{group}:") if commands else ()
        for name, command in commands.items():
            yield f"  spikerelay {command.usage.format(name):<19} {command.help}"


def _version() -> str:
    try:
        return metadata.version("spikerelay")
    except metadata.PackageNotFoundError:
        return "of a folder that is not installed: run `make setup`"


def _fail(lines: list[str], code: int) -> int:
    """Print why a command ended, which may quote names from the data."""
    print(*map(printable, lines), sep="\n", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
