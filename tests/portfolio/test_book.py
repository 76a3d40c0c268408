"""The book: exact netting, one canonical order, and what may never be netted."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import PortfolioError, UnknownAccountError
from crossmargin.basics.quantities import QUANTITY_LIMIT
from crossmargin.portfolio.book import (
    CUSTOMER_TYPES,
    AccountType,
    Attributes,
    Balances,
    Book,
    CustomerType,
    PositionRows,
    build_book,
)

Row = tuple[str, str, int]

NAMES = st.sampled_from(["a", "b", "B", "c", "é", "zz"])
INSTRUMENTS = st.sampled_from(["I1", "I10", "I2", "i1", "X"])
ROWS = st.lists(st.tuples(NAMES, INSTRUMENTS, st.integers(-(10**18), 10**18)), max_size=30)
GROSS = Attributes(account_type=AccountType.GROSS)


def build(
    rows: list[Row], attributes: Mapping[str, Attributes] | None = None, balances: list[Row] | None = None
) -> Book:
    """Rows of names to a book."""
    accounts = sorted({row[0] for row in rows} | {row[0] for row in balances or []} | set(attributes or {}))
    instruments = sorted({row[1] for row in rows})
    assets = sorted({row[1] for row in balances or []})
    return build_book(
        accounts=accounts,
        instruments=instruments,
        rows=PositionRows(
            account=np.array([accounts.index(a) for a, _, _ in rows], dtype=np.int64),
            instrument=np.array([instruments.index(i) for _, i, _ in rows], dtype=np.int64),
            steps=np.array([s for _, _, s in rows], dtype=np.int64),
        ),
        attributes=attributes or {},
        balances=None
        if balances is None
        else Balances(
            assets=tuple(assets),
            account=np.array([accounts.index(a) for a, _, _ in balances], dtype=np.int64),
            asset=np.array([assets.index(i) for _, i, _ in balances], dtype=np.int64),
            steps=np.array([s for _, _, s in balances], dtype=np.int64),
        ),
    )


def held(book: Book, *, members: bool = False) -> list[Row]:
    positions = book.member_positions if members else book.positions
    names = book.accounts if members else book.margin_accounts
    return [
        (names[owner], book.instruments[instrument], steps)
        for owner, instrument, steps in zip(
            positions.owner().tolist(), positions.instrument.tolist(), positions.steps.tolist(), strict=True
        )
    ]


def bits(book: Book) -> tuple[object, ...]:
    parts: list[object] = [book.accounts, book.margin_accounts, book.instruments, book.attributes]
    parts += [book.margin_account_of.tobytes(), book.gross.tobytes()]
    for positions in (book.member_positions, book.positions):
        parts += [positions.offsets.tobytes(), positions.instrument.tobytes(), positions.steps.tobytes()]
    if book.balances is not None:
        b = book.balances
        parts += [b.assets, b.account.tobytes(), b.asset.tobytes(), b.steps.tobytes()]
    return tuple(parts)


@given(rows=ROWS, seed=st.integers(0, 99))
def test_any_order_gives_the_same_book(rows: list[Row], seed: int) -> None:
    shuffled = rows.copy()
    random.Random(seed).shuffle(shuffled)
    attributes = {"b": Attributes(netting_set="s"), "B": Attributes(netting_set="s"), "c": GROSS}
    assert bits(build(shuffled, attributes)) == bits(build(rows, attributes))


@given(rows=ROWS)
def test_netting_is_exact_and_ordered_by_name(rows: list[Row]) -> None:
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for account, instrument, steps in rows:
        sums[account, instrument] += steps
    book = build(rows)
    assert held(book) == [(a, i, s) for (a, i), s in sorted(sums.items()) if s]
    assert held(book, members=True) == held(book)
    assert book.accounts == tuple(sorted({row[0] for row in rows}))


@given(rows=ROWS)
def test_a_netting_set_adds_its_members_and_keeps_them(rows: list[Row]) -> None:
    linked = {name: Attributes(netting_set="a set", segregation="x") for name in ("a", "c", "zz")}
    book = build(rows, linked)
    sums: dict[tuple[str, str], int] = defaultdict(int)
    for account, instrument, steps in rows:
        sums["a set" if account in linked else account, instrument] += steps
    assert held(book) == [(a, i, s) for (a, i), s in sorted(sums.items()) if s]
    assert held(book, members=True) == held(build(rows))
    assert book.members(book.margin_accounts.index("a set")) == ("a", "c", "zz")
    assert book.margin_account_index("zz") == book.margin_accounts.index("a set")


@given(rows=ROWS)
def test_a_gross_account_keeps_long_and_short_apart(rows: list[Row]) -> None:
    book = build(rows, dict.fromkeys({row[0] for row in rows}, GROSS))
    sums: dict[tuple[str, str, bool], int] = defaultdict(int)
    for account, instrument, steps in rows:
        sums[account, instrument, steps < 0] += steps
    # Inside an instrument the long row first.
    assert held(book) == [(a, i, s) for (a, i, _), s in sorted(sums.items()) if s]


@given(rows=ROWS, balances=ROWS)
def test_select_is_the_book_of_those_rows_alone(rows: list[Row], balances: list[Row]) -> None:
    attributes = {"a": Attributes(netting_set="s"), "b": Attributes(netting_set="s"), "c": GROSS}
    book = build(rows, attributes, balances)
    for k, name in enumerate(book.margin_accounts):
        inside = set(book.members(k))
        own = [row for row in rows if row[0] in inside]
        cash = [row for row in balances if row[0] in inside]
        alone = build(own, {a: attributes[a] for a in inside & set(attributes)}, cash)
        ours = book.select(k)
        assert ours.margin_accounts == (name,)
        assert held(ours) == held(alone) == [row for row in held(book) if row[0] == name]
        assert held(ours, members=True) == held(alone, members=True)
        assert ours.attributes == alone.attributes
        assert ours.balances is not None
        assert ours.balances.steps.tolist() == alone.balances.steps.tolist()  # type: ignore[union-attr]


SETS = {
    "a": Attributes(netting_set="s"),
    "b": Attributes(netting_set="s"),
    "c": GROSS,
    "B": Attributes(netting_set="B"),
}
ALIKE = {"a": Attributes(netting_set="b"), "b": Attributes(netting_set="a")}
"""Two sets of one member each, each called like the other's member."""
ATTRIBUTES = st.sampled_from([{}, SETS, {"c": GROSS}, ALIKE])


