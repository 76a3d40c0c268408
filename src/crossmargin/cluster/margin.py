"""One book on many workers: survey, split, margin shard by shard, and one Parquet file of requirements.

    workers  survey of each range of rows
    driver   plan; market, methodology and prices broadcast once
    workers  split of each range: a piece for each shard
    workers  margin of each shard: its pieces to a book, to requirements, to rows of the answer
    driver   the shards' rows in the order of their names: one file, there whole or not at all

A margin account is margined by one worker from all of its rows by the code that one process runs, so its figures are
the same bits on any number of workers, in shards of any size. What a reader might question: a shard that cannot be
margined does not stop the others. Its accounts stand in the file without figures and with the reason, and in the
report, so that nobody can take them for accounts without risk; input that is wrong is another matter and refused
whole, as everywhere.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from crossmargin._version import __version__
from crossmargin.answers.account_table import account_table, file_metadata
from crossmargin.basics.errors import CrossmarginError, InputError, Problem, UnsupportedError, raise_problems
from crossmargin.cluster.session import LOCAL, Session, connected
from crossmargin.cluster.shards import (
    ROWS_PER_RANGE,
    ROWS_PER_SHARD,
    Layout,
    Plan,
    Survey,
    layout_of,
    names_of,
    plan,
    split,
    survey,
)
from crossmargin.cluster.work import (
    BalanceLine,
    ShardAnswer,
    Work,
    file_bytes,
    margin_shard,
    price_once,
    total,
)
from crossmargin.collateral.valuation import accepted
from crossmargin.engine.evaluate import provenance
from crossmargin.files.output import replacing, require_writable
from crossmargin.files.positions import BALANCE_COLUMNS
from crossmargin.files.tables import read_table
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.quarantine import OnError, Unmargined
from crossmargin.standing.standing import Thresholds

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

ATTEMPTS = 4
"""How often a task is begun whose worker dies, before its shard is given up."""
SHARDS_PER_WORKER = 4
"""At least, where the file has rows enough: so that workers end at about the same time."""
FEWEST_ROWS = 10_000
"""Rows below which a shard is not worth a task."""
WINDOW = 4
"""Answered shards that may wait for an earlier one, by worker: what the driver holds at most."""

_TOTALS = (
    "requirement_initial",
    "requirement_maintenance",
    "requirement_isolated",
    "net_option_value",
    "total_initial",
    "total_maintenance",
)
_DEATHS = ("WorkerCrashedError", "OutOfMemoryError", "NodeDiedError", "LocalRayletDiedError", "ObjectLostError")

Report = Callable[[int, int], None]
"""Called with the rows whose accounts are done, and all rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LostShard:
    """A shard that could not be margined.

    Parameters
    ----------
    accounts : tuple of str
        Its margin accounts, by name: none of them has a figure.
    reason : str
        What happened.
    attempts : int
        How often it was tried.
    """

    accounts: tuple[str, ...]
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterReport:
    """How the work went, and totals of the file that it wrote.

    Parameters
    ----------
    out : Path
        The file.
    n_rows, n_accounts : int
        Rows of positions; margin accounts with figures.
    unmargined : tuple of Unmargined
        Accounts without figures, by name: of which something is wrong, or whose shard is lost. The answer is complete
        when this is empty.
    lost : tuple of LostShard
        Shards that could not be margined; their accounts are among `unmargined`.
    deficits : int
        Accounts whose equity is below their initial requirement.
    currency : str
        Of the requirements.
    totals : mapping of str to float
        Exact sums over the accounts with figures, by column, rounded once.
    fills : tuple of Fill
        Every stand-in for a missing quote.
    n_shards, workers : int
        How the work was cut.
    retried : int
        Shards that were begun again because a worker died.
    provenance : mapping of str to object
        What the figures rest on, as `Prepared.provenance` says it; the file says so too.
    notes : tuple of str
        Of the market.
    """

    out: Path
    n_rows: int
    n_accounts: int
    unmargined: tuple[Unmargined, ...]
    lost: tuple[LostShard, ...]
    deficits: int
    currency: str
    totals: Mapping[str, float]
    fills: tuple[Fill, ...]
    n_shards: int
    workers: int
    retried: int
    provenance: Mapping[str, object]
    notes: tuple[str, ...]


