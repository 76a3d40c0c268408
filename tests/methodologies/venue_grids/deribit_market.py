"""A market of Deribit's contracts for tests, inverse and linear, and parameter documents with other rules."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from crossmargin.basics.errors import Problem, raise_problems
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.positions import read_book
from crossmargin.instruments.deribit import parse_deribit
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.parameter_files import document_of
from crossmargin.methodologies.registry import methodology
from tests import books

PACKAGE = "crossmargin.methodologies.venue_grids.deribit"


def document(
    *,
    currency: dict[str, Any] | None = None,
    pair: dict[str, Any] | None = None,
    shipped: str = "deribit-pm-2026",
    **rules: Any,
) -> dict[str, Any]:
    """A set that ships, with the same changes for every currency and every pair, and other rules."""
    found = document_of(shipped, PACKAGE, None) | {"name": "deribit-pm-test"}
    found["currency"] = {name: own | (currency or {}) for name, own in found["currency"].items()}
    found["currency_pair"] = {name: own | (pair or {}) for name, own in found["currency_pair"].items()}
    found["rules"] = found["rules"] | rules
    return found


SHARING = document(
    currency={"correlation_set": True, "pnl_offset": "0.6", "max_offsetable_pnl": "40000", "extended_dampener": "500"},
    pair={"delta_total_liq_shock_threshold": "150000"},
    cross=True,
)
"""X:PM in which BTC and ETH share scenarios, gains meet their cap, and a delta shock is not rare."""

UNDAMPED = document(currency={"extended_dampener": "0"}, pair={"m_inc": "0"}, cross=True)
"""X:PM with nothing that depends on size: every law of a worst loss holds."""

_LINEAR = {"BTC_USDC-PERPETUAL": 100_020.0, "BTC_USDC-27MAR26": 100_650.0, "ETH_USDC-PERPETUAL": 3_099.0}
_SIZES = {"BTC_USDC-27MAR26": "0.001", "ETH_USDC-PERPETUAL": "0.01", "BTC_USDC-27MAR26-100000-C": "0.1"}
LINEAR = (*_LINEAR, "BTC_USDC-27MAR26-100000-C")
INVERSE = tuple(name for name in books.NAMES if not name.startswith("SPX"))
USDC = 0.9995


def market() -> Market:
    """The test market with contracts in USDC beside the inverse ones."""
    whole = books.market()
    table = whole.instruments
    quotes = [
        Quote(
            instrument=terms,
            mark=None if whole.mark[k] != whole.mark[k] else float(whole.mark[k]),
            vol=None if whole.vol[k] != whole.vol[k] else float(whole.vol[k]),
            forward=None if whole.forward[k] != whole.forward[k] else float(whole.forward[k]),
            discount=float(whole.discount[k]),
        )
        for k, terms in enumerate(table.instruments)
    ]

    def linear(name: str) -> Any:
        size = _SIZES.get(name)
        return parse_deribit(name, multiplier=None if size is None else Decimal(size))

    quotes += [Quote(instrument=linear(name), mark=mark) for name, mark in _LINEAR.items()]
    quotes.append(Quote(instrument=linear("BTC_USDC-27MAR26-100000-C"), vol=0.49, forward=100_650.0))
    return Market.from_quotes(
        quotes,
        as_of=books.AS_OF,
        source="Deribit test market",
        index=books.INDEX,
        prices={"BTC": books.INDEX["BTC"], "ETH": books.INDEX["ETH"], "USDC": USDC},
    )


def run(
    positions: dict[str, Any],
    balances: dict[str, Any] | None = None,
    *,
    where: Market | None = None,
    parameters: Any = None,
    **overrides: Any,
) -> Evaluation:
    """One account, margined."""
    cash = None
    if balances is not None:
        cash = [{"account": "ann", "asset": asset, "amount": str(amount)} for asset, amount in balances.items()]
    method = methodology("deribit-pm", parameters, **overrides)
    assert method.schedule is not None
    problems: list[Problem] = []
    rows = [{"account": "ann", "instrument": name, "quantity": str(held)} for name, held in positions.items()]
    book = read_book(rows, cash, problems, accepts=method.schedule.haircuts)
    raise_problems(problems)
    assert book is not None
    return evaluate(book, where or market(), method)
