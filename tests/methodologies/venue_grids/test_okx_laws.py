"""What must hold of OKX portfolio margin whatever its figures are; the laws of every methodology stand above."""

from __future__ import annotations

import random
from dataclasses import replace
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
from crossmargin.market.policy import MissingPolicy
from crossmargin.methodologies.registry import methodology
from crossmargin.methodologies.venue_grids.okx import steps
from crossmargin.methodologies.venue_grids.okx.method import okx_pm
from crossmargin.methodologies.venue_grids.okx.parameters import PAIRS, Tiers, TierTable, load_parameters
from crossmargin.portfolio.book import Carried
from tests.methodologies.venue_grids.okx_market import COMPLETE, market, rows, run

NAMES = market().instruments.names
books = st.dictionaries(st.sampled_from(NAMES), st.integers(-300, 300).filter(bool), min_size=1, max_size=9)


def detail(evaluation: Evaluation) -> Any:
    return evaluation.requirements.breakdown.measured.detail  # type: ignore[attr-defined]


def initial(positions: dict[str, Any], balances: dict[str, Any] | None = None, **options: Any) -> float:
    return float(run(positions, balances, **options).requirements.requirement_initial[0])


# -------------------------------------------------------------------------------------------------------- positions


@settings(max_examples=25)
@given(held=books, seed=st.integers(0, 2**32))
def test_the_order_of_positions_changes_no_bit(held: dict[str, int], seed: int) -> None:
    shuffled = list(held.items())
    random.Random(seed).shuffle(shuffled)
    assert initial(dict(shuffled)) == initial(held)


@settings(max_examples=25)
@given(held=books, extra=st.sampled_from(NAMES), quantity=st.integers(1, 1000))
def test_q_and_minus_q_leave_nothing(held: dict[str, int], extra: str, quantity: int) -> None:
    there_and_back = [*rows(held), *rows({extra: quantity}), *rows({extra: -quantity})]
    book = read_positions(there_and_back)
    r = evaluate(book, market(), methodology("okx-pm", COMPLETE)).requirements
    assert r.requirement_initial[0] == initial(held)


@settings(max_examples=25)
@given(held=books)
def test_contributions_sum_to_the_units(held: dict[str, int]) -> None:
    r = run(held).requirements
    by_unit = np.bincount(r.contributions.unit, r.contributions.contribution, len(r.units.names))
    scale = float(np.abs(r.contributions.contribution).sum()) + 1.0
    assert by_unit == pytest.approx(r.units.requirement_initial, rel=1e-9, abs=1e-12 * scale)


@pytest.mark.parametrize("contracts", [1, 37, 5_000])
def test_a_delta_neutral_calendar_is_never_free(contracts: int) -> None:
    near, far = 97_100, 97_500
    evaluation = run({"BTC-USDT-SWAP": contracts * far, "BTC-USDT-250131": -contracts * near})
    found = detail(evaluation)
    assert abs(found.cash_delta[0]).max() < 1e-3 * contracts
    # Both legs pay at least the floor.
    assert found.mr4[0] >= 0.002 * 2 * contracts * 0.01 * near * far * 0.9997 * (1 - 1e-12)
    assert found.maintenance[0] >= found.mr4[0]


def test_long_vega_of_one_expiry_does_not_free_short_vega_of_another() -> None:
    near, far = {"BTC-USD-250131-95000-C": -100}, {"BTC-USD-250627-95000-C": 100}
    apart = detail(run(near)).mr3[0] + detail(run(far)).mr3[0]
    assert detail(run(near | far)).mr3[0] == pytest.approx(apart, rel=1e-12)


def test_contracts_in_every_currency_and_spot_are_one_unit() -> None:
    held = {"BTC-USDT-SWAP": 10, "BTC-USDC-SWAP": 10, "BTC-USD-SWAP": 10, "BTC-USD-250131-95000-C": 1}
    r = run(held, {"BTC": 1, "LTC": 2}).requirements
    assert r.units.names == ("BTC", "LTC")
    # Spot hedges the shocks, and has neither basis nor minimum charge.
    short = {"BTC-USDT-SWAP": -100}
    hedged, bare = detail(run(short, {"BTC": 1})), detail(run(short))
    assert hedged.mr1[0] < 0.01 * bare.mr1[0]
    assert (hedged.mr4[0], hedged.mr7[0]) == (bare.mr4[0], bare.mr7[0])


