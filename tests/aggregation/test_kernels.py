"""The compiled sweep against the numpy one: the same bits, whatever the shape, the threads, the company."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.aggregation import sweep
from crossmargin.aggregation.sweep import (
    Holdings,
    Tail,
    compiled_kernels,
    expected_shortfall,
    scenario_pnl,
    segments,
    tail_scenarios,
    unit_sum,
    worst_loss,
)
from crossmargin.basics.errors import InputError, ParameterError, QuantityError, ShapeError
from crossmargin.basics.threads import using_threads

N_INSTRUMENTS = 23
# Around the widths of a vector, of a block of lanes and of a tile.
WIDTHS = st.sampled_from([1, 2, 7, 8, 9, 15, 16, 17, 36, 255, 256, 257, 300, 513])
COUNTS = st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 8, 11, 40]), max_size=40)


@contextmanager
def plain_numpy() -> Iterator[None]:
    """Inside, every sweep is the numpy loop, whatever was imported before."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_is_small", lambda multiplications: True)
        yield


@contextmanager
def compiled() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_is_small", lambda multiplications: False)
        yield


def holdings(counts: list[int], seed: int) -> Holdings:
    generator = np.random.default_rng(seed)
    n = sum(counts)
    return Holdings(
        offsets=np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64),
        instrument=generator.integers(0, N_INSTRUMENTS, n),
        quantity=generator.normal(size=n) * 10.0 ** generator.integers(-3, 6, n),
    )


def unit_pnl(n_scenarios: int, seed: int, *, tied: bool) -> np.ndarray:
    """Gains and losses; with `tied` of few distinct values, zeros of both signs among them."""
    generator = np.random.default_rng(seed)
    if tied:
        return generator.choice([-2.0, -1.0, -0.0, 0.0, 1.0], size=(N_INSTRUMENTS, n_scenarios))
    return generator.normal(size=(N_INSTRUMENTS, n_scenarios))


def answers(held: Holdings, table: np.ndarray, units: np.ndarray | None = None) -> list[bytes]:
    """Everything that the sweep answers, as bits."""
    n_tail = min(5, table.shape[1])
    arrays = [
        scenario_pnl(held, table, units),
        *worst_loss(held, table, units),
        *expected_shortfall(held, table, Tail(level=Decimal("0.9")), units),
        *tail_scenarios(held, table, n_tail, units),
    ]
    return [array.tobytes() for array in arrays]


@settings(max_examples=150, deadline=None)
@given(counts=COUNTS, width=WIDTHS, seed=st.integers(0, 99), tied=st.booleans())
def test_compiled_and_numpy_agree_to_the_bit(counts: list[int], width: int, seed: int, tied: bool) -> None:
    held, table = holdings(counts, seed), unit_pnl(width, seed, tied=tied)
    with plain_numpy():
        expected = answers(held, table)
    with compiled():
        assert answers(held, table) == expected


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS, width=WIDTHS, seed=st.integers(0, 99), threads=st.integers(2, 5))
def test_threads_and_chunks_change_nothing(counts: list[int], width: int, seed: int, threads: int) -> None:
    held, table = holdings(counts, seed), unit_pnl(width, seed, tied=False)
    with compiled(), using_threads(1):
        expected = answers(held, table)
    with compiled(), using_threads(threads), pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_CHUNK_UNITS", 3)
        assert answers(held, table) == expected


@settings(max_examples=40, deadline=None)
@given(counts=COUNTS.filter(bool), width=WIDTHS, seed=st.integers(0, 99))
def test_a_unit_alone_has_the_bits_it_has_among_others(counts: list[int], width: int, seed: int) -> None:
    held, table = holdings(counts, seed), unit_pnl(width, seed, tied=False)
    chosen = np.random.default_rng(seed).integers(0, len(counts), 3)
    with compiled():
        together = [np.frombuffer(bits, dtype=np.uint64).reshape(len(counts), -1) for bits in answers(held, table)]
        picked = [np.frombuffer(bits, dtype=np.uint64).reshape(3, -1) for bits in answers(held, table, chosen)]
        for of_all, of_chosen in zip(together, picked, strict=True):
            assert np.array_equal(of_all[chosen], of_chosen)
    unit = int(chosen[0])
    span = slice(int(held.offsets[unit]), int(held.offsets[unit + 1]))
    alone = Holdings(
        offsets=np.array([0, counts[unit]]), instrument=held.instrument[span], quantity=held.quantity[span]
    )
    with plain_numpy():
        one = [np.frombuffer(bits, dtype=np.uint64) for bits in answers(alone, table)]
    assert all(np.array_equal(of_all[unit], own) for of_all, own in zip(together, one, strict=True))


