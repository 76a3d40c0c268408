"""Market to the arrays that the OKX recipe needs: what one contract of everything held gains, loses and is charged.

Everything is in dollars. A spot shock is a part of the coin's index price, and every future, perpetual and forward
moves by that same amount: so the figures of OKX's own example come about, where the perpetual and the index differ.
The decision a reader would question: a coin-margined contract counts as the linear one of the same dollars (a perpetual
of 100 dollars as `100 / price` coins, an option on one coin as one), so that its coin is not shocked a second time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import product
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import LaidOut, laid_out
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.times import DAYS_PER_YEAR, SECONDS_PER_YEAR
from crossmargin.instruments.table import NO_EXPIRY, Kind
from crossmargin.market.policy import STABLECOINS, MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.methodologies.by_unit import kept_fills
from crossmargin.methodologies.venue_grids.okx.parameters import (
    PAIRS,
    STABLE,
    Bracket,
    ByCoin,
    OkxParameters,
    Tiers,
    TierTable,
)
from crossmargin.revaluation.black import black76, black76_greeks
from crossmargin.revaluation.inputs import PricingInputs, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_value

UNCHANGED, RELATIVE, POINTS = "", " by percent", " by points"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShockGrid:
    """The scenarios of one parameter set, the same for every coin but for the size of its moves.

    Parameters
    ----------
    step : tuple of int
        MR1: which move of the coin's list, negative for down, 0 for none.
    vol_direction : tuple of int
        +1 up, 0 same, -1 down.
    vol_form : tuple of str
        How volatility shifts: by percent, by points, or not.
    """

    step: tuple[int, ...]
    vol_direction: tuple[int, ...]
    vol_form: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.step)


def shock_grid(parameters: OkxParameters) -> ShockGrid:
    """Price moves from the lowest up; under each volatility same, down, up. Without a volatility shift only same.

    Same comes first: of equal losses the lowest scenario is named, and a future's are equal. OKX shifts volatility by
    percent and by points and takes the worse: so both are scenarios here.
    """
    n_moves = max((len(moves) for moves in parameters.spot_moves), default=0)
    vols = ((0, UNCHANGED), (-1, RELATIVE), (-1, POINTS), (1, RELATIVE), (1, POINTS))
    chosen = [vol for vol in vols if vol[0] == 0 or parameters.vol_relative is not None]
    cells = list(product(range(-n_moves, n_moves + 1), chosen))
    return ShockGrid(
        step=tuple(step for step, _ in cells),
        vol_direction=tuple(direction for _, (direction, _) in cells),
        vol_form=tuple(form for _, (_, form) in cells),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OkxContracts:
    """What one contract of each held instrument does; arrays of shape `(n_instruments,)` and in dollars unless said.

    Parameters
    ----------
    coins : tuple of str
        Coins that occur, sorted: each is a risk unit.
    coin : ndarray
        Index into `coins`.
    in_coin : ndarray of bool
        Whether the contract is margined in coin, and taken as a linear one.
    grid : ShockGrid
        The scenarios of MR1.
    price_move : ndarray of shape (n_coins, n_scenarios)
        Relative move of each coin's index in each.
    extreme_move : ndarray of shape (n_coins,)
        MR6.
    shocked : ndarray of shape (n_instruments, n_scenarios)
        MR1: gain of one long contract.
    decay : ndarray
        MR2: gain when time has passed.
    extreme : ndarray of shape (n_instruments, 2)
        MR6: gain after the extreme move down, and up.
    delta : ndarray
        Dollar delta of derivatives; 0 for spot, which has no basis and no margin currency.
    vega : ndarray
        Gain when volatility doubles, linearised.
    rate_gain : ndarray of shape (n_instruments, n_curves)
        MR5: gain when a component of the rate curve shifts.
    unit_charge : ndarray
        MR7: slippage and fees of one contract.
    currency : ndarray
        Index into `STABLE`: what the contract's price is in.
    expiry : ndarray
        Which expiry of which coin: index into `expiry_labels`.
    basis_move, vega_shift : ndarray of shape (n_expiries,)
        MR4 and MR3: relative move of each expiry's basis and volatility.
    charge_tiers : TierTable of n_coins rows
        MR7.
    ladders : TierTable of 3 rows, or None
        MR9, the bracket that the index of each pair is in; `None` if not given.
    pair_index : ndarray of shape (3,)
        MR9: index price of each pair, or its inverse if that is lower.
    debt_price : mapping of str to float
        MR8: dollars for one unit of each asset that can be borrowed.
    option_value : ndarray
        Value of one long option at its mark, 0 for the rest.
    """

    names: tuple[str, ...]
    fills: tuple[Fill, ...]
    coins: tuple[str, ...]
    coin: IntArray
    in_coin: BoolArray
    grid: ShockGrid
    price_move: FloatArray
    extreme_move: FloatArray
    shocked: FloatArray
    swept: LaidOut
    decay: FloatArray
    extreme: FloatArray
    delta: FloatArray
    vega: FloatArray
    rate_gain: FloatArray
    unit_charge: FloatArray
    currency: IntArray
    expiry: IntArray
    expiry_labels: tuple[str, ...]
    basis_move: FloatArray
    vega_shift: FloatArray
    charge_tiers: TierTable
    ladders: TierTable | None
    pair_index: FloatArray
    debt_price: Mapping[str, float]
    option_value: FloatArray


def contract_table(
    instruments: tuple[str, ...], market: Market, parameters: OkxParameters, policy: MissingPolicy
) -> OkxContracts:
    """Price one contract of everything held, now and after every shock.

    Parameters
    ----------
    instruments : tuple of str
        Sorted names of instruments of the market, and of coins that somebody has a balance in.

    Raises
    ------
    UnsupportedError
        For what the method does not hold, and for what needs a parameter that is not given.
    InputError
        As `pricing_inputs`.
    """
    listed = tuple(name for name in instruments if name in market or not _is_coin(name, market))
    problems: list[Problem] = []
    balances = tuple(name for name in instruments if name not in set(listed))
    balance_price = np.array([_coin_price(name, market, policy, problems) for name in balances], dtype=np.float64)
    inputs = None
    try:
        inputs = pricing_inputs(market, listed, policy)
    except CrossmarginError as error:
        problems += [replace(problem, kind=problem.kind or type(error)) for problem in error.problems]
    if market.listing is None:
        rows = market.instruments.rows(name for name in listed if name in market)
        problems += _not_covered(market, rows, parameters)
    raise_problems(problems)
    assert inputs is not None
    index_usd = _index_usd(inputs, market, policy, problems)
    raise_problems(problems)
    raise_problems(_unpriceable(inputs, index_usd, parameters))
    own = _listed_columns(inputs, index_usd, market, parameters)
    return _with_balances(own, instruments, balances, balance_price, market, parameters, policy, inputs.fills)


def _is_coin(name: str, market: Market) -> bool:
    """Whether a name that the market does not list is that of a coin it has a price of: a balance."""
    return name in market.prices or name in market.index


def _coin_price(name: str, market: Market, policy: MissingPolicy, problems: list[Problem]) -> float:
    """Dollars for one unit of a coin: its own price, else the index."""
    if name in market.prices:
        return asset_price(market, name, policy, [], problems, needed_by="balances", instruments=(name,))
    return market.index[name] * _index_rate(name, market, policy, problems)


def _index_rate(coin: str, market: Market, policy: MissingPolicy, problems: list[Problem]) -> float:
    """Dollars for one unit of what the index price of a coin is in.

    That is the currency that all derivatives on the coin are quoted in; where they are quoted in several, the index
    is in dollars.
    """
    table = market.instruments
    if coin not in table.underlyings:
        return 1.0
    on_coin = (table.underlying == table.underlyings.index(coin)) & (table.kind != Kind.SPOT)
    quoted = {table.instruments[k].quote_currency for k in np.flatnonzero(on_coin).tolist()}
    if len(quoted) != 1:
        return 1.0
    (currency,) = quoted
    return asset_price(market, currency, policy, [], problems, needed_by=f"the index of {coin}")


def _index_usd(inputs: PricingInputs, market: Market, policy: MissingPolicy, problems: list[Problem]) -> FloatArray:
    """Index price of each instrument's coin in dollars."""
    table = inputs.instruments
    rate = np.array([_index_rate(coin, market, policy, problems) for coin in table.underlyings], dtype=np.float64)
    return inputs.index * rate[table.underlying] if len(table) else inputs.index


