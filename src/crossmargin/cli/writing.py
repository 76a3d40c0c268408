"""Files that a command writes: each whole or not at all, and on record for whoever interrupts the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crossmargin.answers.account_table import file_metadata
from crossmargin.basics.errors import CrossmarginError, Problem, raise_problems
from crossmargin.files.output import replacing, require_writable

if TYPE_CHECKING:
    import polars as pl

    from crossmargin.answers.result import MarginResult

finished: list[Path] = []
"""What the command of this process has written so far."""


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """`replacing`, and `path` is on record once it is there."""
    with replacing(path) as temporary:
        yield temporary
    finished.append(path)


def write_text(path: Path, text: str) -> None:
    """Write text to a file; errors as `replacing`."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def require_places(*, table: Path | None = None, page: Path | None = None, beside: Sequence[Path | None] = ()) -> None:
    """Find out, before the work begins, whether its table and its page (or another text) can be written.

    `beside` are the files that the work reads: none of them is written over.

    Raises
    ------
    InputError
        Naming each that cannot, a table of a format that we do not write, and one file for two things.
    """
    problems: list[Problem] = []
    read = {path.resolve() for path in beside if path is not None}
    for path in (table, page):
        if path is not None and path.resolve() in read:
            problems.append(
                Problem(found="an input would be written over", needed="Name another file.", file=str(path))
            )
    if table is not None and page is not None and table.resolve() == page.resolve():
        problems.append(
            Problem(found="the table and the page are one file", needed="Name another for one.", file=str(page))
        )
    for path in (table, page):
        try:
            if path is not None:
                require_writable(path)
        except CrossmarginError as error:
            problems += error.problems
    if table is not None and table.suffix.lower() not in (".csv", ".parquet"):
        problems.append(
            Problem(
                found=f"a table is not written as '{table.suffix}'" if table.suffix else "says no format for a table",
                needed="End its name in .parquet or .csv.",
                file=str(table),
            )
        )
    raise_problems(problems)


def write_answer(path: Path, result: MarginResult) -> None:
    """Write every account of an answer to a file, and what it rests on; see `write_table`."""
    write_table(path, result.account_table(), file_metadata(result.prepared.provenance, result.prepared.notes))


def write_table(path: Path, table: pl.DataFrame, metadata: Mapping[str, str] | None = None) -> None:
    """Write a table to a Parquet or CSV file, as its suffix says; errors as `replacing`.

    `metadata` goes to the key-value metadata of Parquet: a CSV has no room for it.
    """
    with writing(path) as temporary:
        if path.suffix.lower() == ".csv":
            table.write_csv(temporary)
        else:
            table.write_parquet(temporary, metadata=dict(metadata or {}))
