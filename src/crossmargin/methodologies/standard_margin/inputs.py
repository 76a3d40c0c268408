"""A market of quotes as standard margin reads it: spot, marks, forwards, and how sure the oracles are.

Oracle confidence is a fact of the market (kind `confidence`) by underlying, perpetual and asset, and by expiry as
`BTC-20260327`, which is the least of its forward and volatility; what is not stated is 1.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np

from crossmargin.basics.arrays import IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.instruments.table import InstrumentTable, Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.methodologies.standard_margin.contracts import Row, StandardInputs
from crossmargin.methodologies.standard_margin.parameters import StandardParameters
from crossmargin.revaluation.inputs import PricingInputs, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_value

CONFIDENCE = "confidence"


def inputs_from_market(
    names: tuple[str, ...], market: Market, parameters: StandardParameters, policy: MissingPolicy, method: str
) -> StandardInputs:
    """What prices `names`: instruments of the market, and assets that the parameters take as collateral.

    Raises
    ------
    UnsupportedError
        For a contract without parameters (an underlying, its options, its perpetual, a dated future where none is
        listed), and for an asset that is no collateral.
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
    stable = 1.0
    if parameters.depeg is not None:
        asset = parameters.depeg.asset
        stable = asset_price(market, asset, policy, fills, problems, needed_by="the account's own currency")
    assets = [name for name in names if name not in market and name in parameters.collateral]
    price_of = {
        name: asset_price(market, name, policy, fills, problems, needed_by=name, instruments=(name,)) for name in assets
    }
    if priced is not None:
        problems += _not_positive(priced, method)
    raise_problems(problems)
    assert priced is not None

    columns = _columns(names, priced)
    kind, group_name = columns.kind, columns.group_name
    for k, name in enumerate(names):
        if name in price_of:
            columns.price[k] = columns.spot[k] = price_of[name]
            group_name[k] = name
    groups = tuple(sorted(set(group_name)))
    expiry, labels, expiry_names = _expiries(names, priced, kind)
    confidence = np.array([market.fact(CONFIDENCE, name, 1.0) for name in group_name], dtype=np.float64)
    for k, name in enumerate(names):
        if kind[k] == Row.COLLATERAL and _is_cash(group_name[k], parameters):
            confidence[k] = 1.0
        elif kind[k] != Row.COLLATERAL:
            own = expiry_names[expiry[k]] if kind[k] == Row.OPTION else name
            confidence[k] = min(confidence[k], market.fact(CONFIDENCE, own, 1.0))
    return StandardInputs(
        names=names,
        kind=read_only(kind),
        group=read_only(np.array([groups.index(name) for name in group_name], dtype=np.int64)),
        groups=groups,
        size=read_only(columns.size),
        price=read_only(columns.price),
        spot=read_only(columns.spot),
        forward=read_only(columns.forward),
        strike=read_only(columns.strike),
        value=read_only(columns.value),
        is_call=read_only(columns.is_call),
        expiry=read_only(expiry),
        expiry_labels=labels,
        confidence=read_only(confidence),
        stable_price=stable,
        has_inverse=bool(priced.instruments.is_inverse.any()),
        fills=tuple(dict.fromkeys((*priced.fills, *fills))),
    )


class _Table:
    """Columns by row of `names`, being filled in."""

    def __init__(self, n: int) -> None:
        self.kind = np.full(n, Row.COLLATERAL, dtype=np.int64)
        self.group_name = [""] * n
        self.size = np.ones(n)
        self.is_call = np.zeros(n, dtype=np.bool_)
        self.price, self.spot, self.forward, self.strike, self.value = (np.zeros(n) for _ in range(5))


def _columns(names: tuple[str, ...], priced: PricingInputs) -> _Table:
    """The contracts; rows of assets are left for the caller."""
    table, found = priced.instruments, _Table(len(names))
    row = {name: k for k, name in enumerate(table.names)}
    at = np.array([k for k, name in enumerate(names) if name in row], dtype=np.int64)
    r = np.array([row[names[k]] for k in at.tolist()], dtype=np.int64)
    usd = priced.quote_usd[r]
    is_option, is_spot = priced.is_option[r], table.kind[r] == Kind.SPOT
    of_kind = np.where(is_spot, Row.COLLATERAL, Row.DELTA_ONE)
    found.kind[at] = np.where(is_option, Row.OPTION, of_kind)
    inverse_coins = table.multiplier[r] / np.where(table.is_inverse[r] & ~is_option, priced.mark[r], 1.0)
    found.size[at] = inverse_coins
    found.spot[at] = priced.index[r] * usd
    found.price[at] = np.where(is_option, 0.0, np.where(is_spot, priced.index[r], priced.mark[r]) * usd)
    found.forward[at] = np.where(is_option, priced.forward[r] * usd, 0.0)
    found.strike[at] = np.where(is_option, table.strike[r] * usd, 0.0)
    found.value[at] = np.where(is_option, unit_value(priced)[r], 0.0)
    found.is_call[at] = table.is_call[r]
    for k, one in zip(at.tolist(), r.tolist(), strict=True):
        found.group_name[k] = table.underlyings[int(table.underlying[one])]
    return found


