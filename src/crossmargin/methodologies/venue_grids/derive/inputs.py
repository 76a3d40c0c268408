"""A market of quotes as what Derive's oracles would say: spot, forwards, rates, volatilities, and how sure they are.

Oracle confidence is a fact of the market (kind `confidence`) by underlying, perpetual and asset, and by expiry as
`BTC-20260327` or by option, which is the least of its forward, rate and volatility; what is not stated is 1. How much
of a forward has been averaged already is known to nobody before it is published, so the half hour before expiry splits
it by time.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.times import SECONDS_PER_YEAR
from crossmargin.instruments.table import InstrumentTable, Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.methodologies.venue_grids.derive.contracts import AVERAGING_SECONDS, DeriveInputs, Row
from crossmargin.methodologies.venue_grids.derive.parameters import DeriveParameters
from crossmargin.revaluation.inputs import PricingInputs, pricing_inputs

CONFIDENCE = "confidence"
STABLECOIN = "USDC"
"""What the venue's accounts are kept in."""


def inputs_from_market(
    names: tuple[str, ...], market: Market, parameters: DeriveParameters, policy: MissingPolicy, method: str
) -> DeriveInputs:
    """What prices `names`: instruments of the market, and assets that the parameters take as collateral.

    Raises
    ------
    UnsupportedError
        For a dated future, an option with a normal volatility, an underlying without parameters, and an asset that is
        no collateral.
    InputError
        As `pricing_inputs`.
    """
    problems: list[Problem] = []
    fills: list[Fill] = []
    # A name that is neither is a contract that the market does not list: it says so, with the nearest that it does.
    contracts = tuple(name for name in names if name in market or name not in parameters.collateral)
    held = market.instruments.take(market.rows(contracts))
    problems += _not_held(held, parameters, method)
    priced: PricingInputs | None = None
    try:
        priced = pricing_inputs(market, contracts, policy)
    except CrossmarginError as error:
        problems += error.problems
    stable = asset_price(market, STABLECOIN, policy, fills, problems, needed_by="the account's own currency")
    others = {name: name for name in names if name not in market and name in parameters.collateral}
    spots = {held.names[k]: held.underlyings[held.underlying[k]] for k in np.flatnonzero(held.kind == Kind.SPOT)}
    asset_of = {**others, **spots}
    problems += [
        _no_collateral(name, asset, parameters)
        for name, asset in asset_of.items()
        if asset not in parameters.collateral
    ]
    price_of = {
        name: asset_price(market, asset, policy, fills, problems, needed_by=name, instruments=(name,))
        for name, asset in others.items()
    }
    raise_problems(problems)
    assert priced is not None

    place = {name: k for k, name in enumerate(priced.instruments.names)}
    table, n = priced.instruments, len(names)
    row = np.array([place.get(name, -1) for name in names], dtype=np.int64)
    is_asset = np.array([name in asset_of for name in names], dtype=np.bool_)
    underlyings = tuple(
        sorted({*table.underlyings, *(parameters.collateral[a].cancels for a in asset_of.values())} - {""})
    )
    missing = [name for name in underlyings if name not in table.underlyings and name not in market.index]
    number = {name: k for k, name in enumerate(underlyings)}
    spot = np.array([market.index.get(name, np.nan) for name in underlyings], dtype=np.float64)
    if missing:  # collateral alone: its own price is the spot that it moves with
        for name, asset in asset_of.items():
            cancels = parameters.collateral[asset].cancels
            if cancels in missing:
                spot[number[cancels]] = price_of[name] / stable
    kind, underlying = np.full(n, Row.COLLATERAL, dtype=np.int64), np.full(n, len(underlyings), dtype=np.int64)
    size, price, vol, strike = np.ones(n), np.zeros(n), np.zeros(n), np.full(n, np.inf)
    is_call, confidence = np.zeros(n, dtype=np.bool_), np.ones(n)
    haircut_maintenance, haircut_initial = np.zeros(n), np.zeros(n)
    seconds_of = np.full(n, -1, dtype=np.int64)
    for k, name in enumerate(names):
        if is_asset[k]:
            own = parameters.collateral[asset_of[name]]
            dollars = price_of[name] if name in others else float(priced.index[row[k]] * priced.quote_usd[row[k]])
            price[k] = 1.0 if own.is_cash else dollars / stable
            size[k] = 1.0 if name in others else float(table.multiplier[row[k]])
            haircut_maintenance[k], haircut_initial[k] = own.haircut_maintenance, own.haircut_initial
            confidence[k] = 1.0 if own.is_cash else market.fact(CONFIDENCE, asset_of[name], 1.0)
            underlying[k] = number[own.cancels] if own.cancels else len(underlyings)
            continue
        r = int(row[k])
        underlying[k] = number[table.underlyings[table.underlying[r]]]
        size[k] = table.multiplier[r]
        if table.kind[r] == Kind.OPTION:
            kind[k], vol[k], strike[k], is_call[k] = Row.OPTION, priced.vol[r], table.strike[r], table.is_call[r]
            seconds_of[k] = table.expiry_seconds[r]
        else:
            kind[k], price[k], confidence[k] = Row.PERPETUAL, priced.mark[r], market.fact(CONFIDENCE, name, 1.0)
            if table.is_inverse[r]:
                size[k] = table.multiplier[r] / priced.mark[r]
    expiry, keys = _expiries(kind, underlying, seconds_of)
    as_of = market.as_of.timestamp()
    first = [int(np.flatnonzero(expiry == e)[0]) for e in range(len(keys))]
    seconds = np.array([at - as_of for _, at in keys], dtype=np.float64)
    forward = np.array([priced.forward[row[k]] for k in first], dtype=np.float64)
    discount = np.array([priced.discount[row[k]] for k in first], dtype=np.float64)
    fixed = forward * np.maximum(0.0, AVERAGING_SECONDS - seconds) / AVERAGING_SECONDS
    labels = [(underlyings[u], datetime.fromtimestamp(at, UTC)) for u, at in keys]
    return DeriveInputs(
        names=names,
        kind=read_only(kind),
        underlying=read_only(underlying),
        size=read_only(size),
        price=read_only(price),
        confidence=read_only(confidence),
        haircut_maintenance=read_only(haircut_maintenance),
        haircut_initial=read_only(haircut_initial),
        expiry=read_only(expiry),
        strike=read_only(strike),
        vol=read_only(vol),
        is_call=read_only(is_call),
        underlyings=underlyings,
        spot=read_only(spot),
        spot_confidence=_facts(market, underlyings),
        expiry_labels=tuple(f"{name} {at:%Y-%m-%d %H:%M} UTC" for name, at in labels),
        expiry_underlying=read_only(np.array([u for u, _ in keys], dtype=np.int64)),
        seconds=read_only(seconds),
        rate=read_only(-np.log(discount) / (seconds / SECONDS_PER_YEAR)),
        expiry_confidence=_expiry_confidence(market, names, expiry, [f"{name}-{at:%Y%m%d}" for name, at in labels]),
        forward_fixed=read_only(fixed),
        forward_variable=read_only(forward - fixed),
        stable_price=stable,
        has_inverse=bool(table.is_inverse.any()),
        fills=tuple(dict.fromkeys((*priced.fills, *fills))),
    )


