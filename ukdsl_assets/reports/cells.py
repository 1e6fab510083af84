"""Figures of a report as texts: rounded for people, with their error; and the rows of its tables."""

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP, OWN, SCORED
from ukdsl_assets.reports.contents import figures_of
from ukdsl_assets.reports.pictures import COMPARISONS

# arXiv 2502.06834, production, pre-ranking: calibration on IMP and CD, change of NE on both; without errors.
PAPER = (
    ("baseline", ("1.01", "1.27", "0", "0")),
    ("with distillation", ("1.03", "1.12", "+0.01%", "\N{MINUS SIGN}1.98%")),
)
ROWS = (("baseline", "baseline"), ("distilled", "with distillation"))
Row = tuple[str, list[str]]
DASH, MINUS, SPACE = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{NO-BREAK SPACE}"


def main_rows(evaluation: pl.DataFrame, references: tuple[str, str] = ("label", "teacher")) -> list[Row]:
    """Rows of the paper's table: calibration on IMP and CD, change of NE on both, against the given references."""
    return [(title, row) for arm, title in ROWS if (row := _row(evaluation, arm, references)) is not None]


def progressive_rows(evaluation: pl.DataFrame) -> list[Row]:
    """The same columns for the student released before the day and for the day's own; empty where none was."""
    released = _row(evaluation, "released", ("label", "teacher"))
    if released is None:
        return []
    today = _row(evaluation, "distilled", ("label", "teacher"))
    return [("released before this day", released), *([("distilled on this day", today)] if today else [])]


def scored_rows(evaluation: pl.DataFrame) -> list[Row]:
    """All that the stage scored and the head's own choice: calibrations of both arms, and how good the choice is.

    Of each domain against the teacher and the truth, in this order; then share of the ideal choice's value, and recall.
    A dash where the day has no such figure; empty where it has none of them.
    """
    views = [(domain, reference) for domain in (SCORED, OWN) for reference in ("teacher", "truth")]
    rows = []
    for arm, title in (*ROWS, ("released", "released before this day")):
        found = {view: figures_of(evaluation, arm, *view) for view in views}
        if any(found.values()):
            order = found[OWN, "truth"]
            shares = [order[name] if order else None for name in ("value_share", "recall")]
            rows.append((title, [*(calibration(found[view]) for view in views), *(number(each, 3) for each in shares)]))
    return rows


def stage_rows(stages: pl.DataFrame) -> list[tuple[str, ...]]:
    """Rows of stage_calibration as texts."""
    names = {view: name for view, (name, *_) in COMPARISONS.items()}
    return [
        (
            f"{row['stage']}: {row['task']}",
            names.get((row["domain"], row["reference"]), f"{row['domain']}, {row['reference']}"),
            f"{row['rows']:,}",
            number(row["mean_prediction"], 5),
            number(row["mean_reference"], 5),
            number(row["calibration"], 3),
        )
        for row in stages.iter_rows(named=True)
    ]


def funnel_rows(funnel: pl.DataFrame, requests: int) -> list[dict[str, Any]]:
    """Steps of the funnel: step, rows, what they are a request and of the step above, and the length of their bar.

    Args:
        funnel: as of `contents.funnel_of`.
        requests: 0 leaves out what there is a request.

    Returns:
        step, rows, each (a request), share (of the line above) as texts, and width, the length in percent of the
        longest, on a logarithmic scale.
    """
    counts = funnel["rows"].to_list()
    most = math.log(max([*counts, 10]) + 1)
    return [
        {
            "step": step,
            "rows": f"{count:,}",
            "each": f"{count / requests:,.3g}" if requests else DASH,
            "share": f"{count / above:.1%}" if above else DASH,
            "width": round(100 * math.log(count + 1) / most, 1),
        }
        for step, count, above in zip(funnel["step"], counts, [0, *counts], strict=False)
    ]


def number(value: float | None, digits: int) -> str:
    """A figure as text, a dash where it is undefined."""
    return f"{value:.{digits}f}" if value is not None and math.isfinite(value) else DASH


def calibration(row: Mapping[str, Any] | None) -> str:
    """1.004 ± 0.012, a dash for nothing."""
    return DASH if row is None else _with_error(number(row["calibration"], 3), number(row["calibration_error"], 3), "")


def change(row: Mapping[str, Any] | None) -> str:
    """+1.98 ± 0.17%, a dash for nothing."""
    if row is None or row["ne_change"] is None or not math.isfinite(row["ne_change"]):
        return DASH
    error = row["ne_change_error"]
    return _with_error(
        f"{100 * row['ne_change']:+.2f}".replace("-", MINUS), number(None if error is None else 100 * error, 2), "%"
    )


def _row(evaluation: pl.DataFrame, arm: str, references: tuple[str, str]) -> list[str] | None:
    imp, cd = (figures_of(evaluation, arm, *view) for view in zip((IMP, CD), references, strict=True))
    if imp is None and cd is None:
        return None
    changes = ["0", "0"] if arm == "baseline" else [change(imp), change(cd)]
    return [calibration(imp), calibration(cd), *changes]


def _with_error(value: str, error: str, unit: str) -> str:
    return f"{value}{unit}" if error == DASH else f"{value}{SPACE}±{SPACE}{error}{unit}"
