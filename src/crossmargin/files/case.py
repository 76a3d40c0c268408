"""A case: one self-contained JSON document of a question and all that its answer needs.

What a user attaches to a question and a test keeps. Its schema is the pydantic model below, published as JSON Schema in
`docs/case.schema.json`. Numbers are decimal strings that read back to the same bits, so a case cut out of a book of a
million gives the same requirement to the last one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from crossmargin.basics.errors import (
    CrossmarginError,
    FileFormatError,
    InputError,
    Problem,
    UnsupportedError,
    raise_problems,
)
from crossmargin.basics.quantities import STEPS_PER_UNIT, format_quantity
from crossmargin.basics.times import format_utc
from crossmargin.collateral.valuation import accepted
from crossmargin.engine.evaluate import Evaluation
from crossmargin.files.cells import Cells, shown
from crossmargin.files.columns import read_steps
from crossmargin.files.methodology import READERS
from crossmargin.files.plain_market import from_records, record_of
from crossmargin.files.positions import (
    BalancesInput,
    PositionsInput,
    assemble,
    parse_balances,
    parse_positions,
)
from crossmargin.files.tables import head, read_text
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
from crossmargin.portfolio.book import (
    AccountType,
    Attributes,
    Book,
    Carried,
    CustomerType,
    PositionRows,
    found_name,
    net_carried,
)

FORMAT = "crossmargin-case/1"
MOST_BYTES = 256 * 1024**2
_HEAD_BYTES = 65_536
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
    customer_type: Literal["", "member", "hedger", "speculator"] = ""


class CaseMember(_Strict):
    """A member account that holds no position: its balances still count, and its agreement still stands."""

    account: Text
    netting_set: Text = ""
    segregation: Text = ""
    account_type: Literal["", "net", "gross"] = ""
    customer_type: Literal["", "member", "hedger", "speculator"] = ""


class CaseBalance(_Strict):
    """One balance of a member account."""

    account: Text
    asset: Text
    amount: Number


class CaseCarried(_Strict):
    """What an account carries beside its positions in an instrument: resting orders, profit that is not settled."""

    account: Text
    instrument: Text
    buys: Number = "0"
    sells: Number = "0"
    unrealised: Number = "0"


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
    facts: dict[Text, dict[Text, Number]] = Field(default_factory=dict)
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
    positions: list[CasePosition] = Field(max_length=10_000_000)
    members: list[CaseMember] = Field(default_factory=list, max_length=10_000_000)
    balances: list[CaseBalance] | None = None
    carried: list[CaseCarried] = Field(default_factory=list, max_length=10_000_000)
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
    """Whether a JSON file names the format of a case: mostly at its start, where we write it."""
    name = FORMAT.partition("/")[0].encode()
    start = head(path, _HEAD_BYTES)
    return name in start or (len(start) == _HEAD_BYTES and name in read_text(path, MOST_BYTES).encode())


def read_case(path: Path) -> LoadedCase:
    """Read and check a case document.

    Raises
    ------
    InputError
        With every field that is wrong and its place in the document.
    """
    return parse_case(read_text(path, MOST_BYTES), path.name)


def parse_case(text: str, file: str) -> LoadedCase:
    """The case in a JSON text; errors as `read_case`."""
    if FORMAT.partition("/")[0] not in text:
        raise FileFormatError(
            Problem(
                found="is JSON, but no case",
                needed=f"A case has the format '{FORMAT}'; positions are CSV or Parquet.",
                file=file,
                kind=FileFormatError,
            )
        )
    try:
        case = Case.model_validate_json(text)
    except ValidationError as error:
        raise InputError(
            Problem(
                found=_readable(detail["msg"], detail.get("input")),
                file=file,
                column=shown(".".join(str(part) for part in detail["loc"]), 200),
            )
            for detail in error.errors(include_url=False, include_context=False)
        ) from None
    problems: list[Problem] = []
    market = _market(case, file, problems)
    of_method: list[Problem] = []
    method = _methodology(case, file, of_method)
    parsed, cash, members = _holdings(case, file, problems, market, method)
    book = None
    try:
        book = assemble(parsed, cash, members)
        if case.carried:
            book = replace(book, carried=_carried(case, file, book))
    except CrossmarginError as error:
        problems += error.problems
    raise_problems([*problems, *of_method])
    assert book is not None
    assert market is not None
    assert method is not None
    return LoadedCase(
        book,
        market,
        method,
        MissingPolicy(
            vol=MissingVol(case.policy.vol),
            mark=MissingMark(case.policy.mark),
            perpetual=MissingPerpetual(case.policy.perpetual),
            touch=MissingTouch(case.policy.touch),
            stablecoin=UnpricedStablecoin(case.policy.stablecoin),
        ),
    )


def _methodology(case: Case, file: str, problems: list[Problem]) -> Methodology | None:
    """The methodology of a case, or `None` with what is wrong with it on the list."""
    method = None
    try:
        if case.methodology.name in READERS:
            raise _no_case(case.methodology.name)
        method = methodology(case.methodology.name, case.methodology.parameters)
        if case.methodology.version not in ("", method.version):
            problems.append(
                Problem(
                    found=f"the case is of '{method.name}' {case.methodology.version}, this is {method.version}",
                    needed="Answer it with the engine that cut it, or remove the version to use this one.",
                    file=file,
                    column="methodology.version",
                    kind=UnsupportedError,
                )
            )
    except CrossmarginError as error:
        problems += error.problems
    return method


def _carried(case: Case, file: str, book: Book) -> Carried:
    """Resting orders and unrealised profit of a case."""
    problems: list[Problem] = []
    columns: dict[str, list[int]] = {name: [] for name in ("buys", "sells", "unrealised")}
    names = sorted({one.instrument for one in case.carried})
    for k, one in enumerate(case.carried):
        where = f"carried.{k}"
        if found_name(book.accounts, one.account) is None:
            problems.append(
                Problem(
                    found=f"account '{shown(one.account)}' holds nothing and is no member",
                    needed="State it under members.",
                    file=file,
                    column=f"{where}.account",
                )
            )
        for name, column in columns.items():
            steps = read_steps(getattr(one, name), f"{where}.{name}", file, k + 1, problems, one.account)
            if name != "unrealised" and steps is not None and steps < 0:
                problems.append(
                    Problem(
                        found=f"{name} of {steps / STEPS_PER_UNIT:g}",
                        needed="Orders to sell are counted as positive too.",
                        file=file,
                        column=f"{where}.{name}",
                    )
                )
            column.append(steps or 0)
    raise_problems(problems)
    return net_carried(
        Carried(
            instruments=tuple(names),
            account=np.array([found_name(book.accounts, one.account) for one in case.carried], dtype=np.int64),
            instrument=np.array([names.index(one.instrument) for one in case.carried], dtype=np.int64),
            **{name: np.array(steps, dtype=np.int64) for name, steps in columns.items()},
        ),
        book.accounts,
    )


def _market(case: Case, file: str, problems: list[Problem]) -> Market | None:
    """The market of a case, or `None` with what is wrong with it on the list."""
    cells = Cells(file, problems)
    before = len(problems)
    as_of = cells.time(case.as_of, None, "as_of")
    prices: dict[str, dict[str, float]] = {"index": {}, "prices": {}}
    for name, stated in (("index", case.market.index), ("prices", case.market.prices)):
        for asset, text in stated.items():
            price = cells.number(text, None, f"market.{name}.{shown(asset)}")
            prices[name][asset] = float("nan") if price is None else price
    if as_of is None or len(problems) > before:
        return None
    facts = {
        kind: {
            name: cells.number(text, None, f"market.facts.{shown(kind)}.{shown(name)}") for name, text in rows.items()
        }
        for kind, rows in case.market.facts.items()
    }
    if len(problems) > before:
        return None
    try:
        market = from_records(
            (
                (k, {name: value for name, value in quote.model_dump().items() if value})
                for k, quote in enumerate(case.market.quotes, start=1)
            ),
            as_of=as_of,
            source=case.market.source,
            file=f"{file}, market.quotes",
            index=prices["index"],
            prices=prices["prices"],
            vol_source=VolSource(case.market.vol_source),
            notes=case.market.notes,
        )
    except CrossmarginError as error:
        problems += error.problems
        return None
    return replace(
        market, facts={kind: {n: v for n, v in rows.items() if v is not None} for kind, rows in facts.items()}
    )


def _holdings(
    case: Case, file: str, problems: list[Problem], market: Market | None, method: Methodology | None
) -> tuple[PositionsInput, BalancesInput | None, dict[str, Attributes]]:
    """Positions, balances and members of a case; what is wrong with them is added to `problems`."""
    nothing = np.zeros(0, dtype=np.int64)
    parsed: PositionsInput | None = PositionsInput(
        accounts=(),
        instruments=(),
        rows=PositionRows(account=nothing, instrument=nothing, steps=nothing),
        attributes={},
        file=file,
        row_numbers=nothing,
    )
    if case.positions:
        records = [position.model_dump() for position in case.positions]
        parsed = parse_positions(records, problems, market, name=f"{file}, positions")
        assert parsed is not None  # records of the schema have every column
    elif not (case.balances or case.members):
        problems.append(
            Problem(found="the case holds no position, balance or member", needed="Give at least one.", file=file)
        )
    cash: BalancesInput | None = None
    if case.balances is not None:
        records, name = [balance.model_dump() for balance in case.balances], f"{file}, balances"
        accepts = None if method is None else tuple(accepted(market, method.schedule))
        cash = (
            parse_balances(records, problems, market, accepts=accepts, name=name)
            if records
            else BalancesInput.none(name)
        )
    members = {
        member.account: Attributes(
            netting_set=member.netting_set or None,
            segregation=member.segregation or None,
            account_type=AccountType(member.account_type or AccountType.NET),
            customer_type=CustomerType(member.customer_type) if member.customer_type else None,
        )
        for member in case.members
    }
    assert parsed is not None
    return parsed, cash, members


def cut_case(evaluation: Evaluation, account: int) -> dict[str, Any]:
    """The case of one margin account, members included, out of an evaluated book.

    Holds the quotes of what the account holds, and those that stood in for a missing one.

    Raises
    ------
    UnsupportedError
        If prices come from the methodology's parameter file: a case has no place for one.
    """
    if evaluation.market.listing is not None:
        raise _no_case(evaluation.methodology.name)
    book = evaluation.book.select(account)
    market = evaluation.market
    margined = evaluation.margined.select(account)
    donors = {fill.donor for fill in evaluation.fills if fill.donor and fill.instrument in margined.instruments}
    # A balance of 0 is no position, and still names a coin whose spot must be there.
    coins = set() if book.balances is None else {book.balances.assets[k] for k in book.balances.asset.tolist()}
    spots = {name for coin, name in market.spot_of.items() if coin in coins}
    # A market has at least one row, also for an account of cash alone.
    # What a method with a schedule of its own margins beside the market's contracts are assets, which have no quote.
    listed = {name for name in {*margined.to_price, *donors, *spots} if name in market}
    kept = market.subset(listed or market.instruments.names[:1])
    held = book.member_positions
    positions = []
    for owner, instrument, steps in zip(
        held.owner().tolist(), held.instrument.tolist(), held.steps.tolist(), strict=True
    ):
        positions.append(
            {
                "account": book.accounts[owner],
                "instrument": book.instruments[instrument],
                "quantity": format_quantity(steps),
                **_stated(book.attributes[owner]),
            }
        )
    without = sorted(set(range(len(book.accounts))) - set(held.owner().tolist()))
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
    if without:
        document["members"] = [{"account": book.accounts[k], **_stated(book.attributes[k])} for k in without]
    if book.balances is not None:
        rows = book.balances
        document["balances"] = [
            {"account": book.accounts[a], "asset": rows.assets[k], "amount": format_quantity(steps)}
            for a, k, steps in zip(rows.account.tolist(), rows.asset.tolist(), rows.steps.tolist(), strict=True)
        ]
    if book.carried is not None and len(book.carried.account):
        document["carried"] = _carried_records(book)
    document["market"] = {
        "source": market.source,
        "vol_source": market.vol_source.value,
        "index": _strings(kept.index.items()),
        "prices": _strings(kept.prices.items()),
        "quotes": [record_of(row, kept) for row in range(len(kept.instruments.names))],
        "notes": list(market.notes),
    }
    if market.facts:
        document["market"]["facts"] = {kind: _strings(stated.items()) for kind, stated in market.facts.items()}
    return document


def _carried_records(book: Book) -> list[dict[str, str]]:
    rows = book.carried
    assert rows is not None
    columns = ("buys", "sells", "unrealised")
    return [
        {
            "account": book.accounts[int(rows.account[k])],
            "instrument": rows.instruments[int(rows.instrument[k])],
            **{name: format_quantity(steps) for name in columns if (steps := int(getattr(rows, name)[k]))},
        }
        for k in range(len(rows.account))
    ]


def _no_case(name: str) -> UnsupportedError:
    return UnsupportedError(
        Problem(
            found=f"a case of '{name}', whose prices come from its parameter file",
            needed="A case holds quotes. Keep the parameter file, and the positions of the account beside it.",
            kind=UnsupportedError,
        )
    )


def write_case(document: dict[str, Any]) -> str:
    """A case as JSON text."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def case_schema() -> dict[str, Any]:
    """JSON Schema of a case."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Case.model_json_schema()


def _stated(attributes: Attributes) -> dict[str, str]:
    stated = {
        "netting_set": attributes.netting_set or "",
        "segregation": attributes.segregation or "",
        "account_type": attributes.account_type.value,
        "customer_type": attributes.customer_type or "",
    }
    return {name: value for name, value in stated.items() if value}


def _strings(items: Iterable[tuple[str, float]]) -> dict[str, str]:
    return {name: repr(float(value)) for name, value in items}


def _readable(message: str, found: object) -> str:
    text = shown(message, 300)
    return f"{text} (found {shown(repr(found))})" if isinstance(found, str | int | float | None) else text