def _facts(market: Market, names: list[str] | tuple[str, ...]) -> FloatArray:
    return read_only(np.array([market.fact(CONFIDENCE, name, 1.0) for name in names], dtype=np.float64))


def _expiry_confidence(market: Market, names: tuple[str, ...], expiry: IntArray, labels: list[str]) -> FloatArray:
    """Of each expiry: what is stated of it, and the least that is stated of its options."""
    found = np.array([market.fact(CONFIDENCE, label, 1.0) for label in labels], dtype=np.float64)
    for name, e in zip(names, expiry.tolist(), strict=True):
        if e < len(labels):
            found[e] = min(found[e], market.fact(CONFIDENCE, name, 1.0))
    return read_only(found)


def _expiries(kind: IntArray, underlying: IntArray, seconds: IntArray) -> tuple[IntArray, list[tuple[int, int]]]:
    """Expiry of each row, and (underlying, UTC seconds) of each expiry; one more for what has none."""
    options = np.flatnonzero(kind == Row.OPTION)
    keys = sorted({(int(underlying[k]), int(seconds[k])) for k in options})
    number = {key: e for e, key in enumerate(keys)}
    found = np.full(len(kind), len(keys), dtype=np.int64)
    for k in options.tolist():
        found[k] = number[int(underlying[k]), int(seconds[k])]
    return found, keys


def _not_held(held: InstrumentTable, parameters: DeriveParameters, method: str) -> list[Problem]:
    """What this method has no rule for."""
    options = [name for name, kind in zip(held.names, held.kind.tolist(), strict=True) if kind == Kind.FUTURE]
    futures = [
        Problem(
            found=f"'{name}' is a dated future, which Derive does not list and '{method}' has no rule for",
            needed="Margin it under a method that has one, such as scenario-grid or deribit-pm.",
            kind=UnsupportedError,
            instrument=name,
        )
        for name in options
    ]
    contracts = held.take(np.flatnonzero(held.kind != Kind.SPOT))
    return [*futures, *parameters.not_covered(contracts)]


def _no_collateral(name: str, asset: str, parameters: DeriveParameters) -> Problem:
    return Problem(
        found=f"'{asset}' is no collateral in '{parameters.info.name}'",
        needed=f"It takes {', '.join(parameters.collateral)}.",
        kind=UnsupportedError,
        instrument=name,
    )
