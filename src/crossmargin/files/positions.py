"""Positions, and balances if given, to a book: the one way in for every table that holds them.

The tables are read in `position_rows` and `balances`. Here they are put together, every problem of both on one list;
or, in quarantine, the margin accounts that a problem is about are set aside and the others put together.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from crossmargin.basics.arrays import BoolArray, IntArray
from crossmargin.basics.errors import CrossmarginError, FileFormatError, PortfolioError, Problem, raise_problems
from crossmargin.basics.quantities import format_quantity
from crossmargin.collateral.valuation import accepted
from crossmargin.files.account_documents import account_rows, balance_rows, order_rows
from crossmargin.files.account_rows import AccountRows, names_held
from crossmargin.files.attributes import ATTRIBUTES
from crossmargin.files.balances import BALANCE_COLUMNS, BalancesInput, parse_balances
from crossmargin.files.columns import flags, kept_numbers
from crossmargin.files.json_text import read_json
from crossmargin.files.position_rows import BESIDE, REQUIRED, PositionsInput, parse_positions
from crossmargin.files.tables import is_json
from crossmargin.files.twins import with_twins
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import (
    Attributes,
    Balances,
    Book,
    Carried,
    PositionRows,
    build_book,
    found_name,
    merged_names,
    net_balances,
)
from crossmargin.portfolio.quarantine import OnError, Unmargined

__all__ = [
    "ATTRIBUTES",
    "BALANCE_COLUMNS",
    "BESIDE",
    "REQUIRED",
    "BalancesInput",
    "PositionsInput",
    "assemble",
    "parse_balances",
    "parse_positions",
    "read_balances",
    "read_book",
    "read_positions",
]


def read_positions(
    source: Any,
    balances: Any = None,
    *,
    orders: Any = None,
    account: str | None = None,
    market: Market | None = None,
) -> Book:
    """Positions, and balances and open orders if given, as a book.

    Parameters
    ----------
    source, balances
        Paths of CSV or Parquet files, polars or pandas frames, Arrow tables, mappings of columns or sequences of
        records. Positions have `account, instrument, quantity` (contracts, signed: long is positive) and optionally
        `netting_set, segregation, account_type, customer_type` and `open_buys, open_sells, unrealised_pnl`; balances
        have `account, asset, amount`. A table by symbol has the parts of an instrument's name instead: `exchange,
        symbol, instrument, type, expiry, right, strike`, those that it has.
    market : Market, optional
        To check in the same pass that everything held can be margined, and to spell it and accept cash as this market
        does.

    Raises
    ------
    InputError
        Or the subclass that all problems share; with every problem, its file, row and column.
    """
    problems: list[Problem] = []
    book = read_book(source, balances, problems, market, orders=orders, account=account)
    raise_problems(problems)
    assert book is not None
    return book


def read_balances(source: Any, *, account: str | None = None) -> list[dict[str, str]]:
    """Balances as records of `account, asset, amount`: what `balances` of `read_positions` and `margin` takes.

    Parameters
    ----------
    source
        What a venue or ccxt answers, as a JSON file or Python objects; or any table of `account, asset, amount`.
    account : str, optional
        Whose such an answer is; the account that it names, or else `main`.

    Raises
    ------
    InputError
        With every row and field that is wrong.
    """
    problems: list[Problem] = []
    document, file, _ = _document(source, problems)
    found = balance_rows(document, problems, file=file, account=account)
    if found is None:
        cash = parse_balances(document, problems, accepts=_Anything())
    else:
        read = found.cash(_Anything())
        assert read is not None
        cash = read
    raise_problems(problems)
    return [
        {
            "account": cash.accounts[owner],
            "asset": cash.assets[asset],
            "amount": format_quantity(steps),
        }
        for owner, asset, steps in zip(cash.account.tolist(), cash.asset.tolist(), cash.steps.tolist(), strict=True)
    ]


class _Anything(frozenset[str]):
    """Every asset: which of them count is for a methodology to say."""

    def __contains__(self, asset: object) -> bool:
        return True


def read_book(
    positions: Any,
    balances: Any,
    problems: list[Problem],
    market: Market | None = None,
    *,
    orders: Any = None,
    account: str | None = None,
    accepts: Collection[str] | None = None,
    on_error: OnError = OnError.REFUSE,
    unmargined: list[Unmargined] | None = None,
    extended: list[Market] | None = None,
) -> Book | None:
    """A book out of positions and balances; what is wrong with either is added to `problems`.

    The rows that are right are put together even where others are wrong, so that one error lists everything.

    Parameters
    ----------
    orders, account
        As `read_positions` takes them.
    accepts : collection of str, optional
        Assets that are cover for whoever margins the book; as the engine's schedule says if left out.
    on_error : OnError
        With `QUARANTINE`, and as long as every problem is about an account, the margin accounts concerned are left out
        and added to `unmargined`; nothing is added to `problems`.
    extended : list of Market, optional
        Gets the market with the twins of what is held, where it has any (`twins`): only then are they looked for.
    """
    if isinstance(positions, Book):
        if orders is not None or account is not None:
            found_beside = "orders beside a book" if orders is not None else "the name of an account beside a book"
            problems.append(Problem(found=found_beside, needed="Give it to `read_positions`."))
        if balances is not None:
            problems.append(
                Problem(
                    found="balances beside a book, which has its own",
                    needed="Give both to `read_positions`.",
                )
            )
        if market is not None and extended is not None:
            extended.append(with_twins(market, positions.to_price))
        return positions if market is None or market.listing is None else positions.renamed(market.spelled)
    found: list[Problem] = []
    members: Mapping[str, Attributes] = {}
    stated = stated_accounts(positions, balances, orders, account, found)
    parsed: PositionsInput | None
    if stated.rows is None:
        parsed = parse_positions(stated.positions, found, market, extended=extended)
    else:
        if market is not None and extended is not None:
            extended.append(market := with_twins(market, names_held(stated.rows.held, market)))
        parsed = stated.rows.positions(market, found)
        members = dict.fromkeys(stated.rows.accounts, Attributes())
    cash: BalancesInput | None = None
    accepts = accepted(market) if accepts is None else accepts
    if stated.cash is not None:
        cash = stated.cash.cash(accepts)
    elif stated.balances is not None:
        cash = parse_balances(stated.balances, found, market, accepts=accepts)
    if on_error is OnError.QUARANTINE and parsed is not None and all(problem.account for problem in found):
        book, left_out = _quarantined(parsed, cash, found)
        if book is not None:
            if unmargined is not None:
                unmargined += left_out
            return book
    problems += found
    if parsed is None:
        return None
    try:
        return assemble(parsed, cash, members)
    except CrossmarginError as error:
        problems += error.problems
        return None


class _StatedAccounts(NamedTuple):
    """Where positions and balances come from: rows of a venue, or a table that is still to be read."""

    rows: AccountRows | None
    cash: AccountRows | None
    positions: Any
    balances: Any


def stated_accounts(
    positions: Any, balances: Any, orders: Any, account: str | None, problems: list[Problem]
) -> _StatedAccounts:
    """What venues answered, of what is given; JSON that is no answer of theirs is a problem."""
    document, file, is_file = _document(positions, problems)
    rows = account_rows(document, problems, file=file, account=account)
    if rows is None and (orders is not None or account is not None):
        what = "open orders" if orders is not None else "the name of an account"
        needed = "A table states them itself, in open_buys and open_sells, and its accounts."
        problems.append(Problem(found=f"{what} beside a table of positions", needed=needed))
    elif rows is not None and orders is not None:
        listed, place, _ = _document(orders, problems)
        order_rows(rows, listed, problems, file=place, account=account)
    if rows is None and is_file and not _is_records(document):
        problems.append(
            Problem(
                found="is JSON, but no case, and no positions that a venue answers",
                needed="See the page on positions: Deribit's, Derive's and ccxt's are read, and lists of our own rows.",
                file=file,
                kind=FileFormatError,
            )
        )
        rows = AccountRows(file=file)
    cash: AccountRows | None = None
    if balances is not None:
        held_by = account
        if held_by is None and rows is not None and len(rows.accounts) == 1:
            held_by = next(iter(rows.accounts))  # who answers without a name is who answered beside it
        document_of_cash, place, is_file = _document(balances, problems)
        cash = balance_rows(document_of_cash, problems, file=place, account=held_by)
        if cash is None and is_file and not _is_records(document_of_cash):
            needed = "See the page on positions: Deribit's, Derive's and ccxt's are read, and lists of our own rows."
            problems.append(Problem(found="is JSON, but no balances", needed=needed, file=place, kind=FileFormatError))
            cash = AccountRows(file=place, balances=[])
        balances = document_of_cash
    if rows is not None and rows.balances is not None:
        if balances is not None:
            needed = "Give them once."
            problems.append(Problem(found="balances beside positions that state their own", needed=needed, file=file))
        cash = rows
    return _StatedAccounts(rows, cash, document, balances)


def _document(source: Any, problems: list[Problem]) -> tuple[Any, str, bool]:
    """A JSON file's document and its name, and that it is one; anything else as it is, without a name."""
    if not isinstance(source, str | Path) or not is_json(Path(source)):
        return source, "", False
    path = Path(source)
    try:
        return read_json(path, exact=True), path.name, True
    except CrossmarginError as error:
        problems += error.problems
        return {"positions": [], "balances": []}, path.name, True  # said already


def _is_records(document: Any) -> bool:
    """Whether this is a list of our own rows."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(isinstance(row, Mapping) and "account" in row for row in document)
    )


def assemble(
    parsed: PositionsInput,
    cash: BalancesInput | None,
    members: Mapping[str, Attributes] | None = None,
) -> Book:
    """Positions and balances to a book; accounts that hold only cash are accounts too.

    `members` are accounts to have whatever they hold, with their attributes.

    Raises
    ------
    PortfolioError
        As `build_book`, with the file and row of what it is about.
    """
    members = members or {}
    attributes = {**members, **parsed.attributes} if members else parsed.attributes
    problems: list[Problem] = []
    if cash is not None:
        cash = _of_accounts(cash, parsed, attributes, members, problems)
    accounts, rows = parsed.accounts, parsed.rows
    account_of = np.zeros(0, dtype=np.int64)  # in the end, those of the accounts with a balance
    for names in (sorted(members), cash.accounts if cash is not None else ()):
        accounts, renumber, account_of = _united(accounts, names)
        if renumber is not None:
            rows = PositionRows(account=renumber[rows.account], instrument=rows.instrument, steps=rows.steps)
    book: Book | None = None
    balances: Balances | None = None
    carried: Carried | None = None
    if parsed.beside is not None:
        carried = Carried(
            instruments=parsed.instruments,
            account=rows.account.astype(np.int64),
            instrument=rows.instrument.astype(np.int64),
            buys=parsed.beside.buys,
            sells=parsed.beside.sells,
            unrealised=parsed.beside.unrealised,
        )
    try:
        book = build_book(
            accounts=accounts,
            instruments=parsed.instruments,
            rows=rows,
            attributes=attributes,
            origins=parsed.origins(),
            carried=carried,
        )
    except CrossmarginError as error:
        problems += _located(error.problems, parsed, attributes)
    if cash is not None:
        try:
            balances = net_balances(cash.of_book(account_of), accounts, cash.origin)
        except CrossmarginError as error:
            problems += error.problems
    raise_problems(problems)
    assert book is not None
    return replace(book, balances=balances)


def _united(names: tuple[str, ...], more: Sequence[str]) -> tuple[tuple[str, ...], IntArray | None, IntArray]:
    """Two sorted sequences of names as one; the new index of each name of the first, if it has one, and the second."""
    if not more or more == names:
        return names, None, np.arange(len(more))
    index = {name: k for k, name in enumerate(names)}
    place = np.fromiter((index.get(name, -1) for name in more), dtype=np.int64, count=len(more))
    is_new = place < 0
    if not is_new.any():
        return names, None, place
    both, renumber, place_of_new = merged_names(names, list(compress(more, is_new.tolist())))
    place[~is_new] = renumber[place[~is_new]]
    place[is_new] = place_of_new
    return both, renumber, place


def _of_accounts(
    cash: BalancesInput,
    parsed: PositionsInput,
    attributes: Mapping[str, Attributes],
    members: Mapping[str, Attributes],
    problems: list[Problem],
) -> BalancesInput:
    """The balances without those of a netting set, each of which is a problem: a set is no account."""
    sets = {stated.netting_set for stated in attributes.values()} - {None}
    if not sets:
        return cash
    sets = sets.difference(parsed.accounts, members)
    of_set = flags(cash.accounts, sets.__contains__)
    for row in cash.rows_of(of_set):
        account, (file, number) = cash.accounts[cash.account[row]], cash.origin(row)
        problems.append(
            Problem(
                found=f"balance of '{account}', which is a netting set",
                needed="Name the member account that holds it.",
                file=file,
                row=number,
                column="account",
                kind=PortfolioError,
                account=account,
            )
        )
    return cash.without(of_set)


def _located(
    problems: Sequence[Problem], parsed: PositionsInput, attributes: Mapping[str, Attributes]
) -> list[Problem]:
    """`problems` with the file; those of an instrument with the first row in which their account has it.

    That of a netting set is the first of any member's.
    """
    members: dict[str, list[str]] = {}
    for name, stated in attributes.items():
        if stated.netting_set is not None:
            members.setdefault(stated.netting_set, []).append(name)
    rows, n_instruments = parsed.rows, len(parsed.instruments)
    concerned = np.zeros(len(parsed.accounts), dtype=np.bool_)
    # By name: the account itself, and the members of the netting set that is called so.
    summed: dict[str, list[list[int]]] = {}
    for name in {problem.account for problem in problems if problem.instrument}:
        summed[name] = [
            [k for one in names if (k := found_name(parsed.accounts, one)) is not None]
            for names in ([name], members.get(name, ()))
        ]
        concerned[[k for accounts in summed[name] for k in accounts]] = True
    theirs = np.flatnonzero(concerned[rows.account])
    key = rows.account[theirs].astype(np.int64) * n_instruments + rows.instrument[theirs]
    held, at = np.unique(key, return_index=True)
    first = dict(zip(held.tolist(), theirs[at].tolist(), strict=True))

    def row(problem: Problem) -> int | None:
        instrument = found_name(parsed.instruments, problem.instrument)
        if instrument is None:
            return problem.row
        for accounts in summed[problem.account]:
            keys = (account * n_instruments + instrument for account in accounts)
            if of_sum := [first[key] for key in keys if key in first]:
                return int(parsed.row_numbers[min(of_sum)])
        return problem.row

    return [replace(problem, file=problem.file or parsed.file, row=row(problem)) for problem in problems]


def _quarantined(
    parsed: PositionsInput, cash: BalancesInput | None, problems: Sequence[Problem]
) -> tuple[Book | None, list[Unmargined]]:
    """The book of the margin accounts that no problem is about, and the others; `None` where that does not help."""
    left_out: list[Unmargined] = []
    while True:
        known = {one.account for one in left_out}
        rest, rest_cash, left_out = _set_aside(parsed, cash, problems)
        if problems and known == {one.account for one in left_out}:
            return None, []
        try:
            return assemble(rest, rest_cash), left_out
        except CrossmarginError as error:  # of what is put together: sets that contradict themselves, large sums
            if not all(problem.account for problem in error.problems):
                return None, []
            problems = [*problems, *error.problems]


def _set_aside(
    parsed: PositionsInput, cash: BalancesInput | None, problems: Sequence[Problem]
) -> tuple[PositionsInput, BalancesInput | None, list[Unmargined]]:
    """Positions and balances without the margin accounts that problems are about."""
    set_of = {name: stated.netting_set for name, stated in parsed.attributes.items() if stated.netting_set}
    sets = {*set_of.values(), *(name for _, name in parsed.contested)}
    contested: dict[str, list[str]] = {}
    for account, netting_set in parsed.contested:
        contested.setdefault(account, []).append(netting_set)
    reasons: dict[str, list[Problem]] = {}
    for problem in problems:
        name = problem.account
        of_set = [name] if name in sets else []
        for margin_account in dict.fromkeys((set_of.get(name, name), *of_set, *contested.get(name, ()))):
            reasons.setdefault(margin_account, []).append(problem)

    def is_out(account: str) -> bool:
        return set_of.get(account, account) in reasons

    def flagged(accounts: tuple[str, ...]) -> BoolArray:
        if set_of:
            return flags(accounts, is_out)
        out = np.zeros(len(accounts), dtype=np.bool_)
        out[[k for name in reasons if (k := found_name(accounts, name)) is not None]] = True
        return out

    out = flagged(parsed.accounts)
    members: dict[str, set[str]] = {name: set() for name in reasons}
    accounts = {*compress(parsed.accounts, out.tolist()), *parsed.attributes}
    # Who has only wrong rows or balances is a member too, but a set that is named there is not.
    accounts |= {*(cash.accounts if cash is not None else ()), *(problem.account for problem in problems)} - sets
    for account in filter(is_out, accounts):
        members[set_of.get(account, account)].add(account)
    left_out = [
        Unmargined(account=name, members=tuple(sorted(members[name])), problems=tuple(reasons[name]))
        for name in sorted(reasons)
    ]
    if cash is not None:
        cash = cash.without(flagged(cash.accounts))
    if out.any():
        rows, kept = parsed.rows, ~out[parsed.rows.account]
        number = np.cumsum(~out, dtype=np.int32) - 1
        parsed = replace(
            parsed,
            accounts=tuple(compress(parsed.accounts, (~out).tolist())),
            rows=PositionRows(
                account=number[rows.account[kept]], instrument=rows.instrument[kept], steps=rows.steps[kept]
            ),
            row_numbers=kept_numbers(parsed.row_numbers, kept),
            beside=None if parsed.beside is None else parsed.beside.of(kept),
        )
    attributes = {name: stated for name, stated in parsed.attributes.items() if not is_out(name)}
    return replace(parsed, attributes=attributes), cash, left_out
