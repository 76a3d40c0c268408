"""What can happen to a live book. Events carry values and no time: whoever keeps the clock orders them.

They are checked when they are made, as a file's rows are when they are read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from crossmargin.basics.errors import InputError, Problem, QuantityError, raise_problems
from crossmargin.basics.names import name_fault
from crossmargin.basics.quantities import QUANTITY_LIMIT
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology


@dataclass(frozen=True, slots=True, kw_only=True)
class Trade:
    """An account bought (`steps` above 0) or sold, in steps of 1e-8 contracts; what it paid is a `Deposit`.

    `account` is a member, as positions name it; one that the book does not know is a new account.

    Raises
    ------
    InputError, QuantityError
        For names that positions could not have, and steps that are no whole number, 0 or too many.
    """

    account: str
    instrument: str
    steps: int

    def __post_init__(self) -> None:
        raise_problems([*_name("account", self.account), *_name("instrument", self.instrument), *_steps(self.steps)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Deposit:
    """Cash or coin of an account came in (`steps` above 0) or went out, in steps of 1e-8; errors as `Trade`."""

    account: str
    asset: str
    steps: int

    def __post_init__(self) -> None:
        raise_problems([*_name("account", self.account), *_name("asset", self.asset), *_steps(self.steps)])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MarketMove:
    """A newer snapshot: prices, volatilities, indices, the time."""

    market: Market

    def __post_init__(self) -> None:
        if not isinstance(self.market, Market):
            raise InputError(f"a market move to {type(self.market).__name__}, which is no Market")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ParameterChange:
    """Another parameter set, or another methodology."""

    methodology: Methodology

    def __post_init__(self) -> None:
        if not hasattr(self.methodology, "account_requirements"):  # its name, for example
            found = f"parameters of {self.methodology!r}, which is no methodology"
            raise InputError(Problem(found=found, needed="Make one with `registry.methodology`."))


Event: TypeAlias = Trade | Deposit | MarketMove | ParameterChange


def _name(what: str, name: object) -> list[Problem]:
    if not isinstance(name, str):
        return [Problem(found=f"{what} {name!r} of type {type(name).__name__}", needed="A name is text.")]
    if not name or name != name.strip():
        return [Problem(found=f"{what} {name!r} is empty or has outer blanks", needed="Name it as positions do.")]
    fault = name_fault(name)
    return [] if fault is None else [Problem(found=f"{what} {fault[0]}", needed=fault[1])]


def _steps(steps: int) -> list[Problem]:
    if type(steps) is not int:  # True is no count
        found, needed = f"{steps!r} steps", "Steps of 1e-8 are whole numbers; `quantity_steps` makes them."
    elif steps == 0:
        found, needed = "0 steps", "Leave out what changes nothing."
    elif abs(steps) > QUANTITY_LIMIT:
        found, needed = f"{steps} steps", f"At most {QUANTITY_LIMIT} are held."
    else:
        return []
    return [Problem(found=found, needed=needed, kind=QuantityError)]
