"""One page of errors: the tree is the one drawn, and many problems are one error that lists them all."""

from __future__ import annotations

import re

import pytest

from crossmargin.basics import errors
from crossmargin.basics.errors import (
    CrossmarginError,
    InputError,
    MissingQuoteError,
    ParameterError,
    PortfolioError,
    Problem,
    QuantityError,
    UnsupportedError,
    raise_problems,
)


def test_the_tree_is_the_one_drawn_at_the_top() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")
    classes = {
        name: member
        for name, member in vars(errors).items()
        if isinstance(member, type) and issubclass(member, CrossmarginError) and member is not CrossmarginError
    }
    assert set(drawn) == set(classes)
    roots = re.findall(r"^    [├└]── (\w+)", errors.__doc__ or "", re.MULTILINE)
    assert {name for name, member in classes.items() if member.__bases__ == (CrossmarginError,)} == set(roots)
    above = ""
    for name in drawn:
        above = name if name in roots else above
        assert issubclass(classes[name], classes[above]), name


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (Problem(found="bad"), "bad"),
        (Problem(found="bad", needed="Do better."), "bad. Do better."),
        (Problem(found="bad", file="p.csv", row=3, column="quantity"), "p.csv, row 3, column 'quantity': bad"),
        (Problem(found="bad", row=3), "row 3: bad"),
        (Problem(found="bad", column="vol", needed="Fix."), "column 'vol': bad. Fix."),
    ],
)
def test_a_problem_says_where_what_and_what_would_do(problem: Problem, text: str) -> None:
    assert str(problem) == text


def test_a_problem_names_its_account_and_instrument_beside_its_text() -> None:
    problem = Problem(found="bad", row=3, account="a", instrument="X")
    assert str(problem) == "row 3: bad"
    with pytest.raises(InputError) as caught:
        raise_problems([problem, Problem(found="worse")])
    assert [(p.account, p.instrument) for p in caught.value.problems] == [("a", "X"), ("", "")]


def test_all_problems_stand_in_one_error_in_order() -> None:
    problems = [Problem(found=f"thing {k}", row=k) for k in range(1, 38)]
    with pytest.raises(InputError) as caught:
        raise_problems(problems)
    assert str(caught.value).count("\n") == 36
    assert caught.value.problems == tuple(problems)
    assert str(caught.value).splitlines()[0] == "row 1: thing 1"


def test_no_problems_no_error() -> None:
    raise_problems([])


@pytest.mark.parametrize(
    ("kinds", "raised"),
    [
        ([QuantityError, QuantityError], QuantityError),
        ([QuantityError, PortfolioError], InputError),
        ([QuantityError, InputError], InputError),
        ([None, QuantityError], InputError),
        ([UnsupportedError], UnsupportedError),
        ([UnsupportedError, UnsupportedError], UnsupportedError),
        ([UnsupportedError, MissingQuoteError], InputError),
        ([ParameterError], ParameterError),
        ([ParameterError, UnsupportedError], InputError),
    ],
)
def test_the_error_is_of_the_kind_that_all_problems_share(
    kinds: list[type[CrossmarginError] | None], raised: type[CrossmarginError]
) -> None:
    with pytest.raises(CrossmarginError) as caught:
        raise_problems([Problem(found="bad", kind=kind) for kind in kinds])
    assert type(caught.value) is raised


def test_text_alone_is_a_problem() -> None:
    error = QuantityError("too large")
    assert error.problems == (Problem(found="too large"),)
    assert str(error) == "too large"
