"""SPAN through the engine: files of positions, balances, quarantine, a live book, currencies, what-if."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossmargin as cm
from crossmargin.basics.errors import InputError, MissingQuoteError, ParameterError, UnsupportedError
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import evaluate
from crossmargin.engine.events import Deposit, ParameterChange, Trade
from crossmargin.engine.live import LiveBook
from crossmargin.methodologies.span.method import Span, span
from crossmargin.methodologies.span.parameters import Kind, Method
from crossmargin.methodologies.span.policy import presets
from tests.span_files import FileMaker, book_of, calendar, contract_names, rich_file, rich_method

POSITIONS = [
    {"account": "ann", "instrument": "AA 202607", "quantity": 3},
    {"account": "ann", "instrument": "AA FUT 202609", "quantity": -3},
    {"account": "bob", "instrument": "BB OOF 202607 C 100", "quantity": 2},
    {"account": "bob", "instrument": "CC JUL26", "quantity": "-1.5"},
]


def test_positions_by_any_name_are_margined_and_explained() -> None:
    result = cm.margin(POSITIONS, methodology=rich_method())
    assert result.accounts == ("ann", "bob")
    assert result.figures.currency == "USD"
    tree = result.explain("ann")
    labels = [node.label for _, node in tree.walk()]
    assert "3 x spread 1: long 1 AA 202607, short 1 AA 202609" in labels
    assert any(label.startswith("loss in 16: price down 3 times") for label in labels)
    assert result.scenarios("ann").pnl.shape == (1, 16)
    assert '"total_initial"' in result.to_json()


def test_tables_by_symbol_name_contracts_too() -> None:
    rows = [
        {"account": "ann", "symbol": "AA", "expiry": "2026-07", "right": "", "strike": "", "quantity": 3},
        {"account": "ann", "symbol": "AA", "expiry": "2026-09", "right": "", "strike": "", "quantity": -3},
        {"account": "bob", "symbol": "BB", "expiry": "2026-07", "right": "C", "strike": "100.00", "quantity": 2},
        {"account": "bob", "symbol": "CC", "expiry": "2026-07", "right": "", "strike": "", "quantity": "-1.5"},
    ]
    method = rich_method()
    one, other = (cm.margin(held, methodology=method).columns() for held in (POSITIONS, rows))
    assert one == other


def test_what_cannot_be_margined_is_refused_with_every_problem_or_left_out_by_name() -> None:
    wrong = [
        *POSITIONS,
        {"account": "cid", "instrument": "AA 202608", "quantity": 1},
        {"account": "dan", "instrument": "ZZ 202607", "quantity": 1},
    ]
    with pytest.raises(InputError, match="Its expiries there: 202607") as error:
        cm.margin(wrong, methodology=rich_method())
    assert len(error.value.problems) == 2
    result = cm.margin(wrong, methodology=rich_method(), on_error="quarantine")
    assert result.accounts == ("ann", "bob")
    assert [one.account for one in result.unmargined] == ["cid", "dan"]


def test_balances_stand_against_the_total_in_the_currency_of_the_file() -> None:
    maker = FileMaker(complex="OWN")
    maker.commodity("N", "INR")
    maker.future("N", "20260630", 100.0)
    maker.options("N", "20260630", (100.0,), kind=Kind.OOP)
    method = span(maker.file())
    held = [{"account": "a", "instrument": "N 20260630 C 100", "quantity": 10}]
    result = cm.margin(held, methodology=method, balances=[{"account": "a", "asset": "INR", "amount": "25"}])
    stands = result.figures.standing
    assert stands is not None
    # A long option alone needs nothing beyond its value: all of the cash is over, to a rounding of the requirement.
    assert stands.excess[0] == pytest.approx(25.0)
    assert result.figures.total_initial[0] == 0.0
    assert result.figures.currency == "INR"


def test_an_answer_is_in_the_currency_asked_for_and_conversions_are_the_files() -> None:
    dollars, euros = (rich_method(currency=currency) for currency in ("USD", "EUR"))
    held = {"a": {"X AA FUT 202607": 2, "X FF FUT 202607": 2}}
    in_dollars, in_euros = (
        float(m.requirements(book_of(held), m.price(book_of(held).instruments, m.market, None)).requirement_initial[0])  # type: ignore[arg-type]
        for m in (dollars, euros)
    )
    assert in_dollars == pytest.approx(1.25 * in_euros)
    with pytest.raises(ParameterError, match="currency 'CHF'"):
        rich_method(currency="CHF")
    from dataclasses import replace

    lost = span(replace(rich_file(), conversions={}))
    with pytest.raises(UnsupportedError, match="no conversion from EUR to USD"):
        cm.margin([{"account": "a", "instrument": "FF 202607", "quantity": 1}], methodology=lost)


def test_exposure_is_of_the_future_that_an_option_is_on_or_of_the_physical() -> None:
    maker = FileMaker()
    maker.commodity("F")
    maker.commodity("P")
    for period, price in (("202607", 100.0), ("202609", 110.0)):
        maker.future("F", period, 5.0, price=price)
        maker.options("F", period, (100.0,), underlying_period=period)
    maker.contract("P", Kind.PHY, "", loss=[0.0] * 16, price=50.0)
    maker.options("P", "202607", (50.0,), underlying=50.0, kind=Kind.OOP)
    method = span(maker.file(), exposure="0.1", requirement_decimals="none")

    def exposure(name: str, quantity: int) -> float:
        result = cm.margin([{"account": "a", "instrument": name, "quantity": quantity}], methodology=method)
        return float(result.evaluation.requirements.units.components["exposure_margin"][0])

    assert exposure("F 202609 C 100", -2) == pytest.approx(22.0)
    assert exposure("F 202607 P 100", -2) == pytest.approx(20.0)
    assert exposure("P 202607 C 50", -2) == pytest.approx(10.0)
    assert exposure("P 202607 C 50", 2) == 0.0
    assert exposure("F 202607", -3) == exposure("F 202607", 3) == pytest.approx(30.0)


def test_an_option_without_a_price_is_refused() -> None:
    maker = FileMaker()
    maker.commodity("N")
    maker.contract("N", Kind.OOP, "20260630", loss=[1.0] * 16, right=1, strike=1.0, price=float("nan"))
    with pytest.raises(MissingQuoteError, match="no price of 'X N OOP 20260630 C 1'"):
        cm.margin([{"account": "a", "instrument": "N 20260630 C 1", "quantity": 1}], methodology=span(maker.file()))


def test_a_commodity_whose_legs_overlap_on_one_side_is_refused_and_others_are_not() -> None:
    from crossmargin.methodologies.span.parameters import Leg, Spread, Tier

    maker = FileMaker()
    tiers = (Tier(number=1, first="202607", last="202609"), Tier(number=2, first="202609", last="202612"))
    legs = tuple(Leg(commodity="N", side=side, tier=tier) for side, tier in (("A", 1), ("A", 2), ("B", 2)))
    maker.commodity("N", intra_tiers=tiers, tier_spreads=(Spread(priority=1, method=Method.FLAT, rate=1.0, legs=legs),))
    maker.commodity("M", tier_spreads=(calendar("M", 1, 1.0, "202607", "202609"),))
    for code in "NM":
        for period in ("202607", "202609", "202612"):
            maker.future(code, period, 10.0)
    method = span(maker.file())
    assert cm.margin([{"account": "a", "instrument": "M 202607", "quantity": 1}], methodology=method).accounts == ("a",)
    with pytest.raises(UnsupportedError, match="legs on one side whose tiers overlap"):
        cm.margin([{"account": "a", "instrument": "N 202607", "quantity": 1}], methodology=method)


def test_customer_types_come_with_the_positions() -> None:
    rows = [row | {"customer_type": "member" if row["account"] == "ann" else ""} for row in POSITIONS]
    method = rich_method()
    plain, stated = (cm.margin(held, methodology=method).figures.requirement_initial for held in (POSITIONS, rows))
    assert stated[0] < plain[0]
    assert stated[1] == plain[1]


def test_a_live_book_has_the_figures_of_a_whole_evaluation() -> None:
    rng = np.random.default_rng(11)
    names = contract_names(rich_file())
    method = rich_method()
    held = {
        f"a{k:02}": {names[i]: int(rng.integers(1, 9)) for i in rng.choice(len(names), 6, replace=False)}
        for k in range(12)
    }
    book = book_of(held).with_deposits([("a00", "USD", 100 * STEPS_PER_UNIT)])
    live = LiveBook(book, method.market, method)
    for _ in range(40):
        who, what = f"a{rng.integers(12):02}", names[int(rng.integers(len(names)))]
        live.apply(Trade(account=who, instrument=what, steps=int(rng.choice([-2, -1, 1, 2])) * STEPS_PER_UNIT))
        whole = evaluate(live.book(), method.market, method).requirements
        for name in ("requirement_initial", "requirement_maintenance", "net_option_value"):
            assert getattr(live.requirements, name).tolist() == getattr(whole, name).tolist()
    live.apply(Deposit(account="a01", asset="USD", steps=STEPS_PER_UNIT))
    newer = rich_method(customer_type="member")
    live.apply(ParameterChange(methodology=newer))
    whole = evaluate(live.book(), newer.market, newer).requirements
    assert live.requirements.requirement_initial.tolist() == whole.requirement_initial.tolist()


def test_a_what_if_has_before_after_and_the_total() -> None:
    answer = cm.what_if(POSITIONS, account="ann", add={"AA 202612": -1}, methodology=rich_method())
    rows = {name: (before, after) for name, before, after in answer.components()}
    assert rows["intracommodity_spread_charge"][0] == 6.0
    assert set(rows) >= {"scan_risk", "intercommodity_spread_credit", "total_initial", "requirement_isolated"}


@pytest.mark.parametrize("policy", presets())
def test_every_preset_answers(policy: str) -> None:
    result = cm.margin(POSITIONS, methodology=span(rich_file(), policy=policy, exposure="off"))
    assert np.all(result.figures.requirement_initial > 0)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"policy": "eurex"}, "no policy 'eurex'"),
        ({"credit": "both"}, "credit is 'both'"),
        ({"exposure": "2"}, "exposure is '2'"),
        ({"requirement_decimals": "-1"}, "requirement_decimals is '-1'"),
        ({"across_units": "common"}, "'across_units' is no option of span"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], why: str) -> None:
    with pytest.raises(ParameterError, match=why):
        span(rich_file(), **options)


def test_without_a_file_there_is_no_span() -> None:
    with pytest.raises(ParameterError, match=r"Name the exchange's \.spn or \.pa2 file"):
        span()


def test_a_report_is_written(tmp_path: Path) -> None:
    from crossmargin.reports.html import render_report

    result = cm.margin(POSITIONS, methodology=rich_method())
    page = render_report(result.evaluation, account=None)
    assert "intracommodity spread charge" in page
    assert isinstance(result.prepared.methodology, Span)
    (tmp_path / "page.html").write_text(page, encoding="utf-8")
