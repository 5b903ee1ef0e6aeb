"""`spikerelay completion`: a script with which bash or zsh completes commands, options and parameters.

The script lists all words, so that the Tab key starts no Python.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Iterator, Sequence

from capsules.__main__ import make_parser
from capsules.commands.params_show import parameter_names
from capsules.commands.table import COMMANDS
from capsules.resolve_params.options import RUNMODES
from capsules.spikesorting.sorters import SORTERS

VALUES = {"--sorter": list(SORTERS), "--runmode": list(RUNMODES)}
"""Values of options that are not choices of the parser: several sorters may be named."""
ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"
"""With them zsh reads a script of bash."""

SCRIPT = """\
_spikerelay() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    local first=2 words= options=
    case "$command" in
    {groups}) command="$command ${{COMP_WORDS[2]}}" first=3 ;;
    esac
    if [ "$COMP_CWORD" -eq 1 ]; then
        words='{commands}' options='--help --version'
    elif [ "$COMP_CWORD" -lt "$first" ]; then
        case "${{COMP_WORDS[1]}}" in
{second_words}
        esac
    else
        case "$command $previous" in
{values}
        *)
            case "$command" in
{arguments}
            esac
            ;;
        esac
    fi
    [[ $current != -* ]] || words=$options
    COMPREPLY=($(compgen -W "$words" -- "$current"))
}}
complete -o default -F _spikerelay spikerelay
"""


def run(arguments: argparse.Namespace) -> int:
    print(completion_script(arguments.shell), end="")
    return 0


def completion_script(shell: str) -> str:
    """The script for a shell, bash or zsh."""
    parsers = {name: make_parser(name) for name in COMMANDS}
    second_words: dict[str, list[str]] = {}
    for name in COMMANDS:
        first, _, second = name.partition(" ")
        if second:
            second_words.setdefault(first, []).append(second)
    return (ZSH if shell == "zsh" else "") + SCRIPT.format(
        groups="|".join(second_words),
        commands=" ".join(dict.fromkeys(name.split()[0] for name in COMMANDS)),
        second_words="\n".join(_case([name], words) for name, words in second_words.items()),
        values="\n".join(_value_cases(parsers)),
        arguments="\n".join(
            _case([name], _words(parser), _options(parser), indent=12) for name, parser in parsers.items()
        ),
    )


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [option for action in parser._actions for option in action.option_strings]


def _words(parser: argparse.ArgumentParser) -> list[str]:
    """The values of a command's arguments that are not options; none for a path, which the shell completes."""
    names = list(parameter_names()) if parser.prog == "spikerelay params show" else []
    return names + [
        str(choice) for action in parser._actions if not action.option_strings for choice in action.choices or ()
    ]


def _value_cases(parsers: dict[str, argparse.ArgumentParser]) -> Iterator[str]:
    """A case for the options with the same values."""
    patterns: dict[tuple[str, ...], list[str]] = {}
    for name, parser in parsers.items():
        for action in parser._actions:
            for option in action.option_strings if action.nargs != 0 else ():
                choices = VALUES.get(option) if action.choices is None else action.choices
                values = tuple(map(str, choices or ()))
                patterns.setdefault(values, []).append(f"{name} {option}")
    yield from (_case(listed, list(values)) for values, listed in patterns.items())


def _case(patterns: list[str], words: list[str], options: Sequence[str] = (), indent: int = 8) -> str:
    """A line of a `case` of the shell."""
    sets = [
        f"{name}={shlex.quote(' '.join(listed))}" for name, listed in (("words", words), ("options", options)) if listed
    ]
    return f"{' ' * indent}{'|'.join(map(shlex.quote, patterns))}) {' '.join(sets) or ':'} ;;"
