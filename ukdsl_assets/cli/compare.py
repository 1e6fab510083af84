"""`ukdsl compare`: a student's checkpoints over days, as tables and as a picture."""

from pathlib import Path
from typing import Annotated

import typer

from ukdsl_assets.cli.common import (
    CascadeName,
    StudentName,
    check_output,
    complaints,
    console,
    find_cascade,
    find_student,
    hints,
    parse_days,
    read_settings,
    text_width,
)
from ukdsl_assets.errors import DeclarationError, redacted

LEGEND = (
    "Calibration is mean prediction over mean reference, 1 is right; NE is normalized entropy against that of the "
    "day's baseline, below 0 is better; +-: standard error, over requests. Released: the student that was "
    "released before the day, which has not seen it."
)


def compare(
    cascade: CascadeName,
    student: StudentName,
    days: Annotated[str, typer.Option(help="The first and the last day: 2026-01-01..2026-01-07.")],
    output: Annotated[
        Path | None, typer.Option(help="Picture to write, .png or .svg; the lake's own place if left out.")
    ] = None,
) -> None:
    """Compare a student's checkpoints over days: calibration and NE by domain, decisions, and a picture of them."""
    from ukdsl_assets.lake.storage import Storage
    from ukdsl_assets.reports.comparison import decision_table, read_comparison, spark_lines, view_table
    from ukdsl_assets.reports.comparison_figure import comparison_picture
    from ukdsl_assets.reports.standing import spans

    settings = read_settings()
    _, declared = find_cascade(settings, cascade)
    of = find_student(declared, student)
    wanted = parse_days(declared, days)
    if output is not None and output.suffix not in (".png", ".svg"):
        raise DeclarationError(f"--output: expected a file that ends with .png or .svg, saw {output}")
    check_output("--output", output)
    with complaints.status("reading evaluations ..."):
        compared = read_comparison(settings, declared, of, wanted)
    note = f" ({declared.note})" if declared.note else ""
    console.print(f"{cascade}/{student}{note}: {compared.days[0]} to {compared.days[-1]}\n", highlight=False)
    for view in compared.views:
        console.print(view_table(compared, view), width=text_width())
        console.print("\n".join(spark_lines(compared, view, console.options.ascii_only)) + "\n", highlight=False)
    console.print(decision_table(compared), width=text_width())
    if compared.without:
        without = f"\nWithout an evaluation: {', '.join(spans(compared.without))}"
        console.print(without, highlight=False, width=text_width())
    picture = comparison_picture(compared, "svg" if output is not None and output.suffix == ".svg" else "png")
    if output is not None:
        output.write_bytes(picture)
        where = str(output)
    else:
        storage = Storage(settings.lake)
        place = ("reports", cascade, "compare", f"{student}_{compared.days[0]}_{compared.days[-1]}.png")
        storage.write(storage.path(*place), picture)
        where = storage.uri(*place)
    hints.print(f"\n{LEGEND}", highlight=False, width=text_width())
    console.print(redacted(f"Picture: {where}"), highlight=False, soft_wrap=True)
