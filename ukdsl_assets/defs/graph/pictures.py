"""What assets show in the UI beside figures: a small picture, and where the day's report is."""

import base64
from collections.abc import Sequence
from datetime import date

import dagster as dg
import polars as pl

from ukdsl_assets.gates import GateResult
from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.pipeline.day import Day

# Metadata of this name stands before all else.
VERDICT = "verdict"
# Of Dagster's 1,000, with room for what joins the lines.
MOST_SHOWN_AT_ONCE = 950


def link_to_report(day: Day) -> dict[str, dg.MetadataValue]:
    """The report of a day, which may be made later: a link that `ukdsl ui` serves, and the file itself."""
    from ukdsl_assets.reports.html import report_place

    uri = Storage(day.settings.lake).uri(*report_place(day.cascade.name, day.date))
    return {
        "report": dg.MetadataValue.url(f"/reports/{day.cascade.name}/{day.date}"),
        "report_file": dg.MetadataValue.path(uri),
    }


def picture_place(cascade: str, day: date, student: str) -> tuple[str, ...]:
    """Folders and file of a student's picture of a day below the lake, beside the day's report."""
    return ("reports", cascade, f"day={day}", f"{student}.png")


def picture_of(day: Day, student: str) -> str:
    """Markdown that shows a student's picture where `ukdsl ui` serves the page."""
    return f"![{student}: reliability and calibration](/reports/{day.cascade.name}/{day.date}/{student}.png)"


def pictures_of(day: Day, students: Sequence[str]) -> dict[str, dg.MetadataValue]:
    """`picture_of` of each student, by its name."""
    return {student: dg.MetadataValue.md(picture_of(day, student)) for student in students}


def overview(day: Day, student: str, evaluation: pl.DataFrame, groups: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """Draws a student's evaluation and calibration_by_group of a day, for `picture_of` and for a click beside it.

    The second needs nobody to serve the picture: Dagster keeps it.
    """
    from ukdsl_assets.reports.plots import overview_png

    picture = overview_png({student: (evaluation, groups)})
    storage = Storage(day.settings.lake)
    storage.write(storage.path(*picture_place(day.cascade.name, day.date, student)), picture)
    text = f"![reliability and calibration](data:image/png;base64,{base64.b64encode(picture).decode()})"
    return {"overview": dg.MetadataValue.md(text)}


def verdict(results: Sequence[GateResult], more: str = "", picture: str = "") -> dict[str, dg.MetadataValue]:
    """What an asset's page begins with: how the checks ended, a picture, and `more` of it.

    Dagster shows Markdown of up to 1,000 characters at once and longer texts after a click, so `more` is cut to whole
    lines.
    """
    failed = [each.name for each in results if each.judged and not each.passed]
    unjudged = [each.name for each in results if not each.judged]
    parts = [f"{len(failed)} failed: {', '.join(failed)}" if failed else ""]
    parts.append(f"{len(unjudged)} not judged: {', '.join(unjudged)}" if unjudged else "")
    ended = "; ".join(filter(None, parts)) or "all passed"
    shown = f"**{len(results)} check(s): {ended}.**\n\n{picture}".strip()
    for line in more.splitlines():
        if len(shown) + len(line) > MOST_SHOWN_AT_ONCE:
            break
        shown += f"\n\n{line}"
    return {VERDICT: dg.MetadataValue.md(shown)}


def rankings(importance: dict[str, pl.DataFrame], union: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """A picture of a student's importance on both sets of a day; see `selection_plots.rankings_svg`."""
    from ukdsl_assets.reports.selection_plots import rankings_png

    picture = base64.b64encode(rankings_png(importance, union)).decode()
    return {"rankings": dg.MetadataValue.md(f"![importance on both sets](data:image/png;base64,{picture})")}
