"""From position rows to the canonical book: reading, coding names, exact netting, order."""

from __future__ import annotations

import atexit
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness import Timed, figure
from benchmarks.revaluation import options_of, synthetic_market
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.files.positions import read_positions
from crossmargin.portfolio.book import Book, PositionRows, build_book

N_ROWS = 1_000_000
N_ACCOUNTS = 50_000


class Rows(NamedTuple):
    """Rows in the order of a shuffled file: indices into sorted names, and tenths of a contract."""

    accounts: list[str]
    instruments: list[str]
    account: IntArray
    instrument: IntArray
    tenths: IntArray


def rows() -> Rows:
    """A million positions of 50,000 accounts in 1,840 options, drawn at random: some pairs come twice."""
    rng = np.random.default_rng(1_000_000)
    names = list(options_of(synthetic_market()))
    return Rows(
        accounts=[f"account-{k:06d}" for k in range(N_ACCOUNTS)],
        instruments=names,
        account=rng.integers(0, N_ACCOUNTS, N_ROWS),
        instrument=rng.integers(0, len(names), N_ROWS),
        tenths=rng.integers(1, 1_000, N_ROWS) * rng.choice([-1, 1], N_ROWS),
    )


def agree(book: Book, n_positions: int, gross_contracts: float) -> None:
    """A time means nothing if the two do not net to the same positions."""
    assert len(book.positions.steps) == n_positions, f"{len(book.positions.steps)} and {n_positions} positions"
    ours = float(np.abs(book.positions.steps / STEPS_PER_UNIT).sum())
    assert abs(ours - gross_contracts) <= 1e-9 * ours, f"{ours} and {gross_contracts} contracts"


@figure(
    "book-1m-parquet",
    unit="s",
    budget="< 2 s",
    peer="polars read_parquet, group_by(account, instrument).agg(sum): floats, no order, no checks",
    packages=("numpy", "polars"),
)
def parquet_1m() -> Timed:
    """A Parquet file of names and float quantities to a `Book`."""
    import polars as pl

    raw = rows()
    folder = tempfile.TemporaryDirectory(prefix="crossmargin-bench-")
    atexit.register(folder.cleanup)
    path = Path(folder.name) / "positions.parquet"
    pl.DataFrame(
        {
            "account": np.array(raw.accounts)[raw.account].tolist(),
            "instrument": np.array(raw.instruments)[raw.instrument].tolist(),
            "quantity": raw.tenths / 10,
        }
    ).write_parquet(path)

    def theirs() -> pl.DataFrame:
        return pl.read_parquet(path).group_by("account", "instrument").agg(pl.col("quantity").sum())

    netted = theirs()["quantity"].abs()
    # In floats what nets away leaves a crumb now and then.
    agree(read_positions(path), int((netted > 1e-9).sum()), float(netted.sum()))
    return Timed(ours=lambda: read_positions(path), peer=theirs)


@figure(
    "book-net-1m",
    unit="s",
    peer="scipy.sparse coo_array to CSR, which sums what stands twice: floats",
    packages=("numpy", "scipy"),
)
def net_1m() -> Timed:
    """The same rows already coded, in memory, through `build_book`."""
    from scipy.sparse import coo_array, csr_array

    raw = rows()
    coded = PositionRows(account=raw.account, instrument=raw.instrument, steps=raw.tenths * (STEPS_PER_UNIT // 10))
    quantity: FloatArray = raw.tenths / 10

    def ours() -> Book:
        return build_book(accounts=raw.accounts, instruments=raw.instruments, rows=coded, attributes={})

    def theirs() -> csr_array:
        shape = (N_ACCOUNTS, len(raw.instruments))
        table = coo_array((quantity, (raw.account, raw.instrument)), shape=shape).tocsr()
        table.sort_indices()
        return table

    netted = np.abs(theirs().data)
    agree(ours(), int((netted > 1e-9).sum()), float(netted.sum()))
    return Timed(ours=ours, peer=theirs)
