"""`deribit-pm`, as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import ParameterError, Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.methodologies.venue_grids.deribit.contracts import (
    DeribitContracts,
    contracts_from_market,
    repriced,
)
from crossmargin.methodologies.venue_grids.deribit.explain import explain_unit
from crossmargin.methodologies.venue_grids.deribit.parameters import LINEAR, DeribitParameters, load_parameters
from crossmargin.methodologies.venue_grids.deribit.recipe import (
    DeribitBreakdown,
    counted_pnl,
    deribit_requirement,
    deribit_units,
    position_shares,
)
from crossmargin.scenarios.grid import scenario_words


@dataclass(frozen=True, kw_only=True, eq=False)
class DeribitPortfolio(ByUnit):
    """Deribit's portfolio margin with one parameter set."""

    parameters: DeribitParameters
    name: str = "deribit-pm"
    title: str = "Deribit portfolio margin: price and volatility matrix, damped tails, roll and delta shock"
    version: str = "1"
    status: str = "inferred"

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """A dampener and a delta shock above a threshold do not scale, and what each of two books is spared adds up."""
        return Traits(convex=False, homogeneous=False, subadditive=False, euler=True, exact_integers=False)

    @cached_property
    def schedule(self) -> Schedule:
        """Coins and dollars at their market value; with `cross` coins are also in the matrix."""
        coins = frozenset(self.parameters.currencies) - {LINEAR}
        return Schedule(
            name=self.info.name,
            date=self.info.date,
            digest=self.info.digest,
            haircuts=dict.fromkeys((*sorted(coins), LINEAR, "USD"), 0.0),
            take_part=coins if self.parameters.cross else frozenset(),
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> DeribitContracts:
        """See `Methodology.price`."""
        return contracts_from_market(instruments, market, policy, self.parameters)

    def repriced(self, priced: DeribitContracts, part: DeribitContracts) -> DeribitContracts:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def groups(self, priced: DeribitContracts) -> tuple[IntArray, tuple[str, ...]]:
        """Currency pairs; with `cross` underlyings."""
        return priced.group, priced.group_names

    def cut(self, holdings: Holdings, priced: DeribitContracts) -> Segments:
        """The units by expiry."""
        return deribit_units(holdings, priced)

    def measure(self, book: UnitBook, priced: DeribitContracts) -> Measured:
        """The recipe."""
        b = deribit_requirement(book, book.cut, priced, self.parameters)
        account_initial, account_maintenance = {}, {}
        if book.has_orders:
            account_initial["open_orders"] = self.orders_charge(book, priced, b.risk_matrix)
            account_maintenance["open_orders"] = np.zeros(book.n_accounts)
        return Measured(
            requirement_initial=b.risk_matrix,
            requirement_maintenance=read_only(self.parameters.maintenance_factor * b.risk_matrix),
            components={
                "worst_case": b.worst_case,
                "roll_shock": b.roll_shock,
                "delta_shock": b.delta_shock,
            },
            scenario_worst=np.where(b.worst_counts, b.scenario, -1),
            position_shares=lambda: position_shares(book, priced, b),
            account_initial=account_initial,
            account_maintenance=account_maintenance,
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: DeribitContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        b = measured.detail
        assert isinstance(b, DeribitBreakdown)
        group = int(book.layout.unit_group[unit])
        pnl, _ = measured.position_shares()
        words = self.scenario_words(priced, group)[int(b.scenario[unit])]
        return explain_unit(priced.group_names[group], words, book, priced, b, self.parameters, pnl, unit, level)

    def scenario_words(self, priced: DeribitContracts, group: int) -> tuple[str, ...]:
        """The grid and the extended moves."""
        underlying = priced.group_underlying[group]
        grid = priced.scenarios[underlying]
        return tuple(scenario_words(underlying, grid, k) for k in range(len(grid)))

    def scenario_shape(self, priced: DeribitContracts, group: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `ByUnit.scenario_shape`."""
        grid = priced.scenarios[priced.group_underlying[group]]
        return grid.price_move, grid.vol_direction.astype(np.float64), grid.weight

    def unit_scenarios(self, book: UnitBook, priced: DeribitContracts, units: IntArray) -> FloatArray:
        """What of the P&L of some units counts in each scenario."""
        return counted_pnl(book, priced, self.parameters, units)[1] + 0.0


def deribit_pm(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> DeribitPortfolio:
    """Deribit's portfolio margin; `cross` may be overridden by keyword."""
    given = {name: value for name, value in overrides.items() if value is not None}
    cross = given.pop("cross", None)
    if given:
        raise ParameterError(
            [
                Problem(
                    found=f"'{name}' is no parameter that can be overridden",
                    needed="That is 'cross'; change others in a parameter file of your own (--parameters).",
                    kind=ParameterError,
                )
                for name in sorted(given)
            ]
        )
    return DeribitPortfolio(parameters=load_parameters(parameters, cross=cross))
