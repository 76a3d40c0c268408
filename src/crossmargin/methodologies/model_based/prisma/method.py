"""`prisma-like`, as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.history.histories import FactorHistories
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import Measured, UnitBook
from crossmargin.methodologies.model_based.base import UNIT, ModelBased
from crossmargin.methodologies.model_based.charges import notes_on_spreads, notes_on_volumes, require_volumes
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.parameters import Factors, Measure, Periods, Tool, least_scenarios, percent
from crossmargin.methodologies.model_based.prisma.contributions import position_shares
from crossmargin.methodologies.model_based.prisma.explain import explain_unit
from crossmargin.methodologies.model_based.prisma.parameters import (
    PrismaParameters,
    load_parameters,
)
from crossmargin.methodologies.model_based.prisma.recipe import (
    EVENT,
    FILTERED,
    STRESS,
    PrismaBreakdown,
    prisma_requirement,
    sub_samples,
)
from crossmargin.methodologies.model_based.scenario_sets import Known, scenario_set, stress_set
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.portfolio.book import Book
from crossmargin.scenarios.factor_scenarios import FactorScenarios


@dataclass(frozen=True, kw_only=True, eq=False)
class PrismaLike(ModelBased):
    """Scaled value at risk of sub-samples with a charge for broken correlations, stress as its floor, liquidity."""

    parameters: PrismaParameters
    name: str = "prisma-like"
    title: str = "like Eurex PRISMA: scaled value at risk of sub-samples, correlation break, stress floor, liquidity"
    version: str = "1"
    status: str = "inferred"

    @property
    def own_info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def factors(self) -> Factors:
        """See `ModelBased.factors`."""
        return self.parameters.factors

    @property
    def tail_measure(self) -> Measure:
        """See `ModelBased.tail_measure`: value at risk at the target, not scaled."""
        return Measure(tool=Tool.VAR, level=self.parameters.pure.level_target)

    @property
    def horizon_days(self) -> int:
        """See `ModelBased.horizon_days`."""
        return self.parameters.generation.horizon_days

    @property
    def stress_days(self) -> Periods:
        """See `ModelBased.stress_days`."""
        return self.parameters.stress_periods

    @property
    def traits(self) -> Traits:
        """A value at risk is neither convex nor subadditive; what a position is charged for size grows with it.

        Contributions sum exactly: market risk is of one order in the positions, and charges are allocated as charged.
        """
        homogeneous = not self.parameters.liquidity.grows_with_size
        return Traits(convex=False, homogeneous=homogeneous, subadditive=False, euler=True, exact_integers=False)

    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """See `ModelBased.sets_at`."""
        p = self.parameters
        days = p.generation.horizon_days
        sets = {FILTERED: scenario_set(known, p.generation)}
        if p.stress_weight:
            sets[STRESS] = _in_sub_samples(_stress(known, p.stress_periods, days), known, days)
        if p.events.worst:
            sets[EVENT] = stress_set(known, p.events.periods, days, name="event")
        raise_problems(_too_small(sets, p))
        return sets

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ModelContracts:
        """See `Methodology.price`."""
        contracts = super().price(instruments, market, policy)
        require_volumes(contracts)
        return contracts

    def groups(self, priced: ModelContracts) -> tuple[IntArray, tuple[str, ...]]:
        """Liquidation groups: between them nothing offsets."""
        group_of = self.parameters.liquidation_groups
        names = tuple(sorted({UNIT, *group_of.values()}))
        place = {name: k for k, name in enumerate(names)}
        of_underlying = np.array([place[group_of.get(name, UNIT)] for name in priced.underlyings], dtype=np.int64)
        return of_underlying[priced.underlying], names

    def measure(self, book: UnitBook, priced: ModelContracts) -> Measured:
        """The recipe."""
        b = prisma_requirement(book, priced, self.parameters)
        components = {"filtered": b.filtered.value}
        if b.stress is not None:
            components["stress"] = b.stressed
        components["market_risk"] = b.market_risk
        if self.parameters.events.worst:
            components["events"] = b.event
        components["liquidity"] = b.liquidity.charge
        if b.volatility.any():
            components["volatility_charge"] = b.volatility
        account_initial = {}
        if book.has_orders:
            account_initial["open_orders"] = self.orders_charge(book, priced, b.requirement)
        loses = b.filtered.pure.max(axis=1, initial=0.0) > 0
        return Measured(
            requirement_initial=b.requirement,
            requirement_maintenance=b.maintenance,
            components=components,
            scenario_worst=np.where(loses, b.filtered.scenario, -1),
            position_shares=lambda: position_shares(book, priced, self.parameters, b),
            account_initial=account_initial,
            account_maintenance={name: np.zeros(book.n_accounts) for name in account_initial},
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: ModelContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, PrismaBreakdown)
        name = self._unit_names(book, priced)[unit]
        return explain_unit(name, self.name, book, priced, self.parameters, measured.detail, unit, level)

    def notes(self, book: Book, priced: ModelContracts) -> tuple[str, ...]:
        """See `ModelBased.notes`; and of what nobody says how much trades, or at what spread."""
        return (*super().notes(book, priced), *notes_on_volumes(priced), *notes_on_spreads(priced))


def _stress(known: Known, periods: Periods, days: int) -> FactorScenarios:
    try:
        return stress_set(known, periods, days)
    except InputError as error:
        problem = error.problems[0]
        needed = f"{problem.needed} Without them: --option stress_weight=0."
        raise InputError(replace(problem, needed=needed)) from None


def _in_sub_samples(scenarios: FactorScenarios, known: Known, days: int) -> FactorScenarios:
    """`scenarios`, runs of `days`, in the sub-samples that the history's calendar makes, as `over_horizon` has them."""
    until_last = len(known.changes.times) - 1 - np.searchsorted(known.changes.times, scenarios.times)
    return replace(scenarios, sub_sample=(until_last % days).astype(np.int64))


def _too_small(sets: Mapping[str, FactorScenarios], parameters: PrismaParameters) -> list[Problem]:
    """Sub-samples with too few scenarios for what is asked of them."""
    window = parameters.correlation_break.window
    liquidity = parameters.liquidity.level
    problems = []
    for name, scenarios in sets.items():
        if name == EVENT:
            continue
        low = parameters.pure.level_low
        needs = {f"the level of {percent(low)}": least_scenarios(low)}
        if name == FILTERED:
            needs[f"liquidity's level of {percent(liquidity)}"] = least_scenarios(liquidity)
            needs[f"windows of {window}"] = window + 1
        fewest = min((len(rows) for rows in sub_samples(scenarios)), default=0)
        why, needed = max(needs.items(), key=lambda one: one[1])
        if fewest < needed:
            problems.append(
                Problem(
                    found=f"{fewest} scenarios in a sub-sample of '{name}', too few for {why}",
                    needed=f"{needed} are needed in each: give more observations, longer periods, or a lower level.",
                )
            )
    return problems


def prisma_like(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> PrismaLike:
    """The methodology: parameters by name, file or document, and a history of the factors."""
    return PrismaLike(parameters=load_parameters(parameters, **overrides), history=history)
