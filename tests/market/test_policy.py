"""What stands in for what is missing: refused by name, or replaced by the named rule and recorded."""

from __future__ import annotations

import csv
import gzip
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from crossmargin.api import read_market
from crossmargin.basics.errors import InputError, MissingQuoteError, UnsupportedError
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.table import Kind
from crossmargin.instruments.terms import Spot
from crossmargin.market.policy import (
    STRICT,
    MissingMark,
    MissingPerpetual,
    MissingPolicy,
    MissingTouch,
    MissingVol,
    UnpricedStablecoin,
)
from crossmargin.market.snapshot import Market, Quote
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.registry import methodology
from crossmargin.revaluation.black import black76
from crossmargin.revaluation.inputs import pricing_inputs
from tests import books

FORWARD = 100_700.0
NEAR = "BTC-27MAR26"


def market(*quotes: Quote, **options: Any) -> Market:
    prices = {"BTC": 100_000.0} | options.pop("prices", {})
    return Market.from_quotes(
        quotes, as_of=books.AS_OF, source="test chain", index={"BTC": 100_000.0}, prices=prices, **options
    )


def call(strike: int, right: str = "C", **prices: Any) -> Quote:
    return Quote(instrument=parse_symbol(f"{NEAR}-{strike}-{right}"), forward=FORWARD, **prices)


def vols_and_fills(*quotes: Quote, policy: MissingPolicy | None = None) -> tuple[dict[str, float], tuple[Fill, ...]]:
    snapshot = market(*quotes)
    inputs = pricing_inputs(snapshot, snapshot.instruments.names, policy or MissingPolicy())
    return dict(zip(inputs.instruments.names, inputs.vol.tolist(), strict=True)), inputs.fills


def years() -> float:
    expiry = parse_symbol(NEAR).expiry  # type: ignore[union-attr]
    return (expiry - books.AS_OF).total_seconds() / (365 * 86_400)


# ------------------------------------------------------------------------------------------------------ volatility


def test_a_missing_vol_is_refused_by_name() -> None:
    policy = MissingPolicy(vol=MissingVol.ERROR)
    with pytest.raises(MissingQuoteError, match=r"no implied volatility for 'BTC-27MAR26-90000-C' .*test chain"):
        vols_and_fills(call(90_000), call(100_000, vol=0.5), policy=policy)


def test_a_missing_vol_that_nothing_can_replace_is_refused() -> None:
    with pytest.raises(MissingQuoteError, match="no implied volatility for 'BTC-27MAR26-90000-C'"):
        vols_and_fills(call(90_000))


def test_a_missing_vol_is_that_of_the_nearest_strike_and_recorded() -> None:
    name = f"{NEAR}-90000-C"
    vols, fills = vols_and_fills(call(90_000), call(80_000, vol=0.7), call(95_000, vol=0.4))
    assert vols[name] == 0.4
    (fill,) = [fill for fill in fills if fill.field == "vol"]
    assert fill.donor == f"{NEAR}-95000-C"
    assert (fill.instrument, fill.value) == (name, 0.4)
    assert fill.rule == f"that of the nearest strike, {NEAR}-95000-C"


@pytest.mark.parametrize(("below", "above"), [(0.4, 0.7), (0.7, 0.4)])
def test_of_two_strikes_as_near_the_higher_vol(below: float, above: float) -> None:
    vols, _ = vols_and_fills(call(90_000), call(85_000, vol=below), call(95_000, vol=above))
    assert vols[f"{NEAR}-90000-C"] == 0.7


def test_the_other_side_of_the_same_strike_is_the_nearest() -> None:
    vols, fills = vols_and_fills(call(90_000), call(90_000, "P", vol=0.3), call(91_000, vol=0.9))
    assert vols[f"{NEAR}-90000-C"] == 0.3
    assert [fill.donor for fill in fills if fill.field == "vol"] == [f"{NEAR}-90000-P"]


