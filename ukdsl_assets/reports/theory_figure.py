"""Figure 2 of the paper, redrawn from the table `two_stage_calibration`, for print and for the UI."""

from io import BytesIO
from typing import TYPE_CHECKING, Literal

import polars as pl

from ukdsl_assets.reports.plots import drawing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {
    "cross_stage_calibration": "a. Stage 1 over stage 2",
    "stage_1_calibration": "b. Stage 1 over the truth",
    "stage_2_calibration": "c. Stage 2 over the truth",
}
SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
# Lightness and marker tell the noise levels apart in grey too.
LEVELS = (("#7fb8de", "o"), ("#0072b2", "s"), ("#00324f", "^"))


def two_stage_figure(table: pl.DataFrame, kind: Literal["png", "pdf"], dots: int = 300) -> bytes:
    """Three panels, calibration on S_1 against k1, a curve a noise level; lines are closed forms, markers were drawn.

    The same table gives the same bytes.

    Args:
        table: columns of `two_stage_calibration`.
        kind: png for screens, pdf for print.
        dots: of a PNG, an inch.
    """
    on_s1 = table.filter(pl.col("k2").is_null())
    with drawing(2.75, len(PANELS), sharey=True) as (figure, every):
        for axes, (column, title) in zip(every, PANELS.items(), strict=True):
            _panel(axes, on_s1, column)
            axes.set_title(title)
        every[0].set_ylabel("calibration on S₁")
        handles, labels = every[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        target = BytesIO()
        nothing = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None}}
        figure.savefig(target, format=kind, dpi=dots, metadata=nothing[kind])
        return target.getvalue()


def _panel(axes: "Axes", table: pl.DataFrame, column: str) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator

    independent = table.filter(law="classical", rho=0.0)
    for tau1, (colour, marker) in zip(independent["tau1"].unique().sort(), LEVELS, strict=True):
        rows = independent.filter(tau1=tau1).sort("k1")
        name = f"τ₁ = {tau1:g}{SIGMA}, τ₂ = {rows['tau2'][0]:g}{SIGMA}"
        axes.plot(rows["k1"], rows[column], color=colour)
        axes.errorbar(
            rows["k1"], rows[f"drawn_{column}"], yerr=rows[f"drawn_{column}_error"], fmt=marker, color=colour, ms=3
        )
        axes.plot([], [], f"{marker}-", color=colour, label=name)
    correlated = table.filter(pl.col("rho") > 0).sort("k1")
    name = f"τ₁ = {correlated['tau1'][0]:g}{SIGMA}, errors correlated {correlated['rho'][0]:g}"
    axes.plot(correlated["k1"], correlated[column], "--", color="#d55e00", label=name)
    nested = table.filter(law="nested").sort("k1")
    axes.plot(nested["k1"], nested[column], ":", color="#262626", label="nested Bayes")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator([6, 12, 25, 50, 100, 300]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter("{x:.0f}")
    axes.set_xlabel(f"selected by stage 1, of {table['n'][0]}")