def test_a_unit_of_100_000_positions_is_the_loop() -> None:
    held, table = holdings([3, 100_000, 0, 1], 5), unit_pnl(36, 6, tied=False)
    pnl = np.zeros(36)
    for k in range(3, 100_003):
        pnl += table[held.instrument[k]] * held.quantity[k]
    with compiled():
        assert scenario_pnl(held, table)[1].tobytes() == pnl.tobytes()
        loss, scenario = worst_loss(held, table)
    assert (loss[1], scenario[1]) == (-pnl.min(), pnl.argmin())
    assert (loss[2], scenario[2]) == (0.0, 0)


@pytest.mark.parametrize("n_scenarios", [1, 16, 300])
def test_a_tie_goes_to_the_lowest_scenario(n_scenarios: int) -> None:
    held = Holdings(offsets=np.array([0, 2]), instrument=np.array([0, 1]), quantity=np.array([1.0, 2.0]))
    with compiled():
        loss, scenario = worst_loss(held, np.full((2, n_scenarios), -7.0))
        shortfall, worst = expected_shortfall(held, np.full((2, n_scenarios), -7.0), Tail(level=Decimal("0.5")))
        _, tail = tail_scenarios(held, np.full((2, n_scenarios), -7.0), n_scenarios)
    assert (loss.tolist(), scenario.tolist()) == ([21.0], [0])
    assert (shortfall.tolist(), worst.tolist()) == ([21.0], [0])
    assert tail.tolist() == [list(range(n_scenarios))]


def test_zero_and_minus_zero_tie_and_no_loss_is_plus_zero() -> None:
    held = Holdings(offsets=np.array([0, 1, 1]), instrument=np.array([0]), quantity=np.array([1.0]))
    with compiled():
        loss, scenario = worst_loss(held, np.array([[0.0, -0.0, 0.0]]))
    assert scenario.tolist() == [0, 0]
    assert [math.copysign(1, value) for value in loss] == [1, 1]


def test_no_units_no_positions_no_scenarios() -> None:
    nobody = Holdings(offsets=np.array([0]), instrument=np.zeros(0, np.int64), quantity=np.zeros(0))
    idle = Holdings(offsets=np.array([0, 0, 0]), instrument=np.zeros(0, np.int64), quantity=np.zeros(0))
    for mode in (plain_numpy, compiled):
        with mode():
            assert worst_loss(nobody, np.zeros((0, 4)))[0].shape == (0,)
            assert worst_loss(idle, np.zeros((0, 4)))[0].tolist() == [0.0, 0.0]
            with pytest.raises(ShapeError, match="without scenarios"):
                worst_loss(idle, np.zeros((0, 0)))


