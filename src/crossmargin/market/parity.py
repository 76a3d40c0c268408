"""Forward of an expiry, and its discount factor, from its own European quotes.

Put-call parity, `call - put = discount * (forward - strike)`, is a straight line in the strike. It is fitted to the
middle prices of strikes near the money where all four touches are quoted, and needs no rate or dividend from
outside. The fit is the Theil-Sen line (median of the slopes), so that a stale quote does not tilt it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray

NEAR_MONEY = 0.10
"""Strikes within this fraction of the reference price take part; the closest `MOST_STRIKES` of them."""
MOST_STRIKES = 40
FEWEST_STRIKES = 3
MOST_FROM_QUOTED = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityFit:
    """Forward price, discount factor, and how many strikes they rest on."""

    forward: float
    discount: float
    n_strikes: int


def parity_forward(strike: FloatArray, call: FloatArray, put: FloatArray, reference: float) -> ParityFit | None:
    """Fit put-call parity near the money.

    Parameters
    ----------
    strike, call, put : ndarray of shape (n_strikes,)
        Strikes and the middle prices there; NaN where a side is not quoted on both touches.
    reference : float
        Price of the underlying, to say what is near the money.

    Returns
    -------
    ParityFit or None
        `None` when fewer than three strikes are quoted on both sides, or the line makes no sense (a discount factor
        outside 0.5 to 1.05).
    """
    difference = call - put
    usable = np.flatnonzero(np.isfinite(difference) & (np.abs(strike / reference - 1) <= NEAR_MONEY))
    if len(usable) < FEWEST_STRIKES:
        return None
    nearest = usable[np.argsort(np.abs(strike[usable] - reference), kind="stable")[:MOST_STRIKES]]
    k, d = strike[nearest], difference[nearest]
    first, second = np.triu_indices(len(k), 1)
    discount = float(-np.median((d[second] - d[first]) / (k[second] - k[first])))
    if not 0.5 <= discount <= 1.05:
        return None
    forward = float(np.median(d / discount + k))
    return ParityFit(forward=forward, discount=discount, n_strikes=len(k))


def inverse_parity_forward(strike: FloatArray, call: FloatArray, put: FloatArray, quoted: float) -> float | None:
    """Forward at which coin-quoted marks were computed.

    In coin, `call - put = 1 - strike / forward`: every strike with both marks says the forward by itself. In a fast
    market a chain's quoted forwards and its marks are of slightly different moments (0.02% in the crash of February
    2026); the marks agree among themselves, so theirs is the forward that reprices them.

    Parameters
    ----------
    strike, call, put : ndarray of shape (n_strikes,)
        Strikes and marks in coin; NaN where there is none.
    quoted : float
        The forward that the chain quotes.

    Returns
    -------
    float or None
        The median over strikes; `None` where fewer than three strikes have both marks, or the median is more than
        1% from the quoted forward: then something else is wrong, and the quoted one stands.
    """
    difference = call - put
    usable = np.isfinite(difference) & (difference < 1)
    if usable.sum() < FEWEST_STRIKES:
        return None
    forward = float(np.median(strike[usable] / (1 - difference[usable])))
    return forward if abs(forward / quoted - 1) <= MOST_FROM_QUOTED else None