def margin_on_cluster(
    positions: Path,
    market: Market,
    method: Methodology,
    policy: MissingPolicy | None = None,
    *,
    out: Path,
    balances: Path | None = None,
    thresholds: Thresholds | None = None,
    on_error: OnError = OnError.REFUSE,
    address: str = LOCAL,
    workers: int | None = None,
    progress: Report | None = None,
    written: Callable[[Path], None] | None = None,
) -> ClusterReport:
    """Margin every account of a Parquet file on the workers of a Ray cluster.

    Parameters
    ----------
    positions : Path
        Parquet, as `read_positions` takes it; every worker reads it at this path.
    market, method, policy, thresholds
        As `evaluate` takes them.
    out : Path
        Parquet file to write: a row a margin account, by name.
    balances : Path, optional
        CSV or Parquet, as `read_positions` takes it.
    on_error : OnError
        Refuse the whole input if anything is wrong with it, or leave out the accounts that it is about.
    address, workers
        As `connected` takes them.
    progress : callable, optional
        Told of the rows that are done.
    written : callable, optional
        Told of `out` once it is there; Ray is stopped after that.

    Raises
    ------
    InputError, UnsupportedError
        If the input is wrong, with every problem, or there is no Ray to be had. Nothing is written then.
    """
    require_writable(out)
    layout = layout_of(positions.resolve())
    with connected(address, workers) as session:
        return margin_in_session(
            session,
            layout,
            market,
            method,
            policy,
            out=out,
            balances=balances,
            thresholds=thresholds,
            on_error=on_error,
            progress=progress,
            written=written,
        )


