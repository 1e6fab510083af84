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
OVER_PREDICTION = "over_prediction.png"


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


def write_figures(results: Iterable[Mapping[str, Any]], folder: Path) -> list[Path]:
    """Write the pictures of those results that have one, as PNG; returns what was written.

    Args:
        folder: is made where there is a picture.
    """
    written = []
    for result in results:
        for table in result["tables"]:
            if table["name"] == "parts" and table["lines"]:
                folder.mkdir(parents=True, exist_ok=True)
                # No date and no version of the library, so that the same numbers give the same file.
                over_prediction(table).savefig(folder / OVER_PREDICTION, dpi=120, metadata={"Software": None})
                written.append(folder / OVER_PREDICTION)
    return written
