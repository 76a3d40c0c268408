"""Market to the arrays that the recipe needs: what one contract of everything gains in each scenario, pair by pair.

A currency pair is an underlying with what its contracts are paid in: `BTC` (inverse, figures in BTC) and `BTC-USDC`
(linear, figures in dollars). The gain of an inverse contract is the change of its amount of coin; what the extended
table has of it is turned into dollars at the price of the scenario, and back into coin at the end of the price range.
Under `cross` all pairs of an underlying, and the balance in it, are one pair in dollars: there a contract gains what
the dollar value of holding it does.

The decision a reader would question: under S:PM spot of a coin that has figures of its own risks nothing. It is the
wallet that the requirement is asked in: a coin is a coin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import LaidOut, laid_out
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.times import SECONDS_PER_YEAR
from crossmargin.instruments.table import NO_EXPIRY, InstrumentTable, Kind
from crossmargin.instruments.terms import Instrument, Payoff, Spot
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.methodologies.by_unit import kept_fills
from crossmargin.methodologies.venue_grids.deribit import steps
from crossmargin.methodologies.venue_grids.deribit.parameters import (
    DOLLARS,
    CurrencyParameters,
    DeribitParameters,
    PairParameters,
)
from crossmargin.revaluation.inputs import PRICED_COLUMNS, PricingInputs, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_greeks, unit_pnl, unit_value
from crossmargin.scenarios.grid import GridScenarios, grid_scenarios

DOLLAR = "USD"
ALL = ""
"""Settlement of a pair under `cross`: whatever its contracts are paid in."""

CORRELATION_SET = "correlation set"
"""Group of all underlyings that share scenarios under `cross`."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Pair:
    """A currency pair: an underlying and the currency that its contracts are paid in."""

    underlying: str
    settlement: str

    @property
    def is_coin(self) -> bool:
        """Whether figures are in coin."""
        return self.settlement == self.underlying

    @property
    def currency(self) -> str:
        """What figures are in."""
        return self.underlying if self.is_coin else DOLLAR

    def __str__(self) -> str:
        return self.underlying if self.is_coin or self.settlement == ALL else f"{self.underlying}-{self.settlement}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeribitContracts:
    """One contract of each row, and what its pair makes of a P&L.

    Figures are in the pair's currency: coin, or dollars. Arrays by row have shape `(n_rows,)`, by pair `(n_pairs,)`.

    Parameters
    ----------
    names : tuple of str
        Rows: instruments, and under `cross` coins that somebody has a balance in.
    pairs : tuple of Pair
        Sorted.
    pair, group : ndarray
        By row: index into `pairs`, and into `group_names`, which is what nets: pairs, or under `cross` sets of them.
    group_pairs : tuple of tuple of int
        Pairs of each group.
    set_group : int
        The group that is the correlation set, -1 if there is none.
    price_move, weight : ndarray of shape (n_pairs, n_scenarios)
        Relative price move of each scenario, and the part of its P&L that counts.
    vol_direction : ndarray of shape (n_scenarios,)
        +1 up, 0 same, -1 down.
    extended : ndarray of shape (n_scenarios,)
        Whether a scenario is of the extended table.
    unit_pnl : ndarray of shape (n_rows, n_scenarios)
        Gain of one long contract, before offset and dampener.
    share : ndarray
        By pair: part of a gain that counts.
    cap, dampener : ndarray of shape (n_pairs, n_scenarios)
        Most that a gain counts, and what comes off the size of extended P&L.
    in_usd : ndarray
        By pair: dollars for one unit of its currency.
    index : ndarray
        By pair: index price in dollars.
    coin_value : ndarray
        By pair: one coin in its currency, 1 or the index price.
    m_inc, threshold_coins, max_shock : ndarray
        By pair: delta shock.
    coins : ndarray
        By row: delta of one long contract in coins; 0 for spot.
    is_option : ndarray of bool
        By row.
    expiry : ndarray
        By row: which expiry of which pair, index into `expiry_labels`.
    roll_move : ndarray of shape (n_expiries,)
        Relative move of its basis.
    expiry_pair : ndarray of shape (n_expiries,)
        Pair of each.
    option_value, spot_value : ndarray
        By row: dollar value of one long option, and of one unit of spot or of a balance; 0 for the rest.
    haircut : ndarray
        By row: part of a balance that does not count at initial level.
    cash_haircut : mapping of str to float
        Dollars of one unit of each asset that do not count and that no row has.
    """

    names: tuple[str, ...]
    fills: tuple[Fill, ...]
    pairs: tuple[Pair, ...]
    pair: IntArray
    group: IntArray
    group_names: tuple[str, ...]
    group_pairs: tuple[tuple[int, ...], ...]
    set_group: int
    price_move: FloatArray
    weight: FloatArray
    vol_direction: IntArray
    extended: BoolArray
    unit_pnl: FloatArray
    swept: LaidOut
    share: FloatArray
    cap: FloatArray
    dampener: FloatArray
    in_usd: FloatArray
    index: FloatArray
    coin_value: FloatArray
    m_inc: FloatArray
    threshold_coins: FloatArray
    max_shock: FloatArray
    coins: FloatArray
    is_option: BoolArray
    expiry: IntArray
    expiry_labels: tuple[str, ...]
    expiry_pair: IntArray
    roll_move: FloatArray
    option_value: FloatArray
    spot_value: FloatArray
    haircut: FloatArray
    cash_haircut: Mapping[str, float]

    @property
    def group_usd(self) -> FloatArray:
        """Dollars for one unit of a group's currency, shape `(n_groups,)`; pairs of one group share it."""
        return self.in_usd[[pairs[0] for pairs in self.group_pairs]] if self.group_pairs else np.zeros(0)

    def currency_of(self, group: int) -> str:
        """What figures of a group are in."""
        return self.pairs[self.group_pairs[group][0]].currency


