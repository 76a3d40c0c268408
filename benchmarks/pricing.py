"""Option pricing: Black-76 on a grid of instruments and scenarios, and its inversion.

The grid is the one of a margin run: 2,000 listed options, each in 500 scenarios of its forward. Peers that
price one option a call are given a sample of it, as Python floats made beforehand, and rates are compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from benchmarks.harness import Timed, figure
from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.revaluation.black import black76, implied_total_vol

N_INSTRUMENTS = 2_000
N_SCENARIOS = 500
N_SAMPLE = 10_000

BUDGET = ">= 5e6 values/s"


class Grid(NamedTuple):
    """Forward of shape (1, n_scenarios); the rest of shape (n_instruments, 1)."""

    forward: FloatArray
    strike: FloatArray
    total_vol: FloatArray
    is_call: BoolArray


class Sample(NamedTuple):
    """Some of the grid's options as Python scalars, and what we say they are worth."""

    forward: list[float]
    strike: list[float]
    total_vol: list[float]
    is_call: list[bool]
    value: list[float]


def grid() -> Grid:
    """Strikes 60 to 150 around a forward of 100 +- 15%; total vols from a week at 15% to two years at 40%."""
    rng = np.random.default_rng(76)
    return Grid(
        forward=100.0 * np.exp(0.15 * rng.uniform(-1.0, 1.0, (1, N_SCENARIOS))),
        strike=rng.uniform(60.0, 150.0, (N_INSTRUMENTS, 1)),
        total_vol=rng.uniform(0.02, 0.6, (N_INSTRUMENTS, 1)),
        is_call=rng.random((N_INSTRUMENTS, 1)) < 0.5,
    )


def sample() -> Sample:
    """Options spread over the grid, each with enough time value to imply a volatility from."""
    options = grid()
    value = black76(*options).ravel()
    shape = (N_INSTRUMENTS, N_SCENARIOS)
    forward, strike, total_vol = (np.broadcast_to(a, shape).ravel() for a in options[:3])
    is_call = np.broadcast_to(options.is_call, shape).ravel()
    time_value = value - black76(forward, strike, 0.0, is_call)
    usable = np.flatnonzero(time_value > 1e-6 * forward)
    rows = usable[:: max(1, usable.size // N_SAMPLE)][:N_SAMPLE]
    return Sample(*(a[rows].tolist() for a in (forward, strike, total_vol, is_call, value)))


def agree(ours: list[float], theirs: list[float], tolerance: float) -> None:
    """A rate means nothing if the two do not compute the same thing."""
    difference = float(np.abs(np.subtract(ours, theirs)).max())
    assert difference <= tolerance, f"ours and the peer differ by {difference:g}"


@figure(
    "pricing-black76-grid",
    unit="values/s",
    budget=BUDGET,
    peer="QuantLib blackFormula (loop)",
    packages=("numpy", "QuantLib"),
)
def black76_grid() -> Timed:
    """Ours on the whole grid, QuantLib one call an option."""
    import QuantLib

    options, one_by_one = grid(), sample()
    kinds = [QuantLib.Option.Call if is_call else QuantLib.Option.Put for is_call in one_by_one.is_call]

    def theirs() -> list[float]:
        return [
            QuantLib.blackFormula(kind, strike, forward, total_vol)
            for kind, strike, forward, total_vol in zip(
                kinds, one_by_one.strike, one_by_one.forward, one_by_one.total_vol, strict=True
            )
        ]

    agree(one_by_one.value, theirs(), tolerance=1e-10)
    return Timed(
        ours=lambda: black76(*options),
        amount=N_INSTRUMENTS * N_SCENARIOS,
        peer=theirs,
        peer_amount=len(one_by_one.value),
    )


@figure(
    "pricing-black76-vollib",
    unit="values/s",
    budget=BUDGET,
    peer="vollib.black.undiscounted_black (loop)",
    packages=("numpy", "vollib"),
)
def black76_vollib() -> Timed:
    """Ours on the whole grid, vollib one call an option (one year, so that its vol is our total vol)."""
    from vollib.black import undiscounted_black

    options, one_by_one = grid(), sample()
    flags = ["c" if is_call else "p" for is_call in one_by_one.is_call]

    def theirs() -> list[float]:
        return [
            undiscounted_black(forward, strike, total_vol, 1.0, flag)
            for forward, strike, total_vol, flag in zip(
                one_by_one.forward, one_by_one.strike, one_by_one.total_vol, flags, strict=True
            )
        ]

    agree(one_by_one.value, theirs(), tolerance=1e-10)
    return Timed(
        ours=lambda: black76(*options),
        amount=N_INSTRUMENTS * N_SCENARIOS,
        peer=theirs,
        peer_amount=len(one_by_one.value),
    )


@figure(
    "pricing-black76-scipy",
    unit="values/s",
    budget=BUDGET,
    peer="numpy + scipy.special.ndtr, textbook formula on the whole grid",
    packages=("numpy", "scipy"),
)
def black76_scipy() -> Timed:
    """Both on the whole grid; the peer is what one would write with scipy at hand."""
    from scipy.special import ndtr

    options = grid()
    forward, strike, total_vol, is_call = options
    sign = np.where(is_call, 1.0, -1.0)

    def theirs() -> FloatArray:
        d1 = np.log(forward / strike) / total_vol + 0.5 * total_vol
        d2 = d1 - total_vol
        value: FloatArray = sign * (forward * ndtr(sign * d1) - strike * ndtr(sign * d2))
        return value

    agree(black76(*options).ravel().tolist(), theirs().ravel().tolist(), tolerance=1e-10)
    amount = N_INSTRUMENTS * N_SCENARIOS
    return Timed(ours=lambda: black76(*options), amount=amount, peer=theirs, peer_amount=amount)


@figure(
    "pricing-implied-vol",
    unit="values/s",
    peer="vollib.black implied_volatility_of_undiscounted_option_price (loop)",
    packages=("numpy", "vollib"),
)
def implied_vol() -> Timed:
    """Both on the sample: the same options, ours in one call."""
    from vollib.black.implied_volatility import implied_volatility_of_undiscounted_option_price

    one_by_one = sample()
    value, forward, strike, is_call = (
        np.array(a) for a in (one_by_one.value, one_by_one.forward, one_by_one.strike, one_by_one.is_call)
    )
    flags = ["c" if call else "p" for call in one_by_one.is_call]

    def theirs() -> list[float]:
        return [
            implied_volatility_of_undiscounted_option_price(*option)
            for option in zip(
                one_by_one.value,
                one_by_one.forward,
                one_by_one.strike,
                [1.0] * len(flags),
                flags,
                strict=True,
            )
        ]

    # In the money, time values of 1e-6 of the forward have lost ten digits in the value: 1e-7 of the vol.
    agree(implied_total_vol(value, forward, strike, is_call).tolist(), theirs(), tolerance=1e-7)
    return Timed(
        ours=lambda: implied_total_vol(value, forward, strike, is_call),
        amount=len(flags),
        peer=theirs,
        peer_amount=len(flags),
    )
