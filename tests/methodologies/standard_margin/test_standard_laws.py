"""Standard margin through the engine: laws, published examples, collateral, orders, live, refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossmargin.basics.errors import CrossmarginError, ParameterError, UnsupportedError
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.engine.events import Deposit, MarketMove, Trade
from crossmargin.engine.live import LiveBook
from crossmargin.files.case import cut_case, read_case, write_case
from crossmargin.files.positions import read_book
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.standard_margin.method import StandardMargin
from crossmargin.methodologies.standard_margin.recipe import StandardBreakdown
from crossmargin.portfolio.book import Book, Carried, net_carried
from tests import books
from tests.books import Row

DERIVE, DERIBIT = "derive-standard", "deribit-standard"
BOTH = [DERIVE, DERIBIT]
NAMES = {name: tuple(one for one in books.NAMES if books.holds(name, one)) for name in BOTH}
SPOTS = ("BTC", "ETH")
ONE_EXPIRY = tuple(name for name in books.NAMES if name.startswith("BTC-27MAR26-"))
FEW = settings(max_examples=15)


@cache
def method(name: str = DERIVE, parameters: str | None = None) -> StandardMargin:
    made = methodology(name, parameters)
    assert isinstance(made, StandardMargin)
    return made


def document(name: str = DERIVE) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(method(name).info.document))
    return found


def with_prices(**prices: float) -> Market:
    return replace(books.market(), prices={**books.market().prices, **prices})


def book_of(rows: list[Row], cash: dict[str, str], made: StandardMargin) -> Book:
    problems: list[Any] = []
    balances = [{"account": "ann", "asset": asset, "amount": amount} for asset, amount in cash.items()]
    rows = rows or [books.row("ann", "BTC-PERPETUAL", quantity) for quantity in (1, -1)]  # of balances alone
    keys = dict.fromkeys(key for record in rows for key in record)
    records = [{key: record.get(key, "") for key in keys} for record in rows]
    found = read_book(records, balances, problems, accepts=tuple(made.schedule.haircuts))
    assert found is not None, problems
    return found


def run(
    rows: list[Row], cash: dict[str, str] | None = None, market: Market | None = None, name: str = DERIVE
) -> Evaluation:
    return evaluate(book_of(rows, cash or {}, method(name)), market or books.market(), method(name))


def initial(e: Evaluation) -> float:
    return float(e.requirements.requirement_initial[0])


def maintenance(e: Evaluation) -> float:
    return float(e.requirements.requirement_maintenance[0])


def net(e: Evaluation, level: str = "initial") -> float:
    assert e.standing is not None
    return float(e.standing.equity[0] - getattr(e.requirements, f"requirement_{level}")[0])


def detail(e: Evaluation) -> StandardBreakdown:
    found = e.requirements.breakdown.measured.detail  # type: ignore[attr-defined]
    assert isinstance(found, StandardBreakdown)
    return found


# ------------------------------------------------------------------------------------------------------- laws


@settings(max_examples=40)
@given(rows=books.rows_of(("ann",), names=ONE_EXPIRY))
def test_the_maximum_loss_never_asks_for_more_than_the_options_alone(rows: list[Row]) -> None:
    e = run(rows)
    b = detail(e)
    for level in ("initial", "maintenance"):
        alone, found = (getattr(b.expiries, f"{what}_{level}") for what in ("alone", "requirement"))
        assert (found <= alone).all()
        assert (found >= 0).all()
    isolated = e.requirements.requirement_isolated
    assert (e.requirements.requirement_initial <= isolated * (1 + 1e-12) + 1e-9).all()


def test_the_maximum_loss_of_a_spread_is_its_width() -> None:
    """Short a put at 100,000, long one at 85,000: at most 15,000 is lost, and equity has what the spread is worth."""
    rows = [books.row("ann", "BTC-27MAR26-100000-P", -1), books.row("ann", "BTC-27MAR26-85000-P", 1)]
    for level in ("initial", "maintenance"):
        e = run(rows, {"USDC": "15000"})
        margin = net(e, level) - 15_000
        alone = run(rows[:1], {"USDC": "15000"})
        assert margin == pytest.approx(max(-15_000.0, net(alone, level) - 15_000))
    tight = [books.row("ann", "BTC-27MAR26-115000-P", -1), books.row("ann", "BTC-27MAR26-100000-P", 1)]
    wide = [books.row("ann", "BTC-27MAR26-115000-P", -1), books.row("ann", "BTC-27MAR26-60000-P", 1)]
    assert net(run(tight)) == pytest.approx(-15_000)  # 115,000 alone asks for more
    assert net(run(wide)) < net(run(tight))
    assert detail(run(tight)).expiries.settlement.tolist() == [0]  # the first price at which it is lost


def test_calls_short_beyond_the_long_ones_are_charged_at_the_forward() -> None:
    rows = [books.row("ann", "BTC-27MAR26-60000-C", -2), books.row("ann", "BTC-27MAR26-85000-C", 1)]
    e = detail(run(rows)).expiries
    # Of payoffs only the strikes count, 25,000 x 2 at 85,000; beyond, each unpaired call is 1.2 forwards.
    assert e.payoff.tolist() == [-50_000]
    assert e.loss_initial[0] == pytest.approx(float(e.value[0]) + 50_000 + 1.2 * 100_700)
    assert e.loss_maintenance[0] == pytest.approx(float(e.value[0]) + 50_000 + 1.1 * 100_700)
    assert detail(run([books.row("ann", "BTC-27MAR26-60000-C", -2)])).expiries.unpaired.tolist() == [2]


@pytest.mark.parametrize("name", BOTH)
@FEW
@given(data=st.data(), more=st.integers(1, 10**6))
def test_more_cash_never_lowers_the_excess(name: str, data: st.DataObject, more: int) -> None:
    rows = data.draw(books.rows_of(("ann",), names=NAMES[name]))
    little, much = (run(rows, {"USDC": str(cash)}, name=name) for cash in (10, 10 + more))
    assert net(much) == pytest.approx(net(little) + more, rel=1e-12)


@FEW
@given(rows=books.rows_of(("ann",), names=tuple(n for n in NAMES[DERIVE] if n not in SPOTS)))
def test_a_depeg_raises_the_initial_charge_monotonically(rows: list[Row]) -> None:
    found = [run(rows, market=with_prices(USDC=price)) for price in (1.01, 0.99, 0.97, 0.9)]
    for higher, lower in pairwise(found):
        assert initial(higher) <= initial(lower)
        assert maintenance(higher) == maintenance(lower)
    assert not detail(found[1]).depeg.any()
    exposed = detail(run(rows, market=with_prices(USDC=0.97))).depeg_of
    short = any(Decimal(row["quantity"]) < 0 or "PERPETUAL" in row["instrument"] for row in rows)
    assume(short and exposed.any())
    assert initial(found[1]) < initial(found[2]) < initial(found[3])


@FEW
@given(rows=books.rows_of(("ann",), names=NAMES[DERIVE]), sure=st.floats(0, 1))
def test_doubt_of_an_oracle_never_lowers_the_initial_charge(rows: list[Row], sure: float) -> None:
    market = replace(books.market(), facts={"confidence": {"BTC": sure, "ETH-PERPETUAL": sure, "ETH": sure / 2}})
    plain, doubted = run(rows), run(rows, market=market)
    assert initial(doubted) >= initial(plain)
    assert maintenance(doubted) == maintenance(plain)


def test_doubt_is_charged_below_the_threshold_on_spot_notional() -> None:
    rows = [books.row("ann", "BTC-27MAR26-100000-C", -2)]
    for sure, charge in ((0.56, 0.0), (0.54, 0.46 * 2 * 100_000), (0.1, 0.9 * 2 * 100_000)):
        market = replace(books.market(), facts={"confidence": {"BTC-20260327": sure}})
        assert initial(run(rows, market=market)) - initial(run(rows)) == pytest.approx(charge)
    long = [books.row("ann", "BTC-27MAR26-100000-C", 2)]
    market = replace(books.market(), facts={"confidence": {"BTC-20260327": 0.1}})
    assert initial(run(long, market=market)) == initial(run(long))


@FEW
@given(data=st.data(), times=st.integers(2, 50))
def test_a_rate_that_rises_with_size_makes_more_than_so_many_times(data: st.DataObject, times: int) -> None:
    rows = data.draw(books.rows_of(("ann",), names=NAMES[DERIBIT]))
    many = [row | {"quantity": str(Decimal(row["quantity"]) * times)} for row in rows]
    once, more = initial(run(rows, name=DERIBIT)), initial(run(many, name=DERIBIT))
    assert more >= times * once * (1 - 1e-12)
    if detail(run(rows, name=DERIBIT)).delta_one_initial.any():
        assert more > times * once


@pytest.mark.parametrize("name", BOTH)
@FEW
@given(data=st.data())
def test_long_options_ask_for_what_they_are_worth(name: str, data: st.DataObject) -> None:
    options = tuple(one for one in books.OPTIONS if books.holds(name, one))
    rows = data.draw(books.rows_of(("ann",), names=options))
    long = [row | {"quantity": str(abs(Decimal(row["quantity"])))} for row in rows]
    e = run(long, name=name)
    assert initial(e) == pytest.approx(float(e.requirements.net_option_value[0]))
    assert initial(e) == maintenance(e)


def test_traits_say_what_the_parameters_allow() -> None:
    assert method(DERIVE).traits.promised() == ("homogeneous", "euler")
    assert method(DERIBIT).traits.promised() == ("convex", "euler")
    flat = document(DERIBIT)
    for own in flat["underlyings"].values():
        if own["delta_one"]:
            own["delta_one"]["slope"] = "0"
    assert methodology(DERIBIT, flat).traits.promised() == ("convex", "homogeneous", "subadditive", "euler")


def test_joining_two_books_can_cost_more_under_derive() -> None:
    """The traits are right not to promise it: each book has its own better way, and joined they share one."""
    spread = [books.row("ann", "BTC-27MAR26-115000-P", -1), books.row("ann", "BTC-27MAR26-100000-P", 1)]
    naked = [books.row("ann", "BTC-27MAR26-160000-C", -2)]
    assert initial(run(spread + naked)) > initial(run(spread)) + initial(run(naked))


# -------------------------------------------------------------------------------------------- published examples


def _linear(coin: str, price: float) -> Market:
    name = f"{coin}_USDC-PERPETUAL"
    return Market.from_quotes(
        [Quote(instrument=parse_symbol(name, multiplier=Decimal(1) if coin == "SOL" else None), mark=price)],
        as_of=datetime(2025, 6, 1, tzinfo=UTC),
        source="Deribit support, linear perpetual",
        index={coin: price},
        prices={"USDC": 1.0},
    )


@pytest.mark.parametrize(
    ("coin", "price", "coins", "level", "wanted"),
    [
        ("BTC", 100_000, 25, "initial", 53_125),
        ("BTC", 100_000, 350, "initial", 1_312_500),
        ("BTC", 100_000, 25, "maintenance", 28_125),
        ("SOL", 200, 25, "initial", 200.625),
        ("SOL", 200, 6_000, "initial", 84_000),
        ("SOL", 200, 25, "maintenance", 100.625),
    ],
)
@pytest.mark.parametrize("side", [1, -1])
def test_deribits_examples_of_linear_perpetuals(
    coin: str, price: float, coins: int, level: str, wanted: float, side: int
) -> None:
    market = _linear(coin, price)
    one = float(market.instruments.multiplier[0])
    rows = [books.row("ann", market.instruments.names[0], str(Decimal(repr(side * coins / one))))]
    e = run(rows, market=market, name=DERIBIT)
    assert float(getattr(e.requirements, f"requirement_{level}")[0]) == pytest.approx(wanted, rel=1e-12)


def test_deribits_formulas_of_short_options_in_coin() -> None:
    """In coin: most 0.15 less how far out of the money, at least 0.1; maintenance 0.075, of a put its own mark."""
    index, forward = 100_000.0, 100_700.0
    for name, wanted_initial, wanted_maintenance in (
        ("BTC-27MAR26-100000-C", 0.15, 0.075),
        ("BTC-27MAR26-100000-P", 0.15 - 700 / forward, 0.075),
        ("BTC-27MAR26-115000-C", 0.1, 0.075),
        ("BTC-27MAR26-60000-P", 0.1, 0.075),
    ):
        e = run([books.row("ann", name, -3)], name=DERIBIT)
        assert initial(e) == pytest.approx(3 * index * wanted_initial), name
        assert maintenance(e) == pytest.approx(3 * index * wanted_maintenance), name


def test_a_put_far_in_the_money_is_charged_by_its_own_mark() -> None:
    """Worth more than its underlying: 7.5% of the mark is then more than 7.5% of spot, and initial follows."""
    deep = [books.row("ann", "BTC-27MAR26-160000-P", -1)]
    market = replace(books.market(), index={**books.market().index, "BTC": 20_000.0})
    forward = np.where(np.isnan(market.forward), np.nan, market.forward * 0.2)
    market = replace(market, forward=forward)
    e = run(deep, market=market, name=DERIBIT)
    value = -float(e.requirements.net_option_value[0])
    assert value > 5 * 20_000
    assert maintenance(e) == pytest.approx(0.075 * value)
    assert initial(e) == pytest.approx(max(0.15 * 20_000, 0.075 * value))
    derive = run(deep, market=market)
    assert initial(derive) == pytest.approx(1.05 * (1.09 * value) - value)


# ------------------------------------------------------------------------------------------------- collateral


def test_collateral_counts_by_its_factor_and_initial_by_less() -> None:
    e = run([], {"BTC": "2", "USDT": "1000", "USDC": "10"}, with_prices(USDT=0.5))
    assert net(e, "maintenance") == pytest.approx(2 * 75_000 + 490 + 10)
    assert net(e) == pytest.approx(2 * 75_000 * 0.93 + 490 * 0.98 + 10)


def test_a_debt_is_never_free() -> None:
    assert initial(run([], {"BTC": "-1"})) == pytest.approx((1 - 0.75 * 0.93) * 100_000)
    assert initial(run([], {"BTC": "-1"}, name=DERIBIT)) == 0  # there a coin counts whole, and owing it too


def test_a_third_version_reads_spot_and_has_its_own_rates() -> None:
    coins = 1_000 * 10 / 100_050
    rows = [books.row("ann", "BTC-PERPETUAL", 1_000)]
    made = method(DERIVE, "derive-standard-v3")
    e = evaluate(book_of(rows, {}, made), books.market(), made)
    assert initial(e) == pytest.approx(0.066 * coins * 100_000)
    assert maintenance(e) == pytest.approx(0.05 * coins * 100_000)
    assert initial(run(rows)) == pytest.approx(0.1 * coins * 100_050)


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


ROWS = [books.row("ann", "BTC-27MAR26-100000-C", -2), books.row("ann", "BTC-PERPETUAL", -4_000)]


def _with_orders(name: str, orders: dict[str, tuple[int, int]]) -> Evaluation:
    return evaluate(resting(book_of(ROWS, {}, method(name)), orders), books.market(), method(name))


def test_derive_takes_the_worse_side_of_orders() -> None:
    name = "BTC-26JUN26-115000-C"
    e = _with_orders(DERIVE, {name: (5, 3)})
    filled = [initial(run([*ROWS, books.row("ann", name, quantity)])) for quantity in (5, -3)]
    assert initial(e) == pytest.approx(max(*filled, initial(run(ROWS))))
    assert maintenance(e) == maintenance(run(ROWS))


def test_deribit_charges_each_order_as_a_position() -> None:
    option, future = "BTC-26JUN26-115000-C", "BTC-PERPETUAL"
    e = _with_orders(DERIBIT, {option: (5, 3), future: (2_000, 6_000)})
    apart = [initial(run([books.row("ann", option, quantity)], name=DERIBIT)) for quantity in (5, -3)]
    # The future's rate rises with the position and all orders on top of it.
    of_future = [initial(run([books.row("ann", future, quantity)], name=DERIBIT)) for quantity in (12_000, 4_000)]
    assert initial(e) == pytest.approx(initial(run(ROWS, name=DERIBIT)) + sum(apart) + of_future[0] - of_future[1])
    assert maintenance(e) == maintenance(run(ROWS, name=DERIBIT))
    tree = method(DERIBIT).explain(e.requirements, 0)
    assert tree.recombined() == pytest.approx(tree.value)
    assert tree.parts[-1].label == "open orders"


@pytest.mark.parametrize("name", BOTH)
@FEW
@given(data=st.data(), buys=st.integers(0, 40), sells=st.integers(0, 40))
def test_orders_never_lower_and_cover_what_filling_them_would_ask(
    name: str, data: st.DataObject, buys: int, sells: int
) -> None:
    assume(buys or sells)
    instrument = data.draw(st.sampled_from(NAMES[name]))
    sides = (buys * books.size(instrument), sells * books.size(instrument))
    e = _with_orders(name, {instrument: sides})
    assert initial(e) >= initial(run(ROWS, name=name))
    for quantity in (sides[0], -sides[1]):
        if quantity:
            filled = initial(run([*ROWS, books.row("ann", instrument, quantity)], name=name))
            assert initial(e) >= filled * (1 - 1e-12)


# ------------------------------------------------------------------------------------------ explanation, live, case


def test_an_explanation_names_both_ways_and_takes_the_lesser() -> None:
    rows = [
        books.row("ann", "BTC-27MAR26-115000-P", -1),
        books.row("ann", "BTC-27MAR26-100000-P", 1),
        *(books.row("ann", name, -1) for name in books.OPTIONS if name.startswith("BTC-26JUN26")),
        books.row("ann", "BTC-PERPETUAL", 3_000),
    ]
    market = replace(with_prices(USDC=0.9), facts={"confidence": {"BTC": 0.3}})
    e = run(rows, {"BTC": "1", "USDT": "5"}, market)
    for level in ("initial", "maintenance"):
        tree = method().explain(e.requirements, 0, level)
        labels = [node.label for _, node in tree.walk()]
        assert "maximum loss of BTC 2026-03-27 08:00 UTC" in labels
        assert "options of BTC 2026-03-27 08:00 UTC, each alone" in labels
        assert "2 other positions" in labels
        assert ("charge for unsure oracles" in labels) == (level == "initial")
        for _, node in tree.walk():
            assert node.recombined() == pytest.approx(node.value, rel=1e-12, abs=1e-9), node.label
    assert any("inverse" in note for note in e.notes)
    assert not any("inverse" in note for note in run(rows, name=DERIBIT).notes)
    total = math.fsum(e.requirements.contributions.contribution.tolist())
    assert total == pytest.approx(initial(e))


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
    rows = [*ROWS, books.row("bob", "BTC-26JUN26-85000-P", -1), books.row("bob", "ETH-27MAR26-3100-C", 4)]
    live = LiveBook(book_of(rows, {"USDC": "50000", "BTC": "1"}, made), books.market(), made)
    same(live, made)
    live.apply(Trade(account="ann", instrument="BTC-27MAR26-115000-C", steps=2 * STEPS_PER_UNIT))
    same(live, made)
    live.apply(Deposit(account="ann", asset="USDT", steps=700 * STEPS_PER_UNIT))
    same(live, made)
    live.apply(MarketMove(market=with_prices(USDT=0.97, USDC=0.97)))
    same(live, made)
    moved = live.market
    vol = np.where(np.isnan(moved.vol), np.nan, moved.vol * 1.05)
    live.apply(MarketMove(market=replace(moved, vol=vol, index={**moved.index, "BTC": 98_000.0})))
    same(live, made)
    live.apply(MarketMove(market=replace(live.market, facts={"confidence": {"BTC": 0.4}})))
    same(live, made)


@pytest.mark.parametrize("name", BOTH)
def test_a_case_of_an_account_answers_the_same(name: str, tmp_path: Path) -> None:
    market = replace(with_prices(USDC=0.985), facts={"confidence": {"BTC": 0.5, "BTC-20260327": 0.4}})
    book = book_of(ROWS, {"USDC": "5", "BTC": "1", "USDT": "10"}, method(name))
    e = evaluate(resting(book, {"BTC-26JUN26-115000-C": (5, 3)}), market, method(name))
    path = tmp_path / "case.json"
    path.write_text(write_case(cut_case(e, 0)), encoding="utf-8")
    found = read_case(path)
    again = evaluate(found.book, found.market, found.method, found.policy)
    assert again.requirements.requirement_initial.tolist() == e.requirements.requirement_initial.tolist()
    assert again.requirements.requirement_maintenance.tolist() == e.requirements.requirement_maintenance.tolist()
    assert again.requirements.account_charges["open_orders"][0] > 0


# ---------------------------------------------------------------------------------------------------- refusals


def test_what_derive_has_no_figures_for_is_refused_all_at_once() -> None:
    rows = [books.row("ann", name, 1) for name in ("BTC-27MAR26", "SPX   260320C06800000", "BTC-26JUN26")]
    with pytest.raises(UnsupportedError) as caught:
        run(rows)
    text = str(caught.value)
    assert text.count("is a dated future, which 'derive-standard' has no rule for") == 2
    assert "no parameters for underlying 'SPX' in 'derive-standard-mainnet'" in text


def test_what_no_source_states_is_refused_by_its_name() -> None:
    rows = [books.row("ann", name, 1) for name in ("ETH-PERPETUAL", "ETH-27MAR26", "ETH-27MAR26-3100-C")]
    own = document(DERIBIT)
    own["underlyings"]["ETH"]["delta_one"] = None
    without = methodology(DERIBIT, own)
    assert isinstance(without, StandardMargin)
    with pytest.raises(UnsupportedError) as caught:
        evaluate(book_of(rows, {}, without), books.market(), without)
    assert len(caught.value.problems) == 2
    assert "has no figures for futures and perpetuals on ETH" in str(caught.value)
    assert "'underlyings.ETH.delta_one'" in str(caught.value)
    made = methodology(DERIBIT)
    assert isinstance(made, StandardMargin)
    assert evaluate(book_of(rows, {}, made), books.market(), made).requirements.requirement_initial[0] > 0


def test_a_price_that_is_not_above_0_is_refused() -> None:
    market = books.market()
    mark = market.mark.copy()
    mark[market.instruments.names.index("BTC-27MAR26-160000-C")] = -0.001
    market = replace(market, mark=mark, index={**market.index, "BTC": 1e-9})
    rows = [books.row("ann", name, 1) for name in ("BTC-27MAR26-60000-C", "BTC-27MAR26-160000-C")]
    with pytest.raises(CrossmarginError, match=r"mark price -0\.001 of 'BTC-27MAR26-160000-C'"):
        run(rows, market=market)
    linear = _linear("BTC", -5.0)
    with pytest.raises(UnsupportedError, match="index price -5 of 'BTC_USDC-PERPETUAL'") as caught:
        run([books.row("ann", "BTC_USDC-PERPETUAL", 1)], market=linear, name=DERIBIT)
    assert len(caught.value.problems) == 2


def test_spot_of_what_is_no_collateral_is_refused() -> None:
    own = document()
    del own["collateral"]["ETH"]
    made = methodology(DERIVE, own)
    assert isinstance(made, StandardMargin)
    with pytest.raises(UnsupportedError, match="'ETH' is no collateral in 'derive-standard-mainnet'"):
        evaluate(book_of([books.row("ann", "ETH", 1)], {}, made), books.market(), made)


def test_faults_of_a_document_are_listed_together() -> None:
    own = document()
    btc = own["underlyings"]["BTC"]
    btc["delta_one"]["maintenance"] = "0.2"
    btc["options"]["call_spot_maintenance"] = "0.14"
    btc["options"]["put_initial_over_maintenance"] = "0.9"
    btc["options"]["maximum_loss"]["unpaired_initial"] = "1"
    own["moneyness_price"] = "mark"
    own["open_orders"] = "none"
    own["dated_futures"] = "no"
    own["depeg"]["asset"] = ""
    own["collateral"]["BTC"]["factor"] = "1.1"
    own["typo"] = 1
    del own["underlyings"]["ETH"]["options"]
    with pytest.raises(ParameterError) as caught:
        methodology(DERIVE, own)
    wrong = {problem.column for problem in caught.value.problems}
    assert wrong == {
        "underlyings.BTC.delta_one.maintenance",
        "underlyings.BTC.options.call_spot_maintenance",
        "underlyings.BTC.options.put_initial_over_maintenance",
        "underlyings.BTC.options.maximum_loss.unpaired_maintenance",
        "underlyings.ETH.options",
        "moneyness_price",
        "open_orders",
        "dated_futures",
        "depeg.asset",
        "collateral.BTC.factor",
        "typo",
    }


def test_nothing_is_overridden_by_keyword() -> None:
    with pytest.raises(ParameterError, match="'depeg' is no parameter that can be overridden"):
        methodology(DERIVE, depeg=1)
