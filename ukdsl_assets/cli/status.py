"""`ukdsl status`: what serves, what was decided last, and which days are missing or stale."""

import json
from typing import Annotated

import typer

from ukdsl_assets.cli.common import complaints, console, find_cascades, hints, read_settings, text_width
from ukdsl_assets.cli.completion import cascade_names


def status(
    cascade: Annotated[
        str | None,
        typer.Argument(metavar="[CASCADE]", help="A declared cascade; all if left out.", autocompletion=cascade_names),
    ] = None,
    days: Annotated[
        int, typer.Option(help="How many of the newest published days to look at for what is stale.", min=1)
    ] = 30,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, in place of all else.")] = False,
) -> None:
    """Tell what serves, the newest decisions with their first reason, and which days are missing or stale.

    A day is missing while one of its tables is not published, and stale where its log files, events or tables have
    changed since they were read. Exit code 0 whatever there is to tell.
    """
    from ukdsl_assets.declaration.examples import is_shipped
    from ukdsl_assets.pipeline.workspace import Workspace
    from ukdsl_assets.reports.standing import as_json as plain
    from ukdsl_assets.reports.standing import read_standing, standing_lines, wrapped

    settings = read_settings()
    cascades = find_cascades(settings, cascade)
    chosen = list(cascades.values()) if cascade is None else [cascades[cascade]]
    workspace = Workspace.open(settings)
    with complaints.status("looking at logs and tables ..."):
        read = [read_standing(workspace, each, days) for each in chosen]
    if as_json:
        print(json.dumps([plain(each) for each in read], indent=1))
        return
    # A shipped cascade that nobody ran has nothing to tell beside a user's own.
    own = [each for each in read if not is_shipped(each.cascade)]
    shown = [each for each in read if each.published or each in own or cascade is not None]
    for standing in shown:
        console.print("\n".join(standing_lines(standing, text_width())), highlight=False, soft_wrap=True)
    if not shown:
        names = wrapped(f"No day is published of: {', '.join(each.cascade.name for each in read)}", text_width())
        console.print("\n".join(names), highlight=False, soft_wrap=True)
    first = next((each for each in read if each.found.to_make), None)
    if first is not None:
        hints.print(f"Make what is missing or stale: ukdsl run {first.cascade.name} --missing", highlight=False)
    elif len(shown) == 1 and not shown[0].published:
        name, day = shown[0].cascade.name, shown[0].cascade.first_day
        hints.print(f"Make the first day: ukdsl run {name} --days {day}", highlight=False)
