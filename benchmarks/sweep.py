"""The sweep of a million accounts x 20 positions over 2,000 instruments: worst loss, tail mean, memory, growth.

Quantities are whole, the table is random, everything seeded; the peer is what one would write with scipy and numpy.
`python -m benchmarks.sweep plot FILE.svg` measures and draws how the cost grows.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.harness import Timed, Values, figure
from crossmargin.aggregation.sweep import Holdings, Tail, compiled_kernels, expected_shortfall, worst_loss
from crossmargin.basics.arrays import FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

N_ACCOUNTS, N_POSITIONS, N_INSTRUMENTS = 1_000_000, 20, 2_000
TAIL = Tail(level=Decimal("0.99"))
PEER_ACCOUNTS = 50_000
"""Of which the peer does 1,000 scenarios: all million would take it half a minute and 8 GB."""


def book(n_accounts: int, n_positions: int = N_POSITIONS, n_instruments: int = N_INSTRUMENTS) -> Holdings:
    """Every account holds `n_positions` instruments drawn at random, -10 to 10 contracts, never 0."""
    rng = np.random.default_rng(n_accounts)
    instrument = np.sort(rng.integers(0, n_instruments, (n_accounts, n_positions)), axis=1)
    quantity = rng.integers(1, 11, n_accounts * n_positions) * rng.choice([-1.0, 1.0], n_accounts * n_positions)
    return Holdings(
        offsets=np.arange(n_accounts + 1) * n_positions,
        instrument=instrument.ravel().astype(np.int64),
        quantity=quantity.astype(np.float64),
    )


def unit_pnl(n_scenarios: int, n_instruments: int = N_INSTRUMENTS) -> FloatArray:
    return np.random.default_rng(n_scenarios).normal(size=(n_instruments, n_scenarios))


@cache
def million() -> Holdings:
    return book(N_ACCOUNTS)


def sparse(held: Holdings, n_accounts: int, n_instruments: int) -> csr_array:
    from scipy.sparse import csr_array

    end = int(held.offsets[n_accounts])
    parts = (held.quantity[:end], held.instrument[:end], held.offsets[: n_accounts + 1])
    return csr_array(parts, shape=(n_accounts, n_instruments))


def worst(n_scenarios: int) -> Timed:
    """Worst loss and its scenario, both ways."""
    held, table = million(), unit_pnl(n_scenarios)
    quantities = sparse(held, N_ACCOUNTS, N_INSTRUMENTS)

    def theirs() -> tuple[FloatArray, IntArray]:
        pnl = quantities @ table
        return -pnl.min(axis=1), pnl.argmin(axis=1)

    ours_loss, ours_scenario = worst_loss(held, table)
    loss, scenario = theirs()
    np.testing.assert_allclose(ours_loss, loss, rtol=1e-12, atol=1e-12)
    assert (ours_scenario == scenario).mean() > 0.999999, "the worst scenarios differ by more than rounding"
    return Timed(ours=lambda: worst_loss(held, table), peer=theirs, runs=11)


@figure(
    "sweep-worst-16",
    unit="s",
    budget="<= 0.12 s, >= 3x",
    peer="scipy.sparse CSR @ dense, min, argmin",
    packages=("numpy", "numba", "scipy"),
)
def worst_16() -> Timed:
    """16 scenarios."""
    return worst(16)


@figure(
    "sweep-worst-36",
    unit="s",
    budget="<= 0.20 s, >= 3x",
    peer="scipy.sparse CSR @ dense, min, argmin",
    packages=("numpy", "numba", "scipy"),
)
def worst_36() -> Timed:
    """36 scenarios."""
    return worst(36)


@figure(
    "sweep-product-1000",
    unit="Gflop/s",
    budget=">= 20% of the peer, aim 30%",
    peer="numpy float64 matrix product, 3,000 x 3,000, all threads",
    packages=("numpy", "numba"),
    more_is_better=True,
)
def product_1000() -> Values:
    """1,000 scenarios; the worst loss is taken too, for a product that nobody reads is none."""
    held, table = million(), unit_pnl(1000)
    square = np.random.default_rng(0).normal(size=(3000, 3000))
    ours, theirs = [], []
    worst_loss(held, table)
    for _ in range(5):
        start = time.perf_counter()
        square @ square
        middle = time.perf_counter()
        worst_loss(held, table)
        ours.append(2e-9 * N_ACCOUNTS * N_POSITIONS * 1000 / (time.perf_counter() - middle))
        theirs.append(2e-9 * 3000**3 / (middle - start))
    return Values(value=statistics.median(ours), peer_value=statistics.median(theirs))


@figure(
    "sweep-es-1000",
    unit="s",
    budget="<= 3 s (aim 2.5), >= 12x",
    peer=f"scipy.sparse CSR @ dense and numpy.partition, {PEER_ACCOUNTS:,} accounts, scaled",
    packages=("numpy", "numba", "scipy"),
)
def shortfall_1000() -> Timed:
    """99% expected shortfall of 1,000 scenarios: the mean of the worst ten."""
    held, table = million(), unit_pnl(1000)
    quantities = sparse(held, PEER_ACCOUNTS, N_INSTRUMENTS)

    def theirs() -> FloatArray:
        pnl = quantities @ table
        return -np.partition(pnl, 9, axis=1)[:, :10].mean(axis=1)

    ours = expected_shortfall(held, table, TAIL)[0]
    np.testing.assert_allclose(ours[:PEER_ACCOUNTS], theirs(), rtol=1e-9, atol=1e-9)
    return Timed(
        ours=lambda: expected_shortfall(held, table, TAIL),
        peer=theirs,
        peer_amount=PEER_ACCOUNTS / N_ACCOUNTS,
        runs=5,
    )


_MEMORY = """
import sys
import numpy as np
from benchmarks.sweep import TAIL, book, unit_pnl
from crossmargin.aggregation.sweep import Holdings, compiled_kernels, expected_shortfall, worst_loss
def status(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) * 1024
compiled_kernels()
small = book(10)
table = unit_pnl(int(sys.argv[1]))
work = worst_loss if sys.argv[2] == "worst" else (lambda held, table: expected_shortfall(held, table, TAIL))
work(small, table)
held = book(1_000_000)
inputs = held.offsets.nbytes + held.instrument.nbytes + held.quantity.nbytes + table.nbytes
open("/proc/self/clear_refs", "w").write("5")  # forget the peak of making the inputs
before = status("VmRSS")
answer = work(held, table)
print(1 + (status("VmHWM") - before) / inputs)
"""


@figure("sweep-memory", unit="x inputs", budget="<= 1.2x", packages=("numpy", "numba"), more_is_better=False)
def memory() -> Values:
    """Peak memory over the inputs, answers included: the larger of worst loss over 36 and shortfall over 1,000."""
    found = {}
    for n_scenarios, what in (("36", "worst"), ("1000", "shortfall")):
        run = subprocess.run(
            [sys.executable, "-c", _MEMORY, n_scenarios, what], capture_output=True, text=True, check=False
        )
        assert run.returncode == 0, run.stderr
        found[what] = float(run.stdout)
    return Values(value=max(found.values()), more=found)


GROWTH = {
    "accounts": [(n, n, 20, 36, 2_000) for n in (10_000, 30_000, 100_000, 300_000, 1_000_000)],
    "positions an account": [(n, 100_000, n, 36, 2_000) for n in (2, 5, 10, 20, 50, 100, 200)],
    "scenarios": [(n, 100_000, 20, n, 2_000) for n in (4, 16, 36, 100, 300, 1_000, 3_000)],
    "instruments": [(n, 100_000, 20, 36, n) for n in (100, 1_000, 10_000, 100_000)],
}
"""What grows, and (value, accounts, positions, scenarios, instruments) of each point."""
HELD = {
    "accounts": "20 positions, 36 scenarios, 2,000 instruments",
    "positions an account": "100,000 accounts, 36 scenarios",
    "scenarios": "100,000 accounts x 20 positions",
    "instruments": "100,000 accounts x 20, 36 scenarios",
}
"""What stays the same meanwhile, in words."""


def growth() -> dict[str, list[tuple[int, float]]]:
    """Median seconds of a worst-loss sweep at every point."""
    compiled_kernels()  # one loop for all sizes
    found: dict[str, list[tuple[int, float]]] = {}
    for what, points in GROWTH.items():
        for value, n_accounts, n_positions, n_scenarios, n_instruments in points:
            held = book(n_accounts, n_positions, n_instruments)
            table = unit_pnl(n_scenarios, n_instruments)
            worst_loss(held, table)
            seconds = []
            for _ in range(7):
                start = time.perf_counter()
                worst_loss(held, table)
                seconds.append(time.perf_counter() - start)
            found.setdefault(what, []).append((value, statistics.median(seconds)))
    return found


def main(command: str, target: str) -> int:
    """Measure how the cost grows and draw it."""
    from benchmarks.growth_plot import growth_svg
    from benchmarks.harness import machine

    assert command == "plot", f"'{command}' is not 'plot'"
    points = growth()
    for what, line in points.items():
        print(what, ", ".join(f"{value:,}: {1000 * seconds:.1f} ms" for value, seconds in line))
    source = f"{machine()}; {datetime.now(UTC):%Y-%m-%d}"
    Path(target).write_text(growth_svg(points, source=source, held=HELD), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
