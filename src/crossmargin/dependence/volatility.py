"""Volatility of factors through time: what was expected of each change the day before it came.

    EWMA                v' = lambda v + (1 - lambda) r^2
    GARCH(1, 1)         v' = omega + alpha r^2 + beta v
    RiskMetrics 2006    v  = sum of 14 EWMAs, the slower the less they weigh

All filters take a table of changes, a column a factor (or one series), run over its dates once, and are causal: a later
change never moves an earlier figure. The decision a reader would question: a day without a known change leaves the
variance as it was; nothing was seen, so nothing is learnt, and no day is made up.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import InputError, ParameterError, Problem, ShapeError, raise_problems
from crossmargin.dependence.research import research

RISKMETRICS_SEED_DAYS = 1667
"""Changes that the slowest component of RiskMetrics 2006 starts from: where its weights have fallen to 1%."""
BACKCAST_DAYS, BACKCAST_DECAY = 75, 0.94
_FEWEST_TO_FIT = 100


class Filtered(NamedTuple):
    """A variance through time.

    Parameters
    ----------
    variance : ndarray of shape (n_changes, n_factors), or (n_changes,) of one series
        Expected of each change the day before; NaN where nothing was.
    following : ndarray of shape (n_factors,), or () of one series
        Expected of the next change.
    """

    variance: FloatArray
    following: FloatArray


def ewma_variance(
    changes: FloatArray, decay: float, *, seed_days: int | None = None, start: FloatArray | float | None = None
) -> Filtered:
    """Exponentially weighted variance about 0: `v' = decay v + (1 - decay) r^2`.

    Parameters
    ----------
    changes : ndarray of shape (n_changes, n_factors) or (n_changes,)
        NaN where unknown.
    decay : float
        Lambda, above 0 and below 1; half of the weight lies in the last `ln(1/2) / ln(decay)` days (11 at 0.94).
    seed_days : int
        Known changes of each factor whose mean square is its first variance; up to the last of them it is NaN, and for
        a factor that has fewer it always is.
    start : float or ndarray of shape (n_factors,)
        Variance of the first change, in place of a seed. What comes of the changes themselves (`backcast`) makes the
        first dates know what came later.

    Raises
    ------
    InputError
        For an infinite change, a start that is no variance, a decay outside its range, and unless exactly one of
        `seed_days` and `start` is given.

    References
    ----------
    riskmetrics-1996: J.P. Morgan/Reuters, "RiskMetrics: Technical Document" (see docs/sources.md)
    """
    if not 0 < decay < 1:
        raise ParameterError(f"a decay of {decay:g}; it is above 0 and below 1, like 0.94")
    table = _table(changes)
    first, begin, _ = _begun(table, seed_days, start)
    return _shaped(changes, _filtered(table, first, begin, np.zeros(table.shape[1]), 1 - decay, decay))


def garch_filter(
    changes: FloatArray,
    *,
    alpha: FloatArray | float,
    beta: FloatArray | float,
    omega: FloatArray | float | None = None,
    seed_days: int | None = None,
    start: FloatArray | float | None = None,
) -> Filtered:
    """GARCH(1, 1) with given parameters: `v' = omega + alpha r^2 + beta v`; arguments as `ewma_variance`.

    Parameters
    ----------
    alpha, beta : float or ndarray of shape (n_factors,)
        Weights of the last square and of the last variance, at least 0, together below 1.
    omega : float or ndarray of shape (n_factors,)
        If left out, the one that makes the long-run variance that of the seed: what came later is not known then.

    References
    ----------
    bollerslev-1986: "Generalized autoregressive conditional heteroskedasticity" (see docs/sources.md)
    """
    table = _table(changes)
    n_factors = table.shape[1]
    react, keep = (np.broadcast_to(np.asarray(value, dtype=np.float64), (n_factors,)) for value in (alpha, beta))
    bad = ~((react >= 0) & (keep >= 0) & (react + keep < 1))
    if bad.any():
        k = int(np.argmax(bad))
        raise InputError(
            f"GARCH with alpha {react[k]:g} and beta {keep[k]:g}: neither is below 0, and together they are below 1"
        )
    first, begin, seeded = _begun(table, seed_days, start)
    if omega is None:
        if not seeded:
            raise InputError("GARCH with a start and no omega: give omega, or seed_days to work it out from")
        constant = (1 - react - keep) * begin
    else:
        constant = np.broadcast_to(np.asarray(omega, dtype=np.float64), (n_factors,))
        if not (np.isfinite(constant) & (constant >= 0)).all():
            raise InputError("GARCH with an omega that is no finite number of at least 0")
    return _shaped(changes, _filtered(table, first, begin, constant, react, keep))


def riskmetrics2006_variance(
    changes: FloatArray,
    *,
    seed_days: int = RISKMETRICS_SEED_DAYS,
    days_long: float = 1560.0,
    days_short: float = 4.0,
    components: int = 14,
    ratio: float = math.sqrt(2),
) -> Filtered:
    """A sum of EWMAs whose weights fall with the logarithm of their length: memory that is long and still quick.

        tau_k = days_short ratio^(k-1)      mu_k = exp(-1 / tau_k)      w_k ~ 1 - ln tau_k / ln days_long

    Component `k` starts, on the first date, from the first known squares weighted by `mu_k^i` from the oldest, as many
    as it takes for a weight to fall to 1%.

    Parameters
    ----------
    seed_days : int
        The most squares that a component starts from. The variance is NaN for so many known changes: they know their
        own start. With fewer than `RISKMETRICS_SEED_DAYS` the slow components start from fewer squares than published.

    Raises
    ------
    InputError
        For an infinite change, and parameters outside their ranges.

    References
    ----------
    riskmetrics-2006: G. Zumbach, "The RiskMetrics 2006 methodology" (see docs/sources.md)
    """
    if not (0 < days_short < days_long and ratio > 1 and components >= 1 and seed_days >= 1):
        raise ParameterError("RiskMetrics 2006 needs 0 < days_short < days_long, ratio > 1, and at least one component")
    tau = days_short * ratio ** np.arange(components)
    if tau[-1] > days_long:
        raise ParameterError(f"the slowest component has {tau[-1]:g} days; it has at most {days_long:g}")
    weight = 1 - np.log(tau) / math.log(days_long)
    weight = weight / weight.sum()
    table = _table(changes)
    n_factors = table.shape[1]
    at_once = np.zeros(n_factors, dtype=np.int64)
    variance, following = np.zeros(table.shape), np.zeros(n_factors)
    for k, (mu, part) in enumerate(zip(np.exp(-1 / tau).tolist(), weight.tolist(), strict=True)):
        reach = max(min(math.floor(math.log(0.01) / math.log(mu)), seed_days), k, 1)
        begin = _weighted_start(table, reach, mu)
        one = _filtered(table, at_once, begin, np.zeros(n_factors), 1 - mu, mu)
        variance += part * one.variance
        following += part * one.following
    late, enough = _after(table, seed_days)
    variance[np.arange(len(table))[:, None] < late] = np.nan
    return _shaped(changes, Filtered(variance, np.where(enough, following, np.nan)))


def backcast(changes: FloatArray, *, days: int = BACKCAST_DAYS, decay: float = BACKCAST_DECAY) -> FloatArray:
    """Start as the arch package takes it: the first known squares, `decay^i` from the oldest, `(n_factors,)`.

    NaN for a factor that has fewer known changes than `days`: it would move as they come.
    """
    start = _weighted_start(_table(changes), days, decay)
    return start if np.ndim(changes) == 2 else np.asarray(start[0])


@dataclass(frozen=True, kw_only=True, eq=False)
class GarchFit:
    """GARCH(1, 1) of one series about 0, by maximum likelihood.

    Parameters
    ----------
    omega, alpha, beta : float
        In the unit of the changes, squared; weights.
    degrees_of_freedom : float or None
        Of Student's t; `None` of a normal distribution.
    log_likelihood : float
        Of the known changes, in their unit.
    start : float
        Variance of the first change.
    filtered : Filtered
        Variance of each change and of the next, by `garch_filter` with these parameters.
    """

    omega: float
    alpha: float
    beta: float
    degrees_of_freedom: float | None
    log_likelihood: float
    start: float
    filtered: Filtered

    @property
    def volatility(self) -> FloatArray:
        """Expected of each change the day before, `(n_changes,)`."""
        return np.asarray(np.sqrt(self.filtered.variance))

    @property
    def volatility_following(self) -> float:
        """Expected of the next change."""
        return math.sqrt(float(self.filtered.following))


def fit_garch(changes: FloatArray, distribution: Literal["normal", "t"] = "normal") -> GarchFit:
    """Parameters of GARCH(1, 1) from one series, through arch.

    The fit has seen all of the series: to backtest, fit on what came before and run `garch_filter` on the rest.

    Parameters
    ----------
    changes : ndarray of shape (n_changes,)
        Gaps (NaN) take no part in the likelihood, and the variance passes them as it is. The series is fitted in units
        of its own size, so that percent and decimals give the same model.

    Raises
    ------
    InputError
        For fewer than 100 known changes, an infinite one, a series that never moves, or a fit that does not converge.
    UnsupportedError
        Without the extra `research`.
    """
    series = np.asarray(changes, dtype=np.float64)
    if series.ndim != 1:
        raise ShapeError(f"changes of shape {series.shape}: GARCH is fitted to one series, of shape (n_changes,)")
    _table(series)
    if distribution not in ("normal", "t"):
        raise InputError(f"distribution '{distribution}'; it is 'normal' or 't'")
    known = series[~np.isnan(series)]
    size = math.sqrt(float(np.mean(known * known))) if len(known) else 0.0
    if len(known) < _FEWEST_TO_FIT or size <= 0:
        raise InputError(
            Problem(
                found=f"{len(known)} known changes, of root mean square {size:g}, to fit GARCH to",
                needed=f"At least {_FEWEST_TO_FIT} that move are needed; give a longer history, or fixed parameters to "
                "garch_filter.",
            )
        )
    arch = research("arch.univariate", "a fit of GARCH")
    scaled = known / size
    with warnings.catch_warnings():
        # What it would warn of is checked below, or raised.
        warnings.simplefilter("ignore")
        model = arch.arch_model(scaled, mean="Zero", vol="GARCH", p=1, q=1, dist=distribution, rescale=False)
        result = model.fit(disp="off", show_warning=False)
    if result.convergence_flag != 0:
        raise InputError(
            Problem(
                found=f"the fit of GARCH to {len(known)} changes did not converge",
                needed="Give a longer history, or fixed parameters to garch_filter.",
            )
        )
    parameters = result.params
    omega = float(parameters["omega"]) * size * size
    alpha, beta = float(parameters["alpha[1]"]), float(parameters["beta[1]"])
    at_once = np.zeros(1, dtype=np.int64)
    # arch takes the backcast for both the square and the variance before the first change.
    first = omega + (alpha + beta) * float(model.volatility.backcast(scaled)) * size * size
    return GarchFit(
        omega=omega,
        alpha=alpha,
        beta=beta,
        degrees_of_freedom=float(parameters["nu"]) if distribution == "t" else None,
        log_likelihood=float(result.loglikelihood) - len(known) * math.log(size),
        start=first,
        filtered=_shaped(series, _filtered(_table(series), at_once, np.array([first]), np.array([omega]), alpha, beta)),
    )


def _table(changes: FloatArray) -> FloatArray:
    """Changes on two axes, finite or NaN."""
    table = np.asarray(changes, dtype=np.float64)
    if table.ndim == 1:
        table = table[:, None]
    if table.ndim != 2:
        raise ShapeError(f"changes of shape {table.shape}; (n_changes, n_factors) or (n_changes,) is needed")
    infinite = np.isinf(table)
    raise_problems(
        [
            Problem(found=f"change {table[t, k]:g} in row {t} of column {k}", needed="NaN is what is not known.")
            for t, k in zip(*np.nonzero(infinite), strict=True)
        ]
        if infinite.any()
        else []
    )
    return table


def _shaped(changes: FloatArray, filtered: Filtered) -> Filtered:
    """Of one series, without the axis of factors."""
    if np.ndim(changes) == 2:
        return filtered
    return Filtered(filtered.variance[:, 0], np.asarray(filtered.following[0]))


def _begun(
    table: FloatArray, seed_days: int | None, start: FloatArray | float | None
) -> tuple[IntArray, FloatArray, bool]:
    """Row from which each factor has a variance, the variance there, and whether it comes of a seed."""
    if (seed_days is None) == (start is None):
        raise InputError("a filter starts either from seed_days or from a start; exactly one of them is needed")
    if seed_days is not None:
        if seed_days < 1:
            raise InputError(f"a seed of {seed_days} days; at least 1 is needed")
        first, _ = _after(table, seed_days)
        return first, _weighted_start(table, seed_days, 1.0), True
    begin = np.asarray(start, dtype=np.float64)
    if begin.ndim > 1 or (begin.ndim == 1 and len(begin) != table.shape[1]):
        raise ShapeError(f"a start of shape {begin.shape} for {table.shape[1]} factors")
    if np.isinf(begin).any() or (begin < 0).any():
        raise InputError("a start that is no variance: it is a finite number of at least 0")
    return np.zeros(table.shape[1], dtype=np.int64), np.broadcast_to(begin, (table.shape[1],)), False


def _after(table: FloatArray, n_known: int) -> tuple[IntArray, np.ndarray]:
    """Row after the `n_known`-th known change of each factor, beyond all rows where it has fewer; whether it has."""
    reached = np.cumsum(~np.isnan(table), axis=0) >= n_known
    enough = reached[-1] if len(table) else np.zeros(table.shape[1], dtype=np.bool_)
    if not len(table):
        return np.ones(table.shape[1], dtype=np.int64), enough
    return np.where(enough, np.argmax(reached, axis=0) + 1, len(table) + 1), enough


def _weighted_start(table: FloatArray, n_known: int, decay: float) -> FloatArray:
    """Mean of the first `n_known` squares, `decay^i` from the oldest, `(n_factors,)`; NaN where there are fewer.

    Row after row, so that neither a longer history nor another factor changes its bits.
    """
    total, weights = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    seen = np.zeros(table.shape[1], dtype=np.int64)
    powers = decay ** np.arange(n_known + 1)
    for row in table:
        if (seen >= n_known).all():
            break
        counts = ~np.isnan(row) & (seen < n_known)
        weight = np.where(counts, powers[np.minimum(seen, n_known)], 0.0)
        total += np.where(counts, weight * row * row, 0.0)
        weights += weight
        seen += counts
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(seen >= n_known, total / weights, np.nan)


def _filtered(
    table: FloatArray,
    first: IntArray,
    begin: FloatArray,
    constant: FloatArray,
    alpha: FloatArray | float,
    beta: FloatArray | float,
) -> Filtered:
    """`v' = constant + alpha r^2 + beta v` of all factors at once, `begin` in row `first` of each."""
    variance = np.full(table.shape, np.nan)
    now = np.where(first == 0, begin, np.nan)
    begins = set(first.tolist())
    for t, row in enumerate(table):
        variance[t] = now
        updated = constant + alpha * row * row + beta * now
        now = np.where(np.isnan(row), now, updated)
        if t + 1 in begins:
            now = np.where(first == t + 1, begin, now)
    return Filtered(variance, now)
