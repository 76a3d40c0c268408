"""Black-76, Bachelier and the inversion against 60-digit arithmetic, QuantLib, and their own laws."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mpf

from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.basics.errors import ShapeError
from crossmargin.revaluation import black as module
from crossmargin.revaluation.black import (
    Greeks,
    bachelier,
    bachelier_greeks,
    black76,
    black76_greeks,
    implied_total_vol,
)

ROOT = Path(__file__).resolve().parents[2]
# The exact price is a difference that loses up to 25 digits (tiny volatility, far tail): 60 leave 35.
DIGITS = 60


# The oracle: the textbook formulas, word by word, in 60 digits -------------------------------------


def normal(z: mpf) -> mpf:
    return mpmath.erfc(-z / mpmath.sqrt(2)) / 2


def exact_black(forward: mpf, strike: mpf, total_vol: mpf, is_call: bool) -> mpf:
    if total_vol == 0:
        return max(forward - strike, mpf(0)) if is_call else max(strike - forward, mpf(0))
    d1 = mpmath.log(forward / strike) / total_vol + total_vol / 2
    d2 = d1 - total_vol
    if is_call:
        return forward * normal(d1) - strike * normal(d2)
    return strike * normal(-d2) - forward * normal(-d1)


def exact_bachelier(forward: mpf, strike: mpf, total_vol: mpf, is_call: bool) -> mpf:
    sign = 1 if is_call else -1
    gain = sign * (forward - strike)
    if total_vol == 0:
        return max(gain, mpf(0))
    d = gain / total_vol
    return gain * normal(d) + total_vol * mpmath.exp(-d * d / 2) / mpmath.sqrt(2 * mpmath.pi)


def errors(value: FloatArray, exact: list[mpf], scale: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Absolute error over `scale`, and relative error where the exact value exceeds 1e-8 of `scale`."""
    absolute, relative = np.zeros(len(exact)), np.zeros(len(exact))
    for i, truth in enumerate(exact):
        error = abs(mpf(value[i]) - truth)
        absolute[i] = error / mpf(scale[i])
        if truth > mpf("1e-8") * mpf(scale[i]):
            relative[i] = error / truth
    return absolute, relative


Grid = tuple[FloatArray, FloatArray, FloatArray, BoolArray]


def black_grid() -> Grid:
    """Total vols 1e-9 to 5; strikes at, near, 8 deviations and up to 1,000 times off the forward."""
    rng = np.random.default_rng(76)
    n = 3_000
    total_vol = 10.0 ** rng.uniform(-9.0, np.log10(5.0), n)
    forward = 10.0 ** rng.uniform(-3.0, 5.0, n)
    log_strike = np.choose(
        rng.integers(0, 5, n),
        [
            np.zeros(n),
            rng.uniform(-1.0, 1.0, n) * 10.0 ** rng.uniform(-15.0, -9.0, n),
            rng.uniform(-8.0, 8.0, n) * total_vol,
            rng.normal(size=n) * total_vol,
            rng.uniform(-6.9, 6.9, n),
        ],
    )
    strike = forward * np.exp(np.clip(log_strike, -6.9, 6.9))
    corners_strike, corners_vol = np.meshgrid(
        [1e-3, 0.5, 1.0 - 1e-12, np.nextafter(1.0, 0.0), 1.0, np.nextafter(1.0, 2.0), 1.0 + 1e-12, 2.0, 1e3],
        # Both sides of the change from the Taylor series to the difference are among them.
        [0.0, 1e-9, 1e-6, 1e-3, np.nextafter(0.02, 0.0), 0.02, 0.1, 1.0, 5.0],
    )
    strike = np.concatenate([strike, corners_strike.ravel()])
    total_vol = np.concatenate([total_vol, corners_vol.ravel()])
    forward = np.concatenate([forward, np.ones(corners_vol.size)])
    return forward, strike, total_vol, rng.random(strike.size) < 0.5


# Accuracy ------------------------------------------------------------------------------------------


