"""A diagnosis as one HTML file that needs nothing else, with its pictures."""

import math
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ukdsl_assets.declaration.columns import CD, EXPLORED, IMP, SCORED
from ukdsl_assets.learning.evaluation.by_group import DECILE
from ukdsl_assets.learning.evaluation.diagnosis import Gain
from ukdsl_assets.pipeline.diagnosis import LABEL, Comparison, Diagnosis, Group
from ukdsl_assets.reports.cells import DASH
from ukdsl_assets.reports.diagnosis import (
    GAINS,
    JUDGED_HOW,
    by_stage,
    cut,
    groups_of,
    interval_told,
    main_comparisons,
    not_judged,
    on_rows,
    over_prediction,
    read_line,
    segments_counted,
    title,
    verdicts,
    worst_segments,
)
from ukdsl_assets.reports.page import page_environment, style_sheet
from ukdsl_assets.reports.plots import as_svg, drawing, few_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Surely wrong segments that the page lists.
MOST_SEGMENTS = 30
# Figures of `Gain` that are fitted and judged on different requests.
_FITTED = ("level", "line", "monotone")
_COLOURS = {SCORED: "#595959", CD: "#d55e00", IMP: "#0072b2", EXPLORED: "#009e73"}
# Mean prediction over mean of what came.
_TICKS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1, 1.05, 1.1, 1.2, 1.5, 2, 3, 4, 6, 11, 21, 51)
_MARKERS = {SCORED: "^", CD: "s", IMP: "o", EXPLORED: "D"}


def render_diagnosis(diagnosis: Diagnosis) -> str:
    """The HTML text; equal diagnoses give the same text."""
    environment = page_environment()
    judged = [each for every in by_stage(diagnosis) for each in every if not each.not_judged]
    return environment.get_template("diagnosis.html.jinja").render(
        title=title(diagnosis),
        read=read_line(diagnosis),
        css=style_sheet(),
        verdicts=verdicts(diagnosis),
        levels=Markup(levels_svg(diagnosis)) if judged else None,
        level_rows=[_level(each) for each in judged],
        reliability=Markup(reliability_svg(diagnosis)) if judged else None,
        gain_heads=[head for head, _ in GAINS.values()],
        gain_rows=[_figures(each, each.gain) for each in judged if each.gain is not None],
        change_heads=[GAINS[name][0] for name in _FITTED],
        change_rows=[_changes(each, each.gain) for each in judged if each.gain is not None],
        meanings=[*GAINS.values()],
        judged_how=JUDGED_HOW,
        segments=segments_counted(diagnosis),
        segment_rows=[_segment(diagnosis, group) for group in worst_segments(diagnosis)[:MOST_SEGMENTS]],
        not_judged=not_judged(diagnosis),
        scored=[(stage, f"{rows:,}") for stage, rows in diagnosis.scored.items()],
    )


def levels_svg(diagnosis: Diagnosis) -> str:
    """Over-prediction of every stage by rows, with its 95% interval; hollow where events judge."""
    stages = by_stage(diagnosis)
    with drawing(0.95 + 0.5 * len(stages)) as (figure, (axes,)):
        axes.set_xscale("log")
        ends = [1 / 1.05, 1.05]
        for position, every in enumerate(stages):
            judged = [each for each in every if not each.not_judged]
            for number, each in enumerate(judged):
                y = position + 0.14 * (number - (len(judged) - 1) / 2)
                fill = "white" if each.reference == LABEL else _COLOURS[each.domain]
                error = [[each.calibration - each.low], [each.high - each.calibration]]
                axes.errorbar(
                    [each.calibration],
                    [y],
                    xerr=error,
                    fmt=_MARKERS[each.domain],
                    color=_COLOURS[each.domain],
                    mfc=fill,
                    label=f"{_ROW_NAMES[each.domain]}, by {'events' if each.reference == LABEL else 'the next stage'}",
                )
                ends += [each.low, each.high]
        low, high = max(min(ends), 1e-3) / 1.05, min(max(ends), 1e3) * 1.05
        axes.set_xlim(low, high)
        _ticks_in_percent(axes, low, high)
        axes.axvline(1, color="#262626", linewidth=0.9)
        axes.set_yticks(range(len(stages)), [f"{every[0].stage}: {every[0].task}" for every in stages])
        axes.set_ylim(len(stages) - 0.5, -0.5)
        axes.set_xlabel("over-prediction (logarithmic scale; 0% is right)")
        named = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=3)
        return as_svg(figure)


