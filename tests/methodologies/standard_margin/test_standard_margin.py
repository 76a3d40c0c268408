"""Standard margin through the engine: laws, spreads, orders, collateral, doubts, live, refusals.

Order of rows, netting and scaling are in `tests/methodologies/test_laws.py`, which knows both methods.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossmargin.aggregation.sweep import Holdings, segments
from crossmargin.basics.errors import ParameterError, UnsupportedError
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.engine.events import Deposit, MarketMove, Trade
from crossmargin.engine.live import LiveBook
from crossmargin.files.case import cut_case, read_case, write_case
from crossmargin.files.positions import read_book
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.standard_margin.method import StandardMargin
from crossmargin.methodologies.standard_margin.parameters import load_parameters
from crossmargin.methodologies.standard_margin.steps import (
    delta_one_charge,
    short_option_initial,
    short_option_maintenance,
    worst_settlement,
)
from crossmargin.portfolio.book import Book, Carried, net_carried
from tests import books
from tests.books import Row

BOTH = ["derive-standard", "deribit-standard"]
DERIVE, DERIBIT = BOTH
NAMES = {name: tuple(one for one in books.NAMES if books.holds(name, one)) for name in BOTH}
CALL, HIGHER_CALL, PUT = "BTC-27MAR26-100000-C", "BTC-27MAR26-115000-C", "BTC-27MAR26-85000-P"


@cache
def method(name: str = DERIVE) -> StandardMargin:
    made = methodology(name)
    assert isinstance(made, StandardMargin)
    return made


def changed(name: str = DERIVE, **parts: Any) -> StandardMargin:
    made = methodology(name, copied(name) | parts)
    assert isinstance(made, StandardMargin)
    return made


def copied(name: str = DERIVE) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(method(name).info.document))
    return document


def without_spreads() -> StandardMargin:
    own = {name: one | {"spread": None} for name, one in copied()["underlyings"].items()}
    return changed(underlyings=own)


def with_prices(**prices: float) -> Market:
    return replace(books.market(), prices={**books.market().prices, **prices})


def book_of(rows: list[Row], cash: dict[str, str], made: StandardMargin | None = None) -> Book:
    problems: list[Any] = []
    balances = [{"account": "ann", "asset": asset, "amount": amount} for asset, amount in cash.items()]
    keys = dict.fromkeys(key for record in rows for key in record)
    records = [{key: record.get(key, "") for key in keys} for record in rows]
    found = read_book(records, balances, problems, accepts=tuple((made or method()).schedule.haircuts))
    assert found is not None, problems
    return found


def run(
    rows: list[Row],
    cash: dict[str, str] | None = None,
    market: Market | None = None,
    made: StandardMargin | None = None,
) -> Evaluation:
    made = made or method()
    return evaluate(book_of(rows, cash or {}, made), market or books.market(), made)


def initial(e: Evaluation) -> float:
    return float(e.requirements.requirement_initial.sum())


def net(e: Evaluation, level: str = "initial") -> float:
    assert e.standing is not None
    return float(e.standing.equity[0] - getattr(e.requirements, f"requirement_{level}")[0])


# ------------------------------------------------------------------------------------------------------- steps


def test_short_options_as_the_formula_has_them() -> None:
    """In coin, as the venue writes it: 0.15 less out of the money, at least 0.1; a put looks at its mark."""
    mark, beyond = np.array([0.05, 0.01, 1.5]), np.array([0.0, 0.3, 0.0])
    one, is_call = np.ones(3), np.array([True, True, False])
    maintenance = short_option_maintenance(mark, one, is_call, 0.075 * one, 0.075 * one, 0.075 * one)
    assert maintenance == pytest.approx([0.125, 0.085, 1.6125])
    found = short_option_initial(mark, one, beyond, is_call, 0.15 * one, 0.1 * one, maintenance)
    assert found == pytest.approx([0.2, 0.11, 1.65])
    deep = short_option_initial(
        np.array([3.0]), one[:1], np.zeros(1), np.array([False]), 0.15 * one[:1], 0.1 * one[:1], np.array([3.225])
    )
    assert deep == pytest.approx([3.225])  # maintenance is more


@pytest.mark.parametrize(
    ("coins", "price", "rate", "slope", "margin"),
    [
        (25, 100_000, 0.02, 0.00005, 53_125),
        (350, 100_000, 0.02, 0.00005, 1_312_500),
        (25, 100_000, 0.01, 0.00005, 28_125),
        (25, 200, 0.04, 0.000005, 200.625),
        (6_000, 200, 0.04, 0.000005, 84_000),
        (25, 200, 0.02, 0.000005, 100.625),
    ],
)
def test_rates_by_size_give_the_venues_own_examples(
    coins: float, price: float, rate: float, slope: float, margin: float
) -> None:
    """The table of Deribit's page on linear perpetuals: BTC and SOL, initial and maintenance."""
    at = [np.array([figure]) for figure in (coins, coins * price, rate, slope)]
    assert delta_one_charge(*at) == pytest.approx([margin])
    own = load_parameters(None, "deribit-standard-2024").underlyings
    figures = [own["BTC"].delta_one, own["SOL"].delta_one]
    known = {(f.initial, f.initial_slope) for f in figures if f} | {
        (f.maintenance, f.maintenance_slope) for f in figures if f
    }
    assert (rate, slope) in known


