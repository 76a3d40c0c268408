"""Columns say what the terms say, in one order, whatever order they came in."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import InputError, ShapeError, UnknownInstrumentError
from crossmargin.instruments import DatedFuture, Instrument, Payoff, Right, Style, VanillaOption, parse_symbol
from crossmargin.instruments.table import NO_EXPIRY, InstrumentTable, Kind

NAMES = (
    "SPXW230915C04500000",
    "SPY230915P00450000",
    "OEX230915C02000000",
    "BTC_USDC",
    "BTC-PERPETUAL",
    "BTC-27MAR26",
    "BTC-27MAR26-90000-C",
    "ETH-27MAR26-3000-P",
    "XRP_USDC-30JUN25-2d5-C",
)
INSTRUMENTS = tuple(parse_symbol(name) for name in NAMES)


def kind_of(instrument: Instrument) -> Kind:
    return {"Spot": Kind.SPOT, "DatedFuture": Kind.FUTURE, "Perpetual": Kind.PERPETUAL}.get(
        type(instrument).__name__, Kind.OPTION
    )


@given(st.permutations(INSTRUMENTS), st.integers(0, len(INSTRUMENTS)))
def test_columns_against_terms(shuffled: list[Instrument], n: int) -> None:
    table = InstrumentTable.from_instruments(shuffled[:n])
    assert len(table) == n == len(table.names)
    assert all(one < other for one, other in pairwise(table.names))
    assert list(table.underlyings) == sorted({instrument.underlying for instrument in shuffled[:n]})
    for given_instrument in shuffled[:n]:
        row = table.row(given_instrument.name)
        instrument = table.instrument(row)
        assert instrument is given_instrument
        assert table.kind[row] == kind_of(instrument)
        assert table.underlyings[table.underlying[row]] == instrument.underlying
        assert table.multiplier[row] == float(instrument.multiplier)
        assert table.is_inverse[row] == (instrument.payoff is Payoff.INVERSE)
        option = instrument if isinstance(instrument, VanillaOption) else None
        assert table.is_call[row] == (option is not None and option.right is Right.CALL)
        assert table.is_american[row] == (option is not None and option.style is Style.AMERICAN)
        if option is None:
            assert np.isnan(table.strike[row])
        else:
            assert table.strike[row] == float(option.strike)
        if isinstance(instrument, VanillaOption | DatedFuture):
            assert datetime.fromtimestamp(int(table.expiry_seconds[row]), UTC) == instrument.expiry
        else:
            assert table.expiry_seconds[row] == NO_EXPIRY


def test_types_of_columns_and_nobody_writes_them() -> None:
    table = InstrumentTable.from_instruments(INSTRUMENTS)
    dtypes = {
        "kind": "int8",
        "underlying": "int32",
        "expiry_seconds": "int64",
        "strike": "float64",
        "is_call": "bool",
        "is_inverse": "bool",
        "is_american": "bool",
        "multiplier": "float64",
    }
    for name, dtype in dtypes.items():
        column = getattr(table, name)
        assert column.dtype == dtype
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 0


def test_the_same_terms_twice_are_one_row() -> None:
    assert len(InstrumentTable.from_instruments([INSTRUMENTS[0], parse_symbol(NAMES[0])])) == 1


def test_two_contracts_of_one_name() -> None:
    other = [replace(instrument, multiplier=Decimal(7)) for instrument in INSTRUMENTS[:2]]
    with pytest.raises(InputError, match="two instruments are named 'SPXW  230915C04500000' but differ") as caught:
        InstrumentTable.from_instruments([*INSTRUMENTS, *other, *other])
    assert len(caught.value.problems) == 2


@given(st.sets(st.integers(0, len(INSTRUMENTS) - 1)))
def test_take_is_the_table_of_those(rows: set[int]) -> None:
    table = InstrumentTable.from_instruments(INSTRUMENTS)
    chosen = sorted(rows)
    mask = np.zeros(len(table), dtype=np.bool_)
    mask[chosen] = True
    expected = InstrumentTable.from_instruments(table.instrument(row) for row in chosen)
    for taken in (table.take(chosen), table.take(mask), table.take(np.array(chosen, dtype=np.int64))):
        for column in fields(InstrumentTable):
            one, other = getattr(taken, column.name), getattr(expected, column.name)
            if isinstance(one, np.ndarray):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
                assert not one.flags.writeable
            else:
                assert one == other


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([2, 1], "not strictly ascending"),
        ([1, 1], "not strictly ascending"),
        ([-1, 0], "rows -1 to 0 of a table of 9"),
        ([0, 9], "rows 0 to 9 of a table of 9"),
        ([True, False], r"a mask of shape \(2,\) for a table of 9"),
    ],
)
def test_take_keeps_the_order(rows: list[int], message: str) -> None:
    with pytest.raises(ShapeError, match=message):
        InstrumentTable.from_instruments(INSTRUMENTS).take(rows)


def test_rows_of_names() -> None:
    table = InstrumentTable.from_instruments(INSTRUMENTS)
    asked = [table.names[3], table.names[0], table.names[3]]
    assert table.rows(asked).tolist() == [3, 0, 3]
    assert table.rows([]).shape == (0,)
    with pytest.raises(UnknownInstrumentError, match="no instrument 'GOOG' among the 9 of this table"):
        table.row("GOOG")
    with pytest.raises(UnknownInstrumentError, match="It has 'SPXW  230915C04500000'; use that name") as caught:
        table.rows(["GOOG", table.names[0], NAMES[0], "GOOG"])
    assert len(caught.value.problems) == 2
