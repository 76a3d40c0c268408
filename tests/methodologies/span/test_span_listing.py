"""Contracts by name: what people write, what it means, and what is said of what means nothing."""

from __future__ import annotations

import pytest

from crossmargin.basics.errors import ExpiredInstrumentError, UnknownInstrumentError, UnsupportedError
from crossmargin.methodologies.span.listing import SpanListing, period_of
from crossmargin.methodologies.span.method import span
from crossmargin.methodologies.span.parameters import Kind, SpanFile, contract_name, strike_text
from tests.span_files import FileMaker


def file() -> SpanFile:
    maker = FileMaker(complex="NSCCL")
    maker.commodity("NIFTY", "INR")
    maker.commodity("M&M", "INR")
    maker.contract("NIFTY", Kind.PHY, "", loss=[0.0] * 16)
    for period in ("20260630", "20260728"):
        maker.future("NIFTY", period, 100.0)
        maker.options("NIFTY", period, (23_950.5, 24_000, 24_500), underlying=24_000.0, scan=2_000.0, kind=Kind.OOP)
    maker.options("NIFTY", "20260707", (24_000,), underlying=24_000.0, scan=2_000.0, kind=Kind.OOP)
    maker.future("M&M", "202607", 50.0)
    # Options of one month on futures of two.
    for underlying in ("202607", "202609"):
        maker.options("M&M", "202608", (100.0,), underlying_period=underlying)
    return maker.file()


LISTING = SpanListing(file())

MEANS = {
    "X NIFTY OOP 20260630 C 24000": "X NIFTY OOP 20260630 C 24000",
    "NIFTY OOP 20260630 C 24000": "X NIFTY OOP 20260630 C 24000",
    "  nifty 30-Jun-2026 24000 ce ": "X NIFTY OOP 20260630 C 24000",
    "NIFTY CE 2026-06-30 24000.00": "X NIFTY OOP 20260630 C 24000",
    "NIFTY OPTIDX 30JUN26 CE 24000": "X NIFTY OOP 20260630 C 24000",
    "NIFTY|30/06/2026|24000|CALL": "X NIFTY OOP 20260630 C 24000",
    "NIFTY26JUN24000CE": "X NIFTY OOP 20260630 C 24000",
    "NIFTY2670724000PE": "X NIFTY OOP 20260707 P 24000",
    "NIFTY26JUN23950.5PE": "X NIFTY OOP 20260630 P 23950.5",
    "NIFTY26JUNFUT": "X NIFTY FUT 20260630",
    "NIFTY-FUT-20260728": "X NIFTY FUT 20260728",
    "NIFTY FUTIDX JUL26": "X NIFTY FUT 20260728",
    "NIFTY 20260728": "X NIFTY FUT 20260728",
    "NIFTY PHY": "X NIFTY PHY",
    "NIFTY SPOT": "X NIFTY PHY",
    "M&M 202607": "X M&M FUT 202607",
    "M&M OOF 202608/202609 P 100": "X M&M OOF 202608/202609 P 100",
    "M&M 202608/202607 P 100": "X M&M OOF 202608/202607 P 100",
}


@pytest.mark.parametrize(("written", "meant"), MEANS.items())
def test_what_people_write_means_one_contract(written: str, meant: str) -> None:
    assert LISTING.spelled(written) == meant
    assert written in LISTING
    assert LISTING.problem_with(written) is None
    row = LISTING.row(written)
    assert row is not None
    assert contract_name(LISTING.file, row) == meant


def test_every_contract_is_found_by_its_name() -> None:
    names = LISTING.names
    assert list(names) == sorted(names)
    assert len(set(names)) == len(names) == len(LISTING.file.contracts)
    assert all(LISTING.spelled(name) == name for name in names)


REFUSED = {
    "NIFTY 30-Jun-2026 24100 CE": (UnknownInstrumentError, "nearest strikes: 'X NIFTY OOP 20260630 C 24000'"),
    "NIFTY 2026-08-25": (UnknownInstrumentError, "Its expiries there: 20260630, 20260728"),
    "NIFTY JUN26 24000": (UnknownInstrumentError, "An option needs its right"),
    "NIFTY OOP JUN26 CE": (UnknownInstrumentError, "An option needs a strike"),
    "NIFTI 20260630": (UnknownInstrumentError, "Did you mean NIFTY"),
    "NIFTY 20260630 24000 CE weekly": (UnknownInstrumentError, "'weekly' is not understood"),
    "M&M OOF 202608 P 100": (UnknownInstrumentError, "may be several contracts"),
    "NIFTY 20260528": (ExpiredInstrumentError, "has expired before 2026-06-25"),
    "NIFTY CMB 20260630": (UnknownInstrumentError, "the file lists FUT, OOP, PHY"),
    "": (UnknownInstrumentError, "no product ''"),
}


@pytest.mark.parametrize(("written", "why"), REFUSED.items())
def test_what_means_nothing_or_two_things_is_refused_with_what_is_listed(
    written: str, why: tuple[type[Exception], str]
) -> None:
    problem = LISTING.problem_with(written, file="book.csv", row=7, column="instrument")
    assert problem is not None
    assert written not in LISTING
    assert (problem.kind, problem.file, problem.row, problem.column) == (why[0], "book.csv", 7, "instrument")
    assert why[1] in str(problem)


def test_a_contract_in_no_combined_commodity_is_listed_and_refused() -> None:
    from dataclasses import replace

    whole = file()
    loose = replace(whole, products=tuple(replace(p, commodity=-1) if p.code == "M&M" else p for p in whole.products))
    problem = SpanListing(loose).problem_with("M&M 202607")
    assert problem is not None
    assert problem.kind is UnsupportedError
    assert "in no combined commodity" in str(problem)
    assert span(loose).model.rules.commodity_of_contract.min() == -1


@pytest.mark.parametrize(
    ("text", "period"),
    {
        "20260630": "20260630",
        "2026-06-30": "20260630",
        "2026-06-30T00:00:00": "20260630",
        "2026-06": "202606",
        "202606": "202606",
        "30-JUN-2026": "20260630",
        "30JUN26": "20260630",
        "5JUN26": "20260605",
        "JUN26": "202606",
        "30/06/2026": "20260630",
        "202607W1": "202607W1",
        "202613": None,
        "24000": None,
        "99JUN26": None,
        "FUT": None,
        "": None,
    }.items(),
)
def test_periods_are_read_as_people_write_them(text: str, period: str | None) -> None:
    assert period_of(text) == period


def test_strikes_print_in_the_fewest_digits_that_read_back() -> None:
    for strike, text in (
        (24_000.0, "24000"),
        (145.25, "145.25"),
        (1e-7, "0.0000001"),
        (-37.5, "-37.5"),
        (1e16, "10000000000000000"),
    ):
        assert strike_text(strike) == text
        assert float(text) == strike
