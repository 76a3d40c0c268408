"""The engine's prisma-like margin against the slow loop: random books of one account, every component."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
import pytest

from crossmargin.instruments.table import Kind
from crossmargin.methodologies.by_unit import UnitResult
from crossmargin.methodologies.model_based.prisma.method import PrismaLike, prisma_like
from tests import books
from tests.methodologies.test_laws import run
from tests.oracles import prisma_oracle as oracle

RULES: dict[str, dict[str, Any]] = {
    "everything on, three sub-samples, median": books.prisma_document(),
    "mean of two": books.prisma_document(
        measure={"level_low": "0.9", "level_target": "0.99", "degrees_of_freedom": "5", "aggregate": "mean"},
        generation=books.prisma_document()["generation"] | {"horizon_days": "2"},
        stress_weight="1.5",
        liquidation_groups={},
    ),
    "largest, size counts": books.prisma_document(
        measure={"level_low": "0.95", "level_target": "0.995", "degrees_of_freedom": "4", "aggregate": "largest"},
        liquidity={"level": "0.95", "floor": "0.6", "factor_by_days": [["0.5", "0.1"], ["1", "0.3"], ["2", "0.8"]]},
        correlation_break={"level": "0.95", "window": "40", "kappa": "0.5", "least": "0.1", "most": "0.12"},
    ),
}  # fmt: skip


@cache
def method(rules: str) -> PrismaLike:
    return prisma_like(RULES[rules], history=books.history())


def random_book(seed: int) -> dict[str, int]:
    rng = np.random.default_rng(seed)
    chosen = [str(name) for name in rng.choice(books.NAMES, int(rng.integers(1, 13)), replace=False)]
    return {name: int(rng.choice([-1, 1]) * rng.integers(1, 40)) * books.size(name) for name in chosen}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", range(12))
def test_every_component_of_a_random_book(seed: int, rules: str) -> None:
    held, document = random_book(seed), RULES[rules]
    r = run([books.row("ann", name, q) for name, q in held.items()], method(rules))
    result = r.breakdown
    assert isinstance(result, UnitResult)
    priced = result.priced
    place = {name: k for k, name in enumerate(priced.names)}
    tables: dict[str, oracle.Table] = {
        key: {name: one.unit_pnl[k].tolist() for name, k in place.items()} for key, one in priced.sets.items()
    }
    sample = {key: one.scenarios.sub_sample.tolist() for key, one in priced.sets.items()}
    group_of = document["liquidation_groups"]
    total = 0.0
    for u, unit in enumerate(r.units.names):
        own = {
            name: float(q)
            for name, q in held.items()
            if group_of.get(priced.underlyings[priced.underlying[place[name]]], "portfolio") == unit
        }
        errors = [
            float(document["model_error"][Kind(int(priced.inputs.instruments.kind[place[name]])).name.lower()])
            * float(priced.notional[place[name]])
            * q
            for name, q in own.items()
        ]
        error = math.sqrt(math.fsum(e * e for e in errors))
        pnl = {key: oracle.pnl_of(own, table) for key, table in tables.items()}
        expected = {
            "filtered": oracle.market_risk(pnl["filtered"], sample["filtered"], error, document, breaks=True),
            "stress": float(document["stress_weight"])
            * oracle.market_risk(pnl["stress"], sample["stress"], error, document, breaks=False),
            "events": oracle.events(pnl["event"], int(document["events"]["worst"])),
            "liquidity": oracle.liquidity(
                own, tables["filtered"], sample["filtered"], dict.fromkeys(own, 1.0), dict.fromkeys(own, 0.0), document
            ),
        }
        expected["market_risk"] = max(expected["filtered"], expected["stress"])
        close: dict[str, Any] = {"rel": 1e-9, "abs": 1e-11 * float(r.units.requirement_isolated[u])}
        for name, values in r.units.components.items():
            assert float(values[u]) == pytest.approx(expected.pop(name), **close), name
        assert not expected
        requirement = float(r.units.requirement_initial[u])
        assert requirement == pytest.approx(
            sum(float(r.units.components[name][u]) for name in ("market_risk", "events", "liquidity")), rel=1e-14
        )
        total += requirement
    assert r.requirement_initial[0] == pytest.approx(total, rel=1e-14)
    assert r.requirement_maintenance[0] == pytest.approx(0.9 * total, rel=1e-14)
