"""From position rows to the canonical book: reading, coding names, exact netting, order."""

from __future__ import annotations

import atexit
import json
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness import Timed, Values, figure
from benchmarks.revaluation import options_of, synthetic_market
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.files.positions import read_positions
from crossmargin.portfolio.book import Book, PositionRows, build_book

N_ROWS = 1_000_000
N_ACCOUNTS = 50_000

N_ROWS_AT_SIZE, N_ACCOUNTS_AT_SIZE, N_INSTRUMENTS_AT_SIZE = 20_000_000, 1_000_000, 2_000
N_ROWS_WRITTEN_AT_ONCE = 1_000_000
PEER_AT_SIZE = "polars scan_parquet, group_by(account, instrument).agg(sum): floats, no order, no checks"


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


class Run(NamedTuple):
    """One way from the file to netted positions, alone in a process of its own, after all imports."""

    seconds: float
    peak_bytes: int
    """Resident memory at its highest, over what it was before reading."""
    array_bytes: int
    """What the book's arrays hold; 0 of the peer."""
    n_positions: int
    gross_contracts: float


@cache
def at_size() -> tuple[Run, Run]:
    """Ours and the peer on 20 million shuffled rows, twice each and in turn; the faster run of each."""
    import polars as pl

    rng = np.random.default_rng(20_000_000)
    accounts = pl.Series([f"account-{k:07d}" for k in range(N_ACCOUNTS_AT_SIZE)])
    instruments = pl.Series([f"BTC-27MAR26-{10_000 + 50 * k}-C" for k in range(N_INSTRUMENTS_AT_SIZE)])
    with tempfile.TemporaryDirectory(prefix="crossmargin-bench-") as folder:
        path = Path(folder) / "positions.parquet"
        for part in range(N_ROWS_AT_SIZE // N_ROWS_WRITTEN_AT_ONCE):
            pl.DataFrame(
                {
                    "account": accounts.gather(rng.integers(0, len(accounts), N_ROWS_WRITTEN_AT_ONCE)),
                    "instrument": instruments.gather(rng.integers(0, len(instruments), N_ROWS_WRITTEN_AT_ONCE)),
                    "quantity": rng.integers(-1_000, 1_000, N_ROWS_WRITTEN_AT_ONCE) / 10,
                }
            ).write_parquet(Path(folder) / f"part-{part:03d}.parquet")
        pl.scan_parquet(Path(folder) / "part-*.parquet").sink_parquet(path)
        runs: dict[str, list[Run]] = {"ours": [], "peer": []}
        for _ in range(2):
            for side, found in runs.items():
                command = [sys.executable, "-m", "benchmarks.book", side, str(path)]
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                found.append(Run(**json.loads(done.stdout)))
    ours, peer = min(runs["ours"]), min(runs["peer"])
    assert ours.n_positions == peer.n_positions, f"{ours.n_positions} and {peer.n_positions} positions"
    assert abs(ours.gross_contracts - peer.gross_contracts) <= 1e-9 * ours.gross_contracts
    return ours, peer


@figure("book-20m", unit="s", budget="<= 15 s", peer=PEER_AT_SIZE, packages=("numpy", "polars", "numba"))
def parquet_20m() -> Values:
    """A Parquet file of 20 million rows, a million accounts, to a `Book`; imports and compiling not counted."""
    ours, peer = at_size()
    return Values(value=ours.seconds, peer_value=peer.seconds)


@figure(
    "book-20m-peak",
    unit="x the book's arrays",
    budget="<= 6x",
    peer=PEER_AT_SIZE,
    packages=("numpy", "polars", "numba"),
)
def parquet_20m_peak() -> Values:
    """The same: resident memory at its highest over what it was after the imports, by the size of the arrays."""
    ours, peer = at_size()
    sizes = {"arrays_mb": ours.array_bytes, "peak_mb": ours.peak_bytes, "peer_peak_mb": peer.peak_bytes}
    return Values(
        value=ours.peak_bytes / ours.array_bytes,
        peer_value=peer.peak_bytes / ours.array_bytes,
        more={name: size / 1e6 for name, size in sizes.items()},
    )


def resident(field: str) -> int:
    """Bytes of a line of this process's status: `VmRSS` now, `VmHWM` at its highest."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(field))


def array_bytes(book: Book) -> int:
    """Size of a book's arrays, each once."""
    arrays = [book.margin_account_of, book.gross]
    for positions in {id(p): p for p in (book.member_positions, book.positions)}.values():
        arrays += [positions.offsets, positions.instrument, positions.steps]
    return sum(array.nbytes for array in arrays)


def one_run(side: str, path: str) -> Run:
    """Read `path` our way or the peer's."""
    import polars as pl

    import crossmargin.files.name_codes
    import crossmargin.portfolio.netting_compiled  # noqa: F401  # imported, as polars is, before the clock starts

    before, start = resident("VmRSS"), time.perf_counter()
    if side == "ours":
        book = read_positions(path)
        seconds, peak = time.perf_counter() - start, resident("VmHWM") - before
        held = np.abs(book.positions.steps)
        return Run(seconds, peak, array_bytes(book), len(held), float(held.sum() / STEPS_PER_UNIT))
    grouped = pl.scan_parquet(path).group_by("account", "instrument").agg(pl.col("quantity").sum()).collect()
    seconds, peak = time.perf_counter() - start, resident("VmHWM") - before
    netted = grouped["quantity"].abs()
    return Run(seconds, peak, 0, int((netted > 1e-9).sum()), float(netted.sum()))


if __name__ == "__main__":
    print(json.dumps(one_run(*sys.argv[1:])._asdict()))
