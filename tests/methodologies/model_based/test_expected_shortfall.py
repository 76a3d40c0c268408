"""`historical-es`, `filtered-es`, `monte-carlo-es`: figures worked out by hand, laws, and what is refused."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import CrossmarginError, InputError, ParameterError, UnknownOptionError
from crossmargin.engine.evaluate import evaluate
from crossmargin.engine.events import MarketMove
from crossmargin.engine.live import LiveBook
from crossmargin.files.methodology import read_methodologies
from crossmargin.files.positions import read_positions
from crossmargin.history.factors import factor_of
from crossmargin.history.histories import FactorHistories
from crossmargin.instruments.terms import Right
from crossmargin.methodologies.registry import methodology
from tests import books
from tests.methodologies.model_based.small import (
    AS_OF,
    DAY,
    asked,
    document,
    evaluated,
    future,
    history_of,
    of_changes,
    of_quotes,
    option,
    perpetual,
    plain,
    spots,
)

TEN = [0.01, -0.02, 0.03, -0.05, 0.00, 0.02, -0.01, -0.04, 0.01, 0.02]


def loss(change: float, price: float = 100.0) -> float:
    """Of one unit long."""
    return price * (1 - math.exp(change))


# By hand


def test_shortfall_is_the_mean_of_the_worst_and_value_at_risk_the_next_loss() -> None:
    history = of_changes(A=TEN)
    es = asked({"ann": {"A": 1}, "bob": {"A": -2}}, spots("A"), plain("historical-es", history, level="0.8"))
    assert es["ann"] == pytest.approx((loss(-0.05) + loss(-0.04)) / 2, rel=1e-12)
    assert es["bob"] == pytest.approx(-2 * (loss(0.03) + loss(0.02)) / 2, rel=1e-12)
    var = asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", history, level="0.8", measure="var"))
    assert var["ann"] == pytest.approx(loss(-0.02), rel=1e-12)


def test_a_part_of_a_scenario_counts_in_part() -> None:
    found = asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", of_changes(A=TEN), level="0.75"))
    assert found["ann"] == pytest.approx((loss(-0.05) + loss(-0.04) + loss(-0.02) / 2) / 2.5, rel=1e-12)


def test_a_book_that_gains_whatever_comes_needs_nothing() -> None:
    history = of_changes(A=[0.01, 0.02, 0.03, 0.01])
    assert asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", history, level="0.5"))["ann"] == 0


def test_filtered_is_a_loop_over_days_with_options_priced_anew() -> None:
    """A second calculation from end to end: own filter, own Black-76, own sort."""
    rng = np.random.default_rng(17)
    n, decay, seed_days = 140, 0.97, 60
    price, vol = 0.02 * rng.standard_t(4, n), 0.04 * rng.standard_normal(n)
    start = {"price:A": 100 * math.exp(-sum(price)), "vol:A": 0.5 * math.exp(-sum(vol))}
    levels = {
        name: start[name] * np.exp(np.concatenate(([0.0], np.cumsum(own))))
        for name, own in (("price:A", price), ("vol:A", vol))
    }
    market = of_quotes(perpetual("A", 100.0), option("A", 90, Right.PUT, 0.5), A=100.0)
    method = methodology("filtered-es", history=history_of(levels), observations="80", level="0.95")
    found = asked({"ann": {"A-PERP": 1.5, "A-90-P": -3}}, market, method)["ann"]

    def rescaled(changes: np.ndarray) -> list[float]:
        variance = float(np.mean(changes[:seed_days] ** 2))
        then = []
        for x in changes[seed_days:]:
            then.append(math.sqrt(variance))
            variance = decay * variance + (1 - decay) * x * x
        return [x / s * math.sqrt(variance) for x, s in zip(changes[seed_days:], then, strict=True)]

    def put(forward: float, sigma: float) -> float:
        total = sigma * math.sqrt(30 / 365)
        d1 = math.log(forward / 90) / total + total / 2
        cdf = [0.5 * math.erfc(d / math.sqrt(2)) for d in (d1, d1 - total)]
        return 90 * cdf[1] - forward * cdf[0]

    daily = list(zip(rescaled(price), rescaled(vol), strict=True))
    runs = [(daily[k][0] + daily[k + 1][0], daily[k][1] + daily[k + 1][1]) for k in range(len(daily) - 1)]
    pnl = [
        1.5 * 100 * (math.exp(p) - 1) - 3 * (put(100 * math.exp(p), 0.5 * math.exp(v)) - put(100.0, 0.5))
        for p, v in runs
    ]
    size = 0.05 * len(pnl)
    worst = sorted(pnl)
    tail = sum(worst[: int(size)]) + (size - int(size)) * worst[int(size)]
    assert len(pnl) == 79
    assert found == pytest.approx(-tail / size, rel=1e-9)


def test_each_tool_against_procyclicality() -> None:
    # 120 calm days after 120 wild ones: the long run is the wilder.
    rng = np.random.default_rng(3)
    changes = np.concatenate((0.04 * rng.standard_normal(120), 0.01 * rng.standard_normal(120)))
    history = of_changes(A=changes)
    first = str((AS_OF - timedelta(days=239)).date())
    apc: dict[str, Any] = {"buffer": "0.3", "release_from": "0.2", "release_to": "0.6", "stressed_weight": "0.25"}
    made = document(
        "historical-es",
        anti_procyclicality=apc | {"long_run_observations": "240"},
        stress_periods={"the wild ones": [first, str((AS_OF - timedelta(days=180)).date())]},
    )
    given = {"document": made, "observations": "100", "level": "0.9"}

    def of(tool: str) -> float:
        return asked({"a": {"A": 1}}, spots("A"), plain("historical-es", history, **given, anti_procyclicality=tool))[
            "a"
        ]

    def shortfall(own: np.ndarray) -> float:
        losses = np.sort(100 * (1 - np.exp(own)))[::-1]
        return float(losses[: len(own) // 10].mean())

    now, long_run, wild = shortfall(changes[-100:]), shortfall(changes), shortfall(changes[:60])
    assert now < 0.6 * long_run
    release = (now / long_run - 0.2) / 0.4
    assert of("none") == pytest.approx(now, rel=1e-12)
    assert of("buffer") == pytest.approx(now * (1 + 0.3 * (1 - release)), rel=1e-12)
    assert of("stressed_weight") == pytest.approx(0.75 * now + 0.25 * wild, rel=1e-12)
    assert of("long_run_floor") == pytest.approx(long_run, rel=1e-12)


def test_a_cap_on_offsets_gives_a_fifth_of_the_saving_back() -> None:
    history = of_changes(A=TEN, B=[-x for x in TEN])
    book = {"ann": {"A": 1, "B": 1}}
    free = asked(book, spots("A", "B"), plain("historical-es", history, level="0.8"))["ann"]
    capped = asked(book, spots("A", "B"), plain("historical-es", history, level="0.8", offset_cap="0.8"))["ann"]
    alone = (loss(-0.05) + loss(-0.04)) / 2 + (loss(-0.03) + loss(-0.02)) / 2
    assert free == pytest.approx(0, abs=0.2)
    assert capped == pytest.approx(free + 0.2 * (alone - free), rel=1e-12)


def test_a_floor_on_the_gross_value() -> None:
    history = of_changes(A=TEN, B=TEN)
    made = document("historical-es", floor_rate="0.01")
    method = plain("historical-es", history, document=made, level="0.8")
    assert asked({"ann": {"A": 3, "B": -3}}, spots("A", "B"), method)["ann"] == pytest.approx(6.0, rel=1e-12)


# What is unknown


def test_options_without_a_history_of_volatility() -> None:
    market = of_quotes(option("A", 100, Right.CALL, 0.5), option("A", 90, Right.PUT, 0.6), A=100.0)
    history = of_changes(A=TEN)
    with pytest.raises(InputError, match="no history of 'vol:A'"):
        asked({"ann": {"A-100-C": -1}}, market, plain("historical-es", history, level="0.8"))
    still, charged = (
        evaluated(
            {"ann": {"A-100-C": -1, "A-90-P": 2}},
            market,
            plain("historical-es", history, level="0.8", vol_without_history=rule),
        )
        for rule in ("still", "charge")
    )
    assert any("volatilities of A have no history" in note for note in still.notes)
    bump = 1e-4

    def value(name_bump: float) -> float:
        def black(strike: float, sigma: float, call: bool) -> float:
            total = sigma * math.sqrt(30 / 365)
            d1 = math.log(100 / strike) / total + total / 2
            sign = 1 if call else -1
            cdf = [0.5 * math.erfc(-sign * d / math.sqrt(2)) for d in (d1, d1 - total)]
            return sign * (100 * cdf[0] - strike * cdf[1])

        return -black(100, 0.5 * (1 + name_bump), True) + 2 * black(90, 0.6 * (1 + name_bump), False)

    slope = (value(bump) - value(-bump)) / (2 * bump)
    extra = charged.requirements.requirement_initial[0] - still.requirements.requirement_initial[0]
    assert extra == pytest.approx(0.25 * abs(slope), rel=1e-5)


def test_a_factor_without_a_history_is_refused_with_every_name() -> None:
    method = plain("historical-es", of_changes(A=TEN), level="0.8")
    with pytest.raises(InputError) as caught:
        asked({"ann": {"B": 1, "C": 1}, "bob": {"A": 1}}, spots("A", "B", "C"), method)
    assert "price:B" in str(caught.value)
    assert "price:C" in str(caught.value)


def listed_late() -> FactorHistories:
    """B has traded for the last five of ten days."""
    levels = 100 * np.exp(np.concatenate(([0.0], np.cumsum(TEN))))
    late = levels * 2
    late[:6] = np.nan
    return history_of({"price:A": levels, "price:B": late})


def test_what_was_listed_late_is_refused_to_its_holder_and_to_nobody_else() -> None:
    method = plain("historical-es", listed_late(), level="0.8")
    assert asked({"ann": {"A": 1}}, spots("A", "B"), method)["ann"] > 0
    with pytest.raises(CrossmarginError, match="price:B"):
        asked({"ann": {"B": 1}}, spots("A", "B"), method)


def test_a_proxy_stands_in_by_name_and_is_told() -> None:
    made = document("historical-es", factors={"proxies": {"price:B": {"factor": "price:A", "beta": "1.5"}}})
    found = evaluated(
        {"ann": {"B": 1}}, spots("A", "B"), plain("historical-es", listed_late(), document=made, level="0.9")
    )
    # Unknown on the first six changes: 1.5 times A's there, of which the worst is that of the fourth.
    assert found.requirements.requirement_initial[0] == pytest.approx(loss(1.5 * -0.05), rel=1e-12)
    fill = next(one for one in found.requirements.fills if "history" in one.field)
    assert fill.instrument == "price:B"
    assert fill.donor == "price:A"
    assert "6 of 10" in fill.field


def test_what_was_delisted_stays_in_with_its_losses() -> None:
    ended = np.full(61, np.nan)
    ended[:31] = 100 * 0.5 ** np.arange(31)  # halves every day, and is gone
    rng = np.random.default_rng(1)
    alive = 100 * np.exp(np.cumsum(0.01 * rng.standard_normal(61)))
    history = history_of({"price:GONE": ended, "price:A": alive})
    book, market = {"ann": {"GONE": 1}}, spots("A", "GONE")
    with pytest.raises(CrossmarginError, match="price:GONE"):
        asked(book, market, plain("historical-es", history, level="0.9"))
    made = document("historical-es", factors={"proxies": {"price:GONE": {"factor": "price:A", "beta": "1"}}})
    proxied = plain("historical-es", history, document=made, level="0.9")
    assert asked(book, market, proxied)["ann"] == pytest.approx(50.0)
    without = history_of({"price:A": alive})
    one, other = (asked({"ann": {"A": 1}}, market, plain("historical-es", h, level="0.9")) for h in (history, without))
    assert one == other


# Laws


@pytest.mark.parametrize("name", books.WITH_HISTORY)
def test_more_history_never_changes_the_past(name: str) -> None:
    """Days after the market, and what they say of a factor, are not there."""
    whole = books.history()
    cut = int(np.searchsorted(whole.times, int(AS_OF.timestamp()) - 90 * DAY))
    moment = datetime.fromtimestamp(int(whole.times[cut - 1]) + 3600, UTC)
    level = whole.level.copy()
    level[cut:, 0] = -37.63  # from then on it is a factor that can be negative
    longer = FactorHistories.of(whole.factors, whole.times, level, source="longer")
    shorter = FactorHistories.of(whole.factors, whole.times[:cut], whole.level[:cut], source="shorter")
    quotes = [perpetual("BTC", 100_000.0), perpetual("ETH", 3_000.0)]
    market = of_quotes(*quotes, BTC=100_000.0, ETH=3_000.0)
    market = type(market).from_quotes(quotes, as_of=moment, source="then", index={"BTC": 100_000.0, "ETH": 3_000.0})
    book = {"ann": {"BTC-PERP": 1, "ETH-PERP": -25}}
    one, other = (
        asked(book, market, methodology(name, books.PARAMETERS.get(name), history=h, **books.ON_HISTORY))
        for h in (longer, shorter)
    )
    assert one == other
    assert one["ann"] > 0


@pytest.mark.parametrize("name", ["monte-carlo-es", "stans-like"])
def test_days_that_only_start_a_filter_thin_out_no_correlation(name: str) -> None:
    """One price under two names, of which one began later: with its filter's start beyond the window, or refused."""
    n, window, start = 200, 120, 60
    price = 100 * np.exp(np.cumsum(0.02 * np.random.default_rng(8).standard_normal(n + 1)))
    market = of_quotes(perpetual("A", 100.0), perpetual("B", 100.0), A=100.0, B=100.0)

    def draws(known_changes: int) -> Any:
        later = np.where(np.arange(n + 1) < n - known_changes, np.nan, price)
        history = history_of({"price:A": price, "price:B": later})
        method = methodology(name, history=history, observations=str(window), draws="1000")
        found = evaluated({"ann": {"A-PERP": 1, "B-PERP": -1}}, market, method).requirements.breakdown
        return next(iter(found.priced.sets.values())).scenarios.shifts

    assert np.corrcoef(draws(n).T)[0, 1] == pytest.approx(1.0, abs=1e-12)
    assert np.corrcoef(draws(window + start).T)[0, 1] > 0.999
    with pytest.raises(InputError, match=r"'price:B' is not known on every date that the scenarios are made from"):
        draws(window + start - 1)


