"""Figures of a report as inline SVG, and one PNG for the UI; the same figures give the same bytes.

Error bars are one standard error. Colours differ in lightness too and every arm has a marker of its own, so that
figures can be read in grey and by colour-blind people (palette: Okabe and Ito, https://jfly.uni-koeln.de/color/).
"""

import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from ukdsl_assets.declaration.columns import CD, IMP, SCORED
from ukdsl_assets.learning.evaluation.by_group import DECILE
from ukdsl_assets.reports.contents import VIEWS, serving_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches; 18 cm is what A4 leaves.
WIDTH = 7.1
# Groups of a segment that have a line of their own.
MOST_GROUPS = 12
NAMES = {"baseline": "baseline", "distilled": "with distillation"}
COLOURS = {"baseline": "#d55e00", "distilled": "#0072b2"}
MARKERS = {"baseline": "s", "distilled": "o"}
# (domain, reference) of stage_calibration -> name, colour, marker; those against the truth are hollow.
COMPARISONS = {
    (IMP, "label"): ("shown, against labels", "#0072b2", "o"),
    (CD, "teacher"): ("considered, against the next stage", "#d55e00", "s"),
    (IMP, "truth"): ("shown, against the truth", "#0072b2", "o"),
    (CD, "truth"): ("considered, against the truth", "#d55e00", "s"),
    (SCORED, "teacher"): ("all scored, against the next stage", "#595959", "^"),
    (SCORED, "truth"): ("all scored, against the truth", "#595959", "D"),
}
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


def funnel_svg(funnel: pl.DataFrame, requests: int) -> str:
    """How many candidates got how far, on a logarithmic scale; columns step and rows, steps without rows have no dot.

    Args:
        requests: for the number a request; 0 leaves it out.
    """
    with drawing(0.55 + 0.25 * max(len(funnel), 1)) as (figure, (axes,)):
        rows = funnel["rows"].to_list()
        axes.set_xscale("log")
        axes.set_xlim(0.7, max([*rows, 10]) * 2000)
        for position, (step, count) in enumerate(funnel.select("step", "rows").iter_rows()):
            chosen = step.startswith("scored by")
            colour = COLOURS["distilled"] if chosen else "#4d4d4d"
            if count > 0:
                axes.plot([0.7, count], [position] * 2, color=colour, linewidth=5, alpha=0.35, solid_capstyle="butt")
                axes.plot([count], [position], "o", color=colour)
            before = rows[position - 1] if position else 0
            parts = [f"{count:,}"]
            parts += [f"{count / requests:,.3g} a request"] if requests and chosen else []
            parts += [f"{count / before:.1%} of the line above"] if before else []
            axes.annotate(
                ", ".join(parts), (max(count, 0.7), position), (7, 0), textcoords="offset points", va="center"
            )
        axes.set_yticks(range(len(funnel)), funnel["step"].to_list())
        axes.invert_yaxis()
        # The room at the right is for the texts.
        _few_ticks(axes.xaxis, 1, max([*rows, 10]), (1,))
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("candidates (logarithmic scale)")
        return as_svg(figure)


def stage_calibration_svg(stages: pl.DataFrame) -> str:
    """Calibration of every stage's logged predictions by domain and reference; columns as in stage_calibration."""
    lines = stages.select("stage", "task").unique(maintain_order=True).rows()
    with drawing(0.95 + 0.42 * max(len(lines), 1)) as (figure, (axes,)):
        for number, ((domain, reference), (name, colour, marker)) in enumerate(COMPARISONS.items()):
            rows = stages.filter(pl.col("calibration").is_finite(), domain=domain, reference=reference)
            if len(rows):
                positions = [
                    lines.index(stage_and_task) + 0.13 * (number - 2)
                    for stage_and_task in rows.select("stage", "task").iter_rows()
                ]
                fill = "white" if reference == "truth" else colour
                axes.plot(
                    rows["calibration"], positions, marker, color=colour, label=name, markersize=5.5, mfc=fill, mew=1.3
                )
        axes.axvline(1, color="#262626", linewidth=0.9)
        axes.set_yticks(range(len(lines)), [f"{stage}: {task}" for stage, task in lines])
        axes.set_ylim(len(lines) - 0.5, -0.5)
        axes.set_xlabel("calibration: mean prediction over mean reference (1 is right, above is too high)")
        _legend(figure, axes, 3)
        return as_svg(figure)


