"""Figures of a student's feature selection: both rankings side by side, and what was chosen on the days before."""

from io import BytesIO
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.reports.plots import as_svg, drawing
from ukdsl_assets.selection.choice import chosen_of
from ukdsl_assets.selection.gates import jaccard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Features that have a bar; of more, those that either ranking puts first.
MOST_FEATURES = 36
PANELS = {
    IMP: ("impression", "Shown rows, against labels"),
    CD: ("consideration", "Considered rows, against the teacher"),
}
CHOSEN, LEFT_OUT, ALONE = "#0072b2", "#b9bec4", "#d55e00"
ONLY_HERE = "\N{BLACK LEFT-POINTING SMALL TRIANGLE} only here"


def rankings_svg(importance: dict[str, pl.DataFrame], union: pl.DataFrame) -> str:
    """Importance on both sets, a bar a feature with one standard error, best mean rank first.

    Filled dark where the feature is chosen. Where a feature stands among the first of one ranking alone, as many as
    are chosen, its bar has an edge and says so.

    Args:
        importance: by domain (IMP, CD), a day's tables impression_importance and consideration_importance.
        union: the day's feature_union.
    """
    with drawing(_height(union), 2, sharey=True) as (figure, every):
        _rankings(figure, every, importance, union)
        return as_svg(figure)


def rankings_png(importance: dict[str, pl.DataFrame], union: pl.DataFrame) -> bytes:
    """The same picture for the UI."""
    with drawing(_height(union), 2, sharey=True) as (figure, every):
        _rankings(figure, every, importance, union)
        target = BytesIO()
        figure.savefig(target, format="png", dpi=80, metadata={"Software": None})
        return target.getvalue()


def first_in_one_ranking(union: pl.DataFrame) -> dict[str, set[str]]:
    """Features among the first of one ranking and not of the other, as many firsts as are chosen: ranking -> names."""
    size = len(chosen_of(union))
    first = {
        name: set(union.filter(pl.col(f"{name}_rank") <= size)["feature"]) for name in ("impression", "consideration")
    }
    return {
        "impression": first["impression"] - first["consideration"],
        "consideration": first["consideration"] - first["impression"],
    }


def stability_svg(days: pl.DataFrame) -> str:
    """Which features were chosen on which day, and how alike a day's choice is to that of the day before.

    Args:
        days: feature_union of one student on some days, with `day`; features that were never chosen are left out.
    """
    dates = days["day"].unique().sort().to_list()
    chosen = {day: set(chosen_of(days.filter(day=day))) for day in dates}
    often = days.filter(pl.col("place").is_not_null()).group_by("feature").agg(pl.len(), pl.col("place").mean())
    names = often.sort("len", "place", "feature", descending=[True, False, False])["feature"].to_list()
    with drawing(1.1 + 0.17 * max(len(names), 4), 2) as (figure, (grid, line)):
        grid.set_title("Chosen on which day")
        for row, name in enumerate(names):
            places = [at for at, day in enumerate(dates) if name in chosen[day]]
            grid.plot(places, [row] * len(places), "s", color=CHOSEN, markersize=5)
        grid.set_yticks(range(len(names)), names)
        grid.set_ylim(len(names) - 0.5, -0.5)
        alike = [jaccard(chosen[one], chosen[other]) for one, other in pairwise(dates)]
        line.plot(range(1, len(dates)), alike, "o-", color=CHOSEN)
        line.set_title("Jaccard index with the day before")
        line.set_ylim(0, 1.05)
        step = max(1, -(-len(dates) // 7))
        for axes in (grid, line):
            axes.set_xticks(range(0, len(dates), step), [f"{day:%m-%d}" for day in dates[::step]])
            axes.set_xlim(-0.5, len(dates) - 0.5)
        return as_svg(figure)


def _height(union: pl.DataFrame) -> float:
    return 1.0 + 0.17 * min(len(union), MOST_FEATURES)


def _rankings(figure: "Figure", every: "list[Axes]", importance: dict[str, pl.DataFrame], union: pl.DataFrame) -> None:
    from matplotlib.patches import Patch
    from matplotlib.ticker import FixedLocator

    best = pl.min_horizontal("impression_rank", "consideration_rank")
    mean = pl.col("impression_rank") + pl.col("consideration_rank")
    shown = union.sort(best, mean).head(MOST_FEATURES).sort(mean, "impression_rank")
    names = shown["feature"].to_list()
    chosen, alone = set(chosen_of(union)), first_in_one_ranking(union)
    for axes, (domain, (ranking, title)) in zip(every, PANELS.items(), strict=True):
        table = pl.DataFrame({"feature": names}).join(
            importance[domain], on="feature", how="left", maintain_order="left"
        )
        score = np.nan_to_num(table["score"].to_numpy())
        error = np.nan_to_num(table["standard_error"].to_numpy())
        colours = [CHOSEN if name in chosen else LEFT_OUT for name in names]
        edges = [ALONE if name in alone[ranking] else "none" for name in names]
        axes.barh(range(len(names)), score, color=colours, edgecolor=edges, linewidth=1.4, height=0.72)
        axes.errorbar(score, range(len(names)), xerr=error, fmt="none", ecolor="#404040", elinewidth=0.7)
        for row, name in enumerate(names):
            if name in alone[ranking]:
                axes.annotate(
                    ONLY_HERE,
                    (max(score[row] + error[row], 0), row),
                    (3, 0),
                    textcoords="offset points",
                    va="center",
                    color=ALONE,
                )
        axes.axvline(0, color="#262626", linewidth=0.9)
        most = float((score + error).max(initial=0.0))
        axes.set_xlim(min(float((score - error).min(initial=0.0)), 0) - 0.02 * most, 1.28 * most or 1.0)
        axes.set_title(title)
        # One feature often outweighs all others, whose bars should still be seen.
        axes.set_xscale("function", functions=(_root, _square))
        axes.xaxis.set_major_locator(FixedLocator(_ticks(most)))
        axes.set_xlabel("rise of NE when permuted (square-root scale)")
        axes.grid(axis="y", visible=False)
    every[0].set_yticks(range(len(names)), names)
    every[0].set_ylim(len(names) - 0.4, -0.6)
    handles = [Patch(color=colour, label=label) for colour, label in ((CHOSEN, "chosen"), (LEFT_OUT, "left out"))]
    handles.append(Patch(facecolor="none", edgecolor=ALONE, linewidth=1.4, label="first in one ranking alone"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(values) * np.sqrt(np.abs(values)))


def _square(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(values) * np.square(values))


def _ticks(most: float) -> list[float]:
    """0 and two round numbers up to `most`, one about a tenth of the other."""
    if not most > 0:
        return [0.0]
    power = 10.0 ** np.floor(np.log10(most))
    large = max(step * power for step in (1, 2, 5) if step * power <= most * (1 + 1e-9))
    return [0.0, float(f"{large / 10:.1g}"), float(f"{large:.1g}")]
