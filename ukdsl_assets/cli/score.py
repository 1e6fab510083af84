"""`ukdsl score`: candidates in a file, scored by the released student, or by one of a day."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    StudentName,
    complaints,
    console,
    find_cascade,
    parse_day,
    read_settings,
    text_width,
)


def score(
    cascade: CascadeName,
    student: StudentName,
    source: Annotated[
        Path, typer.Option("--input", help="Parquet or CSV file of candidates, or a folder of Parquet files.")
    ],
    target: Annotated[Path, typer.Option("--output", help="Parquet or CSV file to write, by its ending.")],
    head: Annotated[
        Literal["impression", "consideration", "scored"] | None,
        typer.Option(help="Output to take; the serving head if left out."),
    ] = None,
    day: Annotated[str | None, typer.Option(help="Take the checkpoint of that day, not the released one.")] = None,
    arm: Annotated[
        Literal["distilled", "baseline"], typer.Option(help="With --day: the student, or its equal-effort control.")
    ] = "distilled",
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Column to keep, as often as wanted; request_id, candidate_id if left out."
        ),
    ] = None,
) -> None:
    """Score candidates with the released student (or a day's): one prediction a row, in the input's order."""
    from ukdsl_assets.serving.files import score_files, unknown_id_messages
    from ukdsl_assets.serving.released import load_student

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    fitted = load_student(declared, student, None if day is None else parse_day(declared, day), settings.lake, arm)
    chosen = head or fitted.heads[-1]
    name = f"{cascade}/{student}, {fitted.arm} of {fitted.day}, checkpoint {fitted.version}, head {chosen}"
    record = {
        "cascade": cascade,
        "student": student,
        "arm": fitted.arm,
        "checkpoint": f"{fitted.day}/{fitted.version}",
        "note": declared.note,
    }
    with complaints.status("scoring ...") as shown:

        def progress(rows: int, total: int | None, seconds: float) -> None:
            speed = rows / max(seconds, 1e-9)
            of_all = "" if total is None else f" of {total:,}"
            left = "" if total is None else f", {(total - rows) / max(speed, 1e-9):.0f} s left"
            shown.update(f"{rows:,}{of_all} rows, {speed:,.0f} a second{left}")

        done = score_files(
            fitted, source, target, chosen, record, settings.training_threads, progress=progress, keep=keep or None
        )
    speed = f"{done.rows:,} rows in {done.seconds:.1f} s ({done.rows / max(done.seconds, 1e-9):,.0f} a second)"
    mean = f", mean prediction {done.mean:.5f}" if done.rows else "; the input has none"
    console.print(f"{name}\n{speed}{mean}:", highlight=False, width=text_width())
    console.print(str(target), highlight=False, soft_wrap=True)
    for feature in fitted.encoder.features:
        if feature.served_as is not None:
            told = f"{feature.name}: scored as {feature.served_as}; the input's is not read"
            console.print(told, highlight=False, width=text_width())
    for line in unknown_id_messages(done.unknown, str(fitted.day)):
        console.print(line, highlight=False, width=text_width())
