"""Every portfolio, version, margin period and side of the SIMM reference, at every level of the report."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from crossmargin.methodologies.simm.parameters import load_parameters
from crossmargin.methodologies.simm.recipe import Side, SimmBreakdown, simm
from crossmargin.portfolio.sensitivities import Sensitivities

RUNS = [
    ("2.8+2512", 10, Side.CALL),
    ("2.8+2512", 10, Side.POST),
    ("2.8+2506", 10, Side.CALL),
    ("2.7+2412", 10, Side.CALL),
    ("2.6", 10, Side.CALL),
    ("2.8+2512", 1, Side.CALL),
    ("2.8+2506", 1, Side.POST),
]
RELATIVE, ABSOLUTE = 1e-9, 1e-6
"""Tolerance that the reference states; US dollars."""
Level = tuple[str, str, str, str]


@cache
def sensitivities(folder: Path) -> Sensitivities:
    """The 77 portfolios."""
    with (folder / "simm/portfolios_crif.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {
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
        **{own: [row[name] for row in rows] for own, name in columns.items()},
    )


@cache
def expected(folder: Path) -> dict[tuple[str, int, str], dict[Level, float]]:
    """By run, then by portfolio, product class, risk class and margin type."""
    found: dict[tuple[str, int, str], dict[Level, float]] = defaultdict(dict)
    with (folder / "simm/results_ore.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            run = row["version"], int(row["mpor_days"]), row["side"].lower()
            level = row["PortfolioID"], row["ProductClass"], row["RiskClass"], row["MarginType"]
            found[run][level] = float(row["amount_usd"])
    return found


def levels(breakdown: SimmBreakdown) -> dict[Level, float]:
    """The report's lines that are of all buckets."""
    report = breakdown.report()
    columns = (report.portfolio, report.product_class, report.risk_class, report.margin_type, report.bucket)
    lines = zip(*(column.texts() for column in columns), report.amount.tolist(), strict=True)
    return {(p, c, r, m): amount for p, c, r, m, bucket, amount in lines if bucket == "All"}


@pytest.mark.parametrize(("version", "mpor_days", "side"), RUNS, ids=str)
def test_every_level_of_every_portfolio(reference_dir: Path, version: str, mpor_days: int, side: Side) -> None:
    wanted = expected(reference_dir)[version, mpor_days, side.value]
    parameters = load_parameters(f"simm-{version}", mpor_days=mpor_days)
    found = levels(simm(sensitivities(reference_dir), parameters, side=side))
    assert len(wanted) == 1966
    assert set(found) == set(wanted)
    wrong = {
        level: (found[level], value)
        for level, value in wanted.items()
        if not abs(found[level] - value) <= max(RELATIVE * abs(value), ABSOLUTE)
    }
    assert not wrong


def test_a_portfolio_alone_has_the_figures_that_it_has_among_others(reference_dir: Path) -> None:
    everything, parameters = sensitivities(reference_dir), load_parameters("simm-2.8+2506")
    together = simm(everything, parameters, side=Side.CALL)
    for k in range(0, len(together.portfolios), 7):
        own = everything.take(np.flatnonzero(everything.portfolio.codes == k))
        alone = simm(own, parameters, side=Side.CALL)
        assert alone.total[k] == together.total[k], together.portfolios[k]
