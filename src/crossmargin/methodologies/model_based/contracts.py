"""What one contract of everything held does in every scenario of every set, and what else the family asks of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import LaidOut, laid_out
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import InputError, Problem, UnsupportedError, raise_problems
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.model_based.parameters import Factors, WithoutVol
from crossmargin.revaluation.factor_pnl import (
    FactorMap,
    factor_map,
    factor_unit_pnl,
    known_shifts,
    require_positive,
    why_no_proxy,
)
from crossmargin.revaluation.inputs import PRICED_COLUMNS, PricingInputs, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_greeks, unit_value
from crossmargin.scenarios.factor_scenarios import NO_DATE, FactorScenarios


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SetTable:
    """Unit P&L of one set of scenarios.

    Parameters
    ----------
    scenarios : FactorScenarios
        The set; known for every factor that moves something held.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios)
        Gain of one long contract, US dollars.
    swept : LaidOut
        The same as the sweep reads it.
    """

    scenarios: FactorScenarios
    unit_pnl: FloatArray
    swept: LaidOut


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ModelContracts:
    """One contract of each held instrument; arrays of shape `(n_instruments,)`.

    Parameters
    ----------
    inputs : PricingInputs
        The instruments and what prices them.
    mapped : FactorMap
        Which factor moves them.
    sets : mapping of str to SetTable
        By name of the set.
    option_value : ndarray
        Dollar value of one long option at its mark; 0 for the rest.
    notional : ndarray
        Dollar value of what one contract is of, at least 0.
    delta, gamma, vega : ndarray
        Dollars: for the price up by 100% (linearised), its second derivative, and for volatility up by 1.00.
    vega_charged : ndarray
        `vega * vol * charge` of options whose volatility has no history; 0 for the rest.
    spread : ndarray
        Half of what ask is above bid, dollars a contract; 0 where there is no two-sided quote.
    volume : ndarray
        Contracts that trade a day (fact `average_daily_volume` of the instrument); NaN where nothing is stated.
    fills : tuple of Fill
        Every stand-in for a missing quote or for a part of a history.
    covariance : ndarray of shape (n_factors, n_factors) or None
        Of the factors over the horizon, for a method that has no scenarios but this.
    """

    inputs: PricingInputs
    mapped: FactorMap
    sets: Mapping[str, SetTable]
    option_value: FloatArray
    notional: FloatArray
    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    vega_charged: FloatArray
    spread: FloatArray
    volume: FloatArray
    fills: tuple[Fill, ...]
    covariance: FloatArray | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Instruments, in order."""
        return self.inputs.instruments.names

    @property
    def underlying(self) -> IntArray:
        """Index of each instrument's underlying."""
        return self.inputs.instruments.underlying.astype(np.int64)

    @property
    def underlyings(self) -> tuple[str, ...]:
        """What they are called."""
        return self.inputs.instruments.underlyings


def contract_table(
    instruments: tuple[str, ...],
    market: Market,
    policy: MissingPolicy,
    factors: Factors,
    sets: Mapping[str, FactorScenarios],
) -> ModelContracts:
    """Price one contract of everything held, now and in every scenario of `sets`, which are of the same factors.

    Raises
    ------
    InputError, UnsupportedError
        Listing every instrument that cannot be priced, has no factor, or whose factor is unknown on some date.
    """
    first = next(iter(sets.values()))
    inputs = pricing_inputs(
        market,
        instruments,
        policy,
        converted=frozenset(factor.subject for factor in first.factors if factor.kind == "fx"),
    )
    mapped, problems = factor_map(
        inputs.instruments, first.factors, vol_stays=factors.without_vol is not WithoutVol.REFUSE
    )
    problems += require_positive(inputs, mapped)
    fills = list(inputs.fills)
    known: dict[str, FactorScenarios] = {}
    for name, scenarios in sets.items():
        shifts, filled = known_shifts(scenarios.shifts, scenarios.factors, factors.proxies)
        problems += _unknown(inputs, mapped, scenarios, shifts, factors)
        known[name] = replace(scenarios, shifts=shifts)
        fills += [
            Fill(
                instrument=scenarios.factors[k].name,
                field=f"history in {count} of {len(scenarios)} scenarios of '{name}'",
                rule=f"that of {other}, times",
                value=beta,
                donor=other,
            )
            for k, (other, beta, count) in filled.items()
            if len(mapped.of_factor(k))
        ]
    raise_problems(list(dict.fromkeys(problems)))
    tables = {}
    for name, scenarios in known.items():
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            pnl = factor_unit_pnl(inputs, mapped, scenarios.shifts).values
        raise_problems(_beyond_numbers(inputs, scenarios, pnl))
        tables[name] = SetTable(scenarios=scenarios, unit_pnl=pnl, swept=laid_out(pnl))
    greeks = unit_greeks(inputs)
    still = inputs.is_option & (mapped.vol < 0)
    charged = factors.vol_charge if factors.without_vol is WithoutVol.CHARGE else 0.0
    row = inputs.market_row
    per_quote = inputs.instruments.multiplier * inputs.quote_usd
    per_quote = per_quote * np.where(inputs.instruments.is_inverse & inputs.is_option, inputs.index, 1.0)
    half = 0.5 * (market.ask[row] - market.bid[row]) * per_quote
    stated = np.array([market.fact("average_daily_volume", name, np.nan) for name in inputs.instruments.names])
    return ModelContracts(
        inputs=inputs,
        mapped=mapped,
        sets=tables,
        option_value=read_only(np.where(inputs.is_option, unit_value(inputs), 0.0)),
        notional=read_only(_notional(inputs)),
        delta=greeks.delta,
        gamma=greeks.gamma,
        vega=greeks.vega,
        vega_charged=read_only(np.where(still, greeks.vega * inputs.vol * charged, 0.0)),
        spread=read_only(np.where(half > 0, half, 0.0)),
        volume=read_only(stated.astype(np.float64)),
        fills=tuple(fills),
    )


