"""A live book: how long one trade, one tick of an underlying and a whole sweep take; 99th percentiles of single events.

The tick is of one underlying with 1,000 options: 36 scenarios of each are priced anew and 100,000 accounts of 20
positions margined, every one of which holds some of them. Events are made beforehand, apart from the clock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np

from benchmarks.harness import Values, figure, latencies
from benchmarks.revaluation import book_of, market_of, options_of
from crossmargin.answers.what_if import what_if
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.events import Event, MarketMove, Trade
from crossmargin.engine.live import LiveBook
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import Book
from crossmargin.revaluation.inputs import pricing_inputs

N_TICKS, N_TRADES, N_SWEEPS = 200, 2_000, 15


@cache
def one_coin() -> Market:
    """1,000 options of BTC: 10 expiries x 50 strikes x call and put."""
    return market_of({"BTC": (64_000.0, 16_000, 2_000)}, n_strikes=50, seed=1000)


def accounts(n_accounts: int, n_positions: int) -> Book:
    """Every account holds different options, 1 to 10 contracts, long or short."""
    names = options_of(one_coin())
    rng = np.random.default_rng(7)
    held = np.argsort(rng.random((n_accounts, len(names)), dtype=np.float32), axis=1)[:, :n_positions]
    size = rng.integers(1, 11, held.shape) * rng.choice([-1, 1], held.shape)
    return book_of(names, held.astype(np.int64), size.astype(np.int64))


def method_36() -> Methodology:
    """The default parameters with a ninth extended move: 27 + 9 scenarios."""
    document = methodology("scenario-grid").info.document
    shape = {**document["shape"], "extended_moves": [*document["shape"]["extended_moves"], "6"]}
    return methodology("scenario-grid", {**document, "shape": shape})


def ticks(count: int) -> Iterator[MarketMove]:
    """The index walks, forwards with it, and every vol moves a little."""
    rng = np.random.default_rng(3)
    market = one_coin()
    for _ in range(count):
        move = 1 + float(rng.normal(0, 0.0005))
        market = replace(
            market,
            index={"BTC": market.index["BTC"] * move},
            prices={**market.prices, "BTC": market.index["BTC"] * move},
            forward=market.forward * move,
            vol=market.vol * (1 + rng.normal(0, 0.001, len(market.vol))),
            mark=np.full(len(market.mark), np.nan),
        )
        # A venue's tick comes with its marks; those of the model agree with the vols.
        marks = pricing_inputs(market, market.instruments.names, MissingPolicy()).mark
        yield MarketMove(market=replace(market, mark=marks))


def trades(book: Book, count: int) -> Iterator[Trade]:
    rng = np.random.default_rng(4)
    names = options_of(one_coin())
    for _ in range(count):
        yield Trade(
            account=book.accounts[int(rng.integers(len(book.accounts)))],
            instrument=names[int(rng.integers(len(names)))],
            steps=int(rng.choice([-2, -1, 1, 2])) * STEPS_PER_UNIT,
        )


def timed_events(book: LiveBook, events: list[Event]) -> list[float]:
    """Seconds of each event, after three that are not counted."""
    seconds = []
    for event in events:
        start = time.perf_counter()
        book.apply(event)
        seconds.append(time.perf_counter() - start)
    return seconds[3:]


@cache
def live_100k() -> LiveBook:
    """100,000 accounts x 20 options of one coin, 36 scenarios."""
    book = LiveBook(accounts(100_000, 20), one_coin(), method_36())
    assert len(one_coin().instruments) == 1_000
    return book


@figure("tick-100k", unit="ms", budget="<= 50 ms p99", packages=("numpy", "numba"))
def tick() -> Values:
    """Price and vols of one underlying change: 1,000 options x 36 scenarios, 100,000 accounts x 20."""
    book = live_100k()
    return latencies(timed_events(book, list(ticks(N_TICKS + 3))), "ms")


@figure("tick-100k-after-trades", unit="ms", packages=("numpy", "numba"))
def tick_after_trades() -> Values:
    """The same where ten accounts trade between two ticks, so that there are changed accounts beside the arranged."""
    book = live_100k()
    some, seconds = iter(list(trades(book.book(), 10 * 60))), []
    for event in list(ticks(60)):
        for _ in range(10):
            book.apply(next(some))
        start = time.perf_counter()
        book.apply(event)
        seconds.append(time.perf_counter() - start)
    return latencies(seconds[3:], "ms")


@figure("tick-resweep-100k", unit="ms", packages=("numpy", "numba"))
def resweep() -> Values:
    """Everything again from the positions: prices, risk units, sweep; what a tick does not do."""
    book = live_100k().book()
    seconds = []
    for _ in range(N_SWEEPS + 1):
        start = time.perf_counter()
        LiveBook(book, one_coin(), method_36())
        seconds.append(time.perf_counter() - start)
    return latencies(seconds[1:], "ms")


@figure("trade-100-positions", unit="ms", budget="<= 1 ms p99", packages=("numpy", "numba"))
def trade() -> Values:
    """One trade in an account of 100 positions, among 1,000 such accounts, margined anew."""
    start = accounts(1_000, 100)
    book = LiveBook(start, one_coin(), method_36())
    return latencies(timed_events(book, list(trades(start, N_TRADES + 3))), "ms")


@figure("trade-what-if-100-positions", unit="ms", packages=("numpy",))
def trade_what_if() -> Values:
    """The same asked of files, before and after with all that explains them: no live book, everything priced."""
    book = accounts(1, 100)
    name = options_of(one_coin())[500]
    seconds = []
    for _ in range(60):
        start = time.perf_counter()
        what_if(book, one_coin(), method_36(), book.accounts[0], [(name, "1")])
        seconds.append(time.perf_counter() - start)
    return latencies(seconds[3:], "ms")
