"""What the rows of positions state of their accounts: netting set, segregation, account type, customer type.

An account has one value of each, stated in any of its rows; every row that states another is a problem.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from crossmargin.basics.errors import PortfolioError, Problem
from crossmargin.basics.names import name_fault
from crossmargin.files.cells import names_fit, shown
from crossmargin.files.columns import Coded, flags, name_problems
from crossmargin.portfolio.book import AccountType, Attributes, CustomerType

ATTRIBUTES = ("netting_set", "segregation", "account_type", "customer_type")
_CHOICES: Mapping[str, tuple[str, ...]] = {"account_type": tuple(AccountType), "customer_type": tuple(CustomerType)}
"""Values of the attributes that are no names."""


class Stated:
    """What one column of attributes states of each account: the first value, and what contradicts it."""

    def __init__(self, column: str) -> None:
        self.column = column
        self.value = np.zeros(0, dtype=np.int32)
        """Of each account, the index of its value; -1 where nothing is stated."""
        self.record = np.zeros(0, dtype=np.int64)
        """Of each account, the record that states it first."""
        self.values: Sequence[str] = ()
        self._n_values = 0
        self._blank_account = self._blank_value = -1
        self.contradictions: dict[tuple[int, int], int] = {}
        """First record of each account with each other value."""
        self.invalid: list[tuple[int, int, int]] = []
        """Account, value and record of each value that is not among the choices."""

    def add(self, start: int, accounts: Coded, values: Coded) -> None:
        """Take the records from `start` on; blank accounts and values state nothing."""
        # Names only grow in number: where the blank one stands is looked up among the new ones.
        self._blank_account = _place_of_blank(accounts.names, len(self.value), self._blank_account)
        self._blank_value = _place_of_blank(values.names, self._n_values, self._blank_value)
        self.values, self._n_values = values.names, len(values.names)
        n_new = len(accounts.names) - len(self.value)
        self.value = np.concatenate((self.value, np.full(n_new, -1, dtype=np.int32)))
        self.record = np.concatenate((self.record, np.zeros(n_new, dtype=np.int64)))
        account, value = accounts.codes, values.codes
        rows = np.flatnonzero((value != self._blank_value) & (account != self._blank_account))
        if (choices := _CHOICES.get(self.column)) is not None:
            known = flags(values.names, choices.__contains__)[value[rows]]
            self.invalid += [(int(account[k]), int(value[k]), start + k) for k in rows[~known].tolist()]
            rows = rows[known]
        first = rows[self.value[account[rows]] < 0][::-1]
        # Written from the last record to the first: what stays is the first.
        self.value[account[first]], self.record[account[first]] = value[first], start + first
        for k in rows[self.value[account[rows]] != value[rows]].tolist():
            self.contradictions.setdefault((int(account[k]), int(value[k])), start + k)

    def problems(self, accounts: Sequence[str], file: str, row_numbers: Sequence[int]) -> list[Problem]:
        """What is wrong with the column."""
        found = []
        if self.column not in _CHOICES and not names_fit(self.values):
            wrong = flags(self.values, lambda name: name_fault(name) is not None)
            for account in np.flatnonzero((self.value >= 0) & wrong[self.value]).tolist():
                value, row = self.values[self.value[account]], row_numbers[self.record[account]]
                found += name_problems(value, self.column, file, row, accounts[account])
        for account, value, record in self.invalid:
            found.append(
                Problem(
                    found=f"{self.column.replace('_', ' ')} '{shown(self.values[value])}'",
                    needed=f"One of {', '.join(_CHOICES[self.column])}.",
                    file=file,
                    row=row_numbers[record],
                    column=self.column,
                    kind=PortfolioError,
                    account=accounts[account],
                )
            )
        for (account, value), record in self.contradictions.items():
            first, first_row = self.values[self.value[account]], row_numbers[self.record[account]]
            found.append(
                Problem(
                    found=f"account '{accounts[account]}' has {self.column} '{self.values[value]}' here and "
                    f"'{first}' in row {first_row}",
                    needed="An account has one value of each attribute.",
                    file=file,
                    row=row_numbers[record],
                    column=self.column,
                    kind=PortfolioError,
                    account=accounts[account],
                )
            )
        return found


def stated_attributes(stated: Sequence[Stated], accounts: Sequence[str]) -> dict[str, Attributes]:
    """What is stated of each account of which anything is; accounts of which the same is stated share it."""
    key = np.zeros(len(accounts), dtype=np.int64)
    columns = {column.column: column for column in stated}
    for column in stated:
        key = key * (len(column.values) + 1) + column.value + 1  # 0 where nothing is stated
    chosen = np.flatnonzero(key)
    _, example, which = np.unique(key[chosen], return_index=True, return_inverse=True)

    def value(name: str, account: int) -> str:
        column = columns.get(name)
        return column.values[column.value[account]] if column is not None and column.value[account] >= 0 else ""

    distinct = [
        Attributes(
            netting_set=value("netting_set", account) or None,
            segregation=value("segregation", account) or None,
            account_type=AccountType(value("account_type", account) or AccountType.NET),
            customer_type=CustomerType(stated_type) if (stated_type := value("customer_type", account)) else None,
        )
        for account in chosen[example].tolist()
    ]
    return dict(zip(map(accounts.__getitem__, chosen.tolist()), map(distinct.__getitem__, which.tolist()), strict=True))


def _place_of_blank(names: Sequence[str], n_known: int, known: int) -> int:
    """Index of the empty name, -1 if there is none, where the first `n_known` are looked through."""
    return next((k for k in range(n_known, len(names)) if not names[k]), known)
