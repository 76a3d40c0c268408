"""The common part of venues without scenarios: every unit worked out by itself, in plain Python.

Each says what a market brings to the venue's own figure (net collateral less requirement, free collateral, health);
the requirement is what equity has more than that. They differ in one method, `levels`.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import MissingQuoteError, Problem, raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.linear_weights.rows import Rows, repriced, rows_from_market
from crossmargin.methodologies.protocol import Level

INITIAL, MAINTENANCE = "initial", "maintenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLevels:
    """One unit: requirement at both levels, the lines that explain each, and the share of each of its positions.

    `lines` are by level; each sums to the requirement of the level.
    """

    initial: float
    maintenance: float
    lines: dict[str, tuple[Explanation, ...]]
    shares: tuple[float, ...]
    exact: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearWeights(ByUnit):
    """A venue without scenarios: every unit is worked out by itself, in plain Python."""

    name: str
    title: str
    version: str = "1"
    status: str = "published"
    net_margin: ClassVar[bool] = True

    @property
    @abstractmethod
    def _perpetuals(self) -> tuple[str, ...]:
        """Underlyings that have a perpetual."""

    @property
    @abstractmethod
    def _assets(self) -> tuple[str, ...]:
        """Assets that balances may be in."""

    @abstractmethod
    def levels(self, book: UnitBook, rows: Rows, positions: range) -> UnitLevels:
        """What the positions of a unit need."""

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> Rows:
        """See `Methodology.price`."""
        found = rows_from_market(
            instruments, market, policy, method=self.name, perpetuals=self._perpetuals, assets=self._assets
        )
        raise_problems(self._missing_facts(found))
        return found

    def _missing_facts(self, rows: Rows) -> list[Problem]:
        """Figures of the market as a whole that this venue cannot do without."""
        return []

    def repriced(self, priced: Rows, part: Rows) -> Rows:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def groups(self, priced: Rows) -> tuple[IntArray, tuple[str, ...]]:
        """Every market and every asset by itself."""
        return priced.groups()

    def measure(self, book: UnitBook, priced: Rows) -> Measured:
        """Unit by unit."""
        offsets = book.holdings.offsets
        units = [self.levels(book, priced, range(int(offsets[u]), int(offsets[u + 1]))) for u in range(book.n_units)]
        initial = np.array([one.initial for one in units], dtype=np.float64)
        shares = np.array([share for one in units for share in one.shares], dtype=np.float64)
        return Measured(
            requirement_initial=read_only(initial),
            requirement_maintenance=read_only(np.array([one.maintenance for one in units], dtype=np.float64)),
            components=self._components(book, priced, initial),
            scenario_worst=np.full(book.n_units, -1, dtype=np.int64),
            position_shares=lambda: (np.zeros(len(shares)), shares),
            detail=units,
        )

    def _components(self, book: UnitBook, priced: Rows, initial: FloatArray) -> dict[str, FloatArray]:
        """Requirement of perpetuals, and of balances."""
        first = book.holdings.instrument[book.holdings.offsets[:-1]]
        is_perpetual = priced.is_perpetual[first]
        return {
            "perpetual_requirement": np.where(is_perpetual, initial, 0.0),
            "balance_requirement": np.where(is_perpetual, 0.0, initial),
        }

    def explain_unit(self, book: UnitBook, priced: Rows, measured: Measured, unit: int, level: Level) -> Explanation:
        """See `ByUnit.explain_unit`."""
        found: UnitLevels = measured.detail[unit]
        label = self.groups(priced)[1][int(book.layout.unit_group[unit])]
        lines = found.lines[level]
        return Explanation(
            label=label,
            value=found.initial if level == INITIAL else found.maintenance,
            unit="USD",
            rule="sum" if lines else "",
            parts=lines,
            source=f"{self.name}: markets are summed",
        )


def of_market(market: Market, kind: str, name: str) -> float | None:
    return market.facts.get(kind, {}).get(name)


def no_fact(kind: str, rows: Rows, k: int, method: str, why: str) -> Problem:
    return Problem(
        found=f"no {kind.replace('_', ' ')} of '{rows.names[k]}', which '{method}' {why}",
        needed=f"State it as a fact of the market (kind '{kind}').",
        kind=MissingQuoteError,
        instrument=rows.names[k],
    )


def split(whole: float, keys: list[float]) -> list[float]:
    """`whole` in proportion to `keys`; evenly where all are 0."""
    total = sum(keys)
    return [whole * key / total for key in keys] if total else [whole / len(keys)] * len(keys)
