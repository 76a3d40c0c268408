"""Unit P&L: the laws of inverse and linear contracts, in dollars and in coin, scenario by scenario."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from crossmargin.instruments.symbols import parse_symbol
from crossmargin.instruments.terms import (
    Delivery,
    Instrument,
    On,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
)
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import load_parameters
from crossmargin.revaluation.inputs import PricingInputs, pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_greeks, unit_pnl, unit_value
from crossmargin.scenarios.grid import GridScenarios, GridShape, grid_scenarios

AS_OF = datetime(2026, 2, 15, 12, tzinfo=UTC)
EXPIRY = datetime(2026, 3, 27, 8, tzinfo=UTC)
INDEX = 100_000.0
FORWARD = 100_700.0
RANGES = load_parameters(None).ranges
SHAPE = GridShape(price_steps=4, extended_moves=(-0.66, 0.5, 5.0), extended_factor=1.0, time_step_days=3)
GRID = grid_scenarios(SHAPE, RANGES["BTC"])


def option(name: str, right: Right, *, inverse: bool, strike: str = "105000", underlying: str = "BTC") -> VanillaOption:
    return VanillaOption(
        name=name,
        underlying=underlying,
        quote_currency="USD",
        settlement_currency=underlying if inverse else "USD",
        payoff=Payoff.INVERSE if inverse else Payoff.LINEAR,
        multiplier=Decimal(1),
        expiry=EXPIRY,
        strike=Decimal(strike),
        right=right,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


def inputs_of(*quotes: Quote, index: float = INDEX, underlying: str = "BTC", **market: Any) -> PricingInputs:
    snapshot = Market.from_quotes(quotes, as_of=AS_OF, source="test", index={underlying: index}, **market)
    return pricing_inputs(snapshot, snapshot.instruments.names, MissingPolicy())


def pnl_of(inputs: PricingInputs, *, grid: GridScenarios = GRID, currency: str = "USD") -> dict[str, np.ndarray]:
    table = inputs.instruments
    grids = dict.fromkeys(table.underlyings, grid)
    values = unit_pnl(inputs, grids, dict.fromkeys(table.underlyings, RANGES["BTC"]), currency=currency)
    assert values.currency == currency
    return dict(zip(table.names, values.values, strict=True))


def quote(instrument: Instrument | str, **prices: Any) -> Quote:
    return Quote(instrument=parse_symbol(instrument) if isinstance(instrument, str) else instrument, **prices)


CALL = quote(option("call", Right.CALL, inverse=True), vol=0.5, forward=FORWARD)
PUT = quote(option("put", Right.PUT, inverse=True), vol=0.5, forward=FORWARD)
LINEAR_CALL = quote(option("linear call", Right.CALL, inverse=False), vol=0.5, forward=FORWARD, discount=0.97)
LINEAR_PUT = quote(option("linear put", Right.PUT, inverse=False), vol=0.5, forward=FORWARD, discount=0.97)


@pytest.mark.parametrize(("name", "price"), [("BTC-PERPETUAL", 100_050.0), ("BTC-27MAR26", 100_700.0)])
def test_inverse_delta_one_in_coin(name: str, price: float) -> None:
    """Size in coin times 1 - 1/(1+s): exact to 1e-9 in the venue's own responses, dated futures too."""
    coin = pnl_of(inputs_of(quote(name, mark=price)), currency="BTC")[name]
    size = 10 / price
    assert coin == pytest.approx(size * (1 - 1 / (1 + GRID.price_move)), rel=1e-12, abs=1e-18)


@pytest.mark.parametrize(("name", "price"), [("BTC-PERPETUAL", 100_050.0), ("BTC-27MAR26", 100_700.0)])
def test_inverse_delta_one_in_dollars_is_linear(name: str, price: float) -> None:
    dollars = pnl_of(inputs_of(quote(name, mark=price)))[name]
    assert dollars == pytest.approx(10 / price * INDEX * GRID.price_move, rel=1e-14)