def reliability_svg(diagnosis: Diagnosis) -> str:
    """What came against what was predicted, by decile of the prediction: a picture a stage and task."""
    stages = [every for every in by_stage(diagnosis) if main_comparisons(every)]
    columns = min(len(stages), 3)
    with drawing(2.75 * math.ceil(len(stages) / columns), columns, math.ceil(len(stages) / columns)) as (figure, axes):
        for each_axes, every in zip(axes, stages, strict=False):
            _reliability(each_axes, diagnosis, every)
        for unused in axes[len(stages) :]:
            unused.set_visible(False)
        named: dict[str, Any] = {}
        for each_axes in axes[: len(stages)]:
            named |= dict(zip(*reversed(each_axes.get_legend_handles_labels()), strict=True))
        figure.legend(list(named.values()), list(named), loc="outside lower center", ncols=3)
        return as_svg(figure)


_ROW_NAMES = {SCORED: "all scored", CD: "went on", IMP: "shown", EXPLORED: "shown by chance"}


def _ticks_in_percent(axes: "Axes", low: float, high: float) -> None:
    """At most about nine ticks: round shares of what came."""
    ticks = [each for each in _TICKS if low <= each <= high]
    while len(ticks) > 9:
        ticks = ticks[ticks.index(1) % 2 :: 2]
    axes.set_xticks(ticks, [f"{100 * (each - 1):+.0f}%" if each != 1 else "0%" for each in ticks])
    axes.minorticks_off()


def _reliability(axes: "Axes", diagnosis: Diagnosis, every: list[Comparison]) -> None:
    means: list[float] = []
    for each in main_comparisons(every):
        groups = [g for g in groups_of(diagnosis, each, DECILE) if not g.not_judged and g.mean_prediction > 0]
        predicted, came = [g.mean_prediction for g in groups], [g.mean_reference for g in groups]
        error = [[c - g.mean_prediction / g.high for c, g in zip(came, groups, strict=True)]]
        error += [[g.mean_prediction / g.low - c for c, g in zip(came, groups, strict=True)]]
        axes.errorbar(
            predicted,
            came,
            yerr=error,
            fmt=_MARKERS[each.domain],
            color=_COLOURS[each.domain],
            mfc="white" if each.reference == LABEL else _COLOURS[each.domain],
            elinewidth=1,
            label=f"{_ROW_NAMES[each.domain]}, by {'events' if each.reference == LABEL else 'the next stage'}",
        )
        means += [*predicted, *came]
    low, high = (min(means) / 1.4, max(means) * 1.4) if means else (0.01, 1.0)
    axes.plot([low, high], [low, high], color="#262626", linewidth=0.9, label="right")
    for scale, limits in ((axes.set_xscale, axes.set_xlim), (axes.set_yscale, axes.set_ylim)):
        scale("log")
        limits(low, high)
    axes.set_aspect("equal")
    for axis in (axes.xaxis, axes.yaxis):
        few_ticks(axis, low, high)
    axes.set_title(f"{every[0].stage}: {every[0].task}")
    axes.set_xlabel("mean prediction")
    axes.set_ylabel("mean of what came")


def _level(each: Comparison) -> tuple[str, ...]:
    return (
        f"{each.stage}: {each.task}",
        on_rows(each),
        f"{each.rows:,}",
        f"{each.mean_prediction:.5f}",
        f"{each.mean_reference:.5f}",
        over_prediction(each.calibration),
        interval_told(each.low, each.high),
    )


def _figures(each: Comparison, gain: Gain) -> tuple[str, ...]:
    figures = (getattr(gain, name) for name in GAINS)
    cells = (f"{figure:.4f}" if math.isfinite(figure) else DASH for figure in figures)
    return (f"{each.stage}: {each.task}", on_rows(each), *cells)


def _changes(each: Comparison, gain: Gain) -> tuple[str, ...]:
    cells = (f"{100 * gain.change(name):+.3f} ± {100 * getattr(gain, f'{name}_change_error'):.3f}%" for name in _FITTED)
    return (f"{each.stage}: {each.task}", on_rows(each), *cells)


def _segment(diagnosis: Diagnosis, group: Group) -> tuple[str, ...]:
    names = ("stage", "task", "domain", "reference")
    who = tuple(getattr(group, name) for name in names)
    of = next(each for each in diagnosis.comparisons if tuple(getattr(each, name) for name in names) == who)
    return (
        cut(f"{group.by} = {group.group}", 40),
        f"{group.stage}: {group.task}",
        on_rows(of),
        f"{group.rows:,}",
        over_prediction(group.calibration),
        interval_told(group.low, group.high),
    )
