"""From sums by visitor and day to those of two arms."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl

from ukdsl_assets.experiments.lift import Sums

# Columns of the frames that come in, beside one a metric.
VISITOR, ARM, DAY, PAGES = "visitor", "arm", "day", "pages"


class TwoArms(NamedTuple):
    """Sums of the visitors of both arms by metric, and how many visitors were in both and are left out."""

    metrics: Mapping[str, tuple[Sums, Sums]]
    visitors: tuple[int, int]
    pages: tuple[int, int]
    in_both: int


def two_arms(
    rows: pl.DataFrame, arms: Sequence[str], metrics: Sequence[str], before: pl.DataFrame | None = None
) -> TwoArms:
    """The sums of each visitor.

    Args:
        rows: visitor (String), arm (String), pages and one column a metric (numbers); some rows a visitor.
        arms: control and treatment; rows of another arm are left out.
        before: visitor, pages and the metrics of a time before the experiment; some rows a visitor, or none.

    Returns:
        Visitors in order of their ids, so that sums do not depend on the rows' order.
    """
    numbers = [PAGES, *metrics]
    counted = (
        rows.filter(pl.col(ARM).is_in(list(arms))).group_by(VISITOR, ARM).agg(pl.col(numbers).sum()).sort(VISITOR, ARM)
    )
    twice = counted.filter(pl.len().over(VISITOR) > 1)[VISITOR].n_unique()
    counted = counted.filter(pl.len().over(VISITOR) == 1)
    then = None
    if before is not None:
        # Beside `counted`, row for row: a metric may have any name.
        summed = before.group_by(VISITOR).agg(pl.col(numbers).sum())
        then = counted.select(VISITOR, ARM).join(summed, on=VISITOR, how="left", maintain_order="left").fill_null(0)
    control, treatment = (counted.filter(pl.col(ARM) == arm) for arm in arms)
    of_control, of_treatment = (None if then is None else then.filter(pl.col(ARM) == arm) for arm in arms)
    return TwoArms(
        {metric: (_sums(control, metric, of_control), _sums(treatment, metric, of_treatment)) for metric in metrics},
        (len(control), len(treatment)),
        (int(control[PAGES].sum()), int(treatment[PAGES].sum())),
        twice,
    )


def days_of(rows: pl.DataFrame) -> tuple[date, int] | None:
    """The first day, and how many there are up to the last one; None without rows or without a column of days."""
    if DAY not in rows.columns or not len(rows):
        return None
    first, last = rows[DAY].min(), rows[DAY].max()
    assert isinstance(first, date)
    assert isinstance(last, date)
    return first, (last - first).days + 1


def until(rows: pl.DataFrame, first: date, days: int) -> pl.DataFrame:
    """The rows of the first so many days."""
    return rows.filter(pl.col(DAY) < first + timedelta(days=days))


def effective_visitors(sums: Sums) -> float:
    """So many visitors of equally many pages say as much; 0 without pages."""
    squares = float((sums.pages**2).sum())
    return float(sums.pages.sum()) ** 2 / squares if squares else 0.0


def _sums(arm: pl.DataFrame, metric: str, before: pl.DataFrame | None) -> Sums:
    parts = [arm] if before is None else [arm, before]
    return Sums(*(part[name].to_numpy().astype(np.float64) for part in parts for name in (metric, PAGES)))
