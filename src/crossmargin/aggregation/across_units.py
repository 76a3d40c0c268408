"""The rule across risk units: each its own worst scenario, or one scenario for several with a share of the gains.

`common`: the largest, over scenarios that the units share, of the sum over units of (loss - share x gain), each
unit's recognised gain at most the cap. At share 0 it is at most the sum of the units' own worst losses; at share 1
without a cap it is full netting. A cap breaks "joining never costs more than apart".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import Holdings, LaidOut, group_blocks, laid_out, scenario_pnl
from crossmargin.basics.arrays import FloatArray, IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CommonScan:
    """Outcome of the `common` rule.

    Parameters
    ----------
    loss : ndarray of shape (n_groups,)
        Loss of the group in its worst common scenario, at least 0.
    scenario : ndarray of shape (n_groups,)
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
    unit_pnl: FloatArray | LaidOut,
    group_offsets: IntArray,
    *,
    gain_share: float,
    gain_cap: float,
) -> CommonScan:
    """Worst common scenario of each group of units.

    Parameters
    ----------
    holdings : Holdings
        Units, those of one group next to each other.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios), or LaidOut
        Gain of one long contract; the columns mean the same scenario in every unit.
    group_offsets : ndarray of shape (n_groups + 1,)
        Group `g`, the units that share a scenario, is `group_offsets[g]` to `group_offsets[g + 1]`.
    gain_share : float
        0 to 1.
    gain_cap : float
        Most that a unit's gain may count; infinite for no cap.
    """
    n_groups = len(group_offsets) - 1
    loss = np.zeros(n_groups)
    scenario = np.zeros(n_groups, dtype=np.int64)
    pnl_there = np.zeros(holdings.n_units)
    counted_there = np.zeros(holdings.n_units)
    table = laid_out(unit_pnl)
    for first_group, last_group in group_blocks(group_offsets):
        first, last = int(group_offsets[first_group]), int(group_offsets[last_group])
        pnl = scenario_pnl(holdings, table, np.arange(first, last))
        counts = np.diff(group_offsets[first_group : last_group + 1])
        group = np.repeat(np.arange(last_group - first_group), counts)
        counted = np.where(pnl > 0, np.minimum(pnl * gain_share, gain_cap), pnl)
        total = np.zeros((last_group - first_group, pnl.shape[1]))
        start = group_offsets[first_group:last_group] - first
        for k in range(int(counts.max(initial=0))):  # unit by unit: the sweep's order, one level up
            active = np.flatnonzero(counts > k)
            total[active] += counted[start[active] + k]
        worst = total.argmin(axis=1)
        rows = np.arange(last - first)
        scenario[first_group:last_group] = worst
        loss[first_group:last_group] = np.maximum(0.0, -total[np.arange(len(worst)), worst])
        pnl_there[first:last] = pnl[rows, worst[group]]
        counted_there[first:last] = counted[rows, worst[group]]
    return CommonScan(loss=loss, scenario=scenario, unit_pnl=pnl_there, unit_recognised=counted_there)
