"""A large book from Parquet to Parquet, on Ray's workers and on the threads of one process. Starting Ray is left out.

What is timed is all the rest: read, shuffle, net, price, margin, write. The file is shuffled, and all figures of a run
share it.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.harness import Values, figure
from benchmarks.revaluation import options_of, synthetic_market

N_ACCOUNTS = 1_000_000
N_POSITIONS = 20
RUNS = 3
"""Timed runs of each, in turn, after one that is not."""


@cache
def folder() -> tempfile.TemporaryDirectory[str]:
    """Where the files are; removed when the process ends."""
    return tempfile.TemporaryDirectory(prefix="crossmargin-bench-")


@cache
def positions() -> Path:
    """20 positions of each account in 1,840 options, drawn at random and shuffled."""
    import polars as pl

    rng = np.random.default_rng(N_ACCOUNTS)
    n_rows = N_ACCOUNTS * N_POSITIONS
    account = np.repeat(np.arange(N_ACCOUNTS), N_POSITIONS)
    rng.shuffle(account)
    names = pl.Series(list(options_of(synthetic_market())))
    path = Path(folder().name) / "positions.parquet"
    pl.DataFrame(
        {
            "account": pl.Series([f"account-{k:07d}" for k in range(N_ACCOUNTS)]).gather(account),
            "instrument": names.gather(rng.integers(0, len(names), n_rows)),
            "quantity": rng.integers(1, 1_000, n_rows) * rng.choice([-1, 1], n_rows) / 10,
        }
    ).write_parquet(path)
    return path


def on(workers: int) -> Values:
    """Accounts a second on `workers` workers, and on as many threads."""
    import polars as pl

    from crossmargin.answers.result import MarginResult
    from crossmargin.basics.threads import using_threads
    from crossmargin.cli.writing import write_answer
    from crossmargin.cluster.margin import margin_in_session
    from crossmargin.cluster.session import connected
    from crossmargin.cluster.shards import layout_of
    from crossmargin.files.inputs import read_inputs
    from crossmargin.methodologies.registry import methodology

    market, method, source = synthetic_market(), methodology("scenario-grid"), positions()
    ours_out, theirs_out = (Path(folder().name) / name for name in ("cluster.parquet", "threads.parquet"))
    seconds: dict[str, list[float]] = {"ours": [], "theirs": []}

    def timed(name: str, work: Callable[[], object]) -> None:
        start = time.perf_counter()
        work()
        seconds[name].append(time.perf_counter() - start)

    def theirs() -> None:
        with using_threads(workers):
            inputs = read_inputs(source, market)
            write_answer(theirs_out, MarginResult.of_book(inputs.book, inputs.market, method))

    with connected("local", workers) as session:
        for _ in range(RUNS + 1):
            timed("ours", lambda: margin_in_session(session, layout_of(source), market, method, out=ours_out))
            timed("theirs", theirs)
    # A time means nothing if the two do not say the same.
    assert pl.read_parquet(ours_out).equals(pl.read_parquet(theirs_out)), "other bits than those of one process"
    ours_seconds, their_seconds = (statistics.median(each[1:]) for each in seconds.values())
    return Values(value=N_ACCOUNTS / ours_seconds, peer_value=N_ACCOUNTS / their_seconds)


@figure(
    "cluster-1-worker",
    unit="accounts/s",
    budget="1,000,000 accounts x 20 positions, Parquet to Parquet",
    peer="one process, 1 thread, the same files",
    packages=("numpy", "numba", "polars", "ray"),
)
def one_worker() -> Values:
    """Ray with one worker."""
    return on(1)


@figure(
    "cluster-2-workers",
    unit="accounts/s",
    budget="1,000,000 accounts x 20 positions, Parquet to Parquet: >= 0.7x one process on 2 threads",
    peer="one process, 2 threads, the same files",
    packages=("numpy", "numba", "polars", "ray"),
)
def two_workers() -> Values:
    """Ray with two workers."""
    return on(2)


_STAGES = """
import os, pickle, sys, time
from pathlib import Path
os.environ["POLARS_MAX_THREADS"] = "1"
from benchmarks.revaluation import options_of, synthetic_market
from crossmargin.aggregation.sweep import compiled_kernels
from crossmargin.cluster.shards import layout_of, plan, split, survey
from crossmargin.cluster.work import Work, margin_shard, price_once
from crossmargin.market.policy import MissingPolicy
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.quarantine import OnError
from crossmargin.standing.standing import Thresholds

def resident(name):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(name)) / 1024

compiled_kernels()
layout = layout_of(Path(sys.argv[1]))
ranges = layout.ranges()
started = resident("VmRSS")
clock = [time.perf_counter()]
surveys = [survey(layout, *one) for one in ranges]
clock.append(time.perf_counter())
dealt = plan(layout, surveys, len(ranges) * 2)
clock.append(time.perf_counter())
pieces = [split(dealt, *one)[0] for one in ranges]
clock.append(time.perf_counter())
market, method, policy = synthetic_market(), methodology("scenario-grid"), MissingPolicy()
prices = price_once("p", dealt.instruments, (), market, method, policy)
work = Work(positions_file="p", balances_file=None, market=market, method=method, policy=policy,
            thresholds=Thresholds(), on_error=OnError.REFUSE, prices=prices)
broadcast = len(pickle.dumps(work, protocol=5))
clock.append(time.perf_counter())
answer = margin_shard(work, (), pieces)
clock.append(time.perf_counter())
assert answer.table is not None and not answer.problems
shard_rows = layout.n_rows / dealt.n_shards
steps = (0, 1, layout.n_rows), (2, 3, layout.n_rows), (4, 5, shard_rows)
each = [1e6 * (clock[b] - clock[a]) / n for a, b, n in steps]
moved = sum(piece.nbytes for piece in pieces) / shard_rows
print(shard_rows, *each, moved, broadcast / 1e6, answer.table.nbytes / answer.n_accounts, resident("VmHWM"),
      answer.n_accounts)
"""


@figure("cluster-stages", unit="us/row", packages=("numpy", "numba", "polars"))
def stages() -> Values:
    """What a worker does for a row, on one core without Ray: survey, split, margin; and the bytes that move."""
    run = subprocess.run([sys.executable, "-c", _STAGES, str(positions())], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    rows, survey, split, margin, piece, broadcast, answer, peak, accounts = map(float, run.stdout.split())
    return Values(
        value=survey + split + margin,
        more={
            "survey_us": survey,
            "split_us": split,
            "margin_us": margin,
            "piece_bytes_row": piece,
            "broadcast_mb": broadcast,
            "answer_bytes_account": answer,
            "peak_mb": peak,
            "rows": rows,
            "accounts": accounts,
            "file_bytes_row": positions().stat().st_size / (N_ACCOUNTS * N_POSITIONS),
        },
    )
