"""`historical-es`, `filtered-es` and `monte-carlo-es`, as the engine sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.history.histories import FactorHistories
from crossmargin.methodologies.by_unit import Measured, UnitBook
from crossmargin.methodologies.model_based.base import ModelBased
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.expected_shortfall.explain import explain_unit
from crossmargin.methodologies.model_based.expected_shortfall.parameters import (
    AntiProcyclicality,
    ShortfallParameters,
    load_parameters,
)
from crossmargin.methodologies.model_based.expected_shortfall.recipe import (
    BASE,
    LONG_RUN,
    STRESS,
    ShortfallBreakdown,
    position_shares,
    shortfall_requirement,
)
from crossmargin.methodologies.model_based.measures import require_scenarios
from crossmargin.methodologies.model_based.parameters import Factors, Measure, Periods, Tool
from crossmargin.methodologies.model_based.scenario_sets import Known, scenario_set, stress_set
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.scenarios.factor_scenarios import FactorScenarios


@dataclass(frozen=True, kw_only=True, eq=False)
class ExpectedShortfall(ModelBased):
    """Loss of a portfolio in scenarios of its risk factors, at a level."""

    parameters: ShortfallParameters
    name: str
    title: str
    version: str = "1"
    status: str = "own"

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
        """Expected shortfall is coherent. A value at risk is not; a buffer that is released is not convex.

        Of the rest, sums and maxima with constant weights of coherent measures are coherent; a cap on offsets takes a
        part of the saving back, which is a mixture of two of them.
        """
        coherent = self.parameters.measure.tool is Tool.ES and self.parameters.apc.tool is not AntiProcyclicality.BUFFER
        return Traits(convex=coherent, homogeneous=True, subadditive=coherent, euler=True, exact_integers=False)

    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """See `ModelBased.sets_at`."""
        generation, apc = self.parameters.generation, self.parameters.apc
        sets = {BASE: scenario_set(known, generation)}
        if apc.tool is AntiProcyclicality.STRESSED_WEIGHT:
            sets[STRESS] = stress_set(known, self.parameters.stress_periods, generation.horizon_days)
        elif apc.tool in (AntiProcyclicality.LONG_RUN_FLOOR, AntiProcyclicality.BUFFER):
            long_run = replace(
                generation, observations=apc.long_run_observations, volatility=None, simulation=None, damped=False
            )
            sets[LONG_RUN] = scenario_set(known, long_run, option="long_run_observations")
        for name, scenarios in sets.items():
            if name != STRESS:
                simulated = name == BASE and generation.simulation is not None
                option = "draws" if simulated else "observations" if name == BASE else "long_run_observations"
                more = f"ask for more (--option {option}=N)"
                require_scenarios(self.parameters.measure, len(scenarios), name, more)
        return sets

    def measure(self, book: UnitBook, priced: ModelContracts) -> Measured:
        """The recipe."""
        b = shortfall_requirement(book, priced, self.parameters)
        components = {"loss": b.loss.value}
        if self.parameters.apc.tool is not AntiProcyclicality.NONE:
            components["anti_procyclicality"] = b.with_buffer - b.loss.value
        if b.volatility.any():
            components["volatility_charge"] = b.volatility
        if b.apart is not None:
            components["beyond_offset_cap"] = b.beyond_cap
        if self.parameters.floor_rate:
            components["floor"] = b.floor
        account_initial = {}
        if book.has_orders:
            account_initial["open_orders"] = self.orders_charge(book, priced, b.requirement)
        return Measured(
            requirement_initial=b.requirement,
            requirement_maintenance=b.maintenance,
            components=components,
            scenario_worst=np.where(b.loss.counts, b.loss.scenario, -1),
            position_shares=lambda: position_shares(book, priced, self.parameters, b),
            account_initial=account_initial,
            account_maintenance={name: np.zeros(book.n_accounts) for name in account_initial},
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: ModelContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, ShortfallBreakdown)
        name = self._unit_names(book, priced)[unit]
        return explain_unit(name, self.name, book, priced, self.parameters, measured.detail, unit, level)


_TITLES = {
    "historical-es": "expected shortfall of the portfolio in the changes of past days, as they were",
    "filtered-es": "expected shortfall in past days' changes, brought to the volatility of today",
    "monte-carlo-es": "expected shortfall in simulated changes: volatilities of today, correlations, fat tails",
}


def _made(
    name: str,
    parameters: str | Path | dict[str, Any] | None,
    history: FactorHistories | None,
    overrides: dict[str, Any],
) -> ExpectedShortfall:
    loaded = load_parameters(parameters, f"{name}-2026", **overrides)
    return ExpectedShortfall(parameters=loaded, name=name, title=_TITLES[name], history=history)


def historical_es(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> ExpectedShortfall:
    """Expected shortfall of history: parameters by name, file or document, and a history of the factors."""
    return _made("historical-es", parameters, history, overrides)


def filtered_es(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> ExpectedShortfall:
    """The same of filtered history."""
    return _made("filtered-es", parameters, history, overrides)


def monte_carlo_es(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> ExpectedShortfall:
    """The same of simulated factors."""
    return _made("monte-carlo-es", parameters, history, overrides)
