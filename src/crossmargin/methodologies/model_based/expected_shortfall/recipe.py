"""Expected shortfall of a portfolio, top to bottom, for all risk units at once.

loss          = expected shortfall (or value at risk) of the scenarios, at least 0
with buffer   = as the anti-procyclicality tool has it
volatility    = vega of each underlying x a move, where volatilities have no history
offset cap    = what netting across underlyings saves beyond the cap
requirement   = greater of (with buffer + volatility + offset cap) and floor x gross value
maintenance   = factor x requirement
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.procyclicality import buffered, floored, with_stress
from crossmargin.basics.arrays import BoolArray, FloatArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import volatility_charge, volatility_share
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.expected_shortfall.parameters import (
    AntiProcyclicality,
    Apc,
    ShortfallParameters,
)
from crossmargin.methodologies.model_based.measures import Tails, pnl_in, shares, tails

BASE, STRESS, LONG_RUN = "base", "stress", "long run"
"""Names of the sets of scenarios."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShortfallBreakdown:
    """Every figure of the calculation; arrays of shape `(n_units,)`, US dollars.

    Parameters
    ----------
    loss : Tails
        In the scenarios.
    other : Tails or None
        In stressed days or in the long history, where the anti-procyclicality tool asks for them.
    release : ndarray
        Part of the buffer that is released, 0 to 1.
    with_buffer : ndarray
        After the tool.
    volatility : ndarray
        Charge for volatilities without a history.
    apart : Tails or None
        Of each unit's positions in each underlying, `(n_segments,)`; `None` where nothing is capped.
    apart_sum, beyond_cap : ndarray
        Their sum, and what netting saves beyond the cap.
    floor : ndarray
        Least requirement.
    requirement, maintenance : ndarray
        `0 <= maintenance <= requirement`.
    """

    loss: Tails
    other: Tails | None
    release: FloatArray
    with_buffer: FloatArray
    volatility: FloatArray
    apart: Tails | None
    apart_sum: FloatArray
    beyond_cap: FloatArray
    floor: FloatArray
    requirement: FloatArray
    maintenance: FloatArray

    @property
    def floor_binds(self) -> BoolArray:
        """Units for which the floor is what counts."""
        return np.asarray(self.with_buffer + self.volatility + self.beyond_cap < self.floor)


def shortfall_requirement(
    book: UnitBook, contracts: ModelContracts, parameters: ShortfallParameters
) -> ShortfallBreakdown:
    """Requirement of each risk unit."""
    held, measure = book.holdings, parameters.measure
    nothing = np.zeros(book.n_units)
    loss = tails(held, contracts.sets[BASE].swept, measure)
    other = next(
        (tails(held, contracts.sets[name].swept, measure) for name in (STRESS, LONG_RUN) if name in contracts.sets),
        None,
    )
    release = buffer_release(loss.value, other, parameters.apc)
    with_buffer = after_apc(loss.value, other, release, parameters.apc)
    volatility = volatility_charge(book, contracts)
    apart, apart_sum, beyond_cap = None, nothing, nothing
    if parameters.offset_cap is not None:
        cut = book.cut.segments
        apart = tails(cut.holdings, contracts.sets[BASE].swept, measure)
        apart_sum = cut.sum_by_unit(apart.value, np.ones(len(contracts.underlyings)))
        beyond_cap = (1 - parameters.offset_cap) * np.maximum(apart_sum - loss.value, 0.0)
    floor = nothing
    if parameters.floor_rate:
        floor = parameters.floor_rate * gross_value(book, contracts)
    requirement = np.maximum(with_buffer + volatility + beyond_cap, floor)
    return ShortfallBreakdown(
        loss=loss,
        other=other,
        release=release,
        with_buffer=with_buffer,
        volatility=volatility,
        apart=apart,
        apart_sum=apart_sum,
        beyond_cap=beyond_cap,
        floor=floor,
        requirement=read_only(requirement),
        maintenance=read_only(parameters.maintenance_factor * requirement),
    )