def _not_covered(market: Market, rows: IntArray, parameters: OkxParameters) -> list[Problem]:
    """What the method does not hold, and what needs a parameter that is not given, coin by coin."""
    table = market.instruments.take(rows)
    problems = [
        Problem(
            found=f"'{table.names[k]}' has a volatility in price units",
            needed="OKX shifts volatilities in percent and in points of percent.",
            kind=UnsupportedError,
            instrument=table.names[k],
        )
        for k in np.flatnonzero(market.vol_normal[rows] & (table.kind == Kind.OPTION)).tolist()
    ]
    for u, coin in enumerate(table.underlyings):
        own = table.underlying == u
        if coin in STABLECOINS:
            problems.append(
                Problem(
                    found=f"a contract on {coin}, which is a margin currency and no risk unit",
                    needed=f"Hold {coin} as a balance.",
                    kind=UnsupportedError,
                    instruments=_names(table.names, own),
                )
            )
            continue
        derivatives, options = own & (table.kind != Kind.SPOT), own & (table.kind == Kind.OPTION)
        for wanted, missing, what in (
            (derivatives, parameters.missing_of_coin(coin), f"futures, perpetuals and options on {coin}"),
            (options, parameters.missing_of_options(coin), f"options on {coin}"),
        ):
            if wanted.any() and missing:
                problems.append(parameters.not_given(missing, _names(table.names, wanted), what))
    return problems


