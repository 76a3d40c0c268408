"""`span2-like`: every charge by hand, the sum against a loop, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import InputError, ParameterError
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.model_based.span2.recipe import square_root_impact
from crossmargin.methodologies.registry import methodology
from tests.methodologies.model_based.small import (
    AS_OF,
    asked,
    document,
    evaluated,
    future,
    history_of,
    of_changes,
    of_quotes,
    perpetual,
)

N = 120
_RNG = np.random.default_rng(41)
A = 0.02 * _RNG.standard_t(4, N)
B = 0.5 * A + 0.02 * _RNG.standard_t(4, N)
HISTORY = of_changes(A=A, B=B)
FILTER = {
    "volatility": None,
    "horizon_days": "1",
    "observations": str(N),
}
DAYS = {"ten bad days": ["2026-02-01", "2026-02-10"]}


def market(volume: dict[str, float] | None = None, half_spread: float = 0.0) -> Market:
    """Two perpetuals at 100, perhaps quoted on both sides, perhaps with a volume."""
    quotes = [
        replace(perpetual(name, 100.0), bid=100 - half_spread, ask=100 + half_spread)
        if half_spread
        else perpetual(name, 100.0)
        for name in "AB"
    ]
    facts = {"average_daily_volume": {f"{name}-PERP": value for name, value in (volume or {}).items()}}
    return Market.from_quotes(quotes, as_of=AS_OF, source="small", index={"A": 100.0, "B": 100.0}, facts=facts)


def parameters(**sections: Any) -> dict[str, Any]:
    """One day's changes as they were, ten stressed days whose worst counts; nothing for size unless it is said."""
    given: dict[str, Any] = {
        "generation": FILTER,
        "stress_periods": DAYS,
        "stress_measure": {"tool": "es", "level": "0.9"},
        "liquidity": {"impact": "0"},
        "concentration": {"threshold_days": "1", "rate": "0"},
    }
    return document("span2-like", **(given | sections))


def required(book: dict[str, float], given: dict[str, Any], at: Market | None = None) -> float:
    """Of one account."""
    return asked({"ann": book}, at or market(), methodology("span2-like", given, history=HISTORY))["ann"]


def shortfall(pnl: np.ndarray) -> float:
    """Mean of the worst 1.2 of 120."""
    worst = np.sort(pnl)
    return -float(worst[0] + 0.2 * worst[1]) / 1.2


PNL = 10 * 100 * (np.exp(A) - 1) - 7 * 100 * (np.exp(B) - 1)
BOOK = {"A-PERP": 10.0, "B-PERP": -7.0}
BAD_DAYS = PNL[N - 25 : N - 15]
DEVIATION = {name: math.sqrt(float(np.mean((100 * (np.exp(x) - 1)) ** 2))) for name, x in (("A", A), ("B", B))}


def test_history_and_stress_are_mixed() -> None:
    found = required(BOOK, parameters())
    assert found == pytest.approx(0.75 * shortfall(PNL) + 0.25 * max(0.0, -BAD_DAYS.min()), rel=1e-12)
    only = required(BOOK, parameters(historical_share="1"))
    assert only == pytest.approx(shortfall(PNL), rel=1e-12)


def test_hypothetical_moves_stand_beside_the_stressed_days() -> None:
    moves = {"A falls, B does not": {"price:A": "-0.4"}, "all rise": {"price:*": "0.2"}}
    fall, second = 1000 * (1 - math.exp(-0.4)), max(-BAD_DAYS.min(), 300 * (1 - math.exp(0.2)))
    both = required(BOOK, parameters(hypothetical=moves, historical_share="0"))
    assert both == pytest.approx((fall + 0.2 * second) / 1.2, rel=1e-12)
    halves = {"tool": "es", "level": "0.5"}
    given = parameters(hypothetical=moves, stress_periods={}, historical_share="0", stress_measure=halves)
    assert required(BOOK, given) == pytest.approx(fall, rel=1e-12)


