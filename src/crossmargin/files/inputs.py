"""Positions, balances and market together, so that one error lists what is wrong with all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crossmargin.basics.errors import CrossmarginError, Problem, raise_problems
from crossmargin.files.market import read_market
from crossmargin.files.positions import read_book
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import Book
from crossmargin.portfolio.quarantine import OnError, Unmargined
from crossmargin.revaluation.inputs import pricing_inputs


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """A book and the market that prices it; and who is left out of the book, where that was asked for."""

    book: Book
    market: Market
    unmargined: tuple[Unmargined, ...] = ()


def read_inputs(
    positions: Any,
    market: Any,
    balances: Any = None,
    *,
    market_format: str | None = None,
    as_of: str | datetime | None = None,
    policy: MissingPolicy | None = None,
    on_error: OnError = OnError.REFUSE,
) -> Inputs:
    """Read everything, and raise once with all problems of all files.

    Parameters
    ----------
    positions, balances
        As `read_positions` takes them.
    market
        As `read_market` takes it.
    policy : MissingPolicy, optional
        To list, beside other problems, the prices that it does not replace.
    on_error : OnError
        With `QUARANTINE`, margin accounts of which something is wrong are left out and listed as `unmargined`. What is
        about no account, such as the market or a cell that should name the account, is refused with all the rest.

    Raises
    ------
    InputError, UnsupportedError
        With every problem.
    """
    problems: list[Problem] = []
    snapshot: Market | None = None
    try:
        snapshot = read_market(market, market_format=market_format, as_of=as_of)
    except CrossmarginError as error:
        problems += error.problems
    unmargined: list[Unmargined] = []
    handling = OnError.REFUSE if problems else on_error
    book = read_book(positions, balances, problems, snapshot, on_error=handling, unmargined=unmargined)
    if problems and book is not None and snapshot is not None:
        problems += _unpriced(book, snapshot, policy or MissingPolicy())
    raise_problems(problems)
    assert book is not None
    assert snapshot is not None
    return Inputs(book=book, market=snapshot, unmargined=tuple(unmargined))


def _unpriced(book: Book, market: Market, policy: MissingPolicy) -> list[Problem]:
    """What the calculation would refuse next, so that it is said now."""
    listed = tuple(name for name in book.instruments if name in market)
    try:
        pricing_inputs(market, listed, policy)
    except CrossmarginError as error:
        return [book.located(problem) for problem in error.problems]
    return []
