"""Rows by regulation: what is margined together, what is left out, and who wins."""

from __future__ import annotations

import numpy as np
import pytest

from crossmargin.methodologies.simm.regulations import RegulationUnits, regulation_units, winners


def split(
    rows: list[tuple[int, str, str]], *, n_portfolios: int = 1, parameters: tuple[int, ...] = ()
) -> tuple[RegulationUnits, dict[tuple[int, str], list[int]]]:
    """The call side of rows of portfolio, collect and post regulations; and the rows of each unit."""
    sides = []
    for side in (1, 2):
        names = sorted({row[side] for row in rows})
        sides.append((names, np.array([names.index(row[side]) for row in rows], dtype=np.int64)))
    is_parameter = np.zeros(len(rows), dtype=np.bool_)
    is_parameter[list(parameters)] = True
    owners = np.array([row[0] for row in rows], dtype=np.int64)
    units = regulation_units(n_portfolios, owners, *sides[0], *sides[1], is_parameter)
    return units, {
        (int(units.portfolio[u]), label): units.row[units.unit == u].tolist() for u, label in enumerate(units.labels)
    }


def test_no_regulation_anywhere():
    units, found = split([(0, "", ""), (1, "", ""), (0, "", "")], n_portfolios=2)
    assert found == {(0, "Unspecified"): [0, 2], (1, "Unspecified"): [1]}
    assert units.one_each


def test_the_same_rows_are_margined_once():
    _, found = split([(0, "ESA,USPR", ""), (0, "ESA,USPR", "")])
    assert found == {(0, "ESA,USPR"): [0, 1]}


def test_rows_of_one_regulation_only():
    _, found = split([(0, "ESA,USPR", ""), (0, "ESA", ""), (0, "USPR", "")])
    assert found == {(0, "ESA"): [0, 1], (0, "USPR"): [0, 2]}


def test_rows_without_regulation_beside_others_are_left_out():
    units, found = split([(0, "ESA", ""), (0, "", ""), (1, "", "")], n_portfolios=2)
    assert found == {(0, "ESA"): [0], (1, "Unspecified"): [2]}
    assert units.left_out.tolist() == [False, True, False]


def test_a_side_that_no_regulation_asks_for_has_no_unit():
    units, found = split([(0, "", "ESA"), (1, "", "")], n_portfolios=2)
    assert found == {(1, "Unspecified"): [1]}
    unit, name = winners(units, np.array([5.0]), 2)
    assert (unit.tolist(), name) == ([-1, 0], ("", "Unspecified"))


def test_everything_left_out():
    units, found = split([(0, "", "ESA")])
    assert found == {}
    assert winners(units, np.zeros(0), 1)[0].tolist() == [-1]


def test_excluded_rows_are_in_nothing():
    _, found = split([(0, "ESA", ""), (0, "Excluded", ""), (0, "ESA,Excluded", "")])
    assert found == {(0, "ESA"): [0]}


def test_rows_under_cftc_count_under_sec():
    _, found = split([(0, "CFTC", ""), (0, "SEC", ""), (0, "CFTC,SEC", ""), (0, "ESA", "")])
    assert found == {(0, "CFTC"): [0, 2], (0, "SEC"): [0, 1, 2], (0, "ESA"): [3]}


def test_cftc_and_sec_stand_apart_from_the_others():
    _, found = split([(0, "CFTC,ESA,SEC,USPR", "")])
    assert found == {(0, "CFTC,SEC"): [0], (0, "ESA,USPR"): [0]}


def test_parameters_that_name_no_regulation_count_under_each():
    _, found = split([(0, "ESA", ""), (0, "USPR", ""), (0, "", "")], parameters=(2,))
    assert found == {(0, "ESA"): [0, 2], (0, "USPR"): [1, 2]}
    _, found = split([(0, "ESA", ""), (0, "USPR", ""), (0, "USPR", "")], parameters=(2,))
    assert found == {(0, "ESA"): [0], (0, "USPR"): [1, 2]}


@pytest.mark.parametrize(
    ("totals", "winner", "name"),
    [([3.0, 4.0], 1, "USPR"), ([4.0, 3.0], 0, "ESA"), ([4.0, 4.0], 0, "ESA"), ([4.0, 4.0 * (1 + 2e-16)], 0, "ESA")],
)
def test_the_greatest_wins_and_ties_go_by_order(totals: list[float], winner: int, name: str):
    units, _ = split([(0, "ESA", ""), (0, "USPR", "")])
    unit, names = winners(units, np.array(totals), 1)
    assert (unit.tolist(), names) == ([winner], (name,))


def test_the_order_is_not_that_of_the_alphabet():
    units, _ = split([(0, "HKMA", ""), (0, "KFSC", ""), (0, "ZZZ", "")])
    assert winners(units, np.ones(3), 1)[1] == ("KFSC",)
