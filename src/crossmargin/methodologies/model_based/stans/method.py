"""`stans-like`, as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.history.histories import FactorHistories
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import Measured, UnitBook
from crossmargin.methodologies.model_based.base import ModelBased
from crossmargin.methodologies.model_based.charges import notes_on_spreads
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.measures import require_scenarios
from crossmargin.methodologies.model_based.parameters import Factors, Measure, Periods
from crossmargin.methodologies.model_based.scenario_sets import Known, scenario_set
from crossmargin.methodologies.model_based.stans.explain import explain_unit
from crossmargin.methodologies.model_based.stans.parameters import StansParameters, load_parameters
from crossmargin.methodologies.model_based.stans.recipe import (
    SIMULATED,
    StansBreakdown,
    position_shares,
    stans_requirement,
    with_dependence,
)
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.portfolio.book import Book
from crossmargin.scenarios.factor_scenarios import FactorScenarios


@dataclass(frozen=True, kw_only=True, eq=False)
class StansLike(ModelBased):
    """Simulated losses, and a part of what other correlations or the largest underlying would ask for beyond them."""

    parameters: StansParameters
    name: str = "stans-like"
    title: str = "like STANS: simulated expected shortfall, dependence and concentration add-on"
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
        """See `ModelBased.tail_measure`."""
        return self.parameters.base

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
        """With a weight of at most 1 it is `(1 - w) base + w max(base, others)`: a mixture of coherent measures.

        The largest underlying alone is the largest of the segments' measures, which is convex and subadditive as they
        are; half spreads are a norm of the positions.
        """
        coherent = self.parameters.add_on_weight <= 1
        return Traits(convex=coherent, homogeneous=True, subadditive=coherent, euler=True, exact_integers=False)

    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """See `ModelBased.sets_at`."""
        drawn = scenario_set(known, self.parameters.generation)
        for measure in (self.parameters.base, self.parameters.add_on):
            require_scenarios(measure, len(drawn), SIMULATED, "ask for more (--option draws=N)")
        return {SIMULATED: drawn}

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ModelContracts:
        """See `Methodology.price`: the simulated scenarios, and the same put together otherwise."""
        contracts = super().price(instruments, market, policy)
        return replace(contracts, sets=with_dependence(contracts))

    def measure(self, book: UnitBook, priced: ModelContracts) -> Measured:
        """The recipe."""
        b = stans_requirement(book, priced, self.parameters)
        components = {"base": b.base.value, "add_on": b.add_on, "liquidation": b.liquidation}
        if b.volatility.any():
            components["volatility_charge"] = b.volatility
        account_initial = {}
        if book.has_orders:
            account_initial["open_orders"] = self.orders_charge(book, priced, b.requirement)
        return Measured(
            requirement_initial=b.requirement,
            requirement_maintenance=b.maintenance,
            components=components,
            scenario_worst=np.where(b.base.counts, b.base.scenario, -1),
            position_shares=lambda: position_shares(book, priced, self.parameters, b),
            account_initial=account_initial,
            account_maintenance={name: np.zeros(book.n_accounts) for name in account_initial},
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: ModelContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, StansBreakdown)
        name = self._unit_names(book, priced)[unit]
        return explain_unit(name, self.name, book, priced, self.parameters, measured.detail, unit, level)

    def notes(self, book: Book, priced: ModelContracts) -> tuple[str, ...]:
        """See `ModelBased.notes`; and of what has no spread."""
        return (*super().notes(book, priced), *notes_on_spreads(priced))


def stans_like(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> StansLike:
    """The methodology: parameters by name, file or document, and a history of the factors."""
    return StansLike(parameters=load_parameters(parameters, **overrides), history=history)
