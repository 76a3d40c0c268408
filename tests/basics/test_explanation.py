"""A figure and its parts: every rule recombines, and a tree cannot state a rule that does not exist."""

from __future__ import annotations

import json
import math

import pytest

from crossmargin.basics.explanation import RULES, Explanation


def node(rule: str, *values: float) -> Explanation:
    return Explanation(
        label="whole", value=0.0, rule=rule, parts=tuple(Explanation(label=f"{v}", value=v) for v in values)
    )


@pytest.mark.parametrize(
    ("rule", "values", "whole"),
    [
        ("sum", (1.0, 2.0, -4.0), -1.0),
        ("sum", (1e16, 1.0, -1e16), 1.0),
        ("mean", (1.0, 2.0, 6.0), 3.0),
        ("median", (5.0, 1.0, 2.0), 2.0),
        ("median", (5.0, 1.0, 2.0, 3.0), 2.5),
        ("greater of", (3.0, 5.0), 5.0),
        ("greater of", (-3.0, -5.0), -3.0),
        ("product", (4.0, 0.8), 3.2),
        ("sum, at least 0", (1.0, -2.0), 0.0),
        ("sum, at least 0", (3.0, -2.0), 1.0),
        ("loss: minus the sum, at least 0", (4.0, -3.0), 0.0),
        ("loss: minus the sum, at least 0", (1.0, -3.0), 2.0),
        ("share of the gain, at most the cap: minus min(first x second, third)", (10.0, 0.6, 100.0), -6.0),
        ("share of the gain, at most the cap: minus min(first x second, third)", (10.0, 0.6, 5.0), -5.0),
        ("absolute value of the sum", (-5.0, 2.0), 3.0),
        ("lesser of", (3.0, 5.0), 3.0),
        ("largest, at least 0", (-3.0, 5.0, 4.0), 5.0),
        ("largest, at least 0", (-3.0, -5.0), 0.0),
        ("minus the product", (4.0, 0.5, 3.0), -6.0),
        ("first over second", (6.0, 4.0), 1.5),
        ("square", (-3.0,), 9.0),
        ("square root of the sum, at least 0", (20.0, -4.0), 4.0),
        ("square root of the sum, at least 0", (2.0, -4.0), 0.0),
        ("first to as many decimals as second", (2.345, 2.0), 2.35),
        ("first to as many decimals as second", (2.5, 0.0), 3.0),
    ],
)
def test_rule(rule: str, values: tuple[float, ...], whole: float) -> None:
    assert node(rule, *values).recombined() == pytest.approx(whole, rel=1e-15)


def test_every_rule_is_tested_above() -> None:
    """So that a new rule comes with an example."""
    marks = test_rule.pytestmark[0]  # type: ignore[attr-defined]
    assert {rule for rule, _, _ in marks.args[1]} == set(RULES)


def test_a_leaf_is_its_value() -> None:
    leaf = Explanation(label="leaf", value=7.0)
    assert leaf.recombined() == 7.0
    assert list(leaf.walk()) == [(0, leaf)]


def test_walk_goes_depth_first_in_order() -> None:
    tree = Explanation(
        label="a", value=3.0, rule="sum", parts=(node("sum", 1.0, 2.0), Explanation(label="z", value=0.0))
    )
    assert [(depth, part.label) for depth, part in tree.walk()] == [
        (0, "a"), (1, "whole"), (2, "1.0"), (2, "2.0"), (1, "z"),
    ]  # fmt: skip


@pytest.mark.parametrize("rule", ["", "some of it"])
def test_parts_need_a_rule_that_exists(rule: str) -> None:
    with pytest.raises(AssertionError):
        node(rule, 1.0)


def test_a_leaf_has_no_rule() -> None:
    with pytest.raises(AssertionError):
        Explanation(label="leaf", value=1.0, rule="sum")


def test_as_plain_data_figures_are_strings_that_come_back() -> None:
    value = 0.1 + 0.2
    tree = Explanation(
        label="whole", value=value, unit="USD", rule="sum", note="a note",
        parts=(Explanation(label="part", value=value, source="docs"),),
    )  # fmt: skip
    data = json.loads(json.dumps(tree.to_dict()))
    assert float(data["value"]) == value
    assert math.isclose(float(data["parts"][0]["value"]), value, rel_tol=0)
    assert (data["rule"], data["note"], data["parts"][0]["source"]) == ("sum", "a note", "docs")
    assert "parts" not in data["parts"][0]