def _names(names: tuple[str, ...], chosen: BoolArray) -> tuple[str, ...]:
    return tuple(names[k] for k in np.flatnonzero(chosen).tolist())


def _unpriceable(inputs: PricingInputs, index_usd: FloatArray, parameters: OkxParameters) -> list[Problem]:
    """Prices that a relative shock does not move, or moves below nothing."""
    table = inputs.instruments
    problems = [
        Problem(
            found=f"'{table.names[k]}' has forward {inputs.forward[k]:g} and index {inputs.index[k]:g}",
            needed="A relative price move needs both above 0.",
            kind=UnsupportedError,
            instrument=table.names[k],
        )
        for k in np.flatnonzero(~((inputs.forward > 0) & (index_usd > 0))).tolist()
    ]
    lowest = np.array([_largest_move(coin, parameters) for coin in table.underlyings])
    if len(table):
        fallen = inputs.forward - lowest[table.underlying] * index_usd / inputs.quote_usd
        problems += [
            Problem(
                found=f"the forward {inputs.forward[k]:g} of '{table.names[k]}' would fall to {fallen[k]:g} with the "
                f"index {inputs.index[k]:g}",
                needed="Give the forward and the index price of one moment.",
                kind=UnsupportedError,
                instrument=table.names[k],
            )
            for k in np.flatnonzero(inputs.is_option & (inputs.forward > 0) & (fallen <= 0)).tolist()
        ]
    return problems


def _largest_move(coin: str, parameters: OkxParameters) -> float:
    moves, extreme = parameters.spot_moves.of(coin), parameters.extreme_move.of(coin)
    return max(*(moves or (0.0,)), extreme or 0.0)


def _price_moves(coins: tuple[str, ...], grid: ShockGrid, moves: ByCoin[tuple[float, ...]]) -> FloatArray:
    """Relative move of each coin in each scenario, `(n_coins, n_scenarios)`."""
    table = np.zeros((len(coins), len(grid)))
    for k, coin in enumerate(coins):
        own = moves.of(coin)
        if own is not None:
            table[k] = [0.0 if step == 0 else np.sign(step) * own[abs(step) - 1] for step in grid.step]
    return table


