"""`span2-like`, as the engine sees it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.errors import InputError, Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.history.factors import KINDS, Change, Factor
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
from crossmargin.methodologies.model_based.span2.parameters import EVERY, Span2Parameters, WrongWay, load_parameters
from crossmargin.methodologies.model_based.span2.recipe import (
    FILTERED,
    STRESS,
    WRONG_WAY,
    Span2Breakdown,
    position_shares,
    span2_requirement,
)
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.portfolio.book import Book
from crossmargin.scenarios.factor_scenarios import FactorScenarios, hypothetical, joined


@dataclass(frozen=True, kw_only=True, eq=False)
class Span2Like(ModelBased):
    """History and stress, mixed; what it costs to close; concentration; what falls with the account."""

    parameters: Span2Parameters
    name: str = "span2-like"
    title: str = "like SPAN 2: filtered history and stress mixed, liquidity, concentration"
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
        """Charges for size grow faster than it, so that two books together can need more than both alone.

        So can two accounts under one agreement where more falls with it than with either.
        """
        p = self.parameters
        coherent = all(measure.tool is Tool.ES for measure in (p.measure, p.stress_measure))
        by_size = bool(p.closing.impact or p.closing.rate)
        return Traits(
            convex=coherent,
            homogeneous=not by_size,
            subadditive=coherent and not by_size and not p.wrong_way.accounts,
            euler=True,
            exact_integers=False,
        )

    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """See `ModelBased.sets_at`."""
        p = self.parameters
        filtered = scenario_set(known, p.generation)
        require_scenarios(p.measure, len(filtered), FILTERED)
        sets = {FILTERED: filtered}
        if p.historical_share < 1:
            sets[STRESS] = self._stress(known)
        if p.wrong_way.together != ((),):
            sets[WRONG_WAY] = falls(filtered.factors, p.wrong_way)
        return sets

    def _stress(self, known: Known) -> FactorScenarios:
        """Stressed days, then hypothetical moves.

        Raises
        ------
        InputError
            If the history has none of the days, a move is of nothing that it has, or too few scenarios come of both.
        """
        p = self.parameters
        require_moves(p.hypothetical, known.changes.factors)
        found = []
        try:
            if p.stress_periods:
                found.append(stress_set(known, p.stress_periods, p.generation.horizon_days))
            if p.hypothetical:
                found.append(hypothetical(known.changes.factors, p.hypothetical))
            stress = joined(found, name=STRESS)
            require_scenarios(p.stress_measure, len(stress), STRESS)
        except InputError as error:
            *others, last = error.problems
            needed = f"{last.needed} Without stress: --option historical_share=1."
            raise InputError([*others, replace(last, needed=needed)]) from None
        return stress

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ModelContracts:
        """See `Methodology.price`."""
        contracts = super().price(instruments, market, policy)
        require_volumes(contracts)
        return contracts

    def measure(self, book: UnitBook, priced: ModelContracts) -> Measured:
        """The recipe."""
        b = span2_requirement(book, priced, self.parameters)
        x = self.parameters.historical_share
        components = {"historical": x * b.historical.value}
        if b.stress is not None:
            components["stress"] = (1 - x) * b.stress.value
        components |= {"liquidity": b.liquidity, "concentration": b.concentration}
        if b.wrong_way is not None:
            components["wrong_way"] = b.wrong_way_charge
        if b.volatility.any():
            components["volatility_charge"] = b.volatility
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


def require_moves(moves: Mapping[str, Mapping[str, float]], factors: tuple[Factor, ...]) -> None:
    """Raise `InputError` for every hypothetical move that would not do what it says.

    One of a factor that the history does not have moves nothing, and nobody would notice. One of a whole kind is
    refused where a factor does not change as its kind does: -0.4 is a fall by a third, and of crude oil that has been
    below 0 it is one by 0.4 dollars.
    """
    names = {factor.name for factor in factors}
    problems = []
    for title, by_factor in moves.items():
        for name in by_factor:
            kind, _, subject = name.partition(":")
            odd = [f for f in factors if f.kind == kind and f.name not in by_factor and f.change is not KINDS[kind]]
            if subject != EVERY and name not in names:
                found, needed = "of which there is no history", "Name a factor of the history."
            elif subject == EVERY and odd:
                found = f"and {odd[0].name}, among others," if len(odd) > 1 else f"and {odd[0].name}"
                found, needed = f"{found} changes {odd[0].change}ly", "Name its own move beside it."
            else:
                continue
            problems.append(Problem(found=f"hypothetical scenario '{title}' moves '{name}', {found}", needed=needed))
    if problems:
        raise InputError(problems)


def falls(factors: tuple[Factor, ...], wrong_way: WrongWay) -> FactorScenarios:
    """One scenario for each group that falls together with some account, in which nothing else moves.

    Raises
    ------
    InputError
        For every underlying whose price is no factor, or one that changes absolutely: a part of it is no change.
    """
    place = {factor.name: factor for factor in factors}
    named = sorted({underlying for group in wrong_way.together for underlying in group})
    problems = []
    for underlying in named:
        factor = place.get(f"price:{underlying}")
        if factor is None or factor.change is not Change.RELATIVE:
            problems.append(
                Problem(
                    found=f"wrong_way names '{underlying}', whose price is no relative factor of the history",
                    needed=f"Add 'price:{underlying}' to the history, or leave it out of wrong_way.",
                )
            )
    if problems:
        raise InputError(problems)
    move = math.log1p(-wrong_way.fall)
    titles = [
        f"{', '.join(group)} down by {wrong_way.fall:.0%}" if group else "nothing" for group in wrong_way.together
    ]
    return joined(
        [
            hypothetical(factors, {title: {f"price:{underlying}": move for underlying in group}})
            for title, group in zip(titles, wrong_way.together, strict=True)
        ],
        name=WRONG_WAY,
    )


def span2_like(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> Span2Like:
    """The methodology: parameters by name, file or document, and a history of the factors."""
    return Span2Like(parameters=load_parameters(parameters, **overrides), history=history)
