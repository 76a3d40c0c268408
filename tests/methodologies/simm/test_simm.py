"""The sensitivity method by hand, against the double sums of its rulebook, its laws, and the rows that it refuses."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import InputError, UnsupportedError
from crossmargin.methodologies.simm.aggregation import concentrated_gradient, concentrated_square
from crossmargin.methodologies.simm.parameters import RiskClass, SimmParameters, load_parameters
from crossmargin.methodologies.simm.recipe import Side, SimmBreakdown, simm
from crossmargin.portfolio.sensitivities import Sensitivities

P = load_parameters("simm-2.8+2506")
COLUMNS = ("portfolio", "product_class", "risk_type", "qualifier", "bucket", "label1", "label2")
Row = tuple[str, str, str, str, str, str, str, float]


def rows_of(*rows: Row) -> Sensitivities:
    """Rows: portfolio, product class, risk type, qualifier, bucket, label 1, label 2, amount."""
    return Sensitivities.of(
        np.array([row[-1] for row in rows]), **{name: [row[k] for row in rows] for k, name in enumerate(COLUMNS)}
    )


def curve(currency: str, tenor: str, amount: float, portfolio: str = "p", sub_curve: str = "OIS") -> Row:
    """A row of a rates curve."""
    return (portfolio, "RatesFX", "Risk_IRCurve", currency, "1", tenor, sub_curve, amount)


def equity(name: str, bucket: str, amount: float, portfolio: str = "p") -> Row:
    """A row of equity delta."""
    return (portfolio, "Equity", "Risk_Equity", name, bucket, "", "", amount)


def margined(*rows: Row, side: Side = Side.CALL, parameters: SimmParameters = P, **given: Any) -> SimmBreakdown:
    """Under the reference version."""
    return simm(rows_of(*rows), parameters, side=side, **given)


# By hand


def test_two_tenors_of_one_curve() -> None:
    p = P.rates
    short, long = p.tenors.index("2y"), p.tenors.index("10y")
    rw = p.risk_weight[p.volatility.group("USD")]
    a, b = 1000 * rw[short], -800 * rw[long]
    rho = p.tenor_correlation[short, long]
    found = margined(curve("USD", "2y", 1000), curve("USD", "10y", -800))
    assert found.total[0] == pytest.approx(math.sqrt(a * a + b * b + 2 * rho * a * b), rel=1e-12)


def test_sub_curves_inflation_and_basis() -> None:
    p = P.rates
    t = p.tenors.index("5y")
    rw = p.risk_weight[p.volatility.group("EUR"), t]
    ois, libor = 1000 * rw, -400 * rw
    inflation, basis = 300 * p.inflation_risk_weight, 200 * p.basis_risk_weight
    rows = (
        curve("EUR", "5y", 1000),
        curve("EUR", "5y", -400, sub_curve="Libor3m"),
        ("p", "RatesFX", "Risk_Inflation", "EUR", "", "", "", 300.0),
        ("p", "RatesFX", "Risk_XCcyBasis", "EUR", "", "", "", 200.0),
    )
    expected = ois**2 + libor**2 + 2 * p.sub_curve_correlation * ois * libor
    expected += inflation**2 + 2 * p.inflation_correlation * inflation * (ois + libor)
    expected += basis**2 + 2 * p.basis_correlation * basis * (ois + libor + inflation)
    assert margined(*rows).total[0] == pytest.approx(math.sqrt(expected), rel=1e-12)


def test_concentration_of_one_name_and_across_buckets() -> None:
    p = P.bucketed[RiskClass.EQUITY]
    one, other = p.buckets.index("1"), p.buckets.index("5")
    large = 4 * p.delta_threshold[one]
    ws = p.risk_weight[one] * large * 2.0  # CR is the root of four
    small = p.risk_weight[other] * 1e5
    s_small = min(small, small)
    expected = ws**2 + small**2 - 2 * p.bucket_correlation[one, other] * ws * s_small
    found = margined(equity("A", "1", large), equity("B", "5", -1e5))
    assert found.total[0] == pytest.approx(math.sqrt(expected), rel=1e-12)


def test_curvature_is_what_short_options_cost() -> None:
    p = P.bucketed[RiskClass.EQUITY]
    b = p.buckets.index("2")
    sigma = p.risk_weight[b] * P.volatility_scale
    vega_ws = p.vega_risk_weight[b] * p.historical_volatility_ratio * sigma * 1000
    cvr = 0.5 * min(1.0, 14 / 365) * sigma * 1000
    row = ("p", "Equity", "Risk_EquityVol", "A", "2", "1y", "", 1000.0)
    long = max(cvr + P.curvature_scale * cvr, 0.0)
    # Negative vega: theta is -1, lambda is 1, and the root takes the sum back.
    assert margined(row).total[0] == pytest.approx(vega_ws + long, rel=1e-12)
    assert margined(row, side=Side.POST).total[0] == pytest.approx(vega_ws, rel=1e-12)


def test_product_classes_do_not_offset_and_risk_classes_do_by_psi() -> None:
    rates, stocks = margined(curve("USD", "5y", 5000)).total[0], margined(equity("A", "1", 9000)).total[0]
    both = margined(curve("USD", "5y", 5000), equity("A", "1", 9000)).total[0]
    assert both == pytest.approx(rates + stocks, rel=1e-12)
    hybrid = margined(("p", "Equity", "Risk_IRCurve", "USD", "1", "5y", "OIS", 5000.0), equity("A", "1", 9000))
    psi = P.psi[RiskClass.INTEREST_RATE, RiskClass.EQUITY]
    assert hybrid.total[0] == pytest.approx(math.sqrt(rates**2 + stocks**2 + 2 * psi * rates * stocks), rel=1e-12)


def test_the_calculation_currency_has_no_currency_risk_and_its_own_group_counts() -> None:
    rows = (
        ("p", "RatesFX", "Risk_FX", "EUR", "", "", "", 1000.0),
        ("p", "RatesFX", "Risk_FX", "USD", "", "", "", 700.0),
        ("p", "RatesFX", "Risk_FX", "BRL", "", "", "", -500.0),
    )
    p = P.fx
    group = {name: p.volatility.group(name) for name in ("EUR", "USD", "BRL")}
    for calculation, kept in (("USD", (("EUR", 1000.0), ("BRL", -500.0))), ("EUR", (("USD", 700.0), ("BRL", -500.0)))):
        own = group[calculation]
        rho = p.correlation[own]
        assert rho is not None
        (a, x), (b, y) = ((name, amount * p.risk_weight[own, group[name]]) for name, amount in kept)
        expected = math.sqrt(x * x + y * y + 2 * rho[group[a], group[b]] * x * y)
        found = margined(*rows, calculation_currency=calculation, usd_per_unit=1.25 if calculation == "EUR" else 1.0)
        assert found.total[0] == pytest.approx(expected / (1.25 if calculation == "EUR" else 1.0), rel=1e-12)
        assert found.currency == calculation


def test_several_netting_sets_at_once_are_each_alone() -> None:
    rows = [curve("USD", "2y", 1e6 * (k + 1), f"set {k % 3}") for k in range(9)]
    rows += [equity(f"N{k}", "3", -1e7 * k, f"set {k % 3}") for k in range(9)]
    together = margined(*rows)
    for k, name in enumerate(together.portfolios):
        alone = margined(*(row for row in rows if row[0] == name))
        assert together.total[k] == alone.total[0]


def test_add_ons() -> None:
    rows = (
        equity("A", "1", 9000),
        ("p", "", "Param_ProductClassMultiplier", "Equity", "", "", "", 1.5),
        ("p", "", "Param_AddOnFixedAmount", "", "", "", "", 1000.0),
        ("p", "", "Param_AddOnNotionalFactor", "Odd", "", "", "", 2.0),
        ("p", "", "Notional", "Odd", "", "", "", 50_000.0),
        ("p", "", "Notional", "Other", "", "", "", 9e9),
    )
    assert margined(*rows).total[0] == pytest.approx(1.5 * margined(rows[0]).total[0] + 1000 + 1000, rel=1e-12)


# The separation of the concentration factor


def double_sum(x: np.ndarray, cr: np.ndarray) -> float:
    """As the rulebook writes it."""
    n = len(x)
    return sum(min(cr[k], cr[m]) / max(cr[k], cr[m]) * x[k] * x[m] for k in range(n) for m in range(n))


def test_sorted_sums_are_the_double_sum() -> None:
    rng = np.random.default_rng(3)
    n = 60
    x, cr = rng.standard_normal(n) * 1e6, np.maximum(1.0, rng.exponential(1.5, n))
    segment = rng.integers(0, 5, n)
    found = concentrated_square(x, cr, segment, 6)
    half = concentrated_gradient(x, cr, segment, 6)
    for k in range(5):
        own = segment == k
        expected = double_sum(x[own], cr[own])
        assert found[k] == pytest.approx(expected, rel=1e-12)
        assert float(half[own] @ x[own]) == pytest.approx(expected, rel=1e-10)
    assert found[5] == 0


def book(seed: int, scale: float = 1.0) -> list[Row]:
    """Something of every risk type."""
    rng = np.random.default_rng(seed)

    def amount(size: float) -> float:
        return float(rng.standard_normal() * size * scale)

    rows: list[Row] = []
    for currency in ("USD", "EUR", "JPY", "BRL"):
        rows += [curve(currency, tenor, amount(1e4)) for tenor in ("3m", "2y", "10y")]
        rows.append(curve(currency, "5y", amount(1e4), sub_curve="Libor3m"))
        rows.append(("p", "RatesFX", "Risk_IRVol", currency, "", "1y", "", amount(1e5)))
        rows.append(("p", "RatesFX", "Risk_FX", currency, "", "", "", amount(1e6)))
        rows.append(("p", "RatesFX", "Risk_Inflation", currency, "", "", "", amount(1e4)))
    rows.append(("p", "RatesFX", "Risk_InflationVol", "EUR", "", "5y", "", amount(1e4)))
    rows.append(("p", "RatesFX", "Risk_XCcyBasis", "JPY", "", "", "", amount(1e4)))
    for k, pair in enumerate(("EURUSD", "JPYUSD", "BRLUSD")):
        rows.append(("p", "RatesFX", "Risk_FXVol", pair, "", ("1m", "1y", "5y")[k], "", amount(1e4)))
    for bucket in ("1", "2", "7", "Residual"):
        for name in ("A", "B", "C"):
            rows.append(equity(name + bucket, bucket, amount(1e6)))
            rows.append(("p", "Equity", "Risk_EquityVol", name + bucket, bucket, "6m", "", amount(1e3)))
            rows.append(("p", "Credit", "Risk_CreditQ", name + bucket, bucket, "5y", "", amount(1e4)))
            rows.append(("p", "Credit", "Risk_CreditVol", name + bucket, bucket, "5y", "", amount(1e4)))
    rows.append(("p", "Credit", "Risk_BaseCorr", "CDX", "", "", "", amount(1e4)))
    rows.append(("p", "Credit", "Risk_BaseCorr", "ITRAXX", "", "", "", amount(1e4)))
    for k, (bucket, group) in enumerate((("1", "CMBX"), ("1", "RMBX"), ("2", "CMBX"), ("Residual", "RMBX"))):
        rows.append(("p", "Credit", "Risk_CreditNonQ", f"T{k}", bucket, "3y", group, amount(1e3)))
        rows.append(("p", "Credit", "Risk_CreditVolNonQ", f"T{k}", bucket, "3y", group, amount(1e3)))
    for bucket in ("2", "8", "16"):
        rows.append(("p", "Commodity", "Risk_Commodity", f"C{bucket}", bucket, "", "", amount(1e6)))
        rows.append(("p", "Commodity", "Risk_CommodityVol", f"C{bucket}", bucket, "2y", "", amount(1e3)))
    return rows


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("side", list(Side))
def test_order_of_rows_and_splitting_one_change_nothing(seed: int, side: Side) -> None:
    rows = book(seed)
    whole = margined(*rows, side=side).total[0]
    order = np.random.default_rng(seed).permutation(len(rows))
    assert margined(*(rows[k] for k in order), side=side).total[0] == whole  # to the last bit
    first = rows[seed]
    split = [*rows[:seed], *rows[seed + 1 :], (*first[:-1], first[-1] * 3.0), (*first[:-1], first[-1] * -2.0)]
    assert margined(*split, side=side).total[0] == pytest.approx(whole, rel=1e-10)


@pytest.mark.parametrize("seed", range(5))
def test_below_the_thresholds_it_is_of_one_order(seed: int) -> None:
    one, three = margined(*book(seed, 0.01)).total[0], margined(*book(seed, 0.03)).total[0]
    assert three == pytest.approx(3 * one, rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_opposite_sensitivities_net_to_nothing(seed: int) -> None:
    rows = book(seed)
    opposite = [(*row[:-1], -row[-1]) for row in rows]
    assert margined(*rows, *opposite).total[0] == 0.0


def test_a_pair_is_one_whichever_way_round() -> None:
    one = ("p", "RatesFX", "Risk_FXVol", "EURUSD", "", "1y", "", 1000.0)
    other = ("p", "RatesFX", "Risk_FXVol", "USDEUR", "", "1y", "", -1000.0)
    assert margined(one, other).total[0] == 0.0


def test_a_label_that_a_type_does_not_use_changes_nothing() -> None:
    plain = margined(equity("A", "1", 9000)).total[0]
    labelled = ("p", "Equity", "Risk_Equity", "A", "1", "5y", "OIS", 4500.0)
    again = ("p", "Equity", "Risk_Equity", "A", "1", "2y", "", 4500.0)
    assert margined(labelled, again).total[0] == pytest.approx(plain, rel=1e-12)


# Refused


BAD: list[tuple[Row, str]] = [
    (("p", "Equity", "Risk_Stock", "A", "1", "", "", 1.0), "risk type 'Risk_Stock'"),
    (("p", "Rates", "Risk_Equity", "A", "13", "", "", 1.0), "bucket '13'"),
    (("p", "Equity", "Risk_Equity", "A", "", "", "", 1.0), "no bucket"),
    (("p", "RatesFX", "Risk_IRCurve", "USD", "1", "7y", "OIS", 1.0), "tenor '7y'"),
    (("p", "RatesFX", "Risk_IRCurve", "USD", "1", "5y", "", 1.0), "no sub-curve"),
    (("p", "RatesFX", "Risk_FXVol", "EURO", "", "1y", "", 1.0), "currency pair 'EURO'"),
    (("p", "RatesFX", "Risk_FX", "", "", "", "", 1.0), "no currency"),
    (("p", "Bonds", "Risk_FX", "EUR", "", "", "", 1.0), "product class 'Bonds'"),
    (("p", "Equity", "Risk_Equity", "", "1", "", "", 1.0), "no qualifier"),
    (("p", "", "Param_ProductClassMultiplier", "Cash", "", "", "", 2.0), "product class 'Cash'"),
]


def test_every_row_that_is_wrong_is_named() -> None:
    with pytest.raises(InputError) as caught:
        margined(equity("A", "1", 9000), *(row for row, _ in BAD))
    assert [problem.row for problem in caught.value.problems] == list(range(2, 2 + len(BAD)))
    for problem, (_, said) in zip(caught.value.problems, BAD, strict=True):
        assert said in problem.found


def test_rejected_rows_can_be_left_out_and_are_said() -> None:
    found = margined(equity("A", "1", 9000), *(row for row, _ in BAD), skip_rejected=True)
    assert found.total[0] == margined(equity("A", "1", 9000)).total[0]
    assert len(found.rejected) == len(BAD)


def test_a_currency_without_correlations_is_refused() -> None:
    group = P.fx.volatility.group("USD")
    parameters = replace(P, fx=replace(P.fx, correlation={**P.fx.correlation, group: None}))
    with pytest.raises(UnsupportedError, match="no correlations of currencies for a calculation in USD"):
        margined(("p", "RatesFX", "Risk_FX", "EUR", "", "", "", 1.0), parameters=parameters)