def test_size_costs_its_root() -> None:
    assert square_root_impact(np.array([100.0]), np.array([0.25]), 0.5)[0] == 25.0
    plain = required(BOOK, parameters())
    given = parameters(liquidity={"impact": "0.5"})
    volume = {"A": 40.0, "B": 7.0}
    extra = required(BOOK, given, market(volume)) - plain
    expected = 0.5 * (10 * DEVIATION["A"] * math.sqrt(10 / 40) + 7 * DEVIATION["B"] * math.sqrt(7 / 7))
    assert extra == pytest.approx(expected, rel=1e-9)
    # Four times the size: the losses are four times as large, what it costs to sell eight times.
    large = required({name: 4 * q for name, q in BOOK.items()}, given, market(volume)) - 4 * plain
    assert large == pytest.approx(8 * expected, rel=1e-9)


def test_what_nobody_knows_the_volume_of_is_one_days_volume() -> None:
    given = parameters(liquidity={"impact": "0.5"})
    extra = required({"A-PERP": 3.0}, given) - required({"A-PERP": 3.0}, parameters())
    assert extra == pytest.approx(0.5 * 3 * DEVIATION["A"], rel=1e-9)
    found = evaluated({"ann": {"A-PERP": 3.0}}, market(), methodology("span2-like", given, history=HISTORY))
    assert any("no average_daily_volume of A-PERP" in note for note in found.notes)


def test_half_the_spread_is_what_it_costs_to_cross() -> None:
    assert required(BOOK, parameters(), market(half_spread=0.3)) - required(BOOK, parameters()) == pytest.approx(
        0.3 * 17, rel=1e-9
    )


def test_concentration_begins_at_the_threshold() -> None:
    given = parameters(concentration={"threshold_days": "2", "rate": "0.1"})
    below = required({"A-PERP": 10.0}, given, market({"A": 5.0, "B": 5.0}))
    assert below == required({"A-PERP": 10.0}, parameters())
    beyond = required({"A-PERP": 10.0}, given, market({"A": 2.5, "B": 5.0})) - below
    assert beyond == pytest.approx(0.1 * 10 * DEVIATION["A"] * (4 - 2), rel=1e-9)


def test_what_falls_with_the_account_is_charged_to_who_holds_it() -> None:
    given = parameters(wrong_way={"underlyings": ["A"], "fall": "0.9"})
    assert required(BOOK, given) - required(BOOK, parameters()) == pytest.approx(1000 * 0.9, rel=1e-9)
    short = {"A-PERP": -10.0}
    assert required(short, given) == required(short, parameters())


def test_what_falls_with_one_account_is_not_charged_to_another() -> None:
    """A falls with ann, B with everybody: by 90%, 900 of ten of A long and 630 of seven of B short."""
    given = parameters(wrong_way={"underlyings": ["B"], "accounts": {"ann": ["A"]}, "fall": "0.9"})
    books = {"ann": {"A-PERP": 10.0, "B-PERP": -7.0}, "bob": {"A-PERP": 10.0}, "cid": {"A-PERP": 10.0, "B-PERP": 1.0}}
    found = evaluated(books, market(), methodology("span2-like", given, history=HISTORY))
    charge = found.requirements.units.components["wrong_way"].tolist()
    assert charge == pytest.approx([900 - 630, 0.0, 90.0], rel=1e-12)
    plain = asked(books, market(), methodology("span2-like", parameters(), history=HISTORY))
    for a, (account, without) in enumerate(plain.items()):
        required_now = float(found.requirements.requirement_initial[a])
        assert required_now - without == pytest.approx(charge[a], abs=1e-9), account
        labels = [node.label for _, node in found.methodology.explain(found.requirements, a).walk()]
        words = "A, B down by 90%" if account == "ann" else "B down by 90%"
        assert f"wrong way: what falls with the account: loss: '{words}'" in labels
        shares = found.requirements.contribution_all()
        own = shares.contribution[shares.account_offsets[a] : shares.account_offsets[a + 1]]
        assert own.sum() == pytest.approx(required_now, rel=1e-12)
    alone = {"ann": {"A-PERP": 10.0, "B-PERP": -7.0}}
    assert required(alone["ann"], given) == float(found.requirements.requirement_initial[0])


