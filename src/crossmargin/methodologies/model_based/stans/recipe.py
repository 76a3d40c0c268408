"""A STANS-like margin, top to bottom, for all risk units at once.

    base          = ES 99% of the losses in simulated scenarios
    dependence    = largest ES 99.5% with the underlyings' scenarios as simulated, at zero, and at one
    concentration = largest ES 99.5% of what the unit holds in one underlying, alone
    add-on        = weight x (the larger of the two less base), at least 0
    liquidation   = sum over positions of half spread x |contracts|
    requirement   = base + add-on + liquidation + volatility
    maintenance   = factor x requirement

The decision a reader would question: correlations of zero and one are made by putting the simulated scenarios of each
underlying together otherwise, not by drawing anew. Every underlying keeps its own losses to the last one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import laid_out
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.charges import sum_of_positions, volatility_charge, volatility_share
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable
from crossmargin.methodologies.model_based.measures import Tails, pnl_in, shares, tails
from crossmargin.methodologies.model_based.pairings import shuffled, together
from crossmargin.methodologies.model_based.parameters import Measure
from crossmargin.methodologies.model_based.stans.parameters import StansParameters

SIMULATED, ZERO, ONE = "simulated", "at zero", "at one"
"""Names of the sets of scenarios; the last two are the first, put together otherwise."""
DEPENDENCE = (SIMULATED, ZERO, ONE)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StansBreakdown:
    """Every figure of the calculation; arrays of shape `(n_units,)`, US dollars.

    Parameters
    ----------
    base : Tails
        Expected shortfall of the requirement.
    dependence : tuple of Tails
        At the higher level, in each of `DEPENDENCE`.
    worst_dependence : ndarray
        Which of them is the largest.
    alone : Tails
        At the higher level, of each unit's positions in each underlying, `(n_segments,)`.
    largest : ndarray
        Segment of the largest of them; -1 for a unit that holds nothing.
    dependence_value, concentration_value : ndarray
        The largest of each.
    add_on : ndarray
        Weight times what the larger is beyond the base.
    liquidation, volatility : ndarray
        Charges.
    requirement, maintenance : ndarray
        `0 <= maintenance <= requirement`.
    """

    base: Tails
    dependence: tuple[Tails, ...]
    worst_dependence: IntArray
    alone: Tails
    largest: IntArray
    dependence_value: FloatArray
    concentration_value: FloatArray
    add_on: FloatArray
    liquidation: FloatArray
    volatility: FloatArray
    requirement: FloatArray
    maintenance: FloatArray

    @property
    def concentration_binds(self) -> BoolArray:
        """Units whose largest underlying alone asks for more than any dependence."""
        return np.asarray(self.concentration_value > self.dependence_value)


def with_dependence(contracts: ModelContracts) -> dict[str, SetTable]:
    """The simulated set, and the same at zero and at one."""
    table = contracts.sets[SIMULATED]
    found = {SIMULATED: table}
    for name, pnl in ((ZERO, shuffled(table, contracts)), (ONE, together(table, contracts))):
        found[name] = SetTable(scenarios=table.scenarios, unit_pnl=pnl, swept=laid_out(pnl))
    return found


def stans_requirement(book: UnitBook, contracts: ModelContracts, parameters: StansParameters) -> StansBreakdown:
    """Requirement of each risk unit."""
    held = book.holdings
    base = tails(held, contracts.sets[SIMULATED].swept, parameters.base)
    dependence = tuple(tails(held, contracts.sets[name].swept, parameters.add_on) for name in DEPENDENCE)
    by_assumption = np.stack([found.value for found in dependence])
    cut = book.cut.segments
    alone = tails(cut.holdings, contracts.sets[SIMULATED].swept, parameters.add_on)
    largest = largest_segment(alone.value, cut.unit_offsets)
    concentration = np.where(largest >= 0, alone.value[largest] if len(alone.value) else 0.0, 0.0)
    dependence_value = by_assumption.max(axis=0)
    beyond = np.maximum(dependence_value, concentration) - base.value
    add_on = parameters.add_on_weight * np.maximum(beyond, 0.0)
    liquidation = sum_of_positions(held, np.abs(held.quantity) * contracts.spread[held.instrument])
    volatility = volatility_charge(book, contracts)
    requirement = base.value + add_on + liquidation + volatility
    return StansBreakdown(
        base=base,
        dependence=dependence,
        worst_dependence=by_assumption.argmax(axis=0).astype(np.int64),
        alone=alone,
        largest=largest,
        dependence_value=dependence_value,
        concentration_value=concentration,
        add_on=add_on,
        liquidation=liquidation,
        volatility=volatility,
        requirement=read_only(requirement),
        maintenance=read_only(parameters.maintenance_factor * requirement),
    )


def largest_segment(value: FloatArray, unit_offsets: IntArray) -> IntArray:
    """The segment of the largest value of each unit, the first of equals; -1 for a unit without any.

    Parameters
    ----------
    value : ndarray of shape (n_segments,)
        At least 0.
    unit_offsets : ndarray of shape (n_units + 1,)
        Segments of each unit.
    """
    n_units = len(unit_offsets) - 1
    unit = np.repeat(np.arange(n_units), np.diff(unit_offsets))
    # By unit, then by value falling; the sort keeps the first of equals first.
    order = np.lexsort((-value, unit))
    filled = np.diff(unit_offsets) > 0
    found = np.full(n_units, -1, dtype=np.int64)
    found[filled] = order[unit_offsets[:-1][filled]]
    return found


def position_shares(
    book: UnitBook, contracts: ModelContracts, parameters: StansParameters, b: StansBreakdown
) -> tuple[FloatArray, FloatArray]:
    """P&L in the worst simulated scenario and contribution of each position, both `(n_positions,)`.

    Euler's rule for the base, and for whichever measure the add-on is of.
    """
    held = book.holdings
    unit = held.unit()

    def of(name: str, found: Tails, measure: Measure) -> FloatArray:
        table = contracts.sets[name]
        return np.asarray(shares(held, table.unit_pnl, table.swept, measure) * found.counts[unit])

    base = of(SIMULATED, b.base, parameters.base)
    beyond = np.zeros(len(unit))
    for k, name in enumerate(DEPENDENCE):
        chosen = (b.worst_dependence == k) & ~b.concentration_binds
        if chosen.any():
            beyond = np.where(chosen[unit], of(name, b.dependence[k], parameters.add_on), beyond)
    if b.concentration_binds.any():
        beyond = np.where(b.concentration_binds[unit], _alone_share(book, contracts, parameters, b), beyond)
    added = (b.add_on > 0)[unit]
    share = base + np.where(added, parameters.add_on_weight * (beyond - base), 0.0)
    if contracts.vega_charged.any():
        share = share + volatility_share(book, contracts)
    own = np.abs(held.quantity) * contracts.spread[held.instrument]
    return pnl_in(held, contracts.sets[SIMULATED].unit_pnl, b.base.scenario), held.quantity * share + own


def _alone_share(
    book: UnitBook, contracts: ModelContracts, parameters: StansParameters, b: StansBreakdown
) -> FloatArray:
    """Share of each position in its unit's largest underlying alone; 0 for those in the others."""
    cut, table = book.cut.segments, contracts.sets[SIMULATED]
    segment = cut.holdings.unit()
    is_largest = np.zeros(len(b.alone.value), dtype=np.bool_)
    is_largest[b.largest[b.largest >= 0]] = True
    in_segment = shares(cut.holdings, table.unit_pnl, table.swept, parameters.add_on)
    in_segment = np.where((is_largest & b.alone.counts)[segment], in_segment, 0.0)
    # Positions of the cut stand by segment, those of the book by instrument name.
    order = np.argsort(cut.of_position, kind="stable")
    found = np.empty_like(in_segment)
    found[order] = in_segment
    return found
