"""The picture of `ukdsl compare`: calibration and NE over days, a row a domain, as a file of its own."""

from io import BytesIO
from typing import Any, Literal

import polars as pl

from ukdsl_assets.reports.comparison import ARMS, VIEWS, Comparison
from ukdsl_assets.reports.plots import COLOURS, MARKERS, drawing

_COLOURS = {**COLOURS, "released": "#595959"}
_MARKERS = {**MARKERS, "released": "D"}
# Days that have a label on the axis.
_SHOWN_DAYS = 7


def comparison_picture(compared: Comparison, kind: Literal["png", "svg"]) -> bytes:
    """Calibration at the left, NE against the day's baseline at the right; bars are one standard error.

    The same figures give the same bytes.
    """
    views, days = compared.views, compared.days
    shown = days[:: max(1, -(-len(days) // _SHOWN_DAYS))]
    with drawing(2.2 * len(views) + 0.4, 2, rows=len(views)) as (figure, every):
        for view, level, change in zip(views, every[::2], every[1::2], strict=True):
            for number, (arm, name) in enumerate(ARMS.items()):
                rows = compared.rows(arm, view)
                style: dict[str, Any] = {"color": _COLOURS[arm], "fmt": f"{_MARKERS[arm]}-", "label": name}
                for axes, column, scale in ((level, "calibration", 1), (change, "ne_change", 100)):
                    drawn = rows.filter(pl.col(column).is_finite())
                    if drawn.is_empty() or (column, arm) == ("ne_change", "baseline"):
                        continue
                    positions = [(day - days[0]).days + 0.06 * (number - 1) for day in drawn["day"]]
                    errors = scale * drawn[f"{column}_error"].fill_null(0.0).fill_nan(0.0)
                    axes.errorbar(positions, scale * drawn[column], yerr=errors, **style)
            level.axhline(1, color="#262626", linewidth=0.9)
            change.axhline(0, color="#262626", linewidth=0.9)
            level.set_title(f"{VIEWS[view]}\ncalibration (1 is right)")
            change.set_title("\nNE to the day's baseline, % (below 0 is better)")
            for axes in (level, change):
                axes.set_xticks([(day - days[0]).days for day in shown], [f"{day:%m-%d}" for day in shown])
                axes.set_xlim(-0.5, (days[-1] - days[0]).days + 0.5)
        handles, labels = every[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3)
        target = BytesIO()
        dated = {"Date": None} if kind == "svg" else {"Software": None}
        figure.savefig(target, format=kind, dpi=144, metadata=dated)
        return target.getvalue()
