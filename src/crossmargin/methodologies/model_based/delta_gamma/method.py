"""`delta-gamma-parametric`, as the engine sees it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import InputError, Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.dependence.correlation import ewma_covariance
from crossmargin.history.histories import FactorHistories
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import Measured, UnitBook
from crossmargin.methodologies.model_based.base import ModelBased
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.delta_gamma.explain import explain_unit
from crossmargin.methodologies.model_based.delta_gamma.exposures import DIFFERENCES, difference_scenarios
from crossmargin.methodologies.model_based.delta_gamma.parameters import DeltaGammaParameters, load_parameters
from crossmargin.methodologies.model_based.delta_gamma.recipe import (
    DeltaGammaBreakdown,
    delta_gamma_requirement,
    position_shares,
)
from crossmargin.methodologies.model_based.parameters import Factors, Measure
from crossmargin.methodologies.model_based.scenario_sets import Known
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.scenarios.factor_scenarios import FactorScenarios


@dataclass(frozen=True, kw_only=True, eq=False)
class DeltaGamma(ModelBased):
    """Shortfall of a quadratic form of normal factors: no scenario, no full revaluation."""

    parameters: DeltaGammaParameters
    name: str = "delta-gamma-parametric"
    title: str = "shortfall from deltas, gammas and a covariance of normal factors: fast, and blind to jumps"
    version: str = "1"
    status: str = "own"
    _covariance: dict[datetime, FloatArray] = field(default_factory=dict, repr=False)

    has_scenarios: ClassVar[bool] = False

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
        return self.parameters.horizon_days

    @property
    def traits(self) -> Traits:
        """Of one order in the positions; an expansion of a tail is neither convex nor subadditive."""
        return Traits(convex=False, homogeneous=True, subadditive=False, euler=True, exact_integers=False)

    def sets_at(self, known: Known, moment: datetime) -> Mapping[str, FactorScenarios]:
        """Not scenarios of the market, but the steps by which derivatives are taken."""
        covariance = horizon_covariance(known, self.parameters)
        scenarios = difference_scenarios(known.changes.factors, np.sqrt(np.diag(covariance)))
        self._covariance.clear()
        self._covariance[moment] = covariance
        return {DIFFERENCES: scenarios}

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ModelContracts:
        """See `Methodology.price`; with the covariance of the factors."""
        contracts = super().price(instruments, market, policy)
        return replace(contracts, covariance=self._covariance[market.as_of])

    def measure(self, book: UnitBook, priced: ModelContracts) -> Measured:
        """The recipe."""
        assert priced.covariance is not None
        covariance = priced.covariance
        b = delta_gamma_requirement(book, priced, covariance, self.parameters)
        components = {"loss": np.maximum(b.loss, 0.0)}
        if b.volatility.any():
            components["volatility_charge"] = b.volatility
        account_initial = {}
        if book.has_orders:
            account_initial["open_orders"] = self.orders_charge(book, priced, b.requirement)
        return Measured(
            requirement_initial=b.requirement,
            requirement_maintenance=b.maintenance,
            components=components,
            scenario_worst=np.full(book.n_units, -1),
            position_shares=lambda: position_shares(book, priced, covariance, b),
            account_initial=account_initial,
            account_maintenance={name: np.zeros(book.n_accounts) for name in account_initial},
            detail=b,
        )

    def explain_unit(
        self, book: UnitBook, priced: ModelContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, DeltaGammaBreakdown)
        return explain_unit(
            self._unit_names(book, priced)[unit], self.name, self.parameters, measured.detail, unit, level
        )


def horizon_covariance(known: Known, parameters: DeltaGammaParameters) -> FloatArray:
    """Covariance of all factors over the horizon; NaN of those that were not known on every date that is used.

    Raises
    ------
    InputError
        If there are fewer changes than are asked for.
    """
    wanted = parameters.covariance
    n = len(known.changes.times)
    if n < wanted.observations:
        raise InputError(
            Problem(
                found=f"{n} daily changes up to the time of the market, for a covariance of {wanted.observations}",
                needed="Give a longer history, or ask for fewer (--option observations=N).",
            )
        )
    values = known.changes.last(wanted.observations).values
    whole = np.flatnonzero(~np.isnan(values).any(axis=0))
    found = np.full((values.shape[1], values.shape[1]), np.nan)
    if len(whole):
        daily = ewma_covariance(values[:, whole], wanted.decay, seed_days=wanted.seed_days)
        found[np.ix_(whole, whole)] = parameters.horizon_days * daily
    return read_only(found)


def delta_gamma_parametric(
    parameters: str | Path | dict[str, Any] | None = None, *, history: FactorHistories | None = None, **overrides: Any
) -> DeltaGamma:
    """The methodology: parameters by name, file or document, and a history of the factors."""
    return DeltaGamma(parameters=load_parameters(parameters, **overrides), history=history)
