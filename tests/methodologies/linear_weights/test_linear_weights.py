"""dYdX, Drift and Mango through the engine: laws, hand-worked accounts, and what they refuse."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import MissingQuoteError, ParameterError, UnsupportedError
from crossmargin.basics.quantities import STEPS_PER_UNIT, quantity_steps
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.positions import read_book
from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.terms import Payoff, Perpetual, Spot
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.linear_weights.drift_method import drift_v2
from crossmargin.methodologies.linear_weights.dydx_method import dydx_v4
from crossmargin.methodologies.linear_weights.mango_method import mango_v4
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Carried, net_carried

PRICES = {"BTC": 95_123.5, "ETH": 3_311.25, "SOL": 100.0}


def perpetual(coin: str) -> Perpetual:
    return Perpetual(
        name=f"{coin}-USD",
        underlying=coin,
        quote_currency="USDC",
        settlement_currency="USDC",
        payoff=Payoff.LINEAR,
        multiplier=Decimal(1),
    )


def market(**facts: dict[str, float]) -> Market:
    quotes = [Quote(instrument=perpetual(coin), mark=price) for coin, price in PRICES.items()]
    spot = Spot(name="SOL/USDC", underlying="SOL", quote_currency="USDC", settlement_currency="USDC")
    quotes.append(Quote(instrument=spot))
    return Market.from_quotes(
        quotes,
        as_of=datetime(2026, 2, 15, 12, tzinfo=UTC),
        source="linear test market",
        index=PRICES,
        prices={"USDC": 1.0, **PRICES},
        facts=facts,
    )


METHODS: dict[str, Methodology] = {
    "dydx-v4": dydx_v4(),
    "drift-v2": drift_v2("drift-v2-example"),
    "mango-v4": mango_v4("mango-v4-example"),
}
every = pytest.mark.parametrize("name", METHODS)


def margined(
    method: Methodology,
    held: dict[str, str],
    cash: dict[str, str],
    carried: dict[str, tuple[str, str, str]] | None = None,
    of: Market | None = None,
) -> Evaluation:
    """One account; `carried` is buys, sells, unrealised by instrument."""
    positions = [{"account": "a", "instrument": name, "quantity": q} for name, q in held.items()]
    positions = positions or [{"account": "b", "instrument": "SOL-USD", "quantity": "1"}]
    balances = [{"account": "a", "asset": asset, "amount": amount} for asset, amount in cash.items()]
    problems: list[Any] = []
    accepts = method.schedule.haircuts if method.schedule else ()
    book = read_book(positions, balances, problems, accepts=tuple(accepts))
    assert book is not None, problems
    if carried:
        names = tuple(sorted(carried))
        columns = np.array([[quantity_steps(text) for text in carried[name]] for name in names], dtype=np.int64)
        rows = Carried(
            instruments=names,
            account=np.zeros(len(names), dtype=np.int64),
            instrument=np.arange(len(names)),
            buys=columns[:, 0],
            sells=columns[:, 1],
            unrealised=columns[:, 2],
        )
        book = replace(book, carried=net_carried(rows, book.accounts))
    return evaluate(book, of or market(), method)


def excess(e: Evaluation) -> float:
    assert e.standing is not None
    return float(e.standing.excess[0])


def recombines(e: Evaluation) -> None:
    r = e.requirements
    for level in ("initial", "maintenance"):
        tree = e.methodology.explain(r, 0, level)  # type: ignore[arg-type]
        for _, node in tree.walk():
            size = max(1.0, math.fsum(abs(part.value) for part in node.parts))
            assert node.recombined() == pytest.approx(node.value, abs=1e-11 * size), node.label


# ------------------------------------------------------------------------------------------------------- dYdX


def test_dydx_is_a_fraction_of_each_notional_in_whole_quantums() -> None:
    e = margined(METHODS["dydx-v4"], {"BTC-USD": "-0.123456", "ETH-USD": "10"}, {"USDC": "10000"})
    btc, eth = 11743566816, 33112500000  # floor(0.123456 x 95123.5 x 1e6), 10 x 3311.25 x 1e6
    each = [math.ceil(Fraction(n, 50)) for n in (btc, eth)]
    initial, maintenance = sum(each), sum(math.ceil(Fraction(n * 6, 10)) for n in each)
    assert e.requirements.requirement_initial[0] == initial / 1e6
    assert e.requirements.requirement_maintenance[0] == maintenance / 1e6
    assert excess(e) == 10_000 - initial / 1e6
    recombines(e)


@given(
    quantities=st.lists(st.decimals("-50", "50", places=8).filter(bool), min_size=2, max_size=2),
    interest=st.integers(0, 3_000),
)
def test_dydx_is_exact_against_fractions(quantities: list[Decimal], interest: int) -> None:
    """Every requirement is the ceiling of an exact fraction; open interest scales initial and not maintenance."""
    document = METHODS["dydx-v4"].info.document | {"markets": {"BTC": "mid", "ETH": "large"}}
    held = {name: format(q, "f") for name, q in zip(("BTC-USD", "ETH-USD"), quantities, strict=True)}
    e = margined(dydx_v4(document), held, {"USDC": "1"}, of=market(open_interest={"BTC-USD": float(interest)}))
    expected = [0, 0]
    for (name, text), base in zip(held.items(), (Fraction(5, 100), Fraction(2, 100)), strict=True):
        price = Fraction(str(PRICES[name[:3]]))
        notional = math.floor(abs(Fraction(text)) * price * 10**6)
        share = Fraction(0)
        if name == "BTC-USD":
            open_notional = Fraction(interest) * price
            share = min(max((open_notional - 40_000_000) / 60_000_000, Fraction(0)), Fraction(1))
        fraction = Fraction(math.floor((base + (1 - base) * share) * 10**6), 10**6)
        expected[0] += math.ceil(notional * fraction)
        expected[1] += math.ceil(math.ceil(notional * base) * Fraction(6, 10))
    detail = e.requirements.breakdown.measured.detail  # type: ignore[attr-defined]
    assert [sum(unit.exact[k] for unit in detail) for k in (0, 1)] == expected
    assert e.requirements.requirement_initial[0] == pytest.approx(expected[0] / 1e6, rel=1e-15)


def test_dydx_needs_open_interest_where_it_scales() -> None:
    document = METHODS["dydx-v4"].info.document | {"markets": {"BTC": "mid"}}
    with pytest.raises(MissingQuoteError, match="no open interest of 'BTC-USD'"):
        margined(dydx_v4(document), {"BTC-USD": "1"}, {"USDC": "1"})


def test_dydx_refuses_what_it_has_no_rule_for_all_at_once() -> None:
    inverse = Quote(instrument=parse_symbol("BTC-PERPETUAL"), mark=95_000.0)
    option = Quote(instrument=parse_symbol("BTC-27MAR26-100000-C"), vol=0.5, forward=95_000.0)
    other = Market.from_quotes([inverse, option], as_of=market().as_of, source="other", index={"BTC": 95_000.0})
    with pytest.raises(UnsupportedError) as caught:
        margined(METHODS["dydx-v4"], {"BTC-PERPETUAL": "10", "BTC-27MAR26-100000-C": "1"}, {"USDC": "1"}, of=other)
    assert len(caught.value.problems) == 2
    assert "'BTC-PERPETUAL' is inverse" in str(caught.value)
    assert "is an option" in str(caught.value)


# ------------------------------------------------------------------------------------------------------ Drift


def test_drift_hand_worked() -> None:
    """Long 10 SOL spot, 5 of it on offer; short 20 SOL perpetual with 4 bid; 30 dollars of profit; 500 USDC owed."""
    e = margined(
        METHODS["drift-v2"],
        {"SOL-USD": "-20"},
        {"SOL": "10", "USDC": "-500"},
        {"SOL-USD": ("4", "0", "30"), "SOL/USDC": ("0", "5", "0")},
    )
    # With 5 sold, spot would be 5 x 100 x 0.8 + 500 of USDC at par = 900: unsold, 800, leaves less. The perpetual is
    # the larger of 20 and 16 short; its profit has no weight at initial level and all of it at maintenance.
    free_initial = 800 - 0.01 - 20 * 100 * 0.1 - 0.01 - 500
    free_maintenance = 900 - 0.01 - 20 * 100 * 0.05 - 0.01 + 30 - 500
    assert e.standing is not None
    assert e.standing.equity[0] == pytest.approx(10 * 100 - 500 + 30)
    assert excess(e) == pytest.approx(free_initial)
    net = e.standing.equity[0] - e.requirements.requirement_maintenance[0]
    assert net == pytest.approx(free_maintenance)
    recombines(e)


@given(
    base=st.integers(-1000, 1000),
    buys=st.integers(0, 1000),
    sells=st.integers(0, 1000),
)
def test_drift_orders_never_ask_less_than_the_position(base: int, buys: int, sells: int) -> None:
    held = {"SOL-USD": str(base or 1)}
    without = margined(METHODS["drift-v2"], held, {"USDC": "10"})
    resting = margined(METHODS["drift-v2"], held, {"USDC": "10"}, {"SOL-USD": (str(buys), str(sells), "0")})
    assert resting.requirements.requirement_initial[0] >= without.requirements.requirement_initial[0]
    worst = max(abs((base or 1) + buys), abs((base or 1) - sells))
    charge = 0.01 if buys or sells else 0.0
    assert resting.requirements.requirement_initial[0] == pytest.approx(worst * 100 * 0.1 + charge)


def test_drift_premium_grows_with_size() -> None:
    document = METHODS["drift-v2"].info.document
    own = document["perpetuals"]["SOL"] | {"imf_factor": "0.001"}
    method = drift_v2(document | {"perpetuals": {"SOL": own}})
    of_one = [
        float(margined(method, {"SOL-USD": str(n)}, {"USDC": "1"}).requirements.requirement_initial[0]) / n
        for n in (1, 10_000, 1_000_000)
    ]
    assert of_one[0] == pytest.approx(10.0)
    assert of_one[0] < of_one[1] < of_one[2]


def test_drift_strict_prices_count_at_initial_only() -> None:
    low = market(twap={"SOL": 90.0})
    e = margined(METHODS["drift-v2"], {}, {"SOL": "10"}, of=low)
    assert excess(e) == pytest.approx(10 * 90 * 0.8)
    assert e.standing is not None
    assert e.standing.equity[0] - e.requirements.requirement_maintenance[0] == pytest.approx(10 * 100 * 0.9)


# ------------------------------------------------------------------------------------------------------ Mango


def test_mango_hand_worked() -> None:
    """100 USDC, 3 SOL; long 2 SOL perpetual with 10 dollars of profit."""
    e = margined(METHODS["mango-v4"], {"SOL-USD": "2"}, {"USDC": "100", "SOL": "3"}, {"SOL-USD": ("0", "0", "10")})
    perp = 2 * 100 * 0.8 + (10 - 200)  # -30, settled into USDC
    assert excess(e) == pytest.approx((100 + perp) * 0.8 + 3 * 100 * 0.5)
    perp = 2 * 100 * 0.9 + (10 - 200)
    assert e.standing is not None
    net = e.standing.equity[0] - e.requirements.requirement_maintenance[0]
    assert net == pytest.approx((100 + perp) * 0.9 + 3 * 100 * 0.6)
    assert "a liquidation ends" in e.methodology.explain(e.requirements, 0).parts[0].note
    recombines(e)


def test_mango_stable_price_counts_at_initial_only() -> None:
    falling = market(stable_price={"SOL": 120.0})
    short = margined(METHODS["mango-v4"], {}, {"SOL": "-1", "USDC": "1000"}, of=falling)
    assert excess(short) == pytest.approx(1000 * 0.8 - 120 * 1.5)
    health = short.requirements.breakdown.measured.detail[0].health  # type: ignore[attr-defined]
    assert health["liquidation end"].value == pytest.approx(1000 * 0.8 - 100 * 1.5)
    assert health["initial"].value <= health["liquidation end"].value <= health["maintenance"].value


def test_mango_reserved_amounts_never_help() -> None:
    cash = {"USDC": "1000", "SOL": "10"}
    without = excess(margined(METHODS["mango-v4"], {}, cash))
    for buys, sells in (("3", "0"), ("0", "4"), ("3", "4")):
        assert excess(margined(METHODS["mango-v4"], {}, cash, {"SOL/USDC": (buys, sells, "0")})) <= without + 1e-9


# ------------------------------------------------------------------------------------------------- all of them


@every
@given(more=st.integers(1, 10**6))
def test_more_cash_never_lowers_the_excess(name: str, more: int) -> None:
    held = {"BTC-USD" if name == "dydx-v4" else "SOL-USD": "-3"}
    little = margined(METHODS[name], held, {"USDC": "5"})
    much = margined(METHODS[name], held, {"USDC": str(5 + more)})
    assert excess(much) >= excess(little)


@every
def test_maintenance_is_at_most_initial_and_contributions_sum(name: str) -> None:
    held = {"BTC-USD": "-3", "ETH-USD": "2"} if name == "dydx-v4" else {"SOL-USD": "-3"}
    cash = {"USDC": "5"} if name == "dydx-v4" else {"USDC": "5", "SOL": "-2"}
    r = margined(METHODS[name], held, cash).requirements
    assert 0 <= r.requirement_maintenance[0] <= r.requirement_initial[0]
    assert math.fsum(r.contributions.contribution.tolist()) == pytest.approx(float(r.requirement_initial[0]))
    assert r.requirement_isolated[0] > 0


@every
def test_a_balance_in_what_has_no_weight_is_refused(name: str) -> None:
    method = METHODS[name]
    document = method.info.document
    assert document["family"] in name
    problems: list[Any] = []
    accepts = method.schedule.haircuts if method.schedule else ()
    read_book(
        [{"account": "a", "instrument": "SOL-USD", "quantity": "1"}],
        [{"account": "a", "asset": "DOGE", "amount": "1"}],
        problems,
        accepts=tuple(accepts),
    )
    assert ["'DOGE' is no collateral that the schedule accepts" in str(problem) for problem in problems] == [True]


def test_faults_of_a_document_are_listed_together() -> None:
    document = METHODS["drift-v2"].info.document
    wrong = document["spot"]["SOL"] | {"asset_initial": "0.95", "liability_maintenance": "1.3", "imf_factor": "x"}
    with pytest.raises(ParameterError) as caught:
        drift_v2(document | {"spot": {"SOL": wrong}})
    assert {problem.column for problem in caught.value.problems} == {
        "spot.SOL.asset_initial",
        "spot.SOL.liability_maintenance",
        "spot.SOL.imf_factor",
    }
    assert STEPS_PER_UNIT == 10**8
