"""`delta-gamma-parametric`: derivatives, cumulants, expansion and gradients, each against another calculation."""

from __future__ import annotations

import math
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
