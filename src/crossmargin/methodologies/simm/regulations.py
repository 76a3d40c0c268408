"""Which rows are margined together when they fall under several regulations, and which regulation counts.

A row names the regulations under which margin on it is collected, and those under which it is posted. Each regulation
asks for the margin of its own rows, and the greatest counts: nobody adds them up. Call and post side are looked at
apart, and each portfolio (netting set) for itself:

- A portfolio whose rows name no regulation on either side is margined whole, under `Unspecified`.
- Otherwise rows without a regulation on a side, and rows under `Excluded`, are in no requirement of that side.
- Rows under CFTC also count under SEC, where the portfolio has rows under SEC.
- Regulations with the same rows are margined once, under their names together (`ESA,USPR`).
- The greatest total wins; of regulations with the same total, the first in `ORDER`.

That the greatest counts, and ESA before USPR and CFTC before SEC where they are equal, is what the example output of
Open Source Risk Engine shows; the other rules are as its calculator has them. Ours: parameters of a portfolio (a
multiplier, an add-on) that name no regulation count under each, since leaving them out would lower the requirement.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, offsets_from_counts

UNSPECIFIED, EXCLUDED = "Unspecified", "Excluded"
_SEC, _CFTC = "SEC", "CFTC"
ORDER = (
    "APRA",
    "CFTC",
    "ESA",
    "FINMA",
    "KFSC",
    "HKMA",
    "JFSA",
    "MAS",
    "OSFI",
    "RBI",
    "SEC",
    "SEC-unseg",
    "USPR",
    "NONREG",
    "BACEN",
    "SANT",
    "SFC",
    "UK",
    "AMFQ",
    "BANX",
    "OJK",
    "Included",
    UNSPECIFIED,
)
"""Open Source Risk Engine's order of regulations: it says whose name a requirement bears, and moves no figure."""
_CLOSE = 1e-14
"""Relative difference of two totals of the same rows in another order of summation."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RegulationUnits:
    """What is margined together on one side.

    Parameters
    ----------
    portfolio : ndarray of shape (n_units,)
        Index of the portfolio, rising.
    regulations : tuple of tuple of str
        Under which regulations, in order of name.
    row, unit : ndarray of shape (n_pairs,)
        Which row is in which unit; a row may be in none or in several. Rows rise within a unit.
    left_out : ndarray of shape (n_rows,)
        Rows in no unit.
    """

    portfolio: IntArray
    regulations: tuple[tuple[str, ...], ...]
    row: IntArray
    unit: IntArray
    left_out: BoolArray

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of each unit's regulations, with commas between them."""
        return tuple(",".join(names) for names in self.regulations)

    @property
    def one_each(self) -> bool:
        """Whether every row is in the one unit of its portfolio."""
        return not self.left_out.any() and len(self.row) == len(self.left_out) and self._rising

    @property
    def _rising(self) -> bool:
        return bool((np.diff(self.portfolio) > 0).all())


def names_of(text: str) -> tuple[str, ...]:
    """Regulations that a cell names, with commas between them."""
    return tuple(sorted({name for name in text.split(",") if name}))


