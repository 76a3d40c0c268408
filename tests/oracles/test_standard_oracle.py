"""The engine's standard margin against the slow loop: every charge, on random books of one account."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.positions import read_book
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.registry import methodology
from tests import books
from tests.oracles.standard_oracle import CHARGES, standard_account

BOTH = ("derive-standard", "deribit-standard")
SEEDS = range(60)
DOUBTED = ("BTC", "ETH", "BTC-PERPETUAL", "ETH-PERPETUAL", "BTC-20260327", "BTC-20260626", "ETH-20260327", "USDT")


def random_book(method: str, seed: int) -> tuple[Market, dict[str, float], dict[str, float]]:
    """A market with a stablecoin and oracles, contracts and balances: few or many, often within one expiry."""
    rng = np.random.default_rng(seed)
    names = [name for name in books.NAMES if books.holds(method, name)]
    if seed % 2:
        names = [name for name in names if name.startswith("BTC-27MAR26-")]
    chosen = rng.choice(names, int(rng.integers(1, len(names) + 1)), replace=False).tolist()
    held = {name: float(rng.choice([-1, 1]) * rng.integers(1, 30) * books.size(name)) for name in chosen}
    balances = {"USDC": 50_000.0}
    balances |= {asset: float(rng.integers(-20, 50)) for asset in ("BTC", "ETH", "USDT") if rng.random() < 0.4}
    facts = {name: float(rng.uniform(0.2, 1)) for name in DOUBTED if rng.random() < 0.5}
    prices = {"USDC": float(rng.uniform(0.9, 1.01)), "USDT": 0.999}
    market = books.market()
    market = replace(market, prices={**market.prices, **prices}, facts={"confidence": facts})
    return market, held, balances


def run(method: str, market: Market, held: dict[str, float], balances: dict[str, float]) -> Evaluation:
    rows = [books.row("ann", name, str(quantity)) for name, quantity in held.items()]
    cash = [{"account": "ann", "asset": asset, "amount": str(amount)} for asset, amount in balances.items()]
    made = methodology(method)
    assert made.schedule is not None
    problems: list[object] = []
    book = read_book(rows, cash, problems, accepts=tuple(made.schedule.haircuts))  # type: ignore[arg-type]
    assert book is not None, problems
    return evaluate(book, market, made)


@pytest.mark.parametrize("method", BOTH)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_charge_of_a_random_book(method: str, seed: int) -> None:
    market, held, balances = random_book(method, seed)
    evaluation = run(method, market, held, balances)
    r = evaluation.requirements
    units = standard_account(held, balances, evaluation.methodology.info.document, market)
    # Sums of terms that cancel, in another order, and another normal distribution: 1e-11 of about what is held.
    size = 1e5 * sum(abs(quantity) / books.size(name) for name, quantity in held.items()) + 1e5
    close: dict[str, Any] = {"rel": 1e-10, "abs": 1e-11 * size}
    for u, name in enumerate(r.units.names):
        for charge in CHARGES:
            found = float(r.units.components[charge][u])
            assert found == pytest.approx(units[name].initial[charge], **close), (name, charge)
    empty = {name for name, unit in units.items() if not any(unit.initial.values())}
    assert set(units) - set(r.units.names) <= empty
    for level in ("initial", "maintenance"):
        wanted = sum(sum(getattr(unit, level).values()) for unit in units.values())
        assert float(getattr(r, f"requirement_{level}")[0]) == pytest.approx(wanted, **close)
    shares = np.bincount(r.contributions.unit, r.contributions.contribution, len(r.units.names))
    assert shares == pytest.approx(r.units.requirement_initial, **close)


def test_the_random_books_reach_every_branch() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        market, held, balances = random_book("derive-standard", seed)
        evaluation = run("derive-standard", market, held, balances)
        for unit in standard_account(held, balances, evaluation.methodology.info.document, market).values():
            seen.update(name for name, value in unit.initial.items() if value)
            seen.update(f"maximum loss counts: {counts}" for counts in unit.together)
        e = evaluation.requirements.breakdown.measured.detail.expiries  # type: ignore[attr-defined]
        seen["calls are unpaired, and the maximum loss counts"] += int(
            np.count_nonzero((e.unpaired > 0) & (e.loss_initial < e.alone_initial))
        )
        seen["worst at 0"] += int(np.count_nonzero(e.settlement == 0))
        seen["worst at a strike"] += int(np.count_nonzero(e.settlement > 0))
        seen["a debt"] += sum(amount < 0 for amount in balances.values())
    assert len(seen) == len(CHARGES) + 6
    assert min(seen.values()) > 0, seen
