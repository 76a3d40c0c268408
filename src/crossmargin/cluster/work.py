"""What a worker does with a shard: its pieces to a book, the book to figures, the figures to rows of the answer.

No Ray in here: a shard is margined by the code that margins a book in one process, with prices that were made once for
all shards. What is wrong with the rows of a shard is part of its answer; what this module raises is not foreseen, and
makes the shard one that cannot be margined.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from crossmargin.answers.result import MarginResult
from crossmargin.basics.arrays import read_only
from crossmargin.basics.errors import CrossmarginError, Problem, raise_problems
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.basics.threads import using_threads
from crossmargin.cluster.shards import ROW, joined
from crossmargin.collateral.valuation import accepted, taking_part
from crossmargin.engine.evaluate import Prepared, prepare
from crossmargin.engine.figures import prepare_in_quarantine
from crossmargin.files.positions import BALANCE_COLUMNS, read_book
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.protocol import Methodology, Priced
from crossmargin.portfolio.book import Balances, Book, Origin, PositionRows, build_book
from crossmargin.portfolio.quarantine import OnError, Unmargined
from crossmargin.standing.standing import Thresholds

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class BalanceLine:
    """One line of the balances as it stands there; whoever has the account's positions reads it."""

    account: str
    asset: str
    amount: str
    row: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """One contract of everything held, priced once for all shards.

    Parameters
    ----------
    priced : object
        As `Methodology.price` gives it.
    refused : mapping of str to tuple of Problem
        Instruments that cannot be priced, and why, with the first row of the file that holds it; the spot of a coin in
        the balances among them.
    notes : tuple of str
        What to know of the prices.
    """

    priced: Priced
    refused: Mapping[str, tuple[Problem, ...]]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Work:
    """What is the same for every shard; broadcast once.

    Parameters
    ----------
    positions_file, balances_file : str
        Names for messages; the second is `None` where accounts stand against no collateral.
    prices : Prices
        Made once.
    is_refused : bool
        Whether there is no answer: to look for everything that is wrong with the rows, and margin nothing.
    """

    positions_file: str
    balances_file: str | None
    market: Market
    method: Methodology
    policy: MissingPolicy
    thresholds: Thresholds
    on_error: OnError
    prices: Prices
    is_refused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ShardAnswer:
    """The accounts of a shard.

    Parameters
    ----------
    table : ndarray or None
        An Arrow IPC file of one row for each margin account, by name; columns as `account_table` says.
    n_accounts : int
        Margin accounts with figures.
    currency : str
        Of the requirements.
    deficits : int
        Accounts whose equity is below their initial requirement.
    unmargined : tuple of Unmargined
        Accounts that are left out.
    problems : tuple of Problem
        Everything that is wrong with the rows of the shard; then there is no table.
    fills : tuple of Fill
        Stand-ins for missing quotes.
    """

    table: NDArray[np.uint8] | None = None
    n_accounts: int = 0
    currency: str = ""
    deficits: int = 0
    unmargined: tuple[Unmargined, ...] = ()
    problems: tuple[Problem, ...] = ()
    fills: tuple[Fill, ...] = ()


class _AlreadyPriced:
    """A methodology whose prices are there: what cannot be priced is refused as if it had been tried here."""

    def __init__(self, method: Methodology, prices: Prices) -> None:
        self._method, self._prices = method, prices

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> Priced:
        # What is wrong with an underlying is wrong with each of its instruments, and said once.
        refused = dict.fromkeys(p for name in instruments for p in self._prices.refused.get(name, ()))
        raise_problems(list(refused))
        return self._prices.priced

    def __getattr__(self, name: str) -> Any:
        return getattr(self._method, name)


def price_once(
    file: str,
    instruments: Mapping[str, int],
    assets: Iterable[str],
    market: Market,
    method: Methodology,
    policy: MissingPolicy,
) -> Prices:
    """Price one contract of each instrument of `market`, and of the spot that balances in `assets` are.

    A book of one account for each of them goes the way that every book goes: so nothing is priced, or refused, in
    another way than in one process. What the market does not list, and what a balance is worth, is for those who hold
    it to find.

    Parameters
    ----------
    file : str
        Name of the positions, for messages.
    instruments : mapping of str to int
        Names as they are spelled there, with the first row of each.
    assets : iterable of str
        What balances are in.

    Raises
    ------
    InputError, UnsupportedError
        For what concerns no instrument in particular, such as an index price that is missing.
    """
    origins: dict[str, Origin] = {}
    for spelled, row in instruments.items():
        name = market.spelled(spelled)
        if name in market and (name not in origins or row < origins[name].row):
            origins[name] = Origin(file, row)
    names = tuple(sorted(origins))
    coins = tuple(sorted(set(assets)))
    n_accounts = len(names) + len(coins)
    alone, all_names = np.arange(len(names)), np.arange(n_accounts)
    accounts = tuple(f"{k:09d}" for k in range(n_accounts))
    book = build_book(
        accounts=accounts,
        instruments=names,
        rows=PositionRows(account=alone, instrument=alone, steps=np.full(len(names), STEPS_PER_UNIT)),
        attributes={},
        balances=Balances(
            assets=coins,
            account=all_names[len(names) :],
            asset=np.arange(len(coins)),
            steps=np.full(len(coins), STEPS_PER_UNIT),
        ),
        origins=origins,
    )
    prepared, left_out = prepare_in_quarantine(book, market, method, policy)
    spots = taking_part(market, method.schedule)
    held_by = dict(zip(accounts, (*names, *(spots.get(coin) for coin in coins)), strict=True))
    refused: dict[str, dict[Problem, None]] = {}
    for one in left_out:
        # What is about the asset (no spot, no dollar price) is found again, and with it whoever has it.
        about = [problem for problem in one.problems if not problem.asset]
        held = held_by[one.account]
        if held is not None and about:
            refused.setdefault(held, {}).update(dict.fromkeys(about))
    return Prices(
        priced=prepared.priced,
        refused={name: tuple(about) for name, about in refused.items()},
        notes=prepared.notes,
    )


