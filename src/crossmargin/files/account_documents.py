"""Accounts out of JSON that venues answer, or out of the Python objects that a client made of it.

What a document is, is seen from its fields:

    [{instrument_name, size, direction, ...}]       positions of Deribit, bare or as the `result` of a reply
    {BTC-PERPETUAL: -1000, BTC-27MAR26-90000-C: 2}  sizes, as Deribit's simulation takes them
    {positions, collaterals, open_orders, ...}      a subaccount of Derive
    [{symbol, side, contracts, contractSize, ...}]  positions of ccxt
    {account, positions, balance, orders, markets}  any of these together; or a list of such documents

Every row that cannot be used is a problem with its place in the list and its field, and all are raised at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from crossmargin.basics.errors import FileFormatError, Problem
from crossmargin.basics.names import name_fault
from crossmargin.files.account_rows import AccountRows, BalanceRow, HeldRow, Record, exact_number
from crossmargin.files.ccxt_accounts import (
    Sizes,
    ccxt_balances,
    ccxt_order,
    ccxt_position,
    is_ccxt_balance,
    is_ccxt_order,
    is_ccxt_position,
    market_sizes,
)
from crossmargin.files.cells import shown
from crossmargin.files.venue_accounts import (
    deribit_position,
    derive_position,
    is_balance,
    sized_position,
    venue_balance,
    venue_order,
)

DEFAULT_ACCOUNT = "main"
"""Who holds what a venue reports without saying for whom."""
_POSITIONS = ("positions", "simulated_positions")
_BALANCES = ("balance", "balances", "collaterals", "summaries")
_ORDERS = ("orders", "open_orders")
_SECTIONS = (*_POSITIONS, *_BALANCES, *_ORDERS)
_NAMES = ("account", "subaccount_id", "uid")
_MOST_ROWS = 1_000_000
_LOOKED_AT = 1000
"""Rows that a list is recognised by: it may as well be a million records of our own."""


def account_rows(
    document: Any, problems: list[Problem], *, file: str, account: str | None = None
) -> AccountRows | None:
    """What `document` says of accounts; `None` if it is nothing of the kind.

    Parameters
    ----------
    document
        What a JSON file holds, or the same as Python objects.
    problems : list of Problem
        Grows by everything found.
    file : str
        Its name for messages; empty for what is no file.
    account : str, optional
        Whose it is, whatever the document says.
    """
    if _is_error(document):
        problems.append(_error_reply(document, file))
        return AccountRows(file=file or "account")
    is_reply = _is_reply(document)
    document = _unwrapped(document)
    found = AccountRows(file=file or "account")
    if _is_wrapper(document):
        _add_account(found, document, problems, file, account)
    elif _is_list_of(document, _is_wrapper):
        for k, one in enumerate(document, start=1):
            _add_account(found, one, problems, _place(file, f"account {k}"), account)
    elif _is_rows(document) or _is_sizes(document) or (is_reply and document == []):
        _add_account(found, {"positions": document}, problems, file, account, bare=True)
    else:
        return None
    return found


def balance_rows(
    document: Any, problems: list[Problem], *, file: str, account: str | None = None
) -> AccountRows | None:
    """The balances that `document` states; `None` if it states none that we know."""
    if _is_error(document):
        problems.append(_error_reply(document, file))
        return AccountRows(file=file or "balances", balances=[])
    document = _unwrapped(document)
    found = AccountRows(file=file or "balances", balances=[])
    if _is_list_of(document, _is_wrapper):
        for k, one in enumerate(document, start=1):
            _add_account(found, _balances_alone(one), problems, _place(file, f"account {k}"), account)
    elif _is_wrapper(document):
        _add_account(found, _balances_alone(document), problems, file, account)
    elif _is_balances(document):
        _add_account(found, {"balance": document}, problems, file, account, bare=True)
    else:
        return None
    return found


def _balances_alone(document: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name in (*_BALANCES, *_NAMES)}


def order_rows(
    found: AccountRows, document: Any, problems: list[Problem], *, file: str, account: str | None = None
) -> None:
    """Add open orders that stand in a document of their own to what is known of an account.

    Contract sizes are those of the positions in the same symbol.
    """
    if _is_error(document):
        problems.append(_error_reply(document, file))
        return
    sizes = _sizes_held(found)
    owner = account or next(iter(found.accounts), None)
    _add_account(found, {"orders": _unwrapped(document)}, problems, file, owner, sizes=sizes, bare=True)


def _sizes_held(found: AccountRows) -> Sizes:
    """Contract size by symbol, of the positions of ccxt that state it."""
    sizes: Sizes = {}
    for row in found.held:
        if is_ccxt_position(row.record.values):
            size = exact_number(row.record.values.get("contractSize"))
            symbol = row.record.values.get("symbol")
            if size is not None and isinstance(symbol, str):
                sizes[symbol.strip()] = size
    return sizes


def _add_account(
    found: AccountRows,
    document: Mapping[str, Any],
    problems: list[Problem],
    file: str,
    account: str | None,
    *,
    sizes: Sizes | None = None,
    bare: bool = False,
) -> None:
    """Put the sections of one account's document to the rows; `bare` is a document that is a section itself."""
    owner = account if account is not None else _owner(document, problems, file)
    if fault := name_fault(owner):
        problems.append(Problem(found=f"account {fault[0]}", needed=fault[1], file=file, column="account"))
        return
    found.accounts[owner] = None
    known = market_sizes(document.get("markets")) | (sizes or {})
    for section in _SECTIONS:
        if document.get(section) is None:
            continue
        content = _unwrapped(document[section])
        place = file if bare and file else _place(file, section)
        if _is_error(content):
            problems.append(_error_reply(content, place))
        elif section in _BALANCES:
            found.balances = [*(found.balances or ()), *_balances(content, problems, place, owner)]
        else:
            read = _order if section in _ORDERS else _position
            found.held += _held(content, read, problems, place, owner, known)


