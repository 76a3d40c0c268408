"""`derive-pmrm2` and `derive-pmrm1`, as the engine sees them: one method, two parameter sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossmargin.aggregation.sweep import Holdings, unit_sum
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import ParameterError, Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.parameter_files import refuse_overrides
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.methodologies.venue_grids.derive.contracts import DeriveContracts, contracts_of, repriced
from crossmargin.methodologies.venue_grids.derive.explain import explain_unit
from crossmargin.methodologies.venue_grids.derive.inputs import inputs_from_market
from crossmargin.methodologies.venue_grids.derive.parameters import (
    FIRST,
    SECOND,
    DeriveParameters,
    load_parameters,
)
from crossmargin.methodologies.venue_grids.derive.recipe import (
    DeriveBreakdown,
    DeriveUnits,
    derive_requirement,
    derive_units,
    position_shares,
)
from crossmargin.methodologies.venue_grids.derive.steps import scenario_table
from crossmargin.portfolio.book import Book

NO_UNDERLYING = "collateral"
"""Unit of what cancels the risk of no underlying."""


@dataclass(frozen=True, kw_only=True, eq=False)
class DerivePortfolio(ByUnit):
    """Derive's portfolio margin with one parameter set."""

    parameters: DeriveParameters
    name: str
    title: str
    version: str = "1"
    status: str = "published"
    net_margin: ClassVar[bool] = True

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """A maximum of linear functions and signs times sums, as long as what is owed is never discounted."""
        convex = self.parameters.convex
        return Traits(convex=convex, homogeneous=True, subadditive=convex, euler=True, exact_integers=False)

    @cached_property
    def schedule(self) -> Schedule:
        """Every asset that the parameters name, whole: haircuts are part of the requirement."""
        assets = self.parameters.collateral
        return Schedule(
            name=self.info.name,
            date=self.info.date,
            digest=self.info.digest,
            haircuts=dict.fromkeys(assets, 0.0),
            take_part=frozenset(asset for asset, own in assets.items() if not own.is_cash),
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> DeriveContracts:
        """See `Methodology.price`."""
        return contracts_of(
            inputs_from_market(instruments, market, self.parameters, policy, self.name), self.parameters
        )

    def repriced(self, priced: DeriveContracts, part: DeriveContracts) -> DeriveContracts:
        """See `Methodology.repriced`."""
        return repriced(priced, part, self.parameters)

    def groups(self, priced: DeriveContracts) -> tuple[IntArray, tuple[str, ...]]:
        """Sub-books of an underlying, and one of the collateral that has none."""
        return priced.inputs.underlying, (*priced.inputs.underlyings, NO_UNDERLYING)

    def cut(self, holdings: Holdings, priced: DeriveContracts) -> DeriveUnits:
        """The units by expiry and by strike."""
        return derive_units(holdings, priced)

    def measure(self, book: UnitBook, priced: DeriveContracts) -> Measured:
        """The recipe."""
        b = derive_requirement(book, book.cut, priced, self.parameters)
        components = {
            "scenario_loss": -b.worst * b.factor_initial + 0.0,
            "perpetual_charge": (b.perpetual_maintenance + b.perpetual_initial) * b.size_factor_initial,
            "option_charge": (b.option_maintenance + b.option_initial) * b.size_factor_initial,
            "collateral_haircut": (b.collateral_maintenance + b.collateral_initial) * b.size_factor_initial,
            "oracle_charge": b.oracle,
        }
        orders = self.orders_charge(book, priced, b.requirement_initial)
        return Measured(
            requirement_initial=b.requirement_initial,
            requirement_maintenance=b.requirement_maintenance,
            components=components,
            scenario_worst=np.where(b.worst < 0, b.scenario, -1),
            position_shares=lambda: position_shares(book, priced, b),
            account_initial={"open_orders": orders} if book.has_orders else {},
            account_maintenance={"open_orders": np.zeros(book.n_accounts)} if book.has_orders else {},
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: DeriveContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, DeriveBreakdown)
        pnl, _ = measured.position_shares()
        name = self.unit_name(book, priced, unit)
        scenario = int(measured.scenario_worst[unit])
        worst = self.scenario_words(priced, 0)[scenario] if scenario >= 0 else ""
        return explain_unit(self.name, name, worst, book, priced, measured.detail, pnl, unit, level)

    def notes(self, book: Book, priced: DeriveContracts) -> tuple[str, ...]:
        """Inverse contracts are not the venue's."""
        if not priced.inputs.has_inverse:
            return ()
        return (f"{self.name} has no inverse contracts: they are taken as linear ones on as many coins, in dollars",)

    def scenario_words(self, priced: DeriveContracts, group: int) -> tuple[str, ...]:
        """The scenarios, and the basis that competes with them."""
        return (*(one.words for one in self.parameters.scenarios), "basis of every expiry")

    def scenario_shape(self, priced: DeriveContracts, group: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """See `ByUnit.scenario_shape`."""
        direction = {"up": 1.0, "down": -1.0}
        vol = [direction.get(one.vol, 0.0) for one in self.parameters.scenarios]
        return (
            np.append(priced.scenario_move, 0.0),
            np.array([*vol, 0.0]),
            np.append(priced.dampening, 1.0),
        )

    def unit_scenarios(self, book: UnitBook, priced: DeriveContracts, units: IntArray) -> FloatArray:
        """P&L of some units in each scenario, dampened, and of their bases; units that stand next to each other."""
        if not len(units):
            return np.zeros((0, len(priced.dampening) + 1))
        by_expiry = book.cut.by_expiry
        first, last = int(units[0]), int(units[-1]) + 1
        pnl, basis = scenario_table(by_expiry, unit_sum(book.holdings, priced.linear), priced, first, last)
        return np.concatenate((pnl, basis[:, None]), axis=1)


def derive_pmrm2(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> DerivePortfolio:
    """The second generation: many collaterals, tails, skews, static discount by sign."""
    refuse_overrides(overrides)
    return DerivePortfolio(
        parameters=_levels_in_order(load_parameters(parameters, SECOND)),
        name="derive-pmrm2",
        title="Derive portfolio margin 2: grid, tails and skews, static discount by expiry, competing basis",
    )


def derive_pmrm1(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> DerivePortfolio:
    """The first generation: one collateral, undiscounted options, a grid."""
    refuse_overrides(overrides)
    return DerivePortfolio(
        parameters=_levels_in_order(load_parameters(parameters, FIRST)),
        name="derive-pmrm1",
        title="Derive portfolio margin 1: grid, static discount of what is worth something, competing basis",
    )


def _levels_in_order(parameters: DeriveParameters) -> DeriveParameters:
    """Refuse parameters under which maintenance could ask for more than initial: nobody could ever be liquidated."""
    if parameters.maintenance_factor > parameters.initial_factor:
        raise ParameterError(
            Problem(
                found=f"maintenance_factor {parameters.maintenance_factor:g} above initial_factor "
                f"{parameters.initial_factor:g}",
                needed="At most the initial factor.",
                file=parameters.info.name,
                column="maintenance_factor",
                kind=ParameterError,
            )
        )
    return parameters
