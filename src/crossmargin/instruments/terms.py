"""What a contract promises: one frozen class a kind, validated once, no prices.

All four kinds state what they net under, what their price is in, what their profit is paid in, and how much
one contract is. The decision a reader would question: `multiplier` has one meaning for linear contracts and
inverse options (units of the underlying per contract) and another for inverse futures and perpetuals (a fixed
amount of quote currency per contract), because that is how each is listed and counted at the venues.

What one long contract gains, in settlement currency, when the price of the underlying goes from `P` to `Q`:

    linear spot, future, perpetual     multiplier x (Q - P)
    inverse future, perpetual          multiplier x (1/P - 1/Q)
    linear option at expiry            multiplier x max(Q - strike, 0)        (a put: strike - Q)
    inverse option at expiry           multiplier x max(Q - strike, 0) / Q
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from crossmargin.basics.errors import InputError, Problem

_ONE = Decimal(1)
_NO_OFFSET = timedelta(0)


class Payoff(StrEnum):
    """Whether profit is paid in the currency of the price or in the underlying itself."""

    LINEAR = "linear"
    INVERSE = "inverse"


class Right(StrEnum):
    """What the holder of an option may do at the strike: buy (call) or sell (put)."""

    CALL = "call"
    PUT = "put"


class Style(StrEnum):
    """When the holder may exercise: at expiry only, or at any time until then."""

    EUROPEAN = "european"
    AMERICAN = "american"


class Delivery(StrEnum):
    """What changes hands at exercise."""

    CASH = "cash"
    PHYSICAL = "physical"


class On(StrEnum):
    """What an option is written on."""

    SPOT = "spot"
    FUTURE = "future"
    INDEX = "index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """The thing itself: a coin, a share, a currency.

    Parameters
    ----------
    name : str
        Canonical id, unique in a market.
    underlying : str
        Id of what it nets under.
    quote_currency, settlement_currency : str
        Currency of the price, and the one that it is paid in.
    payoff : Payoff
        Always linear.
    multiplier : Decimal
        Units of the underlying per unit held.

    Raises
    ------
    InputError
        If any term makes no sense; one error with all of them.

    Examples
    --------
    >>> Spot(name="BTC_USDC", underlying="BTC", quote_currency="USDC", settlement_currency="USDC").multiplier
    Decimal('1')
    """

    name: str
    underlying: str
    quote_currency: str
    settlement_currency: str
    payoff: Payoff = Payoff.LINEAR
    multiplier: Decimal = _ONE

    def __post_init__(self) -> None:
        problems = _common_problems(self)
        if self.payoff != Payoff.LINEAR:
            problems.append(_problem(self, "payoff", "spot cannot be inverse", "Spot is linear"))
        if problems:
            raise InputError(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedFuture:
    """A future that expires.

    Parameters
    ----------
    name, underlying : str
        Canonical id, and the id of what it nets under.
    quote_currency : str
        What the price of the underlying is in.
    settlement_currency : str
        What profit and loss are paid in: of an inverse future, the coin.
    payoff : Payoff
        Linear or inverse.
    multiplier : Decimal
        Linear: units of the underlying per contract. Inverse: quote currency per contract.
    expiry : datetime
        Moment of final settlement, in UTC, to the second.

    Raises
    ------
    InputError
        If any term makes no sense; one error with all of them.

    Examples
    --------
    A Deribit Bitcoin future is 10 USD a contract, paid in BTC:

    >>> future = DatedFuture(
    ...     name="BTC-27MAR26", underlying="BTC", quote_currency="USD", settlement_currency="BTC",
    ...     payoff=Payoff.INVERSE, multiplier=Decimal(10), expiry=datetime(2026, 3, 27, 8, tzinfo=UTC))
    >>> future.multiplier * (1 / Decimal(50_000) - 1 / Decimal(100_000))  # BTC gained from 50,000 to 100,000
    Decimal('0.00010')
    """

    name: str
    underlying: str
    quote_currency: str
    settlement_currency: str
    payoff: Payoff
    multiplier: Decimal
    expiry: datetime

    def __post_init__(self) -> None:
        problems = _common_problems(self)
        _expiry_problems(self, problems)
        if problems:
            raise InputError(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perpetual:
    """A future without expiry, held to its index by funding payments.

    Parameters
    ----------
    name, underlying : str
        Canonical id, and the id of what it nets under.
    quote_currency : str
        What the price of the underlying is in.
    settlement_currency : str
        What profit and loss are paid in: of an inverse perpetual, the coin.
    payoff : Payoff
        Linear or inverse.
    multiplier : Decimal
        Linear: units of the underlying per contract. Inverse: quote currency per contract.

    Raises
    ------
    InputError
        If any term makes no sense; one error with all of them.

    Examples
    --------
    `BTC_USDC-PERPETUAL` is linear, 0.001 BTC a contract (`BTC-PERPETUAL`: inverse, 10 USD a contract):

    >>> perpetual = Perpetual(
    ...     name="BTC_USDC-PERPETUAL", underlying="BTC", quote_currency="USDC", settlement_currency="USDC",
    ...     payoff=Payoff.LINEAR, multiplier=Decimal("0.001"))
    >>> perpetual.multiplier * (Decimal(100_000) - Decimal(50_000))  # USDC gained from 50,000 to 100,000
    Decimal('50.000')
    """

    name: str
    underlying: str
    quote_currency: str
    settlement_currency: str
    payoff: Payoff
    multiplier: Decimal

    def __post_init__(self) -> None:
        problems = _common_problems(self)
        if problems:
            raise InputError(problems)


@dataclass(frozen=True, slots=True, kw_only=True)
class VanillaOption:
    """A call or a put.

    Parameters
    ----------
    name, underlying : str
        Canonical id, and the id of what it nets under.
    quote_currency : str
        What the strike and the price of the underlying are in.
    settlement_currency : str
        What the premium and the payoff are paid in: of an inverse option, the coin.
    payoff : Payoff
        Linear or inverse.
    multiplier : Decimal
        Units of the underlying per contract, also where the payoff is inverse.
    expiry : datetime
        Moment from which on the price of the underlying no longer matters, in UTC, to the second.
    strike : Decimal
        In quote currency; finite, and zero or negative where the underlying can be.
    right : Right
        Call or put.
    style : Style
        European or American.
    delivery : Delivery
        Cash or physical.
    on : On
        Written on spot, on a future or on an index.

    Raises
    ------
    InputError
        If any term makes no sense; one error with all of them.

    Examples
    --------
    A listed US share option is on 100 shares:

    >>> option = VanillaOption(
    ...     name="SPY   230915C00450000", underlying="SPY", quote_currency="USD", settlement_currency="USD",
    ...     payoff=Payoff.LINEAR, multiplier=Decimal(100), expiry=datetime(2023, 9, 15, 20, tzinfo=UTC),
    ...     strike=Decimal(450), right=Right.CALL, style=Style.AMERICAN, delivery=Delivery.PHYSICAL,
    ...     on=On.SPOT)
    >>> option.multiplier * (Decimal(455) - option.strike)  # USD that exercise brings at 455
    Decimal('500')
    """

    name: str
    underlying: str
    quote_currency: str
    settlement_currency: str
    payoff: Payoff
    multiplier: Decimal
    expiry: datetime
    strike: Decimal
    right: Right
    style: Style
    delivery: Delivery
    on: On

    def __post_init__(self) -> None:
        problems = _common_problems(self)
        _expiry_problems(self, problems)
        if not _is_finite_decimal(self.strike):
            problems.append(_problem(self, "strike", f"strike is {self.strike!r}", "Give a finite Decimal"))
        if problems:
            raise InputError(problems)


Instrument: TypeAlias = Spot | DatedFuture | Perpetual | VanillaOption


def _problem(contract: Instrument, column: str, found: str, needed: str) -> Problem:
    return Problem(found=f"instrument '{contract.name}': {found}", needed=needed, column=column)


def _is_finite_decimal(value: object) -> bool:
    return isinstance(value, Decimal) and value.is_finite()


def _common_problems(contract: Instrument) -> list[Problem]:
    """Every problem with the terms that all kinds have."""
    problems: list[Problem] = []
    for column in ("name", "underlying", "quote_currency", "settlement_currency"):
        text = getattr(contract, column)
        if not text or text != text.strip():
            problems.append(_problem(contract, column, f"{column} is {text!r}", "Give an id without blanks around it"))
    multiplier = contract.multiplier
    if not _is_finite_decimal(multiplier) or multiplier <= 0:
        found = f"multiplier is {multiplier!r}"
        problems.append(_problem(contract, "multiplier", found, "Give a finite Decimal above 0"))
    if contract.payoff == Payoff.INVERSE and contract.settlement_currency == contract.quote_currency:
        found = f"an inverse contract quoted in {contract.quote_currency} cannot be settled in it"
        problems.append(_problem(contract, "settlement_currency", found, "Give the coin that it pays in"))
    return problems


def _expiry_problems(contract: DatedFuture | VanillaOption, problems: list[Problem]) -> None:
    expiry = contract.expiry
    if expiry.tzinfo is not UTC and expiry.utcoffset() != _NO_OFFSET:
        found = f"expiry is {expiry.isoformat()}, which is not in UTC"
        problems.append(_problem(contract, "expiry", found, "Give a time zone aware datetime in UTC"))
    if expiry.microsecond:
        found = f"expiry is {expiry.isoformat()}, which is no whole second"
        problems.append(_problem(contract, "expiry", found, "Give whole seconds"))