def test_coin_and_dollars_are_one_gain() -> None:
    """What settles in coin is dollars over the index of the scenario; options lose their coin's fall as well."""
    spot = quote(Spot(name="BTC", underlying="BTC", quote_currency="USD", settlement_currency="USD"))
    linear = Perpetual(
        name="linear perpetual", underlying="BTC", quote_currency="USD", settlement_currency="USD",
        payoff=Payoff.LINEAR, multiplier=Decimal("0.001"),
    )  # fmt: skip
    inputs = inputs_of(
        quote("BTC-PERPETUAL", mark=100_050.0), quote("BTC-27MAR26", mark=FORWARD), spot, quote(linear, mark=99_000.0)
    )
    dollars, coin = pnl_of(inputs), pnl_of(inputs, currency="BTC")
    for name, gain in dollars.items():
        assert coin[name] * INDEX * (1 + GRID.price_move) == pytest.approx(gain, rel=1e-12), name
    inputs = inputs_of(CALL, PUT)
    dollars, coin = pnl_of(inputs), pnl_of(inputs, currency="BTC")
    now = unit_value(inputs) / INDEX
    for k, name in enumerate(inputs.instruments.names):
        then = (now[k] * INDEX + dollars[name]) / (INDEX * (1 + GRID.price_move))
        assert coin[name] == pytest.approx(then - now[k], rel=1e-9, abs=1e-15), name


def test_a_coin_cell_does_not_depend_on_what_else_is_held() -> None:
    """An inverse option beside a linear one of the same coin."""
    alone = pnl_of(inputs_of(CALL), currency="BTC")["call"]
    beside = pnl_of(inputs_of(CALL, LINEAR_CALL), currency="BTC")["call"]
    assert beside.tobytes() == alone.tobytes()


def test_a_linear_option_in_coin_is_its_dollars_at_the_index_of_the_scenario() -> None:
    dollars = pnl_of(inputs_of(LINEAR_CALL))["linear call"]
    coin = pnl_of(inputs_of(LINEAR_CALL), currency="BTC")["linear call"]
    assert coin == pytest.approx(dollars / (INDEX * (1 + GRID.price_move)), rel=1e-12)


@pytest.mark.parametrize("together", [False, True])
def test_put_call_parity_in_every_scenario(together: bool) -> None:
    """Call less put is a forward: linear in the price, whatever volatility and time do."""
    inputs = inputs_of(CALL, PUT, LINEAR_CALL, LINEAR_PUT) if together else inputs_of(CALL, PUT)
    pnl = pnl_of(inputs)
    future = FORWARD * GRID.price_move
    assert pnl["call"] - pnl["put"] == pytest.approx(future * INDEX / FORWARD, rel=1e-11, abs=1e-9)
    if together:
        strike, years = 105_000, inputs.expiry_years[inputs.instruments.names.index("linear call")]
        discount = 0.97 ** ((years - GRID.time_step_years) / years)
        forward = discount * (FORWARD + future - strike) - 0.97 * (FORWARD - strike)
        assert pnl["linear call"] - pnl["linear put"] == pytest.approx(forward, rel=1e-11, abs=1e-9)


def test_parity_in_coin() -> None:
    pnl = pnl_of(inputs_of(CALL, PUT), currency="BTC")
    # Coin of a forward struck at K: 1 - K / F, in every scenario.
    forward = -105_000 / (FORWARD * (1 + GRID.price_move)) + 105_000 / FORWARD
    assert pnl["call"] - pnl["put"] == pytest.approx(forward, rel=1e-11, abs=1e-14)


