"""The book: margin accounts, their members, exact positions and balances, in one canonical order.

Built from rows in any order, with duplicates; the same holdings always give the same arrays, because accounts and
instruments are ordered by name and quantities are netted as integers. What a reader might question: netting
happens twice. Each *member* (an account as it was named in the input) is netted alone, and each *margin account*
(the netting set, or the account itself) over its members. The first is the baseline of what cross-margining
saves and says what each member contributes; the second is what is margined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import BoolArray, IntArray, offsets_from_counts, read_only
from crossmargin.basics.errors import PortfolioError, Problem, UnknownAccountError, raise_problems
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT


class AccountType(StrEnum):
    """How an account's own long and short positions in one instrument combine.

    `NET` nets them. `GROSS` is an omnibus account of several clients: a long row and a short row stay apart, and
    neither offsets the other.
    """

    NET = "net"
    GROSS = "gross"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """What is stated of an account, once for all of its rows.

    `netting_set` is the name of a cross-margin agreement, `segregation` the id of a segregation (positions under
    different ids are never netted); `None` is none.
    """

    netting_set: str | None = None
    segregation: str | None = None
    account_type: AccountType = AccountType.NET


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
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Balances:
    """Cash and coin, one row an account and asset, by account then asset name.

    `account` indexes the book's `accounts`, `asset` its own `assets`; `steps` are signed multiples of 1e-8.
    """

    assets: tuple[str, ...] = ()
    account: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    asset: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    steps: IntArray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))


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

    def located(self, problem: Problem) -> Problem:
        """`problem` with file and row of the instrument that it is about, where they are known."""
        origin = self.origins.get(problem.instrument)
        if origin is None or problem.file:
            return problem
        return replace(problem, file=origin.file, row=origin.row, column="instrument")

    def members(self, margin_account: int) -> tuple[str, ...]:
        """Names of the members of a margin account, in order."""
        return tuple(self.accounts[k] for k in np.flatnonzero(self.margin_account_of == margin_account))

    def margin_account_index(self, name: str) -> int:
        """Index of the margin account called `name`, or that the member `name` belongs to.

        Raises
        ------
        UnknownAccountError
            If nobody is called so.
        """
        if name in self.margin_accounts:
            return self.margin_accounts.index(name)
        if name in self.accounts:
            return int(self.margin_account_of[self.accounts.index(name)])
        known = ", ".join(self.margin_accounts[:5]) + (", ..." if len(self.margin_accounts) > 5 else "")
        raise UnknownAccountError(
            Problem(
                found=f"no account '{name}' in this book",
                needed=f"It holds {known}.",
                kind=UnknownAccountError,
            )
        )

    def select(self, margin_account: int) -> Book:
        """The book of one margin account alone, members and balances included."""
        keep = np.flatnonzero(self.margin_account_of == margin_account)
        rows = PositionRows.of(self)
        kept = np.isin(rows.account, keep)
        balances = self.balances
        return build_book(
            accounts=self.accounts,
            instruments=self.instruments,
            rows=PositionRows(account=rows.account[kept], instrument=rows.instrument[kept], steps=rows.steps[kept]),
            attributes={self.accounts[k]: self.attributes[k] for k in keep},
            balances=balances and _filtered(balances, np.isin(balances.account, keep)),
            only={self.accounts[k] for k in keep},
            origins=self.origins,
        )

    def with_trades(self, trades: Iterable[tuple[str, str, int]]) -> Book:
        """The book after further `(member, instrument, steps)`; everything else stays as it is."""
        trades = list(trades)
        accounts = tuple(sorted({*self.accounts, *(account for account, _, _ in trades)}))
        instruments = tuple(sorted({*self.instruments, *(instrument for _, instrument, _ in trades)}))
        rows = PositionRows.of(self)
        account_now = _index(accounts, self.accounts)
        instrument_now = _index(instruments, self.instruments)
        balances = self.balances and Balances(
            assets=self.balances.assets,
            account=account_now[self.balances.account],
            asset=self.balances.asset,
            steps=self.balances.steps,
        )
        return build_book(
            accounts=accounts,
            instruments=instruments,
            rows=PositionRows(
                account=np.concatenate((account_now[rows.account], _index(accounts, [t[0] for t in trades]))),
                instrument=np.concatenate(
                    (instrument_now[rows.instrument], _index(instruments, [t[1] for t in trades]))
                ),
                steps=np.concatenate((rows.steps, np.array([t[2] for t in trades], dtype=np.int64))),
            ),
            attributes=dict(zip(self.accounts, self.attributes, strict=True)),
            balances=balances,
            origins=self.origins,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PositionRows:
    """Positions as they come: one row each, any order, duplicates allowed; indices into sorted names."""

    account: IntArray
    instrument: IntArray
    steps: IntArray

    @classmethod
    def of(cls, book: Book) -> PositionRows:
        """The rows of a book's members."""
        held = book.member_positions
        return cls(account=held.owner(), instrument=held.instrument, steps=held.steps)