def _place(file: str, part: str) -> str:
    return f"{file}, {part}" if file else part


def _owner(document: Mapping[str, Any], problems: list[Problem], file: str) -> str:
    for name in _NAMES:
        value = document.get(name)
        if isinstance(value, str) and value.strip():
            return value.strip()
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
            return str(value)
        if value is not None:
            problems.append(Problem(found=f"is {shown(repr(value))}", needed="Give a name.", file=file, column=name))
    return DEFAULT_ACCOUNT


_Read = Callable[[Record, Sizes], HeldRow | None]


def _position(record: Record, sizes: Sizes) -> HeldRow | None:
    values = record.values
    if is_ccxt_position(values):
        return ccxt_position(record, sizes)
    if "instrument_name" in values:
        return deribit_position(record) if "size" in values else derive_position(record)
    record.wrong(
        "",
        f"is no position that we know: its fields are {shown(', '.join(map(str, values)), 200)}",
        "Deribit's have instrument_name, size; Derive's instrument_name, amount; ccxt's symbol, contracts.",
    )
    return None


def _order(record: Record, sizes: Sizes) -> HeldRow | None:
    values = record.values
    if "instrument_name" in values:
        return venue_order(record)
    if "symbol" in values:
        return ccxt_order(record, sizes)
    record.wrong(
        "",
        f"is no order that we know: its fields are {shown(', '.join(map(str, values)), 200)}",
        "An order has instrument_name, direction, amount; ccxt's symbol, side, amount.",
    )
    return None


def _held(
    content: Any, read: _Read, problems: list[Problem], file: str, account: str, sizes: Sizes
) -> Iterator[HeldRow]:
    """Positions or orders of one list; of a mapping, sizes by instrument."""
    if isinstance(content, Mapping) and read is _position:
        record = Record(values=content, file=file, row=None, account=account, problems=problems)
        for name in content:
            if not isinstance(name, str) or not name.strip() or name_fault(name):
                record.wrong(shown(str(name)), "is no name of an instrument", "Write {instrument: size}.")
            elif (row := sized_position(record, name)) is not None:
                yield row
        return
    for record in _records(content, problems, file, account):
        if (row := read(record, sizes)) is not None:
            yield row


