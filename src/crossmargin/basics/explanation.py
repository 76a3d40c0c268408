"""A figure and what it is made of.

A tree whose every node says by which rule its parts make its value, so that anyone, a test included, can
recombine it. `explain.py` of a method arranges such trees from the figures that the recipe kept; it never
calculates.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any


def _sum(values: Sequence[float]) -> float:
    return math.fsum(values)


def _product(values: Sequence[float]) -> float:
    return math.prod(values)


def _median(values: Sequence[float]) -> float:
    n = len(values)
    return _sum(sorted(values)[(n - 1) // 2 : n // 2 + 1]) / (1 + (n + 1) % 2)


RULES: dict[str, Callable[[Sequence[float]], float]] = {
    "sum": _sum,
    "mean": lambda values: _sum(values) / len(values),
    "median": _median,
    "greater of": max,
    "lesser of": min,
    "largest, at least 0": lambda values: max(0.0, *values),
    "product": _product,
    "minus the product": lambda values: -_product(values),
    "first over second": lambda values: values[0] / values[1],
    "first to as many decimals as second": lambda values: (
        math.floor(values[0] * 10 ** values[1] + 0.5) / 10 ** values[1]
    ),
    "sum, at least 0": lambda values: max(0.0, _sum(values)),
    "loss: minus the sum, at least 0": lambda values: max(0.0, -_sum(values)),
    "share of the gain, at most the cap: minus min(first x second, third)": lambda values: (
        -min(values[0] * values[1], values[2])
    ),
    "absolute value of the sum": lambda values: abs(_sum(values)),
    "square": lambda values: values[0] ** 2,
    "square root of the sum, at least 0": lambda values: math.sqrt(max(0.0, _sum(values))),
}
"""Every rule by which parts may make a whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One figure, its unit, its source and its parts.

    Parameters
    ----------
    label : str
        What the figure is, in words.
    value : float
        The figure as calculated.
    unit : str
        Currency or other unit of `value`.
    rule : str
        Key of `RULES`; empty for a leaf.
    parts : tuple of Explanation
        What the rule combines, in order.
    source : str
        Where the rule comes from (see docs/sources.md).
    note : str
        What a reader should know: an assumption, a policy that was applied.
    """

    label: str
    value: float
    unit: str = ""
    rule: str = ""
    parts: tuple[Explanation, ...] = ()
    source: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        assert (self.rule in RULES) if self.parts else not self.rule, (self.label, self.rule)

    def recombined(self) -> float:
        """The value that the rule gives on the parts' values; the value itself for a leaf."""
        if not self.parts:
            return self.value
        return RULES[self.rule]([part.value for part in self.parts])

    def walk(self, depth: int = 0) -> Iterator[tuple[int, Explanation]]:
        """This node and all below it, depth first, with their depth."""
        yield depth, self
        for part in self.parts:
            yield from part.walk(depth + 1)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; figures as decimal strings."""
        node: dict[str, Any] = {"label": self.label, "value": repr(float(self.value)), "unit": self.unit}
        for key in ("rule", "source", "note"):
            if text := getattr(self, key):
                node[key] = text
        if self.parts:
            node["parts"] = [part.to_dict() for part in self.parts]
        return node
