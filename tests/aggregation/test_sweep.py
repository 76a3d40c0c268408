"""The sweep: one fixed order, blocks that nobody notices, and the lowest index among ties."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.aggregation import sweep
from crossmargin.aggregation.across_units import common_scan
from crossmargin.aggregation.sweep import Holdings, blocks, scenario_pnl, segment_sum, worst_loss

N_INSTRUMENTS = 11


def holdings(counts: list[int], seed: int = 1) -> Holdings:
    """Random positions, `counts[k]` of them in unit `k`."""
    generator = np.random.default_rng(seed)
    n = sum(counts)
    return Holdings(
        offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
        instrument=generator.integers(0, N_INSTRUMENTS, n),
        quantity=generator.normal(size=n) * 10.0 ** generator.integers(-3, 6, n),
    )


def table(n_scenarios: int, seed: int = 2) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N_INSTRUMENTS, n_scenarios))


def looped(held: Holdings, unit_pnl: np.ndarray) -> list[list[float]]:
    """The same in plain Python: position by position."""
    result = []
    for u in range(held.n_units):
        total = [0.0] * unit_pnl.shape[1]
        for k in range(int(held.offsets[u]), int(held.offsets[u + 1])):
            for s in range(unit_pnl.shape[1]):
                total[s] += float(unit_pnl[held.instrument[k], s]) * float(held.quantity[k])
        result.append(total)
    return result


COUNTS = st.lists(st.integers(0, 9), min_size=0, max_size=25)


@settings(max_examples=60)
@given(counts=COUNTS, n_scenarios=st.sampled_from([1, 2, 35]), seed=st.integers(0, 9))
def test_pnl_is_the_loop_to_the_bit(counts: list[int], n_scenarios: int, seed: int) -> None:
    held, unit_pnl = holdings(counts, seed), table(n_scenarios)
    assert scenario_pnl(held, unit_pnl).tolist() == looped(held, unit_pnl)


@settings(max_examples=60)
@given(counts=COUNTS, n_scenarios=st.sampled_from([1, 2, 35]), block=st.integers(1, 30))
def test_blocks_alone_and_in_batch_have_the_same_bits(counts: list[int], n_scenarios: int, block: int) -> None:
    held, unit_pnl = holdings(counts), table(n_scenarios)
    loss, scenario = worst_loss(held, unit_pnl)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep.blocks, "__defaults__", (block,))
        assert [ends for _, ends in blocks(held.n_units)][-1:] == ([held.n_units] if counts else [])
        in_blocks, scenario_in_blocks = worst_loss(held, unit_pnl)
    assert in_blocks.tobytes() == loss.tobytes()
    assert scenario_in_blocks.tobytes() == scenario.tobytes()
    for u in range(held.n_units):
        span = slice(int(held.offsets[u]), int(held.offsets[u + 1]))
        alone = Holdings(
            offsets=np.array([0, counts[u]]), instrument=held.instrument[span], quantity=held.quantity[span]
        )
        loss_alone, scenario_alone = worst_loss(alone, unit_pnl)
        assert (loss_alone[0], scenario_alone[0]) == (loss[u], scenario[u])


@pytest.mark.parametrize("n_units", [0, 1, 4095, 4096, 4097, 8192])
def test_block_boundaries(n_units: int) -> None:
    ranges = list(blocks(n_units))
    assert [k for first, last in ranges for k in range(first, last)] == list(range(n_units))
    assert all(0 < last - first <= sweep.BLOCK_UNITS for first, last in ranges)
    held, unit_pnl = holdings([k % 3 for k in range(n_units)]), table(5)
    loss, scenario = worst_loss(held, unit_pnl)
    pnl = np.array(looped(held, unit_pnl)).reshape(n_units, 5)
    assert loss.tolist() == (-pnl.min(axis=1, initial=np.inf)).tolist() if n_units else len(loss) == 0
    assert scenario.tolist() == pnl.argmin(axis=1).tolist()


def test_units_without_positions_lose_nothing_in_the_first_scenario() -> None:
    loss, scenario = worst_loss(holdings([0, 3, 0, 0]), table(4))
    assert loss[[0, 2, 3]].tolist() == [0.0, 0.0, 0.0]
    assert scenario[[0, 2, 3]].tolist() == [0, 0, 0]
    assert not np.signbit(loss[[0, 2, 3]]).any()


def test_a_loss_is_negative_when_every_scenario_gains() -> None:
    held = Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([2.0]))
    loss, scenario = worst_loss(held, np.array([[3.0, 1.0, 2.0]]))
    assert (loss[0], scenario[0]) == (-2.0, 1)


@given(order=st.permutations([0.0, -1.0, -1.0, 2.0, -1.0]))
def test_among_ties_the_lowest_index(order: list[float]) -> None:
    held = Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([1.0]))
    loss, scenario = worst_loss(held, np.array([order]))
    assert (loss[0], scenario[0]) == (1.0, order.index(-1.0))


def test_a_tie_of_zero_and_minus_zero_is_a_tie() -> None:
    held = Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([1.0]))
    _, scenario = worst_loss(held, np.array([[0.0, -0.0, 0.0]]))
    assert scenario[0] == 0


def test_one_unit_of_100_000_positions() -> None:
    held = holdings([2, 100_000, 1])
    unit_pnl = table(35)
    started = time.perf_counter()
    loss, scenario = worst_loss(held, unit_pnl)
    print(f"a unit of 100,000 positions: {time.perf_counter() - started:.2f} s")
    pnl = np.zeros(35)
    for k in range(2, 100_002):
        pnl += unit_pnl[held.instrument[k]] * held.quantity[k]
    assert loss[1] == -pnl.min()
    assert scenario[1] == pnl.argmin()


@given(
    values=st.lists(st.tuples(st.integers(0, 5), st.floats(-1e9, 1e9)), max_size=40),
)
def test_segment_sum_is_a_loop(values: list[tuple[int, float]]) -> None:
    expected = [0.0] * 7
    for segment, value in values:
        expected[segment] += value
    ours = segment_sum(np.array([v for _, v in values]), np.array([s for s, _ in values], dtype=np.int64), 7)
    assert ours.tolist() == expected
    assert ours.dtype == np.float64


@settings(max_examples=60)
@given(
    counts=st.lists(st.lists(st.integers(0, 4), max_size=4), min_size=1, max_size=9),
    block=st.sampled_from([1, 2, 3, 1000]),
    share=st.sampled_from([0.0, 0.4, 1.0]),
    cap=st.sampled_from([float("inf"), 50.0]),
)
def test_common_scan_is_a_loop_in_every_block_size(
    counts: list[list[int]], block: int, share: float, cap: float
) -> None:
    held, unit_pnl = holdings([n for account in counts for n in account]), table(6)
    offsets = np.concatenate(([0], np.cumsum([len(account) for account in counts]))).astype(np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep.group_blocks, "__defaults__", (block,))
        scan = common_scan(held, unit_pnl, offsets, gain_share=share, gain_cap=cap)
    pnl = looped(held, unit_pnl)
    for a in range(len(counts)):
        totals = [0.0] * 6
        for u in range(int(offsets[a]), int(offsets[a + 1])):
            for s in range(6):
                gain = pnl[u][s]
                totals[s] += min(gain * share, cap) if gain > 0 else gain
        worst = totals.index(min(totals))
        assert scan.scenario[a] == worst
        assert scan.loss[a] == max(0.0, -totals[worst])
        for u in range(int(offsets[a]), int(offsets[a + 1])):
            gain = pnl[u][worst]
            assert scan.unit_pnl[u] == gain
            assert scan.unit_recognised[u] == (min(gain * share, cap) if gain > 0 else gain)