def test_black76_against_exact_arithmetic() -> None:
    forward, strike, total_vol, is_call = black_grid()
    value = black76(forward, strike, total_vol, is_call)
    with mpmath.workdps(DIGITS):
        exact = [
            exact_black(mpf(f), mpf(k), mpf(s), c)
            for f, k, s, c in zip(forward, strike, total_vol, is_call.tolist(), strict=True)
        ]
        absolute, relative = errors(value, exact, forward)
    # For a put struck at 1,000 times the forward, the nearest float64 is up to 1.1e-13 of the forward away:
    # nothing better than correct rounding exists there, and a little more is allowed.
    assert np.all(absolute <= np.maximum(1e-13, 0.501 * np.spacing(value) / forward))
    # The promise is 1e-9. Expected: 1 ulp of the logarithm times d^2 < 64, and at the change of method a
    # difference of Mills ratios that agree to 1.5 digits: about 1e-13.
    assert relative.max() <= 5e-13


def test_black76_time_value_keeps_relative_accuracy_far_in_the_tail() -> None:
    """25 deviations out the price is 1e-140 of the forward; it is not noise, and not negative."""
    total_vol = np.array([0.001, 0.02, 0.3, 1.0])
    strike = np.exp(25.0 * total_vol)
    value = black76(1.0, strike, total_vol, True)
    with mpmath.workdps(400):
        exact = [exact_black(mpf(1), mpf(k), mpf(s), True) for k, s in zip(strike, total_vol, strict=True)]
        relative = [float(abs(mpf(v) / e - 1)) for v, e in zip(value, exact, strict=True)]
    # exp amplifies one rounding of z^2 / 2 (312 here) to 312 * 1e-16, and 1 - u M(u) in the Taylor series
    # loses u^2 = 625 ulps.
    assert max(relative) <= 1e-12


def test_black76_against_quantlib_on_a_realistic_grid() -> None:
    quantlib = pytest.importorskip("QuantLib")
    forward = 4_200.0
    for strike in np.linspace(2_500.0, 6_500.0, 41):
        for total_vol in (0.02, 0.05, 0.1, 0.2, 0.4, 0.8):
            for is_call in (True, False):
                kind = quantlib.Option.Call if is_call else quantlib.Option.Put
                theirs = quantlib.blackFormula(kind, float(strike), forward, total_vol)
                ours = float(black76(forward, strike, total_vol, is_call))
                # QuantLib subtracts two normal probabilities: its small prices carry noise of the forward.
                assert ours == pytest.approx(theirs, rel=1e-8, abs=1e-13 * forward)


def bachelier_grid() -> Grid:
    rng = np.random.default_rng(1900)
    n = 2_000
    forward = rng.uniform(-1.0, 1.0, n) * 10.0 ** rng.uniform(-2.0, 4.0, n)
    total_vol = 10.0 ** rng.uniform(-9.0, 3.0, n)
    strike = forward + np.choose(
        rng.integers(0, 4, n),
        [
            np.zeros(n),
            rng.normal(size=n) * total_vol,
            rng.uniform(-8.0, 8.0, n) * total_vol,
            rng.uniform(-2.0, 2.0, n) * forward,
        ],
    )
    return forward, strike, total_vol, rng.random(n) < 0.5


def test_bachelier_against_exact_arithmetic() -> None:
    forward, strike, total_vol, is_call = bachelier_grid()
    value = bachelier(forward, strike, total_vol, is_call)
    scale = np.maximum(np.maximum(np.abs(forward), np.abs(strike)), total_vol)
    with mpmath.workdps(DIGITS):
        exact = [
            exact_bachelier(mpf(f), mpf(k), mpf(s), c)
            for f, k, s, c in zip(forward, strike, total_vol, is_call.tolist(), strict=True)
        ]
        absolute, _ = errors(value, exact, scale)
        # Small prices are measured by the volatility: forward and strike only enter by their difference.
        _, relative = errors(value, exact, total_vol)
    assert absolute.max() <= 1e-13
    # 1 - d M(d) cancels to 1 / d^2: the relative error is about d^2 ulps, 1e-14 at 8 deviations; the rounding
    # of forward - strike enters as another d^2 ulps.
    assert relative.max() <= 1e-12


