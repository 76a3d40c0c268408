"""Netting by counting gives the arrays of netting by sorting, and those of a dictionary."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import PortfolioError
from crossmargin.basics.quantities import QUANTITY_LIMIT, STEPS_PER_UNIT
from crossmargin.basics.threads import using_threads
from crossmargin.portfolio import netting
from crossmargin.portfolio.book import AccountType, Attributes, PositionRows, build_book
from crossmargin.portfolio.netting import Netted, net, net_by_sorting
from crossmargin.portfolio.netting_compiled import net_by_counting

N_OWNERS, N_INSTRUMENTS = 5, 7

STEPS = st.one_of(
    st.integers(-3, 3),
    st.integers(-(10**18), 10**18),
    st.sampled_from([QUANTITY_LIMIT, -QUANTITY_LIMIT, QUANTITY_LIMIT // 2, QUANTITY_LIMIT - 1, 1, -1]),
)
ROWS = st.lists(st.tuples(st.integers(0, N_OWNERS - 1), st.integers(0, N_INSTRUMENTS - 1), STEPS), max_size=40)
GROSS = st.lists(st.booleans(), min_size=N_OWNERS, max_size=N_OWNERS)


def _columns(rows: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return tuple(np.array([row[k] for row in rows], dtype=np.int64) for k in range(3))  # type: ignore[return-value]


def _same(one: Netted, other: Netted) -> bool:
    return one.too_large == other.too_large and all(
        a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(one[:3], other[:3], strict=True)
    )


@given(rows=ROWS, gross=GROSS, narrow=st.booleans())
def test_counting_sorting_and_a_dictionary_agree(
    rows: list[tuple[int, int, int]], gross: list[bool], narrow: bool
) -> None:
    owner, instrument, steps = _columns(rows)
    kept_apart = np.array(gross)
    by_sorting = net_by_sorting(owner, instrument, steps, kept_apart, N_INSTRUMENTS)
    if narrow:
        owner, instrument = owner.astype(np.int32), instrument.astype(np.int32)
    assert _same(net_by_counting(owner, instrument, steps, kept_apart, N_INSTRUMENTS), by_sorting)
    _is_the_sum(by_sorting, rows, gross)


def _is_the_sum(found: Netted, rows: list[tuple[int, int, int]], gross: list[bool]) -> None:
    """`found` is what a dictionary of Python's integers, which never wrap, adds up to."""
    sums: dict[tuple[int, int, bool], int] = defaultdict(int)
    for o, i, s in rows:
        sums[o, i, gross[o] and s < 0] += s
    too_large = sorted({(o, i) for (o, i, _), total in sums.items() if abs(total) > QUANTITY_LIMIT})
    assert found.too_large == too_large
    if not too_large:
        expected = [(o, i, s) for (o, i, _), s in sorted(sums.items()) if s]
        owners = np.repeat(np.arange(len(gross)), np.diff(found.offsets)).tolist()
        assert list(zip(owners, *(a.tolist() for a in found[1:3]), strict=True)) == expected


NEAR_LIMIT = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.integers(0, 1),
        st.builds(
            lambda size, less, sign: sign * max(size - less, 0),
            st.sampled_from([QUANTITY_LIMIT, QUANTITY_LIMIT // 2, QUANTITY_LIMIT // 3, 3]),
            st.integers(0, 3),
            st.sampled_from([1, -1]),
        ),
    ),
    min_size=1,
    max_size=12,
)


@given(rows=NEAR_LIMIT, gross=st.lists(st.booleans(), min_size=2, max_size=2), n_threads=st.sampled_from([1, 2]))
def test_near_the_limit_the_sum_decides_and_not_the_rows(
    rows: list[tuple[int, int, int]], gross: list[bool], n_threads: int
) -> None:
    owner, instrument, steps = _columns(rows)
    with using_threads(n_threads):
        found = [way(owner, instrument, steps, np.array(gross), 2) for way in (net_by_sorting, net_by_counting)]
    assert _same(*found)
    _is_the_sum(found[0], rows, gross)


