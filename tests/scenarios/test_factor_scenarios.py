"""Sets of factor scenarios, each against a loop that is written out."""

from __future__ import annotations

import math

import numpy as np
import pytest

from crossmargin.basics.errors import InputError, ShapeError
from crossmargin.dependence.volatility import ewma_variance
from crossmargin.history.changes import FactorChanges
from crossmargin.history.factors import factor_of
from crossmargin.scenarios.factor_scenarios import (
    Horizon,
    drawn,
    filtered,
    historical,
    hypothetical,
    joined,
    mirrored,
    over_horizon,
    stress_days,
)

DAY = 86_400
FACTORS = (factor_of("price:A"), factor_of("price:B"), factor_of("rate:USD"))


def changes(n: int, seed: int = 1) -> FactorChanges:
    """Random changes of three factors, one unknown here and there."""
    values = np.random.default_rng(seed).standard_normal((n, 3)) * (0.02, 0.03, 0.0005)
    values[3, 1] = np.nan
    return FactorChanges(
        factors=FACTORS,
        times=np.arange(1, n + 1) * DAY,
        values=values,
        stood_in=np.zeros(values.shape, dtype=np.bool_),
    )


@pytest.mark.parametrize("damped", [False, True])
def test_filtered_is_each_change_over_its_volatility_times_that_of_now(damped: bool) -> None:
    decay, seed_days, n = 0.9, 5, 40
    values = np.random.default_rng(4).standard_normal(n) * 0.02
    variance = sum(x * x for x in values[:seed_days]) / seed_days
    then = [math.nan] * seed_days
    for x in values[seed_days:]:
        then.append(math.sqrt(variance))
        variance = decay * variance + (1 - decay) * x * x
    now = math.sqrt(variance)
    expected = [
        x * ((s + now) / (2 * s) if damped else now / s)
        for x, s in zip(values[seed_days:], then[seed_days:], strict=True)
    ]
    own = FactorChanges(
        factors=FACTORS[:1],
        times=np.arange(n) * DAY,
        values=values[:, None],
        stood_in=np.zeros((n, 1), dtype=np.bool_),
    )
    of_day, of_now = ewma_variance(own.values, decay, seed_days=seed_days)
    found = filtered(own, np.sqrt(of_day), np.sqrt(of_now), damped=damped)
    np.testing.assert_allclose(found.shifts[seed_days:, 0], expected, rtol=1e-12)
    assert np.isnan(found.shifts[:seed_days]).all()


def test_a_factor_that_never_moved_does_not_move() -> None:
    own = changes(10)
    pegged = FactorChanges(factors=own.factors, times=own.times, values=own.values * (1, 1, 0), stood_in=own.stood_in)
    volatility = np.full((10, 3), 0.01)
    volatility[:, 2] = 0.0
    found = filtered(pegged, volatility, np.array([0.02, 0.02, 0.0]))
    assert (found.shifts[:, 2] == 0).all()


def test_overlapping_runs_add_up_their_days_and_sub_samples_share_none() -> None:
    own = changes(11)
    found = over_horizon(historical(own), 3, Horizon.OVERLAPPING)
    assert len(found) == 9
    for k in range(9):
        np.testing.assert_allclose(found.shifts[k], own.values[k] + own.values[k + 1] + own.values[k + 2], rtol=1e-12)
        assert found.times[k] == own.times[k + 2]
    for sub_sample in range(3):
        ends = found.times[found.sub_sample == sub_sample] // DAY
        assert (np.diff(ends) == 3).all()
    assert found.sub_sample[-1] == 0


def test_separate_runs_are_those_counted_back_from_the_latest() -> None:
    own = changes(11)
    found = over_horizon(historical(own), 3, Horizon.SEPARATE)
    assert (found.times // DAY).tolist() == [5, 8, 11]
    np.testing.assert_allclose(found.shifts[-1], own.values[8:11].sum(axis=0), rtol=1e-12)


def test_the_root_of_time_scales_days() -> None:
    own = changes(11)
    found = over_horizon(historical(own), 4, Horizon.SQUARE_ROOT)
    np.testing.assert_allclose(found.shifts, own.values * 2, rtol=1e-15)


def test_what_is_unknown_on_one_day_is_unknown_in_every_run_that_has_it() -> None:
    found = over_horizon(historical(changes(11)), 2, Horizon.OVERLAPPING)
    assert np.flatnonzero(np.isnan(found.shifts[:, 1])).tolist() == [2, 3]
    assert not np.isnan(found.shifts[:, 0]).any()


@pytest.mark.parametrize("days", [0, -1])
def test_a_horizon_has_days(days: int) -> None:
    with pytest.raises(InputError):
        over_horizon(historical(changes(5)), days, Horizon.OVERLAPPING)


def test_a_horizon_is_not_longer_than_the_history() -> None:
    with pytest.raises(InputError, match="5 daily changes for a horizon of 6"):
        over_horizon(historical(changes(5)), 6, Horizon.OVERLAPPING)


def test_mirrored_has_every_scenario_both_ways() -> None:
    own = historical(changes(5))
    found = mirrored(own)
    assert len(found) == 10
    np.testing.assert_array_equal(found.shifts[5:], -own.shifts)
    assert found.words(0) == "as on 1970-01-02"
    assert found.words(5) == "as on 1970-01-02, mirrored"


def test_stress_days_by_name_each_once() -> None:
    own = historical(changes(10))
    found = stress_days(own, {"one": (2 * DAY, 4 * DAY), "other": (4 * DAY, 5 * DAY)})
    assert found.labels == ("one, 1970-01-03", "one, 1970-01-04", "one, 1970-01-05", "other, 1970-01-06")
    np.testing.assert_array_equal(found.shifts, own.shifts[1:5])


def test_hypothetical_moves_what_is_named_and_every_other_of_a_kind() -> None:
    found = hypothetical(FACTORS, {"crash": {"price:A": -0.5, "price:*": -0.3}, "hike": {"rate:USD": 0.01}})
    np.testing.assert_array_equal(found.shifts, [[-0.5, -0.3, 0.0], [0.0, 0.0, 0.01]])
    assert [found.words(k) for k in range(2)] == ["crash", "hike"]


def test_sets_are_joined_with_their_words() -> None:
    one, other = historical(changes(5)), hypothetical(FACTORS, {"crash": {"price:*": -0.5}})
    found = joined([one, other], name="all")
    assert [found.words(k) for k in (0, 4, 5)] == ["as on 1970-01-02", "as on 1970-01-06", "crash"]
    assert found.shifts[5].tolist() == [-0.5, -0.5, 0.0]
    with pytest.raises(ShapeError):
        joined([one, hypothetical(FACTORS[:2], {"crash": {}})], name="all")


def test_shapes_are_checked() -> None:
    with pytest.raises(ShapeError):
        drawn(FACTORS, np.zeros((2, 2)))
    assert drawn(FACTORS, np.zeros((2, 3))).words(1) == "draw 2"