def test_the_largest_loss_is_at_0_or_at_a_strike_that_is_held() -> None:
    """A short put spread loses between its strikes, a short straddle at 0; an order's strike is none of them."""
    held = Holdings(
        offsets=np.array([0, 3, 5]),
        instrument=np.array([0, 1, 2, 2, 3]),
        quantity=np.array([1.0, -2.0, 0.0, -1.0, -1.0]),
    )
    strike = np.array([80.0, 100.0, 500.0, 120.0])
    is_call = np.array([False, False, True, False])
    by_expiry = segments(held, np.zeros(4, dtype=np.int64))
    found = worst_settlement(by_expiry, strike, is_call, np.ones(4))
    assert found.loss.tolist() == [120.0, 120.0]
    assert found.price.tolist() == [0.0, 0.0]
    # Two short calls, one struck at 500: at 500 the lower would lose 400, if one were held there.
    naked = Holdings(offsets=np.array([0, 2]), instrument=np.array([0, 1]), quantity=np.array([-1.0, 0.0]))
    calls = worst_settlement(
        segments(naked, np.zeros(2, dtype=np.int64)), np.array([100.0, 500.0]), np.array([True, True]), np.ones(2)
    )
    assert calls.loss.tolist() == [0.0]


# -------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=15)
@given(data=st.data(), more=st.integers(1, 10**6))
def test_more_cash_never_lowers_the_excess(name: str, data: st.DataObject, more: int) -> None:
    rows = data.draw(books.rows_of(("ann",), names=NAMES[name]))
    little, much = (run(rows, {"USDC": str(cash)}, made=method(name)) for cash in (10, 10 + more))
    assert net(much) == pytest.approx(net(little) + more, rel=1e-9, abs=1e-6)


@settings(max_examples=30)
@given(rows=books.rows_of(("ann",), names=NAMES[DERIVE]))
def test_spreads_never_ask_for_more_than_their_legs(rows: list[Row]) -> None:
    covered, apart = run(rows), run(rows, made=without_spreads())
    scale = 1e-12 * max(1.0, float(apart.requirements.requirement_isolated.sum()))
    for level in ("initial", "maintenance"):
        less, more = (getattr(e.requirements, f"requirement_{level}").sum() for e in (covered, apart))
        assert less <= more + scale, level


