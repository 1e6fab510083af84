"""`ukdsl export`: the released student, or one of a day, as one ONNX file."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    StudentName,
    complaints,
    console,
    find_cascade,
    hints,
    parse_day,
    read_settings,
    text_width,
)


def export(
    cascade: CascadeName,
    student: StudentName,
    target: Annotated[Path, typer.Option("--output", help="ONNX file to write; its name ends in .onnx.")],
    day: Annotated[str | None, typer.Option(help="Take the checkpoint of that day, not the released one.")] = None,
    arm: Annotated[
        Literal["distilled", "baseline"], typer.Option(help="With --day: the student, or its equal-effort control.")
    ] = "distilled",
) -> None:
    """Write the released student (or a day's) as one ONNX file, from raw columns to probabilities."""
    from ukdsl_assets.serving.export.export import check_target, export_student
    from ukdsl_assets.serving.released import load_student

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    check_target(target)
    fitted = load_student(declared, student, None if day is None else parse_day(declared, day), settings.lake, arm)
    of = {"cascade": cascade, "student": student, "arm": fitted.arm, "day": str(fitted.day), "version": fitted.version}
    with complaints.status("writing, and scoring sample rows both ways ..."):
        done = export_student(fitted, target, of)
    name = f"{cascade}/{student}, {fitted.arm} of {fitted.day}, checkpoint {fitted.version}"
    lines = [
        name,
        f"{len(done.metadata.inputs)} inputs, heads {', '.join(done.metadata.heads)} (the last one serves), "
        f"{_size(done.size)}:",
    ]
    for line in lines:
        console.print(line, highlight=False, width=text_width())
    console.print(str(target), highlight=False, soft_wrap=True)
    told = [
        f"Scored as batch scoring scores: {done.compared.rows:,} sample rows of known and unknown ids, missing values "
        f"and extreme numbers differ by at most {done.compared.difference:.1g} (head {done.compared.head}).",
        *(f"{name}: scored as {value}, no input" for name, value in done.metadata.served_as.items()),
    ]
    if hashed := [each.name for each in done.metadata.inputs if each.hash_buckets is not None]:
        told.append(f"{', '.join(hashed)}: read as buckets, by the rule in the file's metadata (`bucket`).")
    for line in told:
        console.print(line, highlight=False, width=text_width())
    hints.print(
        "Next: run it by onnxruntime; its metadata says what it reads (`inputs`) and gives (`heads`).",
        highlight=False,
        width=text_width(),
    )


def _size(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count / 2**10:,.0f} KiB"
