"""Positions, balances and market together, so that one error lists what is wrong with all of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crossmargin.basics.errors import CrossmarginError, Problem, raise_problems
from crossmargin.files.market import read_market
from crossmargin.files.positions import assemble, parse_balances, parse_positions
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Inputs:
    """A book and the market that prices it."""

    book: Book
    market: Market


def read_inputs(
    positions: Any,
    market: Any,
    balances: Any = None,
    *,
    market_format: str | None = None,
    as_of: str | datetime | None = None,
) -> Inputs:
    """Read everything, and raise once with all problems of all files.

    Parameters
    ----------
    positions, balances
        As `read_positions` takes them.
    market
        As `read_market` takes it.

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
    if isinstance(positions, Book):
        raise_problems(problems)
        assert snapshot is not None
        return Inputs(book=positions, market=snapshot)
    parsed = parse_positions(positions, problems, snapshot)
    cash = None if balances is None else parse_balances(balances, problems)
    raise_problems(problems)
    assert parsed is not None and snapshot is not None
    return Inputs(book=assemble(parsed, cash), market=snapshot)
