"""The steps beside the delta ledger: small functions on arrays, one a paragraph of the rulebook."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import (
    Holdings,
    LaidOut,
    blocks,
    compiled_if_worth,
    scenario_pnl,
    segment_sum,
    unit_sum,
)
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.basics.threads import for_each_range
from crossmargin.methodologies.span import ledger
from crossmargin.methodologies.span.ledger import LedgerBook, LedgerFigures
from crossmargin.methodologies.span.parameters import N_SCENARIOS
from crossmargin.methodologies.span.rules import LedgerRules


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PriceRisk:
    """Scan risk of some arrays of losses, and what it is due to; shape `(n,)`, `scenario` from 0."""

    scan_risk: FloatArray
    scenario: IntArray
    time_risk: FloatArray
    vol_risk: FloatArray
    price_risk: FloatArray


def scenario_losses(held: Holdings, unit_pnl: LaidOut) -> FloatArray:
    """Loss of each unit in each scenario, shape `(n_units, 16)`; arrays as the file ships them, never weighted again.

    References
    ----------
    cme-span: "Scan risk"
    """
    return 0.0 - scenario_pnl(held, unit_pnl)


def price_risk(loss: FloatArray, paired: IntArray) -> PriceRisk:
    """Decompose losses of shape `(n, 16)`; see `ledger.decompose`."""
    n = len(loss)
    scan, time, vol, price = np.empty((4, n))
    scenario = np.empty(n, dtype=np.int64)
    _kernels(n * N_SCENARIOS * 50).decompose_all(
        np.ascontiguousarray(loss), paired, 0, n, scan, scenario, time, vol, price
    )
    return PriceRisk(scan_risk=scan, scenario=scenario, time_risk=time, vol_risk=vol, price_risk=price)


_COMPILED = "crossmargin.methodologies.span.compiled_ledger"


def _kernels(work: int) -> ModuleType:
    """The ledger as it runs: plain, or compiled where the work is worth it or the process has compiled already."""
    if compiled_if_worth(work, _COMPILED):
        from crossmargin.methodologies.span import compiled_ledger

        return compiled_ledger
    return ledger


def settled(
    rules: LedgerRules, paired: IntArray, book: LedgerBook, loss: FloatArray, risk: PriceRisk, *, record: bool
) -> LedgerFigures:
    """Form all spreads of all accounts on one delta ledger; see `ledger.settle`.

    Parameters
    ----------
    loss : ndarray of shape (n_units, 16)
        Of each unit by itself.
    risk : PriceRisk
        Likewise.
    record : bool
        Whether every spread and what it consumed is kept: what explains the charges.
    """
    n_units, n_months = len(book.unit_commodity), len(book.month)
    room = _first_room(n_months) if record else (0, 0)
    while True:
        columns: dict[str, Any] = {name: getattr(risk, name).copy() for name in _GIVEN}
        for names, length in ((_OF_UNITS, n_units), (_OF_MONTHS, n_months), (_FORMED, room[0]), (_ENTRIES, room[1])):
            columns |= {name: np.zeros(length, dtype=kind) for name, kind in names.items()}
        figures = LedgerFigures(loss=loss.copy(), n_recorded=np.zeros(2, dtype=np.int64), **columns)
        n_accounts = len(book.account_units) - 1
        settle = _kernels(n_months * 3_000).settle
        if not record:
            for_each_range(partial(_settle_unrecorded, settle, rules, paired, book, figures), _chunks(n_accounts))
            return figures
        settle(rules, paired, book, figures, 0, n_accounts)
        formed, entries = figures.n_recorded.tolist()
        if formed <= room[0] and entries <= room[1]:
            return figures
        room = (formed, entries)  # as many as there are: the second time they fit


def _settle_unrecorded(
    settle: Callable[..., None],
    rules: LedgerRules,
    paired: IntArray,
    book: LedgerBook,
    figures: LedgerFigures,
    first: int,
    last: int,
) -> None:
    # Accounts share nothing but the counters of what is recorded: of these every thread has its own.
    settle(rules, paired, book, figures._replace(n_recorded=np.zeros(2, dtype=np.int64)), first, last)


def _chunks(n_accounts: int) -> list[tuple[int, int]]:
    """Accounts that threads settle at once."""
    return list(blocks(n_accounts, 2048))


def _first_room(n_months: int) -> tuple[int, int]:
    """Spreads and entries that there is room for at first: few accounts form more."""
    return n_months + 16, 4 * n_months + 16


_GIVEN = ("scan_risk", "time_risk", "vol_risk", "price_risk", "scenario")
_OF_UNITS = {
    **dict.fromkeys(("stands_in", "held"), np.int64),
    **dict.fromkeys(("original_delta", "calendar_charge", "spot_charge", "super_credit", "inter_credit"), np.float64),
}
_OF_MONTHS = dict.fromkeys(("original", "consumed", "remaining"), np.float64)
_FORMED = {
    **dict.fromkeys(("formed_account", "formed_spread", "formed_side"), np.int64),
    **dict.fromkeys(("formed_count", "formed_money"), np.float64),
}
_ENTRIES = {
    **dict.fromkeys(("entry_formed", "entry_month"), np.int64),
    **dict.fromkeys(("entry_delta", "entry_money"), np.float64),
}


def short_option_minimum(
    short: Holdings, som_call: FloatArray, som_put: FloatArray, larger_only: BoolArray
) -> FloatArray:
    """Least charge of the short options of each unit.

    Parameters
    ----------
    short : Holdings
        What each unit is short of each contract, at least 0.
    som_call, som_put : ndarray of shape (n_instruments,)
        Charge for one short contract.
    larger_only : ndarray of shape (n_units,)
        Whether only the larger of calls and puts counts, and not their sum.

    References
    ----------
    cme-span: "Short option minimum"
    """
    calls, puts = unit_sum(short, som_call), unit_sum(short, som_put)
    return np.where(larger_only, np.maximum(calls, puts), calls + puts)


def rounded(values: FloatArray, decimals: int | None) -> FloatArray:
    """To the nearest multiple of `10**-decimals`, half up; as they are for `None`."""
    if decimals is None:
        return values
    unit = 10.0**decimals
    return np.floor(values * unit + 0.5) / unit


def option_value_credit(
    requirement: FloatArray, option_value: FloatArray, scope: IntArray, n_scopes: int
) -> tuple[FloatArray, FloatArray]:
    """Option value that counts against the requirements of each scope: all of it, but no more than is required.

    Parameters
    ----------
    requirement, option_value : ndarray of shape (n_units,)
        Of each unit, money of one currency within a scope.
    scope : ndarray of shape (n_units,)
        Over which risk a unit's option value counts.

    Returns
    -------
    credit : ndarray of shape (n_scopes,)
        Negative where short options are worth more: then it is asked for.
    excess : ndarray of shape (n_scopes,)
        Long option value that counts nowhere.

    References
    ----------
    cme-span: "Net option value"
    """
    required = segment_sum(requirement, scope, n_scopes)
    value = segment_sum(option_value, scope, n_scopes)
    credit = np.minimum(required, value)
    return credit, value - credit
