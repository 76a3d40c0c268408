"""`stans-like`: the sum against a calculation written out from the same draws, its laws, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import InputError, ParameterError
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.model_based.stans.method import StansLike
from crossmargin.methodologies.model_based.stans.recipe import ONE, SIMULATED, ZERO, largest_segment
from crossmargin.methodologies.registry import methodology
from tests.methodologies.model_based.small import document, evaluated, history_of, of_changes, of_quotes, perpetual

N = 200
_RNG = np.random.default_rng(77)
A = 0.02 * _RNG.standard_t(5, N)
B = 0.8 * A + 0.012 * _RNG.standard_t(5, N)
C = 0.01 * _RNG.standard_t(5, N)
HISTORY = of_changes(A=A, B=B, C=C)
NAMES = ("A-PERP", "B-PERP", "C-PERP")
BOOKS = {
    "hedged": {"A-PERP": 10.0, "B-PERP": -10.0},
    "spread out": {"A-PERP": 10.0, "B-PERP": 8.0, "C-PERP": 6.0},
    "alone": {"C-PERP": -20.0},
    "barely": {"A-PERP": 10.0, "C-PERP": 0.5},
}


def market(half_spread: float = 0.0) -> Market:
    """Three perpetuals at 100."""
    quotes = [perpetual(name, 100.0) for name in "ABC"]
    if half_spread:
        quotes = [replace(quote, bid=100 - half_spread, ask=100 + half_spread) for quote in quotes]
    return of_quotes(*quotes, A=100.0, B=100.0, C=100.0)


def made(**options: Any) -> StansLike:
    """2,000 draws of 120 days."""
    method = methodology("stans-like", history=HISTORY, **({"observations": "120", "draws": "2000"} | options))
    assert isinstance(method, StansLike)
    return method


def shortfall(pnl: np.ndarray, n_worst: int) -> float:
    """Mean of the worst, at least 0."""
    return max(0.0, -float(np.sort(pnl)[:n_worst].mean()))


def test_the_sum_by_hand_from_the_same_draws() -> None:
    method, at = made(), market(half_spread=0.05)
    found = evaluated(BOOKS, at, method)
    table = method.price(NAMES, at, MissingPolicy()).sets[SIMULATED]
    draws = table.scenarios.shifts[:, [table.scenarios.place[f"price:{name}"] for name in "ABC"]]
    gain = 100 * (np.exp(draws) - 1)
    for account, held in BOOKS.items():
        quantity = np.array([held.get(name, 0.0) for name in NAMES])
        base = shortfall(gain @ quantity, 20)
        together = shortfall(np.sort(gain, axis=0) @ quantity, 10)
        simulated = shortfall(gain @ quantity, 10)
        alone = max(shortfall(gain[:, k] * quantity[k], 10) for k in range(3))
        a = found.requirements.margin_accounts.index(account)
        zero = found.requirements.breakdown.measured.detail.dependence[1].value[a]
        add_on = 0.25 * max(0.0, max(simulated, together, zero, alone) - base)
        expected = base + add_on + 0.05 * float(np.abs(quantity).sum())
        assert found.requirements.requirement_initial[a] == pytest.approx(expected, rel=1e-10), account


def test_each_underlying_keeps_its_losses_whatever_the_correlation() -> None:
    sets = made().price(NAMES, market(), MissingPolicy()).sets
    for row in range(3):
        for name in (ZERO, ONE):
            np.testing.assert_array_equal(np.sort(sets[name].unit_pnl[row]), np.sort(sets[SIMULATED].unit_pnl[row]))
    of_zero = np.corrcoef(sets[ZERO].unit_pnl)
    assert abs(of_zero[0, 1]) < 0.1
    assert (np.diff(sets[ONE].unit_pnl, axis=1) >= 0).all()


@pytest.mark.parametrize("known_for", [0, 150, 201])
def test_at_one_nothing_is_ordered_by_a_price_that_is_not_known_throughout(known_for: int) -> None:
    """Contracts with prices of their own go by those: draws of an unknown price have no order."""
    levels = {
        f"price:{name}-PERP": HISTORY.level[:, HISTORY.factors.index(f)]
        for name, f in zip("AB", HISTORY.factors[:2], strict=True)
    }
    of_underlying = 100 * np.exp(np.cumsum(0.02 * np.random.default_rng(3).standard_normal(N + 1)))
    of_underlying[: N + 1 - known_for] = np.nan
    if known_for:
        levels["price:B"] = of_underlying
    method = methodology("stans-like", history=history_of(levels), observations="120", draws="2000")
    assert isinstance(method, StansLike)
    pnl = method.price(NAMES[:2], market(), MissingPolicy()).sets[ONE].unit_pnl
    rising = (np.diff(pnl, axis=1) >= 0).all(axis=1).tolist()
    # A price of the underlying that is known throughout orders all that is of it.
    assert rising == [True, known_for != 201]


def test_what_has_no_spread_is_said() -> None:
    found = evaluated({"alone": BOOKS["alone"]}, market(), made())
    assert "no bid below an ask of C-PERP: no spread is charged on them" in found.notes
    assert not [note for note in evaluated({"alone": BOOKS["alone"]}, market(0.1), made()).notes if "spread" in note]


def test_a_hedge_is_charged_for_zero_and_a_spread_for_one() -> None:
    found = evaluated(BOOKS, market(), made())
    detail = found.requirements.breakdown.measured.detail
    place = {name: k for k, name in enumerate(found.requirements.margin_accounts)}
    assert detail.worst_dependence[place["spread out"]] == 2
    hedged = place["hedged"]
    assert detail.worst_dependence[hedged] == 1
    assert detail.add_on[hedged] > detail.base.value[hedged] * 0.2
    alone = place["alone"]
    values = {float(one.value[alone]) for one in detail.dependence} | {float(detail.concentration_value[alone])}
    assert len({round(value, 9) for value in values}) == 1


def test_the_largest_segment_of_each_unit() -> None:
    value = np.array([3.0, 7.0, 7.0, 0.0, 2.0])
    assert largest_segment(value, np.array([0, 3, 3, 4, 5])).tolist() == [1, -1, 3, 4]


def test_contributions_sum_and_are_slopes() -> None:
    method, at = made(), market(half_spread=0.05)
    book = {"hedged": BOOKS["hedged"], "spread out": BOOKS["spread out"]}
    found = evaluated(book, at, method)
    c = found.requirements.contribution_all()
    step = 1e-6
    for k, (first, last) in enumerate(zip(c.account_offsets[:-1], c.account_offsets[1:], strict=True)):
        account = found.requirements.margin_accounts[k]
        required = float(found.requirements.requirement_initial[k])
        assert c.contribution[first:last].sum() == pytest.approx(required, rel=1e-12)
        for position in range(first, last):
            name = c.instrument_names[int(c.instrument[position])]
            bumped = {account: book[account] | {name: book[account][name] + step}}
            there = float(evaluated(bumped, at, method).requirements.requirement_initial[0])
            slope = (there - required) / step
            assert c.contribution[position] == pytest.approx(book[account][name] * slope, rel=1e-4)


def test_where_the_largest_underlying_alone_is_the_worst_its_positions_bear_it() -> None:
    """Rare: another underlying has to help in the worst draws under every pairing. Small hedges do in few draws."""
    method, at = made(draws="200"), market()
    books = {f"{k}": {"A-PERP": 10.0, "B-PERP": -k / 50, "C-PERP": k / 100} for k in range(1, 40)}
    found = evaluated(books, at, method)
    detail = found.requirements.breakdown.measured.detail
    binding = np.flatnonzero(detail.concentration_binds & (detail.add_on > 0))
    assert len(binding)
    c = found.requirements.contribution_all()
    for k in binding.tolist():
        own = c.contribution[c.account_offsets[k] : c.account_offsets[k + 1]]
        assert own.sum() == pytest.approx(found.requirements.requirement_initial[k], rel=1e-12)


def test_the_explanation_names_what_binds() -> None:
    found = evaluated({"hedged": BOOKS["hedged"]}, market(), made())
    unit = found.methodology.explain(found.requirements, 0).parts[0]
    base, add_on = unit.parts
    assert base.label.startswith("base: expected shortfall at 99% in 2,000 scenarios; the worst is 'draw ")
    weight, beyond = add_on.parts
    assert weight.value == 0.25
    worse = beyond.parts[0]
    assert [part.label.split(":")[0] for part in worse.parts] == ["dependence", "concentration"]
    assert worse.parts[1].label == "concentration: expected shortfall at 99.5% of B alone"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": "1.5"}, "level"),
        ({"add_on_weight": "-1"}, "add_on_weight"),
        ({"draws": "0"}, "draws"),
        ({"dependence": "frank"}, "dependence"),
    ],
)
def test_wrong_parameters_are_named(change: dict[str, str], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        made(**change)


def test_losses_are_simulated() -> None:
    given = document("stans-like", generation={"simulation": None})
    with pytest.raises(ParameterError, match="Losses are simulated"):
        methodology("stans-like", given)


def test_a_level_needs_draws() -> None:
    with pytest.raises(InputError, match=r"150 scenarios of 'simulated'.*99\.5%.*needs 200"):
        evaluated(BOOKS, market(), made(draws="150"))


def test_the_seed_is_a_parameter() -> None:
    one, again, other = (
        evaluated(BOOKS, market(), made(seed=seed)).requirements.requirement_initial.tolist()
        for seed in ("1", "1", "2")
    )
    assert one == again
    assert one != other
