"""Elements of an XML parameter file, read one leaf at a time; what is wrong with them, and what of them is not used.

An element's leaves are looked up by name, its children by name and order. A structure that is not known is counted by
its path and not read; leaves that nobody asks for, of which a file has many, are not counted.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from crossmargin.basics.errors import CrossmarginError, FileFormatError, Problem, raise_problems
from crossmargin.files.cells import LARGEST, shown
from crossmargin.files.span_options import OPTION_UNUSED, RUN
from crossmargin.methodologies.span.parameters import Kind

Element: TypeAlias = Any
"""An element of lxml, which brings no types."""
_Choice = TypeVar("_Choice")

MOST_LISTED = 50
"""Problems that a message lists."""
KINDS = {
    "phyPf": Kind.PHY,
    "equityPf": Kind.PHY,
    "futPf": Kind.FUT,
    "cmbPf": Kind.CMB,
    "oopPf": Kind.OOP,
    "ooePf": Kind.OOP,
    "oofPf": Kind.OOF,
    "oocPf": Kind.OOC,
}
CONTRACT_TAGS = ("phy", "equity", "fut", "cmb", "series")
DECIMAL = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,3})?", re.ASCII)
_WHOLE = re.compile(r"[-+]?[0-9]{1,15}", re.ASCII)
_PERIOD = re.compile(r"[0-9]{6}(?:[0-9A-Z]{2})?", re.ASCII)
_FLAGS = {"0": False, "1": True, "N": False, "Y": True, "false": False, "true": True}
_BETWEEN = ("superSpreads", "interSpreads", "interClearSpreads")
_TIERS = ("scanTiers", "intraTiers", "interTiers", "somTiers")
_LEGS = ("tLeg", "pLeg", "rpLeg", "sLeg")

# Structures that are read, by the element that they stand in.
_CHILDREN: dict[str, tuple[str, ...]] = {
    "spanFile": ("pointInTime", "definitions"),
    "pointInTime": ("clearingOrg",),
    "clearingOrg": ("curConv", "pbRateDef", "pointDef", "exchange", "ccDef", *_BETWEEN),
    "pointDef": ("scanPointDef", "deltaPointDef"),
    "scanPointDef": ("priceScanDef", "volScanDef"),
    "exchange": tuple(KINDS),
    **dict.fromkeys(KINDS, CONTRACT_TAGS),
    **dict.fromkeys(CONTRACT_TAGS, ("undC", "scanRate", "ra")),
    "series": ("undC", "scanRate", "opt", RUN),
    "opt": ("ra",),
    "ra": ("a",),
    "ccDef": ("pfLink", "adjRate", *_TIERS, "dSpread", "spotRate", "group"),
    **dict.fromkeys(_TIERS, ("tier",)),
    "tier": ("rate",),
    **dict.fromkeys(_BETWEEN, ("dSpread", "hSpread", "sSpread")),
    **dict.fromkeys(("dSpread", "hSpread", "sSpread"), ("rate", "pmpsRate", *_LEGS)),
    **dict.fromkeys(_LEGS, ("rate",)),
    "pmpsRate": ("psRate", "pmRate"),
    **dict.fromkeys(("psRate", "pmRate"), ("rate",)),
}
_INSIDE: dict[str, tuple[str, ...]] = {
    "exchange": tuple(KINDS),
    **dict.fromkeys(KINDS, CONTRACT_TAGS),
    "series": ("opt", RUN),
    **dict.fromkeys(_BETWEEN, ("dSpread", "hSpread", "sSpread")),
}
# Known, and of no consequence here: for people, or for a calculation that is another.
_UNUSED_STRUCTURES = frozenset(("definitions", "deltaPointDef", "intrRate", "divRate", "undPf", "alias", "tick"))
_UNUSED_LEAVES = frozenset(("name", "desc", "alias", "r", "setlDate", "val", "t", "v")) | frozenset(OPTION_UNUSED)


class Reading:
    """What is wrong with a document, and what of it is skipped."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.skipped: Counter[str] = Counter()
        self._problems: list[Problem] = []
        self._more = 0

    def skip(self, element: Element) -> None:
        """Count an element that is not used, by its path."""
        around = element.getparent()
        self.skipped[f"{around.tag}/{element.tag}" if around is not None else str(element.tag)] += 1

    def wrong(
        self,
        element: Element,
        found: str,
        needed: str,
        *,
        leaf: str = "",
        kind: type[CrossmarginError] = FileFormatError,
    ) -> None:
        """Put a problem of an element, or of one of its leaves, on the list."""
        at = next((child for child in element if child.tag == leaf), element) if leaf else element
        tag = f"{element.tag}/{leaf}" if leaf else str(element.tag)
        self.add(f"<{shown(tag)}> {found}", needed, at.sourceline, kind)

    def add(self, found: str, needed: str, line: int | None, kind: type[CrossmarginError]) -> None:
        """Put a problem of a line on the list."""
        if len(self._problems) >= MOST_LISTED:
            self._more += 1
            return
        self._problems.append(Problem(found=found, needed=needed, file=self.source, row=line, kind=kind))

    def raise_all(self) -> None:
        """Raise everything that is on the list; nothing if it is empty."""
        if self._more:
            kind = self._problems[-1].kind
            more = Problem(found=f"and {self._more:,} more problems", file=self.source, kind=kind)
            raise_problems([*self._problems, more])
        raise_problems(self._problems)


