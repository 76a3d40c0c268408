"""One contract of everything in the risk matrix: what it gains in each scenario, its delta and its basis.

Everything is in dollars at today's index, also what an inverse contract gains in coin: so a coin gained counts as what
a coin is worth now, which is how a margin in coin sees it. In coin an inverse future gains `size x (1 - 1 / (1 + s))`
and an inverse option `V' / F' - V / F`; a coin itself gains nothing. With `cross` all is in dollars, then as now.

An extended scenario is weighted by `factor x range / |s|`; in coin its dollars are converted at the end of the range,
`index x (1 + sign(s) range)`, and not where the price went.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import LaidOut, laid_out
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.times import SECONDS_PER_YEAR
from crossmargin.instruments.table import NO_EXPIRY, InstrumentTable, Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.by_unit import kept_fills
from crossmargin.methodologies.venue_grids.deribit.parameters import LINEAR, DeribitParameters, RollForm
from crossmargin.revaluation.inputs import PRICED_COLUMNS, PricingInputs, model_price, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_greeks, unit_pnl, unit_value
from crossmargin.scenarios.grid import GridScenarios, grid_scenarios


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeribitContracts:
    """One contract of each row; arrays of shape `(n_rows,)` unless said, dollars.

    Parameters
    ----------
    inputs : PricingInputs
        What they were priced from.
    scenarios : mapping of str to GridScenarios
        By underlying.
    group : ndarray
        Index into `group_names`: a pair, or with `cross` an underlying.
    group_names, group_underlying, group_currency : tuple of str
        What each is called, on, and paid in.
    unit_pnl : ndarray of shape (n_rows, n_scenarios)
        Gain of one long contract before the aggregation of the currency.
    swept : LaidOut
        The same as the sweep reads it.
    option_value, delta : ndarray
        Value of an option at its mark; dollar delta.
    is_option : ndarray
        Which rows are options.
    expiry : ndarray
        Which expiry of which group, index into `expiry_labels`.
    roll_move : ndarray of shape (n_expiries,)
        Relative move of each expiry's basis.
    """

    inputs: PricingInputs
    scenarios: dict[str, GridScenarios]
    group: IntArray
    group_names: tuple[str, ...]
    group_underlying: tuple[str, ...]
    group_currency: tuple[str, ...]
    unit_pnl: FloatArray
    swept: LaidOut
    option_value: FloatArray
    delta: FloatArray
    is_option: BoolArray
    expiry: IntArray
    expiry_labels: tuple[str, ...]
    roll_move: FloatArray

    @property
    def names(self) -> tuple[str, ...]:
        """Rows, in order."""
        return self.inputs.instruments.names

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every stand-in for a missing quote."""
        return self.inputs.fills


def contracts_from_market(
    names: tuple[str, ...], market: Market, policy: MissingPolicy, parameters: DeribitParameters
) -> DeribitContracts:
    """Price one contract of everything held in every scenario.

    Raises
    ------
    UnsupportedError
        If an underlying has no parameters, or an inverse contract's coin none as a currency.
    InputError
        As `pricing_inputs`.
    """
    held = market.instruments.take(market.rows(names))
    problems = parameters.not_covered(held)
    problems += [
        Problem(
            found=f"'{name}' is paid in {held.underlyings[u]}, of which '{parameters.info.name}' says nothing",
            needed="Add the coin to its currencies.",
            kind=UnsupportedError,
            instrument=name,
        )
        for name, u, in_coin in zip(held.names, held.underlying.tolist(), _paid_in_coin(held).tolist(), strict=True)
        if in_coin and held.underlyings[u] in parameters.ranges and held.underlyings[u] not in parameters.currencies
    ]
    try:
        inputs = pricing_inputs(market, names, policy)
    except CrossmarginError as error:
        raise_problems([*error.problems, *problems])
        raise
    raise_problems(problems)
    table = inputs.instruments
    scenarios = {name: grid_scenarios(parameters.shape, parameters.ranges[name]) for name in table.underlyings}
    group, group_names, underlyings, currencies = _groups(inputs, parameters)
    pnl = _matrix(inputs, scenarios, parameters)
    expiry, labels, moves = _expiries(inputs, group, group_names, currencies, parameters, market)
    return DeribitContracts(
        inputs=inputs,
        scenarios=scenarios,
        group=read_only(group),
        group_names=group_names,
        group_underlying=underlyings,
        group_currency=currencies,
        unit_pnl=read_only(pnl),
        swept=laid_out(pnl),
        option_value=read_only(np.where(inputs.is_option, unit_value(inputs), 0.0)),
        # Of a coin in the coin's own account nothing rises or falls with its price.
        delta=read_only(np.where((table.kind == Kind.SPOT) & (not parameters.cross), 0.0, unit_greeks(inputs).delta)),
        is_option=read_only(inputs.is_option),
        expiry=read_only(expiry),
        expiry_labels=labels,
        roll_move=read_only(moves),
    )


def _paid_in_coin(table: InstrumentTable) -> BoolArray:
    """What gains coin: inverse contracts; and the coin itself, which is kept in the coin's account."""
    return np.asarray(table.is_inverse | (table.kind == Kind.SPOT))