def test_bachelier_values_negative_crude_oil() -> None:
    """The May 2020 WTI future settled at -37.63 on 20 April 2020 (CME): a call at 0 is all time value."""
    call, put = bachelier(-37.63, 0.0, 12.0, [True, False])
    with mpmath.workdps(DIGITS):
        expected = float(exact_bachelier(mpf("-37.63"), mpf(0), mpf(12), True))
    assert call == pytest.approx(expected, rel=1e-12)
    assert put == 37.63 + call


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize(
    ("price", "greeks", "points"),
    [
        (
            exact_black,
            black76_greeks,
            [
                (100.0, 100.0, 0.2, 0.5),
                (100.0, 100.0, 0.001, 1e-6),
                (100.0, 130.0, 0.3, 1.0),
                (100.0, 60.0, 0.3, 1.0),
                (4_200.0, 4_800.0, 0.15, 7 / 365),
                (4_200.0, 3_500.0, 0.15, 7 / 365),
                (60_000.0, 200_000.0, 0.9, 2.0),
                (1.0, 0.001, 2.0, 4.0),
            ],
        ),
        (
            exact_bachelier,
            bachelier_greeks,
            [
                (-37.63, 0.0, 100.0, 0.02),
                (-37.63, -37.63, 100.0, 0.02),
                (20.0, 10.0, 30.0, 0.25),
                (20.0, 60.0, 30.0, 0.1),
                (0.0, 0.0, 1.0, 1.0),
            ],
        ),
    ],
)
def test_greeks_are_the_derivatives_of_the_exact_price(price, greeks, points, is_call) -> None:  # type: ignore[no-untyped-def]
    for forward, strike, vol, expiry_years in points:
        got = greeks(forward, strike, vol, expiry_years, is_call)
        with mpmath.workdps(DIGITS):
            f, k, v, t = mpf(forward), mpf(strike), mpf(vol), mpf(expiry_years)

            def of_forward(x, k=k, v=v, t=t):  # type: ignore[no-untyped-def]
                return price(x, k, v * mpmath.sqrt(t), is_call)

            def of_vol(x, f=f, k=k, t=t):  # type: ignore[no-untyped-def]
                return price(f, k, x * mpmath.sqrt(t), is_call)

            def of_time(x, f=f, k=k, v=v):  # type: ignore[no-untyped-def]
                return price(f, k, v * mpmath.sqrt(x), is_call)

            # A step far below every scale of the arguments; 60 digits leave 20 after the second difference.
            expected = Greeks(
                delta=mpmath.diff(of_forward, f, h=mpf("1e-18")),
                gamma=mpmath.diff(of_forward, f, 2, h=mpf("1e-18")),
                vega=mpmath.diff(of_vol, v, h=mpf("1e-18")),
                theta=-mpmath.diff(of_time, t, h=mpf("1e-18")),
            )
        for name in Greeks._fields:
            # One ulp of d1 moves the density by d1^2 ulps, and d1 stays under 8 here: 1e-14.
            assert float(getattr(got, name)) == pytest.approx(float(getattr(expected, name)), rel=1e-12), name


def test_the_coefficients_are_those_of_the_tool() -> None:
    tool = load_tool("mills_coefficients")
    assert tool.fit() == list(module._MILLS_COEFFICIENTS)
    assert (tool.CENTRE, tool.POLE) == (module._MILLS_CENTRE, module._MILLS_POLE)
    assert tool.largest_relative_error(tool.fit(), tool.CENTRE, tool.POLE) < 1e-15


def load_tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


# Edges ---------------------------------------------------------------------------------------------


def test_no_volatility_is_exactly_intrinsic_value() -> None:
    strikes = np.array([90.0, 100.0, 100.1])
    for price in (black76, bachelier):
        assert price(100.0, strikes, 0.0, True).tolist() == [10.0, 0.0, 0.0]
        assert price(100.0, strikes, 0.0, False).tolist() == [0.0, 0.0, 100.1 - 100.0]


def test_greeks_without_time_are_those_of_intrinsic_value() -> None:
    for greeks in (black76_greeks, bachelier_greeks):
        got = greeks(100.0, [90.0, 100.0, 110.0], 0.2, 0.0, [[True], [False]])
        assert got.delta.tolist() == [[1.0, 0.5, 0.0], [0.0, -0.5, -1.0]]
        for name in ("gamma", "vega", "theta"):
            assert np.all(getattr(got, name) == 0.0)


def test_a_volatility_beyond_all_bounds_gives_the_bound() -> None:
    assert black76(100.0, 90.0, [1e3, 1e300, np.inf], True).tolist() == [100.0] * 3
    assert black76(100.0, 90.0, [1e3, 1e300, np.inf], False).tolist() == [90.0] * 3