def test_indices_that_do_not_exist_are_refused_before_the_kernel_reads_there() -> None:
    with pytest.raises(ShapeError, match="instrument -1"):
        Holdings(offsets=np.array([0, 1]), instrument=np.array([-1]), quantity=np.array([1.0]))
    with pytest.raises(ShapeError, match="rise from 0 to 1"):
        Holdings(offsets=np.array([0, 2]), instrument=np.array([0]), quantity=np.array([1.0]))
    with pytest.raises(ShapeError, match="rise from 0 to 2"):
        Holdings(offsets=np.array([0, 2, 1]), instrument=np.array([0, 0]), quantity=np.array([1.0, 1.0]))
    with pytest.raises(ShapeError, match="1 instruments and 2 quantities"):
        Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([1.0, 1.0]))
    for offsets in ([1, 2], [0, 1], []):
        with pytest.raises(ShapeError, match="rise from 0 to 2"):
            Holdings(
                offsets=np.array(offsets, dtype=np.int64), instrument=np.array([0, 0]), quantity=np.array([1.0, 1.0])
            )
    held = Holdings(offsets=np.array([0, 1]), instrument=np.array([5]), quantity=np.array([1.0]))
    with pytest.raises(ShapeError, match="instrument 5 of a table of 5"):
        worst_loss(held, np.zeros((5, 3)))
    with pytest.raises(ShapeError, match="units 1 to 1 of 1"):
        worst_loss(held, np.zeros((6, 3)), np.array([1]))


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_what_is_no_finite_number_is_refused(wrong: float) -> None:
    with pytest.raises(QuantityError, match="no finite number"):
        Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([wrong]))
    held = Holdings(offsets=np.array([0, 2]), instrument=np.array([0, 0]), quantity=np.array([1e300, -1e300]))
    with pytest.raises(InputError, match="no finite number"):
        worst_loss(held, np.array([[1.0, wrong]]))
    with pytest.raises(InputError, match="no finite number"):
        unit_sum(held, np.array([wrong]))
    for sweep_of in (worst_loss, scenario_pnl):
        with pytest.raises(InputError, match="too large to add up"):
            sweep_of(held, np.array([[1e3, 1.0]]))
    with pytest.raises(InputError, match="too large to add up"):
        expected_shortfall(held, np.array([[1e3, 1.0]]), Tail(level=Decimal("0.5")))
    with pytest.raises(InputError, match="too large to add up"):
        unit_sum(held, np.array([1e3]))


def test_a_table_of_more_than_2_to_the_31_numbers(tmp_path: Path) -> None:
    """Index times row length passes 32 bits; the file is sparse, so that only the pages read take room."""
    rows, row_length = 2**19 + 1, 2**12
    table = np.memmap(tmp_path / "table", dtype=np.float64, mode="w+", shape=(rows * row_length,))
    table[-row_length:] = -1.0
    table[-1] = -5.0
    loss, scenario = np.zeros(1), np.zeros(1, dtype=np.int64)
    held = (np.array([0, 1]), np.array([rows - 1]), np.array([3.0]))
    compiled_kernels().worst(*held, np.asarray(table), row_length, row_length, np.array([0]), 0, 1, loss, scenario)
    assert (loss[0], scenario[0]) == (-15.0, row_length - 1)


@settings(max_examples=80, deadline=None)
@given(
    losses=st.lists(st.integers(-9, 9), min_size=1, max_size=60),
    level=st.sampled_from(["0", "0.5", "0.9", "0.95", "0.975", "0.99", "0.999"]),
)
def test_expected_shortfall_is_the_exact_mean_of_the_tail(losses: list[int], level: str) -> None:
    """Against fractions: small whole losses make every product and sum exact but the last division."""
    held = Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([-1.0]))
    size = max(Fraction(1), (1 - Fraction(level)) * len(losses))
    left, total = size, Fraction(0)
    for loss in sorted(losses, reverse=True):
        part = min(Fraction(1), left)
        total, left = total + part * loss, left - part
    expected = float(total / size)
    for mode in (plain_numpy, compiled):
        with mode():
            shortfall, scenario = expected_shortfall(
                held, np.array([losses], dtype=np.float64), Tail(level=Decimal(level))
            )
        # The last weight, its product and the division are rounded: a few units in the last place, no more.
        assert shortfall[0] == pytest.approx(expected, rel=1e-15, abs=1e-15)
        assert scenario[0] == losses.index(max(losses))


def test_a_tail_at_99_percent_of_1000_is_ten_scenarios_and_not_a_little_more() -> None:
    assert Tail(level=Decimal("0.99")).weights(1000).tolist() == [1.0] * 10
    assert Tail(level=Decimal("0.99")).weights(250).tolist() == [1.0, 1.0, 0.5]
    assert Tail(level=Decimal("0.99")).weights(3).tolist() == [1.0]
    for level in ("1", "-0.1", "NaN", "Infinity"):
        with pytest.raises(ParameterError, match="confidence level"):
            Tail(level=Decimal(level))


