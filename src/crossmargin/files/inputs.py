"""Positions, balances and market together, so that one error lists what is wrong with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crossmargin.basics.errors import CrossmarginError, InputError, Problem, raise_problems
from crossmargin.collateral.valuation import accepted
from crossmargin.engine.evaluate import own_market
from crossmargin.files.market import read_market
from crossmargin.files.positions import read_book
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Book
from crossmargin.portfolio.quarantine import OnError, Unmargined


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """A book and the market that prices it; and who is left out of the book, where that was asked for."""

    book: Book
    market: Market
    unmargined: tuple[Unmargined, ...] = ()


def read_inputs(
    positions: Any,
    market: Any = None,
    balances: Any = None,
    *,
    methods: Sequence[Methodology] = (),
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
        As `read_market` takes it; left out where the parameters of `methods` are the market.
    methods : sequence of Methodology, optional
        Those that will margin the book: to list, beside other problems, what they cannot price.
    policy : MissingPolicy, optional
        Which missing prices they replace.
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
        snapshot = market_of(methods, market, market_format=market_format, as_of=as_of)
    except CrossmarginError as error:
        problems += error.problems
    unmargined: list[Unmargined] = []
    handling = OnError.REFUSE if problems else on_error
    extended: list[Market] = []
    book = read_book(
        positions,
        balances,
        problems,
        snapshot,
        accepts=accepted_by(methods, snapshot),
        on_error=handling,
        unmargined=unmargined,
        extended=extended,
    )
    snapshot = extended[0] if extended else snapshot
    if problems and book is not None and snapshot is not None:
        problems += _unpriced(book, snapshot, methods, policy or MissingPolicy())
    raise_problems(problems)
    assert book is not None
    assert snapshot is not None
    return Inputs(book=book, market=snapshot, unmargined=tuple(unmargined))


def accepted_by(methods: Sequence[Methodology], market: Market | None) -> tuple[str, ...]:
    """Assets that some of `methods` accepts as cover; the engine's own if there is no method yet."""
    schedules = [method.schedule for method in methods] or [None]
    return tuple(dict.fromkeys(asset for scheduled in schedules for asset in accepted(market, scheduled)))


def market_of(
    methods: Sequence[Methodology],
    market: Any = None,
    *,
    market_format: str | None = None,
    as_of: str | datetime | None = None,
) -> Market:
    """The market that `methods` margin in: their parameters' own, or else the one that is given.

    Raises
    ------
    InputError
        If they have their own and another is given beside it, or none is given and they have none; and as `own_market`
        and `read_market`.
    """
    own = own_market(methods)
    if own is None:
        return read_market(market, market_format=market_format, as_of=as_of)
    beside = {
        "a market": None if market is own else market,
        "a market format": market_format,
        "a time of the market": as_of,
    }
    raise_problems(
        [
            Problem(
                found=f"{what} beside '{methods[0].name}', whose prices come from its parameter file",
                needed="Leave --market, --market-format and --as-of out.",
                kind=InputError,
            )
            for what, given in beside.items()
            if given is not None
        ]
    )
    return own


def _unpriced(book: Book, market: Market, methods: Sequence[Methodology], policy: MissingPolicy) -> list[Problem]:
    """What the calculation would refuse next, so that it is said now."""
    listed = tuple(name for name in book.to_price if name in market)
    found: dict[Problem, None] = {}
    for method in methods:
        try:
            method.price(listed, market, policy)
        except CrossmarginError as error:
            found |= dict.fromkeys(map(book.located, error.problems))
    return list(found)