def regulation_units(
    n_portfolios: int,
    portfolio: IntArray,
    texts: Sequence[str],
    regulations: IntArray,
    other_texts: Sequence[str],
    other_regulations: IntArray,
    of_portfolio: BoolArray,
) -> RegulationUnits:
    """Split the rows of every portfolio by the regulations of one side.

    Parameters
    ----------
    n_portfolios : int
    portfolio : ndarray of shape (n_rows,)
        Portfolio of each row.
    texts, regulations : sequence of str, ndarray of shape (n_rows,)
        Regulations of this side: distinct cells, and the index of each row's.
    other_texts, other_regulations
        Likewise of the other side.
    of_portfolio : ndarray of shape (n_rows,)
        Rows that are parameters of their portfolio.
    """
    n_rows = len(portfolio)
    named_here = np.array([bool(text) for text in texts], dtype=np.bool_)[regulations]
    named_there = np.array([bool(text) for text in other_texts], dtype=np.bool_)[other_regulations]
    regulated = np.zeros(n_portfolios, dtype=np.bool_)
    regulated[portfolio[named_here | named_there]] = True
    if not regulated.any():
        return RegulationUnits(
            portfolio=np.arange(n_portfolios),
            regulations=((UNSPECIFIED,),) * n_portfolios,
            row=np.arange(n_rows),
            unit=portfolio.astype(np.int64),
            left_out=np.zeros(n_rows, dtype=np.bool_),
        )
    # A cell is a portfolio and what its rows name; parameters that name nothing have a cell of their own.
    n_texts = len(texts) + 1
    parameters = len(texts)
    text_of = np.where(of_portfolio & ~named_here, parameters, regulations)
    cell = portfolio * n_texts + text_of
    cells = np.unique(cell)
    units = _Units()
    start = 0
    for owner, count in zip(*np.unique(cells // n_texts, return_counts=True), strict=True):
        held = (cells[start : start + int(count)] % n_texts).tolist()
        start += int(count)
        named = {code: names_of(texts[code]) if code < parameters else () for code in held}
        if not regulated[owner]:
            units.add(int(owner), (UNSPECIFIED,), held)
            continue
        for names, codes in _grouped(named):
            units.add(int(owner), names, [*codes, *(one for one in held if one == parameters)])
    return units.made(n_texts, cell)


def _grouped(named: dict[int, tuple[str, ...]]) -> list[tuple[tuple[str, ...], list[int]]]:
    """Regulations of one portfolio that have the same rows, with the codes of these rows' cells."""
    codes_of: dict[str, set[int]] = {}
    for code, names in named.items():
        if EXCLUDED not in names and names != (UNSPECIFIED,):
            for name in names:
                codes_of.setdefault(name, set()).add(code)
    if _SEC in codes_of:
        codes_of[_SEC] |= codes_of.get(_CFTC, set())
    groups: dict[tuple[bool, frozenset[int]], list[str]] = {}
    for name, codes in codes_of.items():
        groups.setdefault((name in (_SEC, _CFTC), frozenset(codes)), []).append(name)
    return sorted((tuple(sorted(names)), sorted(codes)) for (_, codes), names in groups.items())


class _Units:
    """Units as they are found, and the cells of each."""

    def __init__(self) -> None:
        self.portfolio: list[int] = []
        self.regulations: list[tuple[str, ...]] = []
        self.cells: list[tuple[int, int]] = []

    def add(self, portfolio: int, names: tuple[str, ...], codes: Iterable[int]) -> None:
        self.cells += [(code, len(self.portfolio)) for code in codes]
        self.portfolio.append(portfolio)
        self.regulations.append(names)

    def made(self, n_texts: int, cell: IntArray) -> RegulationUnits:
        """Rows by unit, given the cell of each row."""
        portfolio = np.array(self.portfolio, dtype=np.int64)
        code, unit = np.array(self.cells, dtype=np.int64).reshape(-1, 2).T
        of_cell = portfolio[unit] * n_texts + code
        order = np.argsort(of_cell, kind="stable")
        of_cell, unit = of_cell[order], unit[order]
        first = np.searchsorted(of_cell, cell, side="left")
        count = np.searchsorted(of_cell, cell, side="right") - first
        row = np.repeat(np.arange(len(cell)), count)
        within = np.arange(len(row)) - np.repeat(offsets_from_counts(count)[:-1], count)
        pair_unit = unit[np.repeat(first, count) + within]
        order = np.argsort(pair_unit, kind="stable")
        return RegulationUnits(
            portfolio=portfolio,
            regulations=tuple(self.regulations),
            row=row[order],
            unit=pair_unit[order],
            left_out=count == 0,
        )


def winners(units: RegulationUnits, totals: FloatArray, n_portfolios: int) -> tuple[IntArray, tuple[str, ...]]:
    """The unit that counts for each portfolio, -1 where it has none, and the name of the regulation that won."""
    unit_of = np.full(n_portfolios, -1, dtype=np.int64)
    name_of = [""] * n_portfolios
    bounds = np.searchsorted(units.portfolio, np.arange(n_portfolios + 1))
    for k in range(n_portfolios):
        own = range(int(bounds[k]), int(bounds[k + 1]))
        if not own:
            continue
        if len(own) == 1 and units.regulations[own[0]] == (UNSPECIFIED,):
            unit_of[k], name_of[k] = own[0], UNSPECIFIED
            continue
        most = max(float(totals[u]) for u in own)
        tied = [u for u in own if float(totals[u]) >= most - _CLOSE * abs(most)]
        name_of[k] = min((name for u in tied for name in units.regulations[u]), key=_place)
        unit_of[k] = next(u for u in tied if name_of[k] in units.regulations[u])
    return unit_of, tuple(name_of)


def _place(name: str) -> tuple[int, str]:
    return (ORDER.index(name) if name in ORDER else len(ORDER)), name
