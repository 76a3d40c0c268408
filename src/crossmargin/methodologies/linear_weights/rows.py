"""What the linear-weight venues hold: perpetuals and balances, each at its oracle price.

The oracle price of a perpetual is the index of its underlying, not its mark. A spot instrument is its asset: orders
rest in it, balances are held in the asset, and both are one market.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError, raise_problems
from crossmargin.instruments.table import InstrumentTable, Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.methodologies.by_unit import kept_fills
from crossmargin.revaluation.inputs import PricingInputs, pricing_inputs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Priced rows; arrays of shape `(n_rows,)`, dollars.

    Parameters
    ----------
    names : tuple of str
        Instruments and assets.
    key : tuple of str
        What the parameters call the market: the underlying of a perpetual, the asset of a balance.
    is_perpetual : ndarray
        The others are balances.
    size : ndarray
        Units of the underlying, or of the asset, in one contract.
    price : ndarray
        Oracle price of a unit.
    settlement : ndarray
        Dollars for one unit of what a perpetual's profit is paid in; 1 for balances.
    quote : tuple of str
        Asset that a spot instrument's orders are paid in; empty for the rest.
    market : Market
        For the facts that a method asks of it.
    """

    names: tuple[str, ...]
    key: tuple[str, ...]
    is_perpetual: BoolArray
    size: FloatArray
    price: FloatArray
    settlement: FloatArray
    quote: tuple[str, ...]
    market: Market
    fills: tuple[Fill, ...]

    @property
    def option_value(self) -> FloatArray:
        """No options here."""
        return np.zeros(len(self.names))

    def groups(self) -> tuple[IntArray, tuple[str, ...]]:
        """Every perpetual and every asset by itself: nothing nets across markets."""
        labels = [
            name if perp else key for name, key, perp in zip(self.names, self.key, self.is_perpetual, strict=True)
        ]
        names = tuple(sorted(set(labels)))
        return np.array([names.index(label) for label in labels], dtype=np.int64), names


def rows_from_market(
    names: tuple[str, ...],
    market: Market,
    policy: MissingPolicy,
    *,
    method: str,
    perpetuals: Collection[str],
    assets: Collection[str],
) -> Rows:
    """Price `names`: perpetuals on `perpetuals`, and `assets`.

    Raises
    ------
    UnsupportedError
        For an option, a dated future, an inverse perpetual, and a market or asset that the parameters do not have.
    InputError
        As `pricing_inputs`.
    """
    problems: list[Problem] = []
    fills: list[Fill] = []
    contracts = tuple(name for name in names if name in market or name not in assets)
    held = market.instruments.take(market.rows(contracts))
    problems += _not_held(held, method, perpetuals, assets)
    inputs: PricingInputs | None = None
    # What is refused by its kind is not priced: one reason is enough.
    refused = {name for problem in problems for name in (problem.instrument, *problem.instruments)}
    try:
        inputs = pricing_inputs(market, tuple(name for name in contracts if name not in refused), policy)
    except CrossmarginError as error:
        problems += error.problems
    loose = {name for name in names if name not in market and name in assets}
    price_of = {
        name: asset_price(market, name, policy, fills, problems, needed_by=name, instruments=(name,))
        for name in sorted(loose)
    }
    if inputs is not None:
        problems += _settlements(inputs, market, policy, fills)
    raise_problems(problems)
    assert inputs is not None
    table = inputs.instruments
    place = {name: k for k, name in enumerate(table.names)}
    key, quote = [], []
    is_perpetual, size = np.zeros(len(names), dtype=np.bool_), np.ones(len(names))
    price, settlement = np.zeros(len(names)), np.ones(len(names))
    for k, name in enumerate(names):
        if name in loose:
            key.append(name)
            quote.append("")
            price[k] = price_of[name]
            continue
        row = place[name]
        terms = table.instruments[row]
        is_perpetual[k] = table.kind[row] == Kind.PERPETUAL
        key.append(terms.underlying)
        quote.append("" if is_perpetual[k] else terms.quote_currency)
        size[k], price[k] = table.multiplier[row], inputs.index[row] * inputs.quote_usd[row]
        if not is_perpetual[k]:  # a coin has one price, whichever pair it is traded in
            price[k] = market.prices.get(terms.underlying, price[k])
        settlement[k] = market.prices.get(terms.settlement_currency, 1.0)
    return Rows(
        names=names,
        key=tuple(key),
        is_perpetual=read_only(is_perpetual),
        size=read_only(size),
        price=read_only(price),
        settlement=read_only(settlement),
        quote=tuple(quote),
        market=market,
        fills=tuple(dict.fromkeys((*inputs.fills, *fills))),
    )


def repriced(whole: Rows, part: Rows) -> Rows:
    """`whole` with the rows of `part`, priced in a newer market."""
    at = [whole.names.index(name) for name in part.names]

    def joined(name: str) -> FloatArray:
        values = getattr(whole, name).copy()
        values[at] = getattr(part, name)
        return read_only(values)

    columns: dict[str, Any] = {name: joined(name) for name in ("size", "price", "settlement")}
    fills = tuple(dict.fromkeys((*kept_fills(whole.fills, part.names), *part.fills)))
    return replace(whole, market=part.market, fills=fills, **columns)


def _not_held(
    held: InstrumentTable, method: str, perpetuals: Collection[str], assets: Collection[str]
) -> list[Problem]:
    problems = []
    for k, terms in enumerate(held.instruments):
        kind = Kind(int(held.kind[k]))
        found = needed = ""
        if kind in (Kind.OPTION, Kind.FUTURE):
            what = "an option" if kind is Kind.OPTION else "a dated future"
            found, needed = f"'{terms.name}' is {what}", f"'{method}' has perpetuals and balances only."
        elif bool(held.is_inverse[k]):
            found, needed = f"'{terms.name}' is inverse", f"'{method}' has linear perpetuals only."
        elif terms.underlying not in (perpetuals if kind is Kind.PERPETUAL else assets):
            known = ", ".join(perpetuals if kind is Kind.PERPETUAL else assets)
            found = f"no parameters for '{terms.name}' (underlying '{terms.underlying}') under '{method}'"
            needed = f"They cover {known}; add it in a parameter file of your own."
        if found:
            problems.append(Problem(found=found, needed=needed, kind=UnsupportedError, instrument=terms.name))
    return problems


def _settlements(inputs: PricingInputs, market: Market, policy: MissingPolicy, fills: list[Fill]) -> list[Problem]:
    """Every currency that profit is paid in has a price: stablecoins at par, where nothing says otherwise."""
    problems: list[Problem] = []
    for terms in inputs.instruments.instruments:
        asset_price(
            market,
            terms.settlement_currency,
            policy,
            fills,
            problems,
            needed_by=terms.name,
            instruments=(terms.name,),
        )
    return problems