def test_another_expiry_lends_no_vol() -> None:
    other = Quote(instrument=parse_symbol("BTC-26JUN26-90000-C"), forward=FORWARD, vol=0.5)
    with pytest.raises(MissingQuoteError, match="BTC-27MAR26-90000-C"):
        vols_and_fills(call(90_000), other)


@pytest.mark.parametrize("quoted", [{"mark": None}, {"bid": -0.001, "ask": 0.001}])
def test_a_missing_vol_is_implied_by_the_option_s_own_price_first(quoted: dict[str, float | None]) -> None:
    price = float(black76(FORWARD, 90_000, 0.62 * math.sqrt(years()), True)) / FORWARD
    if "mark" in quoted:
        own = call(90_000, mark=price)
    else:
        own = call(90_000, bid=price + quoted["bid"], ask=price + quoted["ask"])  # type: ignore[operator]
    vols, fills = vols_and_fills(own, call(91_000, vol=0.4))
    assert vols[f"{NEAR}-90000-C"] == pytest.approx(0.62, rel=1e-9)
    (fill,) = [fill for fill in fills if fill.field == "vol"]
    assert fill.rule == "implied by its own price"
    assert fill.value == pytest.approx(0.62, rel=1e-9)


def test_a_price_without_time_value_implies_nothing() -> None:
    intrinsic = (FORWARD - 90_000) / FORWARD
    vols, fills = vols_and_fills(call(90_000, mark=intrinsic - 1e-4), call(91_000, vol=0.4))
    assert vols[f"{NEAR}-90000-C"] == 0.4
    assert [fill.donor for fill in fills if fill.field == "vol"] == [f"{NEAR}-91000-C"]


# ------------------------------------------------------------------------------------------------------------ marks


def test_a_missing_mark_is_refused_by_name() -> None:
    with pytest.raises(MissingQuoteError, match="no mark price for 'BTC-27MAR26-90000-C'"):
        vols_and_fills(call(90_000, vol=0.5), policy=MissingPolicy(mark=MissingMark.ERROR))


@pytest.mark.parametrize("touch", [{}, {"bid": 0.1}, {"ask": 0.2}])
def test_a_missing_mark_is_the_model_price_and_recorded(touch: dict[str, float]) -> None:
    snapshot = market(call(90_000, vol=0.5, **touch))
    inputs = pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy())
    model = float(black76(FORWARD, 90_000, 0.5 * math.sqrt(years()), True)) / FORWARD
    assert inputs.mark[0] == pytest.approx(model, rel=1e-14)
    assert [(fill.field, fill.rule) for fill in inputs.fills] == [("mark", "model price at its volatility")]


def test_a_missing_mark_between_two_touches_is_their_middle() -> None:
    snapshot = market(call(90_000, vol=0.5, bid=0.10, ask=0.14))
    inputs = pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy())
    assert inputs.mark[0] == pytest.approx(0.12, rel=1e-15)


def test_a_crossed_touch_is_no_mark_without_a_word() -> None:
    """A bid above the ask says nothing of the price: a named rule takes its place, and is recorded."""
    snapshot = market(call(90_000, vol=0.5, bid=0.5, ask=0.1))
    inputs = pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy())
    assert [fill.field for fill in inputs.fills] == ["mark"]


def test_a_crossed_touch_implies_no_vol() -> None:
    """The nearest quoted vol is the honest stand-in; what a crossed touch implies is nobody's."""
    vols, _ = vols_and_fills(call(90_000, bid=0.25, ask=0.15), call(91_000, vol=0.4))
    assert vols[f"{NEAR}-90000-C"] == 0.4


def test_a_future_without_a_price_is_refused_and_with_both_touches_their_middle() -> None:
    future = parse_symbol("BTC-27MAR26")
    with pytest.raises(MissingQuoteError, match="no price for 'BTC-27MAR26'"):
        vols_and_fills(Quote(instrument=future, bid=100_600.0))
    snapshot = market(Quote(instrument=future, bid=100_600.0, ask=100_800.0))
    inputs = pricing_inputs(snapshot, ("BTC-27MAR26",), MissingPolicy())
    assert (inputs.mark[0], inputs.forward[0]) == (100_700.0, 100_700.0)
    assert [(fill.rule, fill.value) for fill in inputs.fills] == [("middle of bid and ask", 100_700.0)]


