"""`delta-gamma-parametric`: derivatives, cumulants, expansion and gradients, each against another calculation."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import CrossmarginError, InputError, ParameterError
from crossmargin.dependence.correlation import ewma_covariance
from crossmargin.dependence.tails import cornish_fisher_var, normal_risk
from crossmargin.instruments.terms import Right
from crossmargin.methodologies.model_based.delta_gamma.expansion import multiple
from crossmargin.methodologies.model_based.delta_gamma.quadratic import cumulants, gradients
from crossmargin.methodologies.model_based.parameters import Measure, Tool
from crossmargin.methodologies.registry import methodology
from tests.methodologies.model_based.small import (
    asked,
    document,
    evaluated,
    history_of,
    of_changes,
    of_quotes,
    option,
    perpetual,
)

ES99, VAR99 = (Measure(tool=tool, level=Decimal("0.99")) for tool in (Tool.ES, Tool.VAR))
N = 150
_RNG = np.random.default_rng(90)
A = 0.02 * _RNG.standard_normal(N)
B = 0.7 * A + 0.015 * _RNG.standard_normal(N)
VOL = -1.2 * A + 0.03 * _RNG.standard_normal(N)


PROXIED = document("delta-gamma-parametric", factors={"proxies": {"A": {"factor": "B", "beta": "1"}}})


def method(**options: Any) -> Any:
    """Two days, 150 observations of which 60 start the filter."""
    history = options.pop("history", None)
    given = {"observations": str(N)} | options
    return methodology("delta-gamma-parametric", given.pop("document", None), history=history, **given)


def with_vol() -> Any:
    """A price and its volatility."""
    return history_of(
        {
            f"{kind}:A": level * np.exp(np.concatenate(([0.0], np.cumsum(own))) - own.sum())
            for kind, level, own in (("price", 100.0, A), ("vol", 0.5, VOL))
        }
    )


# The parts


def test_cumulants_are_those_of_matrices_written_out() -> None:
    rng = np.random.default_rng(1)
    d, g = rng.standard_normal((6, 4)), rng.standard_normal((6, 4))
    root = rng.standard_normal((6, 4, 4))
    c = root @ root.transpose(0, 2, 1)
    found = cumulants(d, g, c)
    for n in range(6):
        gc, own = np.diag(g[n]) @ c[n], d[n]
        trace = [np.trace(np.linalg.matrix_power(gc, k)) for k in range(5)]
        assert found.k1[n] == pytest.approx(trace[1] / 2, rel=1e-12)
        assert found.k2[n] == pytest.approx(own @ c[n] @ own + trace[2] / 2, rel=1e-12)
        assert found.k3[n] == pytest.approx(trace[3] + 3 * own @ c[n] @ gc @ own, rel=1e-11)
        assert found.k4[n] == pytest.approx(3 * trace[4] + 12 * own @ c[n] @ gc @ gc @ own, rel=1e-11)


def test_cumulants_are_those_of_draws() -> None:
    c = np.array([[[0.04, 0.01], [0.01, 0.09]]])
    d, g = np.array([[1.0, -0.5]]), np.array([[-2.0, 1.5]])
    x = np.random.default_rng(5).multivariate_normal([0, 0], c[0], 2_000_000)
    pnl = x @ d[0] + 0.5 * (x * x) @ g[0]
    found = cumulants(d, g, c)
    centred = pnl - pnl.mean()
    assert found.k1[0] == pytest.approx(pnl.mean(), abs=1e-3)
    assert found.k2[0] == pytest.approx(pnl.var(), rel=0.01)
    assert found.k3[0] == pytest.approx((centred**3).mean(), rel=0.03)
    assert found.k4[0] == pytest.approx((centred**4).mean() - 3 * pnl.var() ** 2, rel=0.06)


def test_gradients_are_slopes() -> None:
    rng = np.random.default_rng(2)
    d, g = rng.standard_normal((1, 3)), rng.standard_normal((1, 3))
    root = rng.standard_normal((3, 3))
    c = (root @ root.T)[None]
    found = gradients(d, g, c)
    step = 1e-6
    for k in range(3):
        bump = np.eye(3)[k][None] * step
        for by, at in ((found.delta, ((d + bump, g), (d - bump, g))), (found.gamma, ((d, g + bump), (d, g - bump)))):
            up, down = (cumulants(*one, c) for one in at)
            for order, name in enumerate(("k1", "k2", "k3", "k4")):
                slope = (getattr(up, name)[0] - getattr(down, name)[0]) / (2 * step)
                assert by[order, 0, k] == pytest.approx(slope, rel=1e-6, abs=1e-6)


def test_without_skew_and_kurtosis_the_multiple_is_the_normal_one() -> None:
    zero = np.zeros(1)
    for measure, expected in ((VAR99, normal_risk("0.99", 1.0)[0]), (ES99, normal_risk("0.99", 1.0)[1])):
        assert multiple(zero, zero, measure).value[0] == pytest.approx(expected, rel=1e-14)
        assert not multiple(zero, zero, measure).turned[0]


@pytest.mark.parametrize(("skew", "kurtosis"), [(-0.5, 0.4), (0.3, 0.2), (-1.0, 1.6), (0.0, 1.0)])
def test_the_multiple_is_cornish_and_fishers_and_its_integral(skew: float, kurtosis: float) -> None:
    s, k = np.array([skew]), np.array([kurtosis])
    assert multiple(s, k, VAR99).value[0] == pytest.approx(cornish_fisher_var("0.99", 1.0, skew, kurtosis), rel=1e-14)
    levels = (np.arange(200_000) + 0.5) / 200_000 * 0.01
    quantile = [cornish_fisher_var(str(1 - p), 1.0, skew, kurtosis) for p in levels[::100].tolist()]
    assert multiple(s, k, ES99).value[0] == pytest.approx(float(np.mean(quantile)), rel=2e-3)


def test_its_derivatives_are_slopes() -> None:
    rng = np.random.default_rng(3)
    s, k = rng.uniform(-2.8, 2.8, 200), rng.uniform(0, 12, 200)
    step = 1e-6
    for measure in (VAR99, ES99):
        found = multiple(s, k, measure)
        by_skew = (multiple(s + step, k, measure).value - multiple(s - step, k, measure).value) / (2 * step)
        by_kurtosis = (multiple(s, k + step, measure).value - multiple(s, k - step, measure).value) / (2 * step)
        np.testing.assert_allclose(found.by_skew, by_skew, atol=1e-6)
        np.testing.assert_allclose(found.by_kurtosis, by_kurtosis, atol=1e-6)


def test_a_higher_level_never_asks_for_less_even_where_the_expansion_turns() -> None:
    rng = np.random.default_rng(4)
    s, k = rng.uniform(-2.8, 2.8, 500), rng.uniform(0, 12, 500)
    levels = ["0.6", "0.9", "0.95", "0.99", "0.995", "0.999", "0.9999"]
    for tool in Tool:
        rising = [multiple(s, k, Measure(tool=tool, level=Decimal(level))).value for level in levels]
        if tool is Tool.VAR:
            for lower, higher in pairwise(rising):
                assert (higher >= lower - 1e-12).all()
    var, es = (multiple(s, k, Measure(tool=tool, level=Decimal("0.99"))).value for tool in (Tool.VAR, Tool.ES))
    assert (es >= var).all()
    plain = np.array([cornish_fisher_var("0.99", 1.0, *one) for one in zip(s.tolist(), k.tolist(), strict=True)])
    assert (var >= plain - 1e-12).all()
    assert (var > plain + 1e-9).any()


# The whole


def test_a_linear_book_is_the_normal_distribution_of_its_covariance() -> None:
    history = of_changes(A=A, B=B)
    market = of_quotes(perpetual("A", 100.0), perpetual("B", 100.0), A=100.0, B=100.0)
    changes = np.stack((A, B), axis=1)
    c = 2 * ewma_covariance(changes, 0.97, seed_days=60)
    # The only curvature of a linear contract is that of the exponential: d = g = quantity x 100.
    quantity = 100 * np.array([10.0, -8.0])
    found = asked({"ann": {"A-PERP": 10, "B-PERP": -8}}, market, method(history=history))["ann"]
    k = cumulants(quantity[None], quantity[None], c[None])
    sd = math.sqrt(k.k2[0])
    times = multiple(k.k3 / sd**3, k.k4 / sd**4, ES99).value[0]
    assert found == pytest.approx(sd * times - k.k1[0], rel=1e-5)
    assert found == pytest.approx(normal_risk("0.99", math.sqrt(quantity @ c @ quantity))[1], rel=0.03)


@pytest.mark.parametrize("tool", ["var", "es"])
def test_without_gamma_it_is_the_normal_distribution_to_the_last_digits(tool: str) -> None:
    """A linear contract on a factor that changes absolutely: nothing bends."""
    levels = {"price:A": 100 + 100 * np.concatenate(([0.0], np.cumsum(A))) - 100 * A.sum()}
    made = document("delta-gamma-parametric", factors={"changes": {"price:A": "absolute"}})
    market = of_quotes(perpetual("A", 100.0), A=100.0)
    found = asked({"ann": {"A-PERP": 7}}, market, method(history=history_of(levels), document=made, measure=tool))[
        "ann"
    ]
    deviation = 7 * math.sqrt(2 * float(ewma_covariance(100 * A[:, None], 0.97, seed_days=60)[0, 0]))
    assert found == pytest.approx(normal_risk("0.99", deviation)[tool == "es"], rel=1e-11)


def test_derivatives_are_those_of_black_76() -> None:
    market = of_quotes(option("A", 95, Right.PUT, 0.5), A=100.0)
    found = evaluated({"ann": {"A-95-P": 1}}, market, method(history=with_vol()))
    by_factor = found.requirements.breakdown.measured.detail.by_factor
    years, sigma, forward, strike = 30 / 365, 0.5, 100.0, 95.0

    def put(f: float, s: float) -> float:
        total = s * math.sqrt(years)
        d1 = math.log(f / strike) / total + total / 2
        cdf = NormalDist().cdf
        return strike * cdf(total - d1) - f * cdf(-d1)

    h = 1e-4
    for place, (up, down) in enumerate(
        (
            (put(forward * math.exp(h), sigma), put(forward * math.exp(-h), sigma)),
            (put(forward, sigma * math.exp(h)), put(forward, sigma * math.exp(-h))),
        )
    ):
        now = put(forward, sigma)
        assert by_factor.delta[place] == pytest.approx((up - down) / (2 * h), rel=1e-3)
        assert by_factor.gamma[place] == pytest.approx((up + down - 2 * now) / h**2, rel=1e-2, abs=0.05)


def test_against_full_revaluation_of_the_same_normal_moves() -> None:
    """A short straddle: gammas bend with the price, so that far moves cost less than the quadratic form says."""
    market = of_quotes(option("A", 100, Right.PUT, 0.5), option("A", 100, Right.CALL, 0.5), A=100.0)
    model = method(history=with_vol())
    found = evaluated({"ann": {"A-100-P": -10, "A-100-C": -10}}, market, model)
    required = float(found.requirements.requirement_initial[0])
    c = 2 * ewma_covariance(np.stack((A, VOL), axis=1), 0.97, seed_days=60)
    detail = found.requirements.breakdown.measured.detail
    x = np.random.default_rng(8).multivariate_normal([0, 0], c, 400_000)
    d, g = detail.by_factor.delta, detail.by_factor.gamma
    quadratic = np.sort(x @ d + 0.5 * (x * x) @ g)[:4000].mean()
    total = 0.5 * np.exp(x[:, 1]) * math.sqrt(30 / 365)
    d1 = x[:, 0] / total + total / 2
    cdf = np.vectorize(lambda z: 0.5 * math.erfc(-z / math.sqrt(2)))
    forward = 100 * np.exp(x[:, 0])
    straddle = forward * (2 * cdf(d1) - 1) - 100 * (2 * cdf(d1 - total) - 1)
    now = 0.5 * math.sqrt(30 / 365)
    full = np.sort(-10 * (straddle - 100 * 2 * (2 * NormalDist().cdf(now / 2) - 1)))[:4000].mean()
    assert required == pytest.approx(-quadratic, rel=0.06)
    assert required > -full
    assert required == pytest.approx(-full, rel=0.25)


def test_a_hedge_costs_less_the_higher_the_correlation_and_nothing_at_one() -> None:
    market = of_quotes(perpetual("A", 100.0), perpetual("B", 100.0), A=100.0, B=100.0)
    rng = np.random.default_rng(12)
    one, other = rng.standard_normal((2, N))
    required = []
    for rho in (-0.9, -0.5, 0.0, 0.5, 0.9, 0.99):
        moved = rho * one + math.sqrt(1 - rho * rho) * other
        history = of_changes(A=0.02 * one, B=0.02 * moved)
        required.append(asked({"ann": {"A-PERP": 1, "B-PERP": -1}}, market, method(history=history))["ann"])
    assert all(a > b for a, b in pairwise(required))
    same = asked({"ann": {"A-PERP": 1, "B-PERP": -1}}, market, method(history=of_changes(A=A, B=A)))
    assert same["ann"] == pytest.approx(0.0, abs=1e-5)


def test_contributions_sum_and_are_slopes() -> None:
    market = of_quotes(
        perpetual("A", 100.0), option("A", 95, Right.PUT, 0.5), option("A", 110, Right.CALL, 0.5), A=100.0
    )
    held = {"A-PERP": 3.0, "A-95-P": -20.0, "A-110-C": -10.0}
    model = method(history=with_vol())
    found = evaluated({"ann": held}, market, model)
    c = found.requirements.contribution_all()
    required = float(found.requirements.requirement_initial[0])
    assert c.contribution.sum() == pytest.approx(required, rel=1e-12)
    for k, row in enumerate(c.instrument.tolist()):
        name, step = c.instrument_names[row], 1e-5
        up, down = (asked({"ann": held | {name: held[name] + e}}, market, model)["ann"] for e in (step, -step))
        assert c.contribution[k] == pytest.approx(held[name] * (up - down) / (2 * step), rel=1e-4)


def test_the_explanation_says_where_the_figure_comes_from() -> None:
    market = of_quotes(option("A", 100, Right.PUT, 0.5), A=100.0)
    found = evaluated({"ann": {"A-100-P": -10}}, market, method(history=with_vol()))
    loss = found.methodology.explain(found.requirements, 0).parts[0].parts[0]
    assert loss.label == "expected shortfall at 99% of deltas and gammas"
    size, times = loss.parts[0].parts
    assert "by deltas alone" in size.note
    assert "skew -" in times.note.replace("\N{MINUS SIGN}", "-")


# The whole against a second calculation


def slow_requirement(
    quantity: dict[str, float], c: np.ndarray, greeks: dict[str, list[tuple[int, float, float]]]
) -> float:
    """Shortfall at 99% written out with sums over indices: own netting, own traces, own expansion."""
    n = len(c)
    d, g = [0.0] * n, [0.0] * n
    for name, held in quantity.items():
        for k, delta, gamma in greeks[name]:
            d[k] += held * delta
            g[k] += held * gamma
    own = range(n)
    v = [sum(c[i][j] * d[j] for j in own) for i in own]
    u = [sum(c[i][j] * g[j] * v[j] for j in own) for i in own]
    h = [[sum(c[i][j] * g[j] * c[j][k] for j in own) for k in own] for i in own]
    pairs = [(i, j) for i in own for j in own]
    k1 = sum(g[i] * c[i][i] for i in own) / 2
    k2 = sum(d[i] * v[i] for i in own) + sum(g[i] * g[j] * c[i][j] ** 2 for i, j in pairs) / 2
    k3 = 3 * sum(g[i] * v[i] ** 2 for i in own) + sum(g[i] * g[j] * c[i][j] * h[i][j] for i, j in pairs)
    k4 = 12 * sum(g[i] * v[i] * u[i] for i in own) + 3 * sum(g[i] * g[j] * h[i][j] ** 2 for i, j in pairs)
    s, k = k3 / k2**1.5, k4 / k2**2

    def w(z: float) -> float:
        return z + (z * z - 1) * s / 6 + (z**3 - 3 * z) * k / 24 - (2 * z**3 - 5 * z) * s * s / 36

    # Shortfall by the trapezium rule in z, and the least of the expansion by a search.
    low = NormalDist().inv_cdf(0.01)
    at = np.linspace(-12.0, low, 200_001)
    density = np.exp(-at * at / 2) / math.sqrt(2 * math.pi)
    mean = float(np.trapezoid(w(at) * density, at)) / 0.01  # type: ignore[arg-type]
    least = float(np.min(w(np.linspace(low, 0.0, 200_001))))  # type: ignore[arg-type]
    return max(0.0, -min(k1, 0.0) - math.sqrt(k2) * min(mean, least))


BOOKS: dict[str, dict[str, float]] = {
    "future": {"A-PERP": 3},
    "short straddle": {"A-100-P": -10, "A-100-C": -10},
    "long straddle": {"A-100-P": 10, "A-100-C": 10},
    "protective put": {"A-PERP": 10, "A-100-P": 10},
    "spread": {"A-PERP": 5, "B-PERP": -6},
    "one long, one short": {"A-100-P": 10, "A-100-C": 10, "B-100-P": -6, "B-100-C": -6},
    "everything": {"A-PERP": -4, "B-PERP": 2.5, "A-100-P": -3, "A-100-C": 7, "B-100-P": 2, "B-100-C": -9},
}


def two_of_each() -> tuple[Any, Any, np.ndarray]:
    """Market, history and covariance over two days of two prices and their volatilities, in the order of names."""
    rng = np.random.default_rng(77)
    of_b = -0.9 * B + 0.02 * rng.standard_normal(N)
    changes = {"price:A": A, "price:B": B, "vol:A": VOL, "vol:B": of_b}
    start = {"price:A": 100.0, "price:B": 100.0, "vol:A": 0.5, "vol:B": 0.4}
    history = history_of(
        {name: start[name] * np.exp(np.concatenate(([0.0], np.cumsum(x))) - x.sum()) for name, x in changes.items()}
    )
    quotes = [perpetual(name, 100.0) for name in "AB"]
    for name, vol in (("A", 0.5), ("B", 0.4)):
        quotes += [option(name, 100, right, vol) for right in (Right.PUT, Right.CALL)]
    c = 2 * ewma_covariance(np.stack([changes[name] for name in changes], axis=1), 0.97, seed_days=60)
    return of_quotes(*quotes, A=100.0, B=100.0), history, c


def by_hand() -> dict[str, list[tuple[int, float, float]]]:
    """First and second derivative by log price and log volatility, from Black-76: factor, delta, gamma."""
    found: dict[str, list[tuple[int, float, float]]] = {}
    for place, (name, vol) in enumerate((("A", 0.5), ("B", 0.4))):
        found[f"{name}-PERP"] = [(place, 100.0, 100.0)]
        total = vol * math.sqrt(30 / 365)
        d1, d2 = total / 2, -total / 2
        density = math.exp(-d1 * d1 / 2) / math.sqrt(2 * math.pi)
        # F V' and F^2 V'' + F V';  s V_s and s^2 V_ss + s V_s, where V_ss = V_s d1 d2 / s.
        gamma, vega = 100 * density / total, 100 * density * total
        by_vol = (place + 2, vega, vega * d1 * d2 + vega)
        for right, delta in (("C", NormalDist().cdf(d1)), ("P", NormalDist().cdf(d1) - 1)):
            found[f"{name}-100-{right}"] = [(place, 100 * delta, gamma + 100 * delta), by_vol]
    return found


@pytest.mark.parametrize(("days", "near"), [(2, 5e-5), (20, 5e-4)])
def test_a_slow_loop_over_indices_asks_for_the_same(days: int, near: float) -> None:
    """The steps of the differences grow with the deviation, and with them what the derivatives change within one."""
    market, history, c = two_of_each()
    found = asked(BOOKS, market, method(history=history, horizon_days=str(days)))
    for name, held in BOOKS.items():
        assert found[name] == pytest.approx(slow_requirement(held, days / 2 * c, by_hand()), rel=near), name


def test_no_account_hangs_on_the_others() -> None:
    market, history, _ = two_of_each()
    model = method(history=history)
    together = evaluated(BOOKS, market, model).requirements
    for a, name in enumerate(together.margin_accounts):
        alone = evaluated({name: BOOKS[name]}, market, model).requirements
        assert alone.requirement_initial[0] == together.requirement_initial[a], name
        first, last = together.contributions.account_offsets[a : a + 2].tolist()
        assert alone.contributions.contribution.tolist() == together.contributions.contribution[first:last].tolist()


def test_a_mean_loss_counts_and_a_mean_gain_does_not() -> None:
    market, history, _ = two_of_each()
    plain, credited = (
        asked(BOOKS, market, method(history=history, credit_mean_gain=flag)) for flag in ("false", "true")
    )
    straddles = BOOKS["short straddle"], BOOKS["long straddle"]
    details = [
        evaluated({"ann": held}, market, method(history=history)).requirements.breakdown.measured.detail
        for held in straddles
    ]
    assert plain["short straddle"] == credited["short straddle"]
    assert details[0].mean[0] == details[0].cumulants.k1[0] < 0
    earned = float(details[1].cumulants.k1[0])
    assert earned > 0
    assert plain["long straddle"] - credited["long straddle"] == pytest.approx(earned, rel=1e-12)
    assert all(plain[name] >= credited[name] for name in BOOKS)


def test_contributions_are_slopes_where_the_expansion_turns_too() -> None:
    market, history, _ = two_of_each()
    turned = 0
    for flag in ("false", "true"):
        model = method(history=history, credit_mean_gain=flag, horizon_days="20")
        for name in ("protective put", "one long, one short", "everything"):
            held = BOOKS[name]
            found = evaluated({"ann": held}, market, model).requirements
            turned += int(found.breakdown.measured.detail.multiple.turned[0])
            c = found.contributions
            assert c.contribution.sum() == pytest.approx(float(found.requirement_initial[0]), rel=1e-12)
            for k, row in enumerate(c.instrument.tolist()):
                what, step = c.instrument_names[row], 1e-5
                up, down = (asked({"ann": held | {what: held[what] + e}}, market, model)["ann"] for e in (step, -step))
                slope = held[what] * (up - down) / (2 * step)
                assert c.contribution[k] == pytest.approx(slope, rel=1e-4, abs=1e-4), (name, what)
    assert turned


# How near the expansion is to the quadratic form that it is of


def drawn_forms(n_forms: int, seed: int) -> Iterator[tuple[float, float, bool, float]]:
    """Random forms of one to eight factors, in deviations.

    Skew, true shortfall at 99% (of 200,000 draws, at least 0), whether the expansion turns, what is asked for.
    """
    rng = np.random.default_rng(seed)
    draws = rng.standard_normal((200_000, 8))
    for _ in range(n_forms):
        n = int(rng.integers(1, 9))
        root = rng.standard_normal((n, n)) * rng.choice([0.2, 1.0])
        c = root @ root.T / n + np.diag(rng.uniform(0.1, 1.0, n))
        d = rng.standard_normal(n) * rng.choice([0.0, 0.3, 1.0])
        g = 2 * rng.standard_normal(n) * np.exp(rng.standard_normal(n))
        x = draws[:, :n] @ np.linalg.cholesky(c).T
        pnl = x @ d + 0.5 * (x * x) @ g
        k = cumulants(d[None], g[None], c[None])
        deviation = math.sqrt(k.k2[0])
        skew = k.k3 / deviation**3
        times = multiple(skew, k.k4 / deviation**4, ES99)
        asked_for = times.value[0] - min(k.k1[0], 0.0) / deviation
        true = max(0.0, -float(np.partition(pnl, 2_000)[:2_000].mean())) / deviation
        yield float(skew[0]), true, bool(times.turned[0]), float(asked_for)


def test_losses_with_a_long_tail_are_never_asked_too_little_for() -> None:
    """A skew of at most 0 is that of short options: what margin is for. The expansion rises there with the level."""
    short = [one for one in drawn_forms(100, 21) if one[0] <= 0]
    assert len(short) > 40
    for _, true, turned, asked_for in short:
        assert not turned
        assert -0.05 < asked_for - true < 2.0


def test_how_far_a_positive_skew_is_from_the_truth() -> None:
    """Four moments do not see a small losing tail beside a large gaining one. The page says these bounds."""
    long = [one for one in drawn_forms(160, 22) if one[0] > 0]
    below_one = [asked_for - true for skew, true, _, asked_for in long if skew < 1]
    beyond = [asked_for - true for skew, true, _, asked_for in long if skew >= 1]
    assert len(below_one) > 8
    assert len(beyond) > 30
    assert min(below_one) > -0.15
    assert -0.7 < min(beyond) < -0.1
    assert min(asked_for for _, _, _, asked_for in long) > 0.6


def test_the_expansion_turns_for_no_quadratic_form_of_negative_skew() -> None:
    """`k2 k4 >= 4/3 k3^2` holds for every one: with it `w` rises wherever `z` is below -1."""
    rng = np.random.default_rng(6)
    d, g = rng.standard_normal((2, 3000, 5)) * np.exp(2 * rng.standard_normal((2, 3000, 5)))
    root = rng.standard_normal((3000, 5, 5))
    k = cumulants(d, g, root @ root.transpose(0, 2, 1))
    assert (k.k2 * k.k4 >= 4 / 3 * k.k3**2 * (1 - 1e-9)).all()
    skew, kurtosis = k.k3 / k.k2**1.5, k.k4 / k.k2**2
    for measure in (VAR99, ES99, Measure(tool=Tool.VAR, level=Decimal("0.85"))):
        found = multiple(skew, kurtosis, measure)
        assert not found.turned[skew <= 0].any()
        assert found.turned.any()
    assert (multiple(skew, kurtosis, ES99).value > 0.6).all()


# Refused


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"decay": "1"}, "covariance.decay"),
        ({"observations": "60"}, "Fewer than observations"),
        ({"horizon_days": "0"}, "horizon_days"),
        ({"level": "1"}, "measure.level"),
        (
            {"document": document("delta-gamma-parametric", factors={"proxies": {"A": {"factor": "B", "beta": "1"}}})},
            "proxies",
        ),
    ],
)
def test_wrong_parameters_are_named(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        method(**change)


def test_what_was_not_known_on_every_date_is_refused_to_its_holder() -> None:
    levels = {
        f"price:{name}": 100 * np.exp(np.concatenate(([0.0], np.cumsum(own)))) for name, own in (("A", A), ("B", B))
    }
    levels["price:B"][:20] = np.nan
    market = of_quotes(perpetual("A", 100.0), perpetual("B", 100.0), A=100.0, B=100.0)
    model = method(history=history_of(levels))
    assert asked({"ann": {"A-PERP": 1}}, market, model)["ann"] > 0
    with pytest.raises(CrossmarginError, match="price:B"):
        asked({"ann": {"B-PERP": 1}}, market, model)


def test_a_short_history_is_refused() -> None:
    market = of_quotes(perpetual("A", 100.0), A=100.0)
    with pytest.raises(InputError, match=r"150 daily changes .* for a covariance of 500"):
        asked({"ann": {"A-PERP": 1}}, market, method(history=of_changes(A=A), observations="500"))


def test_an_option_that_is_worth_nothing_needs_nothing() -> None:
    """An hour before its expiry: the fourth power of its deviation is no number above 0."""
    market = of_quotes(option("A", 90, Right.PUT, 0.5, days=1 / 24), A=100)
    requirements = evaluated({"ann": {"A-90-P": 1}}, market, method(history=with_vol())).requirements
    assert requirements.requirement_initial.tolist() == pytest.approx([0.0], abs=1e-60)
    assert requirements.contributions.contribution.tolist() == pytest.approx([0.0], abs=1e-60)


def test_an_hour_before_expiry_it_is_as_far_off_as_the_docs_say() -> None:
    history = with_vol()
    given = {"history": history, "observations": "90", "level": "0.95"}
    for strike, least, most in ((100, 2.0, 5.0), (98, 0.0, 0.05)):
        market = of_quotes(option("A", strike, Right.PUT, 0.5, days=1 / 24), A=100)
        book = {"ann": {f"A-{strike}-P": -1}}
        quadratic = asked(book, market, method(**given | {"observations": str(N)}))["ann"]
        full = asked(book, market, methodology("filtered-es", **given))["ann"]
        assert least <= quadratic / full <= most
