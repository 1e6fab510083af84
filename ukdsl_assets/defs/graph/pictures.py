"""What assets show in the UI beside figures: a small picture, and where the day's report is."""

import base64
from collections.abc import Mapping

import dagster as dg
import polars as pl

from ukdsl_assets.lake.storage import Storage
from ukdsl_assets.pipeline.day import Day


def link_to_report(day: Day) -> dict[str, dg.MetadataValue]:
    """The report of a day, which may be made later: a link that `ukdsl ui` serves, and the file itself."""
    from ukdsl_assets.reports.html import report_place

    uri = Storage(day.settings.lake).uri(*report_place(day.cascade.name, day.date))
    return {
        "report": dg.MetadataValue.url(f"/reports/{day.cascade.name}/{day.date}"),
        "report_file": dg.MetadataValue.path(uri),
    }


def overview(students: Mapping[str, tuple[pl.DataFrame, pl.DataFrame | None]]) -> dict[str, dg.MetadataValue]:
    """A picture of the students' evaluation and calibration_by_group of a day, by name; nothing for no student."""
    from ukdsl_assets.reports.plots import overview_png

    if not students:
        return {}
    picture = base64.b64encode(overview_png(students)).decode()
    return {"overview": dg.MetadataValue.md(f"![reliability and calibration](data:image/png;base64,{picture})")}


def rankings(importance: dict[str, pl.DataFrame], union: pl.DataFrame) -> dict[str, dg.MetadataValue]:
    """A picture of a student's importance on both sets of a day; see `selection_plots.rankings_svg`."""
    from ukdsl_assets.reports.selection_plots import rankings_png

    picture = base64.b64encode(rankings_png(importance, union)).decode()
    return {"rankings": dg.MetadataValue.md(f"![importance on both sets](data:image/png;base64,{picture})")}
