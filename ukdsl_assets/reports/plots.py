"""Drawing with matplotlib: one PNG for the UI, and what further figures share; the same figures give the same bytes.

Error bars are one standard error. Colours differ in lightness too and every arm has a marker of its own, so that
figures can be read in grey and by colour-blind people (palette: Okabe and Ito, https://jfly.uni-koeln.de/color/).
"""

import math
import re
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP
from ukdsl_assets.reports.contents import VIEWS, serving_rows
from ukdsl_assets.reports.pictures import deciles_of
from ukdsl_assets.reports.svg import short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches; 18 cm is what A4 leaves.
WIDTH = 7.1
NAMES = {"baseline": "baseline", "distilled": "with distillation"}
COLOURS = {"baseline": "#d55e00", "distilled": "#0072b2"}
MARKERS = {"baseline": "s", "distilled": "o"}
DOMAINS = {IMP: "Shown (IMP)", CD: "Considered (CD)"}
REFERENCES = {"label": "labels", "teacher": "the teacher", "truth": "the truth"}
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ukdsl",
    # Names of groups are users' texts.
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "axes.titlesize": 8.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": "#8c8c8c",
    "axes.labelcolor": "#262626",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e3e3e3",
    "grid.linewidth": 0.6,
    "xtick.color": "#404040",
    "ytick.color": "#404040",
    "legend.frameon": False,
    "lines.markersize": 4,
    "lines.linewidth": 1.2,
}


def overview_png(students: Mapping[str, tuple[pl.DataFrame, pl.DataFrame | None]]) -> bytes:
    """A small picture for the UI: of each student the reliability curve on considered rows and the calibrations.

    Args:
        students: name -> the day's evaluation and calibration_by_group (None: no curve); at least one, the first
            three are drawn.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    drawn = list(students.items())[:3]
    height = 2.2 * len(drawn) + 0.2
    # Fixed margins: computed from every text they took a quarter of the time.
    with drawing(height, 2, rows=len(drawn), width=6, layout=None, width_ratios=(4, 5)) as (figure, every):
        figure.subplots_adjust(0.1, 0.75 / height, 0.985, 1 - 0.25 / height, wspace=0.2, hspace=0.55)
        for (name, (evaluation, groups)), (curve, level) in zip(
            drawn, zip(*[iter(every)] * 2, strict=True), strict=True
        ):
            if groups is not None:
                _reliability(curve, groups, CD, "teacher")
            curve.set_title(f"{short(name)}, CD")
            for shift, arm in ((-0.1, "baseline"), (0.1, "distilled")):
                rows = pl.concat(serving_rows(evaluation, arm, *view) for view in VIEWS)
                positions = [[IMP, CD].index(domain) + shift for domain in rows["domain"]]
                _bars(level, positions, rows["calibration"], arm, yerr=_errors(rows["calibration_error"]))
            level.axhline(1, color="#262626", linewidth=0.9)
            level.set_xticks([0, 1], ["IMP, against labels", "CD, against the teacher"])
            level.set_xlim(-0.5, 1.5)
            level.set_title("Calibration")
        figure.legend(*every[1].get_legend_handles_labels(), loc="lower right", ncols=2)
        target = BytesIO()
        figure.set_dpi(72)
        # `savefig` would draw the figure twice: the first time for its layout alone.
        FigureCanvasAgg(figure).print_png(target, metadata={"Software": None})
        return target.getvalue()


# Matplotlib's settings, fonts and warnings are the process's, and steps may draw at once.
_ONE_PICTURE = threading.RLock()


@contextmanager
def drawing(
    height: float,
    columns: int = 1,
    rows: int = 1,
    width: float = WIDTH,
    layout: Literal["constrained"] | None = "constrained",
    **subplots: Any,
) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure and its axes, drawn without pyplot's global state; `subplots` are arguments of `Figure.subplots`."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with _ONE_PICTURE, rc_context(_STYLE), warnings.catch_warnings():
        # Browsers have fonts for scripts that the one which measures the text lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout=layout)
        axes = figure.subplots(rows, columns, squeeze=False, **subplots)
        yield figure, list(axes.flat)


def as_svg(figure: "Figure") -> str:
    """The figure as an element for HTML: no prolog, date, namespaces or ids of groups, as wide as its place allows."""
    target = BytesIO()
    figure.savefig(target, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = target.getvalue().decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    head, rest = text.split(">", 1)
    box = re.search(r'viewBox="[^"]*"', head)
    assert box, "matplotlib writes a viewBox"
    rest = rest.replace("'DejaVu Sans'", "Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans'")
    return f'<svg {box[0]} aria-hidden="true">{rest}'.strip()


def _reliability(axes: "Axes", groups: pl.DataFrame, domain: str, reference: str) -> None:
    means: list[float] = []
    for arm in NAMES:
        rows = deciles_of(groups, arm, domain, reference)
        # The prediction's mean is known; the error of their ratio is the reference's.
        share = _errors(rows["calibration_error"]) / rows["calibration"].to_numpy()
        error = rows["mean_reference"].to_numpy() * np.minimum(np.nan_to_num(share), 0.9)
        # Labels scatter: a line through them would show chance.
        line = "" if reference == "label" else "-"
        _bars(axes, rows["mean_prediction"], rows["mean_reference"], arm, line=line, yerr=error)
        means += [*rows["mean_prediction"], *rows["mean_reference"]]
    low, high = (min(means) / 1.4, max(means) * 1.4) if means else (0.01, 1.0)
    axes.plot([low, high], [low, high], color="#262626", linewidth=0.9, label="right")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        few_ticks(axis, low, high)
    axes.set_title(f"{DOMAINS[domain]}, {REFERENCES[reference]}")
    axes.set_xlabel("mean prediction")
    axes.set_ylabel("mean reference")


def few_ticks(axis: Any, low: float, high: float) -> None:
    """About four ticks at round numbers of each power of ten, fewer of each where there are many powers."""
    from matplotlib.ticker import FixedLocator, NullLocator

    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    span = high / low
    limits = ((3, (1, 1.5, 2, 3, 4, 5, 7)), (8, (1, 2, 3, 5)), (150, (1, 2, 5)), (math.inf, (1,)))
    steps = next(round_steps for most, round_steps in limits if span <= most)
    ticks = [step * 10.0**power for power in powers for step in steps]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}")


def _bars(axes: "Axes", x: Any, y: Any, arm: str, line: str = "", **errors: Any) -> None:
    fmt = f"{MARKERS[arm]}{line}" if line else MARKERS[arm]
    axes.errorbar(x, y, fmt=fmt, color=COLOURS[arm], label=NAMES[arm], elinewidth=1, **errors)


def _errors(column: pl.Series) -> Any:
    """Lengths of error bars, float64: 0 where the error is unknown."""
    return np.nan_to_num(column.cast(pl.Float64).fill_null(0.0).to_numpy(), posinf=0.0)