def build_book(
    *,
    accounts: Sequence[str],
    instruments: Sequence[str],
    rows: PositionRows,
    attributes: Mapping[str, Attributes],
    balances: Balances | None = None,
    only: set[str] | None = None,
    origins: Mapping[str, Origin] | None = None,
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
    only : set of str, optional
        Accounts to keep, when `accounts` names more.
    origins : mapping of str to Origin, optional
        Where each instrument stands first.

    Raises
    ------
    PortfolioError
        If a netting set has two segregation ids or a gross member, a netting set is called like an account that is
        not in it, or a sum is too large.
    """
    kept = [name for name in accounts if only is None or name in only]
    unstated = Attributes()
    stated = tuple(attributes.get(name, unstated) for name in kept)
    _check_sets(kept, stated)
    compact = np.full(len(accounts), -1, dtype=np.int64)
    compact[_index(accounts, kept)] = np.arange(len(kept))
    account = compact[rows.account]

    margin_name = [stated_of.netting_set or name for name, stated_of in zip(kept, stated, strict=True)]
    margin_accounts = tuple(sorted(set(margin_name)))
    margin_account_of = _index(margin_accounts, margin_name)
    member_gross = np.array([s.account_type is AccountType.GROSS for s in stated], dtype=np.bool_)
    gross = np.zeros(len(margin_accounts), dtype=np.bool_)
    gross[margin_account_of] = member_gross

    held = np.zeros(len(instruments), dtype=np.bool_)
    held[rows.instrument] = True
    instrument_now = np.cumsum(held) - 1
    names_held = tuple(name for name, is_held in zip(instruments, held.tolist(), strict=True) if is_held)
    instrument = instrument_now[rows.instrument]

    members = _net(account, instrument, rows.steps, member_gross, kept, names_held)
    positions = members
    if margin_accounts != tuple(kept):  # some netting set
        owner = margin_account_of[members.owner()]
        positions = _net(owner, members.instrument, members.steps, gross, margin_accounts, names_held)
    return Book(
        accounts=tuple(kept),
        margin_accounts=margin_accounts,
        instruments=names_held,
        attributes=stated,
        margin_account_of=read_only(margin_account_of),
        gross=read_only(gross),
        member_positions=members,
        positions=positions,
        balances=None if balances is None else _net_balances(balances, compact, kept),
        origins=origins or {},
    )


def _check_sets(accounts: Sequence[str], attributes: Sequence[Attributes]) -> None:
    problems = []
    members: dict[str, list[int]] = {}
    for k, stated in enumerate(attributes):
        if stated.netting_set is not None:
            members.setdefault(stated.netting_set, []).append(k)
    alone = {name for name, stated in zip(accounts, attributes, strict=True) if stated.netting_set is None}
    for netting_set, inside in sorted(members.items()):
        ids = sorted({attributes[k].segregation or "none" for k in inside})
        if len(ids) > 1:
            problems.append(
                Problem(
                    found=f"netting set '{netting_set}' has {len(ids)} segregation ids ({', '.join(ids)}): "
                    + ", ".join(f"{accounts[k]}={attributes[k].segregation or 'none'}" for k in inside),
                    needed="What is segregated is never netted: one segregation id for the whole set.",
                    column="segregation",
                    kind=PortfolioError,
                )
            )
        problems += [
            Problem(
                found=f"gross account '{accounts[k]}' is in netting set '{netting_set}'",
                needed="A gross account nets with nobody: leave its netting_set empty or make it a net account.",
                column="account_type",
                kind=PortfolioError,
            )
            for k in inside
            if attributes[k].account_type is AccountType.GROSS
        ]
        if netting_set in alone:
            problems.append(
                Problem(
                    found=f"'{netting_set}' is both a netting set and an account outside of it",
                    needed="Rename one of them.",
                    column="netting_set",
                    kind=PortfolioError,
                )
            )
    raise_problems(problems)


def _net(
    owner: IntArray,
    instrument: IntArray,
    steps: IntArray,
    gross: BoolArray,
    owners: Sequence[str],
    instruments: Sequence[str],
) -> Positions:
    """Sum exactly by owner and instrument, long and short apart for gross owners; drop what nets to nothing."""
    n_owners, n_instruments = len(owners), len(instruments)
    key = owner * n_instruments + instrument
    sides = 2 if gross.any() else 1
    if sides == 2:
        key = key * 2 + (gross[owner] & (steps < 0))
    if len(key) > 1 and not np.all(key[1:] > key[:-1]):
        order = np.argsort(key, kind="stable")
        key, steps = key[order], steps[order]
        first = np.flatnonzero(np.diff(key, prepend=-1))
        # An int64 sum wraps silently: the float sum of magnitudes cannot, so it is the guard.
        too_large = np.flatnonzero(np.add.reduceat(np.abs(steps.astype(np.float64)), first) > QUANTITY_LIMIT)
        raise_problems(
            [
                Problem(
                    found=f"positions of '{owners[k // n_instruments]}' in '{instruments[k % n_instruments]}' add up "
                    f"to more than {QUANTITY_LIMIT // STEPS_PER_UNIT:,} contracts",
                    needed="Check the quantities.",
                    kind=PortfolioError,
                    instrument=instruments[k % n_instruments],
                )
                for k in (key[first[too_large]] // sides).tolist()
            ]
        )
        key, steps = key[first], np.add.reduceat(steps, first)
    kept = steps != 0
    key, steps = key[kept], steps[kept]
    owner, instrument = np.divmod(key // sides, max(n_instruments, 1))
    return Positions(
        offsets=read_only(offsets_from_counts(np.bincount(owner, minlength=n_owners).astype(np.int64))),
        instrument=read_only(instrument.astype(np.int64)),
        steps=read_only(steps),
    )


def _net_balances(balances: Balances, compact: IntArray, accounts: Sequence[str]) -> Balances:
    n_assets = len(balances.assets)
    key = compact[balances.account] * n_assets + balances.asset
    totals: dict[int, int] = {}
    for k, amount in zip(key.tolist(), balances.steps.tolist(), strict=True):
        totals[k] = totals.get(k, 0) + amount
    raise_problems(
        [
            Problem(
                found=f"balances of '{accounts[k // n_assets]}' in {balances.assets[k % n_assets]} add up to more than "
                f"{QUANTITY_LIMIT // STEPS_PER_UNIT:,}",
                needed="Check the amounts.",
                kind=PortfolioError,
            )
            for k, total in sorted(totals.items())
            if abs(total) > QUANTITY_LIMIT
        ]
    )
    keys = np.array(sorted(totals), dtype=np.int64)
    return Balances(
        assets=balances.assets,
        account=read_only(keys // max(n_assets, 1)),
        asset=read_only(keys % max(n_assets, 1)),
        steps=read_only(np.array([totals[k] for k in keys.tolist()], dtype=np.int64)),
    )


def _filtered(balances: Balances, kept: BoolArray) -> Balances:
    return Balances(
        assets=balances.assets,
        account=balances.account[kept],
        asset=balances.asset[kept],
        steps=balances.steps[kept],
    )


def _index(sorted_names: Sequence[str], wanted: Sequence[str]) -> IntArray:
    position = {name: k for k, name in enumerate(sorted_names)}
    return np.array([position[name] for name in wanted], dtype=np.int64)