@dataclass(frozen=True, slots=True, kw_only=True)
class _Figures:
    """What the parameters say of one pair, and its prices."""

    pair: Pair
    currency: CurrencyParameters
    own: PairParameters
    scenarios: GridScenarios
    index: float


def contract_table(
    instruments: tuple[str, ...], market: Market, parameters: DeribitParameters, policy: MissingPolicy
) -> DeribitContracts:
    """Price one contract of everything held, now and in every scenario.

    Parameters
    ----------
    instruments : tuple of str
        Sorted names of instruments of the market, and under `cross` of coins that somebody has a balance in.

    Raises
    ------
    UnsupportedError
        For an underlying or a currency without parameters, and for a volatility in price units.
    InputError
        As `pricing_inputs`.
    """
    problems: list[Problem] = []
    fills: list[Fill] = []
    balances = [name for name in instruments if name not in market and name in taking_part(parameters)]
    listed = tuple(name for name in instruments if name not in set(balances))
    price_of = {
        name: asset_price(market, name, policy, fills, problems, needed_by="balances", instruments=(name,))
        if name in market.prices or name not in market.index
        else market.index[name]
        for name in balances
    }
    held = market.instruments.take(market.rows(listed))
    problems += _not_covered(held, market, parameters)
    inputs: PricingInputs | None = None
    try:
        inputs = pricing_inputs(market, listed, policy)
    except CrossmarginError as error:
        problems += [replace(problem, kind=problem.kind or type(error)) for problem in error.problems]
    raise_problems(problems)
    assert inputs is not None
    raise_problems(_unmoved(inputs))

    by_name = {one.name: _pair_of(one, parameters) for one in inputs.instruments.instruments}
    by_name |= {name: Pair(underlying=name, settlement=ALL) for name in balances}
    pairs = tuple(sorted(set(by_name.values())))
    number = {pair: k for k, pair in enumerate(pairs)}
    index_of = _index_prices(inputs, by_name)
    for name in balances:
        index_of.setdefault(by_name[name], price_of[name])
    figures = [_figures(pair, index_of[pair], parameters, by_name, inputs.instruments) for pair in pairs]
    pair = np.array([number[by_name[name]] for name in instruments], dtype=np.int64)
    row_of = {name: k for k, name in enumerate(inputs.instruments.names)}
    row = np.array([row_of.get(name, -1) for name in instruments], dtype=np.int64)
    rows = _rows(inputs, pair, row, figures, market, parameters)
    for k, name in enumerate(instruments):
        if name in price_of:
            moved = figures[int(pair[k])].scenarios
            rows["unit_pnl"][k] = price_of[name] * moved.price_move * moved.weight
            rows["spot_value"][k] = price_of[name]
            rows["haircut"][k] = parameters.currency[name.lower()].haircut
    group, group_names, group_pairs = _groups(pair, figures, parameters)
    expiry, labels, expiry_pair, roll_move = _expiries(rows.pop("seconds"), pair, figures, market, parameters)
    is_option = rows.pop("is_option")
    return DeribitContracts(
        names=instruments,
        fills=tuple(dict.fromkeys((*inputs.fills, *fills))),
        pairs=pairs,
        pair=read_only(pair),
        group=read_only(group),
        group_names=group_names,
        group_pairs=group_pairs,
        set_group=group_names.index(CORRELATION_SET) if CORRELATION_SET in group_names else -1,
        is_option=read_only(is_option),
        expiry=read_only(expiry),
        expiry_labels=labels,
        expiry_pair=read_only(expiry_pair),
        roll_move=read_only(roll_move),
        swept=laid_out(rows["unit_pnl"]),
        cash_haircut=_cash_haircuts(market, parameters, policy),
        **{name: read_only(values) for name, values in rows.items()},
        **_by_pair(figures, parameters),
    )


