"""The whole calculation once: standing from requirement, provenance, errors, and the largest real book."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossmargin.answers.what_if import what_if
from crossmargin.api import read_market
from crossmargin.basics.errors import CrossmarginError, UnknownInstrumentError, UnsupportedError
from crossmargin.engine.evaluate import evaluate
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.table import Kind
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.registry import METHODOLOGIES, methodology
from crossmargin.portfolio.book import Book
from tests import books

CALL = "BTC-27MAR26-100000-C"
every = pytest.mark.parametrize("name", METHODOLOGIES)
grids = pytest.mark.parametrize("name", ["scenario-grid", "isolated"])
with_options = pytest.mark.parametrize(
    "name", [name for name in (*METHODOLOGIES, *books.WITH_HISTORY) if books.holds(name, books.OPTIONS[0])]
)


@with_options
def test_standing_is_made_of_the_requirement_and_the_balances(name: str) -> None:
    book = books.book(
        [books.row("a", CALL, -2), books.row("b", CALL, 3)],
        [
            {"account": "a", "asset": "USD", "amount": "10000"},
            {"account": "b", "asset": "USD", "amount": "90000"},
        ],
    )
    evaluation = evaluate(book, books.market(), books.made(name))
    r, s = evaluation.requirements, evaluation.standing
    assert s is not None
    assert s.equity.tolist() == (np.array([10_000.0, 90_000.0]) + r.net_option_value).tolist()
    assert s.excess.tolist() == (s.equity - r.requirement_initial).tolist()
    assert r.net_option_value[0] < 0 < r.net_option_value[1]
    assert s.anybody_short == bool((s.equity < r.requirement_initial).any())


def test_without_balances_there_is_no_standing() -> None:
    evaluation = evaluate(books.book([books.row("a", CALL, 1)]), books.market(), methodology("scenario-grid"))
    assert evaluation.standing is None
    assert evaluation.collateral is None
    assert evaluation.margined is evaluation.book


@grids
def test_provenance_names_everything_that_can_move_the_number(name: str) -> None:
    book, market = books.book([books.row("a", CALL, 1)]), books.market()
    method = methodology(name)
    base = evaluate(book, market, method).provenance
    assert {
        "methodology", "methodology_version", "parameters", "parameters_version", "parameters_hash",
        "market_hash", "as_of", "engine_version", "missing_policy",
    } <= set(base)  # fmt: skip
    other_parameters = evaluate(book, market, methodology(name, time_step_days=1)).provenance
    assert other_parameters["parameters_hash"] != base["parameters_hash"]
    assert other_parameters["market_hash"] == base["market_hash"]
    vol = market.vol.copy()
    vol[~np.isnan(vol)] += 1e-9
    changed = (
        replace(market, vol=vol),
        replace(market, index=dict(market.index) | {"BTC": 100_000.01}),
        replace(market, discount=market.discount * 0.999),
    )
    hashes = {evaluate(book, other, method).provenance["market_hash"] for other in changed}
    assert len({*hashes, base["market_hash"]}) == 4


@every
def test_what_cannot_be_margined_is_refused_with_every_reason(name: str) -> None:
    book = books.book([books.row("a", "BTC-27MAR26-101000-C", 1), books.row("a", "BTC-27MAR26-102000-C", 1)])
    with pytest.raises(UnknownInstrumentError) as caught:
        evaluate(book, books.market(), methodology(name))
    assert len(caught.value.problems) == 2
    assert "The nearest that it lists is 'BTC-27MAR26-100000-C'" in str(caught.value)


@grids
def test_an_underlying_without_parameters_is_unsupported(name: str) -> None:
    document = methodology(name).info.document
    fewer = document | {"underlyings": {"ETH": document["underlyings"]["ETH"]}}
    with pytest.raises(UnsupportedError, match="no parameters for underlying 'BTC'"):
        evaluate(books.book([books.row("a", CALL, 1)]), books.market(), methodology(name, fewer))


def _american(market: Market) -> Book:
    option = next(symbol for symbol in market.instruments.names if symbol.startswith("SPY   2312"))
    return books.book([books.row("a", option, 1)])


@grids
def test_american_options_are_unsupported_and_named(data_dir: Path, name: str) -> None:
    market = read_market(data_dir / "cboe_spy_chain_20230914.csv.gz")
    document = methodology(name).info.document
    more = document | {"underlyings": document["underlyings"] | {"SPY": document["underlyings"]["XSP"]}}
    with pytest.raises(UnsupportedError, match=r"'SPY   2312.*' is an American option"):
        evaluate(_american(market), market, methodology(name, more))


@with_options
def test_american_options_say_so_whatever_else_is_missing(data_dir: Path, name: str) -> None:
    """SPY has no parameters either: somebody who adds them must not learn only then that it is in vain."""
    market = read_market(data_dir / "cboe_spy_chain_20230914.csv.gz")
    with pytest.raises(UnsupportedError, match="American"):
        evaluate(_american(market), market, books.made(name) if name in books.WITH_HISTORY else methodology(name))


def own_market(quote: Quote, index: float) -> Market:
    return Market.from_quotes([quote], as_of=books.AS_OF, source="own", index={"BTC": index})


WRONG: dict[str, dict[str, float]] = {
    "a negative vol": {"vol": -0.5},
    "an infinite vol": {"vol": math.inf},
    "an infinite forward": {"forward": math.inf},
    "no discount factor": {"discount": math.nan},
    "an infinite mark": {"mark": math.inf},
    "an index that is NaN": {"index": math.nan},
    "an index of 0": {"index": 0.0},
    "a negative index": {"index": -100_000.0},
}


@pytest.mark.parametrize("wrong", WRONG)
def test_numbers_that_are_none_are_refused_also_in_a_market_of_our_own_type(wrong: str) -> None:
    """`margin` takes a `Market` that somebody built: NaN, infinity, an index of 0 must not become a requirement."""
    stated = {"vol": 0.5, "forward": 100_700.0, "index": 100_000.0} | WRONG[wrong]
    index = stated.pop("index")
    option = Quote(instrument=parse_symbol(CALL), **stated)
    book = books.book([books.row("a", CALL, -1)])
    with pytest.raises(CrossmarginError, match="BTC"):
        evaluate(book, own_market(option, index), methodology("scenario-grid"))


@pytest.mark.parametrize("mark", [0.0, -5.0, math.inf])
def test_an_inverse_contract_has_a_price_above_0_also_in_a_market_of_our_own_type(mark: float) -> None:
    perpetual = Quote(instrument=parse_symbol("BTC-PERPETUAL"), mark=mark)
    book = books.book([books.row("a", "BTC-PERPETUAL", -1)])
    with pytest.raises(CrossmarginError, match="BTC-PERPETUAL"):
        evaluate(book, own_market(perpetual, 100_000.0), methodology("scenario-grid"))


def test_what_if_is_the_book_with_the_trade() -> None:
    book = books.book([books.row("a", CALL, -2), books.row("b", CALL, 3)])
    method = methodology("scenario-grid")
    answer = what_if(book, books.market(), method, "a", [("BTC-PERPETUAL", "4000"), ("BTC-PERPETUAL", "6000")])
    together = evaluate(
        books.book([books.row("a", CALL, -2), books.row("a", "BTC-PERPETUAL", 10_000), books.row("b", CALL, 3)]),
        books.market(),
        method,
    )
    before = evaluate(book, books.market(), method)
    assert answer.before.requirements.requirement_initial[0] == before.requirements.requirement_initial[0]
    assert answer.after.requirements.requirement_initial[0] == together.requirements.requirement_initial[0]
    undone = what_if(book, books.market(), method, "a", [(CALL, "2")])
    assert undone.after.requirements.requirement_initial.tolist() == [0.0]


@with_options
def test_one_of_every_option_of_the_crash_chain(data_dir: Path, name: str) -> None:
    market = read_market(data_dir / "deribit_chain_20260205T2129Z.csv.gz")
    table = market.instruments
    options = [k for k, kind in zip(table.names, table.kind.tolist(), strict=True) if kind == Kind.OPTION]
    sides = {"long": 1, "short": -1}
    book = books.book([books.row(side, option, q) for side, q in sides.items() for option in options])
    assert len(options) == 1_840
    started = time.perf_counter()
    evaluation = evaluate(book, market, books.made(name), MissingPolicy())
    print(f"{name}: 2 x {len(options)} options in {time.perf_counter() - started:.3f} s")
    r = evaluation.requirements
    assert np.isfinite(r.requirement_initial).all()
    assert (r.requirement_initial > 0).all()
    assert r.net_option_value[0] == -r.net_option_value[1] > 0
    if name not in ("scenario-grid", "isolated"):
        return
    # A long option loses at most its value: the grid cannot ask for more, besides the roll charge.
    roll = r.units.components["roll_charge"]
    longs = sum(float(r.units.components["scan_risk"][u]) for u in r.units.of(0))
    assert longs <= r.net_option_value[0] * 1.05
    assert (roll >= 0).all()


def test_what_if_pays_for_the_trade_at_its_mark() -> None:
    """Buying an option moves no equity at its mark: it turns cash into option value."""
    book = books.book([books.row("a", CALL, -1)], [{"account": "a", "asset": "USD", "amount": "50000"}])
    answer = what_if(book, books.market(), methodology("scenario-grid"), "a", [(CALL, "3"), ("BTC-PERPETUAL", "100")])
    assert answer.before.standing is not None
    assert answer.after.standing is not None
    value = answer.after.requirements.net_option_value[0] - answer.before.requirements.net_option_value[0]
    assert answer.cash_paid == pytest.approx(value, rel=1e-12)
    assert answer.cash_paid > 0
    assert answer.after.standing.equity[0] == pytest.approx(answer.before.standing.equity[0], rel=1e-12)


def test_what_if_pays_for_spot() -> None:
    book = books.book([books.row("a", CALL, -1)], [{"account": "a", "asset": "USD", "amount": "500000"}])
    answer = what_if(book, books.market(), methodology("scenario-grid"), "a", [("BTC", "2")])
    assert answer.cash_paid == pytest.approx(2 * books.INDEX["BTC"], rel=1e-12)
