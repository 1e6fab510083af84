"""The pictures of a report, of its tables: what they show, in which words; how marks are drawn is `charts.py`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl
from markupsafe import Markup

from ukdsl_assets.declaration.columns import CD, GIVEN, IMP, OWN, PRODUCT, SCORED
from ukdsl_assets.learning.evaluation.by_group import DECILE
from ukdsl_assets.reports.charts import Axis, Point, Series, curves, dots, legend
from ukdsl_assets.reports.contents import VIEWS, StudentReport, figures_of, serving_rows
from ukdsl_assets.reports.glossary import ROWS

# Groups of a segment that have a line of their own.
MOST_GROUPS = 12
# Students of the first picture that have all their rows; of more, each has two.
MOST_WHOLE = 4
ARMS = {"baseline": ("baseline", "square"), "distilled": ("with distillation", "circle")}
REFERENCES = {"label": "labels", "teacher": "the teacher", "truth": "the truth"}
CALIBRATION = "calibration, ratio scale"
# (domain, reference) of stage_calibration -> name, class and shape; marks against the truth are hollow.
COMPARISONS = {
    (IMP, "label"): ("shown, against labels", "distilled", "circle"),
    (IMP, "truth"): ("shown, against the truth", "distilled", "circle"),
    (CD, "teacher"): ("ranked, against the next stage", "baseline", "square"),
    (CD, "truth"): ("ranked, against the truth", "baseline", "square"),
    (SCORED, "teacher"): ("all scored, against the next stage", "plain", "triangle"),
    (SCORED, "truth"): ("all scored, against the truth", "plain", "diamond"),
}


def overview(students: Sequence[StudentReport]) -> Markup | None:
    """The picture that says most: how far off each student is without and with distillation, on which rows.

    None where no student has figures.
    """
    rows: list[str] = []
    headings: list[int] = []
    levels = {arm: Series(name, arm, shape, []) for arm, (name, shape) in ARMS.items()}
    changes = Series(ARMS["distilled"][0], "distilled", "circle", [])
    for each in students:
        views = told_views(each.evaluation)
        if not views:
            continue
        headings.append(len(rows))
        rows.append(each.student.name)
        for domain, reference in views if len(students) <= MOST_WHOLE else views[:1] + views[-1:]:
            found = {arm: figures_of(each.evaluation, arm, domain, reference) for arm in ARMS}
            for arm, row in found.items():
                if row is not None and _positive(row["calibration"]):
                    says = (
                        f"{each.student.name}, {ROWS[domain]}, {ARMS[arm][0]}: calibration {_told(row, 'calibration')}"
                    )
                    levels[arm].points.append(Point(len(rows), row["calibration"], row["calibration_error"], says))
            row = found["distilled"]
            if row is not None and _finite(row["ne_change"]):
                error = None if row["ne_change_error"] is None else 100 * row["ne_change_error"]
                says = f"{each.student.name}, {ROWS[domain]}: NE {_told(row, 'ne_change', '+.2%')}"
                changes.points.append(Point(len(rows), 100 * row["ne_change"], error, says))
            rows.append(f"{ROWS[domain]}: {_short_reference(reference)}")
    if not rows:
        return None
    drawn = [
        dots("Are predictions at the right level?", rows, [*levels.values()], 1, CALIBRATION, True, headings),
        dots(
            "Are they more accurate than without?",
            rows,
            [changes],
            0,
            "NE change to the baseline; below 0 is better",
            headings=headings,
            unit="%",
        ),
    ]
    return _panels(drawn, legend([*levels.values()], [("right", "right, or no change")]))


def told_views(evaluation: pl.DataFrame) -> list[tuple[str, str]]:
    """The rows and references that a day's figures are first told by: labels, then the teacher, else the truth."""
    there = set(evaluation.select("domain", "reference").iter_rows())
    if {(PRODUCT, "label"), (GIVEN, "teacher")} <= there:
        return [(PRODUCT, "label"), (GIVEN, "teacher")]
    views = [view for view in VIEWS if view in there]
    for domain in (SCORED, OWN):
        views += [(domain, reference) for reference in ("teacher", "truth") if (domain, reference) in there][:1]
    return views


