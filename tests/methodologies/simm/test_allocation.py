"""Contributions sum to the total, are its derivatives, and every node of the tree recombines."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.simm.allocation import contributions
from crossmargin.methodologies.simm.explain import explain_simm
from crossmargin.methodologies.simm.parameters import SimmParameters, load_parameters
from crossmargin.methodologies.simm.recipe import Side, SimmBreakdown, simm
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES
from crossmargin.portfolio.sensitivities import Sensitivities
from tests.methodologies.simm.test_simm import Row, book, curve, equity, margined

ADDED = [
    ("p", "", "Param_ProductClassMultiplier", "Equity", "", "", "", 1.5),
    ("p", "", "Param_AddOnFixedAmount", "", "", "", "", 1e6),
    ("p", "", "Param_AddOnNotionalFactor", "EXOTIC", "", "", "", 2.0),
    ("p", "", "Notional", "EXOTIC", "", "", "", 1e8),
]


def by_portfolio(b: SimmBreakdown) -> np.ndarray:
    """Sum of the contributions of every portfolio."""
    found = np.zeros(len(b.total))
    for one in contributions(b):
        np.add.at(found, one.scope // len(PRODUCT_CLASSES), one.amount)
    return found


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0])
def test_contributions_sum_to_the_total(seed: int, scale: float, side: Side) -> None:
    b = margined(*book(seed, scale), *ADDED, side=side, calculation_currency="EUR", usd_per_unit=1.1)
    assert by_portfolio(b) == pytest.approx(b.total, rel=1e-13)
    assert {one.margin_type for one in contributions(b)} >= {"Delta", "Vega", "Curvature", "BaseCorr", "AdditionalIM"}


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("seed", range(2))
def test_a_slope_is_the_derivative(seed: int, side: Side) -> None:
    """Of a book without concentration, where nothing is held: central differences of the whole recipe."""
    rows = book(seed, 0.01)
    b = margined(*rows, side=side)
    slope = np.zeros(len(rows))
    for one in contributions(b):
        np.add.at(slope, one.source, one.amount)
    amounts = np.array([row[-1] for row in rows])
    slope /= amounts
    for k, row in enumerate(rows):
        step = 1e-3 * abs(row[-1])
        up, down = (
            margined(*rows[:k], (*row[:-1], row[-1] + h), *rows[k + 1 :], side=side).total[0] for h in (step, -step)
        )
        assert (up - down) / (2 * step) == pytest.approx(slope[k], rel=1e-5, abs=1e-6), row


def test_a_hedge_contributes_less_than_nothing() -> None:
    b = margined(curve("USD", "2y", 1000.0), curve("USD", "3y", -500.0))
    (found,) = contributions(b)
    assert found.amount[0] > 0 > found.amount[1]
    assert found.amount.sum() == pytest.approx(b.total[0], rel=1e-15)


def test_concentration_is_held() -> None:
    """Of one name the whole is its own: the factor grows with the position, and contributions do not count that."""
    b = margined(equity("A", "5", 1e9))
    (found,) = contributions(b)
    assert found.concentration[0] > 1
    assert found.amount[0] == pytest.approx(b.total[0], rel=1e-15)


def test_a_row_that_is_no_risk_contributes_nothing() -> None:
    rows: list[Row] = [("p", "RatesFX", "Risk_FX", name, "", "", "", 1e6) for name in ("USD", "EUR")]
    (found,) = contributions(margined(*rows))
    of_row = dict(zip(found.source.tolist(), found.amount.tolist(), strict=True))
    assert of_row[0] == 0
    assert of_row[1] > 0


def nodes_that_do_not_recombine(tree: Explanation) -> Iterator[tuple[str, float, float]]:
    """A square of cancelling terms is as exact as the terms are."""
    for _, node in tree.walk():
        sizes = [abs(part.value) for part in node.parts]
        size = max([1e-6, *([s**0.5 for s in sizes] if node.rule.startswith("square root") else sizes)])
        if abs(node.recombined() - node.value) > 1e-10 * size:
            yield node.label, node.value, node.recombined()


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("scale", [0.01, 1.0, 1000.0])
def test_every_node_recombines(scale: float, side: Side) -> None:
    b = margined(*book(7, scale), *ADDED, side=side, calculation_currency="JPY", usd_per_unit=0.0065)
    for most in (1, 6, 1000):
        tree = explain_simm(b, 0, "p", most=most)
        assert tree.value == b.total[0]
        assert list(nodes_that_do_not_recombine(tree)) == []
    labels = {node.label for _, node in tree.walk()}
    assert {"RatesFX: risk classes, correlated", "EUR inflation", "A1 5y", "Equity: multiplier"} <= labels


def test_factors_beyond_the_named_ones_are_one_term() -> None:
    b = margined(*(equity(f"N{k}", "5", 1e5 * (k + 1)) for k in range(40)))
    tree = explain_simm(b, 0, "p", most=3)
    (rest,) = [node for _, node in tree.walk() if node.label == "37 further factors"]
    assert rest.value > 0
    assert list(nodes_that_do_not_recombine(tree)) == []


@pytest.fixture
def vectors(reference_dir: Path) -> Sensitivities:
    """The 77 portfolios."""
    path = reference_dir / "simm/portfolios_crif.csv"
    with path.open() as lines:
        rows = list(csv.DictReader(lines))
    names = {
        "portfolio": "PortfolioID",
        "product_class": "ProductClass",
        "risk_type": "RiskType",
        "qualifier": "Qualifier",
        "bucket": "Bucket",
        "label1": "Label1",
        "label2": "Label2",
    }
    return Sensitivities.of(
        np.array([float(row["AmountUSD"]) for row in rows]),
        **{ours: [row[theirs] for row in rows] for ours, theirs in names.items()},
    )


@pytest.mark.parametrize("side", list(Side))
@pytest.mark.parametrize("days", [10, 1])
def test_vectors_are_allocated_and_explained(vectors: Sensitivities, days: int, side: Side) -> None:
    parameters: SimmParameters = load_parameters("simm-2.8+2506", mpor_days=days)
    b = simm(vectors, parameters, side=side)
    assert len(b.total) == 77
    assert by_portfolio(b) == pytest.approx(b.total, rel=1e-13)
    for p, name in enumerate(b.portfolios):
        assert list(nodes_that_do_not_recombine(explain_simm(b, p, name))) == [], name