def taking_part(parameters: DeribitParameters) -> frozenset[str]:
    """Coins whose balances are positions: under `cross`, those whose equity takes part on both sides."""
    if not parameters.cross:
        return frozenset()
    return frozenset(
        coin
        for coin in parameters.coins
        if parameters.currency[coin.lower()].equity_side_impact == "both" and parameters.of_pair(coin, DOLLAR)
    )


def _pair_of(terms: Instrument, parameters: DeribitParameters) -> Pair:
    """The pair of a contract; spot of a coin with figures of its own belongs to the coin."""
    if parameters.cross:
        return Pair(underlying=terms.underlying, settlement=ALL)
    if isinstance(terms, Spot) and terms.underlying in parameters.coins:
        return Pair(underlying=terms.underlying, settlement=terms.underlying)
    paid_in = terms.underlying if terms.payoff is Payoff.INVERSE else terms.quote_currency
    return Pair(underlying=terms.underlying, settlement=paid_in)


def _currency_parameters(pair: Pair, parameters: DeribitParameters) -> CurrencyParameters | None:
    if pair.settlement == ALL:
        return parameters.of_currency(pair.underlying if pair.underlying in parameters.coins else DOLLAR)
    return parameters.of_currency(pair.settlement)


def _pair_parameters(underlying: str, quotes: list[str], parameters: DeribitParameters) -> PairParameters | None:
    """Figures of a pair; where contracts in several currencies are one pair, those against dollars first."""
    found = [
        parameters.of_pair(underlying, quote) for quote in sorted(quotes, key=lambda quote: (quote != DOLLAR, quote))
    ]
    return next((own for own in found if own is not None), None)


def _not_covered(held: InstrumentTable, market: Market, parameters: DeribitParameters) -> list[Problem]:
    """What has no parameters, and volatilities that have no relative shift."""
    problems: list[Problem] = []
    missing: dict[str, list[str]] = {}
    for terms in held.instruments:
        pair = _pair_of(terms, parameters)
        quote = DOLLAR if parameters.cross or pair.is_coin else terms.quote_currency
        if _pair_parameters(terms.underlying, [quote, terms.quote_currency], parameters) is None:
            missing.setdefault(f"underlying '{terms.underlying}'", []).append(terms.name)
        elif _currency_parameters(pair, parameters) is None:
            missing.setdefault(f"currency '{pair.settlement or DOLLAR}'", []).append(terms.name)
    for what, names in missing.items():
        problems.append(
            Problem(
                found=f"no parameters for {what} in '{parameters.info.name}'",
                needed=f"It covers pairs {', '.join(parameters.currency_pair)} in {', '.join(parameters.currency)}; "
                "add others in a parameter file of your own.",
                kind=UnsupportedError,
                instruments=tuple(names),
            )
        )
    rows = market.rows(held.names)
    problems += [
        Problem(
            found=f"'{held.names[k]}' has a volatility in price units",
            needed="Deribit shifts volatilities by a part of them.",
            kind=UnsupportedError,
            instrument=held.names[k],
        )
        for k in np.flatnonzero(market.vol_normal[rows] & (held.kind == Kind.OPTION)).tolist()
    ]
    return problems