def _notional(inputs: PricingInputs) -> FloatArray:
    table = inputs.instruments
    units = np.where(table.is_inverse & ~inputs.is_option, 1.0, np.abs(inputs.index))
    return np.asarray(table.multiplier * units * inputs.quote_usd)


def _unknown(
    inputs: PricingInputs, mapped: FactorMap, scenarios: FactorScenarios, shifts: FloatArray, factors: Factors
) -> list[Problem]:
    """Factors that move something held and are unknown in some scenario."""
    problems = []
    missing = np.isnan(shifts)
    for k in mapped.used().tolist():
        n = int(missing[:, k].sum())
        if n:
            held = tuple(inputs.instruments.names[row] for row in mapped.of_factor(k).tolist())
            first = int(np.flatnonzero(missing[:, k])[0])
            # What is drawn, or differentiated, rests on every date at once: it is unknown as a whole.
            found = (
                f"'{mapped.factors[k].name}' is not known on every date that the scenarios are made from"
                if scenarios.times[first] == NO_DATE
                else f"'{mapped.factors[k].name}' is unknown in {n} of {len(shifts)} scenarios, "
                f"'{scenarios.words(first)}' the first"
            )
            name = mapped.factors[k].name
            if name in factors.proxies and (why := why_no_proxy(name, factors.proxies[name][0], mapped.factors)):
                found += f", and {why}"
            problems.append(
                Problem(
                    found=found,
                    needed="Give a history that has it, ask for fewer observations, or name a proxy for it in the "
                    "parameters.",
                    instruments=held,
                )
            )
    return problems


def _beyond_numbers(inputs: PricingInputs, scenarios: FactorScenarios, pnl: FloatArray) -> list[Problem]:
    """Instruments that have no finite value in some scenario: a peg that broke, rescaled by next to nothing."""
    wrong = ~np.isfinite(pnl)
    return [
        Problem(
            found=f"no finite value of '{inputs.instruments.names[k]}' in "
            f"'{scenarios.words(int(np.flatnonzero(wrong[k])[0]))}'",
            needed="Look at the levels of its factors about there; one that hardly moved before it jumped cannot be "
            "rescaled by its volatility.",
            instrument=inputs.instruments.names[k],
            kind=InputError,
        )
        for k in np.flatnonzero(wrong.any(axis=1)).tolist()
    ]


_BY_INSTRUMENT = (
    "option_value",
    "notional",
    "delta",
    "gamma",
    "vega",
    "vega_charged",
    "spread",
    "volume",
)


def repriced(whole: ModelContracts, part: ModelContracts) -> ModelContracts:
    """`whole` with the rows of `part`: the same terms at newer prices, in the same scenarios.

    Raises
    ------
    UnsupportedError
        If the scenarios are others: the history has gone on since.
    """
    for name, table in whole.sets.items():
        now = part.sets[name].scenarios
        if now.factors != table.scenarios.factors or not np.array_equal(
            now.shifts, table.scenarios.shifts, equal_nan=True
        ):
            raise UnsupportedError(
                Problem(
                    found=f"other scenarios of '{name}' than before: the history has gone on",
                    needed="Margin the whole book again.",
                )
            )
    rows = whole.inputs.instruments.rows(part.names)

    def joined(old: FloatArray, new: FloatArray) -> FloatArray:
        values = old.copy()
        values[rows] = new
        return read_only(values)

    anew = {*part.names, *(one.quote_currency for one in part.inputs.instruments.instruments)}
    fills = tuple(dict.fromkeys((*(fill for fill in whole.fills if fill.instrument not in anew), *part.fills)))
    columns: dict[str, Any] = {
        name: joined(getattr(whole.inputs, name), getattr(part.inputs, name)) for name in PRICED_COLUMNS
    }
    arrays: dict[str, Any] = {name: joined(getattr(whole, name), getattr(part, name)) for name in _BY_INSTRUMENT}
    sets = {}
    for name, table in whole.sets.items():
        pnl = joined(table.unit_pnl, part.sets[name].unit_pnl)
        sets[name] = replace(table, unit_pnl=pnl, swept=laid_out(pnl))
    return replace(
        whole,
        inputs=replace(whole.inputs, fills=fills, **columns),
        sets=sets,
        fills=fills,
        **arrays,
    )
