"""The `spikerelay` command: everything around a run.

Exit codes: 0 good; 1 the data or the results have a problem; 2 rejected: a mistake in the command or the params file.
"""

from __future__ import annotations

import argparse
import importlib
import sys

from capsules.commands.table import COMMANDS
from capsules.common.errors import Rejected, SpikeRelayError, nearest, printable


def main() -> int:
    words = sys.argv[1:]
    name = next((name for name in (" ".join(words[:2]), *words[:1]) if name in COMMANDS), None)
    if name is None:
        return _explain(words)
    command = COMMANDS[name]
    parser = argparse.ArgumentParser(
        prog=f"spikerelay {name}", description=f"{command.help[0].upper()}{command.help[1:]}."
    )
    command.add_arguments(parser)
    arguments = command.parse(parser, words[len(name.split()) :])
    try:
        if command.uses_libraries:
            # Before SpikeInterface is imported: it hands its functions to numba then.
            importlib.import_module("capsules.common.tasks.resources").use_numba_cache()
        module = importlib.import_module(f"capsules.commands.{command.module}")
        code: int = getattr(module, command.function)(arguments)
        return code
    except Rejected as refusal:
        return _fail(refusal.problems, 2)
    except SpikeRelayError as error:
        return _fail([str(error)], 1)
    except OSError as error:
        # Such as a place where nothing can be written.
        return _fail([f"{error.filename}: {error.strerror}" if error.filename else str(error)], 1)


def _explain(words: list[str]) -> int:
    """Print the list of commands where no command was named; otherwise end with a mistake."""
    listed = [f"spikerelay {command.usage.format(name):<22} {command.help}" for name, command in COMMANDS.items()]
    text = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="spikerelay",
        usage="spikerelay COMMAND [ARGUMENTS]",
        description="\n".join([text[0], "", *listed, text[2].rstrip()]),
        epilog="spikerelay COMMAND --help explains the arguments of a command.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if {"-h", "--help"} & set(words):
        parser.parse_args(["--help"])
    if not words:
        parser.error("a command is needed")
    parser.error(f"unknown command {printable(words[0])!r}{nearest(words[0], list(COMMANDS))}")


def _fail(lines: list[str], code: int) -> int:
    """Print why a command ended, which may quote names from the data."""
    print(*map(printable, lines), sep="\n", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
