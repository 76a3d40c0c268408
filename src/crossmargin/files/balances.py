"""Balances from any table to checked rows: `account, asset, amount`.

An asset is checked once however many rows it stands in; rows are looked at one by one only where something is wrong or
doubtful.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np

from crossmargin.basics.arrays import BoolArray, IntArray
from crossmargin.basics.errors import CrossmarginError, Problem, UnsupportedError
from crossmargin.collateral.valuation import accepted
from crossmargin.files.columns import (
    Coded,
    Columns,
    flags,
    in_order,
    kept_numbers,
    name_problems,
    read_steps,
    wrong_names,
)
from crossmargin.market.snapshot import Market
from crossmargin.portfolio.book import Balances, Origin
from crossmargin.portfolio.netting import Codes

BALANCE_COLUMNS = ("account", "asset", "amount")
LARGE = 2_000_000
"""Rows from which the names are coded by compiled loops: unlike positions, nothing else here loads a compiler."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BalancesInput:
    """Checked rows of balances, in the order in which they came.

    Parameters
    ----------
    accounts, assets : tuple of str
        Names that occur, in order; assets in capitals.
    account, asset, steps : ndarray of shape (n_rows,)
        Indices into them, and exact amounts in steps of 1e-8.
    file : str
        For messages.
    row_numbers : sequence of int
        Those of the file, of each row.
    """

    accounts: tuple[str, ...]
    assets: tuple[str, ...]
    account: Codes
    asset: Codes
    steps: IntArray
    file: str
    row_numbers: Sequence[int] | IntArray

    @classmethod
    def none(cls, file: str) -> BalancesInput:
        """No rows: every account has nothing, which is not the same as balances that are not given."""
        nothing = np.zeros(0, dtype=np.int64)
        return cls(
            accounts=(), assets=(), account=nothing, asset=nothing, steps=nothing, file=file, row_numbers=nothing
        )

    def origin(self, row: int) -> Origin:
        """Where a row stands."""
        return Origin(self.file, int(self.row_numbers[row]))

    def rows_of(self, chosen: BoolArray) -> list[int]:
        """Rows of the accounts that are chosen, which are as many flags as `accounts`."""
        return np.flatnonzero(chosen[self.account]).tolist() if chosen.any() else []

    def without(self, out: BoolArray) -> BalancesInput:
        """The rows of the other accounts; `out` has as many flags as `accounts`."""
        if not out.any():
            return self
        kept = ~out[self.account]
        asset_names, asset = in_order(Coded(self.assets, self.asset[kept]))
        return replace(
            self,
            accounts=tuple(compress(self.accounts, (~out).tolist())),
            assets=asset_names,
            account=(np.cumsum(~out, dtype=np.int32) - 1)[self.account[kept]],
            asset=asset,
            steps=self.steps[kept],
            row_numbers=kept_numbers(self.row_numbers, kept),
        )

    def of_book(self, account_of: IntArray) -> Balances:
        """The rows as balances of a book in which account `k` of these is account `account_of[k]`."""
        return Balances(
            assets=self.assets,
            account=account_of[self.account],
            asset=self.asset.astype(np.int64),
            steps=self.steps,
        )


def parse_balances(
    source: Any,
    problems: list[Problem],
    market: Market | None = None,
    *,
    accepts: Collection[str] | None = None,
    name: str = "balances",
) -> BalancesInput:
    """Check balances and collect what is wrong with them; the rows that are right.

    Parameters
    ----------
    source
        As `Columns.of` takes it.
    problems : list of Problem
        Grows by everything found.
    market : Market, optional
        Whose currency is accepted beside what the schedule lists.
    accepts : collection of str, optional
        Assets that whoever margins the balances accepts; what the engine's schedule does if left out.
    name : str
        What to call a source that is no file, in messages.
    """
    try:
        table = Columns.of(source, name, large=LARGE)
        table.header.require(BALANCE_COLUMNS, "balances")
        accounts, assets, steps, doubtful = _read(table)
    except CrossmarginError as error:
        problems += error.problems
        return BalancesInput.none(name)
    problems += table.problems
    accepts = accepted(market) if accepts is None else accepts
    kept = _kept(table, accounts, assets, steps, doubtful, accepts, problems)
    row_numbers: Sequence[int] | IntArray = table.row_numbers
    if not kept.all():
        accounts, assets = (Coded(coded.names, coded.codes[kept]) for coded in (accounts, assets))
        steps, row_numbers = steps[kept], kept_numbers(row_numbers, kept)
    account_names, account = in_order(accounts)
    # Spelled in capitals, two names of an asset may be one.
    number: dict[str, int] = {}
    capitals = np.array([number.setdefault(asset.upper(), len(number)) for asset in assets.names], dtype=np.int32)
    asset_names, asset = in_order(Coded(list(number), capitals[assets.codes]))
    return BalancesInput(
        accounts=account_names,
        assets=asset_names,
        account=account,
        asset=asset,
        steps=steps,
        file=table.file,
        row_numbers=row_numbers,
    )


def _read(table: Columns) -> tuple[Coded, Coded, IntArray, dict[int, str]]:
    """Accounts, assets and steps of all rows, and the text of each amount that is to be read alone."""
    account, asset = np.empty(len(table), dtype=np.int32), np.empty(len(table), dtype=np.int32)
    steps = np.empty(len(table), dtype=np.int64)
    account_names: Sequence[str] = ()
    asset_names: Sequence[str] = ()
    texts: dict[int, str] = {}
    for start, coded, numbers in table.batches({"account": str.strip, "asset": str.strip}, ("amount",)):
        plain, doubtful = numbers["amount"]
        rows = slice(start, start + len(plain))
        account_names, account[rows] = coded["account"]
        asset_names, asset[rows] = coded["asset"]
        steps[rows] = plain
        texts.update((start + k, text) for k, text in doubtful)
    return Coded(account_names, account), Coded(asset_names, asset), steps, texts


def _kept(
    table: Columns,
    accounts: Coded,
    assets: Coded,
    steps: IntArray,
    texts: dict[int, str],
    accepts: Collection[str],
    problems: list[Problem],
) -> BoolArray:
    """Which rows are right; `steps` get the amounts that are read alone, `problems` what is wrong, row by row."""
    wrong_asset = flags(assets.names, lambda asset: asset.upper() not in accepts)
    suspect = wrong_asset[assets.codes]
    wrong_account = wrong_names(accounts.names)
    if wrong_account is not None:
        suspect |= wrong_account[accounts.codes]
    suspect[list(texts)] = True
    kept = ~suspect
    for k in np.flatnonzero(suspect).tolist():
        account, asset, row = accounts.names[accounts.codes[k]], assets.names[assets.codes[k]], table.row_numbers[k]
        found = [
            *name_problems(account, "account", table.file, row, account),
            *name_problems(asset, "asset", table.file, row, account),
        ]
        if not found and wrong_asset[assets.codes[k]]:
            found.append(_not_accepted(asset, accepts, table.file, row, account))
        if (text := texts.get(k)) is not None:
            read = read_steps(text, "amount", table.file, row, found, account)
            steps[k] = 0 if read is None else read
        problems += found
        kept[k] = not found
    return kept


def _not_accepted(asset: str, accepts: Collection[str], file: str, row: int, account: str) -> Problem:
    return Problem(
        found=f"'{asset}' is no collateral that the schedule accepts",
        needed=f"It accepts {', '.join(accepts)}.",
        file=file,
        row=row,
        column="asset",
        kind=UnsupportedError,
        account=account,
    )
