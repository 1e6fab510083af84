"""`ukdsl release`: what serves of a student and its history, and how people take a release back."""

import getpass
from typing import Annotated

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    StudentName,
    console,
    find_cascade,
    find_student,
    hints,
    parse_day,
    read_settings,
    text_width,
)


def release(
    cascade: CascadeName,
    student: StudentName,
    withdraw: Annotated[
        bool, typer.Option("--withdraw", help="Take back what serves; what was released before it serves again.")
    ] = False,
    to: Annotated[
        str | None,
        typer.Option(metavar="DAY", help="Have that day's release serve: newer ones are withdrawn, its own is not."),
    ] = None,
    reason: Annotated[str | None, typer.Option(help="Why, for the history; with --withdraw or --to.")] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; the user of this machine if left out.")] = None,
    last: Annotated[int, typer.Option(help="How many of the newest decisions to print.", min=1)] = 10,
) -> None:
    """Tell what serves and what was decided; with --withdraw or --to take a release back, which the history keeps.

    Nothing is deleted. A day that is withdrawn stays so when it is made again, until --to names it; the next day that
    passes its gates is released as ever.
    """
    from ukdsl_assets.errors import ReleaseError
    from ukdsl_assets.lake.checkpoints.store import CheckpointStore
    from ukdsl_assets.pipeline import withdrawal
    from ukdsl_assets.reports.release_history import history_lines, moved_lines

    if withdraw and to is not None:
        raise typer.BadParameter("--withdraw and --to exclude each other; give one of them")
    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    key, store = (cascade, find_student(declared, student).name), CheckpointStore(settings.checkpoints)
    if not withdraw and to is None:
        if reason is not None or by is not None:
            raise typer.BadParameter("--reason and --by say why a release moves; give --withdraw or --to DAY too")
        lines = history_lines(student, store.released(key), store.release_history(key, last), text_width())
        console.print("\n".join(lines), highlight=False, soft_wrap=True)
        return
    if reason is None:
        raise ReleaseError('--reason is missing: say why, as in --reason "clicks fell by 3% online"')
    who = _user() if by is None else by
    if to is None:
        done = withdrawal.withdraw(store, key, who, reason)
    else:
        done = withdrawal.serve_again(store, key, parse_day(declared, to), who, reason)
    console.print("\n".join(moved_lines(student, done, text_width())), highlight=False, soft_wrap=True)
    hints.print("The next day that passes its gates is released as ever.", highlight=False)


def _user() -> str:
    """The name of who is logged in; empty where the machine knows none, which is refused as nobody."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""