def test_a_perpetual_without_a_price_is_its_index_or_refused() -> None:
    quote = Quote(instrument=parse_symbol("BTC-PERPETUAL"))
    inputs = pricing_inputs(market(quote), ("BTC-PERPETUAL",), MissingPolicy())
    assert (inputs.mark[0], inputs.forward[0]) == (100_000.0, 100_000.0)
    assert inputs.fills == (Fill(instrument="BTC-PERPETUAL", field="mark", rule="index price", value=100_000.0),)
    with pytest.raises(MissingQuoteError, match="no price for 'BTC-PERPETUAL'"):
        pricing_inputs(market(quote), ("BTC-PERPETUAL",), MissingPolicy(perpetual=MissingPerpetual.ERROR))


# ---------------------------------------------------------------------------------------- touches, dollars, forwards


def test_a_missing_touch_is_left_or_refused() -> None:
    one_sided = call(90_000, vol=0.5, mark=0.15, bid=0.14)
    snapshot = market(one_sided)
    inputs = pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy())
    assert inputs.fills == ()
    assert math.isnan(snapshot.ask[0])
    with pytest.raises(MissingQuoteError, match="no ask for 'BTC-27MAR26-90000-C'"):
        pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy(touch=MissingTouch.ERROR))


def test_a_stablecoin_without_a_price_is_par_and_recorded_or_refused() -> None:
    instrument = Spot(name="BTC_USDC", underlying="BTC", quote_currency="USDC", settlement_currency="USDC")
    snapshot = market(Quote(instrument=instrument))
    inputs = pricing_inputs(snapshot, ("BTC_USDC",), MissingPolicy())
    assert inputs.quote_usd.tolist() == [1.0]
    assert inputs.fills == (Fill(instrument="USDC", field="dollar price", rule="par assumed", value=1.0),)
    with pytest.raises(MissingQuoteError, match="no dollar price for 'USDC'"):
        pricing_inputs(snapshot, ("BTC_USDC",), MissingPolicy(stablecoin=UnpricedStablecoin.ERROR))
    priced = replace(snapshot, prices=dict(snapshot.prices) | {"USDC": 0.97})
    inputs = pricing_inputs(priced, ("BTC_USDC",), STRICT)
    assert (inputs.quote_usd.tolist(), inputs.fills) == ([0.97], ())


def test_no_other_currency_is_assumed_at_par() -> None:
    instrument = Spot(name="BTC_EUR", underlying="BTC", quote_currency="EUR", settlement_currency="EUR")
    with pytest.raises(UnsupportedError, match="quoted in EUR, whose move against the dollar no scenario has"):
        pricing_inputs(market(Quote(instrument=instrument)), ("BTC_EUR",), MissingPolicy())


def test_a_missing_forward_and_a_missing_index_are_refused() -> None:
    option = Quote(instrument=parse_symbol(f"{NEAR}-90000-C"), vol=0.5)
    with pytest.raises(MissingQuoteError, match="no forward price for 'BTC-27MAR26-90000-C'"):
        pricing_inputs(market(option), (option.instrument.name,), MissingPolicy())
    snapshot = replace(market(call(90_000, vol=0.5)), index={})
    with pytest.raises(MissingQuoteError, match="no index price for underlying 'BTC'"):
        pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy())


def test_everything_that_is_missing_is_one_error() -> None:
    quotes = [call(strike) for strike in range(60_000, 97_000, 1_000)]
    with pytest.raises(MissingQuoteError) as caught:
        vols_and_fills(*quotes, policy=STRICT)
    assert len(caught.value.problems) == 37


