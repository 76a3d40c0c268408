"""How far a correlation can be trusted: each figure against numpy, written out, and the laws of the report."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crossmargin.answers.correlations import correlations, stress_periods
from crossmargin.basics.errors import CrossmarginError, InputError, ShapeError
from crossmargin.dependence.trust import fisher_band, pair_trust, rolling_correlation
from crossmargin.history.factors import factor_of
from crossmargin.history.histories import FactorHistories

DAY = 86_400


def pair(n: int, rho: float, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Normal changes of two factors."""
    one, other = np.random.default_rng(seed).standard_normal((2, n))
    return 0.01 * one, 300.0 * (rho * one + math.sqrt(1 - rho * rho) * other)


def trust(one: np.ndarray, other: np.ndarray, **given: object):  # type: ignore[no-untyped-def]
    """Figures with a window of 20."""
    asked = {"window": 20, "decay": 0.97, "confidence": 0.95, "periods": {}} | given
    return pair_trust(one, other, **asked)  # type: ignore[arg-type]


def test_rolling_is_the_correlation_of_every_run() -> None:
    one, other = pair(200, 0.6)
    found = rolling_correlation(one, other, 20)
    expected = [np.corrcoef(one[k : k + 20], other[k : k + 20])[0, 1] for k in range(181)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_a_run_in_which_one_does_not_move_has_no_correlation() -> None:
    one, other = pair(60, 0.6)
    one[10:35] = 0.0
    found = rolling_correlation(one, other, 20)
    assert np.isnan(found).tolist() == [10 <= k <= 15 for k in range(41)]


def test_the_band_is_fishers() -> None:
    # By hand: atanh(0.5) = 0.549306, 1.959964 / sqrt(97) = 0.199004.
    low, high = fisher_band(0.5, 100, 0.95)
    assert low == pytest.approx(math.tanh(0.54930614433 - 0.19900419155), abs=1e-9)
    assert high == pytest.approx(math.tanh(0.54930614433 + 0.19900419155), abs=1e-9)


def test_the_band_holds_the_truth_as_often_as_it_says() -> None:
    hits = 0
    for seed in range(400):
        one, other = pair(60, 0.7, seed)
        low, high = fisher_band(float(np.corrcoef(one, other)[0, 1]), 60, 0.9)
        hits += bool(low <= 0.7 <= high)
    # 360 expected, standard deviation 6.
    assert 342 <= hits <= 378


def test_a_constant_correlation_is_outside_its_own_band_as_often_as_the_confidence_says() -> None:
    one, other = pair(20_000, 0.7)
    assert trust(one, other, window=60).outside == pytest.approx(0.05, abs=0.02)


def test_one_that_broke_is_not() -> None:
    one, other = pair(1000, 0.9)
    _, apart = pair(1000, 0.0, seed=6)
    other[500:] = apart[500:]
    found = trust(one, other, window=60)
    assert found.outside > 0.8
    assert found.rolling_low < 0.1
    assert found.rolling_high > 0.9
    assert found.low_at >= 500 > found.high_at
    assert found.lowest <= found.rolling_low
    assert found.highest >= found.rolling_high


def test_dates_count_on_which_both_are_known() -> None:
    one, other = pair(100, 0.5)
    one[::7], other[::5] = np.nan, np.nan
    both = ~(np.isnan(one) | np.isnan(other))
    found = trust(one, other)
    assert found.n == both.sum()
    assert found.correlation == pytest.approx(np.corrcoef(one[both], other[both])[0, 1], rel=1e-10)


def test_now_weighs_the_latest_most() -> None:
    one, other = pair(50, 0.5)
    weight = [0.9**age for age in range(49, -1, -1)]
    top = sum(w * x * y for w, x, y in zip(weight, one, other, strict=True))
    sizes = [math.sqrt(sum(w * x * x for w, x in zip(weight, values, strict=True))) for values in (one, other)]
    assert trust(one, other, decay=0.9).now == pytest.approx(top / sizes[0] / sizes[1], rel=1e-12)


def test_stressed_periods_have_their_own() -> None:
    one, other = pair(100, 0.5)
    days, short = np.zeros(100, np.bool_), np.zeros(100, np.bool_)
    days[40:60], short[:3] = True, True
    found = trust(one, other, periods={"crash": days, "too short": short})
    assert list(found.stressed) == ["crash"]
    assert found.stressed["crash"] == pytest.approx(np.corrcoef(one[40:60], other[40:60])[0, 1], rel=1e-10)


def test_joint_falls_of_one_factor_are_all_and_of_independent_ones_few() -> None:
    one, other = pair(2000, 0.0)
    assert trust(one, one * 3).joint_falls == 1.0
    assert trust(one, other).joint_falls == pytest.approx(0.05, abs=0.05)


@pytest.mark.parametrize("few", [0, 5, 19])
def test_with_fewer_dates_than_a_run_nothing_is_said(few: int) -> None:
    one, other = pair(40, 0.5)
    one[few:] = np.nan
    found = trust(one, other)
    assert found.n == few
    assert math.isnan(found.correlation)
    assert found.low_at == -1


def test_what_makes_no_sense_is_refused() -> None:
    one, other = pair(40, 0.5)
    with pytest.raises(ShapeError):
        trust(one, other[:30])
    with pytest.raises(InputError):
        trust(one, other, window=3)
    with pytest.raises(InputError):
        fisher_band(0.5, 3, 0.95)
    with pytest.raises(InputError):
        fisher_band(0.5, 30, 1.0)


def history(n: int = 300, rolled: bool = False) -> FactorHistories:
    """Three factors: two that move together, and one that does not."""
    one, other = pair(n, 0.8)
    _, third = pair(n, 0.0, seed=9)
    changes = np.stack((one, other / 30_000, third / 30_000), axis=1)
    marks = np.zeros(changes.shape, np.bool_)
    if rolled:
        changes[50, 0] = 0.7
        marks[50, 0] = True
    factors = [factor_of(name) for name in ("price:A", "price:B", "price:C")]
    return FactorHistories.of(factors, np.arange(n) * DAY, 100 * np.exp(np.cumsum(changes, axis=0)), marks, source="h")


def test_every_pair_is_reported_the_least_constant_first() -> None:
    report = correlations(history())
    assert {frozenset(one) for one in report.pairs} == {
        frozenset(("price:A", "price:B")),
        frozenset(("price:A", "price:C")),
        frozenset(("price:B", "price:C")),
    }
    widths = [t.rolling_high - t.rolling_low for t in report.trust]
    assert widths == sorted(widths, reverse=True)
    assert report.pairs[-1] == ("price:A", "price:B")
    assert report.table().height == 3
    assert len(report.to_dict()["pairs"]) == 3


def test_a_roll_is_left_out() -> None:
    plain, rolled = (correlations(one, factors=["A", "B"]).trust[0] for one in (history(), history(rolled=True)))
    assert rolled.n == plain.n - 1
    assert rolled.correlation == pytest.approx(plain.correlation, abs=0.01)


def test_only_the_latest_dates_if_so_wished() -> None:
    report = correlations(history(), observations=100)
    assert [t.n for t in report.trust] == [100] * 3
    assert report.first == "1970-07-20"
    assert report.last == "1970-10-27"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"factors": ["A", "D", "E"]}, "no factor 'price:E'"),
        ({"factors": ["A"]}, "1 factor"),
        ({"window": 2}, "runs of 2"),
        ({"window": 1000}, "runs of 1000"),
        ({"decay": 0.0}, "a decay of 0"),
        ({"confidence": 1.0}, "a confidence of 1"),
    ],
)
def test_what_cannot_be_answered_is_said(asked: dict[str, object], said: str) -> None:
    with pytest.raises(CrossmarginError, match=said):
        correlations(history(), **asked)  # type: ignore[arg-type]


def test_stressed_periods_are_read_with_both_their_dates() -> None:
    found = stress_periods(["spring=1970-03-01..1970-03-02"])
    assert found == {"spring": (59 * DAY, 61 * DAY - 1)}
    assert "March 2020" in stress_periods()
    with pytest.raises(InputError) as caught:
        stress_periods(["x=2020", "=2020-01-01..2020-01-02", "y=2020-02-01..2020-01-01"])
    assert len(caught.value.problems) == 3


def test_a_history_of_two_clocks_is_refused() -> None:
    """One walk, observed at midnight and in the evening: it would be said to be uncorrelated with itself."""
    n = 200
    walk = 100 * np.exp(np.cumsum(0.02 * np.random.default_rng(4).standard_normal(n)))
    levels = np.full((2 * n, 2), np.nan)
    levels[0::2, 0] = levels[1::2, 1] = walk
    times = 86_400 * np.repeat(np.arange(n), 2) + np.tile([0, 75_600], n)
    with pytest.raises(InputError, match="one level a day"):
        correlations(FactorHistories.of([factor_of("A"), factor_of("B")], times, levels))