def _unmoved(inputs: PricingInputs) -> list[Problem]:
    """A relative move needs a price above 0."""
    table = inputs.instruments
    return [
        Problem(
            found=f"'{table.names[k]}' has forward {inputs.forward[k]:g} and index {inputs.index[k]:g}",
            needed="A relative price move needs both above 0.",
            kind=UnsupportedError,
            instrument=table.names[k],
        )
        for k in np.flatnonzero(~((inputs.forward > 0) & (inputs.index > 0))).tolist()
    ]


def _index_prices(inputs: PricingInputs, by_name: Mapping[str, Pair]) -> dict[Pair, float]:
    """Index price of each pair in dollars; under `cross` that of a contract in dollars, where there is one."""
    found: dict[Pair, float] = {}
    table = inputs.instruments
    for k in sorted(range(len(table)), key=lambda k: (table.instruments[k].quote_currency != DOLLAR, k)):
        found.setdefault(by_name[table.names[k]], float(inputs.index[k] * inputs.quote_usd[k]))
    return found


def _figures(
    pair: Pair, index: float, parameters: DeribitParameters, by_name: Mapping[str, Pair], table: InstrumentTable
) -> _Figures:
    quotes = [one.quote_currency for one in table.instruments if by_name[one.name] == pair]
    if pair.is_coin or pair.settlement == ALL:
        quotes.append(DOLLAR)
    own, currency = _pair_parameters(pair.underlying, quotes, parameters), _currency_parameters(pair, parameters)
    assert own is not None
    assert currency is not None
    scenarios = grid_scenarios(parameters.shape(own), parameters.ranges(own))
    return _Figures(pair=pair, currency=currency, own=own, scenarios=scenarios, index=index)


def _by_pair(figures: list[_Figures], parameters: DeribitParameters) -> dict[str, Any]:
    """Columns by pair."""
    n_scenarios = 6 * parameters.buckets_count + 3 + len(parameters.extended_moves)
    moves, weights, caps, dampeners = (np.zeros((len(figures), n_scenarios)) for _ in range(4))
    for k, one in enumerate(figures):
        grid = one.scenarios
        unit_then = (
            one.index * steps.growth(grid.price_move, grid.extended, one.own.price_range)
            if one.pair.is_coin
            else np.ones(n_scenarios)
        )
        moves[k], weights[k] = grid.price_move, grid.weight
        caps[k] = one.currency.max_offsetable_pnl / unit_then
        ranges_outside = np.maximum(np.abs(grid.price_move) / one.own.price_range, 1.0) - 1.0
        dampeners[k] = np.where(grid.extended, ranges_outside * one.currency.extended_dampener / unit_then, 0.0)
    index = np.array([one.index for one in figures], dtype=np.float64)
    is_coin = np.array([one.pair.is_coin for one in figures], dtype=np.bool_)
    of_own = {
        name: np.array([getattr(one.own, name) for one in figures], dtype=np.float64)
        for name in ("m_inc", "max_delta_shock", "delta_total_liq_shock_threshold")
    }
    columns: dict[str, Any] = {
        "price_move": moves,
        "weight": weights,
        "share": np.array([one.currency.pnl_offset for one in figures], dtype=np.float64),
        "cap": caps,
        "dampener": dampeners,
        "in_usd": np.where(is_coin, index, 1.0),
        "index": index,
        "coin_value": np.where(is_coin, 1.0, index),
        "m_inc": of_own["m_inc"],
        "threshold_coins": of_own["delta_total_liq_shock_threshold"] / index,
        "max_shock": of_own["max_delta_shock"],
        "vol_direction": figures[0].scenarios.vol_direction if figures else np.zeros(n_scenarios, dtype=np.int64),
        "extended": figures[0].scenarios.extended if figures else np.zeros(n_scenarios, dtype=np.bool_),
    }
    return {name: read_only(values) for name, values in columns.items()}


