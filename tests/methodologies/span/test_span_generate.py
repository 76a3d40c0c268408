"""Arrays of our own: against the formula one scenario at a time, against QuantLib, and against one real array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import ParameterError, ShapeError
from crossmargin.methodologies.span.generate import (
    DELTA_POINTS,
    Model,
    array_rules,
    linear_arrays,
    option_arrays,
)
from crossmargin.methodologies.span.parameters import STANDARD_SCENARIOS


def columns(**changes: float) -> dict[str, Any]:
    stated = {
        "underlying": 5_000.0,
        "strike": 5_100.0,
        "vol": 0.2,
        "years": 0.25,
        "price": float("nan"),
        "price_scan": 250.0,
        "vol_scan": 0.04,
        "value_factor": 50.0,
    } | changes
    return {name: np.array([value]) for name, value in stated.items()}


def black(forward: float, strike: float, vol: float, years: float, is_call: bool) -> float:
    ql = pytest.importorskip("QuantLib")
    kind = ql.Option.Call if is_call else ql.Option.Put
    return float(ql.blackFormula(kind, strike, forward, vol * years**0.5))


@pytest.mark.parametrize("is_call", [True, False])
@pytest.mark.parametrize("relative", [True, False])
def test_an_array_is_the_formula_scenario_by_scenario(is_call: bool, relative: bool) -> None:
    rules = array_rules(extreme_multiple=2, extreme_cover=0.35, vol_relative=relative)
    given = columns()
    loss, _ = option_arrays(is_call=np.array([is_call]), rules=rules, **given)
    now = black(5_000, 5_100, 0.2, 0.25, is_call)
    for k in range(16):
        move, direction = STANDARD_SCENARIOS.price[k], STANDARD_SCENARIOS.vol[k]
        cover = 1.0
        if k >= 14:
            move, cover = (2, -2)[k - 14], 0.35
        vol = 0.2 * (1 + 0.04 * direction) if relative else 0.2 + 0.04 * direction
        then = black(5_000 + 250 * move, 5_100, vol, 0.25 - 1 / 365, is_call)
        assert loss[0, k] == pytest.approx(cover * (now - then) * 50, rel=1e-8, abs=1e-6)


def test_the_composite_delta_is_the_weighted_mean_over_seven_prices() -> None:
    assert sum(weight * (2 if move else 1) for move, weight in DELTA_POINTS) == pytest.approx(1.0)
    _, call = option_arrays(is_call=np.array([True]), rules=array_rules(), **columns())
    _, put = option_arrays(is_call=np.array([False]), rules=array_rules(), **columns())
    assert 0 < call[0] < 1
    assert put[0] == pytest.approx(call[0] - 1, abs=1e-12)
    deep, _ = option_arrays(is_call=np.array([True]), rules=array_rules(), **columns(strike=1.0))[::-1]
    assert deep[0] == pytest.approx(1.0, abs=1e-9)


def test_a_future_moves_by_its_range_and_is_covered_in_part_in_the_extreme() -> None:
    """The published array of an index future: 2 ranges at 35%, without its price drift of 8.72."""
    loss = linear_arrays(np.array([2_235.64]), np.array([1.0]), array_rules(extreme_multiple=2, extreme_cover=0.35))[0]
    published = [8.72, 8.72, -736.49, -736.49, 753.93, 753.93, -1481.70, -1481.70, 1499.14, 1499.14, -2226.91,
                 -2226.91, 2244.36, 2244.36, -1561.89, 1568.00]  # fmt: skip
    cover = np.array([1.0] * 14 + [0.35] * 2)
    assert loss + 8.72 * cover == pytest.approx(published, abs=0.011)


def test_long_options_lose_no_more_than_their_price() -> None:
    strikes = np.linspace(3_000, 8_000, 60)
    n = len(strikes)
    given = {name: np.repeat(value, n) for name, value in columns().items()} | {"strike": strikes}
    for is_call in (True, False):
        loss, _ = option_arrays(is_call=np.full(n, is_call), rules=array_rules(), **given)
        now = np.array([black(5_000, strike, 0.2, 0.25, is_call) for strike in strikes.tolist()])
        assert np.all(loss.max(axis=1) <= now * 50 * (1 + 1e-12) + 1e-9)


def test_a_range_that_would_take_the_price_below_zero_stops_above_it() -> None:
    loss, delta = option_arrays(is_call=np.array([False]), rules=array_rules(), **columns(price_scan=4_000.0))
    assert np.isfinite(loss).all()
    assert np.isfinite(delta).all()


def test_bachelier_takes_prices_of_any_sign() -> None:
    rules = array_rules(model=Model.BACHELIER)
    given = columns(underlying=-37.63, strike=-30.0, vol=60.0, price_scan=20.0, vol_scan=10.0, value_factor=1_000.0)
    loss, delta = option_arrays(is_call=np.array([True]), rules=rules, **given)
    assert np.isfinite(loss).all()
    assert 0 < delta[0] < 1
    assert loss[0, 12] > 0 > loss[0, 10]


def test_an_expired_option_has_its_intrinsic_value_after_the_look_ahead() -> None:
    loss, _ = option_arrays(is_call=np.array([True]), rules=array_rules(look_ahead_days=3), **columns(years=1 / 365))
    assert loss[0, 10] == pytest.approx((black(5_000, 5_100, 0.2, 1 / 365, True) - 150.0) * 50, rel=1e-8)


def test_bad_rules_and_columns_are_refused_all_at_once() -> None:
    with pytest.raises(ParameterError, match="extreme multiple is 0") as error:
        array_rules(extreme_multiple=0, extreme_cover=2, look_ahead_days=-1)
    assert len(error.value.problems) == 3
    with pytest.raises(ShapeError, match="columns of 1, 2"):
        option_arrays(is_call=np.array([True]), rules=array_rules(), **columns() | {"strike": np.array([1.0, 2.0])})
