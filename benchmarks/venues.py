"""Venue margin of a hundred thousand accounts: pricing, units, requirements at both levels.

The peer is the same rulebook as a careful person writes it first, number by number for one sub-book after the other.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from benchmarks.harness import Timed, figure
from benchmarks.revaluation import book_of, options_of, synthetic_market
from crossmargin.aggregation.sweep import compiled_kernels
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.requirements import AccountRequirements
from crossmargin.methodologies.venue_grids.derive.contracts import DeriveContracts
from crossmargin.methodologies.venue_grids.derive.method import DerivePortfolio, derive_pmrm2
from crossmargin.portfolio.book import Book
from tests.oracles.derive_oracle import Margin, sub_book_margin

N_ACCOUNTS, N_POSITIONS, N_EXPIRIES = 100_000, 20, 4
N_PEER = 20


@cache
def market() -> Market:
    return synthetic_market()


@cache
def many_accounts() -> Book:
    """Accounts of 20 options in 4 expiries of one underlying each, long and short."""
    names, rng = options_of(market()), np.random.default_rng(5)
    terms = [market().instruments.instruments[int(row)] for row in market().rows(names)]
    by_expiry: dict[tuple[str, int], list[int]] = {}
    for k, one in enumerate(terms):
        by_expiry.setdefault((one.underlying, int(one.expiry.timestamp())), []).append(k)  # type: ignore[union-attr]
    underlyings = sorted({underlying for underlying, _ in by_expiry})
    pools = {u: [np.array(rows) for (name, _), rows in sorted(by_expiry.items()) if name == u] for u in underlyings}
    held = np.empty((N_ACCOUNTS, N_POSITIONS), dtype=np.int64)
    for a in range(N_ACCOUNTS):
        own = pools[underlyings[a % len(underlyings)]]
        chosen = rng.choice(len(own), N_EXPIRIES, replace=False)
        held[a] = np.concatenate(
            [rng.choice(own[e], N_POSITIONS // N_EXPIRIES, replace=len(own[e]) < N_POSITIONS) for e in chosen]
        )
    quantity = rng.integers(1, 10, held.shape) * rng.choice([-1, 1], held.shape)
    return book_of(names, held, quantity)


@figure(
    "venue-pmrm2",
    unit="s",
    budget="<= 1.5 s",
    peer="a scalar loop of the same formulas, scaled up from 20 accounts",
    packages=("numpy", "numba"),
)
def pmrm2() -> Timed:
    """100,000 accounts x 20 options in 4 expiries: every contract priced, units cut, both levels of requirement."""
    compiled_kernels()
    book, method, policy = many_accounts(), derive_pmrm2(), MissingPolicy()

    def ours() -> AccountRequirements:
        priced = method.price(book.instruments, market(), policy)
        return method.account_requirements(method.arrange(book, priced), priced)

    priced = method.price(book.instruments, market(), policy)
    found = ours()
    for a, expected in enumerate(_peer(book, method, priced)):
        np.testing.assert_allclose(found.requirement_initial[a], expected.initial, rtol=1e-9)
        np.testing.assert_allclose(found.requirement_maintenance[a], expected.maintenance, rtol=1e-9)
    return Timed(
        ours=ours,
        peer=lambda: _peer(book, method, priced),
        amount=1.0,
        peer_amount=N_PEER / N_ACCOUNTS,
        runs=5,
    )


def _peer(book: Book, method: DerivePortfolio, priced: DeriveContracts) -> list[Margin]:
    """The first accounts, one after the other."""
    found = []
    for a in range(N_PEER):
        first, last = book.positions.offsets[a : a + 2].tolist()
        rows = book.positions.instrument[first:last].tolist()
        quantity = (book.positions.steps[first:last] / 1e8).tolist()
        held = list(zip(rows, quantity, strict=True))
        found.append(sub_book_margin(priced.inputs, method.parameters, int(priced.inputs.underlying[rows[0]]), held))
    return found