def test_strict_passes_what_is_all_there() -> None:
    whole = call(90_000, vol=0.5, mark=0.15)
    assert vols_and_fills(whole, policy=STRICT) == ({f"{NEAR}-90000-C": 0.5}, ())


def test_the_first_member_of_each_rule_is_the_refusal_and_each_can_be_written_down() -> None:
    for rule in (MissingVol, MissingMark, MissingPerpetual, MissingTouch, UnpricedStablecoin):
        assert next(iter(rule)).value == "error"
    assert set(MissingPolicy().to_dict()) == {field.name for field in fields(MissingPolicy)}


def test_the_stand_in_stands_in_the_answer() -> None:
    snapshot = market(call(90_000), call(95_000, vol=0.4))
    book = books.book([books.row("a", f"{NEAR}-90000-C", -1)])
    evaluation = evaluate(book, snapshot, methodology("scenario-grid"))
    assert [(fill.instrument, fill.field) for fill in evaluation.fills] == [
        (f"{NEAR}-90000-C", "vol"),
        (f"{NEAR}-90000-C", "mark"),
    ]
    with pytest.raises(InputError):
        evaluate(book, snapshot, methodology("scenario-grid"), STRICT)


def test_a_stand_in_is_made_only_for_what_is_held() -> None:
    snapshot = market(call(90_000), call(95_000, vol=0.4, mark=0.1))
    book = books.book([books.row("a", f"{NEAR}-95000-C", -1)])
    assert evaluate(book, snapshot, methodology("scenario-grid")).fills == ()


# ------------------------------------------------------------------------------------------------- the crash chain


@pytest.fixture(scope="module")
def crash(data_dir: Path) -> tuple[Evaluation, dict[str, dict[str, str]]]:
    path = data_dir / "deribit_chain_20260205T2129Z.csv.gz"
    snapshot = read_market(path)
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        rows = {row["instrument"]: row for row in csv.DictReader(file)}
    options = [
        name
        for name, kind in zip(snapshot.instruments.names, snapshot.instruments.kind.tolist(), strict=True)
        if kind == Kind.OPTION
    ]
    book = books.book([books.row("a", name, 1) for name in options])
    return evaluate(book, snapshot, methodology("scenario-grid")), rows


def test_missing_touches_of_the_crash_stay_missing(
    crash: tuple[Evaluation, dict[str, dict[str, str]]],
) -> None:
    evaluation, rows = crash
    snapshot = evaluation.market
    position = {name: k for k, name in enumerate(snapshot.instruments.names)}
    missing = {"bid_price": 0, "ask_price": 0}
    assert len(rows) == 1_840
    for name, row in rows.items():
        for column, ours in (("bid_price", snapshot.bid), ("ask_price", snapshot.ask)):
            if row[column]:
                assert ours[position[name]] == float(row[column])
            else:
                missing[column] += 1
                assert math.isnan(ours[position[name]])
    assert missing == {"bid_price": 605, "ask_price": 459}


def test_no_price_is_invented_for_the_crash(crash: tuple[Evaluation, dict[str, dict[str, str]]]) -> None:
    """Marks and vols are all quoted in that chain: nothing at all has to stand in for them."""
    evaluation, rows = crash
    assert set(rows) <= set(evaluation.book.instruments)
    assert [fill for fill in evaluation.fills if fill.field in ("bid", "ask", "mark", "vol")] == []


# ------------------------------------------------------------------------------------------ figures in other units


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ({"vol": 84.0}, r"vol 84 of 'BTC-27MAR26-90000-C' .* 0\.84 is 84%"),
        ({"vol": 8.0, "mark": 0.12}, r"mark 0\.12 and vol 8 .* contradict each other: at that vol it is worth 0\.[89]"),
        ({"vol": 0.5, "mark": 12_000.0}, r"mark 12000 and vol 0\.5 .* contradict each other.* in coin"),
    ],
    ids=["percent", "a smaller percent beside a mark", "a mark in dollars"],
)
def test_figures_in_other_units_are_refused(stated: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        vols_and_fills(call(90_000, **stated))
