"""Laws of every registered methodology, each where its declared traits promise it; on random books.

A methodology that joins the registry is tested without a line here; what it can vary stands in `VARIATIONS`.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, currently_in_test_context, given, settings
from hypothesis import strategies as st

from crossmargin.api import margin
from crossmargin.basics.explanation import Explanation
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import METHODOLOGIES, methodology
from crossmargin.methodologies.requirements import Requirements
from crossmargin.sample import sample_market, sample_paths
from tests import books
from tests.books import Row
from tests.methodologies.venue_grids.deribit_market import SHARING, UNDAMPED

FEW = settings(max_examples=12)
# Sums of at most a few hundred float64 products, each of two roundings: 1e-12 of their absolute sum is 1000 times
# what can be lost.
ROUNDING = 1e-12
ACROSS_UNITS: dict[str, dict[str, Any]] = {
    "independent": {},
    "time step": {"time_step_days": 2},
    "common 0": {"across_units": "common", "gain_share": 0},
    "common 0.6": {"across_units": "common", "gain_share": "0.6"},
    "common 1": {"across_units": "common", "gain_share": 1},
    "common 0.6 capped": {"across_units": "common", "gain_share": "0.6", "gain_cap": 25_000},
}
VARIATIONS: dict[str, dict[str, dict[str, Any]]] = {
    "scenario-grid": ACROSS_UNITS,
    "isolated": {"default": {}, "common 0.6": ACROSS_UNITS["common 0.6"]},
    "deribit-pm": {
        "S:PM": {},
        "X:PM": {"cross": True},
        "X:PM, a correlation set": {"parameters": SHARING},
        "X:PM, neither dampener nor delta shock": {"parameters": UNDAMPED},
    },
    "okx-pm": {"invented figures": {"parameters": books.PARAMETERS["okx-pm"]}},
    **{name: {"default": {"history": books.history(), **books.ON_HISTORY}} for name in books.WITH_HISTORY},
}
VARIATIONS["historical-es"] |= {
    "value at risk": {"history": books.history(), **books.ON_HISTORY, "measure": "var"},
    "separate days, mirrored": {
        "history": books.history(),
        "observations": "300",
        "horizon_rule": "separate",
        "mirrored": "true",
    },
    "a cap on offsets": {"history": books.history(), **books.ON_HISTORY, "offset_cap": "0.8"},
    "not below the long history": {
        "parameters": books.shortfall_document("long_run_floor"),
        "history": books.history(),
    },
}
VARIATIONS["filtered-es"] |= {
    "volatility charged": {
        "parameters": books.shortfall_document("none"),
        "history": books.history().of_factors(["price:BTC", "price:ETH", "price:SPX"]),
        "vol_without_history": "charge",
    },
    "a buffer": {"parameters": books.shortfall_document("buffer"), "history": books.history()},
    "stressed days": {"parameters": books.shortfall_document("stressed_weight"), "history": books.history()},
}


@dataclass(frozen=True)
class Variant:
    """A methodology with overrides of its parameters."""

    name: str
    variation: str

    @property
    def method(self) -> Methodology:
        return _method(self.name, self.variation)

    def __str__(self) -> str:
        return f"{self.name}, {self.variation}"


@cache
def _method(name: str, variation: str) -> Methodology:
    return methodology(name, **VARIATIONS.get(name, {"default": {}})[variation])


TESTED = [name for name in (*METHODOLOGIES, *books.WITH_HISTORY) if any(books.holds(name, one) for one in books.NAMES)]
VARIANTS = [Variant(name, v) for name in TESTED for v in VARIATIONS.get(name, {"default": {}})]


def promising(trait: str) -> pytest.MarkDecorator:
    """Parametrize over the variants whose traits promise `trait`."""
    chosen = [variant for variant in VARIANTS if getattr(variant.method.traits, trait)]
    return pytest.mark.parametrize("variant", chosen, ids=str)


every = pytest.mark.parametrize("variant", VARIANTS, ids=str)


def held(rows: list[Row], method: Methodology) -> list[Row]:
    """Rows that the method can hold; a random book without any is no example."""
    kept = [row for row in rows if books.holds(method.name, row["instrument"])]
    if rows and not kept:
        if not currently_in_test_context():
            pytest.skip(f"{method.name} has no rule for what is held here")
        assume(False)
    return kept


def evaluated(rows: list[Row], method: Methodology) -> Evaluation:
    return evaluate(books.book(held(rows, method)), books.market(), method)


def run(rows: list[Row], method: Methodology) -> Requirements:
    return evaluated(rows, method).requirements


def initial(rows: list[Row], method: Methodology) -> dict[str, float]:
    r = run(rows, method)
    return dict(zip(r.margin_accounts, r.requirement_initial.tolist(), strict=True))


def single(rows: list[Row], method: Methodology) -> float:
    """Initial requirement of the only account, 0 when everything netted away."""
    return sum(initial(rows, method).values()) if rows else 0.0


def scale_of(r: Requirements) -> float:
    """What rounding is measured against: the isolated sum is at least as large as any offsetting leg."""
    return max(1.0, float(np.max(r.requirement_isolated, initial=0.0)))


def figures(r: Requirements) -> list[Any]:
    """Everything that is answered, to compare bits."""
    c = r.contributions
    return [
        r.margin_accounts,
        *(column.tobytes() for column in (r.requirement_initial, r.requirement_maintenance)),
        *(column.tobytes() for column in (r.requirement_isolated, r.net_option_value)),
        *(column.tobytes() for column in r.units.components.values()),
        *(column.tobytes() for column in (r.units.requirement_initial, r.units.requirement_isolated)),
        *(column.tobytes() for column in (c.contribution, c.pnl_worst, c.member, c.steps, c.instrument)),
        r.units.names,
        r.units.scenario_worst,
        c.instrument_names,
    ]


# ------------------------------------------------------------------------------------------------ order, netting


@every
@FEW
@given(rows=books.rows_of(), seed=st.integers(0, 2**32))
def test_order_of_rows_gives_the_same_bits(variant: Variant, rows: list[Row], seed: int) -> None:
    shuffled = rows.copy()
    random.Random(seed).shuffle(shuffled)
    assert figures(run(shuffled, variant.method)) == figures(run(rows, variant.method))


@every
@FEW
@given(rows=books.rows_of(), seed=st.integers(0, 2**32))
def test_order_of_accounts_gives_the_same_bits(variant: Variant, rows: list[Row], seed: int) -> None:
    """Other accounts of other names around it move an account to another row, and nothing else."""
    mine = [row for row in rows if row["account"] == "ann"]
    assume(any(books.holds(variant.name, row["instrument"]) for row in mine))
    name = random.Random(seed).choice(["0ann", "ann", "zann"])
    renamed = [row | {"account": name} if row["account"] == "ann" else row for row in rows]
    r, moved = run(rows, variant.method), run(renamed, variant.method)
    a, b = r.margin_accounts.index("ann"), moved.margin_accounts.index(name)
    assert moved.requirement_initial[b] == r.requirement_initial[a]
    assert moved.requirement_isolated[b] == r.requirement_isolated[a]
    assert moved.net_option_value[b] == r.net_option_value[a]


@every
@FEW
@given(rows=books.one_account(), extra=st.data())
def test_q_and_minus_q_leave_nothing(variant: Variant, rows: list[Row], extra: st.DataObject) -> None:
    name = extra.draw(st.sampled_from([name for name in books.NAMES if books.holds(variant.name, name)]))
    quantity = extra.draw(books.quantities(name))
    there_and_back = [books.row("ann", name, quantity), books.row("ann", name, -quantity)]
    assert single(rows + there_and_back, variant.method) == single(rows, variant.method)
    nothing = run(there_and_back, variant.method)
    assert nothing.requirement_initial.tolist() == [0.0]
    assert nothing.requirement_isolated.tolist() == [0.0]
    assert len(nothing.contributions.contribution) == 0


@every
def test_a_tenth_and_two_tenths_less_three_tenths_is_no_position(variant: Variant) -> None:
    name = "BTC-27MAR26-100000-C"
    rows = [books.row("ann", name, quantity) for quantity in ("0.1", "0.2", "-0.3")]
    r = run(rows, variant.method)
    assert len(r.contributions.steps) == 0
    assert r.requirement_initial.tolist() == [0.0]


# ------------------------------------------------------------------------------------------------------ scaling


def _scaled(rows: list[Row], factor: Decimal) -> list[Row]:
    return [row | {"quantity": str(Decimal(row["quantity"]) * factor)} for row in rows]


@promising("homogeneous")
@FEW
@given(rows=books.rows_of(), power=st.integers(-4, 6))
def test_scaling_by_a_power_of_two_is_exact(variant: Variant, rows: list[Row], power: int) -> None:
    factor = Decimal(2) ** power
    once, scaled = run(rows, variant.method), run(_scaled(rows, factor), variant.method)
    k = float(factor)
    assert (scaled.requirement_initial == k * once.requirement_initial).all()
    assert (scaled.requirement_isolated == k * once.requirement_isolated).all()
    assert scaled.units.scenario_worst == once.units.scenario_worst


@promising("homogeneous")
@FEW
@given(rows=books.rows_of(), factor=st.decimals("0.01", "99", places=2))
def test_scaling_by_any_factor_is_exact_to_rounding(variant: Variant, rows: list[Row], factor: Decimal) -> None:
    once, scaled = run(rows, variant.method), run(_scaled(rows, factor), variant.method)
    k = float(factor)
    tolerance = ROUNDING * k * scale_of(once)
    assert scaled.requirement_initial == pytest.approx(k * once.requirement_initial, rel=1e-12, abs=tolerance)


def test_a_cap_on_gains_is_not_promised_to_scale() -> None:
    """The traits say so, and are right: ten times the book needs more than ten times the requirement."""
    capped = _method("scenario-grid", "common 0.6 capped")
    assert capped.traits.promised() == ("euler",)
    rows = [books.row("ann", "BTC-PERPETUAL", 100_000), books.row("ann", "ETH-PERPETUAL", -800_000)]
    assert single(_scaled(rows, Decimal(10)), capped) > 10 * single(rows, capped) * (1 + 1e-6)
    assert _method("scenario-grid", "common 0.6").traits.homogeneous


# ------------------------------------------------------------------------------------------------ more scenarios


def _document(**shape: Any) -> dict[str, Any]:
    text = (
        resources.files("crossmargin.methodologies.venue_grids.scenario_grid")
        .joinpath("venue-grid-2026.json")
        .read_text()
    )
    document: dict[str, Any] = json.loads(text)
    document["shape"] |= shape
    for own in document["underlyings"].values():  # no move stops short of what the law is about
        own |= {"extended_low": "-0.95", "extended_high": "10"}
    return document


MORE = {
    "a time step": lambda: {"time_step_days": "5"},
    "one more extended move": lambda: {"extended_moves": [*_document()["shape"]["extended_moves"], "-0.9"]},
    "two more extended moves": lambda: {"extended_moves": [*_document()["shape"]["extended_moves"], "-0.2", "9"]},
}


@pytest.mark.parametrize("more", MORE)
@pytest.mark.parametrize("name", ["scenario-grid", "isolated"])
@pytest.mark.parametrize("across", ["independent", "common 0.6", "common 0.6 capped"])
@settings(max_examples=6)
@given(rows=books.rows_of())
def test_one_more_scenario_never_lowers(more: str, name: str, across: str, rows: list[Row]) -> None:
    fewer = methodology(name, _document(), **ACROSS_UNITS[across])
    extended = methodology(name, _document(**MORE[more]()), **ACROSS_UNITS[across])
    r = run(rows, fewer)
    assert (run(rows, extended).requirement_initial >= r.requirement_initial).all()


def test_one_more_scenario_can_raise() -> None:
    """So that the law above is not about scenarios that nobody reads."""
    rows = [books.row("ann", "BTC-20FEB26-60000-P", -10)]
    base = single(rows, methodology("scenario-grid", _document(extended_moves=["-0.66"])))
    assert single(rows, methodology("scenario-grid", _document(extended_moves=["-0.66", "-0.9"]))) > base
    long = [books.row("ann", "BTC-20FEB26-100000-C", 10)]
    base = single(long, methodology("scenario-grid", _document()))
    assert single(long, methodology("scenario-grid", _document(time_step_days="3"))) > base


# ---------------------------------------------------------------------------------------------- joining, sharing


@promising("subadditive")
@settings(max_examples=20)
@given(one=books.one_account(most=8), two=books.one_account(most=8))
def test_joining_never_costs_more_than_apart(variant: Variant, one: list[Row], two: list[Row]) -> None:
    joined = run(one + two, variant.method)
    apart = single(one, variant.method) + single(two, variant.method)
    scale = max(scale_of(run(one, variant.method)), scale_of(run(two, variant.method)))
    assert float(joined.requirement_initial[0]) <= apart + ROUNDING * scale


@promising("subadditive")
@FEW
@given(rows=books.rows_of(("bob", "dan")))
def test_a_netting_set_never_costs_more_than_its_members(variant: Variant, rows: list[Row]) -> None:
    linked = [row | {"netting_set": "a set"} for row in rows]
    alone = [row | {"netting_set": ""} for row in rows]
    apart = run(alone, variant.method)
    assert float(run(linked, variant.method).requirement_initial[0]) <= (
        float(apart.requirement_initial.sum()) + ROUNDING * scale_of(apart)
    )


@promising("convex")
@FEW
@given(one=books.one_account(most=6), two=books.one_account(most=6))
def test_a_mixture_never_needs_more_than_the_mixture(variant: Variant, one: list[Row], two: list[Row]) -> None:
    quarter, rest = Decimal("0.25"), Decimal("0.75")
    mixed = run(_scaled(one, quarter) + _scaled(two, rest), variant.method)
    bound = 0.25 * single(one, variant.method) + 0.75 * single(two, variant.method)
    scale = max(scale_of(run(one, variant.method)), scale_of(run(two, variant.method)))
    assert float(mixed.requirement_initial[0]) <= bound + ROUNDING * scale


def _shared(share: Any, cap: float | None = None) -> Methodology:
    return methodology("scenario-grid", across_units="common", gain_share=share, gain_cap=cap)


@settings(max_examples=20)
@given(rows=books.rows_of())
def test_common_at_share_0_is_never_above_independent(rows: list[Row]) -> None:
    independent = run(rows, _method("scenario-grid", "independent"))
    common = run(rows, _shared(0))
    assert (common.requirement_initial <= independent.requirement_initial + ROUNDING * scale_of(independent)).all()


@settings(max_examples=20)
@given(rows=books.rows_of())
def test_requirement_falls_as_the_share_rises_and_rises_as_the_cap_falls(rows: list[Row]) -> None:
    by_share = [run(rows, _shared(share)) for share in ("0", "0.3", "0.6", "1")]
    tolerance = ROUNDING * scale_of(by_share[0])
    for less, more in pairwise(by_share):
        assert (more.requirement_initial <= less.requirement_initial + tolerance).all()
    by_cap = [run(rows, _shared("0.6", cap)).requirement_initial for cap in (0, 10_000, 1_000_000)]
    by_cap.append(by_share[2].requirement_initial)
    for tight, wide in pairwise(by_cap):
        assert (wide <= tight + tolerance).all()
    assert by_cap[0] == pytest.approx(by_share[0].requirement_initial, abs=tolerance)


def test_share_and_cap_do_change_a_hedge_across_underlyings() -> None:
    rows = [books.row("ann", "BTC-PERPETUAL", 100_000), books.row("ann", "ETH-PERPETUAL", -800_000)]
    assert single(rows, _shared(1)) < single(rows, _shared("0.5")) < single(rows, _shared(0))
    assert single(rows, _shared("0.5")) < single(rows, _shared("0.5", 10_000)) < single(rows, _shared(0))
    assert single(rows, _shared(0)) < single(rows, _method("scenario-grid", "independent"))


@settings(max_examples=15)
@given(rows=books.one_account())
def test_common_at_share_1_without_charges_is_full_netting(rows: list[Row]) -> None:
    document = _document()
    free = {"roll_annualised_move": "0", "roll_move_minimum": "0", "short_option_minimum": "0"}
    document["underlyings"] = {name: own | free for name, own in document["underlyings"].items()}
    document["across_units"] = {"rule": "common", "gain_share": "1", "gain_cap": None}
    method = methodology("scenario-grid", document)
    r = run(rows, method)
    pnl = method.scenarios(r, 0).pnl
    everything = [math.fsum(column) for column in pnl.T.tolist()] if len(pnl) else [0.0]
    assert float(r.requirement_initial[0]) == pytest.approx(
        max(0.0, -min(everything)), rel=1e-9, abs=ROUNDING * scale_of(r)
    )


# ------------------------------------------------------------------------------------------------ contributions


@promising("euler")
@settings(max_examples=20)
@given(rows=books.rows_of())
def test_contributions_sum_to_the_requirement(variant: Variant, rows: list[Row]) -> None:
    evaluation = evaluated(rows, variant.method)
    _contributions_sum(evaluation)


def _contributions_sum(evaluation: Evaluation) -> None:
    r = evaluation.requirements
    c = r.contributions
    for a in range(len(r.margin_accounts)):
        requirement = float(r.requirement_initial[a])
        shares = c.contribution[int(c.account_offsets[a]) : int(c.account_offsets[a + 1])].tolist()
        close = {"rel": 1e-9, "abs": ROUNDING * math.fsum(map(abs, shares))}
        assert math.fsum(shares) == pytest.approx(requirement, **close)
        of_members = c.member[evaluation.book.margin_account_of == a].tolist()
        close["abs"] = ROUNDING * max(1.0, math.fsum(map(abs, of_members)), float(r.requirement_isolated[a]))
        assert math.fsum(of_members) == pytest.approx(requirement, **close)
        of_units = [float(r.units.requirement_initial[u]) for u in r.units.of(a)]
        assert math.fsum(of_units) == pytest.approx(requirement, rel=1e-9, abs=ROUNDING * scale_of(r))


FAR = {"BTC": "BTC-20FEB26-160000-C", "SPX": "SPX   260320P05400000"}
CASES: dict[str, list[Row]] = {
    "the minimum binds": [
        books.row("ann", FAR["BTC"], -5),
        books.row("ann", "BTC-20FEB26-115000-C", 5),
    ],
    "the minimum binds in one of two": [
        books.row("ann", FAR["BTC"], -5),
        books.row("ann", "BTC-20FEB26-115000-C", 5),
        books.row("ann", "ETH-PERPETUAL", 3_000),
    ],
    "a gain is recognised": [
        books.row("ann", "BTC-PERPETUAL", 100_000),
        books.row("ann", "ETH-PERPETUAL", -200_000),
        books.row("ann", "ETH-27MAR26-3100-C", 40),
    ],
    "a gain meets the cap": [
        books.row("ann", "BTC-PERPETUAL", 100_000),
        books.row("ann", "ETH-PERPETUAL", -1_000_000),
        books.row("ann", FAR["SPX"], -1),
    ],
    "members on opposite sides": [
        books.row("bob", "BTC-27MAR26-100000-C", -10, netting_set="a set"),
        books.row("dan", "BTC-27MAR26-100000-C", 8, netting_set="a set"),
        books.row("dan", "BTC-PERPETUAL", 30_000, netting_set="a set"),
    ],
    "the minimum binds, members on opposite sides": [
        books.row("bob", FAR["BTC"], -8, netting_set="a set"),
        books.row("dan", FAR["BTC"], 3, netting_set="a set"),
        books.row("dan", "BTC-20FEB26-115000-C", 5, netting_set="a set"),
    ],
    "more positions than are named": [
        books.row("ann", name, (-1) ** k * (k + 1)) for k, name in enumerate(books.OPTIONS)
    ],
    "members who cancel one instrument": [
        books.row("bob", "BTC-27MAR26-100000-C", -10, netting_set="a set"),
        books.row("dan", "BTC-27MAR26-100000-C", 10, netting_set="a set"),
        books.row("dan", "BTC-26JUN26-85000-P", -3, netting_set="a set"),
    ],
    "members who cancel everything": [
        books.row("bob", "BTC-27MAR26-100000-C", -10, netting_set="a set"),
        books.row("dan", "BTC-27MAR26-100000-C", 10, netting_set="a set"),
    ],
    "gross": [
        books.row("cid", "BTC-27MAR26-100000-C", -10, account_type="gross"),
        books.row("cid", "BTC-27MAR26-100000-C", 10, account_type="gross"),
        books.row("cid", "ETH-PERPETUAL", 20_000, account_type="gross"),
    ],
}


@every
@pytest.mark.parametrize("case", CASES)
def test_contributions_and_explanations_of_each_kind_of_binding(variant: Variant, case: str) -> None:
    evaluation = evaluated(CASES[case], variant.method)
    if variant.method.traits.euler:
        _contributions_sum(evaluation)
    _explanations_recombine(evaluation)


def test_the_cases_bind_as_they_say() -> None:
    independent = _method("scenario-grid", "independent")
    components = run(CASES["the minimum binds"], independent).units.components
    assert components["short_option_minimum"][0] > components["scan_risk"][0] + components["roll_charge"][0]
    opposite = run(CASES["the minimum binds, members on opposite sides"], independent)
    assert opposite.requirement_initial[0] == opposite.units.components["short_option_minimum"][0] == 5_000
    assert opposite.contributions.member.tolist() == [8_000, -3_000]
    capped = run(CASES["a gain meets the cap"], _method("scenario-grid", "common 0.6 capped"))
    assert capped.units.components["scan_risk"][1] == -25_000
    shared = run(CASES["a gain is recognised"], _method("scenario-grid", "common 0.6"))
    assert shared.units.components["scan_risk"].min() < 0


# ------------------------------------------------------------------------------------------------- explanations


def _explanations_recombine(evaluation: Evaluation) -> None:
    """Every node is what its rule makes of its parts, to 1e-12 of the parts' absolute sum."""
    r, method = evaluation.requirements, evaluation.methodology
    totals = {"initial": r.requirement_initial, "maintenance": r.requirement_maintenance}
    for a in range(len(r.margin_accounts)):
        for level, total in totals.items():
            tree = method.explain(r, a, level)  # type: ignore[arg-type]
            assert tree.value == total[a]
            for _, node in tree.walk():
                assert math.isfinite(node.value), node.label
                tolerance = ROUNDING * max(abs(node.value), math.fsum(abs(p.value) for p in node.parts))
                assert abs(node.recombined() - node.value) <= tolerance, (level, node.label, node.rule)