def _listed_columns(
    inputs: PricingInputs, index_usd: FloatArray, market: Market, parameters: OkxParameters
) -> dict[str, Any]:
    """Columns of the market's instruments, in their order; `coin` by name."""
    table, grid = inputs.instruments, shock_grid(parameters)
    coins = table.underlyings
    n, is_option, is_spot = len(table), inputs.is_option, np.asarray(table.kind == Kind.SPOT)
    underlying = table.underlying.astype(np.int64)
    moves = _price_moves(coins, grid, parameters.spot_moves)
    extreme = np.array([parameters.extreme_move.of(coin) or 0.0 for coin in coins])

    # Coins in one contract; of a coin-margined future at its present price.
    inverse_future = table.is_inverse & ~is_option
    size = np.where(inverse_future, table.multiplier / np.where(inverse_future, inputs.forward, 1.0), table.multiplier)
    own_extreme = extreme[underlying] if n else np.zeros(0)
    shocked = (size * index_usd)[:, None] * (moves[underlying] if n else np.zeros((0, len(grid))))
    extremes = (size * index_usd * own_extreme)[:, None] * np.array([-1.0, 1.0])
    delta = size * inputs.forward * inputs.quote_usd
    decay, vega = np.zeros(n), np.zeros(n)
    curves = tuple((parameters.rate_shifts or {}).values())
    rate_gain = np.zeros((n, len(curves)))
    rate = np.array([parameters.charge_rate.of(coin) or 0.0 for coin in coins])
    option_rate = np.array([parameters.option_charge_rate.of(coin) or 0.0 for coin in coins])
    unit_charge = (rate[underlying] if n else np.zeros(0)) * delta

    options = np.flatnonzero(is_option)
    if len(options):
        held = _Options(inputs, options, size, index_usd)
        shocked[options] = held.shocked(moves[underlying[options]], grid, parameters)
        extremes[options] = held.gain(own_extreme[options, None] * np.array([-1.0, 1.0]), held.vol[:, None])
        decay[options] = held.decay(parameters.time_step_days / DAYS_PER_YEAR)
        delta[options], vega[options] = held.delta, held.vega
        # The rate moves spot nowhere: the forward rises with it, and what is paid at expiry is discounted more.
        rho = held.years * (held.delta - held.value)
        for k, curve in enumerate(curves):
            rate_gain[options, k] = rho * curve.at(held.years * DAYS_PER_YEAR)
        unit_charge[options] = option_rate[underlying[options]] * size[options] * index_usd[options]

    return {
        "coin": [coins[u] for u in underlying.tolist()],
        "in_coin": np.asarray(table.is_inverse),
        "shocked": shocked,
        "decay": decay,
        "extreme": extremes,
        "delta": np.where(is_spot, 0.0, delta),
        "vega": vega,
        "rate_gain": rate_gain,
        "unit_charge": np.where(is_spot, 0.0, unit_charge),
        "currency": np.array([STABLE.index(one.quote_currency) for one in table.instruments], dtype=np.int64),
        "expiry": np.where(
            is_spot, _SPOT, np.where(table.expiry_seconds == NO_EXPIRY, _PERPETUAL, table.expiry_seconds)
        ),
        "option_value": np.where(is_option, unit_value(inputs), 0.0),
    }


class _Options:
    """The options of a table, revalued: Black-76 on the forward of their expiry, dollars for one contract."""

    def __init__(self, inputs: PricingInputs, rows: IntArray, size: FloatArray, index_usd: FloatArray) -> None:
        table = inputs.instruments
        self.forward, self.vol = inputs.forward[rows], inputs.vol[rows]
        self.strike, self.is_call = table.strike[rows], table.is_call[rows]
        self.years, self.discount = inputs.expiry_years[rows], inputs.discount[rows]
        self.index = index_usd[rows] / inputs.quote_usd[rows]
        self.scale = size[rows] * inputs.quote_usd[rows]
        greeks = black76_greeks(self.forward, self.strike, self.vol, self.years, self.is_call)
        self.value = (
            self.scale
            * self.discount
            * black76(self.forward, self.strike, self.vol * np.sqrt(self.years), self.is_call)
        )
        self.delta = self.scale * self.discount * greeks.delta * self.forward
        self.vega = self.scale * self.discount * greeks.vega * self.vol

    def gain(self, move: FloatArray, vol: FloatArray) -> FloatArray:
        """Gain after relative moves of the index, at volatilities; both of shape `(n, n_scenarios)`, or `(n, 1)`."""
        then = black76(
            self.forward[:, None] + self.index[:, None] * move,
            self.strike[:, None],
            vol * np.sqrt(self.years)[:, None],
            self.is_call[:, None],
        )
        return (self.scale * self.discount)[:, None] * then - self.value[:, None]

    def shocked(self, move: FloatArray, grid: ShockGrid, parameters: OkxParameters) -> FloatArray:
        """MR1: `move` of shape `(n, n_scenarios)`, each under its shift of volatility."""
        assert parameters.vol_relative is not None  # whoever holds an option was refused without
        assert parameters.vol_points is not None
        days = self.years * DAYS_PER_YEAR
        relative, points = parameters.vol_relative.at(days), parameters.vol_points.at(days)
        shifted = {
            (-1, RELATIVE): self.vol * np.maximum(0.0, 1 - relative),
            (-1, POINTS): np.maximum(0.0, self.vol - points),
            (0, UNCHANGED): self.vol,
            (1, RELATIVE): self.vol * (1 + relative),
            (1, POINTS): self.vol + points,
        }
        vol = np.stack([shifted[cell] for cell in zip(grid.vol_direction, grid.vol_form, strict=True)], axis=1)
        return self.gain(move, vol)

    def decay(self, step_years: float) -> FloatArray:
        """MR2: gain when the time step has passed; the rate stays, so a shorter time discounts less."""
        years = np.maximum(0.0, self.years - step_years)
        discount = self.discount ** (years / self.years)
        then = black76(self.forward, self.strike, self.vol * np.sqrt(years), self.is_call)
        return self.scale * discount * then - self.value