def _is_cash(asset: str, parameters: StandardParameters) -> bool:
    own = parameters.collateral.get(asset)
    return own is not None and own.is_cash


def _expiries(
    names: tuple[str, ...], priced: PricingInputs, kind: IntArray
) -> tuple[IntArray, tuple[str, ...], list[str]]:
    """Expiry of each row (one more for what has none), and of each expiry its label and the name of its oracle."""
    table = priced.instruments
    row = {name: k for k, name in enumerate(table.names)}
    of_row = {
        k: (table.underlyings[int(table.underlying[row[names[k]]])], int(table.expiry_seconds[row[names[k]]]))
        for k in np.flatnonzero(kind == Row.OPTION).tolist()
    }
    keys = sorted(set(of_row.values()))
    number = {key: e for e, key in enumerate(keys)}
    found = np.full(len(names), len(keys), dtype=np.int64)
    for k, key in of_row.items():
        found[k] = number[key]
    times = [(name, datetime.fromtimestamp(at, UTC)) for name, at in keys]
    labels = tuple(f"{name} {at:%Y-%m-%d %H:%M} UTC" for name, at in times)
    return found, labels, [f"{name}-{at:%Y%m%d}" for name, at in times]


def _not_held(held: InstrumentTable, parameters: StandardParameters, method: str) -> list[Problem]:
    """What the parameters have no figures for: contract by contract, and an underlying once about all of its own."""
    found = [
        Problem(
            found=f"no parameters for underlying '{name}' in '{parameters.info.name}'",
            needed=f"It covers {', '.join(parameters.underlyings)}; add '{name}' in a parameter file of your own.",
            kind=UnsupportedError,
            instruments=tuple(n for n in held.names_of(name) if held.kind[held.names.index(n)] != Kind.SPOT),
        )
        for u, name in enumerate(held.underlyings)
        if name not in parameters.underlyings and np.any((held.underlying == u) & (held.kind != Kind.SPOT))
    ]
    for k, name in enumerate(held.names):
        underlying = held.underlyings[int(held.underlying[k])]
        own = parameters.underlyings.get(underlying)
        kind = Kind(int(held.kind[k]))
        if kind is Kind.SPOT:
            if underlying not in parameters.collateral:
                found.append(_no_collateral(name, underlying, parameters))
        elif own is None:
            continue
        elif kind is Kind.FUTURE and not parameters.dated_futures:
            found.append(
                Problem(
                    found=f"'{name}' is a dated future, which '{method}' has no rule for",
                    needed="Margin it under a method that has one, such as scenario-grid or deribit-standard.",
                    kind=UnsupportedError,
                    instrument=name,
                )
            )
        elif (own.options if kind is Kind.OPTION else own.delta_one) is None:
            what, key = ("options", "options") if kind is Kind.OPTION else ("futures and perpetuals", "delta_one")
            found.append(
                Problem(
                    found=f"'{name}': '{parameters.info.name}' has no figures for {what} on {underlying}",
                    needed=f"No public source states them: give them as 'underlyings.{underlying}.{key}' "
                    "in a parameter file of your own.",
                    kind=UnsupportedError,
                    instrument=name,
                )
            )
    return found


def _not_positive(priced: PricingInputs, method: str) -> list[Problem]:
    """Prices of which a part, or a distance as a part, would be a charge below 0."""
    wrong = {
        "index price": (priced.index, priced.index <= 0),
        "forward price": (priced.forward, priced.is_option & (priced.forward <= 0)),
        "mark price": (priced.mark, np.where(priced.is_option, priced.mark < 0, priced.mark <= 0)),
    }
    return [
        Problem(
            found=f"{what} {values[k]:g} of '{priced.instruments.names[k]}'",
            needed=f"'{method}' charges parts of prices, which are above 0.",
            kind=UnsupportedError,
            instrument=priced.instruments.names[k],
        )
        for what, (values, rows) in wrong.items()
        for k in np.flatnonzero(rows).tolist()
    ]


def _no_collateral(name: str, asset: str, parameters: StandardParameters) -> Problem:
    return Problem(
        found=f"'{asset}' is no collateral in '{parameters.info.name}'",
        needed=f"It takes {', '.join(parameters.collateral)}.",
        kind=UnsupportedError,
        instrument=name,
    )
