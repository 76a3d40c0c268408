"""The cost of hedge failure: every assumption against a calculation written out, and its laws."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest

from crossmargin.answers.hedge_failure import HedgeFailureAnswer, hedge_failure
from crossmargin.basics.errors import UnsupportedError
from crossmargin.engine.evaluate import evaluate
from crossmargin.files.positions import read_positions
from crossmargin.instruments.terms import Right
from crossmargin.methodologies.model_based.hedge_failure import Assumptions
from crossmargin.methodologies.registry import methodology
from tests import books
from tests.methodologies.model_based.small import (
    document,
    evaluated,
    future,
    history_of,
    of_changes,
    of_quotes,
    option,
    perpetual,
    plain,
    spots,
)

N = 200
_RNG = np.random.default_rng(33)
A = 0.02 * _RNG.standard_t(4, N)
B = 0.7 * A + 0.015 * _RNG.standard_t(4, N)


def answer(book: dict[str, dict[str, float]], **assumed: float) -> HedgeFailureAnswer:
    """Under historical expected shortfall of one day at 95%, with one stressed week."""
    made = document("historical-es", stress_periods={"a bad week": ["2026-02-01", "2026-02-07"]})
    method = plain("historical-es", of_changes(A=A, B=B), document=made, level="0.95")
    return hedge_failure(evaluated(book, spots("A", "B"), method), Assumptions(**assumed))


def shortfall(pnl: np.ndarray) -> float:
    """Mean of the worst 5%."""
    worst = np.sort(pnl)[: len(pnl) // 20]
    return max(0.0, -float(worst.mean()))


BOOK = {"hedged": {"A": 10, "B": -12}, "both": {"A": 10, "B": 12}, "alone": {"A": 10}}
OF_A, OF_B = 10 * 100 * (np.exp(A) - 1), 12 * 100 * (np.exp(B) - 1)


def figure(found: HedgeFailureAnswer, name: str, account: str) -> float:
    """One figure of one account."""
    return float(found.figures[name][found.accounts.index(account)])


def test_each_assumption_by_hand() -> None:
    found = answer(BOOK)
    order_a, order_b = np.sort(OF_A), np.sort(OF_B)
    for account, sign in (("hedged", -1), ("both", 1)):
        apart = shortfall(OF_A) + shortfall(sign * OF_B)
        estimated = shortfall(OF_A + sign * OF_B)
        one = shortfall(order_a + sign * order_b)
        assert figure(found, "estimated", account) == pytest.approx(estimated, rel=1e-12)
        assert figure(found, "one", account) == pytest.approx(one, rel=1e-12)
        assert figure(found, "against", account) == pytest.approx(apart, rel=1e-12)
        assert figure(found, "capped", account) == pytest.approx(estimated + 0.2 * (apart - estimated), rel=1e-12)
        zero = figure(found, "zero", account)
        assert figure(found, "correlation_break", account) == pytest.approx(
            0.25 * max(0.0, max(zero, one) - estimated), rel=1e-12
        )


def test_zero_is_what_independent_pairs_would_need() -> None:
    found = answer(BOOK)
    rng = np.random.default_rng(2)
    pairs = OF_A[rng.integers(0, N, 400_000)] - OF_B[rng.integers(0, N, 400_000)]
    assert figure(found, "zero", "hedged") == pytest.approx(shortfall(pairs), rel=0.05)


def test_the_window_is_the_worst_stressed_day_as_it_was() -> None:
    found = answer(BOOK)
    # The last change is that into 25 February; the week of the 1st to the 7th ends 18 days before it.
    week = slice(N - 25, N - 18)
    losses = (OF_A - OF_B)[week]
    assert figure(found, "window", "hedged") == pytest.approx(max(0.0, -float(losses.min())), rel=1e-12)
    day = 1 + int(losses.argmin())
    assert found.window_worst[found.accounts.index("hedged")] == f"a bad week, 2026-02-{day:02d}"


def test_without_a_hedge_nothing_can_fail() -> None:
    found = answer(BOOK)
    alone = {name: figure(found, name, "alone") for name in ("estimated", "zero", "one", "against", "capped")}
    assert len({round(value, 9) for value in alone.values()}) == 1
    assert figure(found, "correlation_break", "alone") == pytest.approx(0.0, abs=1e-9)


def test_a_hedge_rests_on_its_correlation_and_diversification_on_there_being_none() -> None:
    found = answer(BOOK)
    names = ("one", "estimated", "zero", "against")
    hedged, both = ({n: figure(found, n, account) for n in names} for account in ("hedged", "both"))
    assert hedged["one"] < hedged["estimated"] < hedged["zero"] < hedged["against"]
    assert both["zero"] < both["estimated"] < both["one"]
    assert both["one"] == pytest.approx(both["against"], rel=1e-12)


def test_no_account_hangs_on_the_others() -> None:
    together, apart = answer(BOOK), answer({"hedged": BOOK["hedged"]})
    for name in together.figures:
        assert figure(together, name, "hedged") == figure(apart, name, "hedged"), name


def test_what_is_ours_can_be_said() -> None:
    plainly, own = answer(BOOK), answer(BOOK, offset_cap=0.5, break_weight=1.0)
    estimated, against = figure(own, "estimated", "hedged"), figure(own, "against", "hedged")
    assert figure(own, "capped", "hedged") == pytest.approx((estimated + against) / 2, rel=1e-12)
    assert figure(own, "correlation_break", "hedged") == pytest.approx(
        4 * figure(plainly, "correlation_break", "hedged"), rel=1e-12
    )
    assert own.to_dict()["assumptions"] == {name: repr(value) for name, value in asdict(own.assumptions).items()}


@pytest.mark.parametrize("rule", ["refuse", "still", "charge"])
def test_being_short_volatility_has_its_own_lines(rule: str) -> None:
    levels = {"price:A": 100 * np.exp(np.cumsum(A) - A.sum())}
    if rule == "refuse":
        levels["vol:A"] = np.full(N, 0.5)
    market = of_quotes(perpetual("A", 100.0), option("A", 90, Right.PUT, 0.5), A=100.0)
    method = plain("historical-es", history_of(levels), level="0.95", vol_without_history=rule)
    book = {"short": {"A-90-P": -10}, "long": {"A-90-P": 10}, "future": {"A-PERP": 5}}
    found = hedge_failure(evaluated(book, market, method))

    def put(forward: float, sigma: float) -> float:
        total = sigma * math.sqrt(30 / 365)
        d1 = math.log(forward / 90) / total + total / 2
        cdf = [0.5 * math.erfc(d / math.sqrt(2)) for d in (d1, d1 - total)]
        return 90 * cdf[1] - forward * cdf[0]

    now = put(100, 0.5)
    assert figure(found, "vol_spike", "short") == pytest.approx(10 * (put(100, 0.75) - now), rel=1e-9)
    assert figure(found, "vol_spike_gap", "short") == pytest.approx(10 * (put(80, 0.75) - now), rel=1e-9)
    assert figure(found, "vol_spike", "long") == 0
    assert figure(found, "vol_spike", "future") == 0
    assert figure(found, "vol_spike_gap", "future") == pytest.approx(100.0, rel=1e-12)


@pytest.mark.parametrize("name", books.WITH_HISTORY)
def test_every_method_with_a_history_answers_or_says_why_not(name: str) -> None:
    rows = [books.row("ann", "BTC-PERPETUAL", 100_000), books.row("ann", "ETH-PERPETUAL", -90_000)]
    if name == "delta-gamma-parametric":
        with pytest.raises(UnsupportedError, match="no scenarios that could be put together"):
            hedge_failure(evaluate(read_positions(rows), books.market(), books.made(name)))
        return
    found = hedge_failure(evaluate(read_positions(rows), books.market(), books.made(name)))
    for figures in found.figures.values():
        assert (figures[~np.isnan(figures)] >= 0).all()
    assert figure(found, "one", "ann") < figure(found, "zero", "ann") < figure(found, "against", "ann")


def test_a_method_without_scenarios_of_a_history_is_refused() -> None:
    rows = [books.row("ann", "BTC-PERPETUAL", 100_000)]
    with pytest.raises(UnsupportedError, match="no scenarios that could be put together"):
        hedge_failure(evaluate(read_positions(rows), books.market(), methodology("scenario-grid")))


def test_a_spike_of_one_account_does_not_hang_on_what_others_hold() -> None:
    """An absolute factor moves a contract by a part of that contract's price."""
    levels = [-5.0, *(30 + 5 * np.sin(np.arange(N)))]
    method = plain("historical-es", history_of({"price:A": levels}), level="0.95")
    market = of_quotes(perpetual("A", 20), future("A", 40), A=20)
    alone = hedge_failure(evaluated({"a": {"A-PERP": 1}}, market, method))
    beside = hedge_failure(evaluated({"a": {"A-PERP": 1}, "b": {"A-FUT": 1}}, market, method))
    assert figure(alone, "vol_spike_gap", "a") == figure(beside, "vol_spike_gap", "a") == pytest.approx(4.0)
    assert figure(beside, "vol_spike_gap", "b") == pytest.approx(8.0)
