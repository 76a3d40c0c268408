"""The engine's span2-like and stans-like margins against the slow loops: every component of random books."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from crossmargin.engine.evaluate import evaluate
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import UnitResult
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.requirements import Requirements
from tests import books
from tests.oracles import houses_oracle as oracle

SPAN2: dict[str, dict[str, Any]] = {
    "everything on": books.span2_document(concentration={"threshold_days": "0.5", "rate": "0.25"}),
    "half and half, a third beyond the level": books.span2_document(
        historical_share="0.5",
        measure={"tool": "es", "level": "0.985"},
        stress_measure={"tool": "es", "level": "0.8"},
        liquidity={"impact": "1.2"},
        concentration={"threshold_days": "2", "rate": "0.1"},
        wrong_way={"underlyings": ["BTC", "SPX"], "fall": "0.3"},
    ),
    "history alone": books.span2_document(
        historical_share="1", wrong_way={"underlyings": [], "fall": "0"}, liquidity={"impact": "0"}
    ),
}
STANS: dict[str, dict[str, str]] = {
    "t": {"draws": "400", "observations": "120"},
    "an odd number of normal draws": {"draws": "333", "observations": "120", "dependence": "gaussian"},
    "a tail for each kind, the add-on whole": {
        "draws": "300",
        "observations": "120",
        "dependence": "grouped_t",
        "add_on_weight": "1",
    },
}


@cache
def quoted() -> tuple[Market, dict[str, float], dict[str, float]]:
    """The test market with volumes and quotes of every other name; the volumes, and half spreads in quoted units."""
    market = books.market()
    rng = np.random.default_rng(5)
    volume = {name: float(rng.integers(5, 60) * books.size(name)) for name in books.NAMES[::2]}
    half = {name: float(rng.integers(1, 9)) / 1000 for name in books.NAMES[::3]}
    bid, ask = market.bid.copy(), market.ask.copy()
    for name, h in half.items():
        row = market.instruments.rows((name,))[0]
        bid[row], ask[row] = 1 - h, 1 + h
    return replace(market, bid=bid, ask=ask, facts={"average_daily_volume": volume}), volume, half


@cache
def made(name: str, rules: str) -> Methodology:
    if name == "span2-like":
        return methodology(name, SPAN2[rules], history=books.history())
    return methodology(name, history=books.history(), **STANS[rules])


def random_book(seed: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    chosen = [str(name) for name in rng.choice(books.NAMES, int(rng.integers(1, 13)), replace=False)]
    return {name: int(rng.choice([-1, 1]) * rng.integers(1, 40)) * books.size(name) for name in chosen}


def margined(held: dict[str, int], method: Methodology) -> tuple[Requirements, ModelContracts, dict[str, float]]:
    """The answer, what was priced, and half spreads in dollars a contract, from quotes and terms."""
    market, _, half = quoted()
    rows = [books.row("ann", name, q) for name, q in held.items()]
    r = evaluate(books.book(rows), market, method).requirements
    assert isinstance(r.breakdown, UnitResult)
    priced = r.breakdown.priced
    table = priced.inputs.instruments
    spread = {}
    for k, name in enumerate(priced.names):
        coin = name.split("-")[0]
        # An inverse option is quoted in coin, everything else in dollars of its own unit.
        in_coin = coin in ("BTC", "ETH") and bool(priced.inputs.is_option[k])
        dollars = books.INDEX[coin] if in_coin else 1.0
        spread[name] = half.get(name, 0.0) * float(table.multiplier[k]) * dollars
    return r, priced, spread


def table_of(priced: ModelContracts, name: str) -> oracle.Table:
    return {one: priced.sets[name].unit_pnl[k].tolist() for k, one in enumerate(priced.names)}


def compare(r: Requirements, expected: dict[str, float], maintenance: float) -> None:
    close: dict[str, Any] = {"rel": 1e-9, "abs": 1e-11 * float(r.requirement_isolated[0])}
    assert set(r.units.components) == set(expected)
    for name, values in r.units.components.items():
        assert float(values[0]) == pytest.approx(expected[name], **close), name
    assert float(r.requirement_initial[0]) == pytest.approx(sum(expected.values()), **close)
    assert float(r.requirement_maintenance[0]) == pytest.approx(maintenance * sum(expected.values()), **close)


@pytest.mark.parametrize("rules", SPAN2)
@pytest.mark.parametrize("seed", range(12))
def test_every_component_of_span2_like(seed: int, rules: str) -> None:
    held = random_book(seed)
    r, priced, spread = margined(held, made("span2-like", rules))
    sets = {name: table_of(priced, name) for name in priced.sets}
    own = {name: float(q) for name, q in held.items()}
    wrong_way = SPAN2[rules]["wrong_way"]
    falling = sorted({*wrong_way["underlyings"], *wrong_way.get("accounts", {}).get("ann", [])})
    words = f"{', '.join(falling)} down by {float(wrong_way['fall']):.0%}"
    falls_with = priced.sets["wrong way"].scenarios.labels.index(words) if "wrong way" in sets else -1
    compare(r, oracle.span2(own, sets, quoted()[1], spread, SPAN2[rules], falls_with), 0.8)


@pytest.mark.parametrize("rules", STANS)
@pytest.mark.parametrize("seed", range(12))
def test_every_component_of_stans_like(seed: int, rules: str) -> None:
    held = random_book(seed)
    method = made("stans-like", rules)
    r, priced, spread = margined(held, method)
    scenarios = priced.sets["simulated"].scenarios
    change = {u: scenarios.shifts[:, scenarios.place[f"price:{u}"]].tolist() for u in priced.underlyings}
    underlying = {name: priced.underlyings[u] for name, u in zip(priced.names, priced.underlying.tolist(), strict=True)}
    own = {name: float(q) for name, q in held.items()}
    expected = oracle.stans(own, table_of(priced, "simulated"), underlying, change, spread, method.info.document)
    compare(r, expected, 0.8)


def test_the_books_meet_every_rule() -> None:
    """So that what is compared above is not nothing: every component is charged, and each dependence the worst once."""
    charged: set[str] = set()
    worst: set[int] = set()
    for seed in range(12):
        for name, rules in (("span2-like", "everything on"), ("stans-like", "t")):
            r = margined(random_book(seed), made(name, rules))[0]
            charged |= {component for component, values in r.units.components.items() if values[0] > 0}
            if name == "stans-like":
                worst |= set(r.breakdown.measured.detail.worst_dependence.tolist())
    assert charged == {
        *("historical", "stress", "liquidity", "concentration", "wrong_way"),
        *("base", "add_on", "liquidation"),
    }
    assert worst == {0, 1, 2}