@pytest.mark.parametrize("name", books.WITH_HISTORY)
def test_crude_oil_below_zero_goes_through_every_path(name: str) -> None:
    rng = np.random.default_rng(2)
    levels = 50 + np.cumsum(0.6 * rng.standard_normal(2301))
    levels[2200] = -37.63
    history = history_of({"price:CL": levels, "price:ES": 4000 * np.exp(np.cumsum(0.01 * rng.standard_normal(2301)))})
    market = of_quotes(future("CL", 18.0), future("ES", 4000.0), CL=18.0, ES=4000.0)
    method = methodology(name, books.PARAMETERS.get(name), history=history, **books.ON_HISTORY)
    found = evaluated({"long": {"CL-FUT": 1000}, "short": {"CL-FUT": -1000}}, market, method)
    required = found.requirements.requirement_initial
    assert np.isfinite(required).all()
    assert (required > 0).all()
    assert any("price:CL was at -37.63" in note and "absolute" in note for note in found.notes)


def test_below_zero_by_hand() -> None:
    history = history_of({"price:CL": [20.0, 18.27, -37.63, 10.01, 12.0]})
    market = of_quotes(future("CL", -5.0), CL=-5.0)
    method = plain("historical-es", history, level="0.75")
    found = asked({"long": {"CL-FUT": 1000}, "short": {"CL-FUT": -1000}}, market, method)
    assert found == {"long": pytest.approx(55_900.0), "short": pytest.approx(47_640.0)}