@given(rows=ROWS, balances=ROWS, attributes=ATTRIBUTES, data=st.data())
def test_a_block_is_the_book_of_its_margin_accounts(
    rows: list[Row], balances: list[Row], attributes: dict[str, Attributes], data: st.DataObject
) -> None:
    book = build(rows, attributes, balances)
    first = data.draw(st.integers(0, len(book.margin_accounts)))
    last = data.draw(st.integers(first, len(book.margin_accounts)))
    block = book.block(first, last)
    inside = {name for k in range(first, last) for name in book.members(k)}
    alone = _only(rows, attributes, balances, inside, book)
    assert block.instruments is book.instruments
    assert block.margin_accounts == book.margin_accounts[first:last]
    assert held(block) == held(alone)
    assert held(block, members=True) == held(alone, members=True)
    assert _but_instruments(block) == _but_instruments(alone)
    for array in (block.margin_account_of, block.gross, block.positions.offsets, block.positions.steps):
        assert not array.flags.writeable


@given(rows=ROWS, balances=ROWS, attributes=ATTRIBUTES, data=st.data())
def test_without_is_the_book_of_the_others(
    rows: list[Row], balances: list[Row], attributes: dict[str, Attributes], data: st.DataObject
) -> None:
    book = build(rows, attributes, balances)
    out = data.draw(st.sets(st.sampled_from(range(len(book.margin_accounts))))) if book.margin_accounts else set()
    inside = {name for k in range(len(book.margin_accounts)) if k not in out for name in book.members(k)}
    alone = _only(rows, attributes, balances, inside, book)
    rest = book.without(np.array(sorted(out), dtype=np.int64))
    assert held(rest) == held(alone)
    assert held(rest, members=True) == held(alone, members=True)
    assert _but_instruments(rest) == _but_instruments(alone)
    assert set(rest.instruments) == {instrument for _, instrument, _ in held(rest, members=True)}
    assert bits(rest) == bits(book.without(out))


