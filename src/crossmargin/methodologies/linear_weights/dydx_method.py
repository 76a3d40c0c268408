"""`dydx-v4`, as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.collateral.valuation import Schedule
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.linear_weights import dydx
from crossmargin.methodologies.linear_weights.by_market import (
    INITIAL,
    MAINTENANCE,
    LinearWeights,
    UnitLevels,
    no_fact,
    of_market,
)
from crossmargin.methodologies.linear_weights.parameters import (
    DydxParameters,
    load_dydx,
    whole_schedule,
)
from crossmargin.methodologies.linear_weights.rows import Rows
from crossmargin.methodologies.parameter_files import refuse_overrides
from crossmargin.methodologies.protocol import ParametersInfo, Traits, notes_on_orders
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, kw_only=True, eq=False)
class Dydx(LinearWeights):
    """dYdX v4: exact whole numbers of 1e-6 USDC end to end."""

    parameters: DydxParameters

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """Rounding up breaks scaling and convexity by a quantum; contributions are whole positions."""
        return Traits(convex=False, homogeneous=False, subadditive=False, euler=True, exact_integers=True)

    @cached_property
    def schedule(self) -> Schedule:
        """The quote asset is cash."""
        return whole_schedule(self.info, (self.parameters.quote_asset,), ())

    @property
    def _perpetuals(self) -> tuple[str, ...]:
        return tuple(self.parameters.markets)

    @property
    def _assets(self) -> tuple[str, ...]:
        return ()

    def notes(self, book: Book, priced: Rows) -> tuple[str, ...]:
        """See `Methodology.notes`."""
        return notes_on_orders(book, self.name)

    def _missing_facts(self, rows: Rows) -> list[Problem]:
        return [
            no_fact("open_interest", rows, k, self.name, "scales initial margin by")
            for k, key in enumerate(rows.key)
            if self.parameters.markets[key].open_interest_upper > self.parameters.markets[key].open_interest_lower
            and of_market(rows.market, "open_interest", rows.names[k]) is None
        ]

    def groups(self, priced: Rows) -> tuple[IntArray, tuple[str, ...]]:
        """One sum of whole numbers, which becomes a float once."""
        return np.zeros(len(priced.names), dtype=np.int64), ("perpetuals",)

    def levels(self, book: UnitBook, rows: Rows, positions: range) -> UnitLevels:
        """Every position of the account by itself."""
        requirements, lines = [], {INITIAL: [], MAINTENANCE: []}  # type: ignore[var-annotated]
        for k in positions:
            row = int(book.holdings.instrument[k])
            tier = self.parameters.markets[rows.key[row]]
            price = Fraction(repr(float(rows.price[row]))) * Fraction(repr(float(rows.size[row])))
            notional = dydx.quote_quantums(Fraction(int(book.layout.steps[k]), STEPS_PER_UNIT), price)
            contracts = of_market(rows.market, "open_interest", rows.names[row]) or 0.0
            interest = dydx.quote_quantums(Fraction(repr(contracts)), price)
            fraction = dydx.adjusted_initial_ppm(tier, interest)
            found = (
                dydx.initial_requirement(notional, tier, interest),
                dydx.maintenance_requirement(notional, tier),
            )
            requirements.append(found)
            stated = f"{notional:,} quantums of notional"
            notes = (
                f"{stated} x {fraction:,} ppm, rounded up",
                f"{stated} x {tier.initial_ppm:,} ppm x {tier.maintenance_fraction_ppm:,} ppm, each rounded up",
            )
            for level, whole, note in zip((INITIAL, MAINTENANCE), found, notes, strict=True):
                lines[level].append(
                    Explanation(
                        label=rows.names[row],
                        value=whole / dydx.MILLION,
                        unit="USD",
                        note=note,
                        source=f"dydx-v4: {level} requirement",
                    )
                )
        exact = sum(one for one, _ in requirements), sum(one for _, one in requirements)
        return UnitLevels(
            initial=exact[0] / dydx.MILLION,
            maintenance=exact[1] / dydx.MILLION,
            lines={level: tuple(parts) for level, parts in lines.items()},
            shares=tuple(one / dydx.MILLION for one, _ in requirements),
            exact=exact,
        )


def dydx_v4(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Dydx:
    """dYdX v4; its tiers are those of the repository's testing genesis."""
    refuse_overrides(overrides)
    return Dydx(
        parameters=load_dydx(parameters),
        name="dydx-v4",
        title="dYdX v4: a fraction of every perpetual's notional, initial scaled by open interest, exact integers",
    )