def _rows(
    inputs: PricingInputs,
    pair: IntArray,
    row: IntArray,
    figures: list[_Figures],
    market: Market,
    parameters: DeribitParameters,
) -> dict[str, Any]:
    """Columns by row, of the market's instruments; zeros for balances."""
    n, n_scenarios = len(row), 6 * parameters.buckets_count + 3 + len(parameters.extended_moves)
    table, is_listed = inputs.instruments, row >= 0
    at = row[is_listed]
    unit_pnl_then = np.zeros((n, n_scenarios))
    for k, one in enumerate(figures):
        own = np.flatnonzero((pair == k) & is_listed)
        if len(own):
            unit_pnl_then[own] = _unit_pnl(inputs, row[own], one, parameters)
    value, greeks = unit_value(inputs), unit_greeks(inputs)
    is_spot = np.asarray(table.kind == Kind.SPOT)
    left = _exposure_left(inputs, parameters)
    # Of an option on one coin its own delta; of a future as many coins as it is for, at its present price.
    forward_usd = np.where(table.is_inverse, inputs.index, inputs.forward) * inputs.quote_usd
    coins = np.where(is_spot, 0.0, left * greeks.delta / forward_usd)
    columns = {
        "coins": coins,
        "option_value": np.where(inputs.is_option, value, 0.0),
        "spot_value": np.where(is_spot, value, 0.0),
        "haircut": np.array(
            [_haircut(name, kind == Kind.SPOT, parameters) for name, kind in _underlyings(table)], dtype=np.float64
        ),
    }
    found: dict[str, Any] = {"unit_pnl": unit_pnl_then}
    found["unit_pnl"][is_listed] *= left[at, None]
    for name, values in columns.items():
        found[name] = np.zeros(n)
        found[name][is_listed] = values[at]
    found["is_option"] = np.zeros(n, dtype=np.bool_)
    found["is_option"][is_listed] = inputs.is_option[at]
    found["seconds"] = np.full(n, _SPOT, dtype=np.int64)
    found["seconds"][is_listed] = np.where(
        is_spot, _SPOT, np.where(table.expiry_seconds == NO_EXPIRY, _PERPETUAL, table.expiry_seconds)
    )[at]
    return found


def _underlyings(table: InstrumentTable) -> list[tuple[str, int]]:
    return [(table.underlyings[u], k) for u, k in zip(table.underlying.tolist(), table.kind.tolist(), strict=True)]


def _haircut(underlying: str, is_spot: bool, parameters: DeribitParameters) -> float:
    """Part of spot that does not count; there is a haircut only where other currencies are covered by it."""
    own = parameters.of_currency(underlying) if is_spot and parameters.cross else None
    return own.haircut if own is not None else 0.0


def _cash_haircuts(market: Market, parameters: DeribitParameters, policy: MissingPolicy) -> dict[str, float]:
    """Dollars of one unit of cash that do not count; none where no currency has a haircut."""
    if not parameters.cross:
        return {}
    found: dict[str, float] = {}
    for asset in sorted({*parameters.coins, *DOLLARS} - taking_part(parameters)):
        own = parameters.of_currency(asset)
        if own is not None and own.haircut:
            problems: list[Problem] = []
            price = asset_price(market, asset, policy, [], problems, needed_by="its haircut")
            if not problems:  # a balance in it is refused by whoever values cover
                found[asset] = own.haircut * price
    return found


def _unit_pnl(inputs: PricingInputs, rows: IntArray, one: _Figures, parameters: DeribitParameters) -> FloatArray:
    """Gain of one contract of one pair in each scenario, in its currency."""
    own = _taken(inputs, rows)
    grid, underlying = one.scenarios, one.pair.underlying
    pnl = unit_pnl(
        own,
        {underlying: grid},
        {underlying: parameters.ranges(one.own)},
        currency=one.pair.currency,
    ).values
    if not one.pair.is_coin:
        return pnl * grid.weight
    pnl = np.where((own.instruments.kind == Kind.SPOT)[:, None], 0.0, pnl)
    return np.where(
        grid.extended,
        steps.extended_in_coin(pnl, grid.price_move, grid.weight, one.own.price_range),
        pnl,
    )


def _taken(inputs: PricingInputs, rows: IntArray) -> PricingInputs:
    """The inputs of some rows, ascending."""
    columns: dict[str, Any] = {name: read_only(getattr(inputs, name)[rows]) for name in PRICED_COLUMNS}
    return replace(
        inputs, instruments=inputs.instruments.take(rows), market_row=read_only(inputs.market_row[rows]), **columns
    )