def test_only_accounts_that_are_named_have_a_wrong_way_line() -> None:
    given = parameters(wrong_way={"underlyings": [], "accounts": {"bob": ["A"]}, "fall": "0.9"})
    found = evaluated({"ann": BOOK, "bob": BOOK}, market(), methodology("span2-like", given, history=HISTORY))
    assert found.requirements.units.components["wrong_way"].tolist() == [0.0, pytest.approx(900.0)]
    labels = [[node.label for _, node in found.methodology.explain(found.requirements, a).walk()] for a in (0, 1)]
    assert [any(label.startswith("wrong way") for label in own) for own in labels] == [False, True]


def test_the_sum_is_its_parts_and_the_explanation_says_them() -> None:
    given = parameters(
        liquidity={"impact": "0.5"},
        concentration={"threshold_days": "0.1", "rate": "0.1"},
        wrong_way={"underlyings": ["A"], "fall": "0.9"},
    )
    at = market({"A": 40.0, "B": 7.0}, half_spread=0.1)
    found = evaluated({"ann": BOOK}, at, methodology("span2-like", given, history=HISTORY))
    components = {name: float(values[0]) for name, values in found.requirements.units.components.items()}
    assert sum(components.values()) == pytest.approx(found.requirements.requirement_initial[0], rel=1e-12)
    assert set(components) == {"historical", "stress", "liquidity", "concentration", "wrong_way"}
    contributions = found.requirements.contribution_all()
    assert contributions.contribution.sum() == pytest.approx(found.requirements.requirement_initial[0], rel=1e-12)
    tree = found.methodology.explain(found.requirements, 0)
    labels = [part.label for part in tree.parts[0].parts]
    assert labels[0] == "history and stress"
    assert labels[1] == "liquidity"
    assert labels[2].startswith("concentration beyond 0.1 days")
    assert labels[3] == "wrong way: what falls with the account: loss: 'A down by 90%'"


@pytest.mark.parametrize(
    ("sections", "said"),
    [
        ({"historical_share": "1.1"}, "historical_share"),
        ({"hypothetical": {"x": {}}}, "hypothetical.x"),
        ({"hypothetical": {"x": {"smile:A": "1"}}}, "names no risk factor"),
        ({"hypothetical": {"x": {"price:A": "nan"}}}, "hypothetical.x"),
        ({"hypothetical": {"x": {"price:A": "-0.4", "A": "0"}}}, r"hypothetical.x.A.*moves 'price:A' again"),
        ({"wrong_way": {"underlyings": "A", "fall": "0.5"}}, "wrong_way.underlyings"),
        ({"wrong_way": {"underlyings": [], "fall": "1"}}, "wrong_way.fall"),
        ({"wrong_way": {"accounts": ["ann"]}}, "wrong_way.accounts"),
        ({"wrong_way": {"accounts": {"ann": "A"}}}, "wrong_way.accounts.ann"),
        ({"liquidity": {"impact": "-1"}}, "liquidity.impact"),
        ({"stress_periods": {}}, "Stress has a weight"),
    ],
)
def test_wrong_parameters_are_named(sections: dict[str, Any], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        methodology("span2-like", parameters(**sections))


def test_a_volume_of_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="average daily volume of 0 of 'A-PERP'"):
        required(BOOK, parameters(), market({"A": 0.0, "B": 1.0}))


def test_wrong_way_needs_a_relative_price() -> None:
    with pytest.raises(InputError, match="wrong_way names 'C'"):
        required(BOOK, parameters(wrong_way={"underlyings": ["C"], "fall": "0.9"}))


