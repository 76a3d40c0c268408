"""How an account stands: equity against what is required.

    equity         = collateral value + option value that counts at initial
    excess         = equity - initial requirement            (a deficit where negative)
    coverage ratio = equity / initial requirement

How much option value counts against which level is the method's rule. Where less of it counts at maintenance than at
initial, liquidation is decided with what counts there, and not with `equity`.

Futures and perpetuals are taken as settled: what they gained since is in the balances. States are ordered, and each
begins below a multiple of a requirement: liquidation below maintenance, call below initial, warning below initial
times a margin of comfort.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.methodologies.requirements import AccountRequirements, Requirements


class State(StrEnum):
    """From best to worst: `HEALTHY`, `WARNING`, `CALL`, `LIQUIDATION`."""

    HEALTHY = "healthy"
    WARNING = "warning"
    CALL = "call"
    LIQUIDATION = "liquidation"


STATES = tuple(State)
"""Each state at its code: 0 is healthy, 3 is liquidation; a larger code is a worse state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """Equity over requirement at which states begin; `warning` of initial, `liquidation` of maintenance."""

    warning: float = 1.1
    liquidation: float = 1.0


@dataclass(frozen=True, kw_only=True, eq=False)  # no slots: `state` is kept once it was asked for
class Standing:
    """Each margin account; arrays of shape `(n_accounts,)`, market currency.

    `coverage` is infinite where nothing is required (minus infinity if something is owed). `excess` is signed: negative
    is a deficit. `state_code` indexes `STATES`.
    """

    collateral_value: FloatArray
    equity: FloatArray
    excess: FloatArray
    deficit: FloatArray
    coverage: FloatArray
    state_code: npt.NDArray[np.int8]

    @classmethod
    def joined(cls, parts: Sequence[Standing]) -> Standing:
        """Those of blocks of accounts, one after the other; there is at least one."""

        def column(name: str) -> npt.NDArray[Any]:
            return read_only(np.concatenate([getattr(part, name) for part in parts]))

        return cls(**{one.name: column(one.name) for one in fields(cls)})

    @cached_property
    def state(self) -> tuple[State, ...]:
        """State of every account; for one of many accounts `state_of` is the cheaper way."""
        return tuple(map(STATES.__getitem__, self.state_code.tolist()))

    def state_of(self, account: int) -> State:
        """State of one account."""
        return STATES[int(self.state_code[account])]

    def count(self) -> dict[State, int]:
        """How many accounts are in each state, from best to worst; 0 where there is none."""
        return dict(zip(STATES, np.bincount(self.state_code, minlength=len(STATES)).tolist(), strict=True))

    @property
    def anybody_short(self) -> bool:
        """Whether some equity is below its initial requirement."""
        return bool(np.any(self.excess < 0))


def standing(
    collateral_value: FloatArray,
    required: AccountRequirements | Requirements,
    thresholds: Thresholds | None = None,
) -> Standing:
    """Stand what is required against collateral of shape `(n_accounts,)`, in the currency of the requirements."""
    thresholds = thresholds or Thresholds()
    requirement_initial = required.requirement_initial
    equity = collateral_value + required.credit_initial
    equity_maintenance = collateral_value + required.credit_maintenance
    assert np.isfinite(equity).all()
    assert np.isfinite(equity_maintenance).all()
    excess = equity - requirement_initial
    nothing_required = np.where(equity < 0, -np.inf, np.inf)
    coverage = np.divide(equity, requirement_initial, out=nothing_required, where=requirement_initial > 0)
    code = np.zeros(len(equity), dtype=np.int8)
    # From mild to severe: the worst state that applies is the one that stays.
    for state, applies in (
        (State.WARNING, equity < thresholds.warning * requirement_initial),
        (State.CALL, excess < 0),
        (State.LIQUIDATION, equity_maintenance < thresholds.liquidation * required.requirement_maintenance),
    ):
        code[applies] = STATES.index(state)
    return Standing(
        collateral_value=read_only(collateral_value),
        equity=read_only(equity),
        excess=read_only(excess),
        deficit=read_only(np.maximum(0.0, -excess)),
        coverage=read_only(coverage),
        state_code=read_only(code),
    )
