"""OKX's own worked example, figure by figure: the response of its position builder of 15 January 2025.

Short 10 BTC-USDT-SWAP (0.1 BTC) at 97,093.7, long 10 LTC-USDT-SWAP (10 LTC) at 102, and 78,589.37 USDT owed. Delta is
position x mark x USDT price, which gives 0.99954 for USDT; the P&L of a shock is position x index x USDT price x shock,
which gives the index prices. OKX prints the noise of its own floats (mr1 1164.4109244719994, mr6 1164.4109244720003),
so figures are compared to 2e-12 dollars, or two units of the last place of a float where that is more.
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from crossmargin.basics.explanation import Explanation
from crossmargin.engine.evaluate import Evaluation
from crossmargin.methodologies.venue_grids.okx.recipe import OkxBreakdown
from tests.methodologies.venue_grids.okx_market import example_market, run


@dataclass(frozen=True)
class Printed:
    """Figures of one risk unit as OKX prints them; `extreme` before the half that counts."""

    name: str
    delta: float
    mr1: float
    scenario: str
    mr4: float
    extreme: float
    mr6: float
    mr7: float
    mmr: float
    imr: float


UNITS = (
    Printed(
        name="BTC",
        delta=-9704.9036898,
        mr1=1164.4109244719994,
        scenario="BTC +12%, vol same",
        mr4=19.4098073796,
        extreme=2328.821848944,
        mr6=1164.410924472,
        mr7=43.6720666041,
        mmr=1183.8207318516,
        imr=1538.96695140708,
    ),
    Printed(
        name="LTC",
        delta=1019.5308,
        mr1=183.5067280572,
        scenario="LTC -18%, vol same",
        mr4=8.1562464,
        extreme=367.0134561144,
        mr6=183.5067280572,
        mr7=7.1367156,
        mmr=191.6629744572,
        imr=249.16186679436,
    ),
)
DERIVATIVES_MMR = 1375.4837063088
BORROW_MMR, BORROW_IMR = 1571.064377796, 7855.32188898
TOTAL_MMR, TOTAL_IMR = 2946.5480841048, 9643.45070718144
EQUITY = -78553.2188898


def exactly(printed: float) -> object:
    """To the last printed digit but for the noise of floats."""
    return pytest.approx(printed, rel=2e-15, abs=2e-12)


@pytest.fixture(scope="module")
def evaluation() -> Evaluation:
    return run(
        {"BTC-USDT-SWAP": -10, "LTC-USDT-SWAP": 10},
        {"USDT": "-78589.37"},
        where=example_market(),
        parameters="okx-pm-2025",
    )


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_every_printed_figure_of_a_unit(evaluation: Evaluation, unit: Printed) -> None:
    r = evaluation.requirements
    u = r.units.names.index(unit.name)
    found = r.breakdown.measured.detail  # type: ignore[attr-defined]
    assert isinstance(found, OkxBreakdown)
    assert found.cash_delta[u].tolist() == [exactly(unit.delta), 0.0, 0.0]
    assert found.mr1[u] == exactly(unit.mr1)
    assert r.units.scenario_worst[u] == unit.scenario
    assert found.mr4[u] == exactly(unit.mr4)
    assert found.extreme_loss[u] == exactly(unit.extreme)
    assert found.mr6[u] == exactly(unit.mr6)
    assert found.mr7[u] == exactly(unit.mr7)
    assert [found.mr2[u], found.mr3[u], found.mr5[u], found.mr9[u]] == [0.0] * 4
    assert found.maintenance[u] == exactly(unit.mmr)
    assert r.units.requirement_initial[u] == exactly(unit.imr)


def test_every_printed_figure_of_the_account(evaluation: Evaluation) -> None:
    r = evaluation.requirements
    found = r.breakdown.measured.detail  # type: ignore[attr-defined]
    assert found.maintenance.sum() == exactly(DERIVATIVES_MMR)
    assert found.mr8_maintenance[0] == exactly(BORROW_MMR)
    assert r.account_charges["mr8_borrowing"][0] == exactly(BORROW_IMR)
    assert r.requirement_maintenance[0] == exactly(TOTAL_MMR)
    assert r.requirement_initial[0] == exactly(TOTAL_IMR)
    assert evaluation.collateral is not None
    assert evaluation.collateral.value[0] == pytest.approx(EQUITY, abs=1e-10)


@pytest.mark.parametrize(
    ("name", "printed"),
    [("BTC", {0.04: -388.1369748240002, 0.08: -776.2739496480004, 0.12: -1164.4109244719994}),
     ("LTC", {0.06: 61.168909352399936, 0.12: 122.33781870480001, 0.18: 183.50672805719995})],
)  # fmt: skip
def test_every_printed_scenario(evaluation: Evaluation, name: str, printed: dict[float, float]) -> None:
    table = evaluation.methodology.scenarios(evaluation.requirements, 0)
    u = table.units.index(name)
    by_move = dict(zip(table.price_move[u][:7].tolist(), table.pnl[u][:7].tolist(), strict=True))
    assert set(by_move) == {0.0, *printed, *(-move for move in printed)}
    assert by_move[0.0] == 0
    for move, pnl in printed.items():
        assert by_move[move] == exactly(pnl)
        assert by_move[-move] == exactly(-pnl)


def test_the_explanation_has_every_charge_as_a_node(evaluation: Evaluation) -> None:
    tree = evaluation.methodology.explain(evaluation.requirements, 0, "initial")
    nodes = [node for _, node in tree.walk()]
    for k, charge in ((1, "spot shock"), (2, "theta"), (3, "vega"), (4, "basis"), (5, "rate"), (6, "extreme"),
                      (7, "minimum"), (9, "stablecoin")):  # fmt: skip
        assert sum(node.label.startswith(f"MR{k} {charge}") for node in nodes) == 2, k
    (borrowing,) = (node for node in nodes if node.label.startswith("MR8"))
    assert borrowing.value == exactly(BORROW_IMR)
    assert all(_recombines(node) for node in nodes)


def _recombines(node: Explanation) -> bool:
    return abs(node.recombined() - node.value) <= 1e-12 * max(1.0, abs(node.value))