def test_vol_up_is_worth_more_to_the_holder_and_time_less() -> None:
    """Time less at a discount factor of 1: below it a deep put gains by waiting."""
    at_par = [replace(option, discount=1.0) for option in (LINEAR_CALL, LINEAR_PUT)]
    for name, gain in pnl_of(inputs_of(CALL, PUT, *at_par)).items():
        core = gain[: 9 * 3].reshape(9, 3)
        later = gain[9 * 3 : 9 * 6].reshape(9, 3)
        assert (np.diff(core, axis=1) > 0).all(), name
        assert (later < core).all(), name
    assert (GRID.time_step_years[27:54] > 0).all()
    flat = pnl_of(inputs_of(quote("BTC-PERPETUAL", mark=INDEX)))["BTC-PERPETUAL"]
    assert flat[27:54].tolist() == flat[:27].tolist()


def test_an_option_past_its_expiry_in_the_scenario_is_its_intrinsic_value() -> None:
    long_step = grid_scenarios(
        GridShape(price_steps=2, extended_moves=(), extended_factor=1, time_step_days=60), RANGES["BTC"]
    )
    inputs = inputs_of(LINEAR_CALL)
    later = pnl_of(inputs, grid=long_step)["linear call"][15:]
    then = np.maximum(FORWARD * (1 + long_step.price_move[15:]) - 105_000, 0.0)
    assert later + unit_value(inputs)[0] == pytest.approx(then, rel=1e-11, abs=1e-9)


def test_the_unmoved_scenario_gains_nothing() -> None:
    for name, gain in pnl_of(inputs_of(CALL, PUT, LINEAR_PUT, quote("BTC-PERPETUAL", mark=INDEX))).items():
        assert gain[13] == 0, name


@pytest.mark.parametrize("move", [1e-5])
def test_delta_and_gamma_match_finite_differences(move: float) -> None:
    small = GridScenarios(
        price_move=np.array([-move, 0.0, move]),
        vol_direction=np.zeros(3, dtype=np.int64),
        weight=np.ones(3),
        time_step_years=np.zeros(3),
        extended=np.zeros(3, dtype=np.bool_),
    )
    spot = quote(Spot(name="BTC", underlying="BTC", quote_currency="USD", settlement_currency="USD"))
    inputs = inputs_of(CALL, PUT, LINEAR_CALL, LINEAR_PUT, quote("BTC-PERPETUAL", mark=99_000.0), spot)
    greeks = unit_greeks(inputs)
    for k, (name, gain) in enumerate(pnl_of(inputs, grid=small).items()):
        # Central differences: error of the order of move**2, 1e-10, and of rounding, 1e-11 / move.
        assert (gain[2] - gain[0]) / (2 * move) == pytest.approx(greeks.delta[k], rel=1e-6), name
        assert (gain[2] - 2 * gain[1] + gain[0]) / move**2 == pytest.approx(greeks.gamma[k], rel=2e-3, abs=50), name


def test_vega_and_theta_match_finite_differences() -> None:
    inputs = inputs_of(LINEAR_CALL, CALL)
    greeks = unit_greeks(inputs)
    value = unit_value(inputs)
    bumped = [
        quote(CALL.instrument, vol=0.5 + 1e-5, forward=FORWARD),
        quote(LINEAR_CALL.instrument, vol=0.5 + 1e-5, forward=FORWARD, discount=0.97),
    ]
    assert (unit_value(inputs_of(*bumped)) - value) / 1e-5 == pytest.approx(greeks.vega, rel=1e-4)
    day = GridScenarios(
        price_move=np.zeros(1), vol_direction=np.zeros(1, dtype=np.int64), weight=np.ones(1),
        time_step_years=np.array([0.01 / 365]), extended=np.zeros(1, dtype=np.bool_),
    )  # fmt: skip
    decay = np.array([gain[0] for gain in pnl_of(inputs, grid=day).values()]) * 100
    assert decay == pytest.approx(greeks.theta, rel=1e-3)


# ---------------------------------------------------------------------------------------------------- Bachelier