@pytest.mark.parametrize("position", [0, 1, 2])
@pytest.mark.parametrize("bad", [np.nan, -1.0])
def test_nan_and_what_has_no_place_in_the_model_stay_nan(position: int, bad: float) -> None:
    arguments = [np.full(5, 100.0), np.full(5, 95.0), np.array([0.0, 1e-9, 0.01, 0.2, 4.0])]
    arguments[position] = np.full(5, bad)
    for is_call in (True, False):
        assert np.isnan(black76(*arguments, is_call)).all()
        value = bad if position == 2 else 10.0
        assert np.isnan(implied_total_vol(value, arguments[0], arguments[1], is_call)).all()
        if np.isnan(bad) or position == 2:  # negative prices are what Bachelier is for
            assert np.isnan(bachelier(*arguments, is_call)).all()


def test_two_negative_prices_have_no_lognormal_value() -> None:
    assert np.isnan(black76(-100.0, -95.0, 0.2, True))
    assert np.isnan(black76_greeks(-100.0, -95.0, 0.2, 1.0, True).delta)
    assert np.isnan(implied_total_vol(1.0, -100.0, -95.0, True))


@pytest.mark.parametrize("position", [0, 1, 2, 3])
@pytest.mark.parametrize("greeks", [black76_greeks, bachelier_greeks])
def test_greeks_of_nan_are_nan(greeks, position: int) -> None:  # type: ignore[no-untyped-def]
    arguments = [100.0, 95.0, 0.2, 0.5]
    arguments[position] = np.nan
    assert all(np.isnan(figure) for figure in greeks(*arguments, True))


def test_one_nan_does_not_touch_its_neighbours() -> None:
    forward = np.full(9, 100.0)
    clean = black76(forward, 95.0, 0.2, True)
    forward[4] = np.nan
    dirty = black76(forward, 95.0, 0.2, True)
    assert np.flatnonzero(np.isnan(dirty)).tolist() == [4]
    assert np.array_equal(np.delete(dirty, 4), np.delete(clean, 4))


# Shapes --------------------------------------------------------------------------------------------


def test_shapes_broadcast() -> None:
    assert black76(100.0, 100.0, 0.2, True).shape == ()
    assert black76(np.full((3, 1), 100.0), np.full(4, 90.0), 0.2, True).shape == (3, 4)
    for threads in (None, 2):
        assert black76(np.empty((0, 4)), 1.0, 0.2, True, threads=threads).shape == (0, 4)
    assert black76(np.full(3, 100.0), 100.0, 0.2, True, threads=8).shape == (3,)  # fewer values than threads
    assert implied_total_vol(np.full((2, 1), 5.0), 100.0, np.full(3, 100.0), True).shape == (2, 3)
    assert all(figure.shape == (2, 2) for figure in black76_greeks(100.0, 90.0, 0.2, 1.0, np.eye(2) > 0))


def test_shapes_that_do_not_broadcast_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"\(3,\), \(4,\)"):
        black76(np.ones(3), np.ones(4), 0.2, True)


# Same bits -----------------------------------------------------------------------------------------


def assert_same_bits(one: FloatArray, other: FloatArray) -> None:
    assert np.array_equal(one.view(np.int64), other.view(np.int64))


@pytest.mark.parametrize("function", [np.exp, np.log, np.log1p])
def test_numpy_gives_an_element_the_same_bits_anywhere(function: np.ufunc) -> None:
    """What everything below rests on: length, offset and neighbours do not choose another loop."""
    x = np.random.default_rng(3).uniform(0.0, 30.0, 10_000)
    if function is np.exp:
        x = -x * x / 2.0
    whole = function(x)
    assert_same_bits(np.concatenate([function(x[i : i + 1]) for i in range(x.size)]), whole)
    for offset in (1, 2, 3, 5, 7):
        for length in (1, 3, 8, 17, 1_000):
            assert_same_bits(function(x[offset : offset + length]), whole[offset : offset + length])


def test_one_alone_is_the_same_as_one_among_many() -> None:
    forward, strike, total_vol, is_call = black_grid()
    value = black76(forward, strike, total_vol, is_call)
    implied = implied_total_vol(value, forward, strike, is_call)
    normal_value = bachelier(forward, strike, total_vol, is_call)
    greeks = black76_greeks(forward, strike, total_vol, 0.7, is_call)
    for i in range(forward.size):
        own = (forward[i], strike[i], total_vol[i], is_call[i])
        assert_same_bits(black76(*own), value[i])
        assert_same_bits(bachelier(*own), normal_value[i])
        assert_same_bits(implied_total_vol(value[i], *own[:2], own[3]), implied[i])
        alone = black76_greeks(*own[:3], 0.7, own[3])
        for name in Greeks._fields:
            assert_same_bits(getattr(alone, name), getattr(greeks, name)[i])


