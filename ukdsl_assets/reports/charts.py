"""The two kinds of pictures of a report: dots beside names, and marks or curves over two axes, with their legend."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from ukdsl_assets.reports.svg import (
    FONT,
    WIDTH,
    Scale,
    around,
    box,
    label,
    line,
    mark,
    path,
    picture,
    plain,
    short,
    told,
)

_TOP, _BOTTOM = 30, 40


@dataclass(frozen=True)
class Point:
    """A figure at a place: of a row (its number) or of an x; what it says when pointed at, and its standard error.

    ends: of its bar, where that is no standard error either way; such a bar is never cut.
    """

    at: float
    value: float
    error: float | None = None
    says: str = ""
    ends: tuple[float, float] | None = None


@dataclass(frozen=True)
class Series:
    """Points of one kind. `kind` names their colour in the style sheet; hollow marks are against the truth."""

    name: str
    kind: str
    shape: str
    points: list[Point] = field(default_factory=list)
    hollow: bool = False
    joined: bool = False

    @property
    def classes(self) -> str:
        """Classes of its elements."""
        return f"{self.kind} hollow" if self.hollow else self.kind


def legend(series: Sequence[Series], further: Sequence[tuple[str, str]] = ()) -> Markup:
    """A list of what marks mean, those of series that have points; further: class and name of what is no mark."""
    keys = {}
    for each in series:
        if len(each.points):
            keys[each.name] = mark(8, 6, each.classes, each.shape)
    for kind, name in further:
        keys[name] = box(0, 1, 16, 11, kind) if kind == "band" else line(0, 6, 16, 6, kind)
    items = [
        Markup('<li><svg viewBox="0 0 16 12" width="16" height="12" aria-hidden="true">{}</svg> {}</li>').format(
            key, name
        )
        for name, key in keys.items()
    ]
    return Markup('<ul class="legend">{}</ul>').format(Markup("").join(items))


def dots(
    title: str,
    rows: Sequence[str],
    series: Sequence[Series],
    right: float,
    axis: str,
    ratio: bool = False,
    headings: Sequence[int] = (),
    unit: str = "",
    row: float = 23,
) -> Markup:
    """A row a name, each series a mark in it, with bars of one standard error that end at the frame.

    Args:
        rows: names from top to bottom; headings: numbers of rows whose names head those below.
        right: where a line marks the level that is right.
        ratio: a logarithmic axis, as ratios want.
        row: height of a row.
    """
    names = [short(name, 24) for name in rows]
    margin = 16 + 6.3 * max([len(name) for name in names] or [0])
    height = _TOP + row * max(len(rows), 1) + _BOTTOM
    low, high = around(_ends([point for each in series for point in each.points], right, ratio), (right,), ratio)
    across = Scale(low, high, margin, WIDTH - 10, ratio)
    bottom = height - _BOTTOM
    drawn = [label(0, 14, title, "title"), *_ticks_below(across, _TOP, bottom, unit)]
    drawn.append(line(across(right), _TOP, across(right), bottom, "right"))
    for number, name in enumerate(names):
        y = _TOP + row * (number + 0.5)
        drawn.append(label(0 if number in headings else 8, y + 4, name, "heading" if number in headings else ""))
        if number in headings and number:
            drawn.append(line(0, y - row / 2, WIDTH - 10, y - row / 2, "grid"))
    shifts = _shifts(len(series))
    for each, shift in zip(series, shifts, strict=True):
        for point in each.points:
            y = _TOP + row * (point.at + 0.5 + shift)
            drawn.append(_marked(across, None, point, y, each))
    drawn.append(label(WIDTH - 10, height - 6, axis, "quiet", "end"))
    return picture(height, drawn, f"{title}. {axis}.")


@dataclass(frozen=True)
class Axis:
    """What an axis says: its words, whether it is logarithmic, ticks with words, and values it always holds."""

    words: str
    ratio: bool = False
    ticks: Sequence[tuple[float, str]] | None = None
    always: Sequence[float] = ()
    least: float = 0.1


def curves(
    title: str,
    series: Sequence[Series],
    x: Axis,
    y: Axis,
    right: float | None = None,
    band: tuple[float, float] | None = None,
) -> Markup:
    """Marks over two axes, those of a joined series with a line through them, bars of one standard error upright.

    Args:
        right: where a level line marks what is right; None for the diagonal, on which both axes say the same.
        band: two levels between which is allowed.
    """
    height, margin = (WIDTH * 0.85 if right is None else WIDTH * 0.62), 50
    points = [point for each in series for point in each.points]
    if right is None:
        low, high = around([v for p in points for v in (p.at, p.value)], [*x.always], True, x.least)
        left, end = low, high
    else:
        left, end = around([p.at for p in points], x.always, x.ratio, x.least)
        low, high = around(_ends(points, right, y.ratio), [right, *y.always], y.ratio, y.least)
    bottom = height - _BOTTOM
    across, up = Scale(left, end, margin, WIDTH - 10, x.ratio), Scale(low, high, bottom, _TOP, y.ratio)
    drawn = [label(0, 14, title, "title")]
    if band:
        drawn.append(box(margin, up.cut(band[0]), WIDTH - 10, up.cut(band[1]), "band"))
    drawn += _ticks_below(across, _TOP, bottom, ticks=x.ticks)
    for tick in up.ticks(5):
        drawn.append(line(margin, up(tick), WIDTH - 10, up(tick), "grid"))
        drawn.append(label(margin - 6, up(tick) + 4, plain(tick), "quiet", "end"))
    start = (up(low), up(high)) if right is None else (up(right), up(right))
    drawn.append(line(margin, start[0], WIDTH - 10, start[1], "right"))
    for each in series:
        if each.joined:
            drawn.append(path([(across(p.at), up.cut(p.value)) for p in each.points], f"line {each.kind}"))
        drawn += [_marked(None, up, point, across(point.at), each) for point in each.points]
    drawn.append(label(margin, height - 6, f"across: {x.words}; up: {y.words}" if y.words else x.words, "quiet"))
    return picture(height, drawn, f"{title}. Across: {x.words}. Up: {y.words or title}.")


def _ticks_below(
    across: Scale, top: float, bottom: float, unit: str = "", ticks: Sequence[tuple[float, str]] | None = None
) -> list[Markup]:
    drawn = []
    for tick, words in ticks if ticks is not None else [(each, plain(each) + unit) for each in across.ticks()]:
        drawn.append(line(across(tick), top, across(tick), bottom, "grid"))
        drawn.append(label(across(tick), bottom + FONT + 4, words, "quiet", "middle"))
    return drawn


def _marked(across: Scale | None, up: Scale | None, point: Point, other: float, series: Series) -> Markup:
    """One mark and its bar, across or up; `other` is its place on the axis without a scale."""
    scale = across or up
    assert scale is not None
    ends = point.ends or (point.value - _of(point), point.value + _of(point))
    lower, upper = scale.cut(ends[0]), scale.cut(ends[1])
    place = scale.cut(point.value)
    if across is not None:
        bar, dot = line(lower, other, upper, other, f"bar {series.kind}"), (place, other)
    else:
        bar, dot = line(other, lower, other, upper, f"bar {series.kind}"), (other, place)
    bars = [bar] if abs(upper - lower) > 0.5 else []
    return told([*bars, mark(*dot, series.classes, series.shape)], point.says or f"{series.name}: {plain(point.value)}")


def _ends(points: Sequence[Point], right: float, ratio: bool) -> list[float]:
    """Values of points and the ends of their bars; of standard errors that would squeeze all else the value alone."""
    values = [right, *(point.value for point in points)]
    spread = max(values) - min(values)
    kept = [point for point in points if not point.ends and _of(point) <= (point.value / 2 if ratio else spread)]
    given = [end for point in points for end in point.ends or ()]
    return values + given + [point.value + sign * _of(point) for point in kept for sign in (-1, 1)]


def _of(point: Point) -> float:
    return point.error if point.error is not None and math.isfinite(point.error) else 0.0


def _shifts(count: int) -> list[float]:
    """Where in its row each of so many series stands, in rows."""
    step = min(0.26, 0.7 / max(count, 1))
    return [step * (number - (count - 1) / 2) for number in range(count)]
