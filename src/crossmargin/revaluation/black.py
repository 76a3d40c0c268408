"""Black-76 and Bachelier: undiscounted option values, Greeks and implied volatility, on arrays.

Every value is intrinsic value plus time value, and time value is the out-of-the-money option, whichever side
was asked for: a call and a put differ by forward minus strike, and an option deep in the money keeps its time
value. The time value comes from the Mills ratio M(u) = (1 - Phi(u)) / phi(u), not from a difference of two
normal probabilities, so it keeps its relative accuracy where both probabilities vanish. With low = min(F, K),
high = max(F, K) and total volatility s,

    d = ln(high / low) / s,   t = s / 2,   z = t - d,   w = -t - d,   low * phi(z) = high * phi(w)

    time value = low * phi(z) * (M(-z) - M(-w))             while z <= 0
    time value = low * (1 - phi(z) * (M(z) + M(-w)))        beyond

The decision a reader would question: there is one implementation, elementwise, at every size. An element
sees the same operations alone, in a batch, in any tile and on any thread, so its bits never depend on its
neighbours: the same book must give the same requirement. It is plain numpy: importing scipy or numba takes
longer than pricing a million values.

NaN stays NaN. A negative volatility or time, and in Black-76 a forward or strike that is not positive, give
NaN too: refusing them with a name is the business of whoever reads the market.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import BoolArray, FloatArray
from crossmargin.basics.errors import ShapeError
from crossmargin.basics.threads import for_each_range, thread_count, using_threads

_Arrays: TypeAlias = tuple[FloatArray, ...]

# Values per tile. On one thread the buffers of a tile should stay in the nearer cache; with several, each
# numpy call must be long enough (15 us) that they do not spend their time handing over the interpreter lock.
# Measured on 2 shared cores, medians in million values a second on one and on two threads: 16k 22 and 19,
# 32k 23 and 25, 64k 22 and 31, 128k 22 and 27; 36,000 values take 2.7 ms by 16k and 3.5 ms by 64k.
_TILE_SIZE: Final = 16_384
_TILE_SIZE_THREADED: Final = 65_536
# Below this many values (10 ms) a second thread gains nothing that anyone would notice.
_THREADED_SIZE: Final = 200_000

_SQRT_TWO_PI: Final = math.sqrt(2.0 * math.pi)

# Below this total volatility the difference of two Mills ratios loses more digits than the Taylor series in
# t = s / 2 leaves out. Relative errors at the money against mpmath, difference and series: 8e-14 and 4e-16 at
# 0.01, 5e-14 and 1e-14 at 0.02, 3e-14 and 1e-13 at 0.03; further out both lose together.
_TAYLOR_BELOW: Final = 0.02
# phi(40) is zero in float64: nothing further out changes a value.
_FARTHEST: Final = 40.0
# Total volatilities are held inside these only where they divide: the square of |ln(F / K)| / s stays finite.
_DIVISOR_LEAST: Final = 1e-140
_DIVISOR_MOST: Final = 1e6

# (u + _MILLS_POLE) * M(u) as a polynomial in y = (u - _MILLS_CENTRE) / (u + _MILLS_CENTRE), lowest power
# first; relative error 3.2e-16 for every u >= 0. Our own fit, by tools/mills_coefficients.py.
_MILLS_CENTRE: Final = 5.5
_MILLS_POLE: Final = 1.5
_MILLS_COEFFICIENTS: Final = (
    1.234260900299719,
    -0.38766268853887453,
    0.22979896196908636,
    -0.0972930675986264,
    0.012968558389228757,
    0.02360061201233518,
    -0.028058124551077375,
    0.01889672979158217,
    -0.00879442867510534,
    0.0026568343933525283,
    -0.0002719101908001735,
    -0.00018188765086157044,
    9.112575590837042e-05,
    -4.453676912579752e-06,
    -1.0330224390747007e-05,
    2.770680571042315e-06,
    9.17300124715231e-07,
    -5.24689741477533e-07,
    -7.181217642964317e-08,
    8.228496481963528e-08,
    4.978520123691607e-09,
    -1.087620454205524e-08,
    -2.524120045049732e-10,
    8.817901564602219e-10,
)


class Greeks(NamedTuple):
    """Sensitivities of an undiscounted option value, one array each, all of the broadcast shape.

    Parameters
    ----------
    delta : ndarray
        Change of value per 1 of the forward.
    gamma : ndarray
        Change of delta per 1 of the forward.
    vega : ndarray
        Change of value per 1.00 of annual volatility (Black: 100 vol points; Bachelier: 1 price unit).
    theta : ndarray
        Change of value per year that passes; `<= 0`, since an undiscounted option only loses time value.
    """

    delta: FloatArray
    gamma: FloatArray
    vega: FloatArray
    theta: FloatArray


def black76(
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    total_vol: npt.ArrayLike,
    is_call: npt.ArrayLike,
    *,
    threads: int | None = None,
) -> FloatArray:
    """Undiscounted Black-76 value.

    Parameters
    ----------
    forward, strike : array_like, positive
        In the same price unit.
    total_vol : array_like, >= 0
        Volatility times the square root of time to expiry; 0 gives the intrinsic value.
    is_call : array_like of bool
    threads : int, optional
        How many threads share a large grid; by default one a core, at most 8. The bits do not depend on it.

    Returns
    -------
    ndarray of the broadcast shape
        Value in the price unit. Absolute error below 1e-13 of the forward, or half the last bit of
        the value where that is more; relative error below 1e-9 where the value is above 1e-8 of the forward.

    References
    ----------
    Black, "The pricing of commodity contracts", Journal of Financial Economics 3 (1976)
    """
    (value,) = _in_tiles(_Black76Tile, (forward, strike, total_vol), is_call, 1, threads)
    return value


def black76_greeks(
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    vol: npt.ArrayLike,
    expiry_years: npt.ArrayLike,
    is_call: npt.ArrayLike,
    *,
    threads: int | None = None,
) -> Greeks:
    """Undiscounted Black-76 Greeks.

    Parameters
    ----------
    forward, strike : array_like, positive
        In the same price unit.
    vol : array_like, >= 0
        Annual volatility, a decimal.
    expiry_years : array_like, >= 0
        Years to expiry.
    is_call : array_like of bool
    threads : int, optional
        As in `black76`.

    Returns
    -------
    Greeks
        At zero total volatility: delta of the intrinsic value (a half of it at the money), gamma and theta 0.
    """
    return Greeks(*_in_tiles(_Black76GreeksTile, (forward, strike, vol, expiry_years), is_call, 4, threads))


def bachelier(
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    total_vol: npt.ArrayLike,
    is_call: npt.ArrayLike,
    *,
    threads: int | None = None,
) -> FloatArray:
    """Undiscounted value in the normal model: forward and strike of any sign (crude oil, April 2020).

    Parameters
    ----------
    forward, strike : array_like
        In the same price unit.
    total_vol : array_like, >= 0
        Normal volatility times the square root of time to expiry, in price units; 0 gives intrinsic value.
    is_call : array_like of bool
    threads : int, optional
        As in `black76`.

    Returns
    -------
    ndarray of the broadcast shape
        Value in the price unit, as accurate as `black76`, on the scale of the largest of abs(forward),
        abs(strike) and total_vol.
    """
    (value,) = _in_tiles(_BachelierTile, (forward, strike, total_vol), is_call, 1, threads)
    return value


def bachelier_greeks(
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    vol: npt.ArrayLike,
    expiry_years: npt.ArrayLike,
    is_call: npt.ArrayLike,
    *,
    threads: int | None = None,
) -> Greeks:
    """Undiscounted Greeks in the normal model; `vol` in price units per square root of a year.

    Parameters
    ----------
    forward, strike : array_like
        In the same price unit, any sign.
    vol, expiry_years : array_like, >= 0
    is_call : array_like of bool
    threads : int, optional
        As in `black76`.

    Returns
    -------
    Greeks
        At zero total volatility as in `black76_greeks`.
    """
    return Greeks(*_in_tiles(_BachelierGreeksTile, (forward, strike, vol, expiry_years), is_call, 4, threads))


def implied_total_vol(
    value: npt.ArrayLike,
    forward: npt.ArrayLike,
    strike: npt.ArrayLike,
    is_call: npt.ArrayLike,
    *,
    threads: int | None = None,
) -> FloatArray:
    """Total volatility at which `black76` gives `value`.

    Parameters
    ----------
    value : array_like
        Undiscounted option value.
    forward, strike : array_like, positive
        In the same price unit.
    is_call : array_like of bool
    threads : int, optional
        As in `black76`.

    Returns
    -------
    ndarray of the broadcast shape
        NaN where no volatility gives the value: at or below intrinsic value, or at or above the upper bound
        (the forward for a call, the strike for a put). `black76` of the result reproduces `value` to 1e-12 of
        the forward.
    """
    (total_vol,) = _in_tiles(_ImpliedTile, (value, forward, strike), is_call, 1, threads)
    return total_vol


# ------------------------------------------------------------------------------------------------------------
# The formulas, a tile at a time. An instance belongs to one thread; `fill` writes one tile of the outputs.


class _Tile:
    """Formula on contiguous one-dimensional slices; `size` is the longest slice it will be given."""

    def __init__(self, size: int) -> None:
        self.size = size

    def fill(self, inputs: _Arrays, is_call: BoolArray, outputs: _Arrays) -> None:
        raise NotImplementedError


def _mills(u: FloatArray, y: FloatArray, mills: FloatArray) -> None:
    """Write M(u) = (1 - Phi(u)) / phi(u) for u >= 0 to `mills`; `u` and `y` are used up."""
    np.subtract(u, _MILLS_CENTRE, out=y)
    np.add(u, _MILLS_CENTRE, out=mills)
    np.divide(y, mills, out=y)
    mills.fill(_MILLS_COEFFICIENTS[-1])
    for coefficient in _MILLS_COEFFICIENTS[-2::-1]:
        np.multiply(mills, y, out=mills)
        np.add(mills, coefficient, out=mills)
    np.add(u, _MILLS_POLE, out=u)
    np.divide(mills, u, out=mills)


def _mills_of(u: FloatArray) -> FloatArray:
    """M(u) in a new array."""
    mills = np.empty_like(u)
    _mills(u.copy(), np.empty_like(u), mills)
    return mills


def _density(z: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """Standard normal density phi(z)."""
    density = np.multiply(z, z, out=out)
    np.multiply(density, -0.5, out=density)
    np.exp(density, out=density)
    return np.divide(density, _SQRT_TWO_PI, out=density)


def _log_moneyness(low: FloatArray, high: FloatArray, out: FloatArray | None = None) -> FloatArray:
    """ln(high / low) >= 0, with relative accuracy also near the money, where high - low is exact."""
    ratio = np.subtract(high, low, out=out)
    np.divide(ratio, low, out=ratio)
    return np.log1p(ratio, out=ratio)


def _not_positive_is_nan(price: FloatArray) -> None:
    """Two negative prices have a logarithm of their ratio, but no place in a lognormal model."""
    if not price.min() > 0.0:
        price[price <= 0.0] = np.nan


def _taylor_gap(moneyness: FloatArray, total_vol: FloatArray) -> tuple[FloatArray, FloatArray]:
    """phi(z) and Y(z) - Y(w) at small total volatility, where Y(h) = Phi(h) / phi(h) = M(-h).

    Y' = 1 + h Y, and so Y[n+1] = h Y[n] + n Y[n-1]. The difference over (h - t, h + t) has the odd terms
    only; the first one left out is at most t^6 / 105 of the sum, 1e-14 at the largest t that comes here.
    """
    # The one place where total volatility multiplies: exactly 0 gives exactly no time value.
    t = np.where(total_vol >= 0.0, total_vol, np.nan) / 2.0
    h = -np.minimum(moneyness / np.maximum(total_vol, _DIVISOR_LEAST), _FARTHEST)
    y0 = _mills_of(-h)
    y1 = 1.0 + h * y0
    y2 = h * y1 + y0
    y3 = h * y2 + 2.0 * y1
    y4 = h * y3 + 3.0 * y2
    y5 = h * y4 + 4.0 * y3
    gap = 2.0 * t * (y1 + t * t / 6.0 * (y3 + t * t / 20.0 * y5))
    return _density(h + t), gap


class _TimeValue:
    """Time value over low = `density * gap + past`; `past` is 1 beyond the inflection (z > 0), otherwise 0.

    The three stand apart because the inversion needs them: the value where it is small, what it lacks to its
    upper bound (`-density * gap`) where it is large, and the density, its derivative in total volatility.
    """

    def __init__(self, size: int) -> None:
        self._density, self._gap, self._half = np.empty(size), np.empty(size), np.empty(size)
        self._past = np.empty(size, dtype=np.bool_)
        # M is asked for -z and -w of a whole tile at once: one Horner loop over twice the length.
        self._u, self._y, self._both = np.empty(2 * size), np.empty(2 * size), np.empty(2 * size)

    def parts(self, moneyness: FloatArray, total_vol: FloatArray) -> tuple[FloatArray, FloatArray, BoolArray]:
        """`density`, `gap` and `past`, in buffers that the next call overwrites."""
        n = moneyness.size
        t, density, gap, past = self._half[:n], self._density[:n], self._gap[:n], self._past[:n]
        u, mills = self._u[: 2 * n], self._both[: 2 * n]
        toward, away = u[:n], u[n:]

        np.clip(total_vol, _DIVISOR_LEAST, _DIVISOR_MOST, out=t)
        d = np.divide(moneyness, t, out=gap)
        np.multiply(t, 0.5, out=t)
        np.add(d, t, out=away)  # -w
        minus_z = np.subtract(d, t, out=gap)
        np.abs(minus_z, out=toward)
        _density(minus_z, out=density)
        _mills(u, self._y[: 2 * n], mills)
        np.signbit(minus_z, out=past)
        np.copysign(mills[:n], minus_z, out=gap)
        np.subtract(gap, mills[n:], out=gap)

        small = np.less(total_vol, _TAYLOR_BELOW)
        if small.any():
            density[small], gap[small] = _taylor_gap(moneyness[small], total_vol[small])
            past[small] = False
        return density, gap, past


class _Black76Tile(_Tile):
    """Inputs forward, strike, total_vol; output value."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._low, self._high = np.empty(size), np.empty(size)
        self._time_value = _TimeValue(size)

    def fill(self, inputs: _Arrays, is_call: BoolArray, outputs: _Arrays) -> None:
        forward, strike, total_vol = inputs
        (value,) = outputs
        low = np.minimum(forward, strike, out=self._low[: value.size])
        high = np.maximum(forward, strike, out=self._high[: value.size])
        _not_positive_is_nan(low)
        moneyness = _log_moneyness(low, high, out=high)
        density, gap, past = self._time_value.parts(moneyness, total_vol)

        time_value = np.multiply(density, gap, out=gap)
        np.add(time_value, past, out=time_value)
        np.multiply(time_value, low, out=time_value)
        intrinsic, lost = _intrinsic(forward, strike, low, is_call, high, density)
        np.add(time_value, lost, out=time_value)
        np.add(intrinsic, time_value, out=value)


