"""What all model-based methods share: a history beside the parameters, one risk unit an account, sets of scenarios.

A risk unit is everything that a margin account holds: what offsets what is in the scenarios, and nothing is kept
apart by underlying. The decision a reader would question: what netting saves is therefore only as good as the dates
of the history; `crossmargin hedge-failure` says what each account would owe if its correlations broke.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments, scenario_pnl, segments
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import CrossmarginError, InputError, Problem, UnsupportedError
from crossmargin.history.histories import FactorHistories
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts, contract_table, repriced
from crossmargin.methodologies.model_based.parameters import Factors, Measure, Periods, Tool, WithoutVol
from crossmargin.methodologies.model_based.scenario_sets import Known, known_at, stress_set, with_proxied
from crossmargin.methodologies.protocol import ParametersInfo
from crossmargin.portfolio.book import Book
from crossmargin.revaluation.factor_pnl import known_shifts
from crossmargin.revaluation.inputs import pricing_inputs
from crossmargin.scenarios.factor_scenarios import FactorScenarios

UNIT = "portfolio"
"""What the one group of a model-based method is called."""


@dataclass(frozen=True, eq=False)
class ByUnderlying:
    """The units of a book cut by underlying, when somebody asks: most margins need no cut."""

    holdings: Holdings
    underlying: IntArray

    @cached_property
    def segments(self) -> Segments:
        """Each unit's positions in each underlying."""
        return segments(self.holdings, self.underlying)


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelBased(ByUnit):
    """A methodology of the family.

    A method gives `factors`, `sets_at` (its scenarios as of a time), `measure` and `explain_unit`.

    Parameters
    ----------
    history : FactorHistories or None
        `None` can be listed and explained in words, and margins nothing.
    """

    history: FactorHistories | None = None
    _sets: dict[datetime, tuple[Mapping[str, FactorScenarios], tuple[str, ...]]] = field(
        default_factory=dict, repr=False
    )

    has_scenarios: ClassVar[bool] = True
    """Whether losses are those of scenarios, which can be put together otherwise."""

    @property
    @abstractmethod
    def factors(self) -> Factors:
        """What the parameters say of factors."""

    @abstractmethod
    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """The sets of scenarios, the one that names the worst first; all of the same factors."""

    @property
    def tail_measure(self) -> Measure:
        """What is asked for of losses where correlations are assumed (`hedge_failure`)."""
        return Measure(tool=Tool.ES, level=Decimal("0.99"))

    @property
    def horizon_days(self) -> int:
        """Days over which losses are counted."""
        return 1

    @property
    def stress_days(self) -> Periods:
        """Named stressed days of the parameters."""
        return {}

    def stressed(self, moment: datetime, days: int = 1) -> FactorScenarios | None:
        """What happened over every run of `days` that ended in a stressed one; `None` where the history has none."""
        if not self.stress_days:
            return None
        try:
            found = stress_set(self.known(moment), self.stress_days, days)
        except InputError:
            return None
        found = with_proxied(found, self.factors)
        shifts, _ = known_shifts(found.shifts, found.factors, self.factors.proxies)
        return replace(found, shifts=shifts)

    @property
    @abstractmethod
    def own_info(self) -> ParametersInfo:
        """The parameter set without the history."""

    @cached_property
    def info(self) -> ParametersInfo:
        """Parameter set and, since figures rest on it as much, the history."""
        own = self.own_info
        if self.history is None:
            return own
        return replace(own, history=self.history.fingerprint)

    def known(self, moment: datetime) -> Known:
        """What the history says at a time.

        Raises
        ------
        InputError
            If there is no history, or it does not reach that time.
        """
        if self.history is None:
            raise InputError(
                Problem(
                    found=f"no history of risk factors for '{self.name}'",
                    needed="Give it with --history FILE (history=... in Python): a column of dates, and one for each "
                    "factor, like price:BTC.",
                )
            )
        return known_at(self.history, moment, self.factors)

    def scenario_sets(self, moment: datetime) -> tuple[Mapping[str, FactorScenarios], tuple[str, ...]]:
        """The sets as of a time, and notes on what was decided about factors; made once for each time."""
        if moment not in self._sets:
            known = self.known(moment)
            sets = self.sets_at(known, moment)
            self._sets.clear()
            self._sets[moment] = (
                {name: with_proxied(one, self.factors) for name, one in sets.items()},
                known.notes,
            )
        return self._sets[moment]

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ModelContracts:
        """See `Methodology.price`."""
        if market.listing is None and market.currency != self.currency:
            raise UnsupportedError(
                Problem(
                    found=f"a market in {market.currency} for a method that margins in {self.currency}",
                    needed=f"Give a market whose prices are in {self.currency}.",
                    kind=UnsupportedError,
                )
            )
        try:
            sets, _ = self.scenario_sets(market.as_of)
        except CrossmarginError as error:
            # What has no price either way is said beside it.
            problems = list(error.problems)
            try:
                pricing_inputs(market, instruments, policy)
            except CrossmarginError as of_prices:
                problems += of_prices.problems
            raise type(error)(problems) from None
        return contract_table(instruments, market, policy, self.factors, sets)

    def repriced(self, priced: ModelContracts, part: ModelContracts) -> ModelContracts:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def changed_underlyings(self, older: Any) -> frozenset[str] | None:
        """See `Methodology.changed_underlyings`: everything, unless parameters and history are the same."""
        assert isinstance(older, ModelBased)
        mine, theirs = self.info, older.info
        return frozenset() if (mine.digest, mine.history) == (theirs.digest, theirs.history) else None

    def groups(self, priced: ModelContracts) -> tuple[IntArray, tuple[str, ...]]:
        """One group: everything that an account holds."""
        return np.zeros(len(priced.names), dtype=np.int64), (UNIT,)

    def cut(self, holdings: Holdings, priced: ModelContracts) -> ByUnderlying:
        """The units by underlying, for who asks."""
        return ByUnderlying(holdings, priced.underlying)

    def notes(self, book: Book, priced: ModelContracts) -> tuple[str, ...]:
        """What was decided about factors, and what the method leaves out."""
        found = list(next((notes for _, notes in self._sets.values()), ()))
        if self.factors.without_vol is WithoutVol.STILL:
            still = np.flatnonzero(priced.inputs.is_option & (priced.mapped.vol < 0))
            found += [
                f"volatilities of {name} have no history and stay where they are"
                for name in sorted({priced.underlyings[u] for u in priced.underlying[still].tolist()})
            ]
        return tuple(found)

    def scenario_words(self, priced: ModelContracts, group: int) -> tuple[str, ...]:
        """See `ByUnit.scenario_words`: those of the first set."""
        if not self.has_scenarios:
            return ()
        first = next(iter(priced.sets.values())).scenarios
        return tuple(first.words(k) for k in range(len(first)))

    def unit_scenarios(self, book: UnitBook, priced: ModelContracts, units: IntArray) -> FloatArray | None:
        """See `ByUnit.unit_scenarios`."""
        if not self.has_scenarios:
            return None
        return scenario_pnl(book.holdings, next(iter(priced.sets.values())).swept, units)
