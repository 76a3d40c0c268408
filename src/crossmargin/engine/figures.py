"""The answer for every account as columns, margined block by block: a million accounts in the memory of a few thousand.

A block is margined with everything that explains it, its figures are kept and the rest is dropped. To explain one
account later is the same recipe on that account alone, with the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import blocks, expect_work
from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import CrossmarginError
from crossmargin.basics.threads import for_each_range
from crossmargin.collateral.valuation import taking_part
from crossmargin.engine.evaluate import Evaluation, Prepared, prepare
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Book
from crossmargin.portfolio.quarantine import Unmargined, quarantine
from crossmargin.standing.standing import Standing, Thresholds

BLOCK_ACCOUNTS = 4096
"""Accounts margined at once; a book of no more is one block, and keeps all that explains it."""

Progress = Callable[[int, int], None]
"""Called with how many accounts are done and how many there are."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AccountFigures:
    """What is asked of every margin account; arrays of shape `(n_accounts,)`, requirement currency.

    Parameters
    ----------
    total_initial, total_maintenance
        What is left of the requirement of that level after the option value that counts against it.
    standing : Standing or None
        `None` when the book has no balances.
    fills : tuple of Fill
        Every stand-in for a missing quote, once.
    """

    margin_accounts: tuple[str, ...]
    currency: str
    requirement_initial: FloatArray
    requirement_maintenance: FloatArray
    requirement_isolated: FloatArray
    net_option_value: FloatArray
    total_initial: FloatArray
    total_maintenance: FloatArray
    standing: Standing | None
    fills: tuple[Fill, ...]

    @classmethod
    def of(cls, evaluation: Evaluation) -> AccountFigures:
        """The figures of one evaluation."""
        r = evaluation.requirements
        return cls(
            margin_accounts=r.margin_accounts,
            currency=r.currency,
            requirement_initial=r.requirement_initial,
            requirement_maintenance=r.requirement_maintenance,
            requirement_isolated=r.requirement_isolated,
            net_option_value=r.net_option_value,
            total_initial=read_only(r.total_initial),
            total_maintenance=read_only(r.total_maintenance),
            standing=evaluation.standing,
            fills=evaluation.fills,
        )

    @classmethod
    def joined(cls, parts: list[AccountFigures]) -> AccountFigures:
        """Those of blocks of accounts, one after the other; there is at least one."""

        def column(name: str) -> FloatArray:
            return read_only(np.concatenate([getattr(part, name) for part in parts]))

        stands = [part.standing for part in parts if part.standing is not None]
        return cls(
            margin_accounts=tuple(name for part in parts for name in part.margin_accounts),
            currency=parts[0].currency,
            requirement_initial=column("requirement_initial"),
            requirement_maintenance=column("requirement_maintenance"),
            requirement_isolated=column("requirement_isolated"),
            net_option_value=column("net_option_value"),
            total_initial=column("total_initial"),
            total_maintenance=column("total_maintenance"),
            standing=Standing.joined(stands) if stands else None,
            fills=tuple(dict.fromkeys(fill for part in parts for fill in part.fills)),
        )


def account_figures(prepared: Prepared, progress: Progress | None = None) -> AccountFigures:
    """Margin the accounts of a prepared book block by block, on all threads.

    Parameters
    ----------
    progress : callable, optional
        Called after every block, from whichever thread did it, with accounts done and accounts in all.
    """
    book = prepared.margined
    n_accounts = len(book.margin_accounts)
    # Twice: the units as they are margined, and every position alone.
    expect_work((len(book.positions.steps) + len(book.member_positions.steps)) * _USUAL_SCENARIOS)
    ranges = list(blocks(n_accounts, BLOCK_ACCOUNTS)) or [(0, 0)]
    parts: dict[int, AccountFigures] = {}

    def one_block(first: int, last: int) -> None:
        parts[first] = AccountFigures.of(prepared.block(first, last).evaluation())
        if progress is not None:
            progress(sum(len(part.margin_accounts) for part in list(parts.values())), n_accounts)

    for_each_range(one_block, ranges)
    return AccountFigures.joined([parts[first] for first, _ in ranges])


_USUAL_SCENARIOS = 35


def prepare_in_quarantine(
    book: Book,
    market: Market,
    methodology: Methodology,
    policy: MissingPolicy | None = None,
    thresholds: Thresholds | None = None,
) -> tuple[Prepared, tuple[Unmargined, ...]]:
    """`prepare`, leaving out the margin accounts that hold what cannot be margined, each with its reasons.

    A coin in the balances is held too: whoever has one is left out if its spot cannot be margined.

    Raises
    ------
    InputError, UnsupportedError
        For what concerns no account in particular.
    """
    unmargined: list[Unmargined] = []
    while True:
        try:
            return prepare(book, market, methodology, policy, thresholds), tuple(unmargined)
        except CrossmarginError as error:
            # What is found later (a price of 0) is found once what was found first is out of the way.
            n_instruments = len(book.instruments)
            book, more = quarantine(book, error.problems, taking_part(market, methodology.schedule))
            if not more and len(book.instruments) == n_instruments:
                raise
            unmargined += more