def test_bits_do_not_depend_on_threads_tiles_or_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    n = 300_001  # more than a thread's worth, and no multiple of anything
    forward, strike = rng.uniform(50.0, 150.0, n), rng.uniform(50.0, 150.0, n)
    total_vol, is_call = rng.uniform(0.0, 0.5, n), rng.random(n) < 0.5
    value = black76(forward, strike, total_vol, is_call, threads=1)
    implied = implied_total_vol(value, forward, strike, is_call, threads=1)
    for threads in (2, 3, 8, None):
        assert_same_bits(black76(forward, strike, total_vol, is_call, threads=threads), value)
        assert_same_bits(implied_total_vol(value, forward, strike, is_call, threads=threads), implied)
    reverse = slice(None, None, -1)
    reversed_value = black76(forward[reverse], strike[reverse], total_vol[reverse], is_call[reverse])
    assert_same_bits(reversed_value[reverse].copy(), value)
    odd = slice(1, None, 3)
    assert_same_bits(black76(forward[odd], strike[odd], total_vol[odd], is_call[odd]), value[odd].copy())
    shifted = np.frombuffer(b"\0" * 4 + total_vol.tobytes(), dtype=np.float64, offset=4)  # not aligned
    assert_same_bits(black76(forward, strike, shifted, is_call), value)
    monkeypatch.setattr(module, "_TILE_SIZE", 1_001)
    monkeypatch.setattr(module, "_TILE_SIZE_THREADED", 7_777)
    for threads in (1, 2):
        assert_same_bits(black76(forward, strike, total_vol, is_call, threads=threads), value)
        assert_same_bits(implied_total_vol(value, forward, strike, is_call, threads=threads), implied)


def test_a_broadcast_grid_is_the_same_as_its_rows() -> None:
    forward = np.linspace(70.0, 130.0, 500)
    strike = np.linspace(60.0, 150.0, 37)[:, None]
    grid = black76(forward, strike, 0.1, True)
    for row in range(strike.size):
        assert_same_bits(black76(forward, strike[row], 0.1, True), grid[row])


def test_scipy_and_numba_are_not_imported() -> None:
    code = (
        "import sys, crossmargin.revaluation.black; "
        "print([m for m in ('scipy', 'numba', 'concurrent.futures') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# Laws ----------------------------------------------------------------------------------------------

# allow_subnormal off: Black-76 is homogeneous, and a price of 1e-310 has no digits to keep a law with.
PRICES = st.floats(1e-3, 1e6, allow_subnormal=False)
TOTAL_VOLS = st.floats(0.0, 6.0, allow_subnormal=False)


@settings(max_examples=400, derandomize=True)
@given(PRICES, PRICES, TOTAL_VOLS)
def test_call_and_put_differ_by_forward_minus_strike(forward: float, strike: float, total_vol: float) -> None:
    call, put = black76(forward, strike, total_vol, [True, False])
    # One rounding of each value and of the two differences, on the scale of the larger price.
    assert abs((call - put) - (forward - strike)) <= 3 * np.spacing(max(forward, strike))


@settings(max_examples=400, derandomize=True)
@given(PRICES, PRICES, TOTAL_VOLS)
def test_a_value_lies_between_its_bounds(forward: float, strike: float, total_vol: float) -> None:
    call, put = black76(forward, strike, total_vol, [True, False])
    # The lower bound is exact: time value is never negative. The upper one is a sum of two rounded numbers.
    assert max(forward - strike, 0.0) <= call <= forward + np.spacing(forward)
    assert max(strike - forward, 0.0) <= put <= strike + np.spacing(strike)


@settings(max_examples=400, derandomize=True)
@given(PRICES, st.floats(-6.0, 6.0), TOTAL_VOLS, st.floats(1e-6, 1.0))
def test_more_volatility_never_lowers_a_value(forward: float, deviations: float, total_vol: float, more: float) -> None:
    strike = forward * np.exp(deviations * total_vol)
    low, high = black76(forward, strike, [total_vol, total_vol * (1.0 + more)], True)
    # Where the derivative is nearly 0 (at the upper bound) the two differ by the rounding of the sums alone.
    assert high >= low - 2 * np.spacing(forward)


@settings(max_examples=200, derandomize=True)
@given(PRICES, PRICES, TOTAL_VOLS, st.integers(-20, 20))
def test_prices_scale_with_their_unit(forward: float, strike: float, total_vol: float, power: int) -> None:
    unit = 2.0**power  # a power of two, so that the scaled inputs are exact and so is the law
    one, scaled = black76(np.array([1.0, unit]) * forward, np.array([1.0, unit]) * strike, total_vol, False)
    assert scaled == one * unit


@settings(max_examples=400, derandomize=True)
@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.0, 1e4, allow_subnormal=False))
def test_bachelier_keeps_parity_and_bounds(forward: float, strike: float, total_vol: float) -> None:
    call, put = bachelier(forward, strike, total_vol, [True, False])
    assert abs((call - put) - (forward - strike)) <= 4 * np.spacing(max(abs(forward - strike), call, put))
    assert call >= max(forward - strike, 0.0)
    assert put >= max(strike - forward, 0.0)


