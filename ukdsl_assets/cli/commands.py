"""In which order and groups `ukdsl --help` lists the commands: that in which they are used."""

from typing import Any

from typer.core import TyperGroup

# Group of the help -> its commands; one that is not named here would be listed last, under Other.
PANELS: dict[str, tuple[str, ...]] = {
    "Begin": ("init", "list", "validate", "schema"),
    "Look at logs": ("check-logs", "diagnose"),
    "Make days": ("run", "status"),
    "Look at results": ("compare", "estimate", "report", "ui"),
    "Serve": ("score", "export", "serve", "release", "experiment"),
    "Keep and measure": ("vacuum", "evidence"),
}
_PLACES = {name: (number, panel) for number, (panel, names) in enumerate(PANELS.items()) for name in names}
_ORDER = [name for names in PANELS.values() for name in names]
# Options of every command, wherever they stand on the line.
ANYWHERE = {"--quiet": "--quiet", "-q": "--quiet", "--verbose": "--verbose", "-v": "--verbose"}


class Commands(TyperGroup):
    """The commands in the order of use; takes `--quiet` and `--verbose` behind a command too."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of `PANELS`, then all others."""
        return sorted(self.commands, key=lambda name: _ORDER.index(name) if name in _ORDER else len(_ORDER))

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command, which knows its panel; None for an unknown name."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            command.rich_help_panel = _PLACES.get(cmd_name, (0, "Other"))[1]  # type: ignore[attr-defined]
        return command

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Moves the options of every command before the command's name."""
        end = args.index("--") if "--" in args else len(args)
        told = [ANYWHERE[word] for word in args[:end] if word in ANYWHERE]
        return super().parse_args(ctx, [*told, *(word for word in args[:end] if word not in ANYWHERE), *args[end:]])
