"""Small pictures as inline SVG: scales, marks with error bars, axes; no colours of their own.

Classes of elements name what is drawn, and the page's style sheet gives them colours, so that one picture serves a
light page, a dark one and paper. A mark tells its figures when it is pointed at. Equal figures give equal text.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

# Units of a picture are the page's pixels at its usual width.
WIDTH = 380
FONT = 12
_RADIUS = 4.2


@dataclass(frozen=True)
class Scale:
    """Places values between two ends of an axis; with `ratio` on a logarithmic scale."""

    low: float
    high: float
    start: float
    end: float
    ratio: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.ratio:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return self.start + (at - low) / (high - low) * (self.end - self.start)

    def cut(self, value: float) -> float:
        """The place of a value that may lie outside: then of the nearer end."""
        return self(min(max(value, self.low), self.high))

    def ticks(self, most: int = 6) -> list[float]:
        """Round numbers inside the scale, at most about so many."""
        return _round_ratios(self.low, self.high, most) if self.ratio else _round_steps(self.low, self.high, most)


def _round_steps(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(each * power for each in (1, 2, 5, 10) if each * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def _round_ratios(low: float, high: float, most: int) -> list[float]:
    if high / low < 2.5:
        return [tick for tick in _round_steps(low, high, most) if tick > 0]
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,)):
        ticks = [float(f"{step * 10.0**power:.6g}") for power in powers for step in steps]
        inside = [tick for tick in ticks if low <= tick <= high]
        if len(inside) <= most + 1:
            return inside
    return inside[:: math.ceil(len(inside) / most)]


def around(
    values: Iterable[float], always: Sequence[float], ratio: bool = False, least: float = 0.1
) -> tuple[float, float]:
    """Ends of an axis that holds the finite values and those that are always there, with room at both sides.

    Args:
        ratio: of a logarithmic axis: values of 0 and below are left out, and room is a share of the ratio.
        least: the smallest difference, or ratio minus 1, of the ends.
    """
    held = [each for each in [*values, *always] if math.isfinite(each) and (each > 0 or not ratio)]
    low, high = (min(held), max(held)) if held else (0.5, 1.0)
    if ratio:
        room = max((high / low) ** 0.07, (1 + least) ** 0.5 if high / low < 1 + least else 1.02)
        return low / room, high * room
    room = max(0.07 * (high - low), (least - (high - low)) / 2, 1e-9)
    return low - room, high + room


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A straight line."""
    return Markup(f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>')


def box(x1: float, y1: float, x2: float, y2: float, kind: str) -> Markup:
    """A filled rectangle between two corners."""
    x, y, width, height = min(x1, x2), min(y1, y2), abs(x2 - x1), abs(y2 - y1)
    return Markup(f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>')


def label(x: float, y: float, content: str, kind: str = "", anchor: str = "start") -> Markup:
    """A line of text at its base line; anchor: start, middle or end."""
    return Markup('<text class="{}" x="{}" y="{}" text-anchor="{}">{}</text>').format(
        kind, f"{x:.1f}", f"{y:.1f}", anchor, content
    )


def path(places: Sequence[tuple[float, float]], kind: str) -> Markup:
    """A line through places."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return Markup(f'<polyline class="{kind}" points="{points}"/>') if len(places) > 1 else Markup("")


def mark(x: float, y: float, kind: str, shape: str) -> Markup:
    """A dot of a shape: circle, square, diamond or triangle."""
    r = _RADIUS
    corners = {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "diamond": ((0, -1.25), (1.25, 0), (0, 1.25), (-1.25, 0)),
        "triangle": ((0, -1.2), (1.1, 0.9), (-1.1, 0.9)),
    }
    if shape == "circle":
        return Markup(f'<circle class="dot {kind}" cx="{x:.1f}" cy="{y:.1f}" r="{r}"/>')
    points = " ".join(f"{x + r * dx:.1f},{y + r * dy:.1f}" for dx, dy in corners[shape])
    return Markup(f'<polygon class="dot {kind}" points="{points}"/>')


def told(content: Iterable[Markup], words: str) -> Markup:
    """Elements that say words when they are pointed at."""
    return Markup("<g><title>{}</title>{}</g>").format(words, Markup("").join(content))


def picture(height: float, content: Iterable[Markup], alt: str, width: float = WIDTH) -> Markup:
    """The whole picture; alt: what is seen, for those who do not see it."""
    body = Markup("").join(content)
    head = f'<svg viewBox="0 0 {width:.0f} {height:.0f}" font-size="{FONT}" role="img" aria-label="{escape(alt)}">'
    return Markup(head) + body + Markup("</svg>")


def short(name: str, most: int = 22) -> str:
    """A name on one line, its end left out where it is longer."""
    whole = " ".join(name.split())
    return whole if len(whole) <= most else f"{whole[: most - 1]}…"


def plain(value: float) -> str:
    """0.02, 300, 20,000 instead of powers."""
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
    return text.replace("-", "\N{MINUS SIGN}")
