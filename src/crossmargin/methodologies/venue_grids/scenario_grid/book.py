"""Portfolio and market to the arrays that the grid method needs.

Units are a margin account's positions in one underlying, or every member's position alone (`aggregation.units`); both
go through the one recipe.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import Holdings, LaidOut, Segments, laid_out, segments
from crossmargin.aggregation.units import Grouping, Side, unit_layout
from crossmargin.basics.arrays import (
    BoolArray,
    FloatArray,
    IntArray,
    owners_of,
    read_only,
)
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.times import SECONDS_PER_YEAR
from crossmargin.instruments.table import NO_EXPIRY, Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import GridParameters
from crossmargin.portfolio.book import Book
from crossmargin.revaluation.inputs import PRICED_COLUMNS, PricingInputs, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_greeks, unit_pnl, unit_value
from crossmargin.scenarios.grid import GridScenarios, grid_scenarios


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ContractTable:
    """What one contract of each held instrument does; arrays of shape `(n_instruments,)` unless said.

    Parameters
    ----------
    inputs : PricingInputs
        The instruments and what prices them.
    scenarios : mapping of str to GridScenarios
        By underlying.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios)
        Gain of one long contract, dollars, weighted as it counts.
    swept : LaidOut
        The same as the sweep reads it.
    value : ndarray
        Dollar value of one long contract at its mark (0 for futures).
    option_value : ndarray
        The same for options, 0 for the rest.
    delta : ndarray
        Dollar delta of one long contract.
    expiry : ndarray
        Which expiry of which underlying, for the roll charge: index into `expiry_labels`.
    roll_move : ndarray of shape (n_expiries,)
        Relative move of each expiry's basis.
    short_minimum : ndarray
        Least charge for one short contract, dollars; 0 for what is no option.
    """

    inputs: PricingInputs
    scenarios: dict[str, GridScenarios]
    unit_pnl: FloatArray
    swept: LaidOut
    value: FloatArray
    option_value: FloatArray
    delta: FloatArray
    expiry: IntArray
    expiry_labels: tuple[str, ...]
    roll_move: FloatArray
    short_minimum: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Instruments, in order."""
        return self.inputs.instruments.names

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every stand-in for a missing quote."""
        return self.inputs.fills

    def fills_of(self, instruments: tuple[str, ...]) -> tuple[Fill, ...]:
        """The stand-ins that these instruments, or the currencies that they are quoted in, needed."""
        table = self.inputs.instruments
        if instruments == table.names:
            return self.fills
        concerned = {*instruments, *(table.instruments[k].quote_currency for k in table.rows(instruments).tolist())}
        return tuple(fill for fill in self.fills if fill.instrument in concerned)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridBook:
    """Positions as risk units. All but `contracts` depends on the book and on terms, and on no price.

    Parameters
    ----------
    holdings : Holdings
        Units and their positions; instruments are rows of `contracts`.
    by_expiry : Segments
        The units cut by expiry.
    short : Holdings
        The same positions with what is short of each, at least 0.
    steps : ndarray of shape (n_positions,)
        Exact quantities behind `holdings.quantity`.
    owner : ndarray of shape (n_positions,)
        Margin account of each position, or its member when every position is a unit.
    unit_key : ndarray of shape (n_units,)
        Margin account, underlying and side as one number: the same in both groupings.
    grouping : Grouping
        What a unit is.
    unit_underlying : ndarray of shape (n_units,)
        Index into the instrument table's `underlyings`.
    account_offsets : ndarray of shape (n_accounts + 1,)
        Units of each margin account.
    gross : ndarray of shape (n_accounts,)
        Accounts whose units share nothing.
    """

    contracts: ContractTable
    holdings: Holdings
    by_expiry: Segments
    short: Holdings
    steps: IntArray
    owner: IntArray
    unit_key: IntArray
    grouping: Grouping
    unit_underlying: IntArray
    account_offsets: IntArray
    gross: BoolArray

    def unit_name(self, unit: int) -> str:
        """Underlying, with the side for a gross account; the instrument where every position is a unit."""
        table = self.contracts.inputs.instruments
        if self.grouping is Grouping.POSITION:
            return table.names[int(self.holdings.instrument[unit])]
        side = Side(int(self.unit_key[unit]) % len(Side))
        return table.underlyings[int(self.unit_underlying[unit])] + side.words

    @property
    def unit_account(self) -> IntArray:
        """Margin account of each unit, shape `(n_units,)`."""
        return owners_of(self.account_offsets)


def contract_table(
    instruments: tuple[str, ...], market: Market, parameters: GridParameters, policy: MissingPolicy
) -> ContractTable:
    """Price one contract of everything held, now and in every scenario.

    Raises
    ------
    UnsupportedError
        If an underlying has no parameters, or an instrument no pricer.
    InputError
        As `pricing_inputs`.
    """
    rows = market.rows(instruments)
    problems = parameters.not_covered(market.instruments.take(rows))
    try:
        inputs = pricing_inputs(market, instruments, policy)
    except CrossmarginError as error:
        raise_problems([*error.problems, *problems])
        raise
    problems += _unmoved(inputs)
    raise_problems(problems)
    table = inputs.instruments
    scenarios = {name: grid_scenarios(parameters.shape, parameters.ranges[name]) for name in table.underlyings}
    pnl = unit_pnl(inputs, scenarios, parameters.ranges).values
    weight = np.stack([scenarios[name].weight for name in table.underlyings]) if scenarios else np.zeros((0, 0))
    value = unit_value(inputs)

    keys = np.stack((table.underlying.astype(np.int64), _roll_expiry(inputs)), axis=1)
    distinct, expiry = np.unique(keys, axis=0, return_inverse=True)
    labels, roll_move = _roll_moves(distinct, inputs, parameters, market)
    rate = np.array([parameters.charges[name].short_option_minimum for name in table.underlyings])
    minimum = (
        rate[table.underlying] * table.multiplier * np.abs(inputs.index) * inputs.quote_usd if scenarios else value
    )
    weighted = pnl * weight[table.underlying] if scenarios else pnl
    return ContractTable(
        inputs=inputs,
        scenarios=scenarios,
        unit_pnl=read_only(weighted),
        swept=laid_out(weighted),
        value=read_only(value),
        option_value=read_only(np.where(inputs.is_option, value, 0.0)),
        delta=unit_greeks(inputs).delta,
        expiry=read_only(expiry.reshape(-1).astype(np.int64)),
        expiry_labels=labels,
        roll_move=read_only(roll_move),
        short_minimum=read_only(np.where(inputs.is_option, minimum, 0.0)),
    )


_BY_INSTRUMENT = ("unit_pnl", "value", "option_value", "delta", "short_minimum")


def repriced(whole: ContractTable, part: ContractTable) -> ContractTable:
    """`whole` with the rows of `part`: the same terms at newer prices, or under newer parameters."""
    rows = whole.inputs.instruments.rows(part.names)
    roll_move = whole.roll_move.copy()  # expiries keep their numbers, which depend on terms alone
    roll_move[whole.expiry[rows]] = part.roll_move[part.expiry]

    def joined(old: FloatArray, new: FloatArray) -> FloatArray:
        values = old.copy()
        values[rows] = new
        return read_only(values)

    # What stood in for the part's own quotes, and for the currencies that it is quoted in, is said anew by the part.
    anew = {*part.names, *(one.quote_currency for one in part.inputs.instruments.instruments)}
    kept = (fill for fill in whole.fills if fill.instrument not in anew)
    fills = tuple(dict.fromkeys((*kept, *part.fills)))
    columns: dict[str, Any] = {
        name: joined(getattr(whole.inputs, name), getattr(part.inputs, name)) for name in PRICED_COLUMNS
    }
    tables: dict[str, Any] = {name: joined(getattr(whole, name), getattr(part, name)) for name in _BY_INSTRUMENT}
    return replace(
        whole,
        inputs=replace(whole.inputs, fills=fills, **columns),
        scenarios={**whole.scenarios, **part.scenarios},
        roll_move=read_only(roll_move),
        swept=laid_out(tables["unit_pnl"]),
        **tables,
    )


def _unmoved(inputs: PricingInputs) -> list[Problem]:
    """A grid of relative moves leaves a price of exactly 0 where it is: that would look like no risk."""
    return [
        Problem(
            found=f"'{inputs.instruments.names[k]}' has a price of 0, which no relative price move changes",
            needed="Give a market in which its price is not exactly 0.",
            kind=UnsupportedError,
            instrument=inputs.instruments.names[k],
        )
        for k in np.flatnonzero((inputs.forward == 0) | (inputs.index == 0))
    ]


_SPOT = -1
_PERPETUAL = 0


def _roll_expiry(inputs: PricingInputs) -> IntArray:
    """Expiry in UTC seconds; a perpetual is an expiry of its own, and spot is none."""
    table = inputs.instruments
    expiry = np.where(table.expiry_seconds == NO_EXPIRY, _PERPETUAL, table.expiry_seconds)
    return np.where(table.kind == Kind.SPOT, _SPOT, expiry).astype(np.int64)


def _roll_moves(
    distinct: IntArray, inputs: PricingInputs, parameters: GridParameters, market: Market
) -> tuple[tuple[str, ...], FloatArray]:
    """Label and basis move of each (underlying, expiry)."""
    labels, moves = [], []
    for underlying, seconds in distinct.tolist():
        name = inputs.instruments.underlyings[underlying]
        charges = parameters.charges[name]
        if seconds == _SPOT:  # Spot has nothing to roll: its price is the index itself.
            labels.append(f"{name} spot")
            moves.append(0.0)
        elif seconds == _PERPETUAL:
            labels.append(f"{name} perpetual")
            moves.append(charges.roll_move_minimum)
        else:
            years = (seconds - market.as_of.timestamp()) / SECONDS_PER_YEAR
            labels.append(f"{name} {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC")
            moves.append(max(charges.roll_move_minimum, charges.roll_annualised_move * years))
    return tuple(labels), np.array(moves, dtype=np.float64)


def grid_book(book: Book, contracts: ContractTable, grouping: Grouping) -> GridBook:
    """Group positions into risk units, margin account by margin account.

    Parameters
    ----------
    contracts : ContractTable
        At least what the book holds; both are in the order of names, so the order inside a unit is the book's.
    """
    table = contracts.inputs.instruments
    row = np.arange(len(table)) if table.names == book.instruments else table.rows(book.instruments)
    units = unit_layout(book, row, table.underlying, len(table.underlyings), grouping)
    holdings = units.holdings
    return GridBook(
        contracts=contracts,
        holdings=holdings,
        by_expiry=segments(holdings, contracts.expiry),
        short=replace(holdings, quantity=read_only(np.maximum(0.0, -holdings.quantity))),
        steps=units.steps,
        owner=units.owner,
        unit_key=units.unit_key,
        grouping=grouping,
        unit_underlying=units.unit_group,
        account_offsets=units.account_offsets,
        gross=book.gross,
    )