@every
@FEW
@given(rows=books.rows_of())
def test_explanations_of_random_books_recombine(variant: Variant, rows: list[Row]) -> None:
    _explanations_recombine(evaluated(rows, variant.method))


@every
def test_explanations_of_the_sample_recombine(variant: Variant) -> None:
    paths = sample_paths()
    result = margin(
        paths.positions,
        sample_market(),
        balances=paths.balances,
        methodology=variant.method,
        on_error="quarantine" if variant.name in books.NOT_HELD else "refuse",
    )
    assert len(result.accounts) + len(result.unmargined) == 8
    assert len(result.accounts) >= 4
    _explanations_recombine(result.evaluation)
    if variant.method.traits.euler:
        _contributions_sum(result.evaluation)


@FEW
@given(rows=books.one_account(most=20))
def test_explanation_names_the_worst_scenario_and_the_largest_positions(rows: list[Row]) -> None:
    method = _method("scenario-grid", "independent")
    r = run(rows, method)
    scans = [
        node
        for _, node in method.explain(r, 0).walk()
        if node.label.startswith("scan risk of ")  # not "scan risk and roll charge"
    ]
    assert len(scans) == len(r.units.names)
    for u, scan in enumerate(scans):
        assert r.units.scenario_worst[u] in scan.label
        pnl = sorted(r.contributions.pnl_worst[r.contributions.unit == u].tolist())
        named = [part.value for part in scan.parts if " other position" not in part.label]
        assert named[: len([p for p in pnl if p < 0][:5])] == [p for p in pnl if p < 0][:5]
        gains = [p for p in reversed(pnl) if p > 0][:5]
        assert [p for p in named if p > 0] == gains


