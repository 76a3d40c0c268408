"""The engine's Deribit margin against the slow loop: every figure, on random books of one account."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from tests.methodologies.venue_grids.deribit_market import INVERSE, LINEAR, SHARING, document, market, run
from tests.oracles.deribit_oracle import deribit_account

RULES: dict[str, dict[str, Any]] = {
    "S:PM": document(),
    "S:PM, exponential roll, gains count": document(
        currency={"pnl_offset": "0.3", "max_offsetable_pnl": "5000", "extended_dampener": "1000"},
        pair={"delta_total_liq_shock_threshold": "100000", "m_inc": "0.0005"},
        roll_form="exp",
    ),
    "X:PM": document(cross=True),
    "X:PM, a correlation set": SHARING,
}
SEEDS = range(40)


def random_book(seed: int) -> tuple[dict[str, int], dict[str, int]]:
    """Contracts held, and coins in the wallet: from a contract or two to what meets caps and thresholds."""
    rng = np.random.default_rng(seed)
    names = (*INVERSE, *LINEAR)
    most = int(10 ** rng.integers(0, 4))
    chosen = [str(name) for name in rng.choice(names, int(rng.integers(1, 16)), replace=False)]
    dollars = {"BTC-PERPETUAL", "ETH-PERPETUAL", "BTC-27MAR26", "BTC-26JUN26", "ETH-27MAR26", *LINEAR}
    held = {
        name: int(rng.choice([-1, 1]) * rng.integers(1, most + 1)) * (1_000 if name in dollars else 1)
        for name in chosen
    }
    return held, {coin: int(rng.integers(-5, 50)) for coin in ("BTC", "ETH") if rng.random() < 0.4}


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("seed", SEEDS)
def test_every_figure_of_a_random_book(seed: int, rules: str) -> None:
    held, coins = random_book(seed)
    coins = {coin: amount for coin, amount in coins.items() if amount}
    r = run(held, coins or None, parameters=RULES[rules]).requirements
    units, initial, maintenance = deribit_account(
        {name: float(quantity) for name, quantity in held.items()},
        {coin: float(amount) for coin, amount in coins.items()},
        RULES[rules],
        market(),
    )
    assert set(r.units.names) == set(units)
    # Sums of P&L that cancel, in another order and with another normal distribution: 1e-12 of the isolated sum.
    close: dict[str, Any] = {"rel": 1e-9, "abs": 1e-11 * max(1.0, float(r.requirement_isolated[0]))}
    for u, name in enumerate(r.units.names):
        for component, expected in zip(("worst_case", "roll_shock", "delta_shock"), units[name], strict=True):
            assert float(r.units.components[component][u]) == pytest.approx(expected, **close), (name, component)
    assert r.requirement_initial[0] == pytest.approx(initial, **close)
    assert r.requirement_maintenance[0] == pytest.approx(maintenance, **close)


def test_the_random_books_reach_every_branch() -> None:
    seen: Counter[str] = Counter()
    for seed in SEEDS:
        for rules, parameters in RULES.items():
            held, coins = random_book(seed)
            kept: Any = run(held, coins or None, parameters=parameters).requirements.breakdown
            b, contracts = kept.measured.detail, kept.priced
            worst, pair = b.worst_case, b.units.by_pair.label
            dampener = contracts.dampener[pair, worst.pair_scenario]
            seen["an extended scenario is worst"] += int(np.count_nonzero(contracts.extended[worst.pair_scenario]))
            seen["the dampener counts"] += int(np.count_nonzero((dampener > 0) & (worst.pair_counted != 0)))
            seen["a gain counts"] += int(np.count_nonzero(worst.pair_counted > 0))
            seen["a gain meets its cap"] += int(
                np.count_nonzero((worst.pair_offset > 0) & (worst.pair_offset < contracts.share[pair] * worst.pair_pnl))
            )
            seen[f"{rules}: a delta shock"] += int(np.count_nonzero(b.delta_shock))
            seen["the largest delta shock"] += int(np.count_nonzero(b.delta.rate == contracts.max_shock[pair]))
            reduced = (b.delta.delta != b.delta.others) & (b.delta.delta != 0)
            seen["bought options reduce the delta"] += int(np.count_nonzero(reduced))
            seen["and take all of it"] += int(np.count_nonzero((b.delta.delta == 0) & (b.delta.others != 0)))
            seen["several pairs in a unit"] += int(np.count_nonzero(np.diff(b.units.by_pair.unit_offsets) > 1))
    assert {name for name, count in seen.items() if not count} == set()