def _only(
    rows: list[Row], attributes: dict[str, Attributes], balances: list[Row], inside: set[str], book: Book
) -> Book:
    """The book of the rows and attributes of some members, built anew; with the asset numbers of `book`."""
    alone = build(
        [row for row in rows if row[0] in inside],
        {name: stated for name, stated in attributes.items() if name in inside},
        [row for row in balances if row[0] in inside],
    )
    assert alone.balances is not None
    assert book.balances is not None
    asset = np.array([book.balances.assets.index(alone.balances.assets[k]) for k in alone.balances.asset.tolist()])
    own = replace(alone.balances, assets=book.balances.assets, asset=asset.astype(np.int64))
    return replace(alone, balances=own)


def _but_instruments(book: Book) -> tuple[object, ...]:
    """All of a book but what depends on how instruments are numbered."""
    parts: list[object] = [book.accounts, book.margin_accounts, book.attributes]
    arrays = [book.margin_account_of, book.gross]
    for positions in (book.member_positions, book.positions):
        arrays += [positions.offsets, positions.steps]
    if book.balances is not None:
        parts.append(book.balances.assets)
        arrays += [book.balances.account, book.balances.asset, book.balances.steps]
    return (*parts, *((array.dtype, array.tobytes()) for array in arrays))


def test_an_account_is_found_by_its_name_or_that_of_a_member() -> None:
    book = build([(name, "X", 1) for name in "abcd"], {"a": Attributes(netting_set="z")})
    assert [book.margin_account_index(name) for name in ("a", "b", "c", "d", "z")] == [3, 0, 1, 2, 3]
    assert [book.members(k) for k in range(4)] == [("b",), ("c",), ("d",), ("a",)]


def test_sets_called_like_the_other_ones_member_are_not_mixed_up() -> None:
    book = build([("a", "X", 1), ("b", "X", 2)], ALIKE)
    assert held(book) == [("a", "X", 2), ("b", "X", 1)]
    assert book.members(0) == ("b",)


def test_a_block_of_a_book_without_sets_copies_no_positions() -> None:
    book = build([(name, instrument, 1) for name in "abcd" for instrument in "XY"])
    block = book.block(1, 3)
    assert np.shares_memory(block.positions.steps, book.positions.steps)
    assert block.positions is block.member_positions
    assert held(block) == [(name, instrument, 1) for name in "bc" for instrument in "XY"]


@pytest.mark.parametrize("most_pieces", [0, 100])
@given(rows=ROWS, more=ROWS, balances=ROWS, attributes=ATTRIBUTES)
def test_trades_later_are_rows_from_the_start(
    most_pieces: int, rows: list[Row], more: list[Row], balances: list[Row], attributes: dict[str, Attributes]
) -> None:
    with mock.patch("crossmargin.portfolio.book._MOST_PIECES", most_pieces):
        later = build(rows, attributes, balances).with_trades(more)
    assert bits(later) == bits(build(rows + more, attributes, balances))


@given(rows=ROWS, more=ROWS, attributes=ATTRIBUTES)
def test_trades_of_one_account_after_a_block_or_a_selection(
    rows: list[Row], more: list[Row], attributes: dict[str, Attributes]
) -> None:
    book = build(rows, attributes)
    for k in range(len(book.margin_accounts)):
        inside = book.members(k)
        own = [row for row in more if row[0] in inside]
        expected = [row for row in held(book.with_trades(own)) if row[0] == book.margin_accounts[k]]
        assert held(book.select(k).with_trades(own)) == held(book.block(k, k + 1).with_trades(own)) == expected


def test_a_new_account_called_like_a_netting_set_is_refused() -> None:
    book = build([("a", "X", 1), ("b", "X", 1)], {"a": Attributes(netting_set="s")})
    with pytest.raises(PortfolioError, match="'s' is both a netting set and an account outside of it"):
        book.with_trades([("s", "X", 1)])