def _balances(content: Any, problems: list[Problem], file: str, account: str) -> Iterator[BalanceRow]:
    if isinstance(content, Mapping):
        record = Record(values=content, file=file, row=None, account=account, problems=problems)
        if "currency" in content and "balance" in content:
            row = venue_balance(record)
            yield from () if row is None else (row,)
        elif is_ccxt_balance(content):
            yield from ccxt_balances(record)
        else:
            yield from _amounts(record)
        return
    for record in _records(content, problems, file, account):
        if is_balance(record.values):
            row = venue_balance(record)
            yield from () if row is None else (row,)
        else:
            record.wrong(
                "",
                f"is no balance that we know: its fields are {shown(', '.join(map(str, record.values)), 200)}",
                "A balance has asset_name, amount, or currency, balance.",
            )


def _amounts(record: Record) -> Iterator[BalanceRow]:
    """`{asset: amount}`."""
    for asset in record.values:
        if not isinstance(asset, str) or not asset.strip() or name_fault(asset):
            record.wrong(shown(str(asset)), "is no name of an asset", "Write {asset: amount}.")
        elif (amount := record.number(asset)) is not None:
            name = asset.strip().upper()
            yield BalanceRow(record=record, column=asset, asset_column=asset, asset=name, amount=amount)


def _records(content: Any, problems: list[Problem], file: str, account: str) -> Iterator[Record]:
    """The rows of a list; what is no row is a problem."""
    if not isinstance(content, Sequence) or isinstance(content, str | bytes):
        problems.append(
            Problem(
                found=f"is {shown(type(content).__name__)}, and no list of objects",
                needed="Give the list as the venue answers it.",
                file=file,
                kind=FileFormatError,
                account=account,
            )
        )
        return
    if len(content) > _MOST_ROWS:
        problems.append(Problem(found=f"{len(content):,} rows", needed=f"At most {_MOST_ROWS:,} are read.", file=file))
        return
    for k, values in enumerate(content, start=1):
        if isinstance(values, Mapping):
            yield Record(values=values, file=file, row=k, account=account, problems=problems)
        else:
            problems.append(
                Problem(
                    found=f"is {shown(repr(values))}, and no object",
                    needed="Every row is an object.",
                    file=file,
                    row=k,
                    account=account,
                )
            )


def _unwrapped(document: Any) -> Any:
    """What a reply holds; a bare document as it is."""
    return document["result"] if _is_reply(document) else document


def _is_reply(document: Any) -> bool:
    return isinstance(document, Mapping) and "result" in document and not any(name in document for name in _SECTIONS)


def _is_error(document: Any) -> bool:
    return isinstance(document, Mapping) and isinstance(document.get("error"), Mapping)


def _error_reply(document: Mapping[str, Any], file: str) -> Problem:
    fault = document["error"]
    said = ", ".join(shown(str(fault[key])) for key in ("code", "message") if key in fault)
    return Problem(
        found=f"is an error reply of the venue ({said})",
        needed="Ask again, and save the answer.",
        file=file,
        kind=FileFormatError,
    )


def _is_wrapper(document: Any) -> bool:
    if not isinstance(document, Mapping):
        return False
    named = [document[name] for name in _SECTIONS if name in document]
    # A single balance of Deribit has a field `balance` too, which is a number.
    return any(isinstance(value, Mapping) or _is_list(value) for value in named)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_list_of(document: Any, kind: Callable[[Any], bool]) -> bool:
    return _is_list(document) and len(document) > 0 and all(kind(one) for one in document)


def _is_rows(document: Any) -> bool:
    """Whether some row of a list is a position or an order of a venue."""
    return _is_list(document) and any(
        isinstance(row, Mapping) and (is_ccxt_position(row) or is_ccxt_order(row) or "instrument_name" in row)
        for row in document[:_LOOKED_AT]
    )


def _is_sizes(document: Any) -> bool:
    return (
        isinstance(document, Mapping)
        and bool(document)
        and all(isinstance(name, str) and ("-" in name or "/" in name) for name in document)
        and all(isinstance(size, int | float | Decimal | str) for size in document.values())
    )


def _is_balances(document: Any) -> bool:
    if _is_list(document):
        return any(isinstance(row, Mapping) and is_balance(row) and "account" not in row for row in document)
    if not isinstance(document, Mapping) or not document or "account" in document:
        return False
    return (
        is_ccxt_balance(document)
        or is_balance(document)
        or all(
            isinstance(asset, str) and isinstance(amount, int | float | Decimal | str)
            for asset, amount in document.items()
        )
    )
