"""What policies would earn, as the day's report shows it: by policy and reward, and how far from production."""

from collections.abc import Sequence
from typing import Any

import polars as pl
from markupsafe import Markup

from ukdsl_assets.declaration.cascade import Cascade
from ukdsl_assets.declaration.students import Student
from ukdsl_assets.off_policy.table import PooledEstimate, interval_of
from ukdsl_assets.pipeline.page_policy import Estimated
from ukdsl_assets.reports.champion import WHEN
from ukdsl_assets.reports.charts import Point, Series, dots
from ukdsl_assets.reports.off_policy import first_told, name_of, with_interval


def estimates_shown(cascade: Cascade, tables: Sequence[tuple[Estimated, pl.DataFrame]]) -> dict[str, Any] | None:
    """What the template shows of a day's estimates: pictures and cells; None where nothing was estimated.

    Args:
        tables: of each policy the day's rows of off_policy, with their column day.
    """
    told = [(name_of(of), when, one) for of, table in tables for when, one in first_told(cascade, table)]
    if not told:
        return None
    rewards = dict.fromkeys(one.reward for _, _, one in told)
    pictures = [_picture(reward, [(name, one) for name, _, one in told if one.reward == reward]) for reward in rewards]
    return {
        "pictures": [each for each in pictures if each is not None],
        "estimators": ", ".join(dict.fromkeys(one.estimator for _, _, one in told)),
        "rows": [
            (
                name,
                one.reward,
                f"{one.requests:,}, {WHEN[when]}",
                f"{one.effective:,.0f}",
                with_interval(one.value, one.rewarded),
                with_interval(one.production),
                with_interval(one.difference, one.rewarded, "+"),
            )
            for name, when, one in told
        ],
        "final": min(one.closed for _, _, one in told),
        "page": any(not isinstance(of, Student) for of, table in tables if len(table)),
    }


def _picture(reward: str, found: Sequence[tuple[str, PooledEstimate]]) -> Markup | None:
    """Each policy less production, with its interval; None where no policy has one."""
    points = []
    for row, (name, one) in enumerate(found):
        low, high = ends = interval_of(one.difference, one.rewarded)
        if low <= high:
            says = f"{name}, {reward}: {with_interval(one.difference, one.rewarded, '+')}"
            points.append(Point(row, one.difference.value, says=says, ends=ends))
    if not points:
        return None
    drawn = [Series("policy less production", "distilled", "circle", points)]
    return dots(f"{reward} a request", [name for name, _ in found], drawn, 0, "less production; right of 0 earns more")