def _exposure_left(inputs: PricingInputs, parameters: DeribitParameters) -> FloatArray:
    """Part of each contract that still moves: it falls to 0 over the last minutes, while its price is averaged."""
    window = parameters.settlement_window_minutes * 60 / SECONDS_PER_YEAR
    if not window:
        return np.ones(len(inputs.instruments))
    return np.minimum(1.0, inputs.expiry_years / window)


_SPOT, _PERPETUAL = -1, 0


def _expiries(
    seconds: IntArray, pair: IntArray, figures: list[_Figures], market: Market, parameters: DeribitParameters
) -> tuple[IntArray, tuple[str, ...], IntArray, FloatArray]:
    """Expiry of each row, and label, pair and basis move of each (pair, expiry)."""
    keys = sorted(set(zip(pair.tolist(), seconds.tolist(), strict=True)))
    number = {key: k for k, key in enumerate(keys)}
    expiry = np.array([number[key] for key in zip(pair.tolist(), seconds.tolist(), strict=True)], dtype=np.int64)
    labels, moves = [], np.zeros(len(keys))
    for k, (own, at) in enumerate(keys):
        one = figures[own]
        if at == _SPOT:
            labels.append(f"{one.pair} spot")  # it has nothing to roll
            continue
        years = 0.0 if at == _PERPETUAL else (at - market.as_of.timestamp()) / SECONDS_PER_YEAR
        moves[k] = steps.roll_move(
            years, one.currency.annualised_move_risk, one.currency.min_annualised_move, parameters.roll_form
        )
        labels.append(
            f"{one.pair} perpetual"
            if at == _PERPETUAL
            else f"{one.pair} {datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
        )
    return expiry, tuple(labels), np.array([own for own, _ in keys], dtype=np.int64), moves


def _groups(
    pair: IntArray, figures: list[_Figures], parameters: DeribitParameters
) -> tuple[IntArray, tuple[str, ...], tuple[tuple[int, ...], ...]]:
    """What nets: every pair by itself, but under `cross` those of the correlation set together."""
    together = [k for k, one in enumerate(figures) if parameters.cross and one.currency.correlation_set]
    members: list[tuple[int, ...]] = [(k,) for k in range(len(figures)) if k not in together]
    names = [str(figures[k].pair) for (k,) in members]
    if together:
        members.append(tuple(together))
        names.append(CORRELATION_SET)  # whoever else holds what: the same name
    of_pair = np.zeros(len(figures), dtype=np.int64)
    for g, own in enumerate(members):
        of_pair[list(own)] = g
    return of_pair[pair] if len(pair) else pair, tuple(names), tuple(members)


_BY_ROW = ("unit_pnl", "coins", "option_value", "spot_value", "haircut")
_BY_PAIR = (
    "price_move",
    "weight",
    "share",
    "cap",
    "dampener",
    "in_usd",
    "index",
    "coin_value",
    "m_inc",
    "threshold_coins",
    "max_shock",
)


def repriced(whole: DeribitContracts, part: DeribitContracts) -> DeribitContracts:
    """`whole` with the rows of `part`, priced in a newer market or under newer parameters: the same terms."""
    row = {name: k for k, name in enumerate(whole.names)}
    at = np.array([row[name] for name in part.names], dtype=np.int64)
    pair = np.array([whole.pairs.index(own) for own in part.pairs], dtype=np.int64)

    def joined(name: str, where: IntArray) -> FloatArray:
        values: FloatArray = getattr(whole, name).copy()
        values[where] = getattr(part, name)
        return read_only(values)

    columns: dict[str, Any] = {name: joined(name, at) for name in _BY_ROW}
    columns |= {name: joined(name, pair) for name in _BY_PAIR}
    roll_move = whole.roll_move.copy()
    roll_move[whole.expiry[at]] = part.roll_move[part.expiry]  # expiries keep their numbers: terms alone make them
    return replace(
        whole,
        fills=tuple(dict.fromkeys((*kept_fills(whole.fills, part.names), *part.fills))),
        roll_move=read_only(roll_move),
        swept=laid_out(columns["unit_pnl"]),
        cash_haircut=part.cash_haircut,
        **columns,
    )