def test_an_identical_hedge_nets_to_nothing_and_one_with_a_basis_to_the_basis() -> None:
    market = of_quotes(perpetual("A", 100.0), perpetual("B", 100.0), A=100.0, B=100.0)
    book = {"ann": {"A-PERP": 10, "B-PERP": -10}}
    same = asked(book, market, plain("historical-es", of_changes(A=TEN, B=TEN), level="0.8"))
    assert same["ann"] == pytest.approx(0.0, abs=1e-9)
    basis = [0.001, -0.002, 0.0, 0.003, -0.001, 0.002, 0.0, -0.003, 0.001, 0.0]
    apart = [x + e for x, e in zip(TEN, basis, strict=True)]
    found = asked(book, market, plain("historical-es", of_changes(A=TEN, B=apart), level="0.8"))
    of_basis = sorted(1000 * (math.exp(x + e) - math.exp(x)) for x, e in zip(TEN, basis, strict=True))
    assert found["ann"] == pytest.approx((of_basis[-1] + of_basis[-2]) / 2, rel=1e-9)


def two_assets(rho: float, n: int = 500) -> FactorHistories:
    """Two factors of equal volatility whose sample correlation about 0 is `rho`, exactly."""
    rng = np.random.default_rng(12)
    one, other = rng.standard_normal((2, n))
    other -= one * (one @ other) / (one @ one)
    other *= math.sqrt((one @ one) / (other @ other))
    return of_changes(A=0.02 * one, B=0.02 * (rho * one + math.sqrt(1 - rho * rho) * other))


