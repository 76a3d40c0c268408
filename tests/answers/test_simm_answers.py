"""Contributions, trees and what-ifs of a CRIF: with regulations, under the schedule, by any column of the file."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import crossmargin as cm
from crossmargin.answers.simm import SimmAnswer, simm_margin
from crossmargin.answers.simm_what_if import SimmDesk
from crossmargin.basics.errors import InputError
from crossmargin.files.crif import read_crif
from crossmargin.files.simm_document import read_simm_parameters
from crossmargin.methodologies.simm.parameters import RiskClass
from crossmargin.methodologies.simm.recipe import Side
from tests.methodologies.simm.test_allocation import nodes_that_do_not_recombine
from tests.methodologies.simm.test_simm import book

HEADER = [
    "PortfolioID",
    "ProductClass",
    "RiskType",
    "Qualifier",
    "Bucket",
    "Label1",
    "Label2",
    "AmountUSD",
    "TradeID",
    "collect_regulations",
    "post_regulations",
    "Desk",
    "im_model",
    "end_date",
]
AS_OF = date(2026, 1, 30)
SCHEDULED = [
    ("p0", "Rates", "Notional", "", "", "", "", 1e6, "S1", "ESA", "ESA", "east", "Schedule", "2030-01-30"),
    ("p0", "Rates", "PV", "", "", "", "", 2e4, "S1", "ESA", "ESA", "east", "Schedule", "2030-01-30"),
    ("p0", "Credit", "Notional", "", "", "", "", 3e6, "S2", "ESA", "ESA", "west", "Schedule", "2028-01-30"),
    ("p0", "Credit", "PV", "", "", "", "", -1e4, "S2", "ESA", "ESA", "west", "Schedule", "2028-01-30"),
]
Line = tuple[str | float, ...]


def lines(n_portfolios: int, *, seed: int = 0, regulated: bool = False) -> list[Line]:
    """Books of something of everything, every seventh row of one trade, over two desks."""
    found: list[Line] = []
    for p in range(n_portfolios):
        for k, row in enumerate(book(seed + p)):
            here, there = (("ESA", "USPR"), ("ESA,USPR", ""), ("", "ESA"))[k % 3] if regulated else ("", "")
            desk = ("east", "west")[k % 2]
            found.append((f"p{p}", *row[1:], f"T{k % 7}", here, there, desk, "", ""))
    return found


def written(path: Path, rows: Sequence[Line], columns: Sequence[str] = HEADER) -> Path:
    """A CRIF of these rows."""
    with path.open("w", newline="") as out:
        csv.writer(out).writerows([columns, *rows])
    return path


def margined(folder: Path, rows: Sequence[Line]) -> SimmAnswer:
    return cm.simm(written(folder / "crif.csv", rows), as_of=AS_OF)


@pytest.mark.parametrize("regulated", [False, True])
@pytest.mark.parametrize("by", ["factor", "trade", "desk", ["Bucket", "RiskType"], ["tradeid", "MarginType", "Desk"]])
def test_contributions_sum_to_every_requirement(tmp_path: Path, by: str | list[str], regulated: bool) -> None:
    answer = margined(tmp_path, [*lines(3, regulated=regulated), *SCHEDULED])
    frame = answer.allocation(by)
    keys = frame.columns[: frame.columns.index("Contribution")]
    assert frame.select(keys).is_unique().all()
    for side in Side:
        own = frame.filter(pl.col("SimmSide") == side.value.capitalize())
        sums = dict(own.group_by("Portfolio").agg(pl.col("Contribution").sum()).iter_rows())
        for p, name in enumerate(answer.portfolios):
            assert sums[name] == pytest.approx(answer.sides[side].requirement[p], rel=1e-13)


def test_contributions_by_trade_are_those_of_its_factors(tmp_path: Path) -> None:
    answer = margined(tmp_path, lines(1))
    by_trade = answer.allocation("trade")
    assert by_trade["TradeID"].unique().sort().to_list() == [f"T{k}" for k in range(7)]
    both = answer.allocation(["TradeID", "Qualifier"]).group_by("SimmSide", "TradeID").agg(pl.col("Contribution").sum())
    joined = by_trade.join(both, on=["SimmSide", "TradeID"], suffix="_sum")
    assert joined.height == 14
    assert np.allclose(joined["Contribution"], joined["Contribution_sum"], rtol=1e-12)


def test_the_tree_as_columns(tmp_path: Path) -> None:
    """Weighted sensitivities by factor, and levels that agree with the report."""
    answer = margined(tmp_path, lines(1))
    frame = answer.allocation()
    row = frame.filter(
        (pl.col("SimmSide") == "Call")
        & (pl.col("MarginType") == "Delta")
        & (pl.col("Qualifier") == "A1")
        & (pl.col("RiskClass") == "Equity")
    ).row(0, named=True)
    weight = row["Weighted"] / row["AmountUSD"] / row["Concentration"]
    assert weight == pytest.approx(answer.parameters.bucketed[3].risk_weight[0], rel=1e-14)
    levels = ["ProductClass", "RiskClass", "MarginType"]
    assert set(frame.select(levels).iter_rows()) <= set(answer.report().select(levels).iter_rows())


def test_a_column_that_is_not_there(tmp_path: Path) -> None:
    answer = margined(tmp_path, lines(1))
    with pytest.raises(InputError) as error:
        answer.allocation(["book", "Desk", "trader"])
    assert [problem.found for problem in error.value.problems] == [
        "contributions by 'book', a column that the CRIF does not have",
        "contributions by 'trader', a column that the CRIF does not have",
    ]


def test_a_column_that_is_called_like_one_of_the_answer(tmp_path: Path) -> None:
    names = ["Contribution" if name == "Desk" else name for name in HEADER]
    answer = cm.simm(written(tmp_path / "crif.csv", lines(1), names))
    with pytest.raises(InputError, match=r"'Contribution', which the answer calls a column of its own\. Call it"):
        answer.allocation(["trade", "contribution"])
    level = cm.simm(written(tmp_path / "crif.csv", lines(1), ["RiskClass" if n == "Desk" else n for n in HEADER]))
    assert "east" not in level.allocation("riskclass")["RiskClass"].to_list()  # the method's, not the file's


def test_a_calibration_that_knows_less_than_the_book(tmp_path: Path) -> None:
    """A book that was read for one calibration and is margined by another: rows by number, file and column."""
    book = read_crif(written(tmp_path / "crif.csv", lines(1)))
    parameters = read_simm_parameters()
    equity = parameters.bucketed[RiskClass.EQUITY]
    other = replace(
        parameters,
        bucketed={**parameters.bucketed, RiskClass.EQUITY: replace(equity, buckets=("99", *equity.buckets[1:]))},
    )
    with pytest.raises(InputError) as error:
        simm_margin(book, other)
    assert {(one.file, one.column, one.found) for one in error.value.problems} == {("crif.csv", "Bucket", "bucket '1'")}
    numbers = [one.row for one in error.value.problems]
    assert numbers == sorted(set(numbers))
    assert [one.row for one in simm_margin(book, other, skip_rejected=True).rejected] == numbers


@pytest.mark.parametrize("side", ["call", "post"])
@pytest.mark.parametrize("currency", ["USD", "EUR"])
def test_the_tree_names_the_regulation_that_counts(tmp_path: Path, side: str, currency: str) -> None:
    path = written(tmp_path / "crif.csv", [*lines(1, regulated=True), *SCHEDULED])
    answer = cm.simm(path, as_of=AS_OF, currency=currency, fx={"EUR": 1.1})
    tree = answer.explain("p0", side)
    assert tree.value == answer.sides[Side(side)].requirement[0]
    assert list(nodes_that_do_not_recombine(tree)) == []
    greatest, schedule = tree.parts
    assert greatest.rule == "greater of"
    assert {part.label for part in greatest.parts} == {"sensitivities under ESA", "sensitivities under USPR"}
    opened = [part for part in greatest.parts if part.parts]
    assert [part.value for part in opened] == [greatest.value]
    assert schedule.value == answer.sides[Side(side)].schedule[0]
    with pytest.raises(InputError, match="no portfolio 'p1'"):
        answer.explain("p1")


# What if


@pytest.mark.parametrize("regulated", [False, True])
def test_what_if_is_the_answer_of_the_changed_file(tmp_path: Path, regulated: bool) -> None:
    """To the last bit: requirements, every level of the report, and contributions."""
    rows = [*lines(3, regulated=regulated), *SCHEDULED]
    answer = margined(tmp_path, rows)
    new = [(*row[:-6], "N", *row[-5:]) for row in lines(2, seed=50, regulated=regulated)[::9]]
    new = [(("p1", "p7")[k % 2], *row[1:]) for k, row in enumerate(new)]
    change = cm.simm_what_if(answer, remove=["T3", "S1"], add=written(tmp_path / "new.csv", new))
    kept = [row for row in rows if row[8] not in ("T3", "S1")]
    expected = margined(tmp_path, [*kept, *new])
    assert change.portfolios == expected.portfolios == ("p0", "p1", "p2", "p7")
    assert change.removed == len(rows) - len(kept)
    assert change.added == len(new)
    assert change.after.table().equals(expected.table())
    assert change.after.report().equals(expected.report())
    assert change.after.allocation(["TradeID", "Qualifier", "Desk"]).equals(
        expected.allocation(["TradeID", "Qualifier", "Desk"])
    )
    assert change.before.table().equals(answer.table())


def test_portfolios_that_are_not_touched_are_not_margined(tmp_path: Path) -> None:
    rows = lines(3)
    answer = margined(tmp_path, rows)
    change = cm.simm_what_if(answer, remove="T3", portfolio="p1")
    assert change.portfolios == ("p1",)
    kept = [row for row in rows if not (row[0] == "p1" and row[8] == "T3")]
    assert change.after.table().equals(margined(tmp_path, kept).table().filter(pl.col("portfolio") == "p1"))


def test_margins_whose_rows_stay_are_kept(tmp_path: Path) -> None:
    answer = margined(tmp_path, lines(1))
    new = written(tmp_path / "new.csv", [("p0", "Equity", "Risk_Equity", "NEW", "3", "", "", 1e5)], HEADER[:8])
    change = cm.simm_what_if(answer, add=new)
    before, after = (one.sides[Side.CALL].breakdown.margins for one in (change.before, change.after))
    changed = {key for key in before if before[key].form is not after[key].form}
    assert [(key[0].name, key[1]) for key in changed] == [("EQUITY", "Delta")]


def test_a_new_portfolio_and_one_of_which_nothing_is_left(tmp_path: Path) -> None:
    answer = margined(tmp_path, lines(2))
    new = written(tmp_path / "new.csv", [("q", "Equity", "Risk_Equity", "NEW", "3", "", "", 1e5)], HEADER[:8])
    change = cm.simm_what_if(answer, remove=[f"T{k}" for k in range(7)], add=new, portfolio="p0")
    assert change.before.portfolios == ("p0",)
    assert change.after.portfolios == ("q",)
    of_level = {
        (row["Portfolio"], row["Level"]): (row["Before"], row["After"])
        for row in change.table().filter(pl.col("SimmSide") == "Call").iter_rows(named=True)
    }
    assert of_level["p0", "requirement"] == (answer.sides[Side.CALL].requirement[0], 0.0)
    assert of_level["q", "requirement"][0] == 0.0
    assert of_level["q", "requirement"][1] > 0.0


def test_one_desk_answers_again_and_again(tmp_path: Path) -> None:
    answer = margined(tmp_path, lines(2))
    desk = SimmDesk(answer, ["p1"])
    once = [desk.what_if(remove=[f"T{k}"]).after.table() for k in range(7)]
    again = [cm.simm_what_if(answer, remove=f"T{k}", portfolio="p1").after.table() for k in range(7)]
    assert all(one.equals(other) for one, other in zip(once, again, strict=True))


def test_changes_that_cannot_be(tmp_path: Path) -> None:
    answer = margined(tmp_path, [*lines(1), *SCHEDULED])
    with pytest.raises(InputError, match="no change"):
        cm.simm_what_if(answer)
    with pytest.raises(InputError) as error:
        cm.simm_what_if(answer, remove=["X", "T1", "Y"])
    assert [problem.found for problem in error.value.problems] == ["no trade 'X'", "no trade 'Y'"]
    with pytest.raises(InputError, match="no portfolio 'z'"):
        cm.simm_what_if(answer, remove="T1", portfolio="z")
    wrong = written(tmp_path / "new.csv", [("p0", "Equity", "Risk_Equity", "NEW", "77", "", "", 1e5)], HEADER[:8])
    with pytest.raises(InputError, match="bucket '77'"):
        cm.simm_what_if(answer, add=wrong)
    with pytest.raises(InputError, match="trade 'S1' is under the schedule already"):
        cm.simm_what_if(answer, add=written(tmp_path / "again.csv", SCHEDULED[:2]))
    no_trades = cm.simm(written(tmp_path / "none.csv", [row[:8] for row in lines(1)], HEADER[:8]))
    with pytest.raises(InputError, match="no column TradeID"):
        cm.simm_what_if(no_trades, remove="T1")
