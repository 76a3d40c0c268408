"""The book: margin accounts, their members, exact positions and balances, in one canonical order.

Built from rows in any order, with duplicates; the same holdings always give the same arrays, because accounts and
instruments are ordered by name and quantities are netted as integers. What a reader might question: netting
happens twice. Each *member* (an account as it was named in the input) is netted alone, and each *margin account*
(the netting set, or the account itself) over its members. The first is the baseline of what cross-margining
saves and says what each member contributes; the second is what is margined.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain, compress
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import BoolArray, IntArray, offsets_from_counts, owners_of, read_only, run_starts
from crossmargin.basics.errors import PortfolioError, Problem, UnknownAccountError, raise_problems
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT
from crossmargin.portfolio.netting import Codes, net, occurring, sums_too_large

_Array = TypeVar("_Array", IntArray, BoolArray)


class AccountType(StrEnum):
    """How an account's own long and short positions in one instrument combine.

    `NET` nets them. `GROSS` is an omnibus account of several clients: a long row and a short row stay apart, and
    neither offsets the other.
    """

    NET = "net"
    GROSS = "gross"


class CustomerType(StrEnum):
    """Whose positions an account holds, for methods that ask clients of one kind for more than those of another.

    `MEMBER` is a clearing member's own, `HEDGER` a client's who has what the positions hedge, `SPECULATOR` any other's.
    """

    MEMBER = "member"
    HEDGER = "hedger"
    SPECULATOR = "speculator"


CUSTOMER_TYPES = tuple(CustomerType)
"""Each customer type at its code in `Book.customer_types`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is stated of an account, once for all of its rows.

    `netting_set` is the name of a cross-margin agreement, `segregation` the id of a segregation (positions under
    different ids are never netted); `None` is none. A `customer_type` of `None` is not stated, which is no type.
    """

    netting_set: str | None = None
    segregation: str | None = None
    account_type: AccountType = AccountType.NET
    customer_type: CustomerType | None = None


_UNSTATED = Attributes()
_MOST_PIECES = 10_000
"""Pieces up to which copying them one by one is faster than masks over all rows."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Positions:
    """Holdings as compressed sparse rows: owner by owner, inside an owner by instrument name.

    Parameters
    ----------
    offsets : ndarray of shape (n_owners + 1,)
        Owner `k` holds positions `offsets[k]` to `offsets[k + 1]`.
    instrument : ndarray of shape (n_positions,)
        Index into the book's `instruments`.
    steps : ndarray of shape (n_positions,)
        Signed quantity in steps of 1e-8 contracts; long is positive, never 0. A gross owner may have two rows for an
        instrument: its long one first, then its short one.
    """

    offsets: IntArray
    instrument: IntArray
    steps: IntArray

    def owner(self) -> IntArray:
        """Owner of each position, shape `(n_positions,)`."""
        return owners_of(self.offsets)

    def block(self, first: int, last: int) -> Positions:
        """Those of the owners `first` to `last`, half open: views of these arrays."""
        start, stop = int(self.offsets[first]), int(self.offsets[last])
        return Positions(
            offsets=read_only(self.offsets[first : last + 1] - start),
            instrument=self.instrument[start:stop],
            steps=self.steps[start:stop],
        )

    def take(self, owners: IntArray) -> Positions:
        """Those of `owners`, which are numbered anew in the order given."""
        offsets, rows = _gathered(self.offsets[owners], self.offsets[owners + 1])
        return Positions(
            offsets=read_only(offsets), instrument=read_only(self.instrument[rows]), steps=read_only(self.steps[rows])
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Balances:
    """Cash and coin, one row an account and asset, by account then asset name.

    `account` indexes the book's `accounts`, `asset` its own `assets`; `steps` are signed multiples of 1e-8.
    """

    assets: tuple[str, ...] = ()
    account: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    asset: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    steps: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def block(self, first: int, last: int) -> Balances:
        """Those of the accounts `first` to `last`, half open."""
        start, stop = np.searchsorted(self.account, (first, last)).tolist()
        return Balances(
            assets=self.assets,
            account=read_only(self.account[start:stop] - first),
            asset=self.asset[start:stop],
            steps=self.steps[start:stop],
        )

    def take(self, accounts: IntArray) -> Balances:
        """Those of `accounts`, which are numbered anew in the order given."""
        starts, stops = (np.searchsorted(self.account, accounts, side) for side in ("left", "right"))
        _, rows = _gathered(starts, stops)
        return Balances(
            assets=self.assets,
            account=read_only(np.repeat(np.arange(len(accounts)), stops - starts)),
            asset=read_only(self.asset[rows]),
            steps=read_only(self.steps[rows]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Carried:
    """What accounts carry beside their positions: resting orders and unrealised profit, by account then instrument.

    Parameters
    ----------
    instruments : tuple of str
        Names, sorted; of these there need be no position.
    account, instrument : ndarray of shape (n_rows,)
        Index into the book's `accounts`, and into `instruments`.
    buys, sells : ndarray of shape (n_rows,)
        Contracts of resting orders in steps of 1e-8, at least 0 on either side.
    unrealised : ndarray of shape (n_rows,)
        Profit that is not settled yet, settlement currency in steps of 1e-8; negative is a loss.
    """

    instruments: tuple[str, ...] = ()
    account: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    instrument: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    buys: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    sells: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    unrealised: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))

    def only_named(self) -> Carried:
        """The same without the instruments of which there is no row."""
        named = occurring(self.instrument, len(self.instruments))
        if named.all():
            return self
        number = np.cumsum(named) - 1
        return replace(
            self,
            instruments=tuple(compress(self.instruments, named.tolist())),
            instrument=read_only(number[self.instrument]),
        )

    def block(self, first: int, last: int) -> Carried:
        """Those of the accounts `first` to `last`, half open."""
        start, stop = np.searchsorted(self.account, (first, last)).tolist()
        return self._rows(slice(start, stop), self.account[start:stop] - first)

    def take(self, accounts: IntArray) -> Carried:
        """Those of `accounts`, which are numbered anew in the order given."""
        starts, stops = (np.searchsorted(self.account, accounts, side) for side in ("left", "right"))
        _, rows = _gathered(starts, stops)
        return self._rows(rows, np.repeat(np.arange(len(accounts)), stops - starts))

    def _rows(self, rows: IntArray | slice, account: IntArray) -> Carried:
        return Carried(
            instruments=self.instruments,
            account=read_only(account),
            **{name: read_only(getattr(self, name)[rows]) for name in ("instrument", "buys", "sells", "unrealised")},
        )


class Origin(NamedTuple):
    """File and row."""

    file: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Book:
    """Many accounts at once; one account is a book of one.

    Parameters
    ----------
    accounts, margin_accounts, instruments : tuple of str
        Names in order: the members, the margin accounts, everything held.
    attributes : tuple of Attributes
        Of each member.
    margin_account_of : ndarray of shape (n_accounts,)
        Margin account of each member.
    gross : ndarray of shape (n_margin_accounts,)
        Whether long and short stay apart.
    member_positions, positions : Positions
        Netted by member, and by margin account.
    balances : Balances or None
        `None` when none were given: then there is no equity to speak of.
    origins : mapping of str to Origin
        Where each instrument stands first in the input, for messages of later stages; may be empty.
    carried : Carried or None
        Resting orders and unrealised profit; `None` where neither was stated.
    """

    accounts: tuple[str, ...]
    margin_accounts: tuple[str, ...]
    instruments: tuple[str, ...]
    attributes: tuple[Attributes, ...]
    margin_account_of: IntArray
    gross: BoolArray
    member_positions: Positions
    positions: Positions
    balances: Balances | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
    carried: Carried | None = None
    # What is worked out once, on demand; no part of what the book is.
    _known: dict[str, tuple[IntArray, IntArray] | None] = field(default_factory=dict, init=False, repr=False)

    def located(self, problem: Problem) -> Problem:
        """`problem` with file and row of the instrument that it is about, where they are known."""
        origin = self.origins.get(problem.instrument)
        if origin is None or problem.file:
            return problem
        return replace(problem, file=origin.file, row=origin.row, column="instrument")

    def members(self, margin_account: int) -> tuple[str, ...]:
        """Names of the members of a margin account, in order."""
        return tuple(self.accounts[k] for k in self.member_indices(margin_account, margin_account + 1).tolist())

    def member_indices(self, first: int, last: int) -> IntArray:
        """Members of the margin accounts `first` to `last`, half open, in their own order."""
        known = self._by_margin_account()
        if known is None:
            return np.arange(first, last)
        order, offsets = known
        return np.sort(order[offsets[first] : offsets[last]])

    def margin_account_index(self, name: str) -> int:
        """Index of the margin account called `name`, or that the member `name` belongs to.

        Raises
        ------
        UnknownAccountError
            If nobody is called so.
        """
        if (index := found_name(self.margin_accounts, name)) is not None:
            return index
        if (index := found_name(self.accounts, name)) is not None:
            return int(self.margin_account_of[index])
        known = ", ".join(self.margin_accounts[:5]) + (", ..." if len(self.margin_accounts) > 5 else "")
        raise UnknownAccountError(
            Problem(
                found=f"no account '{name}' in this book",
                needed=f"It holds {known}.",
                kind=UnknownAccountError,
            )
        )

    def block(self, first: int, last: int) -> Book:
        """The margin accounts `first` to `last`, half open, as a book.

        Members, positions and balances are those of these margin accounts alone, in the same order. Instruments are
        those of the whole book, so that one table of unit P&L serves all of its blocks. Nothing is netted again, and
        without netting sets the arrays are views.
        """
        members = self.member_indices(first, last)
        if self._by_margin_account() is None:
            own, own_balances = slice(first, last), self.balances and self.balances.block(first, last)
            own_carried = self.carried and self.carried.block(first, last)
            accounts, attributes = self.accounts[own], self.attributes[own]
            member_positions = self.member_positions.block(first, last)
        else:
            own_balances = self.balances and self.balances.take(members)
            own_carried = self.carried and self.carried.take(members)
            accounts = tuple(self.accounts[k] for k in members.tolist())
            attributes = tuple(self.attributes[k] for k in members.tolist())
            member_positions = self.member_positions.take(members)
        shared = self.positions is self.member_positions
        return replace(
            self,
            accounts=accounts,
            margin_accounts=accounts if self._one_name else self.margin_accounts[first:last],
            attributes=attributes,
            margin_account_of=read_only(self.margin_account_of[members] - first),
            gross=self.gross[first:last],
            member_positions=member_positions,
            positions=member_positions if shared else self.positions.block(first, last),
            balances=own_balances,
            carried=own_carried,
        )

    def select(self, margin_account: int) -> Book:
        """The book of one margin account alone, members and balances included, and the instruments that it holds.

        Takes as long as the account is large, however large the book is.
        """
        alone = self.block(margin_account, margin_account + 1)
        held = np.unique(alone.member_positions.instrument)
        if len(held) == len(self.instruments):
            return alone
        names = tuple(self.instruments[k] for k in held.tolist())
        return alone._renumbered(names, lambda instrument: np.searchsorted(held, instrument))

    def only(self, margin_accounts: IntArray) -> Book:
        """The book of some margin accounts, and the instruments that they hold; as long as these are large.

        Parameters
        ----------
        margin_accounts : ndarray of shape (n,)
            Indices, ascending.
        """
        known = self._by_margin_account()
        if known is None:
            members = margin_accounts
        else:
            order, offsets = known
            members = np.sort(order[_gathered(offsets[margin_accounts], offsets[margin_accounts + 1])[1]])
        member_positions = self.member_positions.take(members)
        accounts = tuple(self.accounts[k] for k in members.tolist())
        margin_names = accounts if self._one_name else tuple(self.margin_accounts[k] for k in margin_accounts.tolist())
        shared = self.positions is self.member_positions
        return replace(
            self,
            accounts=accounts,
            margin_accounts=margin_names,
            attributes=tuple(self.attributes[k] for k in members.tolist()),
            margin_account_of=read_only(np.searchsorted(margin_accounts, self.margin_account_of[members])),
            gross=read_only(self.gross[margin_accounts]),
            member_positions=member_positions,
            positions=member_positions if shared else self.positions.take(margin_accounts),
            balances=self.balances and self.balances.take(members),
            carried=self.carried and self.carried.take(members),
        ).held_only()

    def without(self, margin_accounts: Iterable[int] | IntArray) -> Book:
        """The book without some margin accounts, their members and balances, and without what only they held.

        Parameters
        ----------
        margin_accounts
            Indices, in any order; none is the same book without the instruments that nobody holds.
        """
        kept = np.ones(len(self.margin_accounts), dtype=np.bool_)
        kept[np.fromiter(margin_accounts, dtype=np.int64)] = False
        return self.only(np.flatnonzero(kept))

    @property
    def customer_types(self) -> npt.NDArray[np.int8]:
        """Customer type of each margin account, shape `(n_margin_accounts,)`: index into `CUSTOMER_TYPES`, -1 if none.

        That of a netting set is what any of its members states; they do not contradict each other.
        """
        found = np.full(len(self.margin_accounts), -1, dtype=np.int8)
        # Accounts of which the same is stated share it, so that few of a million are looked at.
        distinct = {id(stated): stated for stated in self.attributes}
        code = {
            key: CUSTOMER_TYPES.index(stated.customer_type)
            for key, stated in distinct.items()
            if stated.customer_type is not None
        }
        if code:
            of_member = np.array([code.get(id(stated), -1) for stated in self.attributes], dtype=np.int8)
            stating = of_member >= 0
            found[self.margin_account_of[stating]] = of_member[stating]
        return read_only(found)

    @property
    def _one_name(self) -> bool:
        """Whether every member is its own margin account and is called so."""
        return self.accounts is self.margin_accounts

    def _by_margin_account(self) -> tuple[IntArray, IntArray] | None:
        """Members by margin account, and where those of each begin; `None` if member `k` is margin account `k`."""
        if "by_margin_account" not in self._known:
            of, n_owners = self.margin_account_of, len(self.margin_accounts)
            alone = len(of) == n_owners and bool(np.all(of == np.arange(n_owners)))
            self._known["by_margin_account"] = (
                None
                if alone
                else (np.argsort(of, kind="stable"), offsets_from_counts(np.bincount(of, minlength=n_owners)))
            )
        return self._known["by_margin_account"]

    def held_only(self) -> Book:
        """The same without the instruments that came to nothing: those that nobody holds need no price."""
        is_held = occurring(self.member_positions.instrument, len(self.instruments))
        if is_held.all():
            return self
        number = np.cumsum(is_held) - 1
        names = tuple(compress(self.instruments, is_held.tolist()))
        return self._renumbered(names, lambda instrument: number[instrument])

    def _renumbered(self, instruments: tuple[str, ...], renumber: Callable[[IntArray], IntArray]) -> Book:
        """The same positions under `instruments`, `renumber` giving the new index of each."""

        def renumbered(positions: Positions) -> Positions:
            return replace(positions, instrument=read_only(renumber(positions.instrument)))

        member_positions = renumbered(self.member_positions)
        shared = self.positions is self.member_positions
        return replace(
            self,
            instruments=instruments,
            member_positions=member_positions,
            positions=member_positions if shared else renumbered(self.positions),
        )

    def renamed(self, spelled: Callable[[str], str]) -> Book:
        """The same holdings under other spellings of their instruments; those of one spelling are netted together.

        Raises
        ------
        PortfolioError
            If a sum is too large.
        """
        now = [spelled(name) for name in self.instruments]
        carried = self.carried and _respelled(self.carried, spelled, self.accounts)
        if tuple(now) == self.instruments:
            return self if carried is self.carried else replace(self, carried=carried)
        names = sorted(set(now))
        held = self.member_positions
        book = build_book(
            accounts=self.accounts,
            instruments=names,
            rows=PositionRows(account=held.owner(), instrument=_index(names, now)[held.instrument], steps=held.steps),
            attributes=dict(zip(self.accounts, self.attributes, strict=True)),
            origins={
                name: self.origins[old] for old, name in zip(self.instruments, now, strict=True) if old in self.origins
            },
        )
        return replace(book, balances=self.balances, carried=carried)

    @property
    def to_price(self) -> tuple[str, ...]:
        """Names of everything that must have a price: what is held, and what is carried beside it."""
        if self.carried is None or not len(self.carried.account):
            return self.instruments
        return tuple(sorted({*self.instruments, *self.carried.only_named().instruments}))

    def with_trades(self, trades: Iterable[tuple[str, str, int]]) -> Book:
        """The book after further `(member, instrument, steps)`; everything else stays as it is.

        Members and instruments may be new. Instruments that are no longer held stay listed; see `held_only`.

        Raises
        ------
        PortfolioError
            If a new member is called like a netting set, or a sum is too large.
        """
        trades = list(trades)
        names = sorted({account for account, _, _ in trades})
        instruments = sorted({instrument for _, instrument, _ in trades})
        book = self.with_members([name for name in names if found_name(self.accounts, name) is None])
        number = {name: found_name(book.accounts, name) for name in names}
        return book.with_positions(
            instruments=instruments,
            rows=PositionRows(
                account=np.array([number[account] for account, _, _ in trades], dtype=np.int64),
                instrument=_index(instruments, [instrument for _, instrument, _ in trades]),
                steps=np.array([steps for _, _, steps in trades], dtype=np.int64),
            ),
        )

    def with_deposits(self, deposits: Iterable[tuple[str, str, int]]) -> Book:
        """The book after further `(member, asset, steps)` of cash or coin; everything else stays as it is.

        Members and assets may be new.

        Raises
        ------
        PortfolioError
            If a new member is called like a netting set, or a sum is too large.
        """
        deposits = list(deposits)
        names = sorted({account for account, _, _ in deposits})
        book = self.with_members([name for name in names if found_name(self.accounts, name) is None])
        old = book.balances or Balances()
        assets = tuple(sorted({*old.assets, *(asset for _, asset, _ in deposits)}))
        account = np.array([found_name(book.accounts, name) for name, _, _ in deposits], dtype=np.int64)
        balances = Balances(
            assets=assets,
            account=np.concatenate((old.account, account)),
            asset=np.concatenate((_index(assets, old.assets)[old.asset], _index(assets, [d[1] for d in deposits]))),
            steps=np.concatenate((old.steps, np.array([steps for _, _, steps in deposits], dtype=np.int64))),
        )
        return replace(book, balances=net_balances(balances, book.accounts))

    def with_members(self, names: Sequence[str]) -> Book:
        """The book with further members that hold nothing, each its own margin account.

        Parameters
        ----------
        names : sequence of str
            Sorted, none of them a member.

        Raises
        ------
        PortfolioError
            If one is called like a netting set.
        """
        if not names:
            return self
        raise_problems([_both(name) for name in names if found_name(self.margin_accounts, name) is not None])
        accounts, members_now, members_new = merged_names(self.accounts, names)
        owners_now, owners_new, margin_accounts = members_now, members_new, accounts
        if not self._one_name:
            margin_accounts, owners_now, owners_new = merged_names(self.margin_accounts, names)

        def among(old: _Array, at: IntArray) -> _Array:
            """`old` at its new places; 0 for who is new."""
            new = np.zeros(len(old) + len(names), dtype=old.dtype)
            new[at] = old
            return read_only(new)

        def with_owners(positions: Positions, at: IntArray) -> Positions:
            counts = among(np.diff(positions.offsets), at)
            return replace(positions, offsets=read_only(offsets_from_counts(counts)))

        margin_account_of = among(owners_now[self.margin_account_of], members_now).copy()
        margin_account_of[members_new] = owners_new
        attributes = [_UNSTATED] * len(accounts)
        for k, stated in zip(members_now.tolist(), self.attributes, strict=True):
            attributes[k] = stated
        shared = self.positions is self.member_positions
        member_positions = with_owners(self.member_positions, members_now)
        return replace(
            self,
            accounts=accounts,
            margin_accounts=margin_accounts,
            attributes=tuple(attributes),
            margin_account_of=read_only(margin_account_of),
            gross=among(self.gross, owners_now),
            member_positions=member_positions,
            positions=member_positions if shared else with_owners(self.positions, owners_now),
            balances=self.balances and replace(self.balances, account=read_only(members_now[self.balances.account])),
            carried=self.carried and replace(self.carried, account=read_only(members_now[self.carried.account])),
        )

    def with_positions(self, *, instruments: Sequence[str], rows: PositionRows) -> Book:
        """The book after further rows; everything else stays as it is.

        Only the members and margin accounts that the rows name are netted again: the others are copied.

        Parameters
        ----------
        instruments : sequence of str
            Sorted unique names that `rows.instrument` indexes; new ones join those of the book.
        rows : PositionRows
            `account` indexes the members of this book. Any order, duplicates allowed.

        Raises
        ------
        PortfolioError
            If a sum is too large.
        """
        new = [name for name in instruments if found_name(self.instruments, name) is None]
        book = self
        if new:
            names, instruments_now, _ = merged_names(self.instruments, new)
            book = self._renumbered(names, lambda instrument: instruments_now[instrument])
        place = np.array([found_name(book.instruments, name) for name in instruments], dtype=np.int64)
        instrument, members = place[rows.instrument], book.member_positions
        owner = book.margin_account_of
        member_positions = _with_rows(
            members, rows.account, instrument, rows.steps, book.gross[owner], book.accounts, book.instruments
        )
        positions = member_positions
        if book.positions is not members:
            positions = _with_rows(
                book.positions,
                owner[rows.account],
                instrument,
                rows.steps,
                book.gross,
                book.margin_accounts,
                book.instruments,
            )
        return replace(book, member_positions=member_positions, positions=positions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionRows:
    """Positions as they come: one row each, any order, duplicates allowed; indices into sorted names.

    Indices may have 32 bits, which is what many millions of rows are read into.
    """

    account: Codes
    instrument: Codes
    steps: IntArray


def build_book(
    *,
    accounts: Sequence[str],
    instruments: Sequence[str],
    rows: PositionRows,
    attributes: Mapping[str, Attributes],
    balances: Balances | None = None,
    origins: Mapping[str, Origin] | None = None,
    carried: Carried | None = None,
) -> Book:
    """Net, order and check: rows in any order become the one canonical book.

    Parameters
    ----------
    accounts, instruments : sequence of str
        Sorted unique names that `rows` index.
    rows : PositionRows
        Signed quantities; several rows of one account and instrument add up exactly.
    attributes : mapping
        Of the accounts that state any.
    balances : Balances, optional
        Rows of one account and asset add up exactly.
    origins : mapping of str to Origin, optional
        Where each instrument stands first.
    carried : Carried, optional
        Rows of one account and instrument add up exactly.

    Raises
    ------
    PortfolioError
        If a netting set has two segregation ids, two customer types or a gross member, a netting set is called like an
        account that is not in it, or a sum is too large.
    """
    kept = tuple(accounts)
    stated: tuple[Attributes, ...] = (_UNSTATED,) * len(kept)
    margin_accounts, margin_account_of = kept, np.arange(len(kept))
    gross = member_gross = np.zeros(len(kept), dtype=np.bool_)
    if attributes:
        stated = tuple(attributes.get(name, _UNSTATED) for name in kept)
        _check_sets(kept, stated)
        margin_accounts, margin_account_of = _margin_accounts(kept, stated)
        member_gross = np.array([s.account_type is AccountType.GROSS for s in stated], dtype=np.bool_)
        gross = np.zeros(len(margin_accounts), dtype=np.bool_)
        gross[margin_account_of] = member_gross

    instrument: Codes = rows.instrument
    names_held = tuple(instruments)
    held = occurring(instrument, len(instruments))
    if not held.all():
        names_held = tuple(compress(instruments, held.tolist()))
        number = np.cumsum(held, dtype=np.int32) - 1
        instrument = number[instrument]

    members = _net(rows.account, instrument, rows.steps, member_gross, kept, names_held)
    positions = members
    if margin_accounts is not kept:  # some netting set
        owner = margin_account_of[members.owner()]
        positions = _net(owner, members.instrument, members.steps, gross, margin_accounts, names_held)
    return Book(
        accounts=kept,
        margin_accounts=margin_accounts,
        instruments=names_held,
        attributes=stated,
        margin_account_of=read_only(margin_account_of),
        gross=read_only(gross),
        member_positions=members,
        positions=positions,
        balances=None if balances is None else net_balances(balances, kept),
        origins=origins or {},
        carried=None if carried is None else net_carried(carried, kept),
    )


def merged_names(names: tuple[str, ...], more: Sequence[str]) -> tuple[tuple[str, ...], IntArray, IntArray]:
    """Two sorted sequences without a common name as one, and the new index of each name of either."""
    place = np.array([bisect_left(names, name) for name in more], dtype=np.int64)
    among = np.arange(len(names))
    # One sort of two runs: a merge, in time linear in their length.
    return (
        tuple(sorted([*names, *more])),
        among + np.searchsorted(place, among, side="right"),
        place + np.arange(len(more)),
    )


def _margin_accounts(accounts: tuple[str, ...], attributes: Sequence[Attributes]) -> tuple[tuple[str, ...], IntArray]:
    """Names of the margin accounts, in order, and that of each member."""
    set_of = [stated.netting_set for stated in attributes]
    sets = sorted({name for name in set_of if name is not None})
    if not sets:
        return accounts, np.arange(len(accounts))
    alone = tuple(name for name, own in zip(accounts, set_of, strict=True) if own is None)
    margin_accounts, alone_now, sets_now = merged_names(alone, sets)
    number = dict(zip(sets, sets_now.tolist(), strict=True))
    margin_account_of = np.array([-1 if name is None else number[name] for name in set_of], dtype=np.int64)
    margin_account_of[margin_account_of < 0] = alone_now
    if margin_accounts == accounts and np.array_equal(margin_account_of, np.arange(len(accounts))):
        return accounts, margin_account_of  # each set is one account called like it, so it is none
    return margin_accounts, margin_account_of


def _check_sets(accounts: Sequence[str], attributes: Sequence[Attributes]) -> None:
    problems = []
    id_of: dict[str, str | None] = {}
    type_of: dict[str, CustomerType] = {}
    doubtful = set()
    for stated in attributes:
        if stated.netting_set is not None:
            segregation = stated.segregation or None  # which is not the id "none"
            if id_of.setdefault(stated.netting_set, segregation) != segregation:
                doubtful.add(stated.netting_set)
            if stated.account_type is AccountType.GROSS:
                doubtful.add(stated.netting_set)
            kind = stated.customer_type
            if kind is not None and type_of.setdefault(stated.netting_set, kind) is not kind:
                doubtful.add(stated.netting_set)
    for name in id_of:
        outsider = found_name(accounts, name)
        if outsider is not None and attributes[outsider].netting_set is None:
            doubtful.add(name)
    if not doubtful:
        return
    members: dict[str, list[int]] = {name: [] for name in sorted(doubtful)}
    for k, stated in enumerate(attributes):
        if stated.netting_set in members:
            members[stated.netting_set].append(k)
    for netting_set, inside in members.items():
        written = [f"'{attributes[k].segregation}'" if attributes[k].segregation else "none" for k in inside]
        ids = sorted(set(written))
        if len(ids) > 1:
            problems.append(
                Problem(
                    found=f"netting set '{netting_set}' has {len(ids)} segregation ids ({', '.join(ids)}): "
                    + ", ".join(f"{accounts[k]}={name}" for k, name in zip(inside, written, strict=True)),
                    needed="What is segregated is never netted: one segregation id for the whole set.",
                    column="segregation",
                    kind=PortfolioError,
                    account=netting_set,
                )
            )
        kinds = {accounts[k]: kind for k in inside if (kind := attributes[k].customer_type) is not None}
        if len(set(kinds.values())) > 1:
            problems.append(
                Problem(
                    found=f"netting set '{netting_set}' has {len(set(kinds.values()))} customer types: "
                    + ", ".join(f"{name}={kind}" for name, kind in kinds.items()),
                    needed="It is one margin account: one customer type for the whole set.",
                    column="customer_type",
                    kind=PortfolioError,
                    account=netting_set,
                )
            )
        problems += [
            Problem(
                found=f"gross account '{accounts[k]}' is in netting set '{netting_set}'",
                needed="A gross account nets with nobody: leave its netting_set empty or make it a net account.",
                column="account_type",
                kind=PortfolioError,
                account=accounts[k],
            )
            for k in inside
            if attributes[k].account_type is AccountType.GROSS
        ]
        outsider = found_name(accounts, netting_set)
        if outsider is not None and attributes[outsider].netting_set is None:
            problems.append(_both(netting_set))
    raise_problems(problems)


def _both(name: str) -> Problem:
    return Problem(
        found=f"'{name}' is both a netting set and an account outside of it",
        needed="Rename one of them.",
        column="netting_set",
        kind=PortfolioError,
        account=name,
    )


def _net(
    owner: Codes,
    instrument: Codes,
    steps: IntArray,
    gross: BoolArray,
    owners: Sequence[str],
    instruments: Sequence[str],
) -> Positions:
    """Sum exactly by owner and instrument; refuse sums that are too large, by name."""
    netted = net(owner, instrument, steps, gross, len(instruments))
    raise_problems([_too_large(owners[k], instruments[which]) for k, which in netted.too_large])
    return Positions(
        offsets=read_only(netted.offsets),
        instrument=read_only(netted.instrument),
        steps=read_only(netted.steps),
    )


def _too_large(owner: str, instrument: str) -> Problem:
    return Problem(
        found=f"positions of '{owner}' in '{instrument}' add up to more than "
        f"{QUANTITY_LIMIT // STEPS_PER_UNIT:,} contracts",
        needed="Check the quantities.",
        kind=PortfolioError,
        instrument=instrument,
        account=owner,
    )


def _with_rows(
    positions: Positions,
    owner: Codes,
    instrument: IntArray,
    steps: IntArray,
    gross: BoolArray,
    owners: Sequence[str],
    instruments: Sequence[str],
) -> Positions:
    """`positions` after further rows: their owners are netted again and put between the others, which are copied."""
    changed, of_row = np.unique(owner.astype(np.int64, copy=False), return_inverse=True)
    if not len(changed):
        return positions
    before = positions.take(changed)
    again = _net(
        np.concatenate((before.owner(), of_row)),
        np.concatenate((before.instrument, instrument)),
        np.concatenate((before.steps, steps)),
        gross[changed],
        [owners[k] for k in changed.tolist()],
        instruments,
    )
    counts = np.diff(positions.offsets)
    counts[changed] = np.diff(again.offsets)
    offsets = offsets_from_counts(counts)
    # Owners that change one after the other are one piece; so are those between, which stay.
    first_of_piece = np.flatnonzero(np.diff(changed, prepend=-2) > 1)
    after_piece = np.append(first_of_piece[1:], len(changed))
    if len(first_of_piece) <= _MOST_PIECES:
        starts, stops = positions.offsets[changed[first_of_piece]], positions.offsets[changed[after_piece - 1] + 1]
        own = zip(again.offsets[first_of_piece].tolist(), again.offsets[after_piece].tolist(), strict=True)
        between = zip([0, *stops.tolist()], [*starts.tolist(), len(positions.steps)], strict=True)
        order = [*chain.from_iterable(zip(between, own, strict=False)), (int(stops[-1]), len(positions.steps))]

        def spliced(old: IntArray, new: IntArray) -> IntArray:
            return np.concatenate([(new if k % 2 else old)[a:b] for k, (a, b) in enumerate(order)])

    else:
        changes = np.zeros(len(counts), dtype=np.bool_)
        changes[changed] = True
        stays = np.repeat(~changes, np.diff(positions.offsets))
        is_new = np.repeat(changes, counts)

        def spliced(old: IntArray, new: IntArray) -> IntArray:
            both = np.empty(len(is_new), dtype=np.int64)
            both[is_new], both[~is_new] = new, old[stays]
            return both

    return Positions(
        offsets=read_only(offsets),
        instrument=read_only(spliced(positions.instrument, again.instrument)),
        steps=read_only(spliced(positions.steps, again.steps)),
    )


def net_balances(
    balances: Balances, accounts: Sequence[str], origin: Callable[[int], Origin] | None = None
) -> Balances:
    """One row an account and asset, also where it comes to 0: the asset is named, so it needs a price.

    Parameters
    ----------
    balances : Balances
        Rows in any order, duplicates allowed.
    accounts : sequence of str
        That `balances.account` indexes.
    origin : callable, optional
        Where a row of `balances` stands, by its index.

    Raises
    ------
    PortfolioError
        If a sum is too large, with the first row of each.
    """
    n_assets = len(balances.assets)
    key = balances.account * n_assets + balances.asset
    order = np.argsort(key, kind="stable")
    key, steps = key[order], balances.steps[order]
    first = np.flatnonzero(run_starts(key))
    if not len(first):
        return replace(
            balances, account=read_only(balances.account), asset=read_only(balances.asset), steps=read_only(steps)
        )
    totals = np.add.reduceat(steps, first)
    too_large = sums_too_large(steps, first)
    key, example = key[first], order[first]

    def problem(k: int) -> Problem:
        file, row = origin(int(example[k])) if origin else ("", None)
        account, asset = accounts[key[k] // n_assets], balances.assets[key[k] % n_assets]
        return Problem(
            found=f"balances of '{account}' in {asset} add up to more than {QUANTITY_LIMIT // STEPS_PER_UNIT:,}",
            needed="Check the amounts.",
            file=file,
            row=row,
            kind=PortfolioError,
            account=account,
        )

    raise_problems([problem(k) for k in too_large])
    return Balances(
        assets=balances.assets,
        account=read_only(key // n_assets),
        asset=read_only(key % n_assets),
        steps=read_only(totals),
    )


def net_carried(carried: Carried, accounts: Sequence[str]) -> Carried:
    """One row an account and instrument: orders of one side add up, and so does unrealised profit.

    Raises
    ------
    PortfolioError
        If a sum is too large.
    """
    n_instruments = max(len(carried.instruments), 1)
    key = carried.account * n_instruments + carried.instrument
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(run_starts(key))
    problems: list[Problem] = []

    def summed(column: IntArray, what: str) -> IntArray:
        rows = column[order]
        problems.extend(
            Problem(
                found=f"{what} of '{accounts[key[first[k]] // n_instruments]}' in "
                f"'{carried.instruments[key[first[k]] % n_instruments]}' add up to more than "
                f"{QUANTITY_LIMIT // STEPS_PER_UNIT:,}",
                needed="Check the quantities.",
                kind=PortfolioError,
                account=accounts[key[first[k]] // n_instruments],
            )
            for k in (sums_too_large(rows, first) if len(first) else [])
        )
        return read_only(np.add.reduceat(rows, first) if len(first) else rows)

    netted = Carried(
        instruments=carried.instruments,
        account=read_only(key[first] // n_instruments),
        instrument=read_only(key[first] % n_instruments),
        buys=summed(carried.buys, "orders to buy"),
        sells=summed(carried.sells, "orders to sell"),
        unrealised=summed(carried.unrealised, "unrealised profits"),
    )
    raise_problems(problems)
    kept = np.flatnonzero((netted.buys != 0) | (netted.sells != 0) | (netted.unrealised != 0))
    return netted._rows(kept, netted.account[kept]).only_named()


def _respelled(carried: Carried, spelled: Callable[[str], str], accounts: Sequence[str]) -> Carried:
    now = [spelled(name) for name in carried.instruments]
    if tuple(now) == carried.instruments:
        return carried
    names = tuple(sorted(set(now)))
    return net_carried(replace(carried, instruments=names, instrument=_index(names, now)[carried.instrument]), accounts)


def _gathered(starts: IntArray, stops: IntArray) -> tuple[IntArray, IntArray]:
    """Offsets and row numbers of the ranges `starts` to `stops`, one after the other."""
    counts = stops - starts
    offsets = offsets_from_counts(counts)
    return offsets, np.repeat(starts - offsets[:-1], counts) + np.arange(offsets[-1])


def found_name(sorted_names: Sequence[str], name: str) -> int | None:
    """Index of a name in sorted names; `None` if it is not there."""
    index = bisect_left(sorted_names, name)
    return index if index < len(sorted_names) and sorted_names[index] == name else None


def _index(sorted_names: Sequence[str], wanted: Sequence[str]) -> IntArray:
    position = {name: k for k, name in enumerate(sorted_names)}
    return np.array([position[name] for name in wanted], dtype=np.int64)