@settings(max_examples=20)
@given(rows=books.rows_of(("ann",), names=NAMES[DERIVE]))
def test_a_depeg_raises_the_initial_charge_monotonically(rows: list[Row]) -> None:
    e = [run(rows, {}, with_prices(USDC=price)).requirements for price in (1.0, 0.99, 0.95, 0.8)]
    charges = [float(r.units.components["depeg_charge"].sum()) for r in e]
    assert charges[0] == charges[1] == 0.0
    assert charges == sorted(charges)
    quantity = {row["instrument"]: float(row["quantity"]) for row in rows}
    if len(rows) == 1 and "BTC" not in quantity and "ETH" not in quantity:
        held = next(iter(quantity.items()))
        is_long_option = held[0].endswith(("-C", "-P")) and held[1] > 0
        assert (charges[2] > 0) is not is_long_option
    assert len({float(r.requirement_maintenance.sum()) for r in e}) == 1


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=15)
@given(data=st.data())
def test_excess_is_what_is_held_less_every_margin(name: str, data: st.DataObject) -> None:
    """A long option adds nothing: only what is held as cash and coins, less what positions ask for, is left."""
    rows = data.draw(books.rows_of(("ann",), names=NAMES[name]))
    e = run(rows, {"USDC": "1000"}, made=method(name))
    more = run([*rows, books.row("ann", "ETH-27MAR26-4500-C", 7)], {"USDC": "1000"}, made=method(name))
    assert net(more) >= net(e) - 1e-6
    if name == DERIBIT and not any(row["instrument"] == "ETH-27MAR26-4500-C" for row in rows):
        assert net(more) == pytest.approx(net(e), rel=1e-9, abs=1e-6)


def test_a_spread_asks_for_its_width_and_a_naked_call_does_not() -> None:
    spread = run([books.row("ann", CALL, -1), books.row("ann", HIGHER_CALL, 1)], {"USDC": "0"})
    assert net(spread) == pytest.approx(-15_000)
    # A put spread settles worst at 0; the long put below covers it there.
    puts = run([books.row("ann", PUT, -1), books.row("ann", "BTC-27MAR26-60000-P", 1)], {"USDC": "0"})
    width = -net(puts)
    legs = run([books.row("ann", PUT, -1)], {"USDC": "0"})
    assert width == pytest.approx(min(25_000, -net(legs)))
    # Where the width is more than the short leg alone, the leg alone counts.
    wide = run([books.row("ann", CALL, -1), books.row("ann", "BTC-27MAR26-160000-C", 1)], {"USDC": "0"})
    alone = run([books.row("ann", CALL, -1)], {"USDC": "0"})
    assert net(wide) == pytest.approx(net(alone))
    # Another expiry covers nothing, and Deribit's short call is alone in any case.
    calendar = run([books.row("ann", CALL, -1), books.row("ann", "BTC-26JUN26-100000-C", 1)], {"USDC": "0"})
    assert net(calendar) == pytest.approx(net(alone))
    there = [run(rows, {"USDC": "0"}, made=method(DERIBIT)) for rows in ([books.row("ann", CALL, -1)], [])]
    beside = run([books.row("ann", CALL, -1), books.row("ann", HIGHER_CALL, 1)], {"USDC": "0"}, made=method(DERIBIT))
    assert net(beside) == pytest.approx(net(there[0]))


def test_what_quotes_give_away_is_no_negative_requirement() -> None:
    """A short put spread sold for more than it can ever cost: its mark is owed, and nothing more is asked for."""
    market = books.market()
    vol = market.vol.copy()
    vol[market.rows(("BTC-27MAR26-115000-C",))] = 0.01
    vol[market.rows((CALL,))] = 3.0
    e = run([books.row("ann", CALL, -1), books.row("ann", HIGHER_CALL, 1)], {"USDC": "0"}, replace(market, vol=vol))
    assert float(e.requirements.net_option_value[0]) < -15_000
    assert e.requirements.requirement_initial.tolist() == [0.0]
    assert e.requirements.contributions.contribution.tolist() == [0.0, 0.0]
    tree = e.methodology.explain(e.requirements, 0)
    assert tree.recombined() == tree.value == 0.0


# ------------------------------------------------------------------------------------------- collateral, oracles


def test_collateral_counts_in_part_and_a_debt_whole() -> None:
    e = run([], {"ETH": "10"})
    assert net(e, "maintenance") == pytest.approx(31_000 * 0.8)
    assert net(e) == pytest.approx(31_000 * 0.8 * 0.9375)
    assert e.requirements.units.names == ("collateral",)
    owed = run([], {"ETH": "-10", "USDC": "40000"})
    assert net(owed) == pytest.approx(40_000 - 31_000)
    unknown = run([], {"LBTC": "2"}, with_prices(LBTC=99_000))
    assert net(unknown) == pytest.approx(2 * 99_000 * 0.65 * 0.77)
    whole = run([], {"BTC": "1"}, made=method(DERIBIT))
    assert net(whole) == pytest.approx(100_000)


