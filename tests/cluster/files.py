"""A book as it comes: shuffled rows of net and gross accounts and netting sets, duplicates among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from crossmargin.answers.result import MarginResult
from crossmargin.cli.writing import write_answer
from crossmargin.files.inputs import read_inputs
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.quarantine import OnError
from tests import books

N_ACCOUNTS = 240
ROWS_EACH = 12


def name_of(k: int) -> str:
    """Names whose order is not that of their numbers."""
    return f"{'zyxw'[k % 4]}-{k}"


def rows(seed: int = 7) -> pl.DataFrame:
    """Every ninth account is in a set with the next one, every eleventh is gross; stated in some of its rows only."""
    rng = np.random.default_rng(seed)
    n = N_ACCOUNTS * ROWS_EACH
    account = np.repeat(np.arange(N_ACCOUNTS), ROWS_EACH)
    rng.shuffle(account)
    names = np.array(books.NAMES)[rng.integers(0, len(books.NAMES), n)]
    sizes = np.array([books.size(name) for name in names])
    quantity = rng.integers(1, 400, n) * rng.choice([-1, 1], n) * sizes / 100
    netting_set: list[str | None] = []
    account_type: list[str | None] = []
    stated: set[int] = set()
    for k in account.tolist():
        says = k not in stated or rng.random() < 0.3
        stated.add(k)
        netting_set.append(f"set of {k // 9}" if says and k % 9 in (0, 1) and k % 11 else None)
        account_type.append("gross" if says and k % 11 == 0 else None)
    frame = pl.DataFrame(
        {
            "account": [name_of(k) for k in account.tolist()],
            "instrument": names.tolist(),
            "quantity": quantity,
            "netting_set": netting_set,
            "account_type": account_type,
        }
    )
    return pl.concat([frame, frame[: n // 20]])  # what stands twice adds up


def balances(folder: Path, *more: tuple[str, str, str]) -> Path:
    """Cash and coin of some accounts, one of which holds nothing else."""
    held = [(name_of(k), "BTC" if k % 5 else "usd", str(3 * k + 1)) for k in range(0, N_ACCOUNTS, 3)]
    path = folder / "balances.csv"
    lines = [("account", "asset", "amount"), *held, ("mere cash", "USD", "12.5"), *more]
    path.write_text("".join(",".join(line) + "\n" for line in lines))
    return path


def in_process(
    positions: Path,
    method: Methodology,
    balances: Path | None = None,
    on_error: OnError = OnError.REFUSE,
    market: Market | None = None,
    *,
    keep: bool = False,
) -> tuple[pl.DataFrame, MarginResult]:
    """The file that one process writes, as the command does it, and its answer."""
    inputs = read_inputs(positions, market or books.market(), balances, on_error=on_error)
    result = MarginResult.of_book(inputs.book, inputs.market, method, on_error=on_error, unmargined=inputs.unmargined)
    path = positions.parent / "in process.parquet"
    write_answer(path, result)
    try:
        return pl.read_parquet(path), result
    finally:
        if not keep:
            path.unlink()