def test_a_wrong_node_is_noticed() -> None:
    node = Explanation(label="x", value=1.0, rule="sum", parts=(Explanation(label="y", value=0.5),))
    assert abs(node.recombined() - node.value) > ROUNDING


# ------------------------------------------------------------------------------ accounts: alone, segregated, gross


@every
@FEW
@given(rows=books.rows_of(most=20))
def test_an_account_alone_has_the_bits_of_the_big_book(variant: Variant, rows: list[Row]) -> None:
    book = books.book(held(rows, variant.method))
    big = evaluate(book, books.market(), variant.method).requirements
    for a in range(len(book.margin_accounts)):
        alone = evaluate(book.select(a), books.market(), variant.method).requirements
        assert alone.margin_accounts == (big.margin_accounts[a],)
        for name in ("requirement_initial", "requirement_maintenance", "requirement_isolated", "net_option_value"):
            assert getattr(alone, name)[0] == getattr(big, name)[a], name
        span = big.units.of(a)
        assert alone.units.names == tuple(big.units.names[u] for u in span)
        assert alone.units.scenario_worst == tuple(big.units.scenario_worst[u] for u in span)
        for name, values in alone.units.components.items():
            assert values.tolist() == big.units.components[name][span.start : span.stop].tolist()
        own = slice(int(big.contributions.account_offsets[a]), int(big.contributions.account_offsets[a + 1]))
        assert alone.contributions.contribution.tolist() == big.contributions.contribution[own].tolist()
        assert alone.contributions.member.tolist() == big.contributions.member[book.margin_account_of == a].tolist()
        assert alone.contributions.pnl_worst.tolist() == big.contributions.pnl_worst[own].tolist()