def margin_in_session(
    session: Session,
    layout: Layout,
    market: Market,
    method: Methodology,
    policy: MissingPolicy | None = None,
    *,
    out: Path,
    balances: Path | None = None,
    thresholds: Thresholds | None = None,
    on_error: OnError = OnError.REFUSE,
    progress: Report | None = None,
    written: Callable[[Path], None] | None = None,
    rows_per_range: int = ROWS_PER_RANGE,
    rows_per_shard: int = ROWS_PER_SHARD,
    fewest_rows: int = FEWEST_ROWS,
) -> ClusterReport:
    """`margin_on_cluster` in a session that is open already; the sizes change no figure."""
    policy = policy or MissingPolicy()
    cash = [] if balances is None else _balance_lines(balances)
    ranges = layout.ranges(min(rows_per_range, -(-layout.n_rows // session.workers)))
    dealt = plan(
        layout,
        _surveys(session, layout, ranges),
        _shard_count(layout.n_rows, session.workers, rows_per_shard, fewest_rows),
    )
    prices = price_once(layout.path.name, dealt.instruments, _assets(cash, market, method), market, method, policy)
    tally = _Tally(has_balances=balances is not None)
    if on_error is OnError.REFUSE:
        # Then there will be no answer: what remains is to find everything that is wrong, and say it at once.
        held = {market.spelled(name) for name in dealt.instruments}
        tally.refuse(problem for name, about in prices.refused.items() if name in held for problem in about)
    work = Work(
        positions_file=layout.path.name,
        balances_file=None if balances is None else balances.name,
        market=market,
        method=method,
        policy=policy,
        thresholds=thresholds or Thresholds(),
        on_error=on_error,
        prices=prices,
        is_refused=tally.is_refused,
    )
    pieces = _pieces(session, dealt, ranges)
    rests_on = provenance(market, method, policy, work.thresholds)
    with _parts(out) as folder:
        _margin_shards(session, dealt, work, _Shards(_by_shard(dealt, cash), pieces), tally, folder, progress)
        # Who states two netting sets is left out by every name that it stated, which may be those of other shards.
        totals = _written(tally.parts, out, file_metadata(rests_on, prices.notes), sort=bool(tally.unmargined))
        if written is not None:
            written(out)
        return ClusterReport(
            out=out,
            n_rows=layout.n_rows,
            n_accounts=tally.n_accounts,
            unmargined=tuple(sorted(tally.unmargined, key=lambda one: one.account)),
            lost=tuple(tally.lost),
            deficits=tally.deficits,
            currency=tally.currency,
            totals=totals,
            fills=tuple(tally.fills),
            n_shards=dealt.n_shards,
            workers=session.workers,
            retried=tally.retried,
            provenance=rests_on,
            notes=prices.notes,
        )


def _balance_lines(path: Path) -> list[BalanceLine]:
    """The lines of the balances. What they hold is checked with the positions of their accounts."""
    table = read_table(path)
    table.require(BALANCE_COLUMNS, "balances")
    raise_problems(table.problems)
    columns = (table.columns[name] for name in BALANCE_COLUMNS)
    return [
        BalanceLine(account=account, asset=asset, amount=amount, row=table.row(k))
        for k, (account, asset, amount) in enumerate(zip(*columns, strict=True))
    ]


def _assets(cash: Sequence[BalanceLine], market: Market, method: Methodology) -> set[str]:
    """Assets of the balances that are accepted; a balance in another is refused where it is read."""
    return {line.asset.upper() for line in cash} & set(accepted(market, method.schedule))


def _shard_count(n_rows: int, workers: int, rows_per_shard: int, fewest_rows: int) -> int:
    """Shards of at most `rows_per_shard`; some for each worker, but none too small to be worth it."""
    wanted = max(-(-n_rows // rows_per_shard), SHARDS_PER_WORKER * workers)
    return max(1, min(wanted, n_rows // fewest_rows))


def _surveys(session: Session, layout: Layout, ranges: Sequence[tuple[int, int]]) -> list[Survey]:
    task = session.remote(_survey, max_retries=ATTEMPTS - 1)
    found = _got(session, [task.remote(layout, first, last) for first, last in ranges])
    others = sorted({version for version, _ in found} - {__version__})
    if others:
        raise UnsupportedError(
            Problem(
                found=f"the cluster has crossmargin {', '.join(others)}, and this is {__version__}",
                needed="Install one version on all machines: another one may give other figures.",
            )
        )
    return [one for _, one in found]


def _survey(layout: Layout, first: int, last: int) -> tuple[str, Survey]:
    return __version__, survey(layout, first, last)


def _pieces(session: Session, dealt: Plan, ranges: Sequence[tuple[int, int]]) -> list[list[Any]]:
    """References to the pieces of each shard, in the order of the file."""
    plan_ref = session.ray.put(dealt)
    # Ray itself begins these again, also later when a machine is lost with the pieces that it holds.
    task = session.remote(_split, max_retries=ATTEMPTS - 1, num_returns=dealt.n_shards + 1)
    rows = [task.remote(plan_ref, first, last) for first, last in ranges]
    _got(session, [done for done, *_ in rows])
    return [[row[1 + k] for row in rows] for k in range(dealt.n_shards)]


def _split(dealt: Plan, first: int, last: int) -> list[Any]:
    return [last - first, *split(dealt, first, last)]


def _by_shard(dealt: Plan, cash: Sequence[BalanceLine]) -> list[list[BalanceLine]]:
    """Balances where the positions of their accounts are."""
    import polars as pl

    dealt_cash: list[list[BalanceLine]] = [[] for _ in range(dealt.n_shards)]
    shard = dealt.shard_of(pl.Series([line.account for line in cash], dtype=pl.String))
    for k, line in zip(shard.tolist(), cash, strict=True):
        dealt_cash[k].append(line)
    return dealt_cash


@contextmanager
def _parts(out: Path) -> Iterator[Path]:
    """A folder beside the answer for its parts, which goes."""
    folder = Path(tempfile.mkdtemp(prefix=".crossmargin-", suffix=".parts", dir=out.resolve().parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Shards(NamedTuple):
    """What each shard is made of: balances, and references to its pieces."""

    cash: list[list[BalanceLine]]
    pieces: list[list[Any]]


@dataclass(slots=True, kw_only=True)
class _Tally:
    """What the shards came to so far; the tables themselves are in `parts`, in order."""

    has_balances: bool
    problems: dict[Problem, None] = field(default_factory=dict)
    unmargined: list[Unmargined] = field(default_factory=list)
    lost: list[LostShard] = field(default_factory=list)
    fills: dict[Fill, None] = field(default_factory=dict)
    parts: list[Path] = field(default_factory=list)
    currency: str = ""
    n_accounts: int = 0
    deficits: int = 0
    retried: int = 0

    @property
    def is_refused(self) -> bool:
        """Whether there will be no answer."""
        return bool(self.problems)

    def refuse(self, problems: Iterable[Problem]) -> None:
        """There will be none because of these; several shards may say the same of an underlying or an asset."""
        self.problems |= dict.fromkeys(problems)

    def take(self, answer: ShardAnswer) -> NDArray[np.uint8] | None:
        """Count a shard in; its table, if it has one."""
        self.refuse(answer.problems)
        self.unmargined += answer.unmargined
        self.fills |= dict.fromkeys(answer.fills)
        self.currency = self.currency or answer.currency
        self.n_accounts += answer.n_accounts
        self.deficits += answer.deficits
        return answer.table

    def lose(self, without: list[Unmargined], outcome: _Outcome) -> NDArray[np.uint8]:
        """Count a lost shard in; the table of its accounts, which have no figures."""
        names = tuple(one.account for one in without)
        self.lost.append(LostShard(accounts=names, reason=outcome.reason, attempts=outcome.attempts))
        self.unmargined += without
        reasons = {one.account: one.in_words for one in without}
        return file_bytes(account_table({}, reasons, has_balances=self.has_balances))


def _margin_shards(
    session: Session, dealt: Plan, work: Work, shards: _Shards, tally: _Tally, folder: Path, progress: Report | None
) -> None:
    """Margin every shard; its table goes to a file in `folder`, everything else to `tally`.

    Raises
    ------
    InputError, UnsupportedError
        With everything that is wrong with the rows, and with what `tally` is refused for already.
    """
    work_ref, plan_ref = session.ray.put(work), session.ray.put(dealt)
    task = session.remote(_margin, max_retries=0)  # begun again by us: so that we know, and it ends

    def begin(k: int) -> Any:
        return task.remote(work_ref, shards.cash[k], *shards.pieces[k])

    for k, outcome in enumerate(_in_order(session, begin, dealt.n_shards)):
        tally.retried += outcome.attempts > 1
        if outcome.answer is not None:
            table = tally.take(outcome.answer)
        else:
            without = _without_answer(session, plan_ref, shards.cash[k], shards.pieces[k], outcome.reason)
            table = tally.lose(without, outcome)
        shards.pieces[k] = []  # what nobody refers to any more leaves the object store
        if table is not None and not tally.is_refused:
            tally.parts.append(folder / f"{k:06d}.arrow")
            tally.parts[-1].write_bytes(table.data)
        if progress is not None:
            progress(dealt.layout.n_rows * (k + 1) // dealt.n_shards, dealt.layout.n_rows)
    raise_problems(sorted(tally.problems, key=lambda problem: problem.row or 0))


def _margin(work: Work, cash: Sequence[BalanceLine], *pieces: NDArray[np.uint8]) -> ShardAnswer | str:
    """The answer, or why there is none: Ray cannot bring every exception back."""
    try:
        return margin_shard(work, cash, pieces)
    except Exception as error:  # whatever it is, the other shards are margined
        return _in_words(error)


class _Outcome(NamedTuple):
    """The answer of a shard, or the reason why there is none."""

    answer: ShardAnswer | None
    reason: str
    attempts: int


def _in_order(session: Session, begin: Callable[[int], Any], count: int) -> Iterator[_Outcome]:
    """Run tasks `0` to `count`, and yield what becomes of each in that order.

    A few more tasks are begun than there are workers, and none that is far ahead of the one that is waited for: so
    workers are busy, and neither driver nor object store fills up with answers.

    Who is interrupted cancels nothing: the session ends, and with it Ray ends the tasks of this driver. Cancelling a
    task whose arguments Ray is still looking up would end the driver itself (its reference counter fails a check).
    """
    ray = session.ray
    at_once = session.workers + (1 if session.is_local else 0)  # where others work too, `workers` is a promise
    running: dict[Any, int] = {}
    attempts = [0] * count
    done: dict[int, _Outcome] = {}
    begun = yielded = 0
    while yielded < count:
        while begun < count and len(running) < at_once and begun < yielded + WINDOW * session.workers:
            running[begin(begun)] = begun
            attempts[begun] += 1
            begun += 1
        (ready,), _ = ray.wait(list(running), num_returns=1)
        k = running.pop(ready)
        try:
            answer = ray.get(ready)
        except ray.exceptions.RayError as error:
            if _is_death(ray, error) and attempts[k] < ATTEMPTS:
                running[begin(k)] = k
                attempts[k] += 1
                continue
            what = f"its worker died {attempts[k]} times" if _is_death(ray, error) else "its task failed"
            done[k] = _Outcome(None, f"{what}: {_in_words(error)}", attempts[k])
        else:
            failed = isinstance(answer, str)  # the same again would come of another attempt
            done[k] = _Outcome(None if failed else answer, f"its task failed: {answer}" if failed else "", attempts[k])
        while yielded in done:
            yield done.pop(yielded)
            yielded += 1


def _is_death(ray: Any, error: Exception) -> bool:
    """Whether a worker, its machine or what it needed is gone, for no reason that we know."""
    return isinstance(error, tuple(getattr(ray.exceptions, name) for name in _DEATHS if hasattr(ray.exceptions, name)))


def _in_words(error: BaseException) -> str:
    """The first line of what happened; Ray wraps it in traces of its own."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, BaseException):
        error = cause
    return ": ".join((type(error).__name__, *str(error).strip().splitlines()[:1]))


def _without_answer(
    session: Session, plan_ref: Any, cash: Sequence[BalanceLine], pieces: Sequence[Any], reason: str
) -> list[Unmargined]:
    """The margin accounts of a shard that is lost, those too that hold only cash."""
    names = session.remote(_names, max_retries=ATTEMPTS - 1).remote(plan_ref, *pieces)
    found: dict[str, tuple[str, ...]] = _got(session, names)
    members = {member for inside in found.values() for member in inside}
    found |= {line.account: (line.account,) for line in cash if line.account not in members}
    problem = Problem(
        found=f"not margined with the others of its shard: {reason}", needed="Margin it again, alone or in one process."
    )
    return [
        Unmargined(account=name, members=found[name], problems=(replace(problem, account=name),))
        for name in sorted(found)
    ]


def _names(dealt: Plan, *pieces: NDArray[np.uint8]) -> dict[str, tuple[str, ...]]:
    return names_of(dealt, pieces)


def _got(session: Session, refs: Any) -> Any:
    """Answers of tasks that all others need: there is no going on without them.

    Raises
    ------
    InputError
        If a task failed, or its workers died again and again.
    """
    ray = session.ray
    try:
        return ray.get(refs)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, CrossmarginError):
            raise type(error.cause)(error.cause.problems) from None
        found = f"a worker failed to read the positions ({_in_words(error)})"
    except ray.exceptions.RayError as error:
        found = f"workers that read the positions died {ATTEMPTS} times ({_in_words(error)})"
    raise InputError(
        Problem(found=found, needed="Check the memory of the machines, and that all of them can read the file.")
    )


def _written(parts: Sequence[Path], out: Path, metadata: dict[str, str], *, sort: bool) -> dict[str, float]:
    """One Parquet file out of the parts, with what it rests on as metadata; the totals of its figures."""
    import polars as pl

    with replacing(out) as temporary:
        table = pl.scan_ipc(list(parts))
        (table.sort("account", maintain_order=True) if sort else table).sink_parquet(temporary, metadata=metadata)
        # Part by part: of all accounts at once not even one column need fit in memory.
        return {name: total(pl.read_ipc(part, columns=[name])[name] for part in parts) for name in _TOTALS}