def reliability_svg(groups: pl.DataFrame) -> str:
    """Mean reference against mean prediction by decile, both arms, on the diagonal where right; logarithmic scales.

    Deciles without a positive reference cannot be drawn and are left out.

    Args:
        groups: of one student and day, columns as in calibration_by_group and `day`.
    """
    views = [*VIEWS, (CD, "truth")]
    views = [view for view in views if any(len(deciles_of(groups, arm, *view)) for arm in NAMES)] or list(VIEWS)
    with drawing(2.75, len(views)) as (figure, every):
        for axes, view in zip(every, views, strict=True):
            _reliability(axes, groups, *view)
        _legend(figure, every[0], 3)
        return as_svg(figure)


def deciles_of(groups: pl.DataFrame, arm: str, domain: str, reference: str) -> pl.DataFrame:
    """The deciles of one arm and view that can be drawn on logarithmic scales, lowest first."""
    positive = (pl.col("mean_prediction") > 0) & (pl.col("mean_reference") > 0)
    return serving_rows(groups.filter(by=DECILE), arm, domain, reference).filter(positive).sort("group")


def segment_svg(groups: pl.DataFrame, segment: str) -> str:
    """Calibration of both arms by a segment's groups, those with the most rows first, at most `MOST_GROUPS`.

    Args:
        groups: as in `reliability_svg`; groups whose calibration is undefined are left out.
    """
    of_segment = groups.filter(pl.col("calibration").is_finite(), by=segment)
    names = largest_groups(of_segment)
    with drawing(0.95 + 0.2 * max(len(names), 1), len(VIEWS), sharey=True) as (figure, every):
        for axes, (domain, reference) in zip(every, VIEWS, strict=True):
            calibrations = [1.0]
            for shift, arm in ((-0.14, "baseline"), (0.14, "distilled")):
                rows = serving_rows(of_segment, arm, domain, reference).filter(pl.col("group").is_in(names))
                positions = [names.index(name) + shift for name in rows["group"]]
                _bars(axes, rows["calibration"], positions, arm, xerr=_errors(rows["calibration_error"]))
                calibrations += rows["calibration"].to_list()
            margin = 0.12 * (max(calibrations) - min(calibrations)) + 0.03
            # A group of a few rows has errors that would squeeze all others.
            axes.set_xlim(min(calibrations) - margin, max(calibrations) + margin)
            axes.axvline(1, color="#262626", linewidth=0.9)
            axes.set_title(f"{DOMAINS[domain]}, against {REFERENCES[reference]}")
            axes.set_xlabel("calibration")
        every[0].set_yticks(range(len(names)), [_short(name) for name in names])
        every[0].set_ylim(max(len(names), 1) - 0.5, -0.5)
        every[0].set_ylabel(_short(segment))
        _legend(figure, every[-1], 2)
        return as_svg(figure)


def largest_groups(of_segment: pl.DataFrame) -> list[str]:
    """The groups of a segment with the most considered rows, at most `MOST_GROUPS`, in that order."""
    counted = of_segment.group_by("group").agg(pl.col("rows").max()).sort("rows", "group", descending=[True, False])
    return counted["group"].head(MOST_GROUPS).to_list()


