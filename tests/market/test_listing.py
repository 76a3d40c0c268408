"""A market that lists what only its own methodology values: names, currency, time, and a refusal of everything else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from crossmargin.basics.errors import UnknownInstrumentError, UnsupportedError, raise_problems
from crossmargin.engine.evaluate import evaluate
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill, asset_price
from crossmargin.methodologies.registry import methodology
from tests import books, listed
from tests.listed import CALL

MARKET = listed.method().market


def test_it_answers_for_names_as_the_listing_does() -> None:
    assert CALL in MARKET
    assert CALL.lower() not in MARKET
    assert MARKET.spelled(f"  {CALL.lower()} ") == CALL
    assert MARKET.problem_with(CALL) is None
    problem = MARKET.problem_with("BTC-PERPETUAL", file="p.csv", row=3, column="instrument")
    with pytest.raises(UnknownInstrumentError, match=r"p.csv.*3.*'BTC-PERPETUAL' is not in the file of charges"):
        raise_problems([] if problem is None else [problem])
    assert repr(MARKET) == "<Market of a listing, 2026-02-15T12:00:00Z (charges.txt)>"


def test_a_market_of_quotes_spells_as_symbols_are_spelled() -> None:
    assert books.market().spelled(" SPXW230915C04500000") == "SPXW  230915C04500000"


def test_it_prices_in_its_own_currency() -> None:
    assert MARKET.currency == "INR"
    assert MARKET.prices == {"INR": 1.0}
    assert books.market().currency == "USD"


def test_no_method_prices_its_contracts_from_quotes() -> None:
    with pytest.raises(UnsupportedError, match="lists contracts that only the method of its file values"):
        MARKET.rows((CALL,))
    assert not len(MARKET.rows(()))
    book = books.book([books.row("a", CALL, 1)])
    with pytest.raises(UnsupportedError, match=r"Name that method, or give a market of quotes with --market"):
        evaluate(book, MARKET, methodology("scenario-grid"))


def test_quotes_in_another_currency_are_not_margined_in_dollars() -> None:
    market = replace(books.market(), currency="EUR")
    with pytest.raises(UnsupportedError, match="a market in EUR for parameters in USD"):
        evaluate(books.book([books.row("a", "BTC-PERPETUAL", 1)]), market, methodology("scenario-grid"))


def test_the_fingerprint_covers_what_is_listed_and_the_currency() -> None:
    other = listed.method(listed.FILE.replace("12.5", "12.6")).market
    markets = (MARKET, other, replace(MARKET, currency="USD"), replace(MARKET, listing=None))
    assert len({market.fingerprint for market in markets}) == len(markets)
    assert listed.method().market.fingerprint == MARKET.fingerprint


def test_the_fingerprint_of_a_market_of_quotes_in_dollars_is_what_it_was() -> None:
    # Stated by the version before there were currencies: cases and answers refer to it.
    assert books.market().fingerprint == "sha256:0c17dbb75cb79523cb6f195ee8df184b09ad004cb3b0f77c57be5b3435161bfa"


def test_everything_moves_with_the_file_the_currency_or_the_time() -> None:
    other = listed.method(listed.FILE.replace("12.5", "12.6")).market
    later = replace(MARKET, as_of=MARKET.as_of + timedelta(minutes=1))
    for newer in (other, later, replace(MARKET, currency="USD")):
        assert MARKET.moved_underlyings(newer) is None
    assert MARKET.moved_underlyings(listed.method().market) == frozenset()
    assert MARKET.moved_underlyings(replace(MARKET, prices={**MARKET.prices, "USD": 87.0})) == frozenset()
    assert MARKET.by_underlying((CALL,)) == {}


def test_a_stablecoin_is_at_par_with_the_dollar_and_with_nothing_else() -> None:
    def of(market: Market) -> tuple[float, list[Fill], list[str]]:
        fills: list[Fill] = []
        problems = []
        price = asset_price(market, "USDC", MissingPolicy(), fills, problems, needed_by="balances")
        return price, fills, [str(problem) for problem in problems]

    price, fills, problems = of(MARKET)
    assert price != price
    assert not fills
    assert "no price in INR for 'USDC'" in problems[0]
    price, fills, problems = of(books.market())
    assert (price, [fill.field for fill in fills], problems) == (1.0, ["dollar price"], [])