@pytest.mark.parametrize("name", ["monte-carlo-es"])
def test_a_hedge_costs_less_the_higher_the_correlation(name: str) -> None:
    made = document(name)
    made["generation"] = made["generation"] | {"volatility": None}
    made["generation"]["simulation"] = made["generation"]["simulation"] | {
        "dependence": "gaussian",
        "correlation_decay": "1",
    }
    market = spots("A", "B")
    rhos = [-0.95, -0.6, -0.2, 0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 0.99]
    hedged, both = [], []
    for rho in rhos:
        method = plain(name, two_assets(rho), document=made, observations="500")
        found = asked({"hedged": {"A": 1, "B": -1}, "both": {"A": 1, "B": 1}}, market, method)
        hedged.append(found["hedged"])
        both.append(found["both"])
        # Linear in the changes but for their exponential: the normal shortfall at 99% is 2.665 deviations.
        assert found["hedged"] == pytest.approx(2.665 * 2 * math.sqrt(2 - 2 * rho), rel=0.08)
    assert all(a > b for a, b in pairwise(hedged))
    assert all(a < b for a, b in pairwise(both))


def test_value_at_risk_is_not_subadditive_and_says_so() -> None:
    quiet = [0.0] * 98
    history = of_changes(A=[-0.1, 0.0, *quiet], B=[0.0, -0.1, *quiet])
    book = {"one": {"A": 1}, "other": {"B": 1}, "both": {"A": 1, "B": 1}}
    var = plain("historical-es", history, measure="var")
    found = asked(book, spots("A", "B"), var)
    assert found["one"] == found["other"] == 0
    assert found["both"] == pytest.approx(loss(-0.1))
    assert not var.traits.subadditive
    es = plain("historical-es", history)
    found = asked(book, spots("A", "B"), es)
    assert found["both"] <= found["one"] + found["other"] + 1e-12
    assert es.traits.subadditive


