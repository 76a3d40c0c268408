"""The engine's SPAN against the oracle: every figure, on a file that has everything and on random ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmargin.aggregation.units import Grouping
from crossmargin.methodologies.span.book import span_book, span_contracts
from crossmargin.methodologies.span.method import Span, span
from crossmargin.methodologies.span.parameters import Across, Method, SpanFile, SpotRate, Spread, Tier, WeightedRisk
from crossmargin.methodologies.span.recipe import span_requirement
from tests.oracles.span_oracle import span_oracle
from tests.span_files import FileMaker, between, book_of, calendar, contract_names, rich_file


def figures(method: Span, held: dict[str, int]) -> dict[str, dict[str, float]]:
    book = book_of({"a": held})
    units = span_book(book, span_contracts(book.instruments, method.model), Grouping.NETTED)
    b = span_requirement(units)
    ledger, stands_in = b.ledger, b.ledger.stands_in
    n = units.holdings.n_units
    charges = np.bincount(stands_in, ledger.calendar_charge + ledger.spot_charge, n)
    credit = np.bincount(stands_in, b.credit, n)
    return {
        units.unit_name(u): {
            "scan_risk": float(ledger.scan_risk[u]),
            "charges": float(charges[u]),
            "credit": float(credit[u]),
            "minimum": float(b.short_option_minimum[u]),
            "price_risk": float(ledger.price_risk[u]),
            "option_value": float(b.levels.option_value[u]),
            "risk": float(b.levels.risk[u]),
        }
        for u in range(n)
        if stands_in[u] == u and (ledger.held[u] or ledger.original_delta[u])
    }


def compare(file: SpanFile, held: dict[str, int], place: str, what: Any) -> None:
    method = span(file, requirement_decimals="none", credit=place, policy="cme")
    ours = figures(method, held)
    theirs = span_oracle(file, {name: float(q) for name, q in held.items()}, inside=place == "inside")
    assert set(ours) == set(theirs), what
    for code, expected in theirs.items():
        for name, value in expected.items():
            # Sums of terms that cancel, in another order: absolute to the size of what is added.
            assert ours[code][name] == pytest.approx(value, rel=1e-9, abs=1e-7), (what, code, name)


def portfolio(rng: np.random.Generator, names: list[str]) -> dict[str, int]:
    count = int(rng.integers(1, min(40, len(names))))
    chosen = rng.choice(len(names), count, replace=False)
    return {names[k]: int(rng.choice([-1, 1]) * rng.integers(1, 13)) for k in chosen.tolist()}


@pytest.mark.parametrize("place", ["inside", "outside"])
def test_the_rich_file(place: str) -> None:
    rng = np.random.default_rng(1)
    names = contract_names(rich_file())
    futures = [name for name in names if " FUT " in name]
    for k in range(200):
        compare(rich_file(), portfolio(rng, futures if k % 2 else names), place, k)


PERIODS = ("202607", "202608", "202610", "202612", "202703")


def random_file(seed: int) -> SpanFile:
    """A few commodities with rules drawn at random."""
    rng = np.random.default_rng(seed)

    def chance(p: float) -> bool:
        return bool(rng.random() < p)

    maker = FileMaker()
    codes = ["AA", "BB", "CC", "DD", "EE"][: int(rng.integers(2, 6))]
    for code in codes:
        months = sorted(rng.choice(PERIODS, int(rng.integers(2, 6)), replace=False).tolist())
        cut = int(rng.integers(1, len(months)))
        tiers = (
            Tier(number=1, first=months[0], last=months[cut - 1]),
            Tier(number=2, first=months[cut], last=months[-1]),
            Tier(number=3, first=months[0], last=months[-1]),
        )
        spreads = []
        for priority in range(int(rng.integers(1, 6))):
            a, b = int(rng.integers(1, 4)), int(rng.integers(1, 4))
            method = [Method.FLAT, Method.PER_MONTH, Method.WEIGHTED][int(rng.integers(3))]
            rate = 0.1 if method is Method.WEIGHTED else round(float(rng.uniform(0.5, 3)), 2)
            spreads.append(calendar(code, priority, rate, a, b, method=method, rate_per_month=0.25))
        series = (calendar(code, 1, 1.5, months[0], months[1]),) if chance(0.5) else ()
        maker.commodity(
            code,
            intra_tiers=tiers,
            tier_spreads=tuple(spreads),
            series_spreads=series,
            inter_tiers=tiers[:2],
            scan_tiers=tiers[:2] if chance(0.3) else (),
            weighted_risk=list(WeightedRisk)[int(rng.integers(3))],
            som_tiers=(Tier(number=0, rate=1.0),),
            spot_rates=(SpotRate(period=months[0], spread_rate=0.3, outright_rate=0.7),) if chance(0.5) else (),
        )
        for k, period in enumerate(months):
            maker.future(code, period, float(rng.uniform(5, 15)), delta_scale=float(rng.choice([1.0, 2.0])))
            if k < 2:
                maker.options(code, period, (95.0, 105.0), underlying_period=period)
    for stage in ("super", "inter"):
        for priority in range(int(rng.integers(0, 5))):
            n_legs = int(rng.integers(2, min(3, len(codes)) + 1))
            chosen = rng.choice(codes, n_legs, replace=False).tolist()
            legs = [(code, str(rng.choice(["A", "B"])), float(rng.choice([1.0, 2.0]))) for code in chosen]
            across = list(Across)[int(rng.integers(3))] if stage == "inter" else Across.COMMODITY
            method = Method.FLAT_CREDIT if chance(0.2) else Method.WEIGHTED
            rate = round(float(rng.uniform(-0.1, 0.9)), 2)
            maker.spreads[stage].append(between(priority, rate, *legs, across=across, method=method))
        if chance(0.4):
            maker.spreads[stage].append(scanning(codes, rng))
    return maker.file()


def scanning(codes: list[str], rng: np.random.Generator) -> Spread:
    one, other = rng.choice(codes, 2, replace=False).tolist()
    made = between(50, 0.8, (one, "", 1.0), (other, "", 2.0), method=Method.SCANNING)
    legs = tuple(replace(leg, required=False) for leg in made.legs)
    return replace(made, legs=legs, target=replace(legs[0]))


@pytest.mark.parametrize("seed", range(40))
def test_random_files(seed: int) -> None:
    file = random_file(seed)
    names = contract_names(file)
    rng = np.random.default_rng(1_000 + seed)
    for k in range(15):
        compare(file, portfolio(rng, names), "inside", (seed, k))
