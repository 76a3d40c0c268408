"""What a portfolio would be asked for if its hedges failed: the same losses of each underlying, put together otherwise.

The scenarios of every underlying stay as they are, each with its own prices and volatilities; only which of them come
together is changed. So an option book is revalued in full under every assumption, and the sum of its parts never moves.

    as estimated   the dates of the history, or the draws
    zero           scenarios of the underlyings shuffled, each by itself
    one            scenario k of every underlying is its k-th largest fall
    against        every underlying loses in its own worst scenarios at once: the sum of them alone, hedges at minus one
    worst window   the largest loss in the named stressed days, as they were

The decision a reader would question: `against` is no correlation matrix. A book of three that hedge one another has
none in which all pairs are at minus one; but all of them can lose at once, and that is what it says.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from crossmargin.aggregation.sweep import blocks, laid_out, scenario_pnl, worst_loss
from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.history.factors import Change, factor_of
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable
from crossmargin.methodologies.model_based.measures import tails
from crossmargin.methodologies.model_based.pairings import shuffled, together
from crossmargin.methodologies.model_based.parameters import Measure
from crossmargin.revaluation.factor_pnl import FactorMap, factor_unit_pnl
from crossmargin.scenarios.factor_scenarios import FactorScenarios

SHUFFLES = 10
"""Shuffles that stand side by side under `zero`: with one, its figure would hang on luck."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assumptions:
    """What is ours in the answer.

    Parameters
    ----------
    offset_cap : float
        Most of the saving between underlyings that is recognised: 0.8, as RTS 153/2013 Art. 27 is remembered.
    break_weight : float
        Part of what the worse correlation of zero and one would ask for beyond the estimate that `correlation_break`
        adds: a quarter, as OCC's dependence add-on is remembered.
    vol_rise : float
        Relative rise of every volatility in the spike.
    gap : float
        Relative move of every price beside it, taken both ways.
    """

    offset_cap: float = 0.8
    break_weight: float = 0.25
    vol_rise: float = 0.5
    gap: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HedgeFailure:
    """Losses of every unit under each assumption, US dollars, shape `(n_units,)`, at least 0.

    Parameters
    ----------
    estimated, zero, one, against : ndarray
        The method's measure of the losses, scenarios put together as the name says.
    window : ndarray
        Largest loss in the stressed days; NaN where the history has none of them.
    window_worst : tuple of str
        Which day that was; empty where there is none, or nothing was lost.
    capped : ndarray
        With at most `offset_cap` of the saving between underlyings recognised.
    correlation_break : ndarray
        Add-on: `break_weight` of what `zero` or `one` asks for beyond the estimate.
    vol_spike, vol_spike_gap : ndarray
        Loss when volatilities jump: prices still, and prices moving by the gap, the worse way.
    """

    estimated: FloatArray
    zero: FloatArray
    one: FloatArray
    against: FloatArray
    window: FloatArray
    window_worst: tuple[str, ...]
    capped: FloatArray
    correlation_break: FloatArray
    vol_spike: FloatArray
    vol_spike_gap: FloatArray


def hedge_failure(
    book: UnitBook,
    contracts: ModelContracts,
    table: SetTable,
    measure: Measure,
    stressed: FactorScenarios | None,
    assumptions: Assumptions,
) -> HedgeFailure:
    """Every assumption, for all units.

    Parameters
    ----------
    table : SetTable
        The scenarios of the method's own requirement.
    stressed : FactorScenarios or None
        Stressed days as they were, with every factor that moves something held.
    """
    held, underlying = book.holdings, contracts.underlying
    estimated = tails(held, table.swept, measure).value
    zero = tails(held, laid_out(shuffled(table, contracts, SHUFFLES)), measure).value
    one = tails(held, laid_out(together(table, contracts)), measure).value
    cut = book.cut.segments
    apart = tails(cut.holdings, table.swept, measure).value
    against = cut.sum_by_unit(apart, np.ones(int(underlying.max(initial=0)) + 1))
    window, words = _window(book, contracts, stressed)
    still, gapped = _spikes(book, contracts, assumptions)
    return HedgeFailure(
        estimated=estimated,
        zero=zero,
        one=one,
        against=against,
        window=window,
        window_worst=words,
        capped=estimated + (1 - assumptions.offset_cap) * np.maximum(against - estimated, 0.0),
        correlation_break=assumptions.break_weight * np.maximum(np.maximum(zero, one) - estimated, 0.0),
        vol_spike=still,
        vol_spike_gap=gapped,
    )


