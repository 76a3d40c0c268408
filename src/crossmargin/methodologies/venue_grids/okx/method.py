"""`okx-pm`, as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import Holdings, scenario_pnl
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import STABLECOINS, MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.methodologies.venue_grids.okx.book import OkxContracts, contract_table, repriced
from crossmargin.methodologies.venue_grids.okx.explain import explain_borrowing, explain_unit, scenario_words
from crossmargin.methodologies.venue_grids.okx.parameters import OkxParameters, load_parameters
from crossmargin.methodologies.venue_grids.okx.recipe import (
    OkxBreakdown,
    OkxUnits,
    okx_requirement,
    okx_units,
    position_shares,
    scenario_table,
    scenario_worst,
)
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, kw_only=True, eq=False)
class OkxPortfolioMargin(ByUnit):
    """OKX portfolio margin with one parameter set."""

    parameters: OkxParameters
    name: str = "okx-pm"
    title: str = "OKX portfolio margin: nine charges of each coin, units summed, borrowing once"
    version: str = "1"
    status: str = "inferred"

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """None of the laws: tiers rise with size, and a stablecoin hedge is charged that joining two books makes.

        Contributions sum to the requirement of the units; borrowing is the account's own.
        """
        return Traits(convex=False, homogeneous=False, subadditive=False, euler=False, exact_integers=False)

    @property
    def schedule(self) -> Schedule:
        """Every coin that the parameters name counts whole and is a position of its unit; dollars are cash.

        OKX's discount rates by amount could not be read: a coin is charged by how far it can fall.
        """
        coins = self.parameters.coins - {*STABLECOINS, "USD"}
        return Schedule(
            name=f"{self.name} ({self.info.name})",
            date=self.info.date,
            digest=self.info.digest,
            haircuts=dict.fromkeys(("USD", *STABLECOINS, *sorted(coins)), 0.0),
            take_part=frozenset(coins),
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> OkxContracts:
        """See `Methodology.price`."""
        if market.listing is None and market.currency != self.currency:
            raise UnsupportedError(
                Problem(
                    found=f"a market in {market.currency} for parameters in {self.currency}",
                    needed=f"Give a market whose prices are in {self.currency}.",
                    kind=UnsupportedError,
                )
            )
        return contract_table(instruments, market, self.parameters, policy)

    def repriced(self, priced: OkxContracts, part: OkxContracts) -> OkxContracts:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def groups(self, priced: OkxContracts) -> tuple[IntArray, tuple[str, ...]]:
        """Coins: contracts in any currency and spot of one coin are one risk unit."""
        return priced.coin, priced.coins

    def cut(self, holdings: Holdings, priced: OkxContracts) -> OkxUnits:
        """See `ByUnit.cut`."""
        return okx_units(holdings, priced)

    def measure(self, book: UnitBook, priced: OkxContracts) -> Measured:
        """See `ByUnit.measure`; components are the maintenance charges as OKX shows them, and what initial adds."""
        found = okx_requirement(book, book.cut, priced, self.parameters)
        components = {
            "mr1_spot_shock": found.mr1,
            "mr2_theta_decay": found.mr2,
            "mr3_vega": found.mr3,
            "mr4_basis": found.mr4,
            "mr5_rates": found.mr5,
            "mr6_extreme_move": found.mr6,
            "mr7_minimum_charge": found.mr7,
            "mr9_stablecoins": found.mr9,
            "initial_add_on": found.initial - found.maintenance,
        }
        return Measured(
            requirement_initial=read_only(found.initial),
            requirement_maintenance=read_only(found.maintenance),
            components={name: read_only(values) for name, values in components.items()},
            scenario_worst=read_only(scenario_worst(found, len(priced.grid))),
            position_shares=lambda: position_shares(book, book.cut, priced, found, self.parameters),
            account_initial={
                "mr8_borrowing": read_only(found.mr8_initial),
                "open_orders": read_only(self.orders_charge(book, priced, found.initial)),
            },
            account_maintenance={
                "mr8_borrowing": read_only(found.mr8_maintenance),
                "open_orders": read_only(np.zeros(book.n_accounts)),
            },
            detail=found,
        )

    def explain_unit(
        self, book: UnitBook, priced: OkxContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        name = self._unit_names(book, priced)[unit]
        return explain_unit(name, book, priced, _found(measured), self.parameters, unit, level)

    def explain_account_charges(
        self, book: UnitBook, priced: OkxContracts, measured: Measured, account: int, level: Level
    ) -> tuple[Explanation, ...]:
        """MR8, debt by debt; and what resting orders add."""
        return (
            *explain_borrowing(book, _found(measured), account, level),
            *(
                node
                for node in super().explain_account_charges(book, priced, measured, account, level)
                if node.label == "open orders"
            ),
        )

    def notes(self, book: Book, priced: OkxContracts) -> tuple[str, ...]:
        """Contracts margined in coin are taken as linear ones."""
        if not priced.in_coin.any():
            return ()
        return (f"{self.name} takes contracts margined in coin as the linear ones of the same dollars",)

    def scenario_words(self, priced: OkxContracts, group: int) -> tuple[str, ...]:
        """See `ByUnit.scenario_words`: MR1, then MR2, then MR6 down and up."""
        return scenario_words(priced, group)

    def scenario_shape(self, priced: OkxContracts, group: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `ByUnit.scenario_shape`."""
        extreme = float(priced.extreme_move[group])
        return (
            np.append(priced.price_move[group], (0.0, -extreme, extreme)),
            np.append(np.array(priced.grid.vol_direction, dtype=np.float64), (0.0, 0.0, 0.0)),
            np.append(np.ones(len(priced.grid) + 1), np.full(2, self.parameters.extreme_counted)),
        )

    def unit_scenarios(self, book: UnitBook, priced: OkxContracts, units: IntArray) -> FloatArray:
        """See `ByUnit.unit_scenarios`: weighted as it counts."""
        return scenario_pnl(book.holdings, scenario_table(priced, self.parameters.extreme_counted), units)


def _found(measured: Measured) -> OkxBreakdown:
    assert isinstance(measured.detail, OkxBreakdown)
    return measured.detail


def okx_pm(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> OkxPortfolioMargin:
    """OKX portfolio margin with the shipped parameters, or those of a name, a file or a document."""
    return OkxPortfolioMargin(parameters=load_parameters(parameters, **overrides))
