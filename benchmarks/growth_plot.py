"""How the cost of a sweep grows: one picture of small panels, logarithmic both ways, with the slope written.

All panels have one scale: a decade is as long across as it is up, so that a line at 45 degrees is a cost in proportion.
A grey line of slope 1 goes through the last point of each panel. The title is what the slopes say and no more: the rule
stands at `finding`. A picture stands alone, on paper of its own, so that it reads the same on a light and a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from crossmargin.reports.markup import Markup, element
from crossmargin.reports.svg import circle, coordinate, edges, line, path, rect, text

Points = Sequence[tuple[int, float]]
"""What grows and seconds, in ascending order."""

IN_PROPORTION = (0.85, 1.15)
"""Slopes that are called so: a machine that is shared is not steadier."""
HARDLY = 0.25
"""Slope below which the cost hardly grows: less than doubled where the size is tenfold."""
SAME = 0.05
"""Slopes nearer than that are written once."""

_STYLE = """
text{font:13px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:#15181c;
font-variant-numeric:tabular-nums}
.paper{fill:#ffffff}.title{font-size:17px;font-weight:600}.note{fill:#5f6872}.tick{font-size:12px;fill:#5f6872}
.grid{stroke:#dadee3;fill:none}.frame{stroke:#7d868f;fill:none}.one{stroke:#7d868f;stroke-dasharray:3 4;fill:none}
.cost{stroke:#1a68ab;stroke-width:2;fill:none;stroke-linejoin:round}.dot{fill:#1a68ab}
.name{font-weight:600}.slope{fill:#1a68ab;font-weight:600}
.halo{stroke:#ffffff;stroke-width:4;paint-order:stroke;stroke-linejoin:round}
"""
_WIDTH = 720.0
_LEFT, _RIGHT = 62.0, 24.0
_GAP = 48.0
_COLUMNS = 2
_LINE = 20.0
_TITLE_CHARACTERS = 58
_ROOM = 0.35
"""Decades of a panel beyond its points, on either side."""


def slope(points: Points) -> float:
    """Least squares of log seconds on log size: 1 is in proportion."""
    x = [math.log(size) for size, _ in points]
    y = [math.log(seconds) for _, seconds in points]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    above = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True))
    return above / sum((a - mean_x) ** 2 for a in x)


def last_points(points: Points) -> Points:
    """The larger half, at least two: where what does not grow no longer counts."""
    return points[-max(2, math.ceil(len(points) / 2)) :]


def finding(points: Mapping[str, Points]) -> str:
    """What the slopes say, in a sentence.

    Counted is the slope over the last points. In proportion is 0.85 to 1.15, and hardly is below 0.25. Where the last
    points grow but those up to there hardly do, both are said.
    """
    said: dict[str, list[str]] = {"proportion": [], "hardly": [], "more": []}
    for what, of in points.items():
        last = slope(last_points(of))
        before = of[: len(of) - len(last_points(of)) + 1]
        if IN_PROPORTION[0] <= last <= IN_PROPORTION[1]:
            said["proportion"].append(what)
        elif last < HARDLY:
            said["hardly"].append(what)
        elif len(before) > 1 and slope(before) < HARDLY:
            said["more"].append(f"hardly with {what} up to {before[-1][0]:,}, then with slope {last:.2f}")
        else:
            than = "less" if last < 1 else "more"
            said["more"].append(f"{than} than in proportion with {what} (slope {last:.2f})")
    hardly = _listed(said["hardly"])
    if not said["proportion"] and hardly:
        return "; ".join((f"Cost hardly grows with {hardly}", *said["more"]))
    clauses = [f"in proportion to {_listed(said['proportion'])}"] if said["proportion"] else []
    clauses += [f"hardly with {hardly}"] if hardly else []
    return f"Cost grows {'; '.join((*clauses, *said['more']))}"


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), *words[-1:])))


def growth_svg(points: Mapping[str, Points], source: str = "", held: Mapping[str, str] | None = None) -> str:
    """A self-contained SVG of how the cost grows.

    Parameters
    ----------
    points : mapping of str to sequence of (int, float)
        What grows, in the plural; size and seconds of each point, ascending, at least two.
    source : str
        Machine and date, written below.
    held : mapping of str to str, optional
        What stays as it is in each panel, in about 45 characters: `{"accounts": "20 positions, 36 scenarios"}`.
    """
    for of in points.values():
        assert len(of) > 1, points
        assert all(a < b for (a, _), (b, _) in pairwise(of)), points
        assert all(size > 0 and seconds > 0 for size, seconds in of), points
    held = held or {}
    title = _lines(finding(points), _TITLE_CHARACTERS)
    costs = [1000 * seconds for of in points.values() for _, seconds in of]
    low, high = math.log10(min(costs)) - _ROOM, math.log10(max(costs)) + _ROOM
    across = max(math.log10(of[-1][0] / of[0][0]) for of in points.values()) + 2 * _ROOM
    side = (_WIDTH - _LEFT - _RIGHT - (_COLUMNS - 1) * (_GAP + _LEFT / 2)) / _COLUMNS
    decade = side / across
    tall = decade * (high - low)

    top = 30 + _LINE * len(title) + 26
    step = tall + 100
    parts: list[Markup] = []
    for k, (what, of) in enumerate(points.items()):
        row, column = divmod(k, _COLUMNS)
        panel = _Panel(
            x=_LEFT + column * (side + _GAP + _LEFT / 2),
            y=top + row * step + 44,
            width=side,
            decade=decade,
            low=low,
            high=high,
            middle=math.log10(of[0][0] * of[-1][0]) / 2,
        )
        parts += panel.drawn(what, of, held.get(what, ""))
    height = top + -(-len(points) // _COLUMNS) * step + (16 if source else -6)
    subtitle = "Milliseconds of one sweep against what grows; both logarithmic; dashes: in proportion"
    words = [text(24, 32 + _LINE * k, words, "title") for k, words in enumerate(title)]
    words.append(text(24, 32 + _LINE * len(title), subtitle, "note"))
    if source:
        words.append(text(24, height - 18, source, "note"))
    return str(
        element(
            "svg",
            element("title", finding(points), id="growth-t"),
            element("desc", _in_words(points, held, source), id="growth-d"),
            element("style", Markup(_STYLE)),
            rect(0, 0, _WIDTH, height, "paper"),
            *words,
            *parts,
            xmlns="http://www.w3.org/2000/svg",
            role="img",
            aria_labelledby="growth-t growth-d",
            viewBox=f"0 0 {coordinate(_WIDTH)} {coordinate(height)}",
            width=coordinate(_WIDTH),
            height=coordinate(height),
        )
    )


@dataclass(frozen=True, kw_only=True)
class _Panel:
    """One panel: corner at the upper left, length of a decade, decades from `low` to `high` up, middle of its sizes."""

    x: float
    y: float
    width: float
    decade: float
    low: float
    high: float
    middle: float

    @property
    def bottom(self) -> float:
        return self.y + self.decade * (self.high - self.low)

    def at(self, size: float, seconds: float) -> tuple[float, float]:
        return (
            self.x + self.width / 2 + self.decade * (math.log10(size) - self.middle),
            self.bottom - self.decade * (math.log10(1000 * seconds) - self.low),
        )

    def drawn(self, what: str, of: Points, held: str) -> list[Markup]:
        parts = [text(self.x, self.y - 26, what, "name")]
        if held:
            parts.append(text(self.x, self.y - 10, held, "tick"))
        parts += self._axes()
        places = [self.at(size, seconds) for size, seconds in of]
        parts.append(self._in_proportion(places[-1]))
        parts.append(path(places, "cost"))
        parts += [circle(x, y, 3.2, "dot") for x, y in places]
        parts += self._labels(of, places)
        return parts

    def _axes(self) -> list[Markup]:
        levels = range(math.ceil(self.low), math.floor(self.high) + 1)
        heights = [(level, self.bottom - self.decade * (level - self.low)) for level in levels]
        reach = self.width / 2 / self.decade
        sizes = range(math.ceil(self.middle - reach), math.floor(self.middle + reach) + 1)
        across = [(level, self.x + self.width / 2 + self.decade * (level - self.middle)) for level in sizes]
        lines = [(self.x, y, self.x + self.width, y) for _, y in heights]
        lines += [(x, self.y, x, self.bottom) for _, x in across]
        parts = [edges(lines, "grid"), line(self.x, self.bottom, self.x + self.width, self.bottom, "frame")]
        for level, y in heights:
            parts.append(text(self.x - 7, y + 4, _power(level), "tick", "end"))
        for level, x in across:
            parts.append(text(x, self.bottom + 18, _power(level), "tick", "middle"))
        return parts

    def _in_proportion(self, last: tuple[float, float]) -> Markup:
        """The line of slope 1 through the last point, from edge to edge."""
        x, y = last
        less, more = min(x - self.x, self.bottom - y), min(self.x + self.width - x, y - self.y)
        return line(x - less, y + less, x + more, y - more, "one")

    def _labels(self, of: Points, places: Sequence[tuple[float, float]]) -> list[Markup]:
        # Above and to the left, where nothing that grows is.
        parts = [text(places[k][0] + 8, places[k][1] - 10, _milliseconds(of[k][1]), "halo", "end") for k in (0, -1)]
        whole, last = slope(of), slope(last_points(of))
        words = [f"slope {whole:.2f}"]
        if abs(whole - last) > SAME:
            words.append(f"last {len(last_points(of))}: {last:.2f}")
        # Below and to the right, where nothing is either.
        x = (places[0][0] + places[-1][0]) / 2 + 12
        y = max(b for a, b in _around(places, x)) + 26
        y = min(y, self.bottom - 8 - _LINE * (len(words) - 1))
        return parts + [text(x, y + 17 * k, said, "slope halo") for k, said in enumerate(words)]


def _around(places: Sequence[tuple[float, float]], x: float) -> list[tuple[float, float]]:
    """The two points between which the line passes `x`."""
    after = next(k for k in range(1, len(places)) if places[k][0] >= x or k == len(places) - 1)
    return [places[after - 1], places[after]]


def _power(level: int) -> str:
    return f"{10**level:,}" if level >= 0 else f"{10**level:.{-level}f}"


def _milliseconds(seconds: float) -> str:
    """Two digits that count; more would be noise."""
    cost = 1000 * seconds
    digits = max(0, 1 - math.floor(math.log10(cost)))
    return f"{round(cost, 1 - math.floor(math.log10(cost))):,.{digits}f} ms"


def _lines(words: str, most: int) -> list[str]:
    """`words` broken at spaces into lines of at most `most` characters, as even as they come."""
    count = -(-len(words) // most)
    while True:
        lines, room = [""], len(words) / count + 4
        for word in words.split():
            if lines[-1] and len(lines[-1]) + 1 + len(word) > min(room, most):
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        if len(lines) <= count or count > len(words.split()):
            return lines
        count += 1


def _in_words(points: Mapping[str, Points], held: Mapping[str, str], source: str) -> str:
    """The picture for who does not see it: every point."""
    said = []
    for what, of in points.items():
        costs = ", ".join(f"{size:,}: {_milliseconds(seconds)}" for size, seconds in of)
        beside = f" ({held[what]})" if what in held else ""
        said.append(f"By {what}{beside}: {costs}; slope {slope(of):.2f}, at the end {slope(last_points(of)):.2f}.")
    return " ".join((*said, source)).strip()