def stage_calibration(stages: pl.DataFrame) -> Markup:
    """Calibration of every stage's logged predictions by domain and reference; columns as in stage_calibration."""
    lines = stages.select("stage", "task").unique(maintain_order=True).rows()
    series = []
    for (domain, reference), (name, kind, shape) in COMPARISONS.items():
        rows = stages.filter(pl.col("calibration").is_finite() & (pl.col("calibration") > 0))
        points = [
            Point(
                lines.index((row["stage"], row["task"])),
                row["calibration"],
                says=f"{row['stage']}, {name}: {row['calibration']:.3f}",
            )
            for row in rows.filter(domain=domain, reference=reference).iter_rows(named=True)
        ]
        series.append(Series(name, kind, shape, points, hollow=reference == "truth"))
    series = [each for each in series if each.points]
    names = [f"{stage}: {task}" for stage, task in lines]
    drawn = dots("Stages as they served", names, series, 1, CALIBRATION, True, row=38)
    return _panels([drawn], legend(series, [("right", "right")]))


def reliability(groups: pl.DataFrame) -> Markup:
    """Mean outcome against mean prediction by decile, both arms, on the diagonal where right; logarithmic scales.

    Deciles without a positive reference cannot be drawn and are left out.

    Args:
        groups: of one student and day, columns as in calibration_by_group and `day`.
    """
    views = [*VIEWS, (CD, "truth")]
    views = [view for view in views if any(len(deciles_of(groups, arm, *view)) for arm in ARMS)] or list(VIEWS)
    drawn = []
    for domain, reference in views:
        series = []
        for arm, (name, shape) in ARMS.items():
            points = []
            for row in deciles_of(groups, arm, domain, reference).iter_rows(named=True):
                # The prediction's mean is known; the error of their ratio is the reference's.
                share = min(_or_nothing(row["calibration_error"]) / row["calibration"], 0.9)
                says = f"{name}, decile {row['group']}: predicted {row['mean_prediction']:.4g}, "
                says += f"seen {row['mean_reference']:.4g}, {row['rows']:,} rows"
                points.append(Point(row["mean_prediction"], row["mean_reference"], share * row["mean_reference"], says))
            # Labels scatter: a line through them would show chance.
            series.append(Series(name, arm, shape, points, joined=reference != "label"))
        title = f"{ROWS[domain].capitalize()} rows, by {REFERENCES[reference]}"
        drawn.append(curves(title, series, Axis("mean prediction", True), Axis("mean outcome", True)))
    return _panels(drawn, legend(_legend_of_arms(), [("right", "right")]))


def deciles_of(groups: pl.DataFrame, arm: str, domain: str, reference: str) -> pl.DataFrame:
    """The deciles of one arm and view that can be drawn on logarithmic scales, lowest first."""
    positive = (pl.col("mean_prediction") > 0) & (pl.col("mean_reference") > 0)
    return serving_rows(groups.filter(by=DECILE), arm, domain, reference).filter(positive).sort("group")


def segment(groups: pl.DataFrame, name: str) -> Markup:
    """Calibration of both arms by a segment's groups, those with the most rows first, at most `MOST_GROUPS`.

    Args:
        groups: as in `reliability`; groups whose calibration is undefined or 0 are left out.
    """
    of_segment = groups.filter(pl.col("calibration").is_finite() & (pl.col("calibration") > 0), by=name)
    names = largest_groups(of_segment)
    drawn = []
    for domain, reference in VIEWS:
        series = []
        for arm, (title, shape) in ARMS.items():
            rows = serving_rows(of_segment, arm, domain, reference).filter(pl.col("group").is_in(names))
            points = [
                Point(
                    names.index(row["group"]),
                    row["calibration"],
                    row["calibration_error"],
                    f"{row['group']}, {title}: {_told(row, 'calibration')}",
                )
                for row in rows.iter_rows(named=True)
            ]
            series.append(Series(title, arm, shape, points))
        title = f"{name}: {ROWS[domain]} rows, by {REFERENCES[reference]}"
        drawn.append(dots(title, names, series, 1, "calibration (ratio scale)", True))
    return _panels(drawn, legend(_legend_of_arms(), [("right", "right")]))