def test_an_unsure_oracle_charges_what_it_prices_at_initial_level_only() -> None:
    perp, coins = books.row("ann", "BTC-PERPETUAL", 100_050), 100_050 * 10 / 100_050  # 10 dollars a contract
    rows = [books.row("ann", CALL, -2), books.row("ann", PUT, 3), perp]
    sure = run(rows, {"BTC": "1"})
    for facts, charged in (
        ({"BTC-20260327": 0.5}, 2 * 0.5),  # short options of the expiry
        ({"BTC-PERPETUAL": 0.2}, coins * 0.8),
        ({"BTC": 0.4}, (2 + coins + 1) * 0.6),  # everything on BTC, the collateral too
        ({"BTC": 0.4, "BTC-PERPETUAL": 0.2}, (2 + 1) * 0.6 + coins * 0.8),
        ({"BTC": 0.55, "ETH": 0.0}, 0.0),
    ):
        e = run(rows, {"BTC": "1"}, replace(books.market(), facts={"confidence": facts}))
        assert initial(e) - initial(sure) == pytest.approx(charged * 100_000, abs=1e-6), facts
        same_maintenance = e.requirements.requirement_maintenance == sure.requirements.requirement_maintenance
        assert same_maintenance.all()


# ----------------------------------------------------------------------------------------------------- orders


def resting(book: Book, orders: dict[str, tuple[int, int]]) -> Book:
    names = tuple(sorted(orders))
    sides = np.array([orders[name] for name in names], dtype=np.int64) * STEPS_PER_UNIT
    rows = Carried(
        instruments=names,
        account=np.zeros(len(names), dtype=np.int64),
        instrument=np.arange(len(names)),
        buys=sides[:, 0],
        sells=sides[:, 1],
        unrealised=np.zeros(len(names), dtype=np.int64),
    )
    return replace(book, carried=net_carried(rows, book.accounts))


def charged_for(orders: dict[str, tuple[int, int]], rows: list[Row], made: StandardMargin) -> float:
    book = book_of(rows, {"USDC": "1"}, made)
    plain, e = (evaluate(one, books.market(), made).requirements for one in (book, resting(book, orders)))
    more = float(e.requirement_initial[0] - plain.requirement_initial[0])
    assert e.requirement_maintenance.tolist() == plain.requirement_maintenance.tolist()
    tree = made.explain(e, 0)
    assert tree.recombined() == pytest.approx(tree.value)
    if more > 1e-6:
        assert tree.parts[-1].label == "open orders"
        assert tree.parts[-1].value == pytest.approx(more)
    return more


def test_deribit_charges_each_contract_by_its_own_worse_side() -> None:
    made, rows = method(DERIBIT), [books.row("ann", CALL, -2)]
    of = {q: initial(run([books.row("ann", CALL, q)], {"USDC": "1"}, made=made)) if q else 0.0 for q in (-2, -5, 1, -3)}
    assert charged_for({CALL: (0, 3)}, rows, made) == pytest.approx(of[-5] - of[-2])
    assert charged_for({CALL: (2, 0)}, rows, made) == pytest.approx(0.0)  # closing lowers nothing before it is done
    # A long option is required at its value: buying it costs its premium.
    put = initial(run([books.row("ann", PUT, 4)], {"USDC": "1"}, made=made))
    assert charged_for({PUT: (4, 0)}, rows, made) == pytest.approx(put)
    # Sides of two contracts are not one side of an account.
    both = charged_for({CALL: (0, 3), PUT: (4, 0)}, rows, made)
    assert both == pytest.approx(of[-5] - of[-2] + put)
    perp = {q: initial(run([books.row("ann", "BTC-PERPETUAL", q)], made=made)) for q in (10_000, 50_000)}
    book = [books.row("ann", "BTC-PERPETUAL", 10_000)]
    assert charged_for({"BTC-PERPETUAL": (0, 60_000)}, book, made) == pytest.approx(perp[50_000] - perp[10_000])


