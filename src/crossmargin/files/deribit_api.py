"""The chain of today from Deribit's public API, as one self-contained document.

Three questions a coin: the summary of its options, that of its futures, and its index price. What one might question:
the time of the chain is the newest that the venue states in its answers, and never that of the clock here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from crossmargin.basics.errors import CrossmarginError, Problem, VenueError, raise_problems
from crossmargin.basics.times import format_utc
from crossmargin.files.cells import shown
from crossmargin.files.deribit_summary import CHAIN_FORMAT, entries_of, from_summary, newest
from crossmargin.files.https import get_json, require_url

URL = "https://www.deribit.com"
TIMEOUT = 20.0
_COIN = re.compile(r"[A-Z0-9]{1,16}")
_SUMMARY = "/api/v2/public/get_book_summary_by_currency"
_INDEX = "/api/v2/public/get_index_price"


def fetch_chain(coins: Sequence[str], *, url: str = URL, timeout: float = TIMEOUT) -> dict[str, Any]:
    """Ask for the chains of `coins`, and check that they are a market.

    Parameters
    ----------
    coins : sequence of str
        Such as BTC and ETH.
    url : str
        Base of the API.
    timeout : float
        Seconds for each answer.

    Returns
    -------
    dict
        A chain file's document: what `read_market` reads, once `chain_text` has written it.

    Raises
    ------
    VenueError
        If an answer does not come, or is not what was asked for.
    """
    coins = tuple(dict.fromkeys(coin.upper() for coin in coins))
    problems = [
        Problem(found=f"'{shown(coin)}' is no coin", needed="Name it like BTC or ETH.", kind=VenueError)
        for coin in coins
        if not _COIN.fullmatch(coin)
    ]
    if not coins:
        problems.append(Problem(found="no coin", needed="Name one like BTC or ETH.", kind=VenueError))
    if not 0 < timeout <= 3600:
        problems.append(Problem(found=f"a timeout of {timeout:g} seconds", needed="From 0 to 3600.", kind=VenueError))
    raise_problems(problems)
    base = require_url(url)
    entries: list[Mapping[str, Any]] = []
    index: dict[str, Any] = {}
    times = []
    for coin in coins:
        for kind in ("option", "future"):
            address = _address(base, _SUMMARY, currency=coin, kind=kind)
            reply = get_json(address, timeout=timeout)
            found = _entries(reply, coin, address)
            said = [entry.get("creation_timestamp") for entry in found]
            stamps = [float(stamp) for stamp in said if isinstance(stamp, int | Decimal) and stamp > 0]
            try:
                times.append(newest(stamps, reply, address))
            except CrossmarginError as error:
                raise _wrong(address, error.problems[0].found) from None
            entries += found
        address = _address(base, _INDEX, index_name=f"{coin.lower()}_usd")
        reply = get_json(address, timeout=timeout)
        index[coin] = _index_price(reply, address)
    stated = [moment for moment in times if moment is not None]
    if not stated:
        raise _wrong(_address(base, _SUMMARY), "states no time in its answers")
    document = {
        "format": CHAIN_FORMAT,
        "venue": "deribit",
        "source": base + _SUMMARY,
        "as_of": format_utc(max(stated)),
        "index_price": index,
        "result": entries,
    }
    # Whoever reads the file later must find a market in it: so it is read once before it is written.
    try:
        from_summary(document, file="answer", as_of=None)
    except CrossmarginError as error:
        raise VenueError(
            [
                Problem(found=f"{shown(base, 300)} answered with no market: {problem}", kind=VenueError)
                for problem in error.problems
            ]
        ) from None
    return document


def chain_text(document: Mapping[str, Any]) -> str:
    """A chain document as JSON text, one entry a line, numbers as the venue wrote them."""
    head = {key: value for key, value in document.items() if key != "result"}
    lines = [f'"{key}": {_json(value)}' for key, value in head.items()]
    entries = ",\n".join(_json(entry) for entry in document["result"])
    return "{\n" + ",\n".join([*lines, f'"result": [\n{entries}\n]']) + "\n}\n"


def _entries(reply: Any, coin: str, address: str) -> list[Mapping[str, Any]]:
    """The entries of an answer, all of them about `coin`; none is an answer too."""
    if isinstance(reply, Mapping) and reply.get("result") == []:
        return []
    try:
        entries = entries_of(reply, "the answer")
    except CrossmarginError as error:
        raise _wrong(address, f"answered, and it {error.problems[0].found}") from None
    names = [entry.get("instrument_name") for entry in entries]
    others = [name for name in names if not (isinstance(name, str) and re.match(rf"{coin}(_[A-Z0-9]+)?(-|$)", name))]
    if others:
        found = f"answered with {len(others)} entries that are not of {coin}, such as {shown(str(others[0]))}"
        raise _wrong(address, found)
    return list(entries)


def _index_price(reply: Any, address: str) -> Any:
    result = reply.get("result") if isinstance(reply, Mapping) else None
    price = result.get("index_price") if isinstance(result, Mapping) else None
    if not isinstance(price, int | Decimal) or isinstance(price, bool) or price <= 0:
        try:
            entries_of(reply, "the answer")  # says so if it is an error
        except CrossmarginError as error:
            if "error reply" in error.problems[0].found:
                raise _wrong(address, f"answered, and it {error.problems[0].found}") from None
        raise _wrong(address, "answered without an index price above 0")
    return price


def _address(base: str, method: str, **asked: str) -> str:
    return base + method + ("?" + urlencode(asked) if asked else "")


def _json(value: Any) -> str:
    """JSON of what `parse_json` made, decimals with the digits that they came with."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_json(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    return json.dumps(value, allow_nan=False)


def _wrong(address: str, found: str) -> VenueError:
    return VenueError(Problem(found=f"{shown(address, 300)} {found}", needed="Ask again later.", kind=VenueError))