def _intrinsic(
    forward: FloatArray,
    strike: FloatArray,
    low: FloatArray,
    is_call: BoolArray,
    intrinsic: FloatArray,
    lost: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """max(F - K, 0), which is F - low (for the put K - low), and what rounding took from that difference.

    The last bit of a put struck at 1,000 times its forward is 1e-13 of the forward and more: with what was
    lost put back, the sum of intrinsic and time value is rounded only once.
    """
    larger = lost
    np.copyto(larger, strike)
    np.copyto(larger, forward, where=is_call)
    np.subtract(larger, low, out=intrinsic)
    np.subtract(larger, intrinsic, out=lost)
    return intrinsic, np.subtract(lost, low, out=lost)


class _BachelierTile(_Tile):
    """Inputs forward, strike, total_vol in price units; output value.

    time value = s * phi(d) * (1 - d * M(d)) with d = |F - K| / s.
    """

    def fill(self, inputs: _Arrays, is_call: BoolArray, outputs: _Arrays) -> None:
        forward, strike, total_vol = inputs
        low = np.minimum(forward, strike)
        d = (np.maximum(forward, strike) - low) / np.maximum(total_vol, _DIVISOR_LEAST)
        np.minimum(d, _FARTHEST, out=d)
        time_value = np.where(total_vol >= 0.0, total_vol, np.nan) * _density(d) * (1.0 - d * _mills_of(d))
        np.add(np.where(is_call, forward, strike) - low, time_value, out=outputs[0])


def _delta(d: FloatArray, density: FloatArray, is_call: BoolArray) -> FloatArray:
    """Phi(d) for a call, Phi(d) - 1 for a put, each with the relative accuracy of its smaller side."""
    tail = density * _mills_of(np.abs(d))
    above = d > 0.0
    return np.where(is_call, np.where(above, 1.0 - tail, tail), np.where(above, -tail, tail - 1.0))


def _total_vol(vol: FloatArray, expiry_years: FloatArray) -> FloatArray:
    return np.where(vol >= 0.0, vol, np.nan) * np.sqrt(expiry_years)


class _Black76GreeksTile(_Tile):
    """Inputs forward, strike, vol, expiry_years; outputs delta, gamma, vega, theta."""

    def fill(self, inputs: _Arrays, is_call: BoolArray, outputs: _Arrays) -> None:
        forward, strike, vol, expiry_years = inputs
        delta, gamma, vega, theta = outputs
        low, high = np.minimum(forward, strike), np.maximum(forward, strike)
        _not_positive_is_nan(low)
        total_vol = _total_vol(vol, expiry_years)
        divisor = np.clip(total_vol, _DIVISOR_LEAST, _DIVISOR_MOST)
        d1 = np.copysign(_log_moneyness(low, high), forward - strike) / divisor + 0.5 * divisor
        density = _density(d1)
        delta[:] = _delta(d1, density, is_call)
        gamma[:] = np.where(total_vol == 0.0, 0.0, density / (forward * divisor))
        vega[:] = forward * density * np.sqrt(expiry_years)
        theta[:] = -0.5 * (vol * forward) ** 2 * gamma


class _BachelierGreeksTile(_Tile):
    """Inputs forward, strike, vol, expiry_years; outputs delta, gamma, vega, theta."""

    def fill(self, inputs: _Arrays, is_call: BoolArray, outputs: _Arrays) -> None:
        forward, strike, vol, expiry_years = inputs
        delta, gamma, vega, theta = outputs
        total_vol = _total_vol(vol, expiry_years)
        divisor = np.maximum(total_vol, _DIVISOR_LEAST)
        d = np.clip((forward - strike) / divisor, -_FARTHEST, _FARTHEST)
        density = _density(d)
        delta[:] = _delta(d, density, is_call)
        gamma[:] = np.where(total_vol == 0.0, 0.0, density / divisor)
        vega[:] = density * np.sqrt(expiry_years)
        theta[:] = -0.5 * vol**2 * gamma


class _ImpliedTile(_Tile):
    """Inputs value, forward, strike; output total volatility.

    b(s), the time value over low, is convex below its inflection s = sqrt(2 ln(high / low)), where z = 0,
    and concave above. Newton's method starts at the inflection, on a function that is nearly straight:

    - below: ln b as a function of q = 1 / s^2 (far out of the money ln b is about -ln(high / low)^2 q / 2);
    - above: -ln(1 - b) as a function of s; it is convex, since 1 / (M(z) + M(-w)) > z |w| / (z + |w|): after
      one step too far Newton comes down to the root without another.

    A bracket stands guard: a step that leaves it becomes a bisection. Each element stops by itself and then
    stays as it is, so the others in the batch never change it.
    """

    _ITERATIONS_MOST = 80
    # Newton squares the relative error: after a step this small there is nothing left to gain in float64.
    _STEP_SMALL = 1e-9

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._time_value = _TimeValue(size)

    def fill(self, inputs: _Arrays, is_call: BoolArray, outputs: _Arrays) -> None:
        value, forward, strike = inputs
        (total_vol,) = outputs
        total_vol.fill(np.nan)
        low, high = np.minimum(forward, strike), np.maximum(forward, strike)
        _not_positive_is_nan(low)
        intrinsic, lost = _intrinsic(forward, strike, low, is_call, np.empty_like(low), np.empty_like(low))
        target = (value - intrinsic - lost) / low
        # In the money, value - intrinsic can round to less than low though the value is at its upper bound.
        inside = (value > intrinsic) & (value < np.where(is_call, forward, strike))
        solvable = inside & (target > 0.0) & (target < 1.0)
        rows = np.flatnonzero(solvable)
        total_vol[rows] = self._solve(target[rows], _log_moneyness(low[rows], high[rows]))

    def _solve(self, target: FloatArray, moneyness: FloatArray) -> FloatArray:
        """s with b(s) = target, for targets inside (0, 1)."""
        s = np.sqrt(2.0 * moneyness)
        density, gap, past = self._time_value.parts(moneyness, s)
        below = target < density * gap + past
        goal = np.where(below, np.log(target), np.log1p(-target))
        least = np.where(below, 0.0, s)
        # Above the inflection the root lies under z = 8.5: there 1 - b is less than for any target below 1.
        most = np.where(below, s, 8.5 + np.sqrt(72.25 + 2.0 * moneyness))

        solution = s.copy()
        rows = np.arange(target.size)
        for _ in range(self._ITERATIONS_MOST):
            proposed, excess = self._newton(s, moneyness, below, goal)
            least = np.where(excess > 0.0, least, s)
            most = np.where(excess > 0.0, s, most)
            inside = (proposed >= least) & (proposed <= most)
            proposed = np.where(inside, proposed, 0.5 * (least + most))
            solution[rows] = proposed

            moving = np.abs(proposed - s) > self._STEP_SMALL * proposed
            if not moving.any():
                break
            rows, below = rows[moving], below[moving]
            s, moneyness, goal, least, most = (a[moving] for a in (proposed, moneyness, goal, least, most))
        return solution

    def _newton(
        self, s: FloatArray, moneyness: FloatArray, below: BoolArray, goal: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """The next s, and the excess of the present value over the goal (its sign is what counts)."""
        density, gap, past = self._time_value.parts(moneyness, s)
        part = density * gap
        b = part + past
        # No cancellation: 1 - b where b is near 1, and the logarithm of 1 - b where b is near 0.
        lack = np.where(past, -part, 1.0 - part)
        log_lack = np.where(past, np.log(lack), np.log1p(-b))
        excess = np.where(below, np.log(b) - goal, goal - log_lack)
        slope = density / np.where(below, b, lack)
        # In q = 1 / s^2 the Newton step is q + 2 excess / (slope s^3).
        return np.where(below, s / np.sqrt(1.0 + 2.0 * excess / (slope * s)), s - excess / slope), excess


# ------------------------------------------------------------------------------------------------------------
# Tiles and threads


def _in_tiles(
    formula: type[_Tile],
    inputs: tuple[npt.ArrayLike, ...],
    is_call: npt.ArrayLike,
    n_outputs: int,
    threads: int | None,
) -> tuple[FloatArray, ...]:
    """Broadcast, run `formula` over tiles of the flattened arrays, give the outputs the broadcast shape."""
    arrays = [np.asarray(a, dtype=np.float64) for a in inputs]
    calls = np.asarray(is_call, dtype=np.bool_)
    shapes = [a.shape for a in arrays] + [calls.shape]
    try:
        shape = np.broadcast_shapes(*shapes)
    except ValueError as error:
        raise ShapeError(f"option inputs of shapes {shapes} do not broadcast to one shape") from error

    # Contiguous copies where an input is broadcast: a ufunc must never choose another loop, with other last
    # bits, because of strides.
    flat = [np.ascontiguousarray(np.broadcast_to(a, shape)).reshape(-1) for a in arrays]
    flat_calls = np.ascontiguousarray(np.broadcast_to(calls, shape)).reshape(-1)
    size = flat_calls.size
    outputs = tuple(np.empty(size) for _ in range(n_outputs))

    count = thread_count() if threads is None else max(1, threads)
    if threads is None and size < _THREADED_SIZE:
        count = 1
    tile_size = _TILE_SIZE if count == 1 else _TILE_SIZE_THREADED

    def work(start: int, stop: int) -> None:
        tile = formula(min(tile_size, stop - start))
        # Far tails overflow and NaN is invalid, both on purpose; each thread has its own error state.
        with np.errstate(all="ignore"):
            for first in range(start, stop, tile_size):
                part = slice(first, min(first + tile_size, stop))
                tile.fill(tuple(a[part] for a in flat), flat_calls[part], tuple(a[part] for a in outputs))

    share = max(1, math.ceil(size / count))
    with using_threads(count):
        for_each_range(work, [(start, min(start + share, size)) for start in range(0, size, share)])
    return tuple(a.reshape(shape) for a in outputs)