def test_derive_charges_the_worse_side_of_the_account() -> None:
    made, rows = method(), [books.row("ann", CALL, -2)]
    now = initial(run(rows, {"USDC": "1"}))
    sold = initial(run([books.row("ann", CALL, -5)], {"USDC": "1"}))
    covered = initial(run([*rows, books.row("ann", HIGHER_CALL, 2)], {"USDC": "1"}))
    assert charged_for({CALL: (0, 3), HIGHER_CALL: (2, 0)}, rows, made) == pytest.approx(
        max(sold, covered, now) - now, abs=1e-6
    )


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=15)
@given(data=st.data())
def test_orders_never_lower_what_is_asked_for(name: str, data: st.DataObject) -> None:
    rows = data.draw(books.rows_of(("ann",), names=NAMES[name], most=6))
    orders = data.draw(
        st.dictionaries(
            st.sampled_from([one for one in NAMES[name] if "-" in one]),
            st.tuples(st.integers(0, 9), st.integers(0, 9)),
            min_size=1,
            max_size=4,
        )
    )
    assert charged_for(orders, rows, method(name)) >= -1e-6


# --------------------------------------------------------------------------------------------- live, case, notes


def same(live: LiveBook, made: StandardMargin) -> None:
    whole = evaluate(live.book(), live.market, made)
    for name in ("requirement_initial", "requirement_maintenance", "net_option_value"):
        assert getattr(live.requirements, name).tolist() == getattr(whole.requirements, name).tolist(), name
    assert live.standing is not None
    assert whole.standing is not None
    assert live.standing.excess.tolist() == whole.standing.excess.tolist()


@pytest.mark.parametrize("name", BOTH)
def test_a_live_book_keeps_the_bits_of_a_full_evaluation(name: str) -> None:
    made = method(name)
    rows = [
        books.row("ann", CALL, -2),
        books.row("ann", HIGHER_CALL, 1),
        books.row("bob", "ETH-PERPETUAL", 3000),
        books.row("bob", PUT, -1),
    ]
    live = LiveBook(book_of(rows, {"USDC": "50000", "BTC": "1"}, made), books.market(), made)
    same(live, made)
    live.apply(Trade(account="ann", instrument="BTC-PERPETUAL", steps=5_000 * STEPS_PER_UNIT))
    same(live, made)
    live.apply(Deposit(account="ann", asset="ETH", steps=7 * STEPS_PER_UNIT))
    same(live, made)
    live.apply(MarketMove(market=with_prices(USDC=0.9)))
    same(live, made)
    moved = live.market
    vol = np.where(np.isnan(moved.vol), np.nan, moved.vol * 1.05)
    live.apply(MarketMove(market=replace(moved, vol=vol, index={**moved.index, "BTC": 98_000.0})))
    same(live, made)
    live.apply(MarketMove(market=replace(live.market, facts={"confidence": {"BTC": 0.4}})))
    same(live, made)


@pytest.mark.parametrize("name", BOTH)
def test_a_case_of_an_account_answers_the_same(tmp_path: Path, name: str) -> None:
    made = method(name)
    market = replace(with_prices(USDC=0.985), facts={"confidence": {"BTC": 0.5, "BTC-20260327": 0.4}})
    rows = [books.row("ann", CALL, -2), books.row("ann", HIGHER_CALL, 1)]
    book = resting(book_of(rows, {"USDC": "5", "BTC": "1", "ETH": "10"}, made), {PUT: (5, 3)})
    e = evaluate(book, market, made)
    path = tmp_path / "case.json"
    path.write_text(write_case(cut_case(e, 0)), encoding="utf-8")
    found = read_case(path)
    again = evaluate(found.book, found.market, found.method, found.policy)
    assert again.requirements.requirement_initial.tolist() == e.requirements.requirement_initial.tolist()
    assert again.requirements.requirement_maintenance.tolist() == e.requirements.requirement_maintenance.tolist()
    assert again.requirements.account_charges["open_orders"][0] > 0