def margin_shard(work: Work, cash: Sequence[BalanceLine], pieces: Sequence[NDArray[np.uint8]]) -> ShardAnswer:
    """Margin the accounts of one shard.

    Parameters
    ----------
    work : Work
        Market, methodology, prices and policies.
    cash : sequence of BalanceLine
        Balances of the shard's accounts.
    pieces : sequence of ndarray
        The shard's rows, as `split` made them; there is at least one row.
    """
    frame = joined(pieces)
    place = _Places(work, frame[ROW].to_numpy(), cash)
    with using_threads(1):
        unmargined: list[Unmargined] = []
        problems: list[Problem] = []
        book = read_book(
            frame.drop(ROW),
            [{name: getattr(line, name) for name in BALANCE_COLUMNS} for line in cash] if cash else None,
            problems,
            work.market,
            accepts=tuple(accepted(work.market, work.method.schedule)),
            on_error=work.on_error,
            unmargined=unmargined,
        )
        del frame
        if problems or book is None:
            return ShardAnswer(problems=tuple(map(place.of, problems)))
        if work.balances_file is not None and not cash:
            book = replace(book, balances=Balances())
        try:
            prepared, more = _prepared(book, work)
            if work.is_refused:
                return ShardAnswer()
            result = MarginResult.of_prepared(prepared, (*unmargined, *more))
        except CrossmarginError as error:
            return ShardAnswer(problems=tuple(map(place.of, error.problems)))
    left_out = tuple(replace(one, problems=tuple(map(place.of, one.problems))) for one in result.unmargined)
    return _answer(replace(result, unmargined=left_out))


def _prepared(book: Book, work: Work) -> tuple[Prepared, tuple[Unmargined, ...]]:
    method = cast(Methodology, _AlreadyPriced(work.method, work.prices))
    left_out: tuple[Unmargined, ...] = ()
    if work.on_error is OnError.QUARANTINE:
        prepared, left_out = prepare_in_quarantine(book, work.market, method, work.policy, work.thresholds)
    else:
        prepared = prepare(book, work.market, method, work.policy, work.thresholds)
    return replace(prepared, methodology=work.method), left_out


class _Places:
    """Where the rows of a shard stand in the files that they come from."""

    def __init__(self, work: Work, file_row: NDArray[np.integer[Any]], cash: Sequence[BalanceLine]) -> None:
        self._files = {
            "positions": (work.positions_file, file_row),
            "balances": (work.balances_file or "", np.array([line.row for line in cash], dtype=np.int64)),
        }
        self._placed = {p for refused in work.prices.refused.values() for p in refused}

    def of(self, problem: Problem) -> Problem:
        """`problem` with the file's name and its row there, for that of the shard."""
        if problem.file not in self._files or problem in self._placed:
            return problem
        name, rows = self._files[problem.file]
        return replace(problem, file=name, row=None if problem.row is None else int(rows[problem.row - 1]))


def _answer(result: MarginResult) -> ShardAnswer:
    stands = result.figures.standing
    return ShardAnswer(
        table=file_bytes(result.account_table()),
        n_accounts=len(result.accounts),
        currency=result.figures.currency,
        deficits=0 if stands is None else int(np.count_nonzero(stands.excess < 0)),
        unmargined=result.unmargined,
        fills=result.figures.fills,
    )


def file_bytes(frame: pl.DataFrame) -> NDArray[np.uint8]:
    """A frame as an Arrow IPC file."""
    stream = io.BytesIO()
    frame.write_ipc(stream)
    return read_only(np.frombuffer(stream.getbuffer(), dtype=np.uint8))


def total(parts: Iterable[pl.Series]) -> float:
    """The exact sum of all values of `parts`, rounded once: the same in any order."""
    return math.fsum(value for values in parts for value in values.drop_nulls().to_list())
