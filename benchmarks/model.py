"""Model-based margin at full size: scenarios of 500 factors, 2,000 contracts revalued, a million accounts measured.

250 underlyings with a price and a volatility each; of each a perpetual and seven options. Everything is seeded.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache

import numpy as np

from benchmarks.harness import Timed, figure
from benchmarks.revaluation import book_of
from benchmarks.sweep import PEER_ACCOUNTS, sparse
from crossmargin.aggregation.sweep import compiled_kernels
from crossmargin.basics.arrays import FloatArray
from crossmargin.history.factors import factor_of
from crossmargin.history.histories import FactorHistories
from crossmargin.instruments.terms import Delivery, On, Payoff, Perpetual, Right, Style, VanillaOption
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.model_based.contracts import ModelContracts
from crossmargin.methodologies.model_based.expected_shortfall.method import ExpectedShortfall, filtered_es
from crossmargin.methodologies.model_based.expected_shortfall.recipe import BASE
from crossmargin.methodologies.model_based.scenario_sets import known_at, scenario_set
from crossmargin.portfolio.book import Book

N_UNDERLYINGS, N_DAYS = 250, 2_500
N_ACCOUNTS, N_POSITIONS = 1_000_000, 20
STRIKES = (80, 90, 95, 100, 105, 110, 120)
AS_OF = datetime(2026, 2, 25, 12, tzinfo=UTC)
PEER_FACTORS = 5
"""Factors that the peer filters."""
SEED_DAYS, DECAY = 60, 0.97


@cache
def history() -> FactorHistories:
    """Prices and volatilities, day by day, with a common driver."""
    n, rng = N_DAYS + SEED_DAYS + 1, np.random.default_rng(500)
    common = rng.standard_t(4, n)[:, None] / math.sqrt(2)
    own = rng.standard_normal((n, 2 * N_UNDERLYINGS))
    size = np.repeat([0.02, 0.04], N_UNDERLYINGS)
    changes = size * (0.6 * common * np.repeat([1.0, -1.0], N_UNDERLYINGS) + 0.8 * own)
    level = np.repeat([100.0, 0.5], N_UNDERLYINGS) * np.exp(np.cumsum(changes, axis=0) - changes.sum(axis=0))
    names = [f"{kind}:U{k:03d}" for kind in ("price", "vol") for k in range(N_UNDERLYINGS)]
    times = int(AS_OF.replace(hour=0).timestamp()) - 86_400 * np.arange(n)[::-1]
    return FactorHistories.of([factor_of(name) for name in names], times, level, source="synthetic")


@cache
def market() -> Market:
    """2,000 contracts."""
    quotes = []
    for k in range(N_UNDERLYINGS):
        name = f"U{k:03d}"
        quotes.append(
            Quote(
                instrument=Perpetual(
                    name=f"{name}-PERP",
                    underlying=name,
                    quote_currency="USD",
                    settlement_currency="USD",
                    payoff=Payoff.LINEAR,
                    multiplier=Decimal(1),
                ),
                mark=100.0,
            )
        )
        quotes += [
            Quote(
                instrument=VanillaOption(
                    name=f"{name}-{strike}",
                    underlying=name,
                    quote_currency="USD",
                    settlement_currency="USD",
                    payoff=Payoff.LINEAR,
                    multiplier=Decimal(1),
                    expiry=AS_OF + timedelta(days=30 + k % 60),
                    strike=Decimal(strike),
                    right=Right.CALL if strike >= 100 else Right.PUT,
                    style=Style.EUROPEAN,
                    delivery=Delivery.CASH,
                    on=On.INDEX,
                ),
                vol=0.5,
                forward=100.0,
            )
            for strike in STRIKES
        ]
    index = {f"U{k:03d}": 100.0 for k in range(N_UNDERLYINGS)}
    return Market.from_quotes(quotes, as_of=AS_OF, source="synthetic", index=index)


def method(observations: int) -> ExpectedShortfall:
    """Filtered expected shortfall at 99% over one day: as many scenarios as observations."""
    return filtered_es(history=history(), observations=str(observations), horizon_days="1")


def scalar_filter(factors: int) -> FloatArray:
    """What one writes first: factor by factor and day by day."""
    level = history().level
    found = np.empty((N_DAYS, factors))
    for k in range(factors):
        own = [math.log(b / a) for a, b in zip(level[:-1, k].tolist(), level[1:, k].tolist(), strict=True)]
        variance = sum(x * x for x in own[:SEED_DAYS]) / SEED_DAYS
        then = []
        for x in own[SEED_DAYS:]:
            then.append(math.sqrt(variance))
            variance = DECAY * variance + (1 - DECAY) * x * x
        now = math.sqrt(variance)
        found[:, k] = [x / s * now for x, s in zip(own[SEED_DAYS:], then, strict=True)]
    return found


@figure(
    "model-generation",
    unit="s",
    budget="< 5 s",
    peer=f"a scalar loop of the same filter, {PEER_FACTORS} of 500 factors, scaled",
    packages=("numpy",),
)
def generation() -> Timed:
    """Filtered scenarios of 500 factors x 2,500 days, from levels: changes by the rules, EWMA, rescaled."""
    wanted = method(N_DAYS)

    def ours() -> FloatArray:
        known = known_at(history(), AS_OF, wanted.factors)
        return scenario_set(known, wanted.parameters.generation).shifts

    np.testing.assert_allclose(ours()[:, :PEER_FACTORS], scalar_filter(PEER_FACTORS), rtol=1e-9)
    return Timed(
        ours=ours,
        peer=lambda: scalar_filter(PEER_FACTORS),
        peer_amount=PEER_FACTORS / (2 * N_UNDERLYINGS),
    )


@figure("model-pricing", unit="s", packages=("numpy",))
def pricing() -> Timed:
    """2,000 contracts, 1,750 of them options, revalued in 1,000 scenarios and laid out for the sweep."""
    made, names, policy = method(1_000), market().instruments.names, MissingPolicy()
    made.scenario_sets(AS_OF)
    return Timed(ours=lambda: made.price(names, market(), policy), runs=5)


@cache
def million() -> Book:
    """Accounts of 20 contracts drawn at random, 1 to 10, long or short."""
    rng = np.random.default_rng(20)
    names = market().instruments.names
    held = rng.integers(0, len(names), (N_ACCOUNTS, N_POSITIONS))
    quantity = rng.integers(1, 11, held.shape) * rng.choice([-1, 1], held.shape)
    return book_of(names, held.astype(np.int64), quantity.astype(np.int64))


@figure(
    "model-filtered-es",
    unit="s",
    budget="<= 3 s (aim 2.5), >= 12x",
    peer=f"scipy.sparse CSR @ dense and numpy.partition, {PEER_ACCOUNTS:,} accounts, scaled",
    packages=("numpy", "numba", "scipy"),
)
def filtered_million() -> Timed:
    """A million accounts x 20 positions under `filtered-es`, 1,000 scenarios: both levels, option value."""
    compiled_kernels()
    made = method(1_000)
    priced: ModelContracts = made.price(million().instruments, market(), MissingPolicy())
    arranged: UnitBook = made.arrange(million(), priced)
    table = priced.sets[BASE].unit_pnl
    quantities = sparse(arranged.holdings, PEER_ACCOUNTS, len(priced.names))

    def theirs() -> FloatArray:
        pnl = quantities @ table
        return np.maximum(-np.partition(pnl, 9, axis=1)[:, :10].mean(axis=1), 0.0)

    ours = made.account_requirements(arranged, priced).requirement_initial
    np.testing.assert_allclose(ours[:PEER_ACCOUNTS], theirs(), rtol=1e-9, atol=1e-7)
    return Timed(
        ours=lambda: made.account_requirements(arranged, priced),
        peer=theirs,
        peer_amount=PEER_ACCOUNTS / N_ACCOUNTS,
        runs=5,
    )