def test_a_contract_margined_in_coin_is_the_linear_one_of_the_same_dollars() -> None:
    coins = 100 * 1_000 / 97_050.0  # 1,000 contracts of 100 dollars
    found = detail(run({"BTC-USD-SWAP": 1_000}))
    assert found.mr1[0] == pytest.approx(coins * 97_040.0 * 0.12, rel=1e-12)
    assert found.cash_delta[0].tolist() == [0.0, 0.0, pytest.approx(100_000, rel=1e-12)]


def test_orders_that_rest_never_lower_the_requirement() -> None:
    book = read_positions(rows({"BTC-USDT-SWAP": -100}))
    one = read_only(np.zeros(1, dtype=np.int64))
    found = {}
    for name, buys, sells in (("none", 0, 0), ("buys", 250, 0), ("sells", 0, 50), ("closing", 50, 0)):
        carried = Carried(
            instruments=("BTC-USDT-SWAP",),
            account=one,
            instrument=one,
            buys=read_only(np.array([buys * 10**8])),
            sells=read_only(np.array([sells * 10**8])),
            unrealised=one,
        )
        r = evaluate(replace(book, carried=carried), market(), methodology("okx-pm", COMPLETE)).requirements
        found[name] = float(r.requirement_initial[0])
        tree = methodology("okx-pm", COMPLETE).explain(r, 0)
        assert tree.recombined() == pytest.approx(tree.value, rel=1e-12)
    assert found["closing"] == found["none"] == pytest.approx(initial({"BTC-USDT-SWAP": -100}))
    assert found["buys"] == pytest.approx(initial({"BTC-USDT-SWAP": 150}))
    assert found["sells"] == pytest.approx(initial({"BTC-USDT-SWAP": -150}))


def test_what_is_priced_anew_is_what_would_be_priced_at_once() -> None:
    """A newer market of the same moment: BTC and USDT have moved, LTC in coin terms has not."""
    method, policy = okx_pm(COMPLETE), MissingPolicy()
    old, new = market(0.9997), market(0.97)
    whole = method.price(NAMES, old, policy)
    moved = tuple(name for name in NAMES if name.startswith("BTC"))
    joined, at_once = method.repriced(whole, method.price(moved, new, policy)), method.price(NAMES, new, policy)
    rows_of = np.array([NAMES.index(name) for name in moved])
    others = np.setdiff1d(np.arange(len(NAMES)), rows_of)
    for name in ("shocked", "decay", "extreme", "delta", "vega", "rate_gain", "unit_charge", "option_value"):
        assert getattr(joined, name)[rows_of].tobytes() == getattr(at_once, name)[rows_of].tobytes(), name
        assert getattr(joined, name)[others].tobytes() == getattr(whole, name)[others].tobytes(), name
    assert joined.pair_index.tolist() == at_once.pair_index.tolist()
    assert repr(joined.debt_price) == repr(at_once.debt_price)  # NaN where the market has no price
    assert joined.debt_price["USDT"] == 0.97


def test_a_live_book_follows_the_price_of_what_is_owed() -> None:
    method = okx_pm(COMPLETE)
    cash = [{"account": "ann", "asset": "USDT", "amount": "-50000"}]
    book = read_positions(rows({"BTC-USDC-SWAP": 3}), cash)
    live = LiveBook(book, market(0.9997), method)
    live.apply(MarketMove(market=market(0.97)))
    at_once = evaluate(book, market(0.97), method).requirements
    assert live.requirements.requirement_initial.tolist() == at_once.requirement_initial.tolist()


# ------------------------------------------------------------------------------------------------------ stablecoins


@pytest.mark.parametrize("fallen", ["USDT", "USDC"])
def test_a_stablecoin_hedge_is_charged_more_the_further_the_peg_falls(fallen: str) -> None:
    charges = []
    for price in (1.0, 0.996, 0.99, 0.97):
        where = market(**{"usdt": 1.0, "usdc": 1.0} | {fallen.lower(): price})
        found = detail(run({"BTC-USDT-SWAP": 1_000, "BTC-USDC-SWAP": -1_000}, where=where))
        hedged = min(abs(found.cash_delta[0, 0]), abs(found.cash_delta[0, 1]))
        assert found.hedged[0].tolist() == [0.0, pytest.approx(hedged), 0.0]
        charges.append(float(found.mr9[0] / hedged))
    assert charges[0] > 0
    assert all(less <= more for less, more in pairwise(charges))
    assert charges[0] < charges[2] < charges[3]


