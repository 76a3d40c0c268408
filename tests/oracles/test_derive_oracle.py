"""Derive's recipe against a scalar loop from the rulebook, on random books."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings

from crossmargin.market.policy import MissingPolicy
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.venue_grids.derive.method import DerivePortfolio
from tests import books
from tests.books import Row
from tests.oracles.derive_oracle import sub_book_margin

NAMES = tuple(
    name
    for name in books.NAMES
    if not name.startswith("SPX") and name not in ("BTC-27MAR26", "BTC-26JUN26", "ETH-27MAR26")
)


@cache
def _method(name: str) -> DerivePortfolio:
    method = methodology(name)
    assert isinstance(method, DerivePortfolio)
    return method


@pytest.mark.parametrize("name", ["derive-pmrm2", "derive-pmrm1"])
@settings(max_examples=25)
@given(rows=books.rows_of(names=NAMES))
def test_every_sub_book_is_what_the_loop_says(name: str, rows: list[Row]) -> None:
    method, book = _method(name), books.book(rows)
    priced = method.price(book.instruments, books.market(), MissingPolicy())
    units = method.arrange(book, priced)
    measured = method.measure(units, priced)
    held = units.holdings
    for u in range(units.n_units):
        first, last = held.offsets[u : u + 2].tolist()
        own = list(zip(held.instrument[first:last].tolist(), held.quantity[first:last].tolist(), strict=True))
        expected = sub_book_margin(priced.inputs, method.parameters, int(units.layout.unit_group[u]), own)
        # Two sums of a few hundred prices in another order: 1e-12 of what the legs are worth.
        worth = float(
            np.abs(held.quantity[first:last]) @ priced.values[held.instrument[first:last]].max(axis=1, initial=1.0)
        )
        close = {"rel": 1e-9, "abs": 1e-12 * worth}
        assert measured.requirement_initial[u] == pytest.approx(expected.initial, **close)
        assert measured.requirement_maintenance[u] == pytest.approx(expected.maintenance, **close)
