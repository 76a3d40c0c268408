"""What SPAN must keep whatever is held: order, netting, one ledger, credits within the risk, long options within value.

Books are drawn from a file that has a bit of everything (`span_files.rich_file`).
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.aggregation.units import Grouping
from crossmargin.methodologies.span import compiled_ledger, ledger, steps
from crossmargin.methodologies.span.book import SpanBook, span_book, span_contracts
from crossmargin.methodologies.span.ledger import LedgerFigures
from crossmargin.methodologies.span.method import Span
from crossmargin.methodologies.span.policy import CreditPlace, Scope
from crossmargin.methodologies.span.recipe import SpanBreakdown, isolated_requirement, span_requirement
from crossmargin.methodologies.span.rules import Code
from crossmargin.portfolio.book import AccountType, Attributes, Book, CustomerType
from tests.span_files import book_of, contract_names, rich_file, rich_method, with_policy

NAMES = contract_names(rich_file())
Holdings = dict[str, dict[str, int]]


def quantities() -> st.SearchStrategy[int]:
    return st.integers(-12, 12).filter(bool)


def portfolios(*, least: int = 1) -> st.SearchStrategy[dict[str, int]]:
    return st.dictionaries(st.sampled_from(NAMES), quantities(), min_size=least, max_size=14)


def margined(book: Book, method: Span | None = None) -> tuple[SpanBook, SpanBreakdown]:
    method = method or rich_method()
    units = span_book(book, span_contracts(book.instruments, method.model), Grouping.NETTED)
    return units, span_requirement(units)


def requirement(held: dict[str, int], method: Span | None = None) -> float:
    return float(margined(book_of({"a": held}), method)[1].account_initial[0])


@given(st.lists(portfolios(), min_size=1, max_size=6))
def test_an_account_has_the_same_bits_alone_and_among_others(held: list[dict[str, int]]) -> None:
    together = book_of({f"a{k}": one for k, one in enumerate(held)})
    breakdown = margined(together)[1]
    for k, one in enumerate(held):
        alone = margined(book_of({f"a{k}": dict(reversed(one.items()))}))[1]
        for name in ("account_initial", "account_maintenance", "account_option_value", "account_credit_initial"):
            assert getattr(breakdown, name)[k] == getattr(alone, name)[0], name


@given(st.lists(portfolios(), min_size=1, max_size=8))
def test_the_compiled_ledger_is_the_plain_one_to_the_bit(held: list[dict[str, int]]) -> None:
    units, breakdown = margined(book_of({f"a{k}": one for k, one in enumerate(held)}))
    for module in (ledger, compiled_ledger):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(steps, "_kernels", lambda _work, module=module: module)
            again = span_requirement(units).ledger
        for name in LedgerFigures._fields:
            one, other = getattr(breakdown.ledger, name), getattr(again, name)
            assert one.tobytes() == other.tobytes(), (module.__name__, name)


@given(portfolios())
def test_every_delta_is_consumed_at_most_once(held: dict[str, int]) -> None:
    units, breakdown = margined(book_of({"a": held}))
    figures = breakdown.ledger
    n = int(figures.n_recorded[1])
    consumed = np.bincount(figures.entry_month[:n], figures.entry_delta[:n], len(figures.original))
    assert figures.original == pytest.approx(consumed + figures.remaining, abs=1e-9)
    # What is left is on the side that the month was on, or nothing.
    assert np.all(figures.remaining * figures.original >= 0)
    assert np.all(np.abs(figures.remaining) <= np.abs(figures.original) + 1e-9)
    assert np.all(figures.entry_delta[:n] * figures.original[figures.entry_month[:n]] > 0)
    assert len(units.month) == len(figures.original)


@given(portfolios())
def test_a_spread_takes_the_same_number_of_every_leg_and_none_of_an_absent_one(held: dict[str, int]) -> None:
    units, breakdown = margined(book_of({"a": held}))
    model, figures = units.contracts.model, breakdown.ledger
    rules = model.rules.ledger
    n_formed, n_entries = figures.n_recorded.tolist()
    for formed in range(n_formed):
        number = int(figures.formed_spread[formed])
        if rules.code[number] == Code.SCANNING:
            continue
        entries = np.flatnonzero(figures.entry_formed[:n_entries] == formed)
        assert figures.formed_count[formed] > 0
        wanted: dict[int, float] = {}
        for leg in range(rules.leg_offsets[number], rules.leg_offsets[number + 1]):
            commodity = int(rules.leg_commodity[leg])
            sign = figures.formed_side[formed] * (-1 if rules.leg_side[leg] else 1)
            wanted[commodity] = wanted.get(commodity, 0.0) + sign * figures.formed_count[formed] * rules.leg_ratio[leg]
            inside = [
                k
                for k in entries.tolist()
                if rules.leg_first[leg] <= units.month[figures.entry_month[k]] < rules.leg_last[leg]
                and np.sign(figures.entry_delta[k]) == sign
            ]
            assert inside, "a leg that took nothing"
        taken: dict[int, float] = dict.fromkeys(wanted, 0.0)
        for k in entries.tolist():
            taken[int(units.commodity[units.month_unit[figures.entry_month[k]]])] += float(figures.entry_delta[k])
        assert taken == pytest.approx(wanted, abs=1e-9)
        assert figures.entry_money[entries].sum() == pytest.approx(figures.formed_money[formed], abs=1e-9)


@given(portfolios())
def test_spreads_are_formed_in_order_of_priority(held: dict[str, int]) -> None:
    units, breakdown = margined(book_of({"a": held}))
    offsets = units.contracts.model.rules.ledger.calendar_offsets
    figures = breakdown.ledger
    formed = figures.formed_spread[: int(figures.n_recorded[0])].tolist()
    stages = [
        [number for number in formed if number < offsets[0]],
        [number for number in formed if offsets[0] <= number < offsets[-1]],
        [number for number in formed if number >= offsets[-1]],
    ]
    assert formed == [number for stage in stages for number in stage]
    assert all(stage == sorted(stage) for stage in stages)


@given(portfolios())
def test_risk_is_never_below_nothing_nor_below_the_minimum(held: dict[str, int]) -> None:
    for place in CreditPlace:
        _, breakdown = margined(book_of({"a": held}), with_policy(rich_method(), credit=place))
        assert np.all(breakdown.levels.risk >= 0)
        if place is CreditPlace.INSIDE:
            assert np.all(breakdown.levels.risk >= breakdown.short_option_minimum)


@given(portfolios())
def test_credits_never_exceed_the_risk_that_they_offset(held: dict[str, int]) -> None:
    kept = {name: q for name, q in held.items() if name.split()[1] in ("AA", "FF")}
    if not kept:
        return
    _, breakdown = margined(book_of({"a": kept}))
    figures = breakdown.ledger
    assert np.all(breakdown.credit <= figures.scan_risk + 1e-9)


@given(portfolios(), st.integers(2, 9))
def test_scaling_by_k_scales_the_requirement(held: dict[str, int], k: int) -> None:
    assert requirement({name: k * q for name, q in held.items()}) == pytest.approx(k * requirement(held), rel=1e-9)


@given(portfolios())
def test_q_and_minus_q_leave_nothing(held: dict[str, int]) -> None:
    rows = {"a": held, "b": {name: -q for name, q in held.items()}}
    book = book_of(rows, {name: Attributes(netting_set="s") for name in rows})
    _, breakdown = margined(book)
    assert breakdown.account_initial.tolist() == [0.0]
    assert breakdown.account_option_value.tolist() == [0.0]


@given(st.sampled_from(NAMES), quantities())
def test_one_contract_alone_is_its_own_isolated_sum(name: str, quantity: int) -> None:
    method = rich_method()
    book = book_of({"a": {name: quantity}})
    units, breakdown = margined(book, method)
    alone = span_book(book, units.contracts, Grouping.POSITION)
    assert isolated_requirement(alone)[0] == pytest.approx(float(breakdown.account_initial[0]), rel=1e-12)


@given(st.dictionaries(st.sampled_from([n for n in NAMES if " OOF " in n and " EE " not in n]), st.integers(1, 20),
                       min_size=1, max_size=6))  # fmt: skip
def test_long_options_need_no_more_than_they_are_worth(held: dict[str, int]) -> None:
    for who in CustomerType:
        _, breakdown = margined(book_of({"a": held}), with_policy(rich_method(), customer_type=who))
        levels = breakdown.levels
        assert np.all(levels.initial[levels.only_long] <= levels.option_value[levels.only_long])
        assert breakdown.account_initial[0] == pytest.approx(float(breakdown.account_credit_initial[0]))


@given(portfolios())
def test_a_gross_account_forms_no_spreads_and_adds_its_sides(held: dict[str, int]) -> None:
    gross = {"a": Attributes(account_type=AccountType.GROSS)}
    _, breakdown = margined(book_of({"a": held}, gross))
    long = {name: q for name, q in held.items() if q > 0}
    short = {name: q for name, q in held.items() if q < 0}
    assert breakdown.ledger.n_recorded[0] == 0
    sides = [margined(book_of({"a": one}, gross))[1].account_initial[0] for one in (long, short) if one]
    assert breakdown.account_initial[0] == pytest.approx(sum(sides), rel=1e-12)


@given(portfolios())
def test_account_types_are_in_order(held: dict[str, int]) -> None:
    asked = [requirement(held, with_policy(rich_method(), customer_type=who)) for who in CustomerType]
    assert asked == sorted(asked)
    stated = {"a": Attributes(customer_type=CustomerType.MEMBER)}
    assert float(margined(book_of({"a": held}, stated))[1].account_initial[0]) == asked[0]


@given(portfolios())
def test_a_wider_scope_never_asks_for_more(held: dict[str, int]) -> None:
    book = book_of({"a": held})
    totals = []
    for scope in (Scope.COMPLEX, Scope.GROUP, Scope.CLASS):
        _, breakdown = margined(book, with_policy(rich_method(), option_value_scope=scope))
        totals.append(float(breakdown.account_initial[0] - breakdown.account_credit_initial[0]))
        assert totals[-1] >= -1e-9
    assert totals[0] <= totals[1] + 1e-9 <= totals[2] + 2e-9


@given(portfolios())
def test_limited_option_value_offsets_its_own_commodity_only(held: dict[str, int]) -> None:
    units, breakdown = margined(book_of({"a": held}))
    scope, commodities = breakdown.scope, units.contracts.model.file.commodities
    for unit, commodity in enumerate(units.commodity.tolist()):
        others = np.flatnonzero((scope == scope[unit]) & (np.arange(len(scope)) != unit))
        if commodities[commodity].limit_option_value:
            assert not len(others)
        assert all(commodities[units.commodity[k]].currency == commodities[commodity].currency for k in others)


@given(portfolios())
def test_where_the_credit_comes_off_matters_only_where_there_is_one(held: dict[str, int]) -> None:
    (_, inside), (_, outside) = (
        margined(book_of({"a": held}), with_policy(rich_method(), credit=place)) for place in CreditPlace
    )
    if not inside.credit.any():
        assert outside.levels.risk.tolist() == inside.levels.risk.tolist()
    elif np.all(inside.credit >= 0):
        assert np.all(outside.levels.risk <= inside.levels.risk + 1e-9)


@settings(max_examples=60)
@given(portfolios(least=2))
def test_contributions_sum_to_the_requirement(held: dict[str, int]) -> None:
    book = book_of({"a": held})
    method = rich_method()
    required = method.requirements(book, span_contracts(book.instruments, method.model))
    total = float(required.requirement_initial[0])
    assert required.contributions.contribution.sum() == pytest.approx(total, rel=1e-9, abs=1e-9)
    assert required.contributions.member.sum() == pytest.approx(total, rel=1e-9, abs=1e-9)


@settings(max_examples=60)
@given(portfolios(least=2), st.sampled_from(["initial", "maintenance"]), st.sampled_from(list(CreditPlace)))
def test_every_node_of_the_explanation_recombines(held: dict[str, int], level: Any, place: CreditPlace) -> None:
    book = book_of({"a": held})
    method = with_policy(rich_method(), credit=place, requirement_decimals=2)
    required = method.requirements(book, span_contracts(book.instruments, method.model))
    tree = method.explain(required, 0, level)
    figure = required.requirement_initial if level == "initial" else required.requirement_maintenance
    assert tree.value == figure[0]
    for _, node in tree.walk():
        scale = max([1.0, abs(node.value), *(abs(part.value) for part in node.parts)])
        assert abs(node.recombined() - node.value) <= 1e-9 * scale, node.label


def test_rounding_is_half_up_and_once_a_level() -> None:
    assert steps.rounded(np.array([1.4, 1.5, 2.5, 0.0]), 0).tolist() == [1.0, 2.0, 3.0, 0.0]
    assert steps.rounded(np.array([1.005, 1.015]), None).tolist() == [1.005, 1.015]


def test_a_future_without_a_position_in_the_target_still_scans_together() -> None:
    """EE and DD are scanned in DD: who holds only EE has one of the two legs, which is not enough."""
    only_ee = {"X EE FUT 202607": 3}
    units, breakdown = margined(book_of({"a": only_ee}))
    assert [units.unit_name(u) for u in range(units.holdings.n_units)] == ["DD", "EE"]
    assert breakdown.ledger.stands_in.tolist() == [0, 1]
    both = only_ee | {"X DD FUT 202607": -2}
    units, breakdown = margined(book_of({"a": both}))
    assert breakdown.ledger.stands_in.tolist() == [0, 0]
    # By hand: EE loses 12 x 3 and DD gains 11 x 2 x 0.8 in a whole move down; a move up is the other way round.
    assert breakdown.ledger.scan_risk[0] == pytest.approx(max(36 - 0.8 * 22, 22 - 0.8 * 36))


def numbers() -> Iterator[Decimal]:
    yield from (Decimal("0.5"), Decimal("1.25"))


@pytest.mark.parametrize("quantity", list(numbers()), ids=str)
def test_parts_of_contracts_are_margined(quantity: Decimal) -> None:
    whole = requirement({"X AA FUT 202607": 1})
    part = float(margined(book_of({"a": {"X AA FUT 202607": quantity}}))[1].account_initial[0])
    assert part == pytest.approx(float(quantity) * whole)


def test_room_for_entries_is_made_where_there_are_more_than_expected() -> None:
    held = {name: (1 if k % 2 else -1) * (k + 1) for k, name in enumerate(n for n in NAMES if " FUT " in n)}
    _, expected = margined(book_of({"a": held}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "_first_room", lambda _n_months: (1, 1))
        _, found = margined(book_of({"a": held}))
    formed, entries = expected.ledger.n_recorded.tolist()
    assert formed > 5
    assert found.ledger.formed_spread.tolist() == expected.ledger.formed_spread[:formed].tolist()
    assert found.ledger.entry_money.tolist() == expected.ledger.entry_money[:entries].tolist()