def test_pairs_are_matched_in_order_and_what_is_matched_is_gone() -> None:
    net = np.array([[10.0, -4.0, -8.0], [10.0, -4.0, -3.0], [5.0, 7.0, -20.0], [1.0, 2.0, 3.0], [0.0, -6.0, 2.0]])
    assert PAIRS == (("USDT", "USD"), ("USDT", "USDC"), ("USDC", "USD"))
    assert steps.hedged_sizes(net).tolist() == [
        [8.0, 2.0, 0.0],
        [3.0, 4.0, 0.0],
        [5.0, 0.0, 7.0],
        [0.0, 0.0, 0.0],
        [0.0, 0.0, 2.0],
    ]


# ------------------------------------------------------------------------------------------------------------ tiers


TIERS = load_parameters(None).charge_tiers.of("BTC")


@given(amount=st.floats(0, 1e8), more=st.floats(0, 1e6))
def test_marginal_tiers_rise_and_never_jump(amount: float, more: float) -> None:
    assert TIERS is not None
    table, row = TierTable.of((TIERS,)), np.zeros(2, dtype=np.int64)
    amounts = np.array([amount, amount + more])
    inside = steps.tier_amounts(amounts, table, row)
    low, high = steps.tier_charge(inside, table.rates[row]).tolist()
    rounding = 1e-12 * (high + 1)
    assert inside.sum(axis=1) == pytest.approx(amounts, rel=1e-12)
    assert low - rounding <= high <= low + 12 * (amounts[1] - amounts[0]) + rounding


def test_tiers_at_their_ends() -> None:
    assert TIERS is not None
    table = TierTable.of((TIERS, Tiers(starts=(0.0,), rates=(1.0,))))
    amounts = np.array([0.0, 250_000, 500_000, 1e6, 2e6, 3e6, 4e6, 5e6])
    row = np.zeros(len(amounts), dtype=np.int64)
    charge = steps.tier_charge(steps.tier_amounts(amounts, table, row), table.rates[row])
    assert charge.tolist() == [0, 250_000, 750_000, 2.75e6, 8.75e6, 16.75e6, 26.75e6, 38.75e6]
    # A row of fewer tiers is not touched by those that the other has.
    assert steps.tier_charge(steps.tier_amounts(amounts, table, row + 1), table.rates[row + 1]).tolist() == list(
        amounts
    )


# -------------------------------------------------------------------------------------------------------- borrowing


@settings(max_examples=20)
@given(held=books, usdt=st.integers(-(10**6), 10**6), usdc=st.integers(-(10**6), 10**6))
def test_borrowing_never_lowers_the_requirement(held: dict[str, int], usdt: int, usdc: int) -> None:
    r = run(held, {"USDT": usdt, "USDC": usdc}).requirements
    owed = 0.9997 * max(0, -usdt) + 1.0001 * max(0, -usdc)
    bare = run(held).requirements
    for level, rate in (("requirement_initial", 0.1), ("requirement_maintenance", 0.02)):
        assert getattr(r, level)[0] >= getattr(bare, level)[0]
        assert getattr(r, level)[0] == pytest.approx(getattr(bare, level)[0] + rate * owed, rel=1e-12)


def test_borrowing_is_counted_once_an_account() -> None:
    held = {"BTC-USDT-SWAP": 1, "LTC-USDT-SWAP": 1}
    assert initial(held, {"USDT": -1000}) - initial(held) == pytest.approx(1000 * 0.9997 * 0.1, rel=1e-12)
    # Debts of members of a netting set, netted against what another of them has.
    positions = [*rows(held, "ann", netting_set="s"), *rows(held, "bob", netting_set="s")]
    cash = [{"account": who, "asset": "USDT", "amount": a} for who, a in (("ann", "-1000"), ("bob", "400"))]
    r = evaluate(read_positions(positions, cash), market(), methodology("okx-pm", COMPLETE)).requirements
    assert r.account_charges["mr8_borrowing"].tolist() == [pytest.approx(600 * 0.9997 * 0.1, rel=1e-12)]


# --------------------------------------------------------------------------------------------------------- refusals