def test_trades_that_add_up_to_too_much_are_refused_by_name() -> None:
    book = build([("a", "X", QUANTITY_LIMIT), ("b", "X", 1)])
    with pytest.raises(PortfolioError, match=r"positions of 'a' in 'X' add up to more than") as caught:
        book.with_trades([("b", "Y", 1), ("a", "X", 1)])
    assert [(p.account, p.instrument) for p in caught.value.problems] == [("a", "X")]
    with pytest.raises(PortfolioError, match=r"positions of 'c' in 'Y' add up to more than"):
        book.with_trades([("c", "Y", QUANTITY_LIMIT + 1)])


def test_a_large_position_can_be_closed_and_turned_round_by_trades() -> None:
    large = 50_000_000_000 * 10**8
    book = build([("a", "X", large), ("b", "X", 1)], {"a": Attributes(netting_set="s")})
    assert held(book.with_trades([("a", "X", -large)])) == [("b", "X", 1)]
    assert held(book.with_trades([("a", "X", -large), ("a", "X", -large)])) == [("b", "X", 1), ("s", "X", -large)]


def test_q_and_minus_q_leave_an_account_without_positions() -> None:
    book = build([("a", "X", 10_000_000), ("a", "X", 20_000_000), ("a", "X", -30_000_000)])
    assert held(book) == []
    assert book.margin_accounts == ("a",)
    assert book.positions.offsets.tolist() == [0, 0]


def test_no_rows_at_all() -> None:
    book = build([])
    assert (book.accounts, held(book), book.positions.offsets.tolist()) == ((), [], [0])


def test_an_account_with_a_balance_only() -> None:
    book = build([("a", "X", 1)], balances=[("b", "USD", 5), ("b", "USD", -3), ("a", "BTC", 1)])
    assert book.accounts == ("a", "b")
    assert book.balances is not None
    assert [(book.accounts[a], book.balances.assets[k], s) for a, k, s in zip(
        book.balances.account.tolist(), book.balances.asset.tolist(), book.balances.steps.tolist(), strict=True
    )] == [("a", "BTC", 1), ("b", "USD", 2)]  # fmt: skip
    assert held(book.select(1)) == []


def test_one_set_two_segregation_ids_is_refused_with_every_member() -> None:
    attributes = {
        "a": Attributes(netting_set="s", segregation="client"),
        "b": Attributes(netting_set="s", segregation="house"),
        "c": Attributes(netting_set="t", segregation="client"),
        "zz": Attributes(netting_set="t"),
    }
    with pytest.raises(PortfolioError) as caught:
        build([("a", "X", 1)], attributes)
    first, second = str(caught.value).splitlines()
    assert "netting set 's' has 2 segregation ids ('client', 'house'): a='client', b='house'" in first
    assert "netting set 't' has 2 segregation ids ('client', none): c='client', zz=none" in second


def test_a_segregation_called_none_is_one() -> None:
    linked = {"a": Attributes(netting_set="s", segregation="none"), "b": Attributes(netting_set="s")}
    expected = r"netting set 's' has 2 segregation ids \('none', none\): a='none', b=none"
    with pytest.raises(PortfolioError, match=expected):
        build([("a", "X", 1), ("b", "X", -1)], linked)


def test_one_set_two_customer_types_is_refused_with_every_member_that_states_one() -> None:
    attributes = {
        "a": Attributes(netting_set="s", customer_type=CustomerType.HEDGER),
        "b": Attributes(netting_set="s"),
        "c": Attributes(netting_set="s", customer_type=CustomerType.MEMBER),
    }
    with pytest.raises(PortfolioError, match="netting set 's' has 2 customer types: a=hedger, c=member") as caught:
        build([("a", "X", 1)], attributes)
    assert caught.value.problems[0].column == "customer_type"


