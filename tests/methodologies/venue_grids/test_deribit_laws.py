"""What must hold of Deribit's portfolio margin whatever its figures are; the laws of every methodology stand above."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from datetime import timedelta
from fnmatch import fnmatchcase
from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossmargin.basics.arrays import read_only
from crossmargin.basics.errors import ParameterError, UnsupportedError
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.engine.events import MarketMove
from crossmargin.engine.live import LiveBook
from crossmargin.files.positions import read_positions
from crossmargin.instruments.deribit import parse_deribit
from crossmargin.instruments.terms import DatedFuture
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.parameter_files import shipped_sets
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.venue_grids.deribit import steps
from crossmargin.methodologies.venue_grids.deribit.method import deribit_pm
from crossmargin.methodologies.venue_grids.deribit.parameters import RollForm, load_parameters
from crossmargin.portfolio.book import Carried
from tests import books
from tests.methodologies.venue_grids.deribit_market import (
    INVERSE,
    LINEAR,
    PACKAGE,
    SHARING,
    UNDAMPED,
    document,
    market,
    run,
)

NAMES = (*INVERSE, *LINEAR)
held_of = st.dictionaries(
    st.sampled_from(NAMES),
    st.integers(-300, 300).filter(bool),
    min_size=1,
    max_size=9,
).map(lambda held: {name: quantity * (1 if name in books.OPTIONS else 500) for name, quantity in held.items()})
WALLETS: dict[str, Any] = {"S:PM": document(), "X:PM": document(cross=True), "a correlation set": SHARING}
each_wallet = pytest.mark.parametrize("wallet", WALLETS)


def kept(evaluation: Evaluation) -> Any:
    return evaluation.requirements.breakdown


def initial(held: dict[str, Any], balances: dict[str, Any] | None = None, **options: Any) -> float:
    return float(run(held, balances, **options).requirements.requirement_initial[0])


# -------------------------------------------------------------------------------------------------------- positions


@each_wallet
@settings(max_examples=15)
@given(held=held_of, seed=st.integers(0, 2**32))
def test_the_order_of_positions_changes_no_bit(wallet: str, held: dict[str, int], seed: int) -> None:
    shuffled = list(held.items())
    random.Random(seed).shuffle(shuffled)
    assert initial(dict(shuffled), parameters=WALLETS[wallet]) == initial(held, parameters=WALLETS[wallet])


@each_wallet
@settings(max_examples=15)
@given(held=held_of, extra=st.sampled_from(NAMES), quantity=st.integers(1, 1000))
def test_q_and_minus_q_leave_nothing(wallet: str, held: dict[str, int], extra: str, quantity: int) -> None:
    rows = [("ann", name, q) for name, q in [*held.items(), (extra, quantity), (extra, -quantity)]]
    book = read_positions([{"account": a, "instrument": name, "quantity": str(q)} for a, name, q in rows])
    r = evaluate(book, market(), methodology("deribit-pm", WALLETS[wallet])).requirements
    assert r.requirement_initial[0] == initial(held, parameters=WALLETS[wallet])


@each_wallet
@settings(max_examples=15)
@given(held=held_of)
def test_contributions_sum_and_explanations_recombine(wallet: str, held: dict[str, int]) -> None:
    evaluation = run(held, {"BTC": 2, "ETH": -1}, parameters=WALLETS[wallet])
    r = evaluation.requirements
    by_unit = np.bincount(r.contributions.unit, r.contributions.contribution, len(r.units.names))
    scale = float(np.abs(r.contributions.contribution).sum()) + 1.0
    assert by_unit == pytest.approx(r.units.requirement_initial, rel=1e-9, abs=1e-12 * scale)
    for level in ("initial", "maintenance"):
        for _, node in evaluation.methodology.explain(r, 0, level).walk():
            size = max(abs(node.value), *(abs(part.value) for part in node.parts), 0.0)
            assert abs(node.recombined() - node.value) <= 1e-11 * size, (node.label, node.rule)


@pytest.mark.parametrize("coins", [1, 20, 4_000])
def test_a_delta_neutral_calendar_is_never_free(coins: int) -> None:
    near, far = 100_700, 102_300
    evaluation = run({"BTC-27MAR26": coins * near // 10, "BTC-26JUN26": -coins * far // 10})
    b = kept(evaluation).measured.detail
    assert abs(b.delta.others[0]) < 1e-9 * coins
    # Both legs' bases move: the near one's by the least move, the far one's by 7.5% a year.
    far_leg = parse_deribit("BTC-26JUN26")
    assert isinstance(far_leg, DatedFuture)
    years = (far_leg.expiry - books.AS_OF) / timedelta(days=365)
    expected = coins * (0.01 + max(0.01, 0.075 * years))
    assert b.roll_shock[0] == pytest.approx(expected, rel=1e-12)
    assert evaluation.requirements.requirement_initial[0] >= expected * 100_000 * (1 - 1e-12)


def test_a_future_in_the_extended_table_is_at_the_end_of_the_range() -> None:
    evaluation = run({"BTC-PERPETUAL": 10_005}, parameters=document(currency={"extended_dampener": "0"}))
    contracts = kept(evaluation).priced
    pnl = 10_005 * contracts.unit_pnl[0]
    assert pnl[contracts.extended] == pytest.approx([1 - 1 / 0.84] * 2 + [1 - 1 / 1.16] * 6, rel=1e-12)


def test_the_last_half_hour_of_a_contract_fades() -> None:
    whole = market()
    late = replace(whole, as_of=books.AS_OF.replace(day=20, hour=7, minute=45))
    name = "BTC-20FEB26-115000-C"
    there = kept(run({name: -1}, where=late)).priced
    before = kept(run({name: -1}, where=late, parameters=document(settlement_window_minutes="0"))).priced
    assert there.unit_pnl == pytest.approx(before.unit_pnl / 2, rel=1e-12)
    assert there.coins == pytest.approx(before.coins / 2, rel=1e-12)


# --------------------------------------------------------------------------------------------- offset, cap, dampener


SHARES = ("0", "0.3", "0.6", "1")


def _sharing(share: str, cap: str = "1000000000") -> dict[str, Any]:
    return document(
        currency={
            "correlation_set": True,
            "pnl_offset": share,
            "max_offsetable_pnl": cap,
            "extended_dampener": "0",
        },
        cross=True,
    )


@settings(max_examples=20)
@given(held=held_of)
def test_a_larger_share_or_cap_never_raises(held: dict[str, int]) -> None:
    by_share = [initial(held, parameters=_sharing(share)) for share in SHARES]
    by_cap = [initial(held, parameters=_sharing("0.6", cap)) for cap in ("0", "10000", "1000000")]
    tolerance = 1e-12 * float(run(held).requirements.requirement_isolated[0])
    for series in (by_share, by_cap):
        for less, more in pairwise(series):
            assert more <= less + tolerance
    assert by_cap[0] == pytest.approx(by_share[0], rel=1e-12, abs=tolerance)


def test_share_and_cap_do_change_a_hedge_across_underlyings() -> None:
    held = {"BTC-PERPETUAL": 100_000, "ETH-PERPETUAL": -800_000}
    assert initial(held, parameters=_sharing("1")) < initial(held, parameters=_sharing("0.5"))
    assert initial(held, parameters=_sharing("0.5")) < initial(held, parameters=_sharing("0.5", "1000"))
    assert initial(held, parameters=_sharing("0.5", "1000")) < initial(held, parameters=_sharing("0"))


@settings(max_examples=20)
@given(held=held_of)
def test_at_share_0_a_shared_scenario_never_costs_more_than_each_its_own(held: dict[str, int]) -> None:
    own = document(currency={"extended_dampener": "0"}, cross=True)
    tolerance = 1e-12 * float(run(held).requirements.requirement_isolated[0])
    assert initial(held, parameters=_sharing("0")) <= initial(held, parameters=own) + tolerance


@settings(max_examples=20)
@given(held=held_of)
def test_the_recognised_gain_never_exceeds_its_cap(held: dict[str, int]) -> None:
    found = kept(run(held, parameters=SHARING)).measured.detail.worst_case
    assert (found.pair_offset <= 40_000).all()
    assert (found.pair_counted <= np.maximum(found.pair_pnl, 0.0) + 1e-9).all()
    lost = found.pair_pnl <= 0
    assert (found.pair_offset[lost] == found.pair_pnl[lost]).all()


@pytest.mark.parametrize(
    ("pnl", "counted"),
    [(100.0, 30.0), (10.0, 0.0), (1e6, 190.0), (-100.0, -70.0), (-20.0, 0.0), (0.0, 0.0)],
)
def test_offset_comes_before_the_dampener(pnl: float, counted: float) -> None:
    one = np.ones((1, 1))
    found = steps.aggregated(pnl * one, np.array([0.6]), 220.0 * one, 30.0 * one)
    assert found[0, 0] == pytest.approx(counted)


# -------------------------------------------------------------------------------------------------------- two shocks


@pytest.mark.parametrize(
    ("bought", "others", "shocked"),
    [(0.0, -5.0, -5.0), (3.0, -5.0, -2.0), (9.0, -5.0, 0.0), (-3.0, -5.0, -5.0), (7.0, 0.0, 0.0), (-2.0, 5.0, 3.0),
     (2.0, 5.0, 5.0), (-7.0, 5.0, 0.0), (-7.0, 0.0, 0.0)],
)  # fmt: skip
def test_bought_options_only_ever_reduce_the_delta(bought: float, others: float, shocked: float) -> None:
    assert steps.delta_for_shock(np.array([bought]), np.array([others]))[0] == shocked


def test_delta_shock_begins_at_the_threshold_and_ends_at_the_largest_move() -> None:
    coins = np.array([0.0, 200.0, 201.0, 2_199.0, 2_200.0, 50_000.0])
    rate = steps.delta_shock_rate(coins, np.array(5e-5), np.array(200.0), np.array(0.1))
    assert rate == pytest.approx([0.0, 0.0, 5e-5, 0.09995, 0.1, 0.1], rel=1e-12)
    small, large = (kept(run({"BTC-PERPETUAL": -n * 10_005})).measured.detail for n in (199, 700))
    assert small.delta_shock[0] == 0.0
    assert large.delta_shock[0] == pytest.approx(700 * 5e-5 * 500, rel=1e-12)  # 700 coins, 500 of them above 20m


@pytest.mark.parametrize(
    ("years", "form", "move"),
    [(0.0, "linear", 0.01), (0.1, "linear", 0.01), (1.0, "linear", 0.075), (1.0, "exp", 0.0778841508846315)],
)
def test_the_form_of_the_roll_move(years: float, form: str, move: float) -> None:
    assert steps.roll_move(years, 0.075, 0.01, RollForm(form)) == pytest.approx(move, rel=1e-12)


def test_the_form_of_the_roll_can_be_given_by_keyword() -> None:
    held = {"BTC-26JUN26": 10_000}
    assert initial(held, roll_form="exp") > initial(held, roll_form="linear") == initial(held)


# ------------------------------------------------------------------------------------------------ wallets and orders


def test_each_pair_is_a_unit_and_under_cross_each_underlying() -> None:
    held = {"BTC-PERPETUAL": 10_000, "BTC_USDC-PERPETUAL": -1_000, "ETH-PERPETUAL": 3_000}
    apart, cross = run(held).requirements, run(held, cross=True).requirements
    assert apart.units.names == ("BTC", "BTC-USDC", "ETH")
    assert cross.units.names == ("BTC", "ETH")
    assert cross.units.requirement_initial[0] < apart.units.requirement_initial[:2].sum() / 10


def test_a_coin_risks_nothing_in_its_own_wallet_and_hedges_under_cross() -> None:
    alone = run({"ETH-PERPETUAL": 1}, {"BTC": 3}).requirements
    assert alone.units.names == ("ETH",)
    assert run({"BTC": 3}).requirements.requirement_initial.tolist() == [0.0]
    covered = {"BTC-27MAR26-100000-C": -3}
    coin = initial({"BTC": 3}, cross=True)
    assert coin == pytest.approx(3 * 100_000 * 0.16, rel=1e-12)  # it falls with its price
    assert initial(covered, {"BTC": 3}, cross=True) < min(coin, initial(covered, cross=True))


def test_a_balance_is_what_spot_is_also_where_the_market_lists_none() -> None:
    whole = market()
    without = whole.subset(name for name in whole.instruments.names if name not in ("BTC", "ETH"))
    held = {"ETH-PERPETUAL": 1_000, "BTC-27MAR26-100000-C": -3}
    spot = run(held | {"BTC": 2}, parameters=SHARING).requirements
    balance = run(held, {"BTC": 2}, where=without, parameters=SHARING).requirements
    assert balance.requirement_initial.tolist() == spot.requirement_initial.tolist()


def test_a_haircut_is_charged_at_initial_level_and_never_on_a_debt() -> None:
    cut = document(currency={"haircut": "0.1"}, cross=True)
    for balances, expected in (({"BTC": 2}, 20_000.0), ({"BTC": -2}, 0.0), ({"USDC": 1_000}, 99.95)):
        with_haircut = run({"ETH-PERPETUAL": 1}, balances, parameters=cut).requirements
        without = run({"ETH-PERPETUAL": 1}, balances, cross=True).requirements
        assert with_haircut.requirement_initial[0] - without.requirement_initial[0] == pytest.approx(expected)
        assert with_haircut.requirement_maintenance[0] == without.requirement_maintenance[0]


def test_a_contingency_that_is_given_is_charged_once_an_account() -> None:
    given_one = document(correlation_contingency="1234")
    held = {"BTC-PERPETUAL": 10_000, "ETH-PERPETUAL": 3_000}
    assert initial(held, parameters=given_one) == pytest.approx(initial(held) + 1234, rel=1e-12)


def test_orders_that_rest_count_unit_by_unit_and_at_initial_level_alone() -> None:
    held = {"BTC-PERPETUAL": -10_000, "ETH-PERPETUAL": 3_000}
    rows = [{"account": "ann", "instrument": name, "quantity": str(q)} for name, q in held.items()]
    book, method = read_positions(rows), methodology("deribit-pm")
    two, zero = np.arange(2), np.zeros(2, dtype=np.int64)
    found = {}
    for name, buys, sells in (
        ("none", (0, 0), (0, 0)),
        ("closing", (5_000, 0), (0, 1_000)),
        ("both grow", (0, 9_000), (4_000, 0)),
    ):
        carried = Carried(
            instruments=("BTC-PERPETUAL", "ETH-PERPETUAL"),
            account=read_only(zero),
            instrument=read_only(two),
            buys=read_only(np.array(buys) * 10**8),
            sells=read_only(np.array(sells) * 10**8),
            unrealised=read_only(zero),
        )
        r = evaluate(replace(book, carried=carried), market(), method).requirements
        found[name] = r
        tree = method.explain(r, 0)
        assert tree.recombined() == pytest.approx(tree.value, rel=1e-12)
        assert r.requirement_maintenance[0] == pytest.approx(0.8 * initial(held), rel=1e-12)
    assert found["closing"].requirement_initial[0] == found["none"].requirement_initial[0]
    # One's sells and another's buys, each the worse side of its own wallet.
    expected = initial({"BTC-PERPETUAL": -14_000, "ETH-PERPETUAL": 12_000})
    assert found["both grow"].requirement_initial[0] == pytest.approx(expected, rel=1e-12)
    orders = found["both grow"].account_charges["open_orders"]
    assert orders[0] == pytest.approx(expected - initial(held), rel=1e-12)


def test_pairs_of_a_gross_account_share_no_scenario() -> None:
    rows = [
        {"account": "cid", "instrument": name, "quantity": "10", "account_type": "gross"}
        for name in ("BTC-27MAR26-100000-C", "ETH-27MAR26-3100-P")
    ]
    method = methodology("deribit-pm", _sharing("1"))
    r = evaluate(read_positions(rows), market(), method).requirements
    alone = [initial({row["instrument"]: 10}, parameters=_sharing("1")) for row in rows]
    assert r.requirement_initial[0] == pytest.approx(sum(alone), rel=1e-12)
    tree = method.explain(r, 0)
    assert any("each its own" in node.label for _, node in tree.walk())
    net = initial({row["instrument"]: 10 for row in rows}, parameters=_sharing("1"))
    assert net < sum(alone)


# ------------------------------------------------------------------------------------------------------ live, traits


@pytest.mark.parametrize("wallet", WALLETS)
def test_what_is_priced_anew_is_what_would_be_priced_at_once(wallet: str) -> None:
    method, policy = deribit_pm(WALLETS[wallet]), MissingPolicy()
    old, new = market(), replace(market(), index=books.INDEX | {"BTC": 90_000.0})
    names = tuple(sorted({*NAMES, *(["BTC", "ETH"] if method.parameters.cross else [])}))
    moved = tuple(name for name in names if name.startswith("BTC"))
    joined = method.repriced(method.price(names, old, policy), method.price(moved, new, policy))
    at_once = method.price(names, new, policy)
    for name in at_once.__dataclass_fields__:
        one, other = getattr(joined, name), getattr(at_once, name)
        if isinstance(one, np.ndarray):
            assert one.tolist() == other.tolist(), name
        elif name == "fills":
            assert set(one) == set(other)
        elif name != "swept":
            assert one == other, name
    assert joined.swept.flat.tolist() == at_once.swept.flat.tolist()


def test_a_live_book_follows_the_price_of_a_coin() -> None:
    rows = [{"account": "ann", "instrument": "BTC-27MAR26-100000-C", "quantity": "-3"}]
    cash = [{"account": "ann", "asset": "BTC", "amount": "2"}]
    method = deribit_pm(cross=True)
    newer = replace(market(), index=books.INDEX | {"BTC": 90_000.0}, prices={**market().prices, "BTC": 90_000.0})
    live = LiveBook(read_positions(rows, cash), market(), method)
    live.apply(MarketMove(market=newer))
    fresh = evaluate(read_positions(rows, cash), newer, method).requirements
    assert live.requirements.requirement_initial.tolist() == fresh.requirement_initial.tolist()


def test_traits_say_what_the_parameters_leave() -> None:
    assert methodology("deribit-pm").traits.promised() == ("euler",)
    assert methodology("deribit-pm", UNDAMPED).traits.promised() == ("convex", "homogeneous", "subadditive", "euler")
    undamped = document(currency={"extended_dampener": "0"}, pair={"m_inc": "0"})
    assert methodology("deribit-pm", undamped).traits.homogeneous
    assert not methodology("deribit-pm", document(pair={"m_inc": "0"})).traits.homogeneous


def test_a_dampener_and_a_delta_shock_do_break_the_laws() -> None:
    """So that the traits are not modest for nothing."""
    far = {"BTC-20FEB26-160000-C": -10}
    assert initial({"BTC-20FEB26-160000-C": -100}) > 10 * initial(far) * (1 + 1e-6)
    assert initial({"BTC-PERPETUAL": -14_000_000}) > 2 * initial({"BTC-PERPETUAL": -7_000_000}) * (1 + 1e-6)


# --------------------------------------------------------------------------------------------- refusals, parameters


def test_what_has_no_parameters_is_refused_by_name_all_at_once() -> None:
    sol = parse_deribit("SOL_USDC-27MAR26-150-C")
    where = market()
    quotes = [Quote(instrument=sol, vol=0.8, forward=150.0)]
    other = Market.from_quotes(
        [*quotes, Quote(instrument=parse_deribit("ETH-PERPETUAL"), mark=3_100.0)],
        as_of=where.as_of,
        source="t",
        index={"SOL": 150.0, "ETH": 3_100.0},
        prices={"USDC": 1.0},
    )
    rows = [{"account": "ann", "instrument": name, "quantity": "1"} for name in (sol.name, "ETH-PERPETUAL")]
    with pytest.raises(UnsupportedError, match="no parameters for underlying 'SOL'") as refused:
        evaluate(read_positions(rows), other, methodology("deribit-pm", "deribit-pm-2024-btc"))
    assert {name for problem in refused.value.problems for name in problem.instruments} == {sol.name, "ETH-PERPETUAL"}
    own = document()
    own["currency_pair"]["sol_usdc"] = own["currency_pair"]["eth_usd"]
    r = evaluate(read_positions(rows), other, methodology("deribit-pm", own)).requirements
    assert r.units.names == ("ETH", "SOL-USDC")
    del own["currency"]["eth"]
    with pytest.raises(UnsupportedError, match="no parameters for currency 'ETH'"):
        evaluate(read_positions(rows), other, methodology("deribit-pm", own))


def test_a_market_in_another_currency_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="a market in EUR"):
        deribit_pm().price(("BTC-PERPETUAL",), replace(market(), currency="EUR"), MissingPolicy())


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"currency": {"equity_side_impact": "left"}}, "equity_side_impact.*both or none"),
        ({"currency": {"pnl_offset": "1.5"}}, "pnl_offset.*A number from 0 to 1"),
        ({"currency": {"correlation_set": "yes"}}, "correlation_set.*true or false"),
        ({"currency": {"mystery": 1}}, "mystery.*no parameter of this family"),
        ({"pair": {"price_range": "1.2"}}, "price_range"),
        ({"roll_form": "square"}, "roll_form.*linear, exp"),
        ({"cross": "perhaps"}, "cross.*true"),
        ({"extended_moves": ["0.1"]}, "count more than whole"),
        ({"extended_moves": ["0"]}, "holds 0"),
    ],
)
def test_a_wrong_document_is_refused(change: dict[str, Any], found: str) -> None:
    with pytest.raises(ParameterError, match=found):
        load_parameters(document(**change))


def test_everything_wrong_is_said_at_once() -> None:
    wrong = document(currency={"haircut": "-1"}, pair={"m_inc": "x"}, roll_form="")
    wrong["general"] = wrong["general"] | {"vol_scenarios_count": "5", "buckets_count": "4.5"}
    wrong["currency_pair"]["BTC_USD"] = wrong["currency_pair"]["btc_usd"]
    with pytest.raises(ParameterError) as refused:
        load_parameters(wrong)
    assert len(refused.value.problems) == 3 + 3 + 1 + 2 + 1  # haircuts, m_incs (one twice), form, counts, spelling


def test_only_rules_can_be_overridden() -> None:
    with pytest.raises(ParameterError, match="'gain_share' is no parameter that can be overridden"):
        deribit_pm(gain_share="0.5")
    assert deribit_pm(cross="true").parameters.cross
    assert deribit_pm(cross=True).info.digest != deribit_pm().info.digest


@pytest.mark.parametrize("name", shipped_sets(PACKAGE))
def test_every_figure_that_ships_states_where_it_is_from(name: str) -> None:
    shipped = json.loads(resources.files(PACKAGE).joinpath(f"{name}.json").read_text())
    figures = [f"{top}.{key}" for top in ("general", "rules") for key in shipped[top]]
    for top in ("currency", "currency_pair"):
        figures += [f"{top}.{one}.{key}" for one, own in shipped[top].items() for key in own]
    patterns = [pattern for source in shipped["sources"] for pattern in source["parameters"]]
    for figure in figures:
        assert sum(fnmatchcase(figure, pattern) for pattern in patterns) == 1, figure
    assert all(source["status"] and source["date"] for source in shipped["sources"])
    assert load_parameters(name).info.name == name