def test_stress_needs_enough_scenarios_for_its_level() -> None:
    with pytest.raises(InputError, match=r"10 scenarios of 'stress'.*95%.*needs 20"):
        required(BOOK, parameters(stress_measure={"tool": "es", "level": "0.95"}))


def test_a_move_of_what_the_history_does_not_have_is_refused() -> None:
    """Misspelt, it would move nothing, and ask for nothing."""
    moves = {"crash": {"price:A": "-0.4", "price:AA": "-0.4"}, "spike": {"vol:A": "0.5", "vol:*": "0.2"}}
    with pytest.raises(InputError) as refused:
        required(BOOK, parameters(hypothetical=moves))
    assert [problem.found for problem in refused.value.problems] == [
        "hypothetical scenario 'crash' moves 'price:AA', of which there is no history",
        "hypothetical scenario 'spike' moves 'vol:A', of which there is no history",
    ]


def test_a_move_of_a_whole_kind_is_no_move_of_what_changes_otherwise() -> None:
    """-0.4 is a fall by a third of a share, and one by 0.4 dollars of crude oil that has been below 0."""
    oil = 50 + np.cumsum(_RNG.standard_normal(N + 1))
    oil[100] = -37.63
    levels = {"price:CL": oil, "price:A": 100 * np.exp(np.concatenate(([0.0], np.cumsum(A))) - A.sum())}
    at = of_quotes(future("CL", 18.0), perpetual("A", 100.0), CL=18.0, A=100.0)

    def of_oil(moves: dict[str, str]) -> float:
        both = {"crash": moves, "nothing": {"price:A": "0"}}
        halves = {"tool": "es", "level": "0.5"}
        given = parameters(hypothetical=both, stress_periods={}, historical_share="0", stress_measure=halves)
        method = methodology("span2-like", given, history=history_of(levels))
        return asked({"ann": {"CL-FUT": 10.0}}, at, method)["ann"]

    with pytest.raises(InputError, match=r"moves 'price:\*', and price:CL changes absolutely.*Name its own move"):
        of_oil({"price:*": "-0.4"})
    assert of_oil({"price:*": "-0.4", "price:CL": "-6"}) == pytest.approx(60.0, rel=1e-12)


def test_a_history_without_stressed_days_says_how_to_do_without() -> None:
    long_ago = parameters(stress_periods={"long ago": ["2008-10-06", "2008-10-24"]})
    with pytest.raises(InputError, match=r"no date of long ago.*Without stress: --option historical_share=1"):
        required(BOOK, long_ago)
    free = methodology("span2-like", long_ago, history=HISTORY, historical_share="1")
    assert asked({"ann": BOOK}, market(), free)["ann"] == pytest.approx(shortfall(PNL), rel=1e-12)


def test_what_is_quoted_on_one_side_only_has_no_spread_and_it_is_said() -> None:
    quotes = [replace(perpetual("A", 100.0), bid=99.9, ask=100.1), replace(perpetual("B", 100.0), bid=99.9)]
    at = Market.from_quotes(quotes, as_of=AS_OF, source="small", index={"A": 100.0, "B": 100.0})
    found = evaluated({"ann": BOOK}, at, methodology("span2-like", parameters(), history=HISTORY))
    assert "no bid below an ask of B-PERP: no spread is charged on them" in found.notes
    extra = float(found.requirements.requirement_initial[0]) - required(BOOK, parameters())
    assert extra == pytest.approx(0.1 * 10, rel=1e-9)


def test_size_that_costs_is_said_in_the_traits() -> None:
    costly = methodology("span2-like", parameters(liquidity={"impact": "0.5"}))
    free = methodology("span2-like", parameters())
    assert costly.traits.convex
    assert not costly.traits.subadditive
    assert not costly.traits.homogeneous
    assert free.traits.subadditive
    assert free.traits.homogeneous
    named = methodology("span2-like", parameters(wrong_way={"accounts": {"ann": ["A"]}}))
    assert not named.traits.subadditive
    assert named.traits.homogeneous