_SPOT = -1
_PERPETUAL = 0


def _with_balances(
    own: dict[str, Any],
    instruments: tuple[str, ...],
    balances: tuple[str, ...],
    balance_price: FloatArray,
    market: Market,
    parameters: OkxParameters,
    policy: MissingPolicy,
    fills: tuple[Fill, ...],
) -> OkxContracts:
    """The market's instruments and the coins of balances in one table, in the order of names."""
    grid = shock_grid(parameters)
    coin_names = [*own["coin"], *balances]
    coins = tuple(sorted(set(coin_names)))
    place = {coin: k for k, coin in enumerate(coins)}
    moves = _price_moves(coins, grid, parameters.spot_moves)
    extreme = np.array([parameters.extreme_move.of(coin) or 0.0 for coin in coins])
    of_balance = np.array([place[coin] for coin in balances], dtype=np.int64)
    n = len(balances)
    of_coins: dict[str, Any] = {
        "shocked": balance_price[:, None] * moves[of_balance],
        "extreme": (balance_price * extreme[of_balance])[:, None] * np.array([-1.0, 1.0]),
        "rate_gain": np.zeros((n, own["rate_gain"].shape[1])),
        "in_coin": np.zeros(n, dtype=np.bool_),
        "currency": np.full(n, STABLE.index("USD"), dtype=np.int64),
        "expiry": np.full(n, _SPOT, dtype=np.int64),
    }
    order = np.argsort(np.array([*(x for x in instruments if x not in set(balances)), *balances]), kind="stable")

    def joined(name: str) -> Any:
        return read_only(np.concatenate((own[name], of_coins.get(name, np.zeros(n))))[order])

    coin = np.array([place[name] for name in coin_names], dtype=np.int64)[order]
    keys = np.stack((coin, joined("expiry")), axis=1) if len(coin) else np.zeros((0, 2), dtype=np.int64)
    distinct, expiry = np.unique(keys, axis=0, return_inverse=True)
    labels, basis_move, vega_shift = _by_expiry(distinct, coins, market, parameters)
    shocked = joined("shocked")
    pair_index = _pair_index(market, policy)
    return OkxContracts(
        names=instruments,
        fills=fills,
        coins=coins,
        coin=read_only(coin),
        in_coin=joined("in_coin"),
        grid=grid,
        price_move=read_only(moves),
        extreme_move=read_only(extreme),
        shocked=shocked,
        swept=laid_out(shocked),
        expiry=read_only(expiry.reshape(-1).astype(np.int64)),
        expiry_labels=labels,
        basis_move=read_only(basis_move),
        vega_shift=read_only(vega_shift),
        charge_tiers=TierTable.of(tuple(parameters.charge_tiers.of(name) or _NO_TIERS for name in coins)),
        ladders=_ladders(pair_index, parameters),
        pair_index=read_only(pair_index),
        debt_price={asset: _debt_price(asset, market, policy) for asset in sorted(parameters.borrowing)},
        **{
            name: joined(name)
            for name in ("decay", "extreme", "delta", "vega", "rate_gain", "unit_charge", "currency", "option_value")
        },
    )


