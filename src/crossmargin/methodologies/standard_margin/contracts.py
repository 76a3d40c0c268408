"""One contract of everything as the charges of standard margin see it.

A charge is a figure of one contract: what an option is worth, what it asks for when short, what a perpetual or a coin
asks for. All in dollars. A position is then its size times these; only the maximum loss of an expiry needs more.

The decision a reader would question: an inverse contract is taken as the linear one of the same dollars: an option on
one coin, a perpetual on as many coins as its notional buys at its mark. Where the venue lists inverse contracts itself
its rule is in coin, which is the same thing at the index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, read_only
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.by_unit import kept_fills
from crossmargin.methodologies.standard_margin.parameters import MaximumLoss, PriceOf, StandardParameters
from crossmargin.methodologies.standard_margin.steps import (
    doubt,
    out_of_the_money,
    short_call_charges,
    short_put_charges,
)


class Row(IntEnum):
    """What a priced row is; a perpetual and a dated future are the same here."""

    OPTION = 0
    DELTA_ONE = 1
    COLLATERAL = 2


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StandardInputs:
    """What prices the rows, dollars; arrays have shape `(n_rows,)`.

    Parameters
    ----------
    kind : ndarray
        A `Row`.
    group : ndarray
        Index into `groups`.
    groups : tuple of str
        Underlyings and assets, each a market of its own.
    size : ndarray
        Units of the underlying, or of the asset, in one contract.
    price : ndarray
        Mark of a perpetual or future, price of an asset, for one unit; 0 for options.
    spot : ndarray
        Index price of the underlying; of an asset its price.
    forward : ndarray
        Of an option's expiry; 0 for the rest.
    strike : ndarray
        Of options; 0 for the rest.
    value : ndarray
        Of one option contract at its mark; 0 for the rest.
    is_call : ndarray
        Of options.
    expiry : ndarray
        Index into `expiry_labels`; `len(expiry_labels)` for what is no option.
    confidence : ndarray
        The least of what prices the row, 0 to 1.
    stable_price : float
        Dollars for one unit of the stablecoin that the account is kept in.
    has_inverse : bool
        Whether some row is an inverse contract.
    """

    names: tuple[str, ...]
    kind: IntArray
    group: IntArray
    groups: tuple[str, ...]
    size: FloatArray
    price: FloatArray
    spot: FloatArray
    forward: FloatArray
    strike: FloatArray
    value: FloatArray
    is_call: BoolArray
    expiry: IntArray
    expiry_labels: tuple[str, ...]
    confidence: FloatArray
    stable_price: float
    has_inverse: bool = False
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StandardContracts:
    """Charges for one contract, dollars; arrays of shape `(n_rows,)`, 0 where a row has none.

    Parameters
    ----------
    option_value : ndarray
        What one option is worth: it is charged when long, since it gives no credit.
    short_maintenance, short_initial : ndarray
        What an option asks for when short, beside what is owed on it.
    notional : ndarray
        Of a perpetual or future, at the price that its rule reads.
    rate_maintenance, rate_initial : ndarray
        Part of that notional.
    rate_slope : ndarray
        Rise of the rate for each contract of the position.
    collateral_value : ndarray
        Of an asset.
    haircut_maintenance, haircut_initial : ndarray
        Part of it that does not count.
    depeg : ndarray
        For a stablecoin off its peg; of options only when short.
    oracle : ndarray
        For unsure oracles; of options only when short.
    coins, call_coins : ndarray
        Units of the underlying in an option; in a call.
    unpaired_maintenance, unpaired_initial : ndarray
        Multiple of the forward for each unpaired coin of calls.
    offsets : ndarray
        Options whose expiry may be looked at as a whole.
    """

    inputs: StandardInputs
    option_value: FloatArray
    short_maintenance: FloatArray
    short_initial: FloatArray
    notional: FloatArray
    rate_maintenance: FloatArray
    rate_initial: FloatArray
    rate_slope: FloatArray
    collateral_value: FloatArray
    haircut_maintenance: FloatArray
    haircut_initial: FloatArray
    depeg: FloatArray
    oracle: FloatArray
    coins: FloatArray
    call_coins: FloatArray
    unpaired_maintenance: FloatArray
    unpaired_initial: FloatArray
    offsets: BoolArray

    @property
    def names(self) -> tuple[str, ...]:
        """Rows, in order."""
        return self.inputs.names

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every stand-in for a missing quote."""
        return self.inputs.fills