def _window(
    book: UnitBook, contracts: ModelContracts, stressed: FactorScenarios | None
) -> tuple[FloatArray, tuple[str, ...]]:
    """Largest loss of each unit on the stressed days on which everything that moves it is known, and which that was."""
    loss, words = np.full(book.n_units, math.nan), [""] * book.n_units
    if stressed is None or not len(stressed):
        return loss, tuple(words)
    unknown = _unknown(contracts.mapped, stressed.shifts)
    pnl = factor_unit_pnl(contracts.inputs, contracts.mapped, np.nan_to_num(stressed.shifts)).values
    held = book.holdings
    present = replace(held, quantity=read_only(np.ones(len(held.quantity))))
    for first, last in blocks(book.n_units):
        units = np.arange(first, last)
        of_block = scenario_pnl(held, pnl, units)
        blind = scenario_pnl(present, unknown, units) > 0
        of_block[blind] = np.inf
        worst = of_block.argmin(axis=1)
        for k, s in zip(units.tolist(), worst.tolist(), strict=True):
            value = float(of_block[k - first, s])
            if math.isfinite(value):
                loss[k] = max(0.0, -value)
                words[k] = stressed.words(s) if value < 0 else ""
    return loss, tuple(words)


def _unknown(mapped: FactorMap, shifts: FloatArray) -> FloatArray:
    """1 where something that moves an instrument is unknown in a scenario, `(n_instruments, n_scenarios)`."""
    missing = np.concatenate((np.isnan(shifts), np.zeros((len(shifts), 1), dtype=np.bool_)), axis=1).T
    columns = (mapped.price, mapped.basis, mapped.vol, mapped.skew, mapped.term, mapped.rate, mapped.fx)
    return np.asarray(np.any([missing[column] for column in columns], axis=0).astype(np.float64))


def _spikes(book: UnitBook, contracts: ModelContracts, assumptions: Assumptions) -> tuple[FloatArray, FloatArray]:
    """Loss of a rise of all volatilities, those without a history too; without and with a gap in prices.

    What changes absolutely moves by that part of what it is, each contract by its own: by one size for all of them,
    what one account is asked for would hang on what others hold.
    """
    inputs, mapped = contracts.inputs, contracts.mapped
    rise, gap = assumptions.vol_rise, assumptions.gap
    factors, sizes = list(mapped.factors), [1.0] * len(mapped.factors)
    price, vol = mapped.price.copy(), mapped.vol.copy()
    vol[inputs.is_option & (vol < 0)] = len(factors)
    factors.append(factor_of("vol:without a history", Change.RELATIVE))
    sizes.append(1.0)
    absolute = np.array([factor.change is Change.ABSOLUTE for factor in factors] + [False], dtype=np.bool_)
    for kind, column, level in (("price", price, np.abs(inputs.forward)), ("vol", vol, inputs.vol)):
        for row in np.flatnonzero(absolute[column]).tolist():
            column[row] = len(factors)
            factors.append(factor_of(f"{kind}:{contracts.names[row]}", Change.ABSOLUTE))
            sizes.append(float(level[row]))
    shifts = np.zeros((3, len(factors)))
    for k, factor in enumerate(factors):
        relative = factor.change is Change.RELATIVE
        if factor.kind == "vol":
            shifts[:, k] = math.log1p(rise) if relative else rise * sizes[k]
        elif factor.kind in ("price", "forward"):
            for row, move in ((1, -gap), (2, gap)):
                shifts[row, k] = math.log1p(move) if relative else move * sizes[k]
    mapped = replace(mapped, factors=tuple(factors), price=read_only(price), vol=read_only(vol))
    pnl = factor_unit_pnl(inputs, mapped, shifts).values
    loss, _ = worst_loss(book.holdings, pnl[:, :1])
    gapped, _ = worst_loss(book.holdings, pnl)
    return np.maximum(loss, 0.0), np.maximum(gapped, 0.0)