@every
@FEW
@given(rows=books.rows_of(("ann",)))
def test_a_segregated_account_is_never_netted(variant: Variant, rows: list[Row]) -> None:
    """A perfect hedge in another segregation changes nothing; under one agreement it would take all away."""
    hedge = [row | {"account": "bob", "quantity": str(-Decimal(row["quantity"]))} for row in rows]
    segregated = [row | {"segregation": "client"} for row in rows] + [row | {"segregation": "house"} for row in hedge]
    alone = initial(rows, variant.method)["ann"]
    assert initial(segregated, variant.method)["ann"] == alone
    linked = [row | {"netting_set": "s", "segregation": "client"} for row in rows + hedge]
    if variant.name != "isolated":
        assert initial(linked, variant.method) == {"s": 0.0}


@every
@FEW
@given(rows=books.rows_of(("cid",), names=tuple(n for n in books.NAMES if n.startswith("BTC"))))
def test_a_gross_account_never_offsets_long_with_short(variant: Variant, rows: list[Row]) -> None:
    """Its requirement is that of the long positions plus that of the short ones, each as an account of its own."""
    gross = [row | {"account_type": "gross"} for row in rows]
    # One row an instrument and side: they are of different clients, and add up only on their own side.
    longs = [row | {"account": "long", "account_type": ""} for row in rows if Decimal(row["quantity"]) > 0]
    shorts = [row | {"account": "short", "account_type": ""} for row in rows if Decimal(row["quantity"]) < 0]
    apart = initial(longs + shorts, variant.method)
    assert initial(gross, variant.method)["cid"] == pytest.approx(sum(apart.values()), rel=1e-12)


