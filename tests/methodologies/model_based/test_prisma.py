"""prisma-like: its steps by hand, sub-samples, gradient, groups, size, orders, and what it refuses."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pytest

from crossmargin.answers.hedge_failure import hedge_failure
from crossmargin.basics.errors import InputError, ParameterError
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.model_based.prisma import contributions, recipe, steps
from crossmargin.methodologies.model_based.prisma.method import PrismaLike, prisma_like
from crossmargin.methodologies.model_based.prisma.parameters import load_parameters
from crossmargin.methodologies.model_based.prisma.steps import Aggregate
from crossmargin.portfolio.book import Carried, net_carried
from tests import books

DAY = 86_400


# --------------------------------------------------------------------------------------------------- steps, by hand


def test_a_quantile_lies_between_the_losses_around_it() -> None:
    """Ten P&L of -10 to -1: the quantile of 20% is half way between the second and the third, place 2 - 1/2."""
    pnl = -np.arange(1.0, 11.0)[None, ::-1]
    assert steps.value_at_risk(pnl, 0.8).tolist() == [8.5]
    assert steps.value_at_risk(pnl, Decimal("0.99")).tolist() == [10.0]  # below the first plotting position
    assert steps.value_at_risk(-pnl, 0.8).tolist() == [0.0]
    assert steps.quantile_place(Decimal("0.95"), 750) == (37, 38, 0.0)  # floats say 37.00000000000003


def test_windows_that_are_worse_than_all_count_by_their_root_mean_square() -> None:
    """Windows of two of (-4, 0, 0, -8, -2), the level half: means of pairs -2, 0, -4, -5 against a median of -2."""
    pnl = np.array([[-4.0, 0.0, 0.0, -8.0, -2.0]])
    assert steps.value_at_risk(pnl, 0.5).tolist() == [2.0]
    # Excess of 2 and 3 over the median; the first window is as bad as all, the second better: neither counts.
    assert steps.mean_excess_risk(pnl, 0.5, 2).tolist() == [pytest.approx(np.sqrt((4 + 9) / 2))]
    assert steps.mean_excess_risk(np.zeros((1, 5)), 0.5, 2).tolist() == [0.0]


def test_the_correlation_break_keeps_within_its_bounds() -> None:
    pure = np.array([100.0, 100.0, 100.0])
    found = steps.correlation_break(np.array([1.0, 20.0, 90.0]), pure, kappa=2.0, least=0.05, most=0.8)
    assert found.tolist() == [5.0, 40.0, 80.0]


@pytest.mark.parametrize(
    ("rule", "values", "whole", "weights"),
    [
        (Aggregate.MEAN, [3.0, 1.0, 5.0], 3.0, [1 / 3, 1 / 3, 1 / 3]),
        (Aggregate.LARGEST, [3.0, 5.0, 5.0], 5.0, [0, 1, 0]),
        (Aggregate.MEDIAN, [3.0, 1.0, 5.0], 3.0, [1, 0, 0]),
        (Aggregate.MEDIAN, [3.0, 1.0, 5.0, 4.0], 3.5, [0.5, 0, 0, 0.5]),
    ],
)
def test_aggregates_and_the_weights_that_make_them(
    rule: Aggregate, values: list[float], whole: float, weights: list[float]
) -> None:
    of_samples = np.array([values])
    assert steps.aggregated(of_samples, rule).tolist() == [whole]
    assert steps.aggregate_weights(of_samples, rule).tolist() == [weights]


def test_model_errors_add_as_squares() -> None:
    found = steps.model_error(np.array([3.0, 4.0, 5.0]), np.array([0, 0, 2]), 3)
    assert found.tolist() == [5.0, 0.0, 5.0]


def test_the_liquidity_factor_is_linear_between_knots_and_goes_on() -> None:
    days = np.array([0.0, 0.5, 1.0, 2.0, 5.0, 7.0])
    found = steps.liquidity_factor(days, ((0.5, 0.1), (1.0, 0.2), (5.0, 1.0)))
    assert found.tolist() == pytest.approx([0.1, 0.1, 0.2, 0.4, 1.0, 1.4])
    assert steps.liquidity_factor(days[:2], ((0.0, 0.3),)).tolist() == [0.3, 0.3]


def test_the_diversification_factor_is_floored_and_is_1_where_nothing_is_lost() -> None:
    found = steps.diversification_factor(np.array([80.0, 10.0, 0.0]), np.array([100.0, 100.0, 0.0]), 0.3)
    assert found.tolist() == [0.8, 0.3, 1.0]


def test_student_t_at_3_degrees_of_freedom_is_the_tabulated_one() -> None:
    """Tables: 4.541 at 99%, 2.353 at 95%."""
    assert steps.robust_factor(Decimal("0.95"), Decimal("0.99"), 3) == pytest.approx(4.541 / 2.353, rel=3e-4)
    assert steps.robust_factor(0.99, 0.99, 3) == 1.0


# ------------------------------------------------------------------------------------------------ through the engine


@cache
def method(name: str = "default") -> PrismaLike:
    documents: dict[str, dict[str, Any] | None] = {"default": None, "all on": books.prisma_document()}
    overrides = books.ON_HISTORY if name == "default" else {}
    return prisma_like(documents[name], history=books.history(), **overrides)


def margined(held: dict[str, Any], of: PrismaLike | None = None, market: Market | None = None) -> Evaluation:
    rows = [books.row("ann", name, quantity) for name, quantity in held.items()]
    return evaluate(books.book(rows), market or books.market(), of or method())


def required(held: dict[str, Any], of: PrismaLike | None = None, market: Market | None = None) -> float:
    return float(margined(held, of, market).requirements.requirement_initial[0])


MIXED = {
    "BTC-27MAR26-100000-C": -12,
    "BTC-26JUN26-85000-P": 7,
    "BTC-PERPETUAL": 40_000,
    "ETH-27MAR26-3100-C": 30,
    "SPX   260320P06800000": -1,
}


@pytest.mark.parametrize("name", ["filtered", "stress"])
def test_runs_of_one_sub_sample_share_no_day(name: str) -> None:
    of = method("all on")
    sets, _ = of.scenario_sets(books.AS_OF)
    samples = recipe.sub_samples(sets[name])
    assert len(samples) == of.horizon_days == 3
    for rows in samples:
        # Days of the history are all 24 hours apart.
        assert np.diff(sets[name].times[rows]).min() >= 3 * DAY
    assert sorted(np.concatenate(samples).tolist()) == list(range(len(sets[name])))


def test_the_same_days_are_in_the_same_sub_sample_of_both_sets() -> None:
    """Both count back from the latest day of the history."""
    sets, _ = method("all on").scenario_sets(books.AS_OF)
    last = max(sets["filtered"].times)
    for one in (sets["filtered"], sets["stress"]):
        assert ((last - one.times) // DAY % 3 == one.sub_sample).all()


def test_blocks_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [books.row(account, name, q * k) for k, account in enumerate("abc", 1) for name, q in MIXED.items()]
    whole = evaluate(books.book(rows), books.market(), method("all on")).requirements
    expected = (whole.requirement_initial.tolist(), whole.contributions.contribution.tolist())
    monkeypatch.setattr(recipe, "BLOCK_UNITS", 1)
    monkeypatch.setattr(contributions, "BLOCK_UNITS", 1)
    alone = evaluate(books.book(rows), books.market(), method("all on")).requirements
    assert (alone.requirement_initial.tolist(), alone.contributions.contribution.tolist()) == expected


@pytest.mark.parametrize("kappa", ["0.1", "2", "100"])
@pytest.mark.parametrize("aggregate", ["mean", "median", "largest"])
def test_contributions_are_the_gradient_of_the_market_risk(kappa: str, aggregate: str) -> None:
    """With the lower bound, the excess itself and the upper bound: what one more contract adds, times the contracts."""
    document = books.prisma_document(
        correlation_break={"level": "0.9", "window": "60", "kappa": kappa, "least": "0.1", "most": "0.6"},
        liquidity={"level": "0.95", "floor": "0", "factor_by_days": [["0", "0"]]},
    )
    of = prisma_like(document, history=books.history(), aggregate=aggregate)
    r = margined(MIXED, of).requirements
    breakdown = r.breakdown.measured.detail  # type: ignore[attr-defined]
    assert isinstance(breakdown, recipe.PrismaBreakdown)
    break_part = breakdown.filtered.broken / breakdown.filtered.pure
    held_by = {"0.1": (0.1, 0.1), "100": (0.6, 0.6)}.get(kappa)
    if held_by:
        assert (break_part.min(), break_part.max()) == pytest.approx(held_by)
    elif kappa == "2":
        assert ((break_part > 0.1) & (break_part < 0.6)).any()
    c = r.contributions
    names = [c.instrument_names[k] for k in c.instrument.tolist()]
    assert sorted(names) == sorted(MIXED)
    for name, contribution in zip(names, c.contribution.tolist(), strict=True):
        step = Decimal(MIXED[name]) / 1_000_000
        more, less = (required(MIXED | {name: MIXED[name] + s * step}, of) for s in (1, -1))
        slope = (more - less) / float(2 * step)
        assert contribution == pytest.approx(slope * MIXED[name], rel=1e-6, abs=1e-8 * required(MIXED, of))


def test_between_liquidation_groups_nothing_offsets() -> None:
    hedge = {"BTC-PERPETUAL": 100_000, "ETH-PERPETUAL": -900_000}
    alone = [required({name: q}) for name, q in hedge.items()]
    together = required(hedge)
    apart = books.prisma_document()["liquidation_groups"] | {"ETH": "others"}
    document = dict(method().info.document) | {"liquidation_groups": apart}
    of = prisma_like(document, history=books.history())
    e = margined(hedge, of)
    assert float(e.requirements.requirement_initial[0]) == sum(alone)
    assert e.requirements.units.names == ("coins", "others")
    assert together < 0.8 * sum(alone)


def with_volumes(volumes: dict[str, float]) -> Market:
    return replace(books.market(), facts={"average_daily_volume": volumes})


def test_size_beyond_what_trades_is_charged_and_shows_line_by_line() -> None:
    name = "BTC-PERPETUAL"
    charge = {}
    for volume in (1e6, 1e4, 1e3):
        e = margined({name: 10_000}, market=with_volumes({name: volume}))
        charge[volume] = float(e.requirements.units.components["liquidity"][0])
    # 0.01, 1 and 10 days of volume at 0.2 a day.
    assert charge[1e4] == pytest.approx(100 * charge[1e6])
    assert charge[1e3] == pytest.approx(10 * charge[1e4])
    unknown = margined({name: 10_000})
    assert float(unknown.requirements.units.components["liquidity"][0]) == pytest.approx(charge[1e4])
    notes = unknown.prepared.notes
    assert any("no average_daily_volume of BTC-PERPETUAL" in note for note in notes)
    tree = method().explain(e.requirements, 0)
    lines = {node.label: node for _, node in tree.walk()}
    assert lines["factor at 10 days of volume"].value == pytest.approx(2.0)
    alone = lines["value at risk at 99%, alone"].value
    assert lines["10000 x BTC-PERPETUAL"].value == pytest.approx(2.0 * alone)
    assert lines["liquidity"].value == pytest.approx(2.0 * alone)  # nothing to diversify


def test_a_spread_is_charged_and_diversified() -> None:
    name = "SPX   260320P06800000"
    market = books.market()
    row = market.instruments.rows((name,))[0]
    bid, ask = market.bid.copy(), market.ask.copy()
    bid[row], ask[row] = 90.0, 93.0
    quoted = replace(market, bid=bid, ask=ask)
    more = required({name: 5}, market=quoted) - required({name: 5})
    assert more == pytest.approx(5 * 100 * 1.5)  # alpha is 1: it is alone


def test_stress_is_the_floor() -> None:
    held = {"BTC-PERPETUAL": 100_000}
    without = required(held, prisma_like(history=books.history(), **books.ON_HISTORY, stress_weight="0"))
    r = margined(held, prisma_like(history=books.history(), **books.ON_HISTORY, stress_weight="5")).requirements
    parts = {name: float(values[0]) for name, values in r.units.components.items()}
    assert parts["stress"] == parts["market_risk"] > parts["filtered"]
    assert r.requirement_initial[0] == parts["stress"] + parts["liquidity"]
    assert without == parts["filtered"] + parts["liquidity"]
    assert r.contributions.contribution.tolist() == [pytest.approx(float(r.requirement_initial[0]))]


def test_resting_orders_count_by_the_worse_side_at_initial_only() -> None:
    name = "ETH-27MAR26-3100-C"
    book = books.book([books.row("ann", n, q) for n, q in MIXED.items()])
    carried = Carried(
        instruments=(name,),
        account=np.zeros(1, dtype=np.int64),
        instrument=np.zeros(1, dtype=np.int64),
        buys=np.array([20 * STEPS_PER_UNIT]),
        sells=np.array([90 * STEPS_PER_UNIT]),
        unrealised=np.zeros(1, dtype=np.int64),
    )
    rested = replace(book, carried=net_carried(carried, book.accounts))
    r = evaluate(rested, books.market(), method()).requirements
    plain = required(MIXED)
    worst = max(plain, required(MIXED | {name: 50}), required(MIXED | {name: -60}))
    assert worst > plain
    assert float(r.requirement_initial[0]) == pytest.approx(worst, rel=1e-12)
    assert float(r.requirement_maintenance[0]) == plain  # the set's maintenance is its initial, without orders


def test_it_says_what_it_would_ask_for_if_hedges_failed() -> None:
    answer = hedge_failure(margined({"BTC-PERPETUAL": 100_000, "ETH-PERPETUAL": -900_000}))
    assert answer.figures["against"][0] > answer.figures["estimated"][0] > 0
    assert answer.figures["window"][0] > 0


def test_traits_say_what_holds() -> None:
    assert method().traits.promised() == ("euler",)
    assert method("all on").traits.promised() == ("homogeneous", "euler")
    assert method().status == "inferred"


# ---------------------------------------------------------------------------------------------------- what it refuses


def document(**changed: Any) -> dict[str, Any]:
    return dict(method().info.document) | changed


def test_all_wrong_parameters_are_named_at_once() -> None:
    wrong = document(
        measure={"level_low": "0.5", "level_target": "1", "degrees_of_freedom": "nan", "aggregate": "sum"},
        correlation_break={"level": "0.9", "window": "9", "kappa": "-1", "least": "0.5", "most": "0.1"},
        model_error={"spot": "0", "future": "0", "perpetual": "0", "option": "inf", "swap": "0"},
        stress_periods={},
        events={"worst": "1.5", "periods": {}},
        liquidity={"level": "0.99", "floor": "2", "factor_by_days": [["1", "0.2"], ["1", "0.1"]]},
        liquidation_groups={"BTC": ""},
    )
    generation = wrong["generation"] | {"mirrored": True, "simulation": {"draws": "10"}}
    with pytest.raises(ParameterError) as refused:
        load_parameters(wrong | {"generation": generation, "speed": "1"})
    at = [problem.column for problem in refused.value.problems]
    for expected in (
        "speed",
        "measure.level_low",
        "measure.level_target",
        "measure.degrees_of_freedom",
        "measure.aggregate",
        "correlation_break.window",
        "correlation_break.kappa",
        "correlation_break.most",
        "model_error.option",
        "model_error.swap",
        "stress_periods",
        "events.worst",
        "events.periods",
        "liquidity.floor",
        "liquidity.factor_by_days",
        "liquidation_groups.BTC",
        "generation.mirrored",
        "generation.simulation",
    ):
        assert expected in at, (expected, at)


def test_a_window_without_a_scenario_beyond_its_level_is_refused() -> None:
    section = method().info.document["correlation_break"] | {"window": "9"}
    with pytest.raises(ParameterError, match=r"window.*is 9.*At 0.9 a window needs 10 scenarios"):
        load_parameters(document(correlation_break=section))


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"observations": "180"}, r"89 scenarios in a sub-sample of 'filtered', too few for liquidity's level of 99%"),
        ({"observations": "250", "horizon_days": "5"}, r"49 scenarios .* liquidity.*100 are needed in each"),
        ({"observations": "9000"}, r"daily changes up to the time of the market, for 9000 scenarios"),
    ],
)
def test_too_few_scenarios_are_refused(overrides: dict[str, str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        required(MIXED, prisma_like(history=books.history(), **overrides))


def test_sub_samples_must_be_longer_than_windows() -> None:
    changed = document(correlation_break=document()["correlation_break"] | {"window": "125"})
    of = prisma_like(changed, history=books.history(), **books.ON_HISTORY)
    with pytest.raises(InputError, match=r"124 scenarios in a sub-sample of 'filtered', too few for windows of 125"):
        required(MIXED, of)


def test_stress_periods_that_the_history_does_not_have_are_refused_with_the_way_out() -> None:
    periods = {"long ago": ["2008-09-01", "2009-08-31"]}
    of = prisma_like(document(stress_periods=periods), history=books.history(), **books.ON_HISTORY)
    with pytest.raises(InputError, match=r"no date of long ago.*Without them: --option stress_weight=0"):
        required(MIXED, of)
    short = {"two weeks": ["2021-05-03", "2021-05-16"]}
    of = prisma_like(document(stress_periods=short), history=books.history(), **books.ON_HISTORY)
    with pytest.raises(InputError, match=r"7 scenarios in a sub-sample of 'stress', too few for the level of 95%"):
        required(MIXED, of)


def test_without_a_history_nothing_is_margined() -> None:
    with pytest.raises(InputError, match=r"no history of risk factors for 'prisma-like'.*--history FILE"):
        required(MIXED, prisma_like())


def test_a_volume_that_is_not_positive_is_refused() -> None:
    with pytest.raises(InputError, match=r"an average daily volume of 0 of 'BTC-PERPETUAL'"):
        required(MIXED, market=with_volumes({"BTC-PERPETUAL": 0.0}))


def test_an_unknown_override_is_refused() -> None:
    with pytest.raises(ParameterError, match=r"'window' is no parameter that can be overridden"):
        prisma_like(window="30")