# Implied volatility --------------------------------------------------------------------------------


def test_implied_vol_reproduces_the_value() -> None:
    forward, strike, total_vol, is_call = black_grid()
    value = black76(forward, strike, total_vol, is_call)
    intrinsic = black76(forward, strike, 0.0, is_call)
    upper = np.where(is_call, forward, strike)
    implied = implied_total_vol(value, forward, strike, is_call)

    # No answer exactly where float64 shows no time value (or nothing below the bound).
    answered = ~np.isnan(implied)
    at_bound = (value <= intrinsic) | (value >= upper)
    assert not answered[at_bound].any()
    unanswered = ~at_bound & ~answered
    # What remains: the time value rounds to all of min(F, K), within an ulp or two of the bound.
    assert np.all((upper - value)[unanswered] <= 4 * np.spacing(np.maximum(forward, strike)[unanswered]))
    assert answered.sum() > 2_000

    again = black76(forward[answered], strike[answered], implied[answered], is_call[answered])
    assert np.all(np.abs(again - value[answered]) <= 1e-12 * forward[answered])


def test_implied_vol_finds_the_vol_of_out_of_the_money_options() -> None:
    """Out of the money nothing was lost when the value was rounded, so the volatility itself comes back."""
    rng = np.random.default_rng(8)
    n = 20_000
    total_vol = 10.0 ** rng.uniform(-6.0, np.log10(3.0), n)
    deviations = rng.uniform(0.0, 30.0, n)
    strike = np.exp(np.minimum(deviations * total_vol, 6.9))
    implied = implied_total_vol(black76(1.0, strike, total_vol, True), 1.0, strike, True)
    # value / (vega s) is at most 1 near the money; at the largest vols the value nears its bound, and an
    # ulp of it (1e-16) over vega (0.1 at s = 3) is 1e-15. The price itself is good to 5e-14, at s = 0.02.
    assert np.abs(implied / total_vol - 1.0).max() <= 1e-12


def test_implied_vol_of_values_that_no_volatility_gives_is_nan() -> None:
    values = np.array([-1.0, 0.0, 10.0, 100.0, 101.0, np.nan, np.inf])
    assert np.isnan(implied_total_vol(values, 100.0, 90.0, True)).all()
    assert np.isnan(implied_total_vol([0.0, 90.0, 95.0], 100.0, 90.0, False)).all()


def test_implied_vol_at_the_extremes() -> None:
    # One ulp below the bound and a hair above intrinsic value: found, finite, and reproduced.
    values = np.array([1e-300, 1e-100, 1e-12, 1e-6, 0.5, np.nextafter(1.0, 0.0)])
    for strike in (1.0, 1.0 + 1e-9, 1.5, 1e3):
        implied = implied_total_vol(values, 1.0, strike, True)
        assert np.isfinite(implied).all()
        assert np.all(np.diff(implied) > 0.0)
        again = black76(1.0, strike, implied, True)
        # Relative: z^2 / 2 (690 at 1e-300) roundings; for the last, absolute.
        assert np.all(np.abs(again - values) <= 1e-12 * values)


@settings(max_examples=300, derandomize=True)
@given(st.floats(0.5, 2.0), st.floats(1e-6, 0.999), st.floats(1e-6, 0.5))
def test_a_dearer_option_implies_more_volatility(strike: float, share: float, more: float) -> None:
    low = min(1.0, strike)
    cheap, dear = low * share, low * min(share * (1.0 + more), 0.9999)
    first, second = implied_total_vol([cheap, max(dear, cheap)], 1.0, max(strike, 1.0), True)
    assert second >= first * (1.0 - 1e-12)
