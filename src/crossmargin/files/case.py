"""A case: one self-contained JSON document of a question and all that its answer needs.

What a user attaches to a question and a test keeps. Its schema is the pydantic model below, published as JSON Schema in
`docs/case.schema.json`. Numbers are decimal strings that read back to the same bits, so a case cut out of a book of a
million gives the same requirement to the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crossmargin.basics.errors import FileFormatError, InputError, Problem, raise_problems
from crossmargin.basics.quantities import format_quantity
from crossmargin.basics.times import format_utc, parse_utc
from crossmargin.engine.evaluate import Evaluation
from crossmargin.files.plain_market import from_records, record_of
from crossmargin.files.positions import assemble, parse_balances, parse_positions
from crossmargin.files.tables import decode, head, read_bytes
from crossmargin.market.policy import (
    MissingMark,
    MissingPerpetual,
    MissingPolicy,
    MissingTouch,
    MissingVol,
    UnpricedStablecoin,
)
from crossmargin.market.snapshot import Market, VolSource
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import Book

FORMAT = "crossmargin-case/1"
MOST_BYTES = 256 * 1024**2
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,4})?")

Text = Annotated[str, StringConstraints(max_length=256)]
Number = Annotated[str, StringConstraints(max_length=64, pattern=rf"^{_NUMBER.pattern}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class CasePosition(_Strict):
    """One position of a member account, in contracts."""

    account: Text
    instrument: Text
    quantity: Number
    netting_set: Text = ""
    segregation: Text = ""
    account_type: Literal["", "net", "gross"] = ""


class CaseBalance(_Strict):
    """One balance of a member account."""

    account: Text
    asset: Text
    amount: Number


class CaseQuote(_Strict):
    """One instrument: its terms and what was quoted. Columns as in the plain market file."""

    instrument: Text
    kind: Literal["spot", "future", "perpetual", "option"]
    underlying: Text
    payoff: Literal["linear", "inverse"]
    quote_currency: Text
    settlement_currency: Text
    multiplier: Number
    expiry: Text = ""
    strike: Number | Literal[""] = ""
    option_type: Literal["", "call", "put"] = ""
    style: Literal["", "european", "american"] = ""
    delivery: Literal["", "cash", "physical"] = ""
    on: Literal["", "spot", "future", "index"] = ""
    vol_model: Literal["", "black", "bachelier"] = ""
    forward_price: Number | Literal[""] = ""
    bid_price: Number | Literal[""] = ""
    ask_price: Number | Literal[""] = ""
    mark_price: Number | Literal[""] = ""
    vol: Number | Literal[""] = ""
    discount: Number | Literal[""] = ""


class CaseMarket(_Strict):
    """The snapshot: quotes, index prices by underlying, dollar prices by asset."""

    source: str = Field(max_length=4096)
    vol_source: Literal["quoted", "mark"] = "quoted"
    index: dict[Text, Number]
    prices: dict[Text, Number] = Field(default_factory=dict)
    quotes: list[CaseQuote] = Field(min_length=1, max_length=1_000_000)
    notes: list[str] = Field(default_factory=list, max_length=1000)


class CasePolicy(_Strict):
    """What stands in for a missing quote."""

    vol: Literal["error", "nearest"] = "nearest"
    mark: Literal["error", "model"] = "model"
    perpetual: Literal["error", "index"] = "index"
    touch: Literal["error", "leave"] = "leave"
    stablecoin: Literal["error", "par"] = "par"


class CaseMethodology(_Strict):
    """Name, and the whole parameter document."""

    name: Text
    version: Text = ""
    parameters: dict[str, Any]


class Case(_Strict):
    """A question that holds everything its answer needs."""

    format: Literal["crossmargin-case/1"]
    as_of: Text
    positions: list[CasePosition] = Field(min_length=1, max_length=10_000_000)
    balances: list[CaseBalance] | None = None
    market: CaseMarket
    methodology: CaseMethodology
    policy: CasePolicy = CasePolicy()


class LoadedCase:
    """A case as the engine takes it."""

    def __init__(self, book: Book, market: Market, method: Methodology, policy: MissingPolicy) -> None:
        self.book = book
        self.market = market
        self.method = method
        self.policy = policy


def is_case(path: Path) -> bool:
    """Whether a file looks like a case: JSON that names our format near its start."""
    start = head(path, 4096).lstrip(b"\xef\xbb\xbf \t\r\n")
    return start.startswith(b"{") and FORMAT.split("/")[0].encode() in start


def read_case(path: Path) -> LoadedCase:
    """Read and check a case document.

    Raises
    ------
    InputError
        With every field that is wrong and its place in the document.
    """
    if path.stat().st_size > MOST_BYTES:
        raise FileFormatError(f"{path.name}: a case of more than {MOST_BYTES:,} bytes")
    return parse_case(decode(read_bytes(path), path.name), path.name)


def parse_case(text: str, file: str) -> LoadedCase:
    """The case in a JSON text."""
    try:
        case = Case.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            Problem(
                found=_readable(detail["msg"], detail.get("input")),
                needed="",
                file=file,
                column=".".join(str(part) for part in detail["loc"]),
                kind=InputError,
            )
            for detail in error.errors(include_url=False, include_context=False)
        ) from None
    try:
        as_of = parse_utc(case.as_of)
    except ValueError as error:
        raise InputError(Problem(found=str(error), file=file, column="as_of")) from None
    market = from_records(
        (
            (k, {name: value for name, value in quote.model_dump().items() if value})
            for k, quote in enumerate(case.market.quotes, start=1)
        ),
        as_of=as_of,
        source=case.market.source,
        file=file,
        index={name: float(value) for name, value in case.market.index.items()},
        prices={name: float(value) for name, value in case.market.prices.items()},
        vol_source=VolSource(case.market.vol_source),
        notes=case.market.notes,
    )
    problems: list[Problem] = []
    parsed = parse_positions([p.model_dump() for p in case.positions], problems, market)
    cash = None
    if case.balances is not None:
        cash = parse_balances([b.model_dump() for b in case.balances], problems) if case.balances else []
    raise_problems(problems)
    assert parsed is not None
    return LoadedCase(
        assemble(parsed, cash),
        market,
        methodology(case.methodology.name, case.methodology.parameters),
        MissingPolicy(
            vol=MissingVol(case.policy.vol),
            mark=MissingMark(case.policy.mark),
            perpetual=MissingPerpetual(case.policy.perpetual),
            touch=MissingTouch(case.policy.touch),
            stablecoin=UnpricedStablecoin(case.policy.stablecoin),
        ),
    )


def cut_case(evaluation: Evaluation, account: int) -> dict[str, Any]:
    """The case of one margin account, members included, out of an evaluated book.

    Holds the quotes of what the account holds, and those that stood in for a missing one.
    """
    book = evaluation.book.select(account)
    market = evaluation.market
    margined = evaluation.margined.select(account)
    donors = {
        fill.donor for fill in evaluation.fills if fill.donor and fill.instrument in margined.instruments
    }
    kept = market.subset({*margined.instruments, *donors})
    held = book.member_positions
    positions = []
    for owner, instrument, steps in zip(
        held.owner().tolist(), held.instrument.tolist(), held.steps.tolist(), strict=True
    ):
        stated = book.attributes[owner]
        record = {
            "account": book.accounts[owner],
            "instrument": book.instruments[instrument],
            "quantity": format_quantity(steps),
            "netting_set": stated.netting_set or "",
            "segregation": stated.segregation or "",
            "account_type": stated.account_type.value,
        }
        positions.append({name: value for name, value in record.items() if value})
    if not positions:
        raise InputError(
            f"account '{evaluation.book.margin_accounts[account]}' holds no position to make a case of"
        )
    document: dict[str, Any] = {
        "format": FORMAT,
        "as_of": format_utc(market.as_of),
        "methodology": {
            "name": evaluation.methodology.name,
            "version": evaluation.methodology.version,
            "parameters": evaluation.methodology.info.document,
        },
        "policy": evaluation.policy.to_dict(),
        "positions": positions,
    }
    if book.balances is not None:
        rows = book.balances
        document["balances"] = [
            {"account": book.accounts[a], "asset": rows.assets[k], "amount": format_quantity(steps)}
            for a, k, steps in zip(
                rows.account.tolist(), rows.asset.tolist(), rows.steps.tolist(), strict=True
            )
        ]
    assets = (
        set() if book.balances is None else {book.balances.assets[k] for k in book.balances.asset.tolist()}
    )
    document["market"] = {
        "source": market.source,
        "vol_source": market.vol_source.value,
        "index": _strings(kept.index.items()),
        "prices": _strings(
            (name, price) for name, price in kept.prices.items() if name in {"USD", *assets, *kept.index}
        ),
        "quotes": [record_of(row, kept) for row in range(len(kept.instruments.names))],
        "notes": list(market.notes),
    }
    return document


def write_case(document: dict[str, Any]) -> str:
    """A case as JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def case_schema() -> dict[str, Any]:
    """JSON Schema of a case."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Case.model_json_schema()


def _strings(items: Iterable[tuple[str, float]]) -> dict[str, str]:
    return {name: repr(float(value)) for name, value in items}


def _readable(message: str, found: object) -> str:
    shown = repr(found)
    return f"{message} (found {shown[:80]})" if found is not None and len(shown) < 500 else message