def contracts_of(inputs: StandardInputs, parameters: StandardParameters) -> StandardContracts:
    """The charges of every row."""
    own = _Columns(inputs, parameters)
    is_option, is_delta_one = inputs.kind == Row.OPTION, inputs.kind == Row.DELTA_ONE
    is_collateral = inputs.kind == Row.COLLATERAL
    maintenance, initial = _short_charges(inputs, parameters, own)
    price = inputs.spot if parameters.delta_one_price is PriceOf.INDEX else np.abs(inputs.price)
    coins = np.where(is_option, inputs.size, 0.0)
    exposed = np.where(is_collateral, 0.0, inputs.size * inputs.spot)
    return StandardContracts(
        inputs=inputs,
        option_value=read_only(np.where(is_option, inputs.value, 0.0)),
        short_maintenance=read_only(np.where(is_option, maintenance, 0.0)),
        short_initial=read_only(np.where(is_option, initial, 0.0)),
        notional=read_only(np.where(is_delta_one, inputs.size * price, 0.0)),
        rate_maintenance=read_only(np.where(is_delta_one, own.delta_one("maintenance"), 0.0)),
        rate_initial=read_only(np.where(is_delta_one, own.delta_one("initial"), 0.0)),
        rate_slope=read_only(np.where(is_delta_one, own.delta_one("slope") * inputs.size, 0.0)),
        collateral_value=read_only(np.where(is_collateral, inputs.size * inputs.price, 0.0)),
        haircut_maintenance=read_only(np.where(is_collateral, 1 - own.counted("maintenance"), 0.0)),
        haircut_initial=read_only(np.where(is_collateral, 1 - own.counted("initial"), 0.0)),
        depeg=read_only(exposed * _peg_loss(inputs, parameters)),
        oracle=read_only(inputs.size * inputs.spot * _oracle_rate(inputs, parameters)),
        coins=read_only(coins),
        call_coins=read_only(np.where(inputs.is_call, coins, 0.0)),
        unpaired_maintenance=read_only(own.unpaired("unpaired_maintenance")),
        unpaired_initial=read_only(own.unpaired("unpaired_initial")),
        offsets=read_only(is_option & own.has_maximum_loss()),
    )


class _Columns:
    """Figures of the parameters by row, through the group of each; 0 where a group has none."""

    def __init__(self, inputs: StandardInputs, parameters: StandardParameters) -> None:
        self._inputs = inputs
        self._collateral = parameters.collateral
        self._own = [parameters.underlyings.get(name) for name in inputs.groups]

    def _by_row(self, figures: list[float]) -> FloatArray:
        return np.array(figures, dtype=np.float64)[self._inputs.group]

    def delta_one(self, name: str) -> FloatArray:
        return self._by_row([float(getattr(own.delta_one, name, 0.0)) if own else 0.0 for own in self._own])

    def option(self, name: str) -> FloatArray:
        return self._by_row([float(getattr(own.options, name, 0.0)) if own else 0.0 for own in self._own])

    def has_maximum_loss(self) -> BoolArray:
        return np.array([one is not None for one in self._maximum_loss()], dtype=np.bool_)[self._inputs.group]

    def unpaired(self, name: str) -> FloatArray:
        return self._by_row([float(getattr(one, name, 0.0)) for one in self._maximum_loss()])

    def _maximum_loss(self) -> list[MaximumLoss | None]:
        return [own.options.maximum_loss if own and own.options else None for own in self._own]

    def counted(self, level: str) -> FloatArray:
        """Part of an asset's value that counts."""
        found = [self._collateral.get(name) for name in self._inputs.groups]
        return self._by_row(
            [one.factor * (one.initial_scale if level == "initial" else 1.0) if one else 0.0 for one in found]
        )


def _short_charges(
    inputs: StandardInputs, parameters: StandardParameters, own: _Columns
) -> tuple[FloatArray, FloatArray]:
    """Maintenance and initial charge for one option short."""
    against = inputs.spot if parameters.moneyness_price is PriceOf.INDEX else inputs.forward
    safe = np.where(inputs.kind == Row.OPTION, against, 1.0)
    away = out_of_the_money(safe, inputs.strike, inputs.is_call) / safe
    spot = inputs.size * inputs.spot
    at_spot = np.maximum(own.option("spot_initial_most") - away, own.option("spot_initial_least")) * spot
    call = short_call_charges(spot, at_spot, own.option("call_spot_maintenance"))
    put = short_put_charges(
        spot,
        inputs.value,
        at_spot,
        own.option("put_spot_maintenance"),
        own.option("put_mark_maintenance"),
        own.option("put_initial_over_maintenance"),
    )
    return np.where(inputs.is_call, call[0], put[0]), np.where(inputs.is_call, call[1], put[1])


def _peg_loss(inputs: StandardInputs, parameters: StandardParameters) -> float:
    depeg = parameters.depeg
    return 0.0 if depeg is None else max(0.0, depeg.threshold - inputs.stable_price) * depeg.factor


def _oracle_rate(inputs: StandardInputs, parameters: StandardParameters) -> FloatArray:
    oracle = parameters.oracle
    if oracle is None:
        return np.zeros(len(inputs.names))
    thresholds = np.array([oracle.option_threshold, oracle.delta_one_threshold, oracle.collateral_threshold])
    return doubt(inputs.confidence, thresholds[inputs.kind]) * oracle.factor


_BY_ROW = ("size", "price", "spot", "forward", "strike", "value", "confidence")


def repriced(whole: StandardContracts, part: StandardContracts, parameters: StandardParameters) -> StandardContracts:
    """`whole` with the rows of `part`, priced in a newer market: the same terms, other figures."""
    old, new = whole.inputs, part.inputs
    row = {name: k for k, name in enumerate(old.names)}
    at = np.array([row[name] for name in new.names], dtype=np.int64)

    def joined(name: str) -> FloatArray:
        values: FloatArray = getattr(old, name).copy()
        values[at] = getattr(new, name)
        return read_only(values)

    inputs = replace(
        old,
        **{name: joined(name) for name in _BY_ROW},  # type: ignore[arg-type]
        stable_price=new.stable_price,
        fills=tuple(dict.fromkeys((*kept_fills(old.fills, new.names), *new.fills))),
    )
    return contracts_of(inputs, parameters)
