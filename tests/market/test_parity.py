"""Forward and discount from put-call parity, and the real chains repriced against the exchange's own marks."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.api import read_market
from crossmargin.basics.arrays import FloatArray
from crossmargin.instruments.table import Kind
from crossmargin.market.parity import inverse_parity_forward, parity_forward
from crossmargin.market.policy import MissingPolicy
from crossmargin.revaluation.inputs import model_price, pricing_inputs

STRIKES = np.arange(4_000.0, 5_001.0, 25.0)


def line(forward: float, discount: float, strike: FloatArray = STRIKES) -> tuple[FloatArray, FloatArray]:
    """Calls and puts whose difference is exactly the parity line."""
    put = 20 + 0.0003 * (strike - 4_000.0) ** 1.5
    return put + discount * (forward - strike), put


@given(forward=st.floats(4_300, 4_700), discount=st.floats(0.6, 1.04))
def test_the_line_is_found(forward: float, discount: float) -> None:
    call, put = line(forward, discount)
    fit = parity_forward(STRIKES, call, put, 4_500.0)
    assert fit is not None
    assert fit.forward == pytest.approx(forward, rel=1e-9)
    assert fit.discount == pytest.approx(discount, rel=1e-9)
    assert fit.n_strikes == sum(abs(STRIKES / 4_500 - 1) <= 0.10)


def test_a_stale_quote_does_not_tilt_it() -> None:
    call, put = line(4_510.0, 0.99)
    call[[15, 20, 25]] += (300.0, -200.0, 120.0)
    fit = parity_forward(STRIKES, call, put, 4_500.0)
    assert fit is not None
    assert fit.forward == pytest.approx(4_510.0, rel=1e-9)
    assert fit.discount == pytest.approx(0.99, rel=1e-9)


def test_strikes_far_from_the_money_and_unquoted_ones_take_no_part() -> None:
    call, put = line(4_510.0, 0.99)
    call[np.abs(STRIKES / 4_500 - 1) > 0.10] = 0.0
    call[18:22] = np.nan
    fit = parity_forward(STRIKES, call, put, 4_500.0)
    assert fit is not None
    assert fit.forward == pytest.approx(4_510.0, rel=1e-9)


def test_too_few_strikes_or_no_line_is_none() -> None:
    call, put = line(4_510.0, 0.99)
    call[2:] = np.nan
    assert parity_forward(STRIKES, call, put, 4_010.0) is None
    steep, put = line(4_510.0, 1.2)
    assert parity_forward(STRIKES, steep, put, 4_500.0) is None
    flat, put = line(4_510.0, 0.3)
    assert parity_forward(STRIKES, flat, put, 4_500.0) is None


@given(forward=st.floats(99_500, 100_500))
def test_coin_marks_say_their_own_forward(forward: float) -> None:
    strike = np.arange(60_000.0, 150_001.0, 5_000.0)
    put = np.full(len(strike), 0.02)
    call = put + 1 - strike / forward
    put[3] = np.nan
    assert inverse_parity_forward(strike, call, put, 100_000.0) == pytest.approx(forward, rel=1e-12)


def test_coin_marks_that_say_something_else_altogether_are_not_believed() -> None:
    strike = np.arange(60_000.0, 150_001.0, 5_000.0)
    put = np.full(len(strike), 0.02)
    assert inverse_parity_forward(strike, put + 1 - strike / 101_100.0, put, 100_000.0) is None
    assert inverse_parity_forward(strike[:2], put[:2], put[:2], 100_000.0) is None


# ----------------------------------------------------------------------------------------------------- real chains

CHAINS = (
    "deribit_chain_20260114T0922Z.csv.gz",
    "deribit_chain_20260205T2129Z.csv.gz",
    "deribit_chain_20260624T1717Z.csv.gz",
    "deribit_eth_chain_20240108.csv.gz",
)


@pytest.mark.parametrize("chain", CHAINS)
def test_model_price_of_a_real_chain_is_the_exchange_s_mark(data_dir: Path, chain: str) -> None:
    """The median difference is at most 1e-5 coin; without quoted vols (2024) it tests the inversion."""
    market = read_market(data_dir / chain)
    table = market.instruments
    options = tuple(
        name
        for name, kind, mark in zip(table.names, table.kind.tolist(), market.mark.tolist(), strict=True)
        if kind == Kind.OPTION and not math.isnan(mark)
    )
    inputs = pricing_inputs(market, options, MissingPolicy())
    difference = np.abs(model_price(inputs) - inputs.mark)
    assert len(options) > 600
    for underlying, name in enumerate(inputs.instruments.underlyings):
        own = difference[inputs.instruments.underlying == underlying]
        print(f"{chain} {name}: median {np.median(own):.2e}, 99% {np.quantile(own, 0.99):.2e}, n = {len(own)}")
        assert np.median(own) <= 1e-5, name
        assert np.quantile(own, 0.99) <= 5e-4, name