def buffer_release(loss: FloatArray, long_run: Tails | None, apc: Apc) -> FloatArray:
    """Part of the buffer that is used up: none below `release_from` times the long-run loss, all above `release_to`."""
    if apc.tool is not AntiProcyclicality.BUFFER:
        return np.zeros(len(loss))
    assert long_run is not None
    ratio = np.divide(loss, long_run.value, out=np.zeros(len(loss)), where=long_run.value > 0)
    return np.clip((ratio - apc.release_from) / (apc.release_to - apc.release_from), 0.0, 1.0)


def after_apc(loss: FloatArray, other: Tails | None, release: FloatArray, apc: Apc) -> FloatArray:
    """The loss after one of the tools of RTS 153/2013 Art. 28(1)."""
    if apc.tool is AntiProcyclicality.NONE:
        return loss
    assert other is not None
    if apc.tool is AntiProcyclicality.BUFFER:
        return buffered(loss, apc.buffer, release)
    if apc.tool is AntiProcyclicality.STRESSED_WEIGHT:
        return with_stress(loss, other.value, apc.stressed_weight)
    return floored(loss, other.value)


def gross_value(book: UnitBook, contracts: ModelContracts) -> FloatArray:
    """Dollar value of what every position is of, long and short added up."""
    held = book.holdings
    value = np.abs(held.quantity) * contracts.notional[held.instrument]
    return np.bincount(held.unit(), weights=value, minlength=held.n_units).astype(np.float64)


def position_shares(
    book: UnitBook, contracts: ModelContracts, parameters: ShortfallParameters, b: ShortfallBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst scenario and contribution of each position, both `(n_positions,)`.

    The measure is allocated by Euler's rule: what each contract loses in the scenarios of the tail. A release of the
    buffer is taken as it stands.
    """
    held, measure, apc = book.holdings, parameters.measure, parameters.apc
    unit = held.unit()
    base = contracts.sets[BASE]
    of_loss = shares(held, base.unit_pnl, base.swept, measure) * b.loss.counts[unit]
    of_other = np.zeros(len(unit))
    if b.other is not None:
        table = contracts.sets[STRESS if STRESS in contracts.sets else LONG_RUN]
        of_other = shares(held, table.unit_pnl, table.swept, measure) * b.other.counts[unit]
    if apc.tool is AntiProcyclicality.BUFFER:
        share = of_loss * (1 + apc.buffer * (1 - b.release))[unit]
    elif apc.tool is AntiProcyclicality.STRESSED_WEIGHT:
        share = (1 - apc.stressed_weight) * of_loss + apc.stressed_weight * of_other
    elif apc.tool is AntiProcyclicality.LONG_RUN_FLOOR:
        assert b.other is not None
        share = np.where((b.other.value > b.loss.value)[unit], of_other, of_loss)
    else:
        share = of_loss
    if contracts.vega_charged.any():
        share = share + volatility_share(book, contracts)
    if b.apart is not None:
        assert parameters.offset_cap is not None
        share = share + (1 - parameters.offset_cap) * _apart_share(book, contracts, parameters, b, of_loss)
    by_value = parameters.floor_rate * np.sign(held.quantity) * contracts.notional[held.instrument]
    share = np.where(b.floor_binds[unit], by_value, share)
    return pnl_in(held, base.unit_pnl, b.loss.scenario), held.quantity * share


def _apart_share(
    book: UnitBook,
    contracts: ModelContracts,
    parameters: ShortfallParameters,
    b: ShortfallBreakdown,
    of_loss: FloatArray,
) -> FloatArray:
    """Share of each position in what underlyings cost apart less what they cost together."""
    assert b.apart is not None
    cut, base = book.cut.segments, contracts.sets[BASE]
    in_segment = shares(cut.holdings, base.unit_pnl, base.swept, parameters.measure)
    in_segment = in_segment * b.apart.counts[cut.holdings.unit()]
    # Positions of the cut stand by segment, those of the book by instrument name.
    order = np.argsort(cut.of_position, kind="stable")
    apart = np.empty_like(in_segment)
    apart[order] = in_segment
    capped = (b.apart_sum > b.loss.value)[book.holdings.unit()]
    return np.where(capped, apart - of_loss, 0.0)
