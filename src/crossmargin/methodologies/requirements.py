"""What every methodology answers, in one shape.

A requirement is what must be held *before* option value is credited, and never negative. The net option value stands
beside it; how much of it counts against which level is the method's rule (`credit_initial`, `credit_maintenance`), and
`total_initial` and `total_maintenance` are what is left after that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.market.stand_ins import Fill


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccountRequirements:
    """What every margin account is asked for, and nothing else: what a tick recomputes.

    Parameters
    ----------
    requirement_initial, requirement_maintenance : ndarray of shape (n_accounts,)
        `0 <= requirement_maintenance <= requirement_initial`.
    net_option_value : ndarray of shape (n_accounts,)
        Option value, long minus short.
    credit_initial, credit_maintenance : ndarray of shape (n_accounts,)
        Option value that counts against the requirement of that level; negative where it adds to it. What maintenance
        leaves to cover is no more than what initial leaves: so nobody is liquidated who is not short of initial.
    """

    requirement_initial: FloatArray
    requirement_maintenance: FloatArray
    net_option_value: FloatArray
    credit_initial: FloatArray
    credit_maintenance: FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class Units:
    """Risk units, those of one margin account next to each other.

    Parameters
    ----------
    account_offsets : ndarray of shape (n_accounts + 1,)
        Margin account `a` has units `account_offsets[a]` to `account_offsets[a + 1]`.
    name_all, scenario_all : callable
        Make `names` and `scenario_worst`: a million strings are made when somebody reads them.
    components : mapping of str to ndarray of shape (n_units,)
        Charges by name, in the order of the calculation, requirement currency.
    requirement_initial, requirement_isolated : ndarray of shape (n_units,)
        Of the unit, and the sum over its positions each margined alone.
    net_option_value : ndarray of shape (n_units,)
        Option value of the unit, long minus short.
    """

    account_offsets: IntArray
    name_all: Callable[[], tuple[str, ...]]
    scenario_all: Callable[[], tuple[str, ...]]
    components: Mapping[str, FloatArray]
    requirement_initial: FloatArray
    requirement_isolated: FloatArray
    net_option_value: FloatArray

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Name of each unit: its underlying, with the side for a gross account."""
        return self.name_all()

    @cached_property
    def scenario_worst(self) -> tuple[str, ...]:
        """The scenario that sets the requirement of each unit, in words; empty where there is none."""
        return self.scenario_all()

    def of(self, account: int) -> range:
        """Units of a margin account."""
        return range(int(self.account_offsets[account]), int(self.account_offsets[account + 1]))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contributions:
    """Share of each position and of each member in the requirement of its margin account.

    Parameters
    ----------
    account_offsets : ndarray of shape (n_accounts + 1,)
        Positions of margin account `a` are `account_offsets[a]` to `account_offsets[a + 1]`.
    unit, instrument : ndarray of shape (n_positions,)
        Unit of each position, and index into `instrument_names`.
    steps : ndarray of shape (n_positions,)
        Netted quantity in steps of 1e-8.
    pnl_worst, contribution : ndarray of shape (n_positions,)
        P&L in the worst scenario, and the share of the requirement; the latter sum to `requirement_initial` less what
        the account is charged beyond its units.
    member : ndarray of shape (n_members,)
        Share of each member account, in the order of the book's `accounts`.
    """

    account_offsets: IntArray
    unit: IntArray
    instrument: IntArray
    steps: IntArray
    pnl_worst: FloatArray
    contribution: FloatArray
    member: FloatArray
    instrument_names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Requirements:
    """The answer of a methodology for every margin account of a book.

    Parameters
    ----------
    currency : str
        Of all amounts.
    requirement_initial, requirement_maintenance, requirement_isolated : ndarray of shape (n_accounts,)
        `0 <= requirement_maintenance <= requirement_initial`; the isolated sum is that of all member positions alone.
    net_option_value : ndarray of shape (n_accounts,)
        Option value, long minus short.
    credit_initial, credit_maintenance : ndarray of shape (n_accounts,)
        As in `AccountRequirements`.
    units : Units
        The risk units.
    contribution_all : callable
        Makes `contributions`.
    account_charges : mapping of str to ndarray of shape (n_accounts,)
        By name, initial level: what an account is charged beyond its units, and no position contributes.
    fills : tuple of Fill
        Every stand-in for a missing quote.
    breakdown : object
        What the method's own `explain` arranges.
    """

    margin_accounts: tuple[str, ...]
    currency: str
    requirement_initial: FloatArray
    requirement_maintenance: FloatArray
    requirement_isolated: FloatArray
    net_option_value: FloatArray
    credit_initial: FloatArray
    credit_maintenance: FloatArray
    units: Units
    contribution_all: Callable[[], Contributions]
    fills: tuple[Fill, ...]
    breakdown: object
    account_charges: Mapping[str, FloatArray] = field(default_factory=dict)

    @cached_property
    def contributions(self) -> Contributions:
        """Share of each position and member, worked out when somebody asks."""
        return self.contribution_all()

    @property
    def total_initial(self) -> FloatArray:
        """Initial requirement after crediting option value, at least 0."""
        return np.maximum(0.0, self.requirement_initial - self.credit_initial)

    @property
    def total_maintenance(self) -> FloatArray:
        """Maintenance requirement after crediting option value, at least 0."""
        return np.maximum(0.0, self.requirement_maintenance - self.credit_maintenance)
