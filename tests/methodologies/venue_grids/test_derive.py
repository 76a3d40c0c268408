"""Derive's portfolio margin through the engine: laws, collateral that takes part, orders, live, refusals."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from functools import cache
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
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.venue_grids.derive.method import DerivePortfolio
from crossmargin.portfolio.book import Book, Carried, net_carried
from tests import books
from tests.books import Row

NAMES = tuple(name for name in books.NAMES if books.holds("derive-pmrm2", name))
BOTH = ["derive-pmrm2", "derive-pmrm1"]


@cache
def method(name: str = "derive-pmrm2") -> DerivePortfolio:
    made = methodology(name)
    assert isinstance(made, DerivePortfolio)
    return made


def with_prices(**prices: float) -> Market:
    return replace(books.market(), prices={**books.market().prices, **prices})


def book_of(rows: list[Row], cash: dict[str, str], name: str = "derive-pmrm2") -> Book:
    problems: list[Any] = []
    schedule = method(name).schedule
    assert schedule is not None
    balances = [{"account": "ann", "asset": asset, "amount": amount} for asset, amount in cash.items()]
    keys = dict.fromkeys(key for record in rows for key in record)
    records = [{key: record.get(key, "") for key in keys} for record in rows]
    found = read_book(records, balances, problems, accepts=tuple(schedule.haircuts))
    assert found is not None, problems
    return found


def run(rows: list[Row], cash: dict[str, str], market: Market | None = None, name: str = "derive-pmrm2") -> Evaluation:
    return evaluate(book_of(rows, cash, name), market or books.market(), method(name))


def net(e: Evaluation, level: str = "initial") -> float:
    assert e.standing is not None
    return float(e.standing.equity[0] - getattr(e.requirements, f"requirement_{level}")[0])


SHORT = [books.row("ann", "BTC-27MAR26-100000-C", -2), books.row("ann", "BTC-27MAR26-85000-P", -3)]


# ------------------------------------------------------------------------------------------------------- laws


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=15)
@given(rows=books.rows_of(("ann",), names=NAMES), more=st.integers(1, 10**6))
def test_more_cash_never_lowers_the_excess(name: str, rows: list[Row], more: int) -> None:
    little, much = (run(rows, {"USDC": str(cash)}, name=name) for cash in (10, 10 + more))
    assert net(much) == pytest.approx(net(little) + more, rel=1e-12)


@settings(max_examples=15)
@given(rows=books.rows_of(("ann",), names=NAMES), amount=st.integers(1, 10**6))
def test_collateral_that_cancels_no_risk_moves_no_scenario(rows: list[Row], amount: int) -> None:
    without, beside = run(rows, {"USDC": "1"}), run(rows, {"USDC": "1", "USDT": str(amount)})
    first, second = (e.methodology.scenarios(e.requirements, 0) for e in (without, beside))
    n = len(first.units)
    assert second.units[:n] == first.units
    assert (second.pnl[:n] <= first.pnl + 0.0).all()
    assert not second.pnl[n:].any()
    # It pays its haircut and nothing else: 2% at maintenance, and 2% more at initial level.
    more = beside.requirements.requirement_initial[0] - without.requirements.requirement_initial[0]
    assert more == pytest.approx(0.04 * amount)


CONTRACTS = tuple(name for name in NAMES if name not in ("BTC", "ETH"))


@settings(max_examples=20)
@given(rows=books.rows_of(("ann",), names=CONTRACTS))
def test_a_depeg_raises_the_initial_charge_monotonically(rows: list[Row]) -> None:
    initial = [float(run(rows, {}, with_prices(USDC=p)).requirements.requirement_initial[0]) for p in (1, 0.98, 0.9)]
    assume(initial[0] > 0)
    assert initial[0] <= initial[1] <= initial[2]
    e = [run(rows, {}, with_prices(USDC=p)).requirements for p in (1, 0.9)]
    if e[0].units.components["scenario_loss"].any():
        assert initial[2] > initial[0]
    assert e[0].requirement_maintenance[0] == e[1].requirement_maintenance[0]


def test_a_delta_neutral_calendar_of_synthetic_forwards_is_never_free() -> None:
    """Long a forward of one expiry, short one of another: no scenario moves them apart, the basis does."""
    rows = [
        books.row("ann", "BTC-27MAR26-100000-C", 1),
        books.row("ann", "BTC-27MAR26-100000-P", -1),
        books.row("ann", "BTC-26JUN26-100000-C", -1),
        books.row("ann", "BTC-26JUN26-100000-P", 1),
    ]
    r = run(rows, {}).requirements
    # Each leg alone has 4.5% of a forward, half of it and more by time; nothing offsets between expiries.
    assert r.requirement_maintenance[0] > 2 * 0.045 * 0.5 * 100_000 * 0.8
    assert r.units.scenario_worst[0] == "basis of every expiry"


def test_a_coin_hedges_its_short_call_and_an_unsure_oracle_charges() -> None:
    rows = [books.row("ann", "BTC-27MAR26-100000-C", -1)]
    naked, covered, alone = (
        run(rows, {"USDC": "1000"}),
        run(rows, {"USDC": "1000", "BTC": "1"}),
        run([books.row("ann", "BTC", 1)], {"USDC": "1000"}),
    )
    apart = naked.requirements.requirement_initial[0] + alone.requirements.requirement_initial[0]
    assert covered.requirements.requirement_initial[0] < 0.6 * apart
    unsure = replace(books.market(), facts={"confidence": {"BTC": 0.5}})
    charged = run(rows, {"USDC": "1000", "BTC": "1"}, unsure)
    more = charged.requirements.requirement_initial[0] - covered.requirements.requirement_initial[0]
    assert more == pytest.approx(0.5 * 100_000 * 2)  # half of the option's coin and of the collateral
    assert charged.requirements.requirement_maintenance[0] == covered.requirements.requirement_maintenance[0]


def test_parameters_that_discount_a_debt_promise_less() -> None:
    document = json.loads(json.dumps(method().info.document))
    for own in document["underlyings"].values():
        own["static_discount"] |= {"long_base": "1.05", "short_base": "0.95"}
    for own in document["underlyings"].values():
        own["contingencies"]["confidence_charge"] = "0"
    assert methodology("derive-pmrm2", document).traits.promised() == ("homogeneous", "euler")
    assert sure().traits.promised() == ("convex", "homogeneous", "subadditive", "euler")
    # Where oracles are charged for, a perpetual whose oracle is unsure makes every expiry beside it dearer.
    assert method().traits.promised() == ("homogeneous", "euler")


@cache
def sure() -> DerivePortfolio:
    """The method without a charge for oracles."""
    document = json.loads(json.dumps(method().info.document))
    for own in document["underlyings"].values():
        own["contingencies"]["confidence_charge"] = "0"
    made = methodology("derive-pmrm2", document)
    assert isinstance(made, DerivePortfolio)
    return made


@settings(max_examples=25)
@given(
    one=books.rows_of(("ann",), names=NAMES, most=8),
    two=books.rows_of(("ann",), names=NAMES, most=8),
)
def test_joining_never_costs_more_where_it_is_promised(one: list[Row], two: list[Row]) -> None:
    def initial(rows: list[Row]) -> float:
        return float(evaluate(books.book(rows), books.market(), sure()).requirements.requirement_initial[0])

    apart = initial(one) + initial(two)
    assert initial(one + two) <= apart * (1 + 1e-12) + 1e-6


def test_an_order_or_nothing_of_an_unsure_perpetual_charges_no_option() -> None:
    unsure = replace(books.market(), facts={"confidence": {"BTC-PERPETUAL": 0.3}})
    long = [books.row("ann", "BTC-27MAR26-100000-C", 1)]
    plain = run(long, {"USDC": "5"}, unsure).requirements
    assert not plain.units.components["oracle_charge"].any()
    book = resting(book_of(long, {"USDC": "5"}), {"BTC-PERPETUAL": (10, 0)})
    rested = evaluate(book, unsure, method()).requirements
    assert not rested.units.components["oracle_charge"].any()
    assert rested.account_charges["open_orders"][0] > 0
    assert run([*long, books.row("ann", "BTC-PERPETUAL", 10)], {}, unsure).requirements.units.components[
        "oracle_charge"
    ][0] == pytest.approx(0.7 * (100_000 + 100 * 100_000 / 100_050), rel=1e-6)


def test_a_set_of_the_other_generation_is_refused() -> None:
    with pytest.raises(ParameterError, match="family 'derive-pmrm1'"):
        methodology("derive-pmrm2", methodology("derive-pmrm1").info.document)


def test_orders_of_a_gross_account_and_profit_of_an_option_are_refused() -> None:
    gross = book_of([row | {"account_type": "gross"} for row in SHORT], {"USDC": "5"})
    with pytest.raises(UnsupportedError, match="resting orders of gross account 'ann'"):
        evaluate(resting(gross, {SHORT[0]["instrument"]: (1, 0)}), books.market(), method())
    name = SHORT[0]["instrument"]
    rows = Carried(
        instruments=(name,),
        account=np.zeros(1, dtype=np.int64),
        instrument=np.zeros(1, dtype=np.int64),
        buys=np.zeros(1, dtype=np.int64),
        sells=np.zeros(1, dtype=np.int64),
        unrealised=np.array([5 * STEPS_PER_UNIT]),
    )
    with pytest.raises(CrossmarginError, match="whose whole value is credited already"):
        evaluate(replace(book_of(SHORT, {"USDC": "5"}), carried=rows), books.market(), method())


# ----------------------------------------------------------------------------------------- orders, net margins


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


def test_resting_orders_are_margined_by_the_worse_side_at_initial_only() -> None:
    book = book_of(SHORT, {"USDC": "100000"})
    name = "BTC-26JUN26-115000-C"  # of which there is no position
    e = evaluate(resting(book, {name: (5, 3)}), books.market(), method())
    plain = evaluate(book, books.market(), method())
    filled = {
        side: run([*SHORT, books.row("ann", name, q)], {"USDC": "100000"}).requirements.requirement_initial[0]
        for side, q in (("buys", 5), ("sells", -3))
    }
    worst = max(*filled.values(), plain.requirements.requirement_initial[0])
    assert e.requirements.requirement_initial[0] == pytest.approx(worst)
    assert e.requirements.requirement_maintenance[0] == plain.requirements.requirement_maintenance[0]
    tree = method().explain(e.requirements, 0)
    assert tree.recombined() == pytest.approx(tree.value)
    assert tree.parts[-1].label == "open orders"


def test_excess_is_the_rulebooks_net_margin() -> None:
    """Equity less requirement is cash, options at the model, collateral, less charges: nothing is counted twice."""
    e = run(SHORT, {"USDC": "250000", "BTC": "1"})
    value = float(e.requirements.net_option_value[0])
    assert e.standing is not None
    assert e.standing.equity[0] == pytest.approx(250_000 + 100_000 + value)
    assert net(e, "maintenance") > net(e)


# --------------------------------------------------------------------------------------------- live, case, files


def same(live: LiveBook, method_: DerivePortfolio) -> None:
    whole = evaluate(live.book(), live.market, method_)
    for name in ("requirement_initial", "requirement_maintenance", "net_option_value"):
        assert getattr(live.requirements, name).tolist() == getattr(whole.requirements, name).tolist(), name
    assert live.standing is not None
    assert whole.standing is not None
    assert live.standing.excess.tolist() == whole.standing.excess.tolist()


def test_a_live_book_keeps_the_bits_of_a_full_evaluation() -> None:
    rows = [*SHORT, books.row("bob", "ETH-PERPETUAL", 3000), books.row("bob", "BTC-26JUN26-85000-P", -1)]
    live = LiveBook(book_of(rows, {"USDC": "50000", "BTC": "1"}), books.market(), method())
    same(live, method())
    live.apply(Trade(account="ann", instrument="BTC-PERPETUAL", steps=5_000 * STEPS_PER_UNIT))
    same(live, method())
    live.apply(Deposit(account="ann", asset="USDT", steps=700 * STEPS_PER_UNIT))
    same(live, method())
    live.apply(MarketMove(market=with_prices(USDT=0.97, USDC=0.99)))
    same(live, method())
    moved = live.market
    vol = np.where(np.isnan(moved.vol), np.nan, moved.vol * 1.05)
    live.apply(MarketMove(market=replace(moved, vol=vol, index={**moved.index, "BTC": 98_000.0})))
    same(live, method())
    live.apply(MarketMove(market=replace(live.market, facts={"confidence": {"BTC": 0.4}})))
    same(live, method())


def test_a_case_of_an_account_answers_the_same(tmp_path: Path) -> None:
    market = replace(with_prices(USDC=0.985), facts={"confidence": {"BTC": 0.5, "BTC-20260327": 0.4}})
    book = resting(book_of(SHORT, {"USDC": "5", "BTC": "1", "USDT": "10"}), {"BTC-26JUN26-115000-C": (5, 3)})
    e = evaluate(book, market, method())
    path = tmp_path / "case.json"
    path.write_text(write_case(cut_case(e, 0)), encoding="utf-8")
    found = read_case(path)
    again = evaluate(found.book, found.market, found.method, found.policy)
    assert again.requirements.requirement_initial.tolist() == e.requirements.requirement_initial.tolist()
    assert again.requirements.requirement_maintenance.tolist() == e.requirements.requirement_maintenance.tolist()
    assert again.requirements.account_charges["open_orders"][0] > 0


# ---------------------------------------------------------------------------------------------------- refusals


def test_what_it_has_no_rule_for_is_refused_all_at_once() -> None:
    rows = [books.row("ann", name, 1) for name in ("BTC-27MAR26", "SPX   260320C06800000", "BTC-26JUN26")]
    with pytest.raises(UnsupportedError) as caught:
        run(rows, {})
    text = str(caught.value)
    assert text.count("is a dated future, which Derive does not list") == 2
    assert "no parameters for underlying 'SPX'" in text


def test_faults_of_a_document_are_listed_together() -> None:
    document = json.loads(json.dumps(method().info.document))
    document["scenarios"][0]["vol"] = "sideways"
    document["scenarios"][-1]["price_multiplier"] = "1.1"
    document["collateral"]["BTC"]["cancels"] = "DOGE"
    document["underlyings"]["ETH"]["basis"]["price_down"] = "1.5"
    document["typo"] = 1
    with pytest.raises(ParameterError) as caught:
        methodology("derive-pmrm2", document)
    assert len(caught.value.problems) == 5
    with pytest.raises(ParameterError, match=r"maintenance_factor 1\.2 above initial_factor"):
        methodology("derive-pmrm2", method().info.document | {"maintenance_factor": "1.2"})


def test_contributions_sum_to_the_requirement_with_collateral() -> None:
    r = run(SHORT, {"USDC": "5", "BTC": "1", "USDT": "10"}).requirements
    assert math.fsum(r.contributions.contribution.tolist()) == pytest.approx(float(r.requirement_initial[0]))
    assert "BTC" in r.contributions.instrument_names
