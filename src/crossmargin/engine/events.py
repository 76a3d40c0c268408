"""What can happen to a live book. Events carry values and no time: whoever keeps the clock orders them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An account bought (`steps` above 0) or sold, in steps of 1e-8 contracts; what it paid is a `Deposit`.

    `account` is a member, as positions name it; one that the book does not know is a new account.
    """

    account: str
    instrument: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """Cash or coin of an account came in (`steps` above 0) or went out, in steps of 1e-8."""

    account: str
    asset: str
    steps: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarketMove:
    """A newer snapshot: prices, volatilities, indices, the time."""

    market: Market


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterChange:
    """Another parameter set, or another methodology."""

    methodology: Methodology


Event: TypeAlias = Trade | Deposit | MarketMove | ParameterChange
