"""SPAN: a large parameter file parsed, and loaded parsed; positions margined; a hundred thousand accounts.

The peer is marginism, which parses the same file and margins the same portfolios one by one in plain Python. It forms
no spreads of tiers or between commodities and explains nothing; ours does both.
"""

from __future__ import annotations

import os
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Timed, Values, figure
from benchmarks.span_files import spn
from crossmargin.aggregation.sweep import compiled_kernels
from crossmargin.engine.evaluate import Prepared, prepare
from crossmargin.engine.figures import account_figures
from crossmargin.files.span import read_span
from crossmargin.files.span_cache import FOLDER
from crossmargin.methodologies.span.method import Span, span
from crossmargin.methodologies.span.parameters import SpanFile, contract_name
from crossmargin.portfolio.book import Book, PositionRows, build_book

_FOLDER = tempfile.TemporaryDirectory(prefix="crossmargin-bench-")
N_LEGS = 200


@cache
def large() -> Path:
    """38 MB, 132 combined commodities, 119,000 options."""
    path = Path(_FOLDER.name) / "large.spn"
    path.write_bytes(spn())
    return path


@cache
def parsed() -> SpanFile:
    return read_span(large(), cache=False)


@cache
def method() -> Span:
    # Without exposure margin, which is not SPAN, and unrounded, as the peer is.
    return span(parsed(), policy="nse", exposure="off")


@figure(
    "span-parse",
    unit="s",
    budget=">= 2x marginism (aim 3x)",
    peer="marginism parse_spn",
    packages=("lxml", "marginism"),
)
def parse() -> Timed:
    """The file to parameters, everything checked."""
    from marginism import parse_spn

    path = large()
    assert len(parsed().contracts) > 118_000
    return Timed(
        ours=lambda: read_span(path, cache=False),
        peer=lambda: parse_spn(str(path)),
        runs=3,
    )


@figure("span-load", unit="s", budget="< 0.3 s", packages=("numpy",))
def load() -> Timed:
    """The same file once it is in the cache: its hash, and the arrays."""
    os.environ[FOLDER] = str(Path(_FOLDER.name) / "cache")
    read_span(large())
    return Timed(ours=lambda: read_span(large()))


def book(n_accounts: int, n_positions: int, n_commodities: int) -> Book:
    """Accounts that hold contracts of a few commodities each, two in five of them futures, long and short."""
    file, rng = parsed(), np.random.default_rng(20)
    of = method().model.rules.commodity_of_contract
    is_future = (file.contracts.right == 0) & (file.contracts.period > 0)
    futures = [np.flatnonzero((of == c) & is_future) for c in range(len(file.commodities))]
    options = [np.flatnonzero((of == c) & (file.contracts.right != 0)) for c in range(len(file.commodities))]
    commodity = rng.integers(0, len(file.commodities), (n_accounts, n_commodities))
    row = np.empty((n_accounts, n_positions), dtype=np.int64)
    for k in range(n_positions):
        pools = futures if k < 2 * n_positions // 5 else options
        chosen, part = commodity[:, k % n_commodities], rng.random(n_accounts)
        sizes = np.array([len(pool) for pool in pools])
        offsets = np.concatenate(([0], np.cumsum(sizes)[:-1]))
        row[:, k] = np.concatenate(pools)[offsets[chosen] + (part * sizes[chosen]).astype(np.int64)]
    held, number = np.unique(row, return_inverse=True)
    names = [contract_name(file, k) for k in held.tolist()]
    order = np.argsort(names)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    quantity = rng.integers(1, 10, row.shape) * rng.choice([-1, 1], row.shape) * 50
    return build_book(
        accounts=[f"a{k:06}" for k in range(n_accounts)],
        instruments=sorted(names),
        rows=PositionRows(
            account=np.repeat(np.arange(n_accounts), n_positions),
            instrument=place[number.reshape(-1)],
            steps=quantity.reshape(-1) * 10**8,
        ),
        attributes={},
    )


def prepared(held: Book) -> Prepared:
    compiled_kernels()
    return prepare(held, method().market, method())


@figure("span-accounts-100k", unit="s", budget="< 3 s", packages=("numpy", "numba"))
def accounts() -> Timed:
    """100,000 accounts x 20 contracts of 4 commodities: pricing, spreads, requirements, every leg alone."""
    held = book(100_000, 20, 4)
    account_figures(prepared(held))

    def whole() -> Any:
        return account_figures(prepared(held))

    return Timed(ours=whole, runs=5)


@figure(
    "span-positions",
    unit="positions/s",
    budget=">= 50x marginism",
    peer="marginism calculate (loop)",
    packages=("numba", "marginism"),
)
def positions() -> Values:
    """Portfolios of 200 legs: requirements from priced contracts, ours for thousands at once, the peer's one by one."""
    from marginism import Position, SpanCalculator, parse_spn

    calculator = SpanCalculator(parse_spn(str(large())))
    held = book(5_000, N_LEGS, 20)
    ready = prepared(held)
    arranged = method().arrange(ready.margined, ready.priced)
    portfolios = [_peer_positions(held, account, Position) for account in range(5)]
    # One portfolio, the same scan risk, of commodities all of whose contracts the peer finds (it loses some strikes).
    units = method().requirements(ready.margined.block(0, 1), ready.priced).units
    theirs = calculator.calculate(portfolios[0])
    lost = {one.symbol for one in theirs.unmatched}
    ours = dict(zip(units.names, units.components["scan_risk"].tolist(), strict=True))
    same = [name for name in ours if name not in lost]
    assert len(same) > N_LEGS // 20
    for name in same:
        assert abs(ours[name] - theirs.by_commodity[name].scan_risk) <= 1e-6 * max(1.0, ours[name]), name
    our_seconds, peer_seconds = [], []
    for _ in range(5):
        start = time.perf_counter()
        method().account_requirements(arranged, ready.priced)
        our_seconds.append(time.perf_counter() - start)
        start = time.perf_counter()
        for portfolio in portfolios:
            calculator.calculate(portfolio)
        peer_seconds.append(time.perf_counter() - start)
    n_theirs = sum(len(one) - len(calculator.calculate(one).unmatched) for one in portfolios)
    return Values(
        value=len(arranged.layout.steps) / sorted(our_seconds)[2],
        peer_value=n_theirs / sorted(peer_seconds)[2],
    )


def _peer_positions(held: Book, account: int, position: Any) -> list[Any]:
    """The positions of an account as the peer takes them."""
    file, listing = parsed(), method().model.listing
    found = []
    first, last = held.positions.offsets[account : account + 2].tolist()
    for k in range(first, last):
        row = listing.row(held.instruments[int(held.positions.instrument[k])])
        assert row is not None
        contracts = file.contracts
        right = int(contracts.right[row])
        found.append(
            position(
                file.products[int(contracts.product[row])].code,
                {1: "CE", -1: "PE", 0: "FUT"}[right],
                float(held.positions.steps[k]) / 1e8,
                file.periods[int(contracts.period[row])],
                float(contracts.strike[row]) if right else 0.0,
            )
        )
    return found