def test_inverse_contracts_are_native_to_one_venue_only() -> None:
    rows = [books.row("ann", CALL, -1)]
    notes = {name: run(rows, made=method(name)) for name in BOTH}
    texts = {name: e.methodology.notes(e.book, _priced(e)) for name, e in notes.items()}
    assert texts[DERIBIT] == ()
    assert "no inverse contracts" in texts[DERIVE][0]


def _priced(e: Evaluation) -> Any:
    return e.requirements.breakdown.priced  # type: ignore[attr-defined]


def test_traits_are_those_of_the_parameters() -> None:
    assert method(DERIVE).traits.promised() == ("homogeneous", "euler")
    assert method(DERIBIT).traits.promised() == ("convex", "euler")
    assert without_spreads().traits.promised() == ("convex", "homogeneous", "subadditive", "euler")


# -------------------------------------------------------------------------------------------------- refusals


def test_what_it_has_no_rule_for_is_refused_all_at_once() -> None:
    rows = [books.row("ann", name, 1) for name in ("BTC-27MAR26", "SPX   260320C06800000", "BTC-26JUN26")]
    with pytest.raises(UnsupportedError) as caught:
        run(rows)
    text = str(caught.value)
    assert text.count("is a dated future, which 'derive-standard' has no rule for") == 2
    assert "no parameters for underlying 'SPX'" in text


def test_what_no_source_states_is_refused_by_the_name_of_what_is_missing() -> None:
    made = methodology(DERIVE, "derive-standard-v3")
    assert isinstance(made, StandardMargin)
    perp = [books.row("ann", "BTC-PERPETUAL", 100_050)]
    assert initial(run(perp, made=made)) == pytest.approx(10 * 100_050 * 0.066)
    with pytest.raises(UnsupportedError, match=r"needs underlyings\.BTC\.short_option, which is null"):
        run([books.row("ann", CALL, 1)], made=made)
    with pytest.raises(UnsupportedError, match=r"confidence 0\.5 of 'BTC' needs 'oracle'"):
        run(perp, {}, replace(books.market(), facts={"confidence": {"BTC": 0.5, "SPX": 0.1}}), made)
    with pytest.raises(UnsupportedError, match=r"price of USDC of 0\.97 needs 'depeg'"):
        run(perp, {}, with_prices(USDC=0.97), made)
    with pytest.raises(UnsupportedError, match="'BTC' is no collateral in 'derive-standard-v3'"):
        run([books.row("ann", "BTC", 1)], made=made)


def test_faults_of_a_document_are_listed_together() -> None:
    document = copied(DERIBIT)
    document["rules"]["option_value"] = "guess"
    document["underlyings"]["BTC"]["delta_one"]["maintenance"] = "0.03"
    document["underlyings"]["ETH"]["short_option"]["initial_least"] = "0.2"
    document["underlyings"]["SOL"]["slope"] = "1"
    document["collateral"]["USDC"]["factor"] = "0.9"
    document["depeg"]["threshold"] = "2"
    del document["oracle"]
    with pytest.raises(ParameterError) as caught:
        methodology(DERIBIT, document)
    text = str(caught.value)
    for words in ("'guess'", "0.03, above initial 0.02", "0.2, above initial_most", "SOL.slope", "not count whole"):
        assert words in text
    assert len(caught.value.problems) >= 7
    spreads = copied(DERIBIT)
    spreads["underlyings"]["BTC"]["spread"] = {"unpaired_initial": "1.2", "unpaired_maintenance": "1.1"}
    with pytest.raises(ParameterError, match="resting orders count by position"):
        methodology(DERIBIT, spreads)
    with pytest.raises(ParameterError, match="is no parameter that can be overridden"):
        methodology(DERIVE, None, gain_share="0.5")


@settings(max_examples=10)
@given(rows=books.rows_of(("ann",), names=NAMES[DERIVE]))
def test_initial_is_never_below_maintenance_in_doubt(rows: list[Row]) -> None:
    market = replace(with_prices(USDC=0.7), facts={"confidence": {"BTC": 0.1, "ETH": 0.1}})
    assume(rows)
    r = run(rows, {"BTC": "1"}, market).requirements
    assert (r.requirement_initial >= r.requirement_maintenance).all()