class Fields:
    """One element: its leaves as text, its children as elements."""

    def __init__(self, reading: Reading, element: Element) -> None:
        self.element = element
        self._reading = reading
        self._leaves: dict[str, str] = {}
        self._children: list[Element] = []
        structures = _CHILDREN.get(element.tag, ())
        for child in element:
            tag = child.tag
            if not isinstance(tag, str):
                continue
            if tag in structures:
                self._children.append(child)
            elif len(child):
                if tag not in _UNUSED_STRUCTURES:
                    reading.skip(child)
            elif tag in self._leaves:
                if tag not in _UNUSED_LEAVES:
                    reading.wrong(child, "stands there twice", "State it once.")
            else:
                self._leaves[tag] = (child.text or "").strip()

    @property
    def inside(self) -> list[Element]:
        """What an element is there to hold, in order: products, contracts, options, spreads."""
        wanted = _INSIDE.get(self.element.tag, ())
        return [child for child in self._children if child.tag in wanted]

    def all(self, *tags: str) -> list[Element]:
        """Children of these names, in order."""
        return [child for child in self._children if child.tag in tags]

    def wrong(self, leaf: str, found: str, needed: str) -> None:
        """Put a problem of a leaf on the list."""
        self._reading.wrong(self.element, found, needed, leaf=leaf)

    def text(self, leaf: str, default: str | None = None) -> str:
        """A leaf as text; without it the default, or a problem where there is none."""
        found = self._leaves.get(leaf, "")
        if found:
            return found
        if default is None:
            self._reading.wrong(self.element, f"has no <{leaf}>", "State it.")
            return ""
        return default

    def number(self, leaf: str, default: float | None = None, low: float | None = None) -> float:
        """A leaf as a decimal number, at least `low`."""
        text = self._leaves.get(leaf, "")
        if not text and default is not None:
            return default
        if not text:
            self.text(leaf)
            return math.nan
        if not DECIMAL.fullmatch(text) or not abs(value := float(text)) <= LARGEST:
            self.wrong(leaf, f"is '{shown(text)}'", f"A decimal number not beyond {LARGEST:g}.")
            return math.nan
        if low is not None and value < low:
            self.wrong(leaf, f"is {shown(text)}", f"At least {low:g}.")
            return math.nan
        return value

    def positive(self, leaf: str, default: float | None = None) -> float:
        """A leaf as a number above 0; 1 where it is a problem, so that what rests on it stays a number."""
        n_before = self.number(leaf, default)
        if math.isnan(n_before):
            return 1.0
        if n_before <= 0:
            self.wrong(leaf, f"is {n_before:g}", "Above 0.")
            return 1.0
        return n_before

    def whole(self, leaf: str, default: int | None = None, low: int | None = None, high: int | None = None) -> int:
        """A leaf as a whole number from `low` to `high`."""
        text = self._leaves.get(leaf, "")
        if not text:
            if default is not None:
                return default
            self.text(leaf)
            return low or 0
        if not _WHOLE.fullmatch(text):
            self.wrong(leaf, f"is '{shown(text)}'", "A whole number.")
            return low or 0
        value = int(text)
        if (low is not None and value < low) or (high is not None and value > high):
            self.wrong(leaf, f"is {value}", f"From {low} to {high}.")
            return low or 0
        return value

    def flag(self, leaf: str, default: bool) -> bool:
        """A leaf as yes or no."""
        text = self._leaves.get(leaf, "")
        if not text:
            return default
        if text not in _FLAGS:
            self.wrong(leaf, f"is '{shown(text)}'", "1 or 0.")
            return default
        return _FLAGS[text]

    def choice(self, leaf: str, choices: Mapping[str, _Choice]) -> _Choice:
        """What a leaf chooses; the empty text where it is not there."""
        text = self._leaves.get(leaf, "").upper()
        if text in choices:
            return choices[text]
        known = ", ".join(name for name in choices if name)
        self.wrong(leaf, f"is '{shown(text)}'" if text else "is missing", f"One of {known}.")
        return next(iter(choices.values()))

    def period(self, leaf: str, *, is_end: bool = False) -> str:
        """A leaf as a period: `YYYYMM`, or with day or week; empty for none, which zeros are too.

        `is_end` is for the ends of a tier, which need not be a month that there is.
        """
        text = self._leaves.get(leaf, "").upper()
        if not text.strip("0"):
            return ""
        month = text[4:6]
        fits = _PERIOD.fullmatch(text) and (is_end or "01" <= month <= "12")
        if not fits:
            self.wrong(leaf, f"is '{shown(text)}'", "A period like 202606 or 20260630.")
            return ""
        return text[:6] if text[6:] == "00" else text


def lowest(reading: Reading, elements: Sequence[Element]) -> Fields | None:
    """The one of the base rate, which has the lowest `r`; the others are counted."""
    if not elements:
        return None
    each = [Fields(reading, element) for element in elements]
    base = min(each, key=lambda fields: fields.whole("r", 0))
    for fields in each:
        if fields is not base:
            reading.skip(fields.element)
    return base