def _groups(
    inputs: PricingInputs, parameters: DeribitParameters
) -> tuple[IntArray, tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """Pairs as `BTC` (inverse) and `BTC_USDC` (linear); with `cross` an underlying is one group, in dollars."""
    table = inputs.instruments
    keys = []
    for u, in_coin in zip(table.underlying.tolist(), _paid_in_coin(inputs.instruments).tolist(), strict=True):
        name = table.underlyings[u]
        pair = name if in_coin or parameters.cross else f"{name}_{LINEAR}"
        keys.append((pair, name, name if in_coin and not parameters.cross else LINEAR))
    # Underlyings that share scenarios come first, so that the units of an account that do stand next to each other.
    distinct = sorted(set(keys), key=lambda key: (key[1] not in parameters.correlation_set, key))
    number = {key: k for k, key in enumerate(distinct)}
    return (
        np.array([number[key] for key in keys], dtype=np.int64),
        tuple(name for name, _, _ in distinct),
        tuple(underlying for _, underlying, _ in distinct),
        tuple(currency for _, _, currency in distinct),
    )


def _matrix(inputs: PricingInputs, scenarios: dict[str, GridScenarios], parameters: DeribitParameters) -> FloatArray:
    """Gain of one contract in each scenario, weighted: `(n_rows, n_scenarios)`."""
    table = inputs.instruments
    pnl = unit_pnl(inputs, scenarios, parameters.ranges).values.copy()
    model = model_price(inputs) * table.multiplier * inputs.quote_usd * np.where(table.is_inverse, inputs.index, 1.0)
    model = np.where(inputs.is_option | (table.kind == Kind.SPOT), model, 0.0)
    for u, name in enumerate(table.underlyings):
        grid, reach = scenarios[name], parameters.ranges[name].price_range
        move = grid.price_move
        rows = np.flatnonzero(table.underlying == u)
        in_coin = rows[_paid_in_coin(table)[rows] & (not parameters.cross)]
        # A coin that an option is worth today is a coin in every scenario: its own gain in dollars is not the option's.
        pnl[in_coin] = (pnl[in_coin] - model[in_coin, None] * move) / (1 + move)
        end = np.where(grid.extended, (1 + move) / (1 + np.sign(move) * reach), 1.0)
        pnl[in_coin] *= end
        pnl[rows] *= grid.weight
    return pnl


_SPOT, _PERPETUAL = -1, 0


def _expiries(
    inputs: PricingInputs,
    group: IntArray,
    group_names: tuple[str, ...],
    currencies: tuple[str, ...],
    parameters: DeribitParameters,
    market: Market,
) -> tuple[IntArray, tuple[str, ...], FloatArray]:
    """Expiry of each row, label and basis move of each; a perpetual is one of its own, spot has nothing to roll."""
    table = inputs.instruments
    seconds = np.where(table.expiry_seconds == NO_EXPIRY, _PERPETUAL, table.expiry_seconds)
    seconds = np.where(table.kind == Kind.SPOT, _SPOT, seconds)
    keys, expiry = np.unique(np.stack((group, seconds)), axis=1, return_inverse=True)
    labels, moves = [], []
    for g, at in keys.T.tolist():
        currency = parameters.currencies[currencies[g]]
        if at == _SPOT:
            labels.append(f"{group_names[g]} spot")
            moves.append(0.0)
            continue
        years = 0.0 if at == _PERPETUAL else (at - market.as_of.timestamp()) / SECONDS_PER_YEAR
        grown = currency.roll_annualised_move * years
        if parameters.roll_form is RollForm.EXPONENTIAL:
            grown = float(np.expm1(grown))
        when = "perpetual" if at == _PERPETUAL else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
        labels.append(f"{group_names[g]} {when}")
        moves.append(max(currency.roll_move_minimum, grown))
    return expiry.reshape(-1).astype(np.int64), tuple(labels), np.array(moves, dtype=np.float64)


def repriced(whole: DeribitContracts, part: DeribitContracts) -> DeribitContracts:
    """`whole` with the rows of `part`: the same terms at newer prices."""
    rows = whole.inputs.instruments.rows(part.names)
    moves = whole.roll_move.copy()  # expiries keep their numbers, which depend on terms alone
    moves[whole.expiry[rows]] = part.roll_move[part.expiry]

    def joined(old: FloatArray, new: FloatArray) -> FloatArray:
        values = old.copy()
        values[rows] = new
        return read_only(values)

    columns: dict[str, Any] = {
        name: joined(getattr(whole.inputs, name), getattr(part.inputs, name)) for name in PRICED_COLUMNS
    }
    anew = (*part.names, *(one.quote_currency for one in part.inputs.instruments.instruments))
    fills = tuple(dict.fromkeys((*kept_fills(whole.fills, anew), *part.fills)))
    pnl = joined(whole.unit_pnl, part.unit_pnl)
    return replace(
        whole,
        inputs=replace(whole.inputs, fills=fills, **columns),
        unit_pnl=pnl,
        swept=laid_out(pnl),
        option_value=joined(whole.option_value, part.option_value),
        delta=joined(whole.delta, part.delta),
        roll_move=read_only(moves),
    )
