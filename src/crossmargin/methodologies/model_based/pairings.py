"""Scenarios of the underlyings put together otherwise: each keeps its own, only which of them come together changes.

The decision a reader would question: instruments of one underlying stay together, since they are moved by one price;
one that has a price of its own and an underlying whose price is not known throughout goes by its own.
"""

from __future__ import annotations

import hashlib

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.methodologies.model_based.contracts import ModelContracts, SetTable


def together(table: SetTable, contracts: ModelContracts) -> FloatArray:
    """Unit P&L at a correlation of one: scenario k of every underlying is its k-th largest fall.

    Returns
    -------
    ndarray of shape (n_instruments, n_scenarios)
        Dollars.
    """
    pnl = np.empty_like(table.unit_pnl)
    ordering = _ordering_factor(table, contracts)
    for factor in np.unique(ordering).tolist():
        rows = np.flatnonzero(ordering == factor)
        order = np.argsort(table.scenarios.shifts[:, factor], kind="stable")
        pnl[rows] = table.unit_pnl[rows][:, order]
    return read_only(pnl)


def shuffled(table: SetTable, contracts: ModelContracts, times: int = 1) -> FloatArray:
    """Unit P&L at a correlation of zero: the scenarios of each underlying shuffled by themselves, `times` over.

    The shuffle hangs on the underlying's name alone, so that nobody's figure depends on what else is held.

    Returns
    -------
    ndarray of shape (n_instruments, n_scenarios * times)
        Dollars.
    """
    n = len(table.scenarios)
    pnl = np.empty((len(table.unit_pnl), n * times))
    for u, name in enumerate(contracts.underlyings):
        rows = np.flatnonzero(contracts.underlying == u)
        generator = np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))
        order = np.concatenate([generator.permutation(n) for _ in range(times)])
        pnl[rows] = table.unit_pnl[rows][:, order]
    return read_only(pnl)


def _ordering_factor(table: SetTable, contracts: ModelContracts) -> IntArray:
    """The factor by whose change each instrument's scenarios are ordered: the price of its underlying, or its own.

    The former only where it is known in every scenario: nothing is ordered by what is unknown.
    """
    unknown = set(np.flatnonzero(np.isnan(table.scenarios.shifts).any(axis=0)).tolist())
    place = {name: k for name, k in table.scenarios.place.items() if k not in unknown}
    of_underlying = [place.get(f"price:{name}", -1) for name in contracts.underlyings]
    found = np.array(of_underlying, dtype=np.int64)[contracts.underlying]
    return np.where(found >= 0, found, contracts.mapped.price)