@given(
    kinds=st.lists(st.sampled_from([None, *CustomerType]), min_size=6, max_size=6),
    linked=st.sets(st.integers(0, 5)),
    chosen=st.sets(st.integers(0, 5)),
)
def test_customer_types_are_those_that_members_state(
    kinds: list[CustomerType | None], linked: set[int], chosen: set[int]
) -> None:
    shared = next((kinds[k] for k in sorted(linked) if kinds[k] is not None), None)
    attributes = {
        f"a{k}": Attributes(
            netting_set="linked" if k in linked else None,
            customer_type=(shared if kinds[k] is not None else None) if k in linked else kinds[k],
        )
        for k in range(6)
    }
    book = build([(f"a{k}", "X", 1 + k) for k in range(6)], attributes)

    def expected(of: Book) -> list[int]:
        found = []
        for a in range(len(of.margin_accounts)):
            stated = [attributes[name].customer_type for name in of.members(a)]
            found.append(next((CUSTOMER_TYPES.index(kind) for kind in stated if kind is not None), -1))
        return found

    n = len(book.margin_accounts)
    some = np.array(sorted(k for k in chosen if k < n), dtype=np.int64)
    for of in (book, book.block(1, n), book.select(0), book.only(some), book.without(some)):
        assert of.customer_types.dtype == np.int8
        assert of.customer_types.tolist() == expected(of)


def test_instruments_of_one_spelling_are_one() -> None:
    gross = Attributes(account_type=AccountType.GROSS)
    rows = [("a", "x", 2), ("a", "X", -1), ("g", "x", 2), ("g", "X", -1), ("b", "x", 1), ("b", "X", -1)]
    book = build(rows, {"g": gross}, balances=[("b", "USD", 5)])
    renamed = book.renamed(str.upper)
    assert held(renamed) == [("a", "X", 1), ("g", "X", 2), ("g", "X", -1)]
    assert renamed.balances is book.balances
    assert renamed.renamed(str.upper) is renamed


def test_a_gross_account_in_a_netting_set_is_refused() -> None:
    gross = Attributes(netting_set="s", account_type=AccountType.GROSS)
    with pytest.raises(PortfolioError, match="gross account 'a' is in netting set 's'"):
        build([("a", "X", 1)], {"a": gross})


def test_a_netting_set_called_like_an_outsider_is_refused() -> None:
    with pytest.raises(PortfolioError, match="'b' is both a netting set and an account outside of it"):
        build([("a", "X", 1), ("b", "X", 1)], {"a": Attributes(netting_set="b")})


def test_a_set_may_be_called_like_its_own_member() -> None:
    book = build([("a", "X", 1), ("b", "X", 2)], {name: Attributes(netting_set="a") for name in "ab"})
    assert held(book) == [("a", "X", 3)]


@pytest.mark.parametrize("gross", [False, True])
def test_a_sum_that_would_wrap_is_refused(gross: bool) -> None:
    rows = [("a", "X", QUANTITY_LIMIT)] * 3
    with pytest.raises(PortfolioError, match="add up to more than 90,000,000,000 contracts"):
        build(rows, {"a": GROSS} if gross else {})


def test_a_sum_over_members_that_would_wrap_is_refused() -> None:
    linked = {name: Attributes(netting_set="s") for name in "abc"}
    with pytest.raises(PortfolioError, match="add up to more than"):
        build([(name, "X", QUANTITY_LIMIT) for name in "abc"], linked)


def test_balances_that_add_up_to_too_much_are_refused() -> None:
    with pytest.raises(PortfolioError, match=r"balances of .a. in USD add up to more than"):
        build([("a", "X", 1)], balances=[("a", "USD", QUANTITY_LIMIT)] * 2)


def test_unknown_accounts_are_refused_by_name() -> None:
    book = build([("a", "X", 1), ("b", "X", 1)])
    with pytest.raises(UnknownAccountError, match=r"no account 'nobody' in this book. It holds a, b\."):
        book.margin_account_index("nobody")


def test_arrays_cannot_be_written() -> None:
    book = build([("a", "X", 1), ("b", "Y", 1)], {"a": Attributes(netting_set="s")})
    for positions in (book.positions, book.member_positions):
        for array in (positions.offsets, positions.instrument, positions.steps, book.gross, book.margin_account_of):
            with pytest.raises(ValueError, match="read-only"):
                array[:] = 0


def test_quantities_to_1e_8_survive_beside_billions() -> None:
    big, small = 40_000_000_000 * 10**8, 1
    assert held(build([("a", "X", big), ("a", "X", small), ("a", "X", -big)])) == [("a", "X", 1)]
