"""`deribit-pm`, as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import Holdings
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.methodologies.venue_grids.deribit import steps
from crossmargin.methodologies.venue_grids.deribit.contracts import (
    DeribitContracts,
    contract_table,
    repriced,
    taking_part,
)
from crossmargin.methodologies.venue_grids.deribit.explain import explain_unit, scenario_words
from crossmargin.methodologies.venue_grids.deribit.parameters import DOLLARS, DeribitParameters, load_parameters
from crossmargin.methodologies.venue_grids.deribit.recipe import (
    DeribitBreakdown,
    DeribitUnits,
    collateral_haircut,
    counted_pnl,
    deribit_requirement,
    deribit_units,
    position_shares,
    unit_counted,
)
from crossmargin.portfolio.book import Book
from crossmargin.scenarios.grid import grid_scenarios


@dataclass(frozen=True, kw_only=True, eq=False)
class DeribitPortfolioMargin(ByUnit):
    """Deribit's portfolio margin with one parameter set: S:PM, or X:PM where the parameters say `cross`."""

    parameters: DeribitParameters
    name: str = "deribit-pm"
    title: str = "Deribit portfolio margin: risk matrix of each currency pair, extended table, roll and delta shock"
    version: str = "1"
    status: str = "inferred"

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """What is left of the laws of a worst loss.

        A dampener takes a fixed amount off and a delta shock rises with size: nothing scales then, and joining two
        books can cost more than both apart. A cap on gains counts only where pairs share a scenario.
        """
        p = self.parameters
        shocked = any(own.m_inc and own.max_delta_shock for own in p.currency_pair.values())
        dampened = bool(p.extended_moves) and any(own.extended_dampener for own in p.currency.values())
        sharing = [own for own in p.currency.values() if p.cross and own.correlation_set]
        capped = any(own.pnl_offset for own in sharing)
        homogeneous = not (shocked or dampened or capped or p.correlation_contingency)
        convex = not (shocked or (dampened and sharing) or p.correlation_contingency)
        euler = not (p.correlation_contingency or (p.cross and any(own.haircut for own in p.currency.values())))
        return Traits(
            convex=convex,
            homogeneous=homogeneous,
            subadditive=convex and homogeneous,
            euler=euler,
            exact_integers=False,
        )

    @cached_property
    def schedule(self) -> Schedule:
        """Every currency of the parameters counts whole; under `cross` coins take part, and haircuts are charged."""
        assets = sorted({*self.parameters.coins, *DOLLARS})
        return Schedule(
            name=f"{self.name} ({self.info.name})",
            date=self.info.date,
            digest=self.info.digest,
            haircuts=dict.fromkeys(assets, 0.0),
            take_part=taking_part(self.parameters),
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> DeribitContracts:
        """See `Methodology.price`."""
        if market.listing is None and market.currency != self.currency:
            raise UnsupportedError(
                Problem(
                    found=f"a market in {market.currency} for a method that margins in coin and {self.currency}",
                    needed=f"Give a market whose prices are in {self.currency}.",
                    kind=UnsupportedError,
                )
            )
        return contract_table(instruments, market, self.parameters, policy)

    def repriced(self, priced: DeribitContracts, part: DeribitContracts) -> DeribitContracts:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def groups(self, priced: DeribitContracts) -> tuple[IntArray, tuple[str, ...]]:
        """Currency pairs; under `cross` underlyings, those of the correlation set together."""
        return priced.group, priced.group_names

    def cut(self, holdings: Holdings, priced: DeribitContracts) -> DeribitUnits:
        """See `ByUnit.cut`."""
        return deribit_units(holdings, priced)

    def measure(self, book: UnitBook, priced: DeribitContracts) -> Measured:
        """The recipe; components in dollars."""
        b = deribit_requirement(book, book.cut, priced, self.parameters)
        charges = self._account_charges(book, priced, b)
        return Measured(
            requirement_initial=b.requirement_initial,
            requirement_maintenance=b.requirement_maintenance,
            components={
                "worst_case": b.worst_case.loss * b.in_usd,
                "roll_shock": b.roll_shock * b.in_usd,
                "delta_shock": b.delta_shock * b.in_usd,
            },
            scenario_worst=np.where(b.worst_case.loss > 0, b.worst_case.scenario, -1),
            position_shares=lambda: position_shares(book, priced, b),
            account_initial={name: read_only(initial) for name, (initial, _) in charges.items()},
            account_maintenance={name: read_only(maintenance) for name, (_, maintenance) in charges.items()},
            detail=b,
        )

    def _account_charges(
        self, book: UnitBook, priced: DeribitContracts, b: DeribitBreakdown
    ) -> dict[str, tuple[FloatArray, FloatArray]]:
        """What an account is charged beyond its units, initial and maintenance, by name; only what there is."""
        found: dict[str, tuple[FloatArray, FloatArray]] = {}
        nothing = np.zeros(book.n_accounts)
        if self.parameters.correlation_contingency:
            holds = np.zeros(book.n_accounts)
            holds[book.unit_account] = self.parameters.correlation_contingency
            found["correlation_contingency"] = (holds, steps.maintenance_margin(holds, self.parameters.mm_factor))
        if book.has_orders:
            found["open_orders"] = (self._open_orders(book, priced, b.requirement_initial), nothing)
        if self.parameters.cross:
            haircut = collateral_haircut(book, priced)
            if haircut.any():
                found["collateral_haircut"] = (haircut, nothing)
        return found

    def _open_orders(self, book: UnitBook, priced: DeribitContracts, now: FloatArray) -> FloatArray:
        """What resting orders add, unit by unit: the worst of all buys, all sells and none filled, less none.

        A margin of its own currency is asked for each unit, so that one's buys may be filled and another's sells.
        """
        then = [
            deribit_requirement(filled, filled.cut, priced, self.parameters).requirement_initial
            for filled in (self.filled(book, priced, buys=True), self.filled(book, priced, buys=False))
        ]
        return book.by_account(np.maximum.reduce([now, *then]) - now)

    def explain_unit(
        self, book: UnitBook, priced: DeribitContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, DeribitBreakdown)
        name = self._unit_names(book, priced)[unit]
        return explain_unit(name, book, priced, measured.detail, self.parameters, unit, level)

    def notes(self, book: Book, priced: DeribitContracts) -> tuple[str, ...]:
        """That wallets of segregated margin are added up."""
        currencies = {pair.currency for pair in priced.pairs}
        if len(currencies) < 2:
            return ()
        return (
            f"{self.name} margins {', '.join(sorted(currencies))} each by itself; sums in dollars are at the index",
        )

    def scenario_words(self, priced: DeribitContracts, group: int) -> tuple[str, ...]:
        """See `ByUnit.scenario_words`: the core matrix, then the extended table."""
        return scenario_words(priced, group)

    def scenario_shape(self, priced: DeribitContracts, group: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `ByUnit.scenario_shape`; of the correlation set that of its first coin, whoever holds it."""
        pair = priced.group_pairs[group][0]
        first = [self.parameters.of_pair(coin, self.currency) for coin in self.parameters.correlation_set]
        if group == priced.set_group and (own := next(iter(first), None)) is not None:
            grid = grid_scenarios(self.parameters.shape(own), self.parameters.ranges(own))
            return grid.price_move, grid.vol_direction.astype(np.float64), grid.weight
        return priced.price_move[pair], priced.vol_direction.astype(np.float64), priced.weight[pair]

    def unit_scenarios(self, book: UnitBook, priced: DeribitContracts, units: IntArray) -> FloatArray:
        """See `ByUnit.unit_scenarios`: as it counts, in dollars; of units that stand next to each other."""
        if not len(units):
            return np.zeros((0, len(priced.vol_direction)))
        by_pair = book.cut.by_pair
        offsets = by_pair.unit_offsets[int(units[0]) : int(units[-1]) + 2]
        _, _, counted = counted_pnl(by_pair, priced, int(offsets[0]), int(offsets[-1]))
        in_usd = priced.group_usd[book.layout.unit_group[units]]
        return unit_counted(counted, offsets - offsets[0]) * in_usd[:, None]


def deribit_pm(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> DeribitPortfolioMargin:
    """Deribit portfolio margin with the shipped parameters, or those of a name, a file or a document.

    `cross=True` is X:PM; `roll_form` is `linear` or `exp`.
    """
    return DeribitPortfolioMargin(parameters=load_parameters(parameters, **overrides))
