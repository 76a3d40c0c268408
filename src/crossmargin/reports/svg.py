"""Inline SVG: scales, ticks, and elements that take their colours from the page's style sheet.

A picture states a size in its own units and is drawn at most that wide; its classes are those of `style.css`, so one
picture serves both themes and print.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from crossmargin.reports.markup import Content, Markup, element

DIGIT_WIDTH = 0.62
"""Width of a digit over the size of its type, for a wide sans-serif: room is planned for the widest."""


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from `low`..`high` to `start`..`stop` of the picture."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        fraction = (value - self.low) / span if span else 0.5
        return self.start + fraction * (self.stop - self.start)


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers inside `low`..`high`, 1, 2, 2.5 or 5 times a power of ten apart; about `about` of them."""
    if not high > low:
        return [low]
    rough = (high - low) / max(about, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step + 0.0 for k in range(first, last + 1)]


def coordinate(value: float) -> str:
    """A position to a tenth of a unit, without what is not needed."""
    return f"{value:.1f}".removesuffix(".0")


def rect(x: float, y: float, width: float, height: float, class_: str) -> Markup:
    """A rectangle; a negative width reaches to the left."""
    if width < 0:
        x, width = x + width, -width
    return element(
        "rect",
        x=coordinate(x),
        y=coordinate(y),
        width=coordinate(width),
        height=coordinate(height),
        class_=class_,
    )


def line(x1: float, y1: float, x2: float, y2: float, class_: str) -> Markup:
    """A straight line."""
    return element("line", x1=coordinate(x1), y1=coordinate(y1), x2=coordinate(x2), y2=coordinate(y2), class_=class_)


def circle(x: float, y: float, radius: float, class_: str) -> Markup:
    """A dot."""
    return element("circle", cx=coordinate(x), cy=coordinate(y), r=coordinate(radius), class_=class_)


def path(points: Iterable[tuple[float, float]], class_: str) -> Markup:
    """A line through points."""
    steps = "L".join(f"{coordinate(x)} {coordinate(y)}" for x, y in points)
    return element("path", d=f"M{steps}", class_=class_)


def edges(segments: Iterable[tuple[float, float, float, float]], class_: str) -> Markup:
    """Many straight pieces as one path."""
    steps = "".join(f"M{coordinate(a)} {coordinate(b)}L{coordinate(c)} {coordinate(d)}" for a, b, c, d in segments)
    return element("path", d=steps, class_=class_)


def text(x: float, y: float, content: str, class_: str = "", anchor: str = "start") -> Markup:
    """A line of text; `anchor` is `start`, `middle` or `end`."""
    return element(
        "text",
        content,
        x=coordinate(x),
        y=coordinate(y),
        class_=class_ or None,
        text_anchor=None if anchor == "start" else anchor,
    )


def text_width(content: str, size: float) -> float:
    """Room that a text needs at a type size."""
    return len(content) * size * DIGIT_WIDTH


def clipped(content: str, most: int) -> str:
    """`content`, cut with an ellipsis if longer than `most` characters."""
    return content if len(content) <= most else content[: most - 1] + "…"


def spread(wanted: Sequence[float], apart: float, low: float, high: float) -> list[float]:
    """Positions as near as may be to `wanted` and at least `apart`, between `low` and `high`."""
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    placed = [0.0] * len(wanted)
    floor = low
    for k in order:
        placed[k] = max(wanted[k], floor)
        floor = placed[k] + apart
    ceiling = high
    for k in reversed(order):
        placed[k] = min(placed[k], ceiling)
        ceiling = placed[k] - apart
    return placed


def picture(key: str, width: float, height: float, title: str, description: str, *contents: Content) -> Markup:
    """The `svg` element with its text alternative; `key` is unique on the page."""
    return element(
        "svg",
        element("title", title, id=f"{key}-t"),
        element("desc", description, id=f"{key}-d"),
        *contents,
        role="img",
        aria_labelledby=f"{key}-t {key}-d",
        viewBox=f"0 0 {coordinate(width)} {coordinate(height)}",
        width=coordinate(width),
        height=coordinate(height),
    )