CRUDE = [
    quote(
        option("crude call", Right.CALL, inverse=False, strike="-40", underlying="CL"),
        vol=60.0, vol_normal=True, forward=-37.63,
    ),
    quote(
        option("crude put", Right.PUT, inverse=False, strike="-40", underlying="CL"),
        vol=60.0, vol_normal=True, forward=-37.63,
    ),
]  # fmt: skip


def test_bachelier_with_a_negative_forward() -> None:
    """The oil price of 20 April 2020: a relative move is a fraction of the price's size, and up is up."""
    inputs = inputs_of(*CRUDE, index=-37.63, underlying="CL")
    pnl = pnl_of(inputs)
    assert all(np.isfinite(gain).all() for gain in pnl.values())
    assert pnl["crude call"] - pnl["crude put"] == pytest.approx(37.63 * GRID.price_move, rel=1e-11, abs=1e-12)
    same_vol = pnl["crude call"][1:27:3]
    assert (np.diff(same_vol) > 0).all()
    delta = unit_greeks(inputs).delta
    assert delta[0] > 0 > delta[1]


def test_a_bachelier_and_a_black_option_side_by_side_keep_their_bits() -> None:
    normal = quote(option("normal", Right.CALL, inverse=False), vol=40_000.0, vol_normal=True, forward=FORWARD)
    both = pnl_of(inputs_of(LINEAR_CALL, normal))
    assert both["normal"].tobytes() == pnl_of(inputs_of(normal))["normal"].tobytes()
    assert both["linear call"].tobytes() == pnl_of(inputs_of(LINEAR_CALL))["linear call"].tobytes()


# ------------------------------------------------------------------------------------------- values, currencies


def test_value_of_one_contract_in_dollars() -> None:
    marked = quote(CALL.instrument, mark=0.05, vol=0.5, forward=FORWARD)
    linear = quote(LINEAR_CALL.instrument, mark=4_500.0, vol=0.5, forward=FORWARD, discount=0.97)
    spot = quote(Spot(name="BTC", underlying="BTC", quote_currency="USD", settlement_currency="USD"))
    inputs = inputs_of(marked, linear, spot, quote("BTC-PERPETUAL", mark=INDEX))
    value = dict(zip(inputs.instruments.names, unit_value(inputs).tolist(), strict=True))
    assert value == {"BTC": INDEX, "BTC-PERPETUAL": 0.0, "call": 0.05 * INDEX, "linear call": 4_500.0}


def test_a_quote_currency_is_converted() -> None:
    instrument = Perpetual(
        name="linear", underlying="BTC", quote_currency="USDC", settlement_currency="USDC",
        payoff=Payoff.LINEAR, multiplier=Decimal(2),
    )  # fmt: skip
    pnl = pnl_of(inputs_of(quote(instrument, mark=INDEX), prices={"USDC": 0.9}))["linear"]
    assert pnl == pytest.approx(2 * INDEX * GRID.price_move * 0.9, rel=1e-14)


def test_coin_of_a_contract_in_a_depegged_quote_currency() -> None:
    """The index is in quote currency, so a coin is worth index x 0.9 dollars."""
    instrument = Perpetual(
        name="linear", underlying="BTC", quote_currency="USDC", settlement_currency="USDC",
        payoff=Payoff.LINEAR, multiplier=Decimal(2),
    )  # fmt: skip
    inputs = inputs_of(quote(instrument, mark=INDEX), prices={"USDC": 0.9})
    coin = pnl_of(inputs, currency="BTC")["linear"]
    assert coin == pytest.approx(2 * GRID.price_move / (1 + GRID.price_move), rel=1e-12)


def test_no_positions_no_rows() -> None:
    market = Market.from_quotes([CALL], as_of=AS_OF, source="test", index={"BTC": INDEX})
    inputs = pricing_inputs(market, (), MissingPolicy())
    assert unit_pnl(inputs, {}, {}).values.shape == (0, 0)
