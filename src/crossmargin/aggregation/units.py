"""Positions of a book as risk units: what is netted together, margin account by margin account.

Two groupings of the same positions: by what nets under one name (an underlying, a combined commodity), which is what is
margined, and every member's position alone, which is the isolated baseline. Long and short rows of a gross account go
to units of their own: they belong to different clients, and neither is the other's hedge.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from crossmargin.aggregation.sweep import Holdings
from crossmargin.basics.arrays import IntArray, offsets_from_counts, read_only, run_starts
from crossmargin.basics.quantities import steps_to_float
from crossmargin.portfolio.book import Book


class Grouping(Enum):
    """What is one risk unit: a margin account's positions in one group, or one position of a member alone."""

    NETTED = "netted"
    POSITION = "position"


class Side(IntEnum):
    """Which of a margin account's positions a unit holds: all, or for a gross account its long or its short ones."""

    NET = 0
    LONG = 1
    SHORT = 2

    @property
    def words(self) -> str:
        """What is said of a unit beside its group."""
        return {Side.NET: "", Side.LONG: " (long)", Side.SHORT: " (short)"}[self]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Risk units and their positions.

    Parameters
    ----------
    holdings : Holdings
        Units and their positions; instruments are rows of what was priced.
    steps : ndarray of shape (n_positions,)
        Exact quantities behind `holdings.quantity`.
    owner : ndarray of shape (n_positions,)
        Margin account of each position, or its member when every position is a unit.
    unit_key : ndarray of shape (n_units,)
        Margin account, group and side as one number: the same in both groupings.
    unit_group : ndarray of shape (n_units,)
        Group of each unit.
    account_offsets : ndarray of shape (n_accounts + 1,)
        Units of each margin account.
    """

    holdings: Holdings
    steps: IntArray
    owner: IntArray
    unit_key: IntArray
    unit_group: IntArray
    account_offsets: IntArray


def unit_layout(
    book: Book, row: IntArray, group: npt.NDArray[np.integer[Any]], n_groups: int, grouping: Grouping
) -> Layout:
    """Group positions into risk units, by margin account, group and side.

    Parameters
    ----------
    row : ndarray of shape (n_book_instruments,)
        Row of each of the book's instruments among those that were priced, ascending: both are in the order of names,
        so the order inside a unit is the book's.
    group : ndarray of whole numbers of shape (n_priced,)
        Group of what was priced, 0 and up.
    n_groups : int
        How many groups there are.
    """
    n_groups = max(n_groups, 1)
    held = book.positions if grouping is Grouping.NETTED else book.member_positions
    instrument = row[held.instrument]
    owner = held.owner()
    account = owner if grouping is Grouping.NETTED else book.margin_account_of[owner]
    key = (account * n_groups + group[instrument]) * len(Side)
    if book.gross.any():
        key += np.where(book.gross[account], np.where(held.steps > 0, Side.LONG, Side.SHORT), Side.NET)
    steps = held.steps
    if np.any(key[1:] < key[:-1]):
        # Stable: inside a unit positions stay in the order of owner and instrument name.
        order = np.argsort(key, kind="stable")
        key, owner, instrument, steps = key[order], owner[order], instrument[order], steps[order]
    first = np.arange(len(key))
    if grouping is Grouping.NETTED:
        first = np.flatnonzero(run_starts(key))
    unit_key = key[first]
    unit_account, unit_group = np.divmod(unit_key // len(Side), n_groups)
    return Layout(
        holdings=Holdings(
            offsets=read_only(np.append(first, len(key)).astype(np.int64)),
            instrument=read_only(instrument),
            quantity=read_only(steps_to_float(steps)),
        ),
        steps=read_only(steps),
        owner=read_only(owner),
        unit_key=read_only(unit_key),
        unit_group=read_only(unit_group),
        account_offsets=read_only(
            offsets_from_counts(np.bincount(unit_account, minlength=len(book.margin_accounts)).astype(np.int64))
        ),
    )