# Refused


def test_a_level_needs_scenarios_beyond_it() -> None:
    changes = list(0.01 * np.random.default_rng(1).standard_normal(199))
    with pytest.raises(InputError, match=r"199 scenarios.*99\.5%.*needs 200"):
        asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", of_changes(A=changes), level="0.995"))
    enough = of_changes(A=[*changes, 0.0])
    assert asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", enough, level="0.995"))["ann"] > 0


def test_a_history_is_needed_and_long_enough_and_current() -> None:
    book, market = {"ann": {"A": 1}}, spots("A")
    with pytest.raises(InputError, match="no history of risk factors"):
        asked(book, market, methodology("historical-es"))
    with pytest.raises(InputError, match=r"10 daily changes.*1000 scenarios.*observations=N"):
        asked(book, market, methodology("historical-es", history=of_changes(A=TEN)))
    with pytest.raises(InputError, match=r"10 daily changes.*2500 scenarios.*long_run_observations=N"):
        asked(book, market, plain("historical-es", of_changes(A=TEN), anti_procyclicality="buffer", level="0.8"))
    old = FactorHistories.of(
        [factor_of("price:A")], int(AS_OF.timestamp()) - DAY * np.arange(40, 9, -1), np.full((31, 1), 100.0)
    )
    with pytest.raises(InputError, match=r"ends on .* 10 days before the market"):
        asked(book, market, plain("historical-es", old))
    with pytest.raises(InputError, match="no date of"):
        asked(
            book, market, plain("historical-es", of_changes(A=TEN), anti_procyclicality="stressed_weight", level="0.8")
        )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"level": "1"}, "measure.level"),
        ({"level": "0.4"}, "measure.level"),
        ({"measure": "median"}, "measure.tool"),
        ({"observations": "0"}, "generation.observations"),
        ({"observations": "2.5"}, "generation.observations"),
        ({"horizon_rule": "weekly"}, "generation.horizon_rule"),
        ({"offset_cap": "1.5"}, "offset_cap"),
        ({"anti_procyclicality": "prayer"}, "anti_procyclicality.tool"),
        ({"correlation": "0.5"}, "'correlation' is no parameter"),
    ],
)
def test_wrong_parameters_are_named(change: dict[str, str], said: str) -> None:
    with pytest.raises(ParameterError, match=said):
        methodology("filtered-es", **change)