@settings(max_examples=80, deadline=None)
@given(counts=COUNTS, seed=st.integers(0, 99), n_labels=st.integers(1, 6))
def test_segments_are_a_loop(counts: list[int], seed: int, n_labels: int) -> None:
    held = holdings(counts, seed)
    label = np.random.default_rng(seed).integers(0, n_labels, N_INSTRUMENTS)
    value = unit_pnl(1, seed, tied=False)[:, 0]
    cut = segments(held, label)
    sums: dict[tuple[int, int], float] = {}
    for unit in range(held.n_units):
        for k in range(int(held.offsets[unit]), int(held.offsets[unit + 1])):
            key = (unit, int(label[held.instrument[k]]))
            sums[key] = sums.get(key, 0.0) + float(held.quantity[k]) * float(value[held.instrument[k]])
            segment = int(cut.of_position[k])
            assert (int(cut.unit[segment]), int(cut.label[segment])) == key
    assert list(zip(cut.unit.tolist(), cut.label.tolist(), strict=True)) == sorted(sums)
    for mode in (plain_numpy, compiled):
        with mode():
            assert unit_sum(cut.holdings, value).tolist() == [sums[key] for key in sorted(sums)]


def test_small_books_do_not_import_numba() -> None:
    if sweep._KERNELS not in sys.modules:
        assert sweep._is_small(1000)
    assert compiled_kernels().TILE == 256
    assert not sweep._is_small(1000)


def test_arrays_that_change_afterwards_change_nothing_in_holdings() -> None:
    """The compiled loop trusts what was checked: an index that grew would read foreign memory."""
    offsets, instrument, quantity = np.array([0, 2]), np.array([0, 1]), np.array([1.0, 2.0])
    held = Holdings(offsets=offsets, instrument=instrument, quantity=quantity)
    table = np.array([[-1.0, 0.0], [-2.0, 1.0]])
    expected = worst_loss(held, table)[0].tolist()
    offsets[1], instrument[0], quantity[0] = 10**9, 10**12, math.nan
    with compiled():
        assert worst_loss(held, table)[0].tolist() == expected
    assert not held.instrument.flags.writeable


@pytest.mark.parametrize(
    "changed",
    [
        {"instrument": np.array([0.5, 1.0])},
        {"offsets": np.array([0.0, 2.0])},
        {"quantity": np.array([1 + 1j, 2.0])},
        {"quantity": np.ma.masked_array([1.0, 2.0], [True, False])},
        {"instrument": np.array([[0, 1]])},
        {"instrument": np.array([0, 2**63], dtype=np.uint64)},
    ],
)
def test_arrays_of_other_kinds_are_refused(changed: dict[str, np.ndarray]) -> None:
    right = {"offsets": np.array([0, 2]), "instrument": np.array([0, 1]), "quantity": np.array([1.0, 2.0])}
    with pytest.raises(ShapeError, match="numbers on"):
        Holdings(**{**right, **changed})


def test_tables_labels_and_levels_of_other_kinds_are_refused() -> None:
    held = Holdings(offsets=np.array([0, 2]), instrument=np.array([0, 1]), quantity=np.array([1.0, 2.0]))
    for table in (np.zeros(2), np.zeros((2, 2), dtype=complex), [[True, False], [True, True]]):
        with pytest.raises(ShapeError, match="real numbers on 2 axes"):
            worst_loss(held, table)  # type: ignore[arg-type]  # that is what is tested
    assert worst_loss(held, [[-1, 0], [0, 1]])[0].tolist() == [1.0]  # type: ignore[arg-type]  # lists will do
    for label in (np.array([-1, 0]), np.array([0, 2**62]), np.array([0]), np.array([0.0, 1.0])):
        with pytest.raises(ShapeError, match="label"):
            segments(held, label)
    with pytest.raises(ParameterError, match="type float"):
        Tail(level=0.99)  # type: ignore[arg-type]  # that is what is tested
    with pytest.raises(InputError, match="too large to add up"):
        worst_loss(
            Holdings(offsets=np.array([0, 1]), instrument=np.array([0]), quantity=np.array([1e300])),
            np.array([[np.iinfo(np.int64).min]]),
        )
