"""`ukdsl list`: what is declared, and what of it is published."""

import json
from typing import Annotated

import typer

from ukdsl_assets.cli.common import console, find_cascades, hints, read_settings, text_width
from ukdsl_assets.cli.completion import cascade_names


def list_declared(
    cascade: Annotated[
        str | None,
        typer.Argument(
            metavar="[CASCADE]", help="One cascade, with its published tables.", autocompletion=cascade_names
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, in place of all else.")] = False,
) -> None:
    """List the declared cascades, your own first: students, teachers, days, and what is published of them."""
    from ukdsl_assets.declaration.examples import is_shipped
    from ukdsl_assets.pipeline.workspace import Workspace
    from ukdsl_assets.reports.listing import listing_lines, read_listing
    from ukdsl_assets.reports.standing import wrapped

    settings = read_settings()
    cascades = find_cascades(settings, cascade)
    chosen = list(cascades.values()) if cascade is None else [cascades[cascade]]
    workspace = Workspace.open(settings)
    read = [read_listing(workspace, each, not is_shipped(each)) for each in chosen]
    read.sort(key=lambda each: not each["own"])
    if as_json:
        print(json.dumps(read, indent=1))
        return
    # Beside a user's own, shipped cascades that nobody ran are names alone.
    named = [each["cascade"] for each in read if read[0]["own"] and not each["own"] and not each["tables"]]
    for own, title in ((True, f"Your own cascades, in {settings.cascades}"), (False, "Shipped cascades")):
        if of_kind := [each for each in read if each["own"] == own and each["cascade"] not in named]:
            console.print(title, style="bold", highlight=False, soft_wrap=True)
            for each in of_kind:
                lines = listing_lines(each, text_width(), tables=cascade is not None)
                console.print("\n".join(lines), highlight=False, soft_wrap=True)
    if named:
        names = wrapped(f"Shipped beside them: {', '.join(named)}", text_width())
        console.print("\n".join(names), highlight=False, soft_wrap=True)
    if cascade is None:
        hints.print("ukdsl list CASCADE names its tables; ukdsl status CASCADE says how it stands.", highlight=False)