def largest_groups(of_segment: pl.DataFrame) -> list[str]:
    """The groups of a segment with the most rows, at most `MOST_GROUPS`, in that order."""
    counted = of_segment.group_by("group").agg(pl.col("rows").max()).sort("rows", "group", descending=[True, False])
    return counted["group"].head(MOST_GROUPS).to_list()


def trend(evaluation: pl.DataFrame, bounds: tuple[float, float]) -> Markup:
    """NE relative to the baseline, and calibration on ranked rows, by day.

    Args:
        evaluation: of one student on some days, with `day`; days without an error have a dot without a bar.
        bounds: calibrations that the gate allows, drawn as a band.
    """
    days = evaluation["day"].unique().sort().to_list()
    at = Axis("day", ticks=_ticks(days), always=[0.0], least=1)
    changes = [
        Series(f"{ROWS[domain]}, by {REFERENCES[reference]}", kind, shape, points, joined=True)
        for (domain, reference), kind, shape in zip(VIEWS, ("plain", "distilled"), ("diamond", "circle"), strict=True)
        for points in [_by_day(days, serving_rows(evaluation, "distilled", domain, reference), "ne_change", 100)]
    ]
    levels = [
        Series(
            name, arm, shape, _by_day(days, serving_rows(evaluation, arm, CD, "teacher"), "calibration"), joined=True
        )
        for arm, (name, shape) in ARMS.items()
    ]
    first = curves("NE change to the baseline, %: below 0 is better", changes, at, Axis(""), right=0)
    second = curves("Calibration on ranked rows, by the teacher", levels, at, Axis(""), right=1, band=bounds)
    allowed = [("right", "right"), ("band", "allowed by the gate")]
    return _panels([first + legend(changes), second + legend(levels, allowed)], Markup())


def _by_day(days: Sequence[date], rows: pl.DataFrame, column: str, times: float = 1) -> list[Point]:
    kept = rows.filter(pl.col(column).is_finite()).sort("day")
    return [
        Point(
            (row["day"] - days[0]).days,
            times * row[column],
            times * _or_nothing(row[f"{column}_error"]),
            f"{row['day']}: {_told(row, column, '+.2%' if times != 1 else '.3f')}",
        )
        for row in kept.iter_rows(named=True)
    ]


def _ticks(days: Sequence[date]) -> list[tuple[float, str]]:
    return [((day - days[0]).days, f"{day:%m-%d}") for day in days[:: max(1, -(-len(days) // 7))]]


def _legend_of_arms() -> list[Series]:
    return [Series(name, arm, shape, [Point(0, 0)]) for arm, (name, shape) in ARMS.items()]


def _panels(drawn: Iterable[Markup], keys: Markup) -> Markup:
    each = Markup("").join(Markup('<div class="panel">{}</div>').format(panel) for panel in drawn)
    return Markup('<div class="panels">{}</div>{}').format(each, keys)


def _short_reference(reference: str) -> str:
    return REFERENCES[reference].removeprefix("the ")


def _told(row: Mapping[str, Any], column: str, form: str = ".3f") -> str:
    """1.270 ± 0.010, 12,345 rows"""
    error = row[f"{column}_error"]
    told = format(row[column], form) + (f" ± {error:{form.lstrip('+')}}" if _finite(error) else "")
    return f"{told}, {row['rows']:,} rows".replace("-", "\N{MINUS SIGN}")


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _positive(value: float | None) -> bool:
    return value is not None and math.isfinite(value) and value > 0


def _or_nothing(error: float | None) -> float:
    return error if error is not None and math.isfinite(error) else 0.0