@given(rows=NEAR_LIMIT, beyond=st.lists(st.integers(-QUANTITY_LIMIT, QUANTITY_LIMIT), min_size=12, max_size=12))
def test_a_row_in_two_pieces_is_the_row(rows: list[tuple[int, int, int]], beyond: list[int]) -> None:
    pieces = []
    for (o, i, s), more in zip(rows, beyond, strict=False):
        one = max(-QUANTITY_LIMIT, min(QUANTITY_LIMIT, s + more))
        pieces += [(o, i, one)] + [(o, i, part) for part in ((s - one) // 2, s - one - (s - one) // 2)]
    neither = np.zeros(2, dtype=np.bool_)
    for way in (net_by_sorting, net_by_counting):
        assert _same(way(*_columns(pieces), neither, 2), way(*_columns(rows), neither, 2))


@pytest.mark.parametrize("n_instruments", [3, 2000, 150_000])
def test_one_owner_with_a_hundred_thousand_rows_among_small_ones(n_instruments: int) -> None:
    rng = np.random.default_rng(5)
    owner = np.concatenate((np.full(100_000, 3), rng.integers(0, 9, 5_000)))
    instrument, steps = rng.integers(0, n_instruments, len(owner)), rng.integers(-5, 6, len(owner))
    gross = np.arange(9) % 2 == 1
    order = rng.permutation(len(owner))
    found = net_by_counting(owner[order], instrument[order], steps[order], gross, n_instruments)
    assert _same(found, net_by_sorting(owner, instrument, steps, gross, n_instruments))
    assert found.offsets[-1] == len(found.steps) > 0


@pytest.mark.parametrize("n_threads", [1, 2, 3, 20])
def test_any_number_of_threads_gives_the_same(n_threads: int) -> None:
    rng = np.random.default_rng(7)
    owner, instrument, steps = (rng.integers(low, high, 3_000) for low, high in ((0, 40), (0, 30), (-3, 4)))
    owner[owner > 30] = 5  # ranges of unequal owners
    gross = np.arange(40) % 3 == 0
    with using_threads(n_threads):
        found = net_by_counting(owner, instrument, steps, gross, 30)
    assert _same(found, net_by_sorting(owner, instrument, steps, gross, 30))


def test_read_only_rows_are_taken_and_stay_as_they_are() -> None:
    rows = _columns([(1, 0, 5), (0, 1, 2), (1, 0, -5)])
    for array in rows:
        array.flags.writeable = False
    found = net_by_counting(*rows, np.zeros(2, dtype=np.bool_), 2)
    assert (found.offsets.tolist(), found.instrument.tolist(), found.steps.tolist()) == ([0, 1, 1], [1], [2])
    assert [array.tolist() for array in rows] == [[1, 0, 1], [0, 1, 0], [5, 2, -5]]


def test_nothing_at_all() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    for way in (net_by_counting, net_by_sorting):
        for n_owners in (0, 3):
            found = way(nothing, nothing, nothing, np.zeros(n_owners, dtype=np.bool_), 0)
            assert (found.offsets.tolist(), len(found.steps)) == ([0] * (n_owners + 1), 0)


@pytest.mark.parametrize("code", [-1, 2])
def test_an_index_out_of_range_is_never_written_to(code: int) -> None:
    one, wrong = np.array([0]), np.array([code])
    for owner, instrument in ((one, wrong), (wrong, one)):
        with pytest.raises(AssertionError, match="that is not there"):
            net_by_counting(owner, instrument, one, np.zeros(2, dtype=np.bool_), 2)


def test_a_key_of_more_than_63_bits_does_not_wrap() -> None:
    owner, far = np.array([2, 0, 2, 1]), 2**62
    instrument = np.array([far, far, far, 1])
    found = net_by_sorting(owner, instrument, np.array([1, 2, 3, 4]), np.array([False, False, True]), far + 1)
    assert (found.offsets.tolist(), found.instrument.tolist(), found.steps.tolist()) == (
        [0, 1, 2, 3],
        [far, 1, far],
        [2, 4, 4],
    )
    too_large = net_by_sorting(owner, instrument, np.full(4, QUANTITY_LIMIT), np.zeros(3, dtype=np.bool_), far + 1)
    assert too_large.too_large == [(2, far)]


def test_a_sum_exactly_at_the_limit_is_the_largest() -> None:
    same = np.zeros(2, dtype=np.int64)
    for way in (net_by_counting, net_by_sorting):
        at_limit = way(same, same, np.array([QUANTITY_LIMIT - 1, 1]), np.zeros(1, dtype=np.bool_), 1)
        assert at_limit.steps.tolist() == [QUANTITY_LIMIT]
        # One step more is less than the spacing of doubles there.
        above = way(same, same, np.array([QUANTITY_LIMIT, 1]), np.zeros(1, dtype=np.bool_), 1)
        assert above.too_large == [(0, 0)]
        below = way(same, same, np.array([QUANTITY_LIMIT, -1]), np.zeros(1, dtype=np.bool_), 1)
        assert (below.too_large, below.steps.tolist()) == ([], [QUANTITY_LIMIT - 1])


@pytest.mark.parametrize("sign", [1, -1])
def test_a_position_that_is_closed_is_nothing_however_large_it_was(sign: int) -> None:
    large = sign * 50_000_000_000 * STEPS_PER_UNIT
    same = np.zeros(2, dtype=np.int64)
    for way in (net_by_counting, net_by_sorting):
        closed = way(same, same, np.array([large, -large]), np.zeros(1, dtype=np.bool_), 1)
        assert (closed.too_large, closed.offsets.tolist()) == ([], [0, 0])


def test_large_books_are_the_same_and_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(11)
    names, instruments = [f"a{k}" for k in range(10)], [f"i{k}" for k in range(10)]
    attributes = {
        "a1": Attributes(netting_set="s"),
        "a2": Attributes(netting_set="s"),
        "a3": Attributes(account_type=AccountType.GROSS),
    }

    def book(steps: np.ndarray) -> list[bytes]:
        built = build_book(
            accounts=names,
            instruments=instruments,
            rows=PositionRows(account=account, instrument=instrument, steps=steps),
            attributes=attributes,
        )
        return [
            array.tobytes()
            for positions in (built.member_positions, built.positions)
            for array in (positions.offsets, positions.instrument, positions.steps)
        ]

    account, instrument = (rng.integers(0, 10, 500).astype(np.int32) for _ in range(2))
    steps = rng.integers(-9, 10, 500)
    small, used = book(steps), []
    monkeypatch.setattr(netting, "LARGE", 100)
    monkeypatch.setattr(
        "crossmargin.portfolio.netting_compiled.net_by_counting", lambda *rows: used.append(1) or net_by_counting(*rows)
    )
    assert book(steps) == small
    assert used
    with pytest.raises(PortfolioError, match=r"positions of 'a0' in 'i\d' add up to more than 90,000,000,000"):
        book(np.full(500, QUANTITY_LIMIT // 2))


def test_a_small_book_loads_no_compiler() -> None:
    code = (
        "import sys, numpy as np\n"
        "from crossmargin.portfolio.netting import net\n"
        "k = np.zeros(10, dtype=np.int64)\n"
        "assert len(net(k, k, k + 1, np.zeros(1, dtype=bool), 1).steps) == 1\n"
        "print('numba' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"
    # A huge table of instruments for few rows is not worth its memory.
    one = np.ones(1, dtype=np.int64)
    assert net(one, one, one, np.zeros(2, dtype=np.bool_), 2**40).steps.tolist() == [1]