@pytest.mark.parametrize("decay", ["0", "1"])
def test_a_decay_that_filters_nothing_is_refused_with_the_parameters(decay: str) -> None:
    made = document("monte-carlo-es")
    generation = made["generation"]
    made["generation"] = generation | {"volatility": generation["volatility"] | {"decay": decay}}
    with pytest.raises(ParameterError, match=r"volatility\.decay"):
        methodology("monte-carlo-es", made)
    made["generation"] = generation | {"simulation": generation["simulation"] | {"correlation_decay": "0"}}
    with pytest.raises(ParameterError, match="correlation_decay"):
        methodology("monte-carlo-es", made)


def test_all_wrong_parameters_are_named_at_once() -> None:
    made = document(
        "filtered-es", measure={"tool": "x", "level": "2"}, factors={"stale_days": "-1", "vol_charge": "nan"}
    )
    with pytest.raises(ParameterError) as caught:
        methodology("filtered-es", made)
    assert len(caught.value.problems) == 4


def test_the_explanation_says_which_day_and_which_measure() -> None:
    found = evaluated({"ann": {"A": 1}}, spots("A"), plain("historical-es", of_changes(A=TEN), level="0.8"))
    told = found.methodology.explain(found.requirements, 0)
    words = told.parts[0].parts[0].label
    assert words.startswith("expected shortfall at 80% in 10 scenarios; the worst is 'as on 2026-02-19'")


@pytest.mark.parametrize("name", ["filtered-es", "monte-carlo-es", "delta-gamma-parametric"])
def test_a_live_book_moves_on_though_a_factor_that_nobody_holds_is_unknown(name: str) -> None:
    walk = (100 * np.exp(np.cumsum(0.02 * np.random.default_rng(4).standard_normal(400)))).tolist()
    history = history_of({"price:A": walk, "price:B": walk[::-1], "price:NEW": [math.nan] * 390 + walk[:10]})
    method = plain(name, history, observations="300")
    rows = [{"account": "ann", "instrument": f"{u}-PERP", "quantity": "1"} for u in "AB"]
    before, after = (of_quotes(perpetual("A", at), perpetual("B", 100), A=at, B=100) for at in (100, 104))
    book = LiveBook(read_positions(rows), before, method)
    book.apply(MarketMove(market=after))
    whole = evaluate(read_positions(rows), after, method)
    assert book.requirements.requirement_initial.tolist() == whole.requirements.requirement_initial.tolist()


def test_more_scenarios_are_asked_for_by_the_option_that_makes_them() -> None:
    history = of_changes(A=TEN * 20)
    few = plain("monte-carlo-es", history, observations="100", level="0.9999999", draws="100")
    with pytest.raises(InputError, match=r"99\.99999%.*--option draws=N"):
        asked({"ann": {"A": 1}}, spots("A"), few)
    with pytest.raises(InputError, match=r"--option observations=N"):
        asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", history, level="0.9999999"))


def test_draws_are_no_option_of_what_draws_nothing() -> None:
    with pytest.raises(
        UnknownOptionError, match=r"'draws' is set, and historical-es-2026 has no 'generation\.simulation'"
    ):
        methodology("historical-es", draws="500")
    # In a comparison it goes to whom it concerns.
    filtered, simulated = read_methodologies(("filtered-es", "monte-carlo-es"), draws="500")
    assert filtered.info.digest == methodology("filtered-es").info.digest
    assert simulated.info.digest == methodology("monte-carlo-es", draws="500").info.digest


