"""Pictures of studies' results, for the documentation's pages; all numbers are the results' own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# The steps from shown rows to all that a stage scores, and from there to what it would itself hand on.
PARTS = {
    "used on what was not shown": "all 80 that it scores against shown rows: used on what was not shown",
    "winner's curse, net": "its own 24 against all 80: winner's curse, net",
}
# Okabe and Ito, as in reports; their lightness differs too.
_COLOURS = ("#0072b2", "#d55e00")
OVER_PREDICTION, PAGE_CURVE = "over_prediction.png", "page_curve.png"
LIFT_BY_LEVEL = "lift_by_personalisation.png"


def over_prediction(table: Mapping[str, Any]) -> "Figure":
    """Both parts of over-prediction, a pair of bars an arm with standard errors.

    Args:
        table: `parts` of Table 1's result, as `evidence.summary.result_of` gives it.
    """
    from matplotlib.figure import Figure

    lines = table["lines"][::-1]
    figure = Figure(figsize=(8, 0.5 + 0.5 * len(lines)), layout="constrained")
    axes = figure.add_subplot()
    for at, (part, colour) in enumerate(zip(PARTS, _COLOURS, strict=True)):
        places = [place + 0.19 - 0.38 * at for place in range(len(lines))]
        means = [line[part]["mean"] for line in lines]
        errors = [line[part]["error"] or 0.0 for line in lines]
        axes.barh(places, means, 0.36, xerr=errors, color=colour, label=PARTS[part], error_kw={"elinewidth": 1})
        for place, mean, error in zip(places, means, errors, strict=True):
            end = mean + error if mean >= 0 else mean - error
            side = "left" if mean >= 0 else "right"
            axes.annotate(
                f"{mean:+.3f}", (end, place), (4 if mean >= 0 else -4, 0), textcoords="offset points", ha=side,
                va="center", fontsize=8,
            )  # fmt: skip
    axes.set_yticks(range(len(lines)), [line["arm"] for line in lines])
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.12)
    axes.set_xlabel("what it adds to calibration against the truth (0: nothing)")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside upper center", frameon=False)
    return figure


def page_curve(result: Mapping[str, Any]) -> "Figure":
    """Purchases against clicks by the weight of a purchase, without and with rules.

    Bars are standard errors of the difference to weight 0, paired by world: the level differs more from world to world.

    Args:
        result: of study `pages`, as `evidence.summary.result_of` gives it.
    """
    import numpy as np
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 5), layout="constrained")
    axes = figure.add_subplot()
    for rules, colour, marker, label in (
        ("no", _COLOURS[1], "s", "without rules"),
        ("yes", _COLOURS[0], "o", "with the declared rules"),
    ):
        lines = [[line for line in unit["rows"]["curve"] if line["rules"] == rules] for unit in result["units"]]
        weights = [line["weight"] for line in lines[0]]
        names = ("clicks vs static", "purchases vs static")
        # [worlds, weights, clicks and purchases]
        values = 100 * np.array([[[line[name] for name in names] for line in world] for world in lines])
        apart = values - values[:, :1]
        errors = apart.std(axis=0, ddof=1) / np.sqrt(len(lines)) if len(lines) > 1 else np.zeros(apart.shape[1:])
        x, y = values.mean(axis=0).T
        axes.errorbar(
            x, y, errors[:, 1], errors[:, 0], color=colour, marker=marker, label=label, linewidth=1.4, elinewidth=0.6
        )
        for place, weight in enumerate(weights):
            last = place == len(weights) - 1
            offset, side = ((-8, -14), "right") if last else ((7, 5), "left")
            axes.annotate(
                weight, (x[place], y[place]), offset, textcoords="offset points", ha=side, fontsize=8, color=colour
            )
    axes.set_xlabel("clicks of a page against the static configuration, %")
    axes.set_ylabel("its purchases, %")
    axes.margins(0.12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, title="weight of a purchase, a click has 1", loc="lower left")
    return figure


def lift_by_level(result: Mapping[str, Any]) -> "Figure":
    """Lift of each metric against the level of personalisation, with the mean ends of its interval and the paper's.

    Args:
        result: of the study `item-page-experiment`.
    """
    from matplotlib.figure import Figure

    (table,) = (table for table in result["tables"] if table["name"] == "lift")
    paper = {line["per page"]: float(line["lift"].rstrip("%")) for line in table["beside"]}
    figure = Figure(figsize=(8, 3.6), layout="constrained")
    for place, (metric, theirs) in enumerate(paper.items()):
        axes = figure.add_subplot(1, len(paper), place + 1)
        lines = [line for line in table["lines"] if line["per page"] == metric]
        levels = [float(line["personalisation"]) for line in lines]
        lift, low, high, true, one = (
            [100 * line[name]["mean"] for line in lines] for name in ("lift", "low", "high", "true lift", "one order")
        )
        axes.fill_between(levels, low, high, color=_COLOURS[0], alpha=0.2, linewidth=0, label="mean interval")
        axes.plot(levels, lift, "o-", color=_COLOURS[0], label="measured by the experiment")
        axes.plot(levels, true, "x", color="black", label="true")
        axes.plot(levels, one, ":", color="black", linewidth=1, label="true, best one order for all pages")
        axes.axhline(theirs, color=_COLOURS[1], linewidth=1.2, linestyle="--", label="paper's online test")
        axes.axhline(0, color="black", linewidth=0.8)
        axes.annotate(
            f"{theirs:+.2f}%", (levels[-1], theirs), (0, 3), textcoords="offset points", ha="right", fontsize=8
        )
        axes.set_title(f"{metric}s per page", fontsize=10)
        axes.set_xlabel("level of personalisation (1: the shipped world)")
        axes.set_ylabel("lift, %" if place == 0 else "")
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=8)
    return figure


def write_figures(results: Iterable[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write the pictures of those results that have one, as PNG; returns what was written.

    Args:
        folder: is made where there is a picture.
    """
    written = []
    for result in results:
        for table in result["tables"]:
            name, draw = _DRAWN.get((result["study"], table["name"]), ("", _of_table))
            if name and table["lines"]:
                folder.mkdir(parents=True, exist_ok=True)
                # No date and no version of the library, so that the same numbers give the same file.
                draw(result, table).savefig(folder / name, dpi=120, metadata={"Software": None})
                written.append(folder / name)
    return written


def _of_table(result: Mapping[str, Any], table: Mapping[str, Any]) -> "Figure":
    return over_prediction(table)


def _of_curve(result: Mapping[str, Any], table: Mapping[str, Any]) -> "Figure":
    return page_curve(result)


def _of_levels(result: Mapping[str, Any], table: Mapping[str, Any]) -> "Figure":
    return lift_by_level(result)


# (study, table) -> its picture.
_DRAWN = {
    ("table1", "parts"): (OVER_PREDICTION, _of_table),
    ("pages", "curve"): (PAGE_CURVE, _of_curve),
    ("item-page-experiment", "lift"): (LIFT_BY_LEVEL, _of_levels),
}
