"""Random books on every chain of a Deribit option panel: margin today, profit or loss tomorrow.

    .venv/bin/python -m tools.panel_study FOLDER

`FOLDER` has `deribit_option_panel_*.parquet` and `deribit_forwards_6h.csv.gz`. Prints the tables of
`docs/venue-coverage.md`. Every chain gets 200 books of a fixed seed: 5 to 20 options of one coin that are quoted the
next day too, long and short, and in half of the books the perpetual. The next day's is the first chain at least 20
hours later.

What the loss is measured in follows the method: under `deribit-pm` in coin, at today's index; under `derive-pmrm2` in
dollars, of linear contracts on as many coins.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

import numpy as np
import polars as pl

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import prepare
from crossmargin.files.deribit import Row, market_of_rows
from crossmargin.instruments.table import Kind
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import Book, PositionRows, build_book

METHODS = ("deribit-pm", "derive-pmrm2")
N_BOOKS = 200
WINDOWS = {
    "2026-02-01 to 02-08, the crash": (datetime(2026, 2, 1, tzinfo=UTC), datetime(2026, 2, 9, tzinfo=UTC)),
    "2026-06-23 to 06-26, the second fall": (datetime(2026, 6, 23, tzinfo=UTC), datetime(2026, 6, 27, tzinfo=UTC)),
}
CALM = "all other days"


def chains(folder: Path, every: int = 1) -> Iterator[Market]:
    """Snapshots as markets, in order, the first of each `every`; the perpetual has its price where there is one."""
    perpetuals = pl.read_csv(folder / "deribit_forwards_6h.csv.gz").filter(pl.col("perp_price").is_not_null())
    price_of = {(row[0], row[1]): row[2] for row in perpetuals.select("snapshot_time", "currency", "perp_price").rows()}
    snapshots = (
        (path.name, moment, frame)
        for path in sorted(folder.glob("deribit_option_panel_*.parquet"))
        for (moment,), frame in pl.read_parquet(path)
        .sort("snapshot_time")
        .group_by("snapshot_time", maintain_order=True)
    )
    for name, moment, frame in islice(snapshots, 0, None, every):
        assert isinstance(moment, datetime)
        yield _market(frame, moment.astimezone(UTC), name, price_of)


def _market(frame: pl.DataFrame, moment: datetime, file: str, price_of: dict[tuple[str, str], float]) -> Market:
    columns = ("instrument", "bid_price", "ask_price", "mark_price", "mark_iv", "underlying_price", "underlying_name")
    rows = [
        Row(name=name, row=k, bid=bid, ask=ask, mark=mark, vol=vol, forward=forward, forward_name=of, index=index)
        for k, (name, bid, ask, mark, vol, forward, of, index) in enumerate(
            frame.select(*columns, "index_price").iter_rows()
        )
    ]
    market = market_of_rows(rows, moment, f"Deribit panel {file}", file, ())
    mark = market.mark.copy()
    for coin in market.index:
        price = price_of.get((f"{moment:%Y-%m-%dT%H:%M:%SZ}", coin))
        name = f"{coin}-PERPETUAL"
        if price is not None and name in market:
            mark[market.rows((name,))[0]] = price
    return replace(market, mark=read_only(mark))


@dataclass(frozen=True)
class Sample:
    """Books of one chain, and which of its instruments they hold: `(n_books, n_instruments)` contracts."""

    book: Book
    quantity: FloatArray


def books_of(market: Market, later: Market | None, seed: int) -> Sample:
    """The seeded books of a chain, of what the next one quotes too (of everything if there is none)."""
    rng = np.random.default_rng(seed)
    table = market.instruments
    names = {name for name in table.names if later is None or name in later}
    in_two_days = (market.as_of + timedelta(days=2)).timestamp()
    usable = np.array(
        [
            name in names and kind == Kind.OPTION and at > in_two_days
            for name, kind, at in zip(table.names, table.kind.tolist(), table.expiry_seconds.tolist(), strict=True)
        ]
    )
    quantity = np.zeros((N_BOOKS, len(table.names)))
    coins = list(market.index)
    for b in range(N_BOOKS):
        coin = coins[int(rng.integers(len(coins)))]
        own = np.flatnonzero(usable & (table.underlying == table.underlyings.index(coin)))
        legs = rng.choice(own, int(rng.integers(5, 21)), replace=False)
        quantity[b, legs] = rng.integers(1, 50, len(legs)) / 10 * rng.choice([-1, 1], len(legs))
        if rng.random() < 0.5:
            row = market.rows((f"{coin}-PERPETUAL",))[0]
            size = float(table.multiplier[row])
            quantity[b, row] = round(rng.normal(0, 5) * market.index[coin] / size)
    account, instrument = np.nonzero(quantity)
    book = build_book(
        accounts=[f"book-{b:03}" for b in range(N_BOOKS)],
        instruments=table.names,
        rows=PositionRows(
            account=account,
            instrument=instrument,
            steps=np.rint(quantity[account, instrument] * STEPS_PER_UNIT).astype(np.int64),
        ),
        attributes={},
    )
    return Sample(book=book, quantity=quantity)


def gains(market: Market, later: Market, method: str) -> FloatArray:
    """What one contract of each instrument gains until `later`, dollars; NaN where `later` has it not."""
    table = market.instruments
    found = np.full(len(table.names), np.nan)
    for k, name in enumerate(table.names):
        if name not in later:
            continue
        row = int(later.rows((name,))[0])
        coin = table.underlyings[int(table.underlying[k])]
        size = float(table.multiplier[k])
        if table.kind[k] == Kind.OPTION:
            now, then = market.mark[k], later.mark[row]
            if method == "deribit-pm":
                found[k] = size * (then - now) * market.index[coin]
            else:
                found[k] = size * (then * later.forward[row] - now * market.forward[k])
        elif table.kind[k] == Kind.PERPETUAL:
            now, then = (
                at.mark[at_row] if not np.isnan(at.mark[at_row]) else at.index[coin]
                for at, at_row in ((market, k), (later, row))
            )
            found[k] = (
                size * (1 / now - 1 / then) * market.index[coin] if method == "deribit-pm" else size * (then / now - 1)
            )
    return found


def maintenance(sample: Sample, market: Market, method: Methodology) -> FloatArray:
    """Maintenance requirement of every book."""
    ready = prepare(sample.book, market, method)
    required = method.account_requirements(method.arrange(ready.margined, ready.priced), ready.priced)
    return required.requirement_maintenance


def window_of(moment: datetime) -> str:
    """Name of the stress window that a chain is in."""
    return next((name for name, (start, end) in WINDOWS.items() if start <= moment < end), CALM)


def main() -> None:
    """Margin every book on every chain, then print one table a method."""
    markets = list(chains(Path(sys.argv[1])))
    methods = {name: methodology(name) for name in METHODS}
    ratios: dict[tuple[str, str], list[float]] = {}
    seconds = 0.0
    for k, market in enumerate(markets):
        later = next((one for one in markets[k + 1 :] if one.as_of - market.as_of >= timedelta(hours=20)), None)
        sample = books_of(market, later, 20260000 + k)
        for name, method in methods.items():
            started = time.perf_counter()
            required = maintenance(sample, market, method)
            seconds += time.perf_counter() - started
            assert np.isfinite(required).all()
            assert (required > 0).all()
            if later is not None:
                of_one = gains(market, later, name)
                pnl = np.where(sample.quantity != 0, sample.quantity * of_one, 0.0).sum(axis=1)
                assert np.isfinite(pnl).all()  # every leg is quoted the next day
                ratios.setdefault((name, window_of(market.as_of)), []).extend((-pnl / required).tolist())
    print(f"{len(markets)} chains x {N_BOOKS} books under {len(METHODS)} methods: {seconds:.1f} s")
    for name in METHODS:
        print(f"\n{name}\n\n| window | books | loss above maintenance | share | largest loss / maintenance | 99% |")
        print("|---|---|---|---|---|---|")
        for window in (*WINDOWS, CALM):
            found = np.array(ratios[name, window])
            above = int((found > 1).sum())
            print(
                f"| {window} | {len(found):,} | {above:,} | {above / len(found):.2%} | {found.max():.2f} "
                f"| {np.quantile(found, 0.99):.2f} |"
            )


if __name__ == "__main__":
    main()