_NO_TIERS = Tiers(starts=(0.0,), rates=(1.0,))
"""Of a coin of which only spot is held: it has no minimum charge."""


def _by_expiry(
    distinct: IntArray, coins: tuple[str, ...], market: Market, parameters: OkxParameters
) -> tuple[tuple[str, ...], FloatArray, FloatArray]:
    """Label, basis move and volatility shift of each (coin, expiry)."""
    labels, basis, vega = [], np.zeros(len(distinct)), np.zeros(len(distinct))
    for k, (c, seconds) in enumerate(distinct.tolist()):
        coin = coins[c]
        floor, annualised = parameters.basis_floor.of(coin) or 0.0, parameters.basis_annualised.of(coin) or 0.0
        if seconds == _SPOT:
            labels.append(f"{coin} spot")
        elif seconds == _PERPETUAL:
            labels.append(f"{coin} perpetual")
            basis[k] = floor
        else:
            years = (seconds - market.as_of.timestamp()) / SECONDS_PER_YEAR
            labels.append(f"{coin} {datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC")
            basis[k] = max(floor, annualised * years)
            if parameters.vega_shift is not None:
                vega[k] = parameters.vega_shift.at(np.array([years * DAYS_PER_YEAR]))[0]
    return tuple(labels), basis, vega


def _pair_index(market: Market, policy: MissingPolicy) -> FloatArray:
    """Index of each pair, or its inverse where the second has fallen against the first: never above 1.

    What cannot be priced cannot be held either: such a pair is not matched, and is taken at parity.
    """
    price = {currency: _debt_price(currency, market, policy) for currency in STABLE}
    ratio = np.array([price[one] / price[other] for one, other in PAIRS])
    return np.where(np.isnan(ratio), 1.0, np.minimum(ratio, 1 / ratio))


def _debt_price(asset: str, market: Market, policy: MissingPolicy) -> float:
    """Dollars for one unit; NaN where the market has no price. Stand-ins are on the record of the cover."""
    return asset_price(market, asset, policy, [], [], needed_by="balances")


def _ladders(pair_index: FloatArray, parameters: OkxParameters) -> TierTable | None:
    if parameters.ladders is None:
        return None

    def bracket(pair: tuple[str, str], index: float) -> Bracket:
        assert parameters.ladders is not None
        return next(one for one in parameters.ladders["-".join(pair)] if index >= one.index_from)

    return TierTable.of(
        tuple(bracket(pair, index).tiers for pair, index in zip(PAIRS, pair_index.tolist(), strict=True))
    )


_BY_INSTRUMENT = ("shocked", "decay", "extreme", "delta", "vega", "rate_gain", "unit_charge", "option_value")


def repriced(whole: OkxContracts, part: OkxContracts) -> OkxContracts:
    """`whole` with the rows of `part`: the same terms at newer prices, or under newer parameters."""
    row = {name: k for k, name in enumerate(whole.names)}
    rows = np.array([row[name] for name in part.names], dtype=np.int64)
    coin_row = {name: k for k, name in enumerate(whole.coins)}
    coins = np.array([coin_row[name] for name in part.coins], dtype=np.int64)

    def joined(old: FloatArray, new: FloatArray, at: IntArray) -> FloatArray:
        values = old.copy()
        values[at] = new
        return read_only(values)

    columns: dict[str, Any] = {name: joined(getattr(whole, name), getattr(part, name), rows) for name in _BY_INSTRUMENT}
    basis_move, vega_shift = whole.basis_move.copy(), whole.vega_shift.copy()
    basis_move[whole.expiry[rows]] = part.basis_move[part.expiry]  # expiries keep their numbers: terms alone make them
    vega_shift[whole.expiry[rows]] = part.vega_shift[part.expiry]
    return replace(
        whole,
        fills=tuple(dict.fromkeys((*kept_fills(whole.fills, part.names), *part.fills))),
        price_move=joined(whole.price_move, part.price_move, coins),
        extreme_move=joined(whole.extreme_move, part.extreme_move, coins),
        swept=laid_out(columns["shocked"]),
        basis_move=read_only(basis_move),
        vega_shift=read_only(vega_shift),
        ladders=part.ladders,
        pair_index=part.pair_index,
        debt_price=part.debt_price,
        **columns,
    )
