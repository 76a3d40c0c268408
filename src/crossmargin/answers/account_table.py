"""Every margin account as one table, as files have it: those with figures and those without, by name.

One process writes it and so does a cluster, shard by shard: the columns and their types do not depend on who is in it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl

REQUIREMENT_COLUMNS = (
    "requirement_initial",
    "requirement_maintenance",
    "requirement_isolated",
    "saving",
    "saving_ratio",
    "net_option_value",
    "total_initial",
    "total_maintenance",
)
STANDING_COLUMNS = ("collateral_value", "equity", "excess", "coverage_ratio")
UNMARGINED = "unmargined"
"""State of an account without figures."""
METADATA = "crossmargin"
"""Key of a Parquet file's metadata under which it says what its figures rest on."""


def schema(*, has_balances: bool) -> dict[str, pl.DataType]:
    """Columns and their types."""
    import polars as pl

    figures = REQUIREMENT_COLUMNS + (STANDING_COLUMNS if has_balances else ())
    text = {"state": pl.String(), "reasons": pl.String()}
    return {"account": pl.String(), **dict.fromkeys(figures, pl.Float64()), **text}


def account_table(columns: Mapping[str, Any], unmargined: Mapping[str, str], *, has_balances: bool) -> pl.DataFrame:
    """The table of some accounts.

    Parameters
    ----------
    columns : mapping of str to sequence
        As `MarginResult.columns` gives them: `account`, figures, and `state` where accounts stand against collateral.
    unmargined : mapping of str to str
        Accounts that have no figures, and why: rows of nulls with the state `unmargined` and the `reasons`.
    has_balances : bool
        Whether there are columns of standing.

    Returns
    -------
    polars.DataFrame
        By account; null where there is no figure, or none that is finite.
    """
    import polars as pl

    types = schema(has_balances=has_balances)
    known = {name: values for name, values in columns.items() if name in types}
    n_accounts = len(columns.get("account", ()))
    blank = {name: [None] * n_accounts for name in types if name not in known}
    table = pl.DataFrame({name: known.get(name, blank.get(name)) for name in types}, schema=types)
    figures = [name for name, kind in types.items() if kind == pl.Float64()]
    table = table.with_columns(pl.when(pl.col(name).is_finite()).then(pl.col(name)).alias(name) for name in figures)
    if not unmargined:
        return table
    n_refused = len(unmargined)
    stated = {
        "account": list(unmargined),
        "state": [UNMARGINED] * n_refused,
        "reasons": list(unmargined.values()),
    }
    refused = pl.DataFrame({name: stated.get(name, [None] * n_refused) for name in types}, schema=types)
    return pl.concat([table, refused]).sort("account")


def file_metadata(provenance: Mapping[str, object], notes: Sequence[str]) -> dict[str, str]:
    """Key-value metadata of a Parquet file of accounts: JSON with `provenance` and the `notes` of the market."""
    return {METADATA: json.dumps({"provenance": dict(provenance), "notes": list(notes)}, ensure_ascii=False)}
