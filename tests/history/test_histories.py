"""Histories and their changes: calendars, gaps, rolls, listings and delistings, what can be negative."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from crossmargin.basics.errors import InputError
from crossmargin.history.changes import FactorChanges, factor_changes
from crossmargin.history.factors import Change, factor_of
from crossmargin.history.histories import FactorHistories

NAN = float("nan")
DAY = 86_400


def of_days(days: list[int], rolled: dict[str, list[int]] | None = None, **levels: list[float]) -> FactorHistories:
    """Prices on days since 1970; `rolled` says by factor which rows are of another contract."""
    names = list(levels)
    table = np.array([levels[name] for name in names], dtype=float).T
    marks = np.zeros(table.shape, dtype=np.bool_)
    for name, rows in (rolled or {}).items():
        marks[rows, names.index(name)] = True
    return FactorHistories.of([factor_of(n) for n in names], np.array(days) * DAY, table, marks, source="hist.csv")


def of(changes: FactorChanges, name: str) -> np.ndarray:
    """Changes of one factor."""
    return changes.values[:, [factor.name for factor in changes.factors].index(name)]


def test_a_relative_change_is_the_logarithm_and_an_absolute_one_the_difference() -> None:
    history = FactorHistories.of(
        [factor_of("price:A"), factor_of("rate:USD")], np.array([0, DAY]), np.array([[100.0, 0.04], [110.0, 0.03]])
    )
    changes = factor_changes(history)
    assert of(changes, "price:A")[0] == pytest.approx(np.log(1.1), rel=1e-15)
    assert of(changes, "rate:USD")[0] == pytest.approx(-0.01, rel=1e-13)


def test_a_closed_market_does_not_move_until_it_opens() -> None:
    changes = factor_changes(of_days([0, 1, 2, 3, 4], A=[100, NAN, NAN, 110, 121], B=[1, 2, 3, 4, 5]))
    np.testing.assert_allclose(of(changes, "price:A"), [0, 0, np.log(1.1), np.log(1.1)], rtol=1e-14)


def test_over_a_suspension_nothing_is_known_and_the_day_it_ends_has_the_whole_change() -> None:
    days = [*range(20), 28]  # between day 10 and day 19 A is not traded: nine days, longer than any holiday
    a = [100.0 + d if d <= 10 else NAN for d in range(19)] + [55.0, 55.0]
    changes = factor_changes(of_days(days, A=a, B=[1.0 + d for d in days]))
    found = of(changes, "price:A")
    assert np.isnan(found[10:18]).all()
    assert found[18] == pytest.approx(np.log(55 / 110), rel=1e-14)
    # The calendar itself has no date between day 19 and day 28: nobody's suspension, one change over nine days.
    assert found[19] == 0.0


def test_how_long_a_closed_market_may_be_is_a_parameter() -> None:
    history = of_days([0, 1, 2, 3], A=[100, NAN, NAN, 110], B=[1, 2, 3, 4])
    assert np.isnan(of(factor_changes(history, longest_closure_days=2), "price:A")[:2]).all()
    assert (of(factor_changes(history, longest_closure_days=3), "price:A")[:2] == 0).all()


def test_a_roll_is_no_move_and_the_change_before_it_stands_in() -> None:
    history = of_days([0, 1, 2, 3], rolled={"A": [2]}, A=[100, 90, 120, 126], B=[1, 2, 3, 4])
    changes = factor_changes(history)
    np.testing.assert_allclose(of(changes, "price:A"), [np.log(0.9), np.log(0.9), np.log(1.05)], rtol=1e-14)
    assert changes.stood_in.tolist() == [[False, False], [True, False], [False, False]]


def test_a_roll_with_nothing_before_it_is_unknown() -> None:
    changes = factor_changes(of_days([0, 1, 2], rolled={"A": [1]}, A=[100, 200, 210], B=[1, 2, 3]))
    assert np.isnan(of(changes, "price:A")[0])
    assert of(changes, "price:A")[1] == pytest.approx(np.log(1.05))


def test_before_the_first_and_after_the_last_price_nothing_is_known() -> None:
    changes = factor_changes(of_days([0, 1, 2, 3, 4], A=[NAN, 100, 110, NAN, NAN], B=[1, 2, 3, 4, 5]))
    assert np.isnan(of(changes, "price:A")).tolist() == [True, False, True, True]


def test_what_was_negative_changes_absolutely_and_says_so() -> None:
    crude = of_days([0, 1, 2, 3], CL=[25.0, 18.27, -37.63, 10.01], ES=[1, 2, 3, 4])
    fitted, notes = crude.fitted()
    assert [factor.change for factor in fitted.factors] == [Change.ABSOLUTE, Change.RELATIVE]
    assert notes == ("price:CL was at -37.63 on 1970-01-03: its changes are absolute",)
    np.testing.assert_allclose(of(factor_changes(fitted), "price:CL"), [-6.73, -55.90, 47.64], rtol=1e-14)


def test_the_day_before_nobody_knew() -> None:
    crude = of_days([0, 1, 2, 3], CL=[25.0, 18.27, -37.63, 10.01], ES=[1, 2, 3, 4])
    fitted, notes = crude.up_to(datetime(1970, 1, 2, 12, tzinfo=UTC)).fitted()
    assert len(fitted.times) == 2
    assert fitted.factors[0].change is Change.RELATIVE
    assert notes == ()


def test_order_of_rows_and_factors_is_no_part_of_a_history() -> None:
    one = of_days([0, 1, 2], A=[1, 2, 3], B=[4, 5, 6])
    other = of_days([2, 0, 1], B=[6, 4, 5], A=[3, 1, 2])
    assert one.fingerprint == other.fingerprint


@pytest.mark.parametrize("moved", ["level", "date", "roll"])
def test_the_fingerprint_tells_whatever_a_figure_can_depend_on(moved: str) -> None:
    one = of_days([0, 1, 2], A=[1, 2, 3])
    other = {
        "level": of_days([0, 1, 2], A=[1, 2, 3.0000001]),
        "date": of_days([0, 1, 3], A=[1, 2, 3]),
        "roll": of_days([0, 1, 2], rolled={"A": [1]}, A=[1, 2, 3]),
    }[moved]
    assert one.fingerprint != other.fingerprint


def test_all_that_is_wrong_with_a_history_is_said_at_once() -> None:
    with pytest.raises(InputError) as caught:
        of_days([0, 0, 1, 2], A=[1, 2, float("inf"), 4])
    told = str(caught.value)
    assert "1970-01-01 stands twice" in told
    assert "inf" in told


def test_dates_of_another_clock_are_refused() -> None:
    days = list(range(40))
    with pytest.raises(InputError, match=r"'price:A' was observed on 14 of the 40 dates"):
        of_days(days, A=[1.0 if d % 3 == 0 else NAN for d in days], B=[1.0] * 40)


def test_a_factor_without_any_level_is_refused() -> None:
    with pytest.raises(InputError, match="'price:A' has no level"):
        of_days([0, 1], A=[NAN, NAN], B=[1, 2])


def test_some_factors_of_a_history() -> None:
    history = of_days([0, 1], A=[1, 2], B=[3, 4], C=[5, 6])
    assert history.of_factors(["price:C", "price:A"]).names == ("price:A", "price:C")
    with pytest.raises(InputError, match="no history of 'price:D'"):
        history.of_factors(["price:D"])


def test_a_roll_on_a_date_without_a_level_is_in_the_step_to_the_next() -> None:
    on_the_gap = factor_changes(of_days([0, 1, 2, 3, 4], {"A": [2]}, A=[100, 110, NAN, 55, 66], B=[1] * 5))
    on_the_level = factor_changes(of_days([0, 1, 2, 3, 4], {"A": [3]}, A=[100, 110, NAN, 55, 66], B=[1] * 5))
    assert of(on_the_gap, "price:A").tolist() == of(on_the_level, "price:A").tolist()
    assert of(on_the_gap, "price:A") == pytest.approx(np.log([1.1, 1.0, 1.1, 1.2]))
    assert on_the_gap.stood_in[:, 0].tolist() == [False, False, True, False]
