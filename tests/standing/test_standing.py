"""Standing: the states in their order, at their thresholds, and what has no requirement."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.arrays import FloatArray
from crossmargin.methodologies.requirements import AccountRequirements
from crossmargin.standing.standing import STATES, Standing, State, Thresholds, standing


def required(value: FloatArray, initial: FloatArray, maintenance: FloatArray) -> AccountRequirements:
    """Requirements of a method that credits all option value at both levels."""
    return AccountRequirements(
        requirement_initial=initial,
        requirement_maintenance=maintenance,
        net_option_value=value,
        credit_initial=value,
        credit_maintenance=value,
    )


def stand(
    collateral: float, value: float = 0.0, initial: float = 100.0, maintenance: float = 80.0, **levels: float
) -> Standing:
    columns = [np.array([x]) for x in (collateral, value, initial, maintenance)]
    return standing(columns[0], required(*columns[1:]), Thresholds(**levels) if levels else None)


@pytest.mark.parametrize(
    ("collateral", "state"),
    [
        (1_000.0, State.HEALTHY),
        (110.0001, State.HEALTHY),
        (109.99, State.WARNING),
        (100.0, State.WARNING),  # exactly what is required is no call
        (99.999, State.CALL),
        (80.0, State.CALL),  # exactly maintenance is no liquidation
        (79.999, State.LIQUIDATION),
        (0.0, State.LIQUIDATION),
        (-50.0, State.LIQUIDATION),
    ],
)
def test_states_at_their_thresholds(collateral: float, state: State) -> None:
    assert stand(collateral).state == (state,)


def test_equity_excess_deficit_and_coverage() -> None:
    short = stand(70.0, 20.0)
    assert (short.equity[0], short.excess[0], short.deficit[0], short.coverage[0]) == (90.0, -10.0, 10.0, 0.9)
    assert short.anybody_short
    over = stand(170.0, -20.0)
    assert (over.equity[0], over.excess[0], over.deficit[0], over.coverage[0]) == (150.0, 50.0, 0.0, 1.5)
    assert not over.anybody_short


def test_nothing_required() -> None:
    nothing = stand(0.0, initial=0.0, maintenance=0.0)
    assert nothing.state == (State.HEALTHY,)
    assert np.isinf(nothing.coverage[0])
    assert not nothing.anybody_short
    indebted = stand(-5.0, initial=0.0, maintenance=0.0)
    assert indebted.state == (State.LIQUIDATION,)
    assert indebted.deficit[0] == 5.0
    assert indebted.anybody_short


def test_thresholds_are_parameters() -> None:
    assert stand(120.0, warning=1.25).state == (State.WARNING,)
    assert stand(85.0, liquidation=1.1).state == (State.LIQUIDATION,)


AMOUNT = st.floats(-1e9, 1e9)
REQUIRED = st.just(0.0) | st.floats(0.01, 1e9)


@given(rows=st.lists(st.tuples(AMOUNT, AMOUNT, REQUIRED, st.floats(0, 1)), min_size=1, max_size=20))
def test_each_account_stands_alone(rows: list[tuple[float, float, float, float]]) -> None:
    collateral, value, initial, factor = (np.array(column) for column in zip(*rows, strict=True))
    together = standing(collateral, required(value, initial, initial * factor))
    for k in range(len(rows)):
        alone = stand(*(float(x[k]) for x in (collateral, value, initial, initial * factor)))
        assert alone.state[0] is together.state[k]
        assert (alone.equity[0], alone.excess[0]) == (together.equity[k], together.excess[k])
    assert together.anybody_short == bool((together.deficit > 0).any())
    for state, excess in zip(together.state, together.excess.tolist(), strict=True):
        assert (excess < 0) == (state in (State.CALL, State.LIQUIDATION))


@given(equity=AMOUNT, more=st.floats(0, 1e6), initial=REQUIRED)
def test_more_equity_never_makes_the_state_worse(equity: float, more: float, initial: float) -> None:
    order = [State.LIQUIDATION, State.CALL, State.WARNING, State.HEALTHY]
    before = stand(equity, initial=initial, maintenance=0.8 * initial).state[0]
    after = stand(equity + more, initial=initial, maintenance=0.8 * initial).state[0]
    assert order.index(after) >= order.index(before)


def test_option_value_counts_as_the_method_says_at_each_level() -> None:
    nothing, credit = np.zeros(1), np.array([30.0])
    requirements = AccountRequirements(
        requirement_initial=np.array([100.0]),
        requirement_maintenance=np.array([80.0]),
        net_option_value=np.array([40.0]),
        credit_initial=credit,
        credit_maintenance=nothing,
    )
    for collateral, equity, state in ((90.0, 120.0, State.HEALTHY), (79.0, 109.0, State.LIQUIDATION)):
        stands = standing(np.array([collateral]), requirements)
        assert stands.equity.tolist() == [equity]
        assert stands.state == (state,)


def test_who_owes_and_needs_nothing_is_not_covered() -> None:
    stands = standing(np.array([-1.0, 1.0]), required(np.zeros(2), np.zeros(2), np.zeros(2)))
    assert stands.coverage.tolist() == [-np.inf, np.inf]
    assert stands.state[0] == "liquidation"


STANDING_ROWS = st.lists(st.tuples(AMOUNT, REQUIRED, st.floats(0, 1)), max_size=30)


@given(rows=STANDING_ROWS)
def test_states_as_a_loop_over_the_accounts_finds_them(rows: list[tuple[float, float, float]]) -> None:
    equity, initial, factor = np.array(rows, dtype=float).reshape(-1, 3).T
    stands = standing(equity, required(np.zeros(len(rows)), initial, initial * factor))
    expected = []
    for have, need, least in zip(equity.tolist(), initial.tolist(), (initial * factor).tolist(), strict=True):
        if have < least:
            expected.append(State.LIQUIDATION)
        elif have - need < 0:
            expected.append(State.CALL)
        else:
            expected.append(State.WARNING if have < 1.1 * need else State.HEALTHY)
    assert stands.state == tuple(expected)
    assert [stands.state_of(k) for k in range(len(rows))] == expected
    assert stands.state_code.tolist() == [list(State).index(state) for state in expected]
    assert stands.count() == {state: expected.count(state) for state in State}


def test_codes_are_small_read_only_and_in_the_order_of_the_states() -> None:
    assert STATES == (State.HEALTHY, State.WARNING, State.CALL, State.LIQUIDATION)
    stands = stand(0.0)
    assert stands.state_code.dtype == np.int8
    with pytest.raises(ValueError, match="read-only"):
        stands.state_code[0] = 0
    assert stands.state is stands.state  # made once


def test_standings_of_blocks_join_to_that_of_all() -> None:
    columns = [np.array(values, dtype=np.float64) for values in ([5, -1, 0], [0, 1, 2], [4, 3, 0], [3, 2, 0])]

    def of(rows: slice) -> Standing:
        collateral, *others = (column[rows] for column in columns)
        return standing(collateral, required(*others))

    whole = of(slice(None))
    parts = [of(rows) for rows in (slice(0, 1), slice(1, 1), slice(1, 3))]
    joined = Standing.joined(parts)
    for one in fields(Standing):
        assert getattr(joined, one.name).tobytes() == getattr(whole, one.name).tobytes()
        assert not getattr(joined, one.name).flags.writeable
    assert joined.state == whole.state
    assert joined.anybody_short
