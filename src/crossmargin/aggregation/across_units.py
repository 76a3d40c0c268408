"""The rule across risk units: each its own worst scenario, or one scenario for all with a share of the gains.

`common`: the largest, over scenarios that the units share, of the sum over units of (loss - share x gain), each
unit's recognised gain at most the cap. At share 0 it is at most the sum of the units' own worst losses; at share 1
without a cap it is full netting. A cap breaks "joining never costs more than apart".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import BLOCK_UNITS, Holdings, scenario_pnl
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommonScan:
    """Outcome of the `common` rule.

    Parameters
    ----------
    loss : ndarray of shape (n_accounts,)
        Loss of the account in its worst common scenario, at least 0.
    scenario : ndarray of shape (n_accounts,)
        That scenario, the lowest index among ties.
    unit_pnl : ndarray of shape (n_units,)
        P&L of each unit in it, before recognition.
    unit_recognised : ndarray of shape (n_units,)
        What of it counts: losses whole, gains by the share and the cap.
    """

    loss: FloatArray
    scenario: IntArray
    unit_pnl: FloatArray
    unit_recognised: FloatArray


def common_scan(
    holdings: Holdings,
    unit_pnl: FloatArray,
    account_offsets: IntArray,
    isolated: BoolArray,
    *,
    gain_share: float,
    gain_cap: float,
) -> CommonScan:
    """Worst common scenario of each account.

    Parameters
    ----------
    holdings : Holdings
        Units, those of one account next to each other.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios)
        Gain of one long contract; the columns mean the same scenario in every unit.
    account_offsets : ndarray of shape (n_accounts + 1,)
        Account `a` has units `account_offsets[a]` to `account_offsets[a + 1]`.
    isolated : ndarray of shape (n_accounts,)
        Accounts whose units must not share gains (gross accounts): no gain counts there.
    gain_share : float
        0 to 1.
    gain_cap : float
        Most that a unit's gain may count; infinite for no cap.
    """
    n_accounts = len(account_offsets) - 1
    loss = np.zeros(n_accounts)
    scenario = np.zeros(n_accounts, dtype=np.int64)
    pnl_there = np.zeros(holdings.n_units)
    counted_there = np.zeros(holdings.n_units)
    first_account = 0
    while first_account < n_accounts:
        # Blocks end where an account ends; an account larger than a block is a block of its own.
        limit = account_offsets[first_account] + BLOCK_UNITS
        last_account = max(first_account + 1, int(np.searchsorted(account_offsets, limit, side="right")) - 1)
        first, last = int(account_offsets[first_account]), int(account_offsets[last_account])
        pnl = scenario_pnl(holdings, unit_pnl, first, last)
        counts = np.diff(account_offsets[first_account : last_account + 1])
        account = np.repeat(np.arange(last_account - first_account), counts)
        share = np.where(isolated[first_account:last_account], 0.0, gain_share)[account]
        counted = np.where(pnl > 0, np.minimum(pnl * share[:, None], gain_cap), pnl)
        total = np.zeros((last_account - first_account, pnl.shape[1]))
        start = account_offsets[first_account:last_account] - first
        for k in range(int(counts.max(initial=0))):  # unit by unit: the sweep's order, one level up
            active = np.flatnonzero(counts > k)
            total[active] += counted[start[active] + k]
        worst = total.argmin(axis=1)
        rows = np.arange(last - first)
        scenario[first_account:last_account] = worst
        loss[first_account:last_account] = np.maximum(0.0, -total[np.arange(len(worst)), worst])
        pnl_there[first:last] = pnl[rows, worst[account]]
        counted_there[first:last] = counted[rows, worst[account]]
        first_account = last_account
    return CommonScan(loss=loss, scenario=scenario, unit_pnl=pnl_there, unit_recognised=counted_there)
