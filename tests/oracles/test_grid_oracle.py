"""The engine against the naive loop: to the bit on one contract table, to 1e-9 with its own pricing."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings

from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.methodologies.registry import methodology
from tests import books
from tests.oracles.engine_view import accounts_of, contracts_of, engine_figures, rules_of
from tests.oracles.grid_oracle import Answer, contract_figures, margin

# Independent pricing: a P&L is a difference of two prices known to about 1e-16 of the forward, and a requirement
# is 1e-3 of the positions' notional or more, unless a hedge is almost perfect: hence also absolute in the notional.
RELATIVE = 1e-9

ACROSS: dict[str, dict[str, Any]] = {
    "independent": {},
    "with a time step": {"time_step_days": 3},
    "common, share 0": {"across_units": "common", "gain_share": 0},
    "common, share 0.6": {"across_units": "common", "gain_share": "0.6"},
    "common, share 1": {"across_units": "common", "gain_share": 1},
    "common, share 0.6, cap": {"across_units": "common", "gain_share": "0.6", "gain_cap": 25_000},
}


def _evaluated(rows: list[books.Row], across: str) -> Evaluation:
    return evaluate(books.book(rows), books.market(), methodology("scenario-grid", **ACROSS[across]))


@pytest.mark.parametrize("across", ACROSS)
@settings(max_examples=25)
@given(rows=books.rows_of())
def test_engine_and_naive_loop_agree_to_the_bit(across: str, rows: list[books.Row]) -> None:
    evaluation = _evaluated(rows, across)
    r = evaluation.requirements
    table, rules = engine_figures(r), rules_of(evaluation.methodology.parameters)  # type: ignore[attr-defined]
    for a, account in enumerate(accounts_of(evaluation.book).values()):
        expected = margin(account, table, rules)
        assert r.requirement_initial[a] == expected.requirement
        assert r.requirement_maintenance[a] == expected.maintenance
        assert r.requirement_isolated[a] == expected.isolated
        assert r.net_option_value[a] == expected.net_option_value
        span = r.units.of(a)
        assert [r.units.names[u] for u in span] == [unit.name for unit in expected.units]
        breakdown = r.breakdown.breakdown  # type: ignore[attr-defined]
        for u, unit in zip(span, expected.units, strict=True):
            assert breakdown.scenario_worst[u] == unit.scenario
            assert breakdown.scan_pnl[u] == unit.scan_pnl
            assert r.units.components["scan_risk"][u] == unit.scan_risk
            assert r.units.components["roll_charge"][u] == unit.roll_charge
            assert r.units.components["short_option_minimum"][u] == unit.minimum
            assert r.units.requirement_initial[u] == unit.requirement
        _same_contributions(evaluation, a, expected)


@pytest.mark.parametrize("across", ACROSS)
@settings(max_examples=8)
@given(rows=books.rows_of())
def test_engine_and_independent_pricing_agree(across: str, rows: list[books.Row]) -> None:
    evaluation = _evaluated(rows, across)
    r = evaluation.requirements
    method = evaluation.methodology
    held = set(evaluation.book.instruments)
    contracts = {name: c for name, c in contracts_of(books.market()).items() if name in held}
    table = {name: contract_figures(contract, method.info.document) for name, contract in contracts.items()}
    for a, account in enumerate(accounts_of(evaluation.book).values()):
        expected = margin(account, table, rules_of(method.parameters))  # type: ignore[attr-defined]
        notional = math.fsum(
            abs(float(quantity) * contracts[name].multiplier)
            * (1.0 if contracts[name].inverse and contracts[name].kind != "option" else contracts[name].index)
            for rows_of_member in account.members.values()
            for name, quantity in rows_of_member
        )
        close = {"rel": RELATIVE, "abs": 1e-12 * notional}
        assert r.requirement_initial[a] == pytest.approx(expected.requirement, **close)
        assert r.requirement_isolated[a] == pytest.approx(expected.isolated, **close)
        assert r.net_option_value[a] == pytest.approx(expected.net_option_value, **close)
        for u, unit in zip(r.units.of(a), expected.units, strict=True):
            assert r.units.components["scan_risk"][u] == pytest.approx(unit.scan_risk, **close)
            assert r.units.components["roll_charge"][u] == pytest.approx(unit.roll_charge, **close)
            assert r.units.components["short_option_minimum"][u] == pytest.approx(unit.minimum, **close)


def test_every_contract_prices_alike_in_every_scenario() -> None:
    book = books.book([books.row("a", name, 1) for name in books.NAMES])
    method = methodology("scenario-grid", time_step_days=10)
    figures = engine_figures(evaluate(book, books.market(), method).requirements)
    for name, contract in contracts_of(books.market()).items():
        expected = contract_figures(contract, method.info.document)
        ours = figures[name]
        notional = contract.multiplier * (contract.index if contract.kind in ("option", "spot") else 1.0)
        assert len(ours.pnl) == len(expected.pnl) == 2 * 27 + 8
        assert ours.pnl == pytest.approx(expected.pnl, rel=RELATIVE, abs=1e-13 * notional), name
        assert ours.delta == pytest.approx(expected.delta, rel=RELATIVE), name
        assert ours.roll_move == pytest.approx(expected.roll_move, rel=1e-12), name
        assert ours.short_minimum == pytest.approx(expected.short_minimum, rel=1e-12), name
        assert ours.option_value == pytest.approx(expected.option_value, rel=1e-9, abs=1e-13 * notional), name


def _same_contributions(evaluation: Evaluation, account: int, expected: Answer) -> None:
    """To rounding: the loop multiplies in another order."""
    c = evaluation.requirements.contributions
    ours = c.contribution[int(c.account_offsets[account]) : int(c.account_offsets[account + 1])].tolist()
    theirs = [share for unit in expected.units for share in unit.contributions]
    scale = max(map(abs, theirs), default=0.0)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12 * scale)
