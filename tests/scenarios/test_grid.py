"""The grid: which scenarios there are, in which order and words, and how volatility shifts by tenor."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.scenarios.grid import (
    GridRanges,
    GridShape,
    grid_scenarios,
    scenario_words,
    shifted_vol,
    vol_multiplier,
)

SHAPE = GridShape(price_steps=4, extended_moves=(-0.66, -0.33, 0.5, 1, 2, 3, 4, 5), extended_factor=1.0)
BTC = GridRanges(
    price_range=0.16,
    vol_range_up=0.5,
    vol_range_down=0.25,
    vol_power_short=0.30,
    vol_power_long=0.13,
    vol_floor_up=0.5,
    vol_days_floor=1.0,
    extended_low=-0.66,
    extended_high=5.0,
)


def years(days: float) -> np.ndarray:
    return np.array([days / 365])


def shifted(vol: float, days: float, ranges: GridRanges = BTC, scale: float = 1.0) -> dict[int, float]:
    """Volatility by direction."""
    grid = grid_scenarios(SHAPE, ranges)
    row = shifted_vol(np.array([vol]), np.array([scale]), years(days), grid, ranges)[0]
    return {d: float(row[int(np.flatnonzero(grid.vol_direction == d)[0])]) for d in (-1, 0, 1)}


def test_27_core_scenarios_then_8_extended() -> None:
    grid = grid_scenarios(SHAPE, BTC)
    assert len(grid) == 35
    expected = [round(k * 0.04, 12) for k in range(-4, 5) for _ in range(3)]
    assert grid.price_move[:27].tolist() == pytest.approx(expected, abs=1e-15)
    assert grid.price_move[27:].tolist() == [-0.66, -0.33, 0.5, 1, 2, 3, 4, 5]
    assert grid.vol_direction.tolist() == [-1, 0, 1] * 9 + [1] * 8
    assert grid.extended.tolist() == [False] * 27 + [True] * 8
    assert (grid.time_step_years == 0).all()
    assert grid.price_move[13] == 0


def test_extended_moves_are_damped_by_range_over_move() -> None:
    """As Paradex publishes for a range of 16%."""
    grid = grid_scenarios(SHAPE, BTC)
    assert (grid.weight[:27] == 1).all()
    published = [0.2424242424, 0.4848484848, 0.32, 0.16, 0.08, 0.0533333333, 0.04, 0.032]
    assert grid.weight[27:].tolist() == pytest.approx(published, rel=1e-9)
    half = grid_scenarios(replace(SHAPE, extended_factor=0.5), BTC)
    assert half.weight[27:].tolist() == pytest.approx([w / 2 for w in published], rel=1e-9)


def test_a_time_step_repeats_the_core() -> None:
    now, later = grid_scenarios(SHAPE, BTC), grid_scenarios(replace(SHAPE, time_step_days=2), BTC)
    assert len(later) == 27 + 27 + 8
    assert later.price_move[:27].tolist() == later.price_move[27:54].tolist() == now.price_move[:27].tolist()
    assert later.time_step_years.tolist() == [0.0] * 27 + [2 / 365] * 27 + [0.0] * 8
    assert later.extended.tolist() == [False] * 54 + [True] * 8
    assert later.weight[54:].tolist() == now.weight[27:].tolist()


def test_no_extended_moves() -> None:
    grid = grid_scenarios(replace(SHAPE, extended_moves=(), price_steps=1), BTC)
    assert grid.price_move.tolist() == pytest.approx([-0.16] * 3 + [0] * 3 + [0.16] * 3)


@pytest.mark.parametrize(
    ("days", "multiplier"),
    [
        (30, 1.0),
        (15, 2**0.30),
        (29.999, (30 / 29.999) ** 0.30),
        (30.001, (30 / 30.001) ** 0.13),
        (60, 0.5**0.13),
        (1, 30**0.30),
        (0.25, 30**0.30),  # shorter than the floor of one day scales as one day
        (365, (30 / 365) ** 0.13),
    ],
)
def test_power_on_either_side_of_30_days(days: float, multiplier: float) -> None:
    assert float(vol_multiplier(years(days), BTC)[0]) == pytest.approx(multiplier, rel=1e-12)


def test_the_floor_bounds_the_up_shift_only() -> None:
    assert shifted(0.10, 30) == pytest.approx({-1: 0.075, 0: 0.10, 1: 0.5})
    assert shifted(0.80, 30) == pytest.approx({-1: 0.60, 0: 0.80, 1: 1.20})
    # 0.5 / 1.5: where the floor begins to bind.
    assert shifted(1 / 3 + 1e-9, 30)[1] > 0.5
    assert shifted(1 / 3 - 1e-9, 30)[1] == 0.5


def test_a_bachelier_floor_is_in_price_units() -> None:
    assert shifted(2.0, 30, scale=50.0)[1] == pytest.approx(25.0)
    assert shifted(20.0, 30, scale=50.0) == pytest.approx({-1: 15.0, 0: 20.0, 1: 30.0})


def test_down_never_goes_below_zero() -> None:
    wide = replace(BTC, vol_range_down=0.9)
    assert shifted(0.8, 1, wide)[-1] == 0.0


@given(vol=st.floats(0.01, 5), days=st.floats(0.01, 2000))
def test_down_is_below_same_is_below_up(vol: float, days: float) -> None:
    by_direction = shifted(vol, days)
    assert 0 <= by_direction[-1] <= by_direction[0] <= by_direction[1]
    assert by_direction[0] == vol


def test_words() -> None:
    grid = grid_scenarios(replace(SHAPE, time_step_days=1.5), BTC)
    words = [scenario_words("BTC", grid, k) for k in range(len(grid))]
    assert words[0] == "BTC -16%, vol down"
    assert words[13] == "BTC unchanged, vol same"
    assert words[26] == "BTC +16%, vol up"
    assert words[27] == "BTC -16%, vol down, after 1.5 days"
    assert words[54] == "BTC -66%, vol up, 24.2% counted"
    assert words[55:57] == ["BTC -33%, vol up, 48.5% counted", "BTC +50%, vol up, 32.0% counted"]
    assert words[57] == "BTC +100%, vol up, 16.0% counted"
    assert len(set(words)) == len(words)
    eighteen = grid_scenarios(SHAPE, replace(BTC, price_range=0.18))
    assert scenario_words("ETH", eighteen, 9) == "ETH -4.5%, vol down"
    thirds = grid_scenarios(replace(SHAPE, price_steps=3), BTC)
    assert scenario_words("BTC", thirds, 3) == "BTC -10.6667%, vol down"
    assert scenario_words("BTC", grid_scenarios(SHAPE, replace(BTC, price_range=0.1)), 24) == "BTC +10%, vol down"


def test_extended_moves_stop_where_the_underlying_says() -> None:
    """The scenario stays at its place, so that another underlying's whole move can be combined with it."""
    index = grid_scenarios(SHAPE, replace(BTC, price_range=0.08, extended_low=-0.33, extended_high=0.25))
    coin = grid_scenarios(SHAPE, BTC)
    assert len(index) == len(coin)
    assert index.price_move[index.extended].min() >= -0.33
    assert index.price_move[index.extended].max() <= 0.25
    assert (index.weight <= 1).all()