def trends_svg(trend: pl.DataFrame, bounds: tuple[float, float]) -> str:
    """NE relative to the baseline, and calibration on considered rows, by day.

    Args:
        trend: evaluation of one student on some days, with `day`; days without an error have a dot without a bar.
        bounds: calibrations that the gate allows, drawn as a band.
    """
    days = trend["day"].unique().sort().to_list()
    with drawing(2.6, 2) as (figure, (change, level)):
        for shift, (domain, reference), colour, marker in zip(
            (-0.06, 0.06), VIEWS, ("#595959", COLOURS["distilled"]), ("D", "o"), strict=True
        ):
            rows = _finite(serving_rows(trend, "distilled", domain, reference), "ne_change")
            change.errorbar(
                _positions(days, rows["day"], shift),
                100 * rows["ne_change"],
                yerr=100 * _errors(rows["ne_change_error"]),
                label=f"{DOMAINS[domain]}, against {REFERENCES[reference]}",
                color=colour,
                fmt=f"{marker}-",
            )
        change.axhline(0, color="#262626", linewidth=0.9)
        change.set_title("NE change to the baseline, % (below 0 is better)")
        change.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=1)
        level.axhspan(*bounds, color="#0072b2", alpha=0.08, linewidth=0, label="allowed by the gate")
        for shift, arm in ((-0.06, "baseline"), (0.06, "distilled")):
            rows = _finite(serving_rows(trend, arm, CD, "teacher"), "calibration")
            errors = _errors(rows["calibration_error"])
            _bars(level, _positions(days, rows["day"], shift), rows["calibration"], arm, line="-", yerr=errors)
        level.axhline(1, color="#262626", linewidth=0.9)
        level.set_title("Calibration on CD, against the teacher")
        level.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        shown = days[:: max(1, -(-len(days) // 7))]
        for axes in (change, level):
            axes.set_xticks(_positions(days, shown, 0), [f"{day:%m-%d}" for day in shown])
            axes.set_xlim(-0.5, (days[-1] - days[0]).days + 0.5 if days else 0.5)
        return as_svg(figure)


def overview_png(students: Mapping[str, tuple[pl.DataFrame, pl.DataFrame | None]]) -> bytes:
    """A small picture for the UI: of each student the reliability curve on considered rows and the calibrations.

    Args:
        students: name -> the day's evaluation and calibration_by_group (None: no curve); at least one, the first
            three are drawn.
    """
    drawn = list(students.items())[:3]
    with drawing(2.2 * len(drawn), 2, rows=len(drawn), width=6) as (figure, every):
        for (name, (evaluation, groups)), (curve, level) in zip(
            drawn, zip(*[iter(every)] * 2, strict=True), strict=True
        ):
            if groups is not None:
                _reliability(curve, groups, CD, "teacher")
            curve.set_title(f"{_short(name)}, CD")
            for shift, arm in ((-0.1, "baseline"), (0.1, "distilled")):
                rows = pl.concat(serving_rows(evaluation, arm, *view) for view in VIEWS)
                positions = [[IMP, CD].index(domain) + shift for domain in rows["domain"]]
                _bars(level, positions, rows["calibration"], arm, yerr=_errors(rows["calibration_error"]))
            level.axhline(1, color="#262626", linewidth=0.9)
            level.set_xticks([0, 1], ["IMP, against labels", "CD, against the teacher"])
            level.set_xlim(-0.5, 1.5)
            level.set_title("Calibration")
        every[1].legend(loc="best")
        target = BytesIO()
        figure.savefig(target, format="png", dpi=72, metadata={"Software": None})
        return target.getvalue()


@contextmanager
def drawing(
    height: float, columns: int = 1, rows: int = 1, width: float = WIDTH, sharey: bool = False
) -> Iterator[tuple["Figure", list["Axes"]]]:
    """A figure and its axes, drawn without pyplot's global state."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE), warnings.catch_warnings():
        # Browsers have fonts for scripts that the one which measures the text lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False, sharey=sharey)
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
        _few_ticks(axis, low, high)
    axes.set_title(f"{DOMAINS[domain]}, {REFERENCES[reference]}")
    axes.set_xlabel("mean prediction")
    axes.set_ylabel("mean reference")


def _few_ticks(axis: Any, low: float, high: float, steps: tuple[float, ...] = ()) -> None:
    """About four ticks at round numbers of each power of ten, fewer of each where there are many powers."""
    from matplotlib.ticker import FixedLocator, NullLocator

    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    span = high / low
    if not steps:
        limits = ((3, (1, 1.5, 2, 3, 4, 5, 7)), (8, (1, 2, 3, 5)), (150, (1, 2, 5)), (math.inf, (1,)))
        steps = next(round_steps for most, round_steps in limits if span <= most)
    ticks = [step * 10.0**power for power in powers for step in steps]
    axis.set_major_locator(FixedLocator([tick for tick in ticks if low <= tick <= high]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(_plain)


def _bars(axes: "Axes", x: Any, y: Any, arm: str, line: str = "", **errors: Any) -> None:
    fmt = f"{MARKERS[arm]}{line}" if line else MARKERS[arm]
    axes.errorbar(x, y, fmt=fmt, color=COLOURS[arm], label=NAMES[arm], elinewidth=1, **errors)


def _legend(figure: "Figure", axes: "Axes", columns: int) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _finite(rows: pl.DataFrame, column: str) -> pl.DataFrame:
    return rows.filter(pl.col(column).is_finite()).sort("day")


def _errors(column: pl.Series) -> Any:
    """Lengths of error bars, float64: 0 where the error is unknown."""
    return np.nan_to_num(column.cast(pl.Float64).fill_null(0.0).to_numpy(), posinf=0.0)


def _positions(days: Sequence[Any], of: Iterable[Any], shift: float) -> list[float]:
    return [(day - days[0]).days + shift for day in of]


def _plain(value: float, _: float | None = None) -> str:
    """0.02, 300, 20,000 instead of powers."""
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def _short(name: str) -> str:
    line = " ".join(name.split())
    return line if len(line) <= 22 else f"{line[:21]}…"
