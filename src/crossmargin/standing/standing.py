"""How an account stands: equity against what is required.

    equity         = collateral value + net option value
    excess         = equity - initial requirement            (a deficit where negative)
    coverage ratio = equity / initial requirement

Futures and perpetuals are taken as settled: what they gained since is in the balances. States are ordered, and each
begins below a multiple of a requirement: liquidation below maintenance, call below initial, warning below initial
times a margin of comfort.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only


class State(StrEnum):
    """From best to worst: `HEALTHY`, `WARNING`, `CALL`, `LIQUIDATION`."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CALL = "call"
    LIQUIDATION = "liquidation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Equity over requirement at which states begin; `warning` of initial, `liquidation` of maintenance."""

    warning: float = 1.1
    liquidation: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Standing:
    """Each margin account; arrays of shape `(n_accounts,)`, US dollars.

    `coverage` is infinite where nothing is required (minus infinity if something is owed). `excess` is signed: negative
    is a deficit.
    """

    collateral_value: FloatArray
    net_option_value: FloatArray
    equity: FloatArray
    excess: FloatArray
    deficit: FloatArray
    coverage: FloatArray
    state: tuple[State, ...]

    @property
    def anybody_short(self) -> bool:
        """Whether some equity is below its initial requirement."""
        return bool(np.any(self.excess < 0))


def standing(
    collateral_value: FloatArray,
    net_option_value: FloatArray,
    requirement_initial: FloatArray,
    requirement_maintenance: FloatArray,
    thresholds: Thresholds | None = None,
) -> Standing:
    """Stand requirements against collateral; all arrays of shape `(n_accounts,)`, US dollars."""
    thresholds = thresholds or Thresholds()
    equity = collateral_value + net_option_value
    assert np.isfinite(equity).all()
    excess = equity - requirement_initial
    nothing_required = np.where(equity < 0, -np.inf, np.inf)
    coverage = np.divide(equity, requirement_initial, out=nothing_required, where=requirement_initial > 0)
    state = np.where(equity < thresholds.warning * requirement_initial, State.WARNING, State.HEALTHY)
    state = np.where(excess < 0, State.CALL, state)
    state = np.where(equity < thresholds.liquidation * requirement_maintenance, State.LIQUIDATION, state)
    return Standing(
        collateral_value=read_only(collateral_value),
        net_option_value=read_only(net_option_value),
        equity=read_only(equity),
        excess=read_only(excess),
        deficit=read_only(np.maximum(0.0, -excess)),
        coverage=read_only(coverage),
        state=tuple(State(name) for name in state.tolist()),
    )
