"""The engine's OKX margin against the slow loop: every charge, on random books of one account."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from crossmargin.market.snapshot import Market
from crossmargin.methodologies.venue_grids.okx.method import okx_pm
from tests.methodologies.venue_grids.okx_market import COMPLETE, market, run
from tests.oracles.okx_oracle import okx_account

DOCUMENT = okx_pm(COMPLETE).info.document
NAMES = market().instruments.names
SEEDS = range(60)


def random_book(seed: int) -> tuple[Market, dict[str, int], dict[str, int]]:
    """A market, contracts held and dollars owed: from a contract or two to what reaches the last tiers."""
    rng = np.random.default_rng(seed)
    usdt, usdc = (float(x) for x in rng.uniform(0.93, 1.02, 2))
    most = int(10 ** rng.integers(1, 7))
    chosen = [str(name) for name in rng.choice(NAMES, int(rng.integers(1, len(NAMES) + 1)), replace=False)]
    held = {name: int(rng.choice([-1, 1]) * rng.integers(1, most + 1)) for name in chosen}
    debts = {asset: int(rng.integers(1, 100_000)) for asset in ("USDT", "USDC") if rng.random() < 0.5}
    return market(usdt, usdc), held, debts


@pytest.mark.parametrize("seed", SEEDS)
def test_every_charge_of_a_random_book(seed: int) -> None:
    where, held, debts = random_book(seed)
    balances = {asset: -amount for asset, amount in debts.items()} or None
    r = run(held, balances, where=where).requirements
    units, initial, maintenance = okx_account({k: float(v) for k, v in held.items()}, debts, DOCUMENT, where)
    assert set(r.units.names) == set(units)
    # Sums of terms that cancel, in another order, and another normal distribution: 1e-11 of about what is held.
    size = 1_000 * max(map(abs, held.values()))
    for u, coin in enumerate(r.units.names):
        for name, values in r.units.components.items():
            assert float(values[u]) == pytest.approx(units[coin][name], rel=1e-10, abs=1e-11 * size), (coin, name)
    assert r.requirement_initial[0] == pytest.approx(initial, rel=1e-10)
    assert r.requirement_maintenance[0] == pytest.approx(maintenance, rel=1e-10)


def test_the_random_books_reach_every_branch() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        where, held, _ = random_book(seed)
        found = run(held, where=where).requirements.breakdown.measured.detail  # type: ignore[attr-defined]
        for name in ("mr1", "mr2", "mr3", "mr4", "mr5", "mr6", "mr7", "mr9"):
            seen[name] += int(np.count_nonzero(getattr(found, name)))
        seen["minimum binds"] += int(np.count_nonzero(found.minimum_binds))
        seen["stress binds"] += int(np.count_nonzero(~found.minimum_binds))
        seen["spot shock is worst"] += int(np.count_nonzero(found.worst_is == 0))
        seen["extreme move is worst"] += int(np.count_nonzero(found.worst_is == 2))
        seen["the last tier"] += int(np.count_nonzero(found.charge_amounts[:, -1]))
        seen["all pairs are matched"] += int(np.count_nonzero(found.hedged.any(axis=0)) == 3)
    assert {name for name, count in seen.items() if not count} <= {"all pairs are matched"}