# ------------------------------------------------------------------------------------------------- levels, floors


@every
@FEW
@given(rows=books.rows_of())
def test_maintenance_is_at_most_initial_and_neither_is_negative(variant: Variant, rows: list[Row]) -> None:
    r = run(rows, variant.method)
    assert (r.requirement_maintenance >= 0).all()
    assert (r.requirement_maintenance <= r.requirement_initial).all()
    assert (r.total_initial >= 0).all()
    assert (r.total_maintenance >= 0).all()
    assert not np.signbit(r.requirement_initial).any()
    for columns in (r.units.components.values(), (r.net_option_value, r.requirement_isolated)):
        assert all(np.isfinite(column).all() for column in columns)


@pytest.mark.parametrize("variation", ACROSS_UNITS)
@FEW
@given(rows=books.rows_of())
def test_cross_is_never_above_isolated(variation: str, rows: list[Row]) -> None:
    method = _method("scenario-grid", variation)
    r = run(rows, method)
    assert (r.requirement_initial <= r.requirement_isolated + ROUNDING * scale_of(r)).all()


GRIDS = [variant for variant in VARIANTS if variant.name in ("scenario-grid", "isolated")]


@pytest.mark.parametrize("variant", GRIDS, ids=str)
@pytest.mark.parametrize("coin", [Decimal("0.5"), Decimal(1), Decimal(250)])
def test_a_delta_neutral_calendar_of_futures_is_never_free(variant: Variant, coin: Decimal) -> None:
    near, far = 100_700, 102_300
    rows = [
        books.row("ann", "BTC-27MAR26", coin * near / 10),
        books.row("ann", "BTC-26JUN26", -coin * far / 10),
    ]
    r = run(rows, variant.method)
    delta = sum(
        float(r.breakdown.book.contracts.delta[k]) * q
        for k, q in (  # type: ignore[attr-defined]
            (1, float(coin) * near / 10),
            (0, -float(coin) * far / 10),
        )
    )
    assert abs(delta) < 1e-6 * float(coin)
    # At least the least move of one leg's basis.
    assert float(r.requirement_initial[0]) >= 0.01 * float(coin) * books.INDEX["BTC"]
