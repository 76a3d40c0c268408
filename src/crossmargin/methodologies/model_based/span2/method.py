"""`span2-like`, as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.history.factors import Change, Factor
from crossmargin.history.histories import FactorHistories
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import Measured, UnitBook
from crossmargin.methodologies.model_based.base import ModelBased
from crossmargin.methodologies.model_based.charges import notes_on_spreads, notes_on_volumes, require_volumes
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.measures import require_scenarios
from crossmargin.methodologies.model_based.parameters import Factors, Measure, Periods, Tool
from crossmargin.methodologies.model_based.scenario_sets import Known, scenario_set, stress_set
from crossmargin.methodologies.model_based.span2.explain import explain_unit
from crossmargin.methodologies.model_based.span2.parameters import (
    EVERY,
    Moves,
    Span2Parameters,
    as_change,
    load_parameters,
)
from crossmargin.methodologies.model_based.span2.recipe import (
    HISTORICAL,
    STRESS,
    Span2Breakdown,
    position_shares,
    span2_requirement,
)
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.portfolio.book import Book
from crossmargin.scenarios.factor_scenarios import FactorScenarios, hypothetical, joined


@dataclass(frozen=True, kw_only=True, eq=False)
class Span2Like(ModelBased):
    """A mixture of history and stress, with charges for what it costs to close and for what is too large."""

    parameters: Span2Parameters
    name: str = "span2-like"
    title: str = "like CME SPAN 2: x historical + (1 - x) stress + liquidity + concentration"
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
        return self.parameters.measure

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
        """What size costs grows faster than size: convex still, but neither homogeneous nor subadditive.

        A worst loss is coherent, and so is expected shortfall, but not value at risk.
        """
        p = self.parameters
        convex = p.measure.tool is Tool.ES
        grows = p.grows_with_size
        return Traits(
            convex=convex, homogeneous=not grows, subadditive=convex and not grows, euler=True, exact_integers=False
        )

    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """See `ModelBased.sets_at`."""
        p = self.parameters
        sets = {HISTORICAL: scenario_set(known, p.generation)}
        require_scenarios(p.measure, len(sets[HISTORICAL]), HISTORICAL)
        if p.historical_weight < 1:
            sets[STRESS] = _stress(known, p)
        return sets

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ModelContracts:
        """See `Methodology.price`."""
        contracts = super().price(instruments, market, policy)
        require_volumes(contracts)
        return contracts

    def measure(self, book: UnitBook, priced: ModelContracts) -> Measured:
        """The recipe."""
        b = span2_requirement(book, priced, self.parameters)
        components = {"historical": b.historical.value}
        if b.stress is not None:
            components |= {"stress": b.stress.value, "market_risk": b.market_risk}
        components |= {"liquidity": b.liquidity, "concentration": b.size.concentration_sum}
        if b.volatility.any():
            components["volatility_charge"] = b.volatility
        if b.wrong_way is not None:
            components["wrong_way"] = b.wrong_way.charge
        account_initial = {}
        if book.has_orders:
            account_initial["open_orders"] = self.orders_charge(book, priced, b.requirement)
        return Measured(
            requirement_initial=b.requirement,
            requirement_maintenance=b.maintenance,
            components=components,
            scenario_worst=np.where(b.historical.counts, b.historical.scenario, -1),
            position_shares=lambda: position_shares(book, priced, self.parameters, b),
            account_initial=account_initial,
            account_maintenance={name: np.zeros(book.n_accounts) for name in account_initial},
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: ModelContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, Span2Breakdown)
        name = self._unit_names(book, priced)[unit]
        return explain_unit(name, self.name, book, priced, self.parameters, measured.detail, unit, level)

    def notes(self, book: Book, priced: ModelContracts) -> tuple[str, ...]:
        """See `ModelBased.notes`; and of what nobody says how much trades, or at what spread."""
        return (*super().notes(book, priced), *notes_on_volumes(priced), *notes_on_spreads(priced))


def _stress(known: Known, parameters: Span2Parameters) -> FactorScenarios:
    """Stressed days and hypothetical scenarios as one set."""
    found = []
    if parameters.stress_periods:
        try:
            found.append(stress_set(known, parameters.stress_periods, parameters.generation.horizon_days))
        except InputError as error:
            problem = error.problems[0]
            needed = f"{problem.needed} Without stress: --option historical_weight=1."
            raise InputError(replace(problem, needed=needed)) from None
    if parameters.hypothetical:
        factors = known.changes.factors
        found.append(hypothetical(factors, changes_of(parameters.hypothetical, factors)))
    return joined(found, name=STRESS)


def changes_of(moves: Moves, factors: tuple[Factor, ...]) -> dict[str, dict[str, float]]:
    """Moves as parts or differences to changes as scenarios of those factors have them.

    Raises
    ------
    InputError
        Naming every move of a factor that there is not, every fall to nothing, and every move of a whole kind whose
        factors do not all change in one way: a fifth of the one would be 0.2 points of the other.
    """
    change = {factor.name: factor.change for factor in factors}
    found: dict[str, dict[str, float]] = {}
    problems = []
    for title, by_factor in moves.items():
        found[title] = {}
        for name, move in by_factor.items():
            kind, _, subject = name.partition(":")
            if subject == EVERY:
                ways = {f.change for f in factors if f.kind == kind and f.name not in by_factor}
            else:
                ways = {change[name]} if name in change else set()
                if not ways:
                    needed = "Name a factor of the history."
                    problems.append(_of_move(title, f"moves '{name}', of which there is no history", needed))
            if len(ways) > 1:
                needed = "Name each of those that change absolutely, or each of the others."
                problems.append(_of_move(title, f"moves '{name}', and not all of them change in one way", needed))
                continue
            try:
                found[title][name] = as_change(move, relative=Change.RELATIVE in ways)
            except ValueError:
                needed = "More than -1: a part of the level."
                problems.append(_of_move(title, f"moves '{name}' by {move:g} of its level", needed))
    raise_problems(problems)
    return found


def _of_move(title: str, found: str, needed: str) -> Problem:
    return Problem(found=f"hypothetical scenario '{title}' {found}", needed=needed, kind=InputError)


def span2_like(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> Span2Like:
    """The methodology: parameters by name, file or document, and a history of the factors."""
    return Span2Like(parameters=load_parameters(parameters, **overrides), history=history)
