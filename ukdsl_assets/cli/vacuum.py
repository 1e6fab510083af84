"""`ukdsl vacuum`: remove what no reader can find any more."""

from typing import Annotated

import typer

from ukdsl_assets.cli.common import console, read_settings
from ukdsl_assets.errors import redacted


def vacuum(
    older_than_hours: Annotated[
        int, typer.Option(help="Spare files younger than this; those of a commit under way stay in any case.", min=0)
    ] = 168,
) -> None:
    """Remove files that no version of a table younger than this uses, checkpoints that were never published, states of
    trainings that nobody went on with and what killed writers left; commits of 30 days ago leave the tables' logs.
    """
    from ukdsl_assets.lake.checkpoints.store import CheckpointStore
    from ukdsl_assets.lake.storage import Storage
    from ukdsl_assets.lake.tables.lake import Lake

    settings = read_settings()
    swept = Lake(settings.tables, settings.shards).sweep(older_than_hours)
    for table, files in swept.items():
        if files:
            console.print(redacted(f"{files} file(s) of {table}"), highlight=False, soft_wrap=True)
    unfinished = Storage(settings.lake).sweep_unfinished(older_than_hours)
    unpublished = CheckpointStore(settings.checkpoints).sweep(older_than_hours)
    console.print(
        f"Removed {sum(swept.values())} file(s) of {len(swept)} table(s), {sum(unpublished.values())} unpublished "
        f"checkpoint(s) and {unfinished} unfinished file(s)."
    )
