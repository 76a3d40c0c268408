"""From a Parquet file of positions in any order to shards: every row of a margin account in one of them.

Three steps, each a pure function of a range of rows, so that any process that can read the file can do it. A *survey*
samples accounts, and finds the distinct instruments and who is in which netting set. The *plan* cuts the margin
accounts, ordered by name, where the sample says that shards are of about one size. A *split* cuts a range of rows into
one piece for each shard.

What a reader might question: shards are ranges of names and not remainders of a hash. So the shards' answers, one
after the other, are in the order in which one process gives them, and neither the number of shards nor anybody's hash
function shows in the result. A piece is an Arrow IPC stream of the file's own columns and row numbers: what is wrong
with a row is found once, by the same reader as in one process, and has the row's number in the file.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from crossmargin.basics.arrays import read_only
from crossmargin.basics.errors import FileFormatError, Problem, raise_problems
from crossmargin.files.composed_names import NameParts, written_as
from crossmargin.files.positions import ATTRIBUTES, BESIDE, REQUIRED, parse_positions
from crossmargin.files.tables import head, is_parquet

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

ROWS_PER_RANGE = 2_500_000
"""Rows that a task reads at once: with two names each they take about 0.3 GB."""
ROWS_PER_SHARD = 1_250_000
"""Rows of a shard on average, of which its task holds a few copies."""
SAMPLE_PER_RANGE = 8192
"""Accounts that a survey draws: enough for shards that differ by some percent."""
ROW = "row number"
"""Column of the pieces: 1-based row in the file."""
_SEED = 20_260_215


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """A Parquet file of positions: where its columns are and how many rows it has.

    `columns` maps the names that we read to those in the file, which may have outer blanks; `parts` those of the parts
    of an instrument's name, in a file by symbol.
    """

    path: Path
    columns: Mapping[str, str]
    n_rows: int
    parts: NameParts | None = None

    def ranges(self, rows_per_range: int = ROWS_PER_RANGE) -> tuple[tuple[int, int], ...]:
        """Half-open ranges of rows that cover the file, of about one size."""
        count = -(-self.n_rows // rows_per_range)
        edges = [self.n_rows * k // count for k in range(count + 1)]
        return tuple(pairwise(edges))

    def read(self, first: int, last: int, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """Rows `first` to `last`, half open, of the columns that are there; a name that has parts is put together."""
        wanted = self.columns if columns is None else [name for name in columns if name in self.columns]
        frame = self._read(first, last, {name: self.columns[name] for name in wanted})
        if self.parts is None or (columns is not None and "instrument" not in columns):
            return frame
        names = self.parts.of_frame(self._read(first, last, self.parts.columns))
        return frame.with_columns(names.alias("instrument"))

    def _read(self, first: int, last: int, columns: Mapping[str, str]) -> pl.DataFrame:
        """Rows of columns of the file, by the name that they get."""
        import polars as pl

        try:
            return (
                pl.scan_parquet(self.path, glob=False)
                .slice(first, last - first)
                .select(pl.col(written).alias(name) for name, written in columns.items())
                .collect()
            )
        except (pl.exceptions.PolarsError, OSError) as error:
            reason = (str(error).splitlines() or ["damaged"])[0]
            raise FileFormatError(
                Problem(
                    found=f"rows {first + 1:,} to {last:,} cannot be read ({reason})",
                    needed="Every worker reads the file at the same path; check that it can, and that it is whole.",
                    file=self.path.name,
                    kind=FileFormatError,
                )
            ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a range of rows tells about accounts and instruments.

    Parameters
    ----------
    sample : tuple of str
        Accounts of rows drawn at random.
    instruments : mapping of str to int
        Names as they are spelled, with the first row of each, 1-based.
    sets : frame
        Columns `account` and `netting_set`: every pair that is stated, once.
    """

    sample: tuple[str, ...]
    instruments: Mapping[str, int]
    sets: pl.DataFrame


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How accounts are dealt to shards.

    Parameters
    ----------
    layout : Layout
        The file.
    boundaries : tuple of str
        Shard `k` has the margin accounts from `boundaries[k - 1]` up to, and without, `boundaries[k]`.
    instruments : mapping of str to int
        Every instrument of the file as it is spelled, with its first row.
    sets : frame
        Columns `account` and `margin_account`, for accounts in a netting set.
    """

    layout: Layout
    boundaries: tuple[str, ...]
    instruments: Mapping[str, int]
    sets: pl.DataFrame

    @property
    def n_shards(self) -> int:
        """How many shards there are."""
        return len(self.boundaries) + 1

    def shard_of(self, accounts: pl.Series) -> NDArray[np.int64]:
        """Shard of each account, shape `(len(accounts),)`."""
        import polars as pl

        names = _clean(accounts)
        if self.sets.height:
            frame = pl.DataFrame({"account": names}).join(self.sets, on="account", how="left", maintain_order="left")
            names = frame.select(pl.coalesce("margin_account", "account")).to_series()
        if not self.boundaries:
            return np.zeros(len(accounts), dtype=np.int64)
        boundaries = pl.Series(self.boundaries, dtype=pl.String)
        return boundaries.search_sorted(names, side="right").to_numpy().astype(np.int64)


def layout_of(path: Path) -> Layout:
    """Find the columns of a Parquet file of positions.

    Raises
    ------
    FileFormatError
        If it is no Parquet file, has no rows, or its columns are not those of positions.
    """
    import polars as pl

    if not is_parquet(head(path)):
        raise FileFormatError(
            Problem(
                found="is no Parquet file",
                needed="A cluster reads ranges of rows, which only Parquet has; a CSV is margined without a cluster.",
                file=path.name,
                kind=FileFormatError,
            )
        )
    try:
        lazy = pl.scan_parquet(path, glob=False)
        names = lazy.collect_schema().names()
        n_rows = int(lazy.select(pl.len()).collect().item())
        first = lazy.head(1).collect()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError) as error:
        reason = (str(error).splitlines() or ["damaged"])[0]
        raise FileFormatError(
            Problem(
                found=f"is no Parquet that can be read ({reason})",
                needed="Write it again.",
                file=path.name,
                kind=FileFormatError,
            )
        ) from None
    # What is wrong with the header shows with one row; what is wrong with the row itself is found with all others.
    problems: list[Problem] = []
    parse_positions(first, problems, name=path.name)
    raise_problems([problem for problem in problems if problem.kind is FileFormatError])
    known = {name.strip(): name for name in names}
    parts = NameParts.of(known, path.name)
    written = written_as(known, (*REQUIRED, *ATTRIBUTES, *BESIDE), parts)
    columns = {name: known[header] for name, header in written.items()}
    if parts is not None:
        parts = NameParts(columns={part: known[name] for part, name in parts.columns.items()})
    return Layout(path=path, columns=columns, n_rows=n_rows, parts=parts)


def survey(layout: Layout, first: int, last: int) -> Survey:
    """What rows `first` to `last`, half open, tell about accounts and instruments."""
    import polars as pl

    frame = layout.read(first, last, ("account", "instrument", "netting_set"))
    n_drawn = min(SAMPLE_PER_RANGE, frame.height)
    # At random: rows at a fixed distance would meet the rhythm of a file that goes round the accounts.
    sample = _clean(frame["account"].sample(n_drawn, seed=_SEED + first))
    numbered = frame.select(pl.col("instrument").cast(pl.String), pl.int_range(first + 1, last + 1).alias(ROW))
    instruments = numbered.drop_nulls("instrument").group_by("instrument").agg(pl.col(ROW).min())
    sets = pl.DataFrame(schema={"account": pl.String, "netting_set": pl.String})
    if "netting_set" in frame.columns and frame["netting_set"].null_count() < frame.height:
        sets = frame.select(_clean(frame["account"]), _clean(frame["netting_set"]))
        sets = sets.filter(pl.col("netting_set") != "").unique()
    return Survey(
        sample=tuple(sample.to_list()),
        instruments=dict(zip(instruments["instrument"].to_list(), instruments[ROW].to_list(), strict=True)),
        sets=sets,
    )


def plan(layout: Layout, surveys: Sequence[Survey], n_shards: int) -> Plan:
    """Cut the margin accounts into `n_shards` ranges, or fewer where the sample has not as many names."""
    import polars as pl

    first_row: dict[str, int] = {}
    for name, row in (pair for one in surveys for pair in one.instruments.items()):
        first_row[name] = min(row, first_row.get(name, row))
    sets = _margin_accounts(pl.concat([one.sets for one in surveys]).unique())
    sample = pl.DataFrame({"account": [name for one in surveys for name in one.sample]}, schema={"account": pl.String})
    margined = sample.join(sets, on="account", how="left").select(pl.coalesce("margin_account", "account"))
    names = sorted(margined.to_series().to_list())
    cuts = dict.fromkeys(names[len(names) * k // n_shards] for k in range(1, n_shards))
    boundaries = tuple(name for name in cuts if name > names[0])
    return Plan(layout=layout, boundaries=boundaries, instruments=first_row, sets=sets)


def _margin_accounts(stated: pl.DataFrame) -> pl.DataFrame:
    """Margin account by account. Sets that an account ties together by stating both are dealt as one.

    Such an account is refused by whoever reads its rows; the sets must be where it is, so that its netting set is not
    margined without it somewhere else.
    """
    import polars as pl

    tied = stated.filter(pl.col("account").is_duplicated())
    root: dict[str, str] = {}

    def found(name: str) -> str:
        while root.get(name, name) != name:
            name = root[name]
        return name

    for members in tied.group_by("account").agg("netting_set")["netting_set"].to_list():
        least = min(found(name) for name in members)
        for name in members:
            root[found(name)] = least
            root.setdefault(least, least)
    to = {name: found(name) for name in root}
    one = stated.with_columns(pl.col("netting_set").replace(to) if to else pl.col("netting_set"))
    return one.rename({"netting_set": "margin_account"}).unique()


def split(dealt: Plan, first: int, last: int) -> list[NDArray[np.uint8]]:
    """Rows `first` to `last`, half open, as one piece for each shard; a shard without rows has an empty one."""
    import polars as pl

    frame = dealt.layout.read(first, last)
    if frame["instrument"].dtype in (pl.String, pl.Categorical, pl.Enum):
        # As numbers: a name in every row is most of what would be sent.
        spelled = pl.Enum(sorted(dealt.instruments))
        frame = frame.with_columns(pl.col("instrument").cast(pl.String).cast(spelled))
    shard = dealt.shard_of(frame["account"])
    number = pl.int_range(first + 1, last + 1, dtype=pl.UInt32 if last < 2**32 else pl.UInt64)
    frame = frame.with_columns(number.alias(ROW), pl.Series("shard", shard))
    parts = {int(part["shard"][0]): part.drop("shard") for part in frame.partition_by("shard")}
    none = frame.clear().drop("shard")
    return [_bytes_of(parts.get(k, none)) for k in range(dealt.n_shards)]


def joined(pieces: Iterable[NDArray[np.uint8]]) -> pl.DataFrame:
    """The rows of a shard, in the order of the file if the pieces are."""
    import polars as pl

    return pl.concat([pl.read_ipc_stream(io.BytesIO(piece.data)) for piece in pieces])


def names_of(dealt: Plan, pieces: Iterable[NDArray[np.uint8]]) -> dict[str, tuple[str, ...]]:
    """Margin accounts of a shard and their members, by name: who is concerned when a shard cannot be margined."""
    import polars as pl

    accounts = _clean(joined(pieces)["account"]).unique()
    frame = pl.DataFrame({"account": accounts}).join(dealt.sets, on="account", how="left")
    members: dict[str, list[str]] = {}
    for account, margin_account in sorted(frame.rows()):
        members.setdefault(margin_account or account, []).append(account)
    return {name: tuple(members[name]) for name in sorted(members)}


def _clean(names: pl.Series) -> pl.Series:
    """Names as the reader of positions takes them: text without outer blanks, empty where there is none."""
    import polars as pl

    return names.cast(pl.String).str.strip_chars().fill_null("")


def _bytes_of(frame: pl.DataFrame) -> NDArray[np.uint8]:
    stream = io.BytesIO()
    frame.write_ipc_stream(stream)
    return read_only(np.frombuffer(stream.getbuffer(), dtype=np.uint8))
