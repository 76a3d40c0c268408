"""Margin accounts that are left out because something about them is wrong, with the reasons.

A margin account is margined whole or not at all: without the row that is wrong its requirement would be that of another
portfolio. So a problem of one member, one row or one instrument takes out the whole margin account, every member of
its netting set included, and it is listed: it has no requirement, which is not a requirement of 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import Problem, raise_problems
from crossmargin.portfolio.book import Balances, Book, found_name


class OnError(StrEnum):
    """What to do with an input of which a part is wrong.

    `REFUSE` gives no answer but one error with every problem. `QUARANTINE` leaves out the margin accounts that a
    problem is about, lists them with their problems and answers for the others; what is about no account is refused.
    """

    REFUSE = "refuse"
    QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True, kw_only=True)
class Unmargined:
    """A margin account that is left out.

    Parameters
    ----------
    account : str
        Name of the margin account.
    members : tuple of str
        Names of its members, in order.
    problems : tuple of Problem
        Why: at least one.
    """

    account: str
    members: tuple[str, ...]
    problems: tuple[Problem, ...]

    @property
    def in_words(self) -> str:
        """Why the account has no figures, in one line; as it stands in the data, so not yet fit for a terminal."""
        return "; ".join(str(problem).rstrip(".") for problem in self.problems)

    def to_dict(self) -> dict[str, object]:
        """As plain data."""
        return {
            "account": self.account,
            "members": list(self.members),
            "reasons": [str(problem) for problem in self.problems],
        }


def quarantine(
    book: Book, problems: Iterable[Problem], spot_of: Mapping[str, str] | None = None
) -> tuple[Book, tuple[Unmargined, ...]]:
    """Take the margin accounts that problems are about out of a book.

    A problem with an `account` is about the margin account of that name, and that of the member of that name. One with
    an `instrument`, or several, alone is about every margin account a member of which holds one of them; one with an
    `asset` about every one a member of which has a balance in it.

    Parameters
    ----------
    book : Book
        As given.
    problems : iterable of Problem
        About what it holds.
    spot_of : mapping of str to str, optional
        Assets whose balances are positions too, and in which instrument: who has such a balance, and not of 0, holds
        the instrument.

    Returns
    -------
    tuple of Book and tuple of Unmargined
        The book of the others, which may be nobody, without what only the quarantined held; and who is left out, by
        name. Without problems the book itself.

    Raises
    ------
    CrossmarginError
        With all problems, if one of them is about nothing that the book holds.
    """
    problems = list(problems)
    if not problems:
        return book, ()
    held_of = [[] if p.account else _held(book, (p.instrument, *p.instruments)) for p in problems]
    holders = _holders(book, sorted({k for held in held_of for k in held}))
    assets_of: dict[str, list[str]] = {}
    for asset, spot in (spot_of or {}).items():
        assets_of.setdefault(spot, []).append(asset)
    concerned: dict[int, list[Problem]] = {}
    for problem, held in zip(problems, held_of, strict=True):
        # What is listed and came to nothing is held by nobody, and is dropped with the others' own.
        owners = {owner for k in held for owner in holders[k].tolist()}
        if problem.account:
            owners.update(_named(book, problem.account))
        else:
            names = (problem.instrument, *problem.instruments)
            as_coins = [asset for name in names for asset in assets_of.get(name, ())]
            owners.update(_balance_owners(book, as_coins, also_none=False))
            owners.update(_balance_owners(book, [problem.asset], also_none=True))
        if not held and not owners:
            raise_problems(problems)
        for owner in owners:
            concerned.setdefault(owner, []).append(problem)
    left_out = tuple(
        Unmargined(account=book.margin_accounts[k], members=book.members(k), problems=tuple(concerned[k]))
        for k in sorted(concerned)
    )
    return book.without(concerned), left_out


def _held(book: Book, instruments: Iterable[str]) -> list[int]:
    """Those of `instruments` that the book lists."""
    found = (found_name(book.instruments, name) for name in instruments if name)
    return [k for k in found if k is not None]


def _named(book: Book, name: str) -> list[int]:
    """Margin accounts that a name stands for: its own, and that of its member. Both are one, but in odd books."""
    own, member = found_name(book.margin_accounts, name), found_name(book.accounts, name)
    named = [] if own is None else [own]
    if member is not None and int(book.margin_account_of[member]) != own:
        named.append(int(book.margin_account_of[member]))
    return named


def _balance_owners(book: Book, assets: Iterable[str], *, also_none: bool) -> list[int]:
    """Margin accounts a member of which has a balance in one of `assets`; with `also_none`, one of 0 too."""
    balances = book.balances or Balances()
    wanted = [balances.assets.index(asset) for asset in assets if asset in balances.assets]
    if not wanted:  # of a thousand problems most are about no asset
        return []
    rows = np.isin(balances.asset, wanted) & (also_none | (balances.steps != 0))
    owners: list[int] = np.unique(book.margin_account_of[balances.account[rows]]).tolist()
    return owners


def _holders(book: Book, instruments: Sequence[int]) -> dict[int, IntArray]:
    """Margin accounts that hold each instrument: by member, since what members hold may net to nothing."""
    if not instruments:
        return {}
    held = book.member_positions
    wanted = np.zeros(len(book.instruments), dtype=np.bool_)
    wanted[list(instruments)] = True
    rows = np.flatnonzero(wanted[held.instrument])
    # The owner of a position is the last that begins at or before it.
    member = np.searchsorted(held.offsets, rows, side="right") - 1
    owner, instrument = book.margin_account_of[member], held.instrument[rows]
    return {k: np.unique(owner[instrument == k]) for k in instruments}