def test_hours_and_two_clocks_are_no_daily_history() -> None:
    """Half of all dates were observed, so that reading takes them; but a hedge of one price would net to nothing."""
    last, n = int(AS_OF.timestamp()), 400
    walk = 100 * np.exp(np.cumsum(0.02 * np.random.default_rng(4).standard_normal(n)))
    levels = np.full((2 * n, 2), np.nan)
    levels[0::2, 0] = levels[1::2, 1] = walk
    times = last - DAY * np.repeat(np.arange(n)[::-1], 2) - np.tile([3 * 3600, 0], n)
    two_clocks = FactorHistories.of([factor_of("A"), factor_of("B")], times, levels)
    hours = FactorHistories.of([factor_of("A")], last - 3600 * np.arange(n)[::-1], walk[:, None])
    for history in (two_clocks, hours):
        with pytest.raises(InputError, match="one level a day"):
            asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", history, observations="300"))
    # A local midnight falls on the same day twice when clocks are put forward.
    summer = np.where(np.arange(n) < n // 2, 0, 3600)
    moved = FactorHistories.of([factor_of("A")], last - 12 * 3600 - DAY * np.arange(n)[::-1] - summer, walk[:, None])
    assert asked({"ann": {"A": 1}}, spots("A"), plain("historical-es", moved, observations="300"))["ann"] > 0


def test_a_proxy_that_changes_otherwise_does_not_stand_in() -> None:
    """A difference of 55 dollars is no logarithm."""
    crude = [-37.63, *(60 + np.sin(np.arange(200)))]
    history = history_of({"price:CL": crude, "price:NEW": [math.nan] * 150 + [50.0] * 51})
    proxies = {"NEW": {"factor": "CL", "beta": "1"}, "OTHER": {"factor": "GONE", "beta": "1"}}
    made = document("historical-es", factors={"proxies": proxies})
    method = plain("historical-es", history, document=made)
    with pytest.raises(InputError, match=r"'price:CL' has absolute changes, and it relative ones"):
        asked({"ann": {"NEW": 1}}, spots("NEW"), method)
    with pytest.raises(InputError, match=r"'price:GONE' has no history"):
        asked({"ann": {"OTHER": 1}}, spots("OTHER"), method)
    alike = made | {"factors": made["factors"] | {"changes": {"NEW": "absolute"}}}
    found = asked({"ann": {"NEW": 1}}, spots(NEW=50.0), plain("historical-es", history, document=alike))
    assert 0 < found["ann"] < 50


def test_a_peg_that_broke_is_named_where_its_filter_leaves_all_numbers() -> None:
    rng = np.random.default_rng(6)
    changes = 1e-6 * rng.standard_normal(300)
    changes[200] = 0.5
    changes[201:] *= 3e4
    history = of_changes(PEG=changes.tolist(), A=(0.02 * rng.standard_normal(300)).tolist())
    method = plain("filtered-es", history, observations="200")
    assert asked({"ann": {"A": 1}}, spots("A"), method)["ann"] > 0
    with pytest.raises(InputError, match=r"no finite value of 'PEG' in 'rescaled from .*'") as caught:
        asked({"ann": {"A": 1}, "bob": {"PEG": -1}}, spots("A", "PEG"), method)
    assert [problem.instrument for problem in caught.value.problems] == ["PEG"]


@pytest.mark.parametrize("name", ["filtered-es", "delta-gamma-parametric"])
def test_resting_orders_are_charged_and_no_note_says_otherwise(name: str) -> None:
    walk = (0.02 * np.random.default_rng(4).standard_normal(400)).tolist()
    rows = [{"account": "ann", "instrument": "A", "quantity": "5", "open_buys": "0", "open_sells": "20"}]
    after = [{"account": "ann", "instrument": "A", "quantity": "-15"}]
    ordered, filled = (
        evaluate(read_positions(held), spots("A"), plain(name, of_changes(A=walk), observations="300"))
        for held in (rows, after)
    )
    assert ordered.requirements.requirement_initial.tolist() == filled.requirements.requirement_initial.tolist()
    assert not [note for note in ordered.notes if "orders" in note]
