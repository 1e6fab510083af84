"""Every command with its arguments and options, from the command line's own parser."""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, get_args, get_origin

import typer

from documentation.markdown import code, page, sentence, table
from ukdsl_assets.cli.app import app

INTRODUCTION = """`ukdsl COMMAND --help` says the same.

| exit code | means |
| --- | --- |
| 0 | done |
| 1 | a gate or a step failed; what was published stays |
| 2 | wrong arguments, a wrong declaration, or another error that you can mend |
| 3 | all days are done, but on the last one a student was refused or not judged |
| 130 | stopped by Ctrl-C or SIGTERM |"""


def commands() -> dict[str, Any]:
    """`ukdsl run`, `ukdsl evidence table1` and so on -> the parser of that command, in the order of their names."""
    return dict(sorted(_below("ukdsl", typer.main.get_command(app))))


def commands_page() -> str:
    """The page: a section for each command; commands of one group that take the same share their table."""
    parts: dict[str, list[tuple[str, Any]]] = {}
    for name, command in commands().items():
        alike = f"{name.rpartition(' ')[0]}\n{_parameters(command)}" if name.count(" ") > 1 else name
        parts.setdefault(alike, []).append((name, command))
    return page("Commands", INTRODUCTION, *map(_section, parts.values()))


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    if not hasattr(command, "commands"):
        yield name, command
        return
    for below, each in command.commands.items():
        yield from _below(f"{name} {below}", each)


def _section(alike: Sequence[tuple[str, Any]]) -> str:
    """One command, or several whose table is the same."""
    name, command = alike[0]
    if len(alike) == 1:
        return f"## {name}\n\n{_said(command)}\n\n{_parameters(command)}"
    listed = table(("command", "what it does"), [(code(each), _said(about)) for each, about in alike])
    return f"## {name.rpartition(' ')[0]} NAME\n\n{listed}\n\nEach takes:\n\n{_parameters(command)}"


def _said(command: Any) -> str:
    return "\n\n".join(sentence(" ".join(part.split())) for part in (command.help or "").split("\n\n"))


def _parameters(command: Any) -> str:
    rows = [
        (code(_spelled(each)), _values(each), _default(each), sentence(each.help or ""))
        for each in command.params
        if each.name != "help"
    ]
    head = ("argument or option", "values", "default", "meaning")
    return table(head, rows) if rows else "It takes no argument."


def _spelled(parameter: Any) -> str:
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    return " / ".join([*parameter.opts, *parameter.secondary_opts])


def _values(parameter: Any) -> str:
    descriptor = getattr(parameter, "type_descriptor", None)
    annotation = getattr(descriptor, "annotation", str)
    if getattr(parameter, "is_flag", False):
        return ""
    if get_origin(annotation) is Literal:
        return ", ".join(code(value) for value in get_args(annotation))
    name = getattr(annotation, "__name__", "text")
    word = {"int": "whole number", "float": "number", "str": "text", "Path": "file or folder"}.get(name, "text")
    return f"{word}, may be repeated" if parameter.multiple else word


def _default(parameter: Any) -> str:
    if parameter.required:
        return "**required**"
    if parameter.default is None or parameter.default is False or callable(parameter.default):
        return ""
    # As many processes as there are cores differs between machines.
    return "all cores" if parameter.name == "jobs" else code(parameter.default)
