"""Files that a command writes: each whole or not at all, and on record for whoever interrupts the command."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import CrossmarginError, Problem, raise_problems
from crossmargin.files.output import replacing, require_writable

UNMARGINED = "unmargined"
"""State of an account that has no figures."""

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


def require_places(*, table: Path | None = None, page: Path | None = None) -> None:
    """Find out, before the work begins, whether its table and its page (or another text) can be written.

    Raises
    ------
    InputError
        Naming each that cannot, and a table of a format that we do not write.
    """
    problems: list[Problem] = []
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


def write_table(path: Path, columns: Mapping[str, Any], unmargined: Mapping[str, str]) -> None:
    """Write every account to a Parquet or CSV file, by name.

    Parameters
    ----------
    path : Path
        Its suffix says the format.
    columns : mapping of str to sequence
        `account`, `state` where accounts stand against collateral, and figures: floats, where `None` and what is not
        finite are null.
    unmargined : mapping of str to str
        Accounts that have no figures, and why: rows of nulls with the state `unmargined` and the `reasons`.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    import polars as pl

    names = ("account", "state", "reasons")
    types = {name: pl.String() if name in names else pl.Float64() for name in (*columns, *names)}
    margined = pl.DataFrame(dict(columns), schema_overrides=types)
    figures = [name for name in columns if name not in names]
    margined = margined.with_columns(
        pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in figures
    )
    refused = pl.DataFrame(
        {"account": list(unmargined), "state": [UNMARGINED] * len(unmargined), "reasons": list(unmargined.values())},
        schema={name: types[name] for name in names},
    )
    # Both have strings where strings are expected, and null is what a figure is that is not there.
    table = pl.concat([margined, refused], how="diagonal").select(*columns, *(n for n in names if n not in columns))
    if unmargined:
        table = table.sort("account")
    with writing(path) as temporary:
        if path.suffix.lower() == ".csv":
            table.write_csv(temporary)
        else:
            table.write_parquet(temporary)