def test_what_ships_margins_futures_and_perpetuals_and_no_option() -> None:
    assert initial({"BTC-USDT-SWAP": 5, "BTC-USDT-250131": -5, "LTC-USDT-SWAP": 1}, parameters="okx-pm-2025") > 0
    with pytest.raises(
        UnsupportedError,
        match=r"options on BTC: parameters volatility_shift, vega_shift, rate_shifts, "
        r"minimum_charge\.option_rates\.BTC of 'okx-pm-2025' are not given",
    ) as error:
        run({"BTC-USD-250131-95000-C": 1, "BTC-USDT-SWAP": 5}, parameters="okx-pm-2025")
    (problem,) = error.value.problems
    assert problem.instruments == ("BTC-USD-250131-95000-C",)
    assert '"extends": "okx-pm-2025"' in problem.needed
    with pytest.raises(
        UnsupportedError, match=r"parameters rate_shifts, minimum_charge\.option_rates\.BTC of 'okx-pm-u"
    ):
        run({"BTC-USD-250131-95000-C": 1}, parameters="okx-pm-unverified-2023")


def test_a_coin_without_figures_a_stablecoin_hedge_and_a_debt_are_refused_by_the_name_of_what_is_missing() -> None:
    without: dict[str, Any] = {"basis": {"floors": {"BTC": None}}, "minimum_charge": {"rates": {"BTC": None}}}
    with pytest.raises(UnsupportedError, match=r"on BTC: parameters basis\.floors\.BTC, minimum_charge\.rates\.BTC of"):
        run({"BTC-USDT-SWAP": 1}, parameters=COMPLETE | without)
    with pytest.raises(UnsupportedError, match=r"on BTC in one stablecoin against others in another: parameter stable"):
        run({"BTC-USDT-SWAP": 1, "BTC-USDC-SWAP": -1}, parameters="okx-pm-2025")
    assert initial({"BTC-USDT-SWAP": 1, "BTC-USDC-SWAP": 1}, parameters="okx-pm-2025") > 0
    with pytest.raises(UnsupportedError, match=r"a debt in USDC: parameter borrowing\.USDC of 'okx-pm-2025' is not"):
        run({"BTC-USDT-SWAP": 1}, {"USDC": -1}, parameters="okx-pm-2025")
    assert initial({"BTC-USDT-SWAP": 1}, {"USDC": 1}, parameters="okx-pm-2025") > 0


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"initial_factor": "0.9"}, "column 'okx-pm-test.initial_factor': is '0.9'"),
        ({"vega_shift": {"days": ["0", "30", "60"], "relative": ["1"]}}, "has 1 values for 3 days"),
        ({"spot_shock": {"others": {"moves": ["0.1"]}}}, "coins have different numbers of moves"),
        ({"extreme_move": {"others": {"move": "1.5"}}}, "is '1.5'"),
        ({"minimum_charge": {"tiers": {"others": {"tiers": [["0", "2"], ["10", "1"]]}}}}, "has a rate that falls"),
        ({"minimum_charge": {"tiers": {"others": {"tiers": [["5", "2"]]}}}}, "does not start at 0"),
        ({"borrowing": {"USDT": {"initial": "0.01"}}}, "has maintenance above initial"),
        ({"basis": {"floor": {}}}, "is no parameter of this family"),
        (
            {
                "stablecoin_ladders": {
                    "USDT-USD": [
                        {"index_from": "0.9", "tiers": [["0", "0.02"]]},
                        {"index_from": "0", "tiers": [["0", "0.01"]]},
                    ]
                }
            },
            "has a rate that falls with the index",
        ),
        ({"stablecoin_ladders": {"USDC-USD": []}}, "does not end at an index of 0"),
        ({"extends": "no-such-set"}, "no parameter set and no file called 'no-such-set'"),
    ],
)
def test_a_wrong_document_is_refused(change: dict[str, Any], found: str) -> None:
    def merged(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
        return one | {
            key: merged(one.get(key, {}), value)
            if isinstance(value, dict) and isinstance(one.get(key), dict)
            else value
            for key, value in other.items()
        }

    with pytest.raises(ParameterError) as error:
        load_parameters(merged(COMPLETE, change))
    assert found in str(error.value)


def test_everything_wrong_is_said_at_once_and_a_missing_section_is_no_null() -> None:
    with pytest.raises(ParameterError) as error:
        load_parameters(COMPLETE | {"initial_factor": "x", "time_step_hours": "-1"})
    assert len(error.value.problems) == 2
    document = {key: value for key, value in load_parameters(None).info.document.items() if key != "vega_shift"}
    with pytest.raises(ParameterError, match="column 'vega_shift': is missing"):
        load_parameters(document)


def test_what_is_unverified_says_so() -> None:
    info = load_parameters("okx-pm-unverified-2023").info
    assert "unverified" in info.name
    assert "UNVERIFIED" in info.document["title"]
    assert info.document["rate_shifts"] is None
    assert load_parameters(None).vol_relative is None
