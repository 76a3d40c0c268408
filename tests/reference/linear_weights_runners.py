"""Runners of the linear-weight venues: their rules through the steps that margin accounts."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from crossmargin.methodologies.linear_weights import drift, dydx, mango
from tests.reference.loader import Vector


def _tier(inputs: dict[str, Any]) -> dydx.LiquidityTier:
    return dydx.LiquidityTier(
        initial_ppm=inputs["initial_margin_ppm"],
        maintenance_fraction_ppm=inputs.get("maintenance_fraction_ppm", 0),
        open_interest_lower=inputs["oi_lower_cap"],
        open_interest_upper=inputs["oi_upper_cap"],
    )


def adjusted_imf_ppm(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    assert dydx.adjusted_initial_ppm(_tier(inputs), inputs["open_notional"]) == expected["imf_ppm"]
    return {"imf_ppm"}


def initial_margin_quote(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    found = dydx.initial_requirement(inputs["position_notional"], _tier(inputs), inputs["open_notional"])
    assert found == expected["imr"]
    return {"imr"}


def position_margin(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    unit = Fraction(10) ** inputs["base_atomic_resolution"]
    price = inputs["price"] * Fraction(10) ** inputs["price_exponent"]
    assert inputs["quote_atomic_resolution"] == -6
    notional = dydx.quote_quantums(inputs["base_quantums"] * unit, price)
    interest = dydx.quote_quantums(inputs["open_interest_base_quantums"] * unit, price)
    tier = _tier(inputs)
    assert dydx.initial_requirement(notional, tier, interest) == expected["imr"]
    assert dydx.maintenance_requirement(notional, tier) == expected["mmr"]
    return {"imr", "mmr"}


def _risk(stated: dict[str, int]) -> dydx.Risk:
    return dydx.Risk(net_collateral=stated["nc"], initial=stated.get("imr", 0), maintenance=stated["mmr"])


def is_liquidatable(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    risk = dydx.Risk(net_collateral=inputs["net_collateral"], initial=inputs["mmr"], maintenance=inputs["mmr"])
    assert risk.is_liquidatable is expected["liquidatable"]
    return {"liquidatable"}


def compare_risk(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    assert dydx.compared_risk(_risk(inputs["first"]), _risk(inputs["second"])) == expected["cmp"]
    assert dydx.compared_risk(_risk(inputs["second"]), _risk(inputs["first"])) == -expected["cmp"]
    return {"cmp", "meaning"}


def undercollateralized_transition(vector: Vector) -> set[str]:
    """The account is short before and after: its initial requirement, which is not stated, is the larger."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    short = dict.fromkeys(("imr",), 10**12)
    before, after = _risk(inputs["old"] | short), _risk(inputs["new"] | short)
    assert dydx.transition(before, after).value == expected["result"]
    return {"result"}


def account_risk(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    tier = dydx.LiquidityTier(
        initial_ppm=round(inputs["initial_margin_fraction"] * dydx.MILLION),
        maintenance_fraction_ppm=round(inputs["maintenance_fraction"] * dydx.MILLION),
        open_interest_lower=0,
        open_interest_upper=0,
    )
    positions = [
        (dydx.quote_quantums(Fraction(one["size"]), Fraction(one["price"])), 1 if one["size"] > 0 else -1, tier, 0)
        for one in inputs["positions"]
    ]
    risk = dydx.account_risk(inputs["usdc"] * dydx.MILLION, positions)
    for name, found in (("nc", risk.net_collateral), ("imr", risk.initial), ("mmr", risk.maintenance)):
        assert found == expected[name] * dydx.MILLION, name
    return {"nc", "imr", "mmr"}


def _close(vector: Vector) -> dict[str, Any]:
    return {"abs": float(vector.document["tolerance"]["absolute"]), "rel": 0.0}


def size_discount_asset_weight(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    found = drift.size_discount_asset_weight(inputs["base_weight"], inputs["imf_factor"], inputs["size"])
    assert found == pytest.approx(expected["weight"], **_close(vector))
    return {"weight"}


def size_premium_liability_weight(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    found = drift.size_premium_liability_weight(inputs["base_weight"], inputs["imf_factor"], inputs["size"])
    assert found == pytest.approx(expected["weight"], **_close(vector))
    return {"weight"}


def scaled_initial_asset_weight(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    found = drift.scaled_initial_asset_weight(
        inputs["initial_asset_weight"], inputs["scale_start_usd"], inputs["total_deposits"] * inputs["price"]
    )
    assert found == pytest.approx(expected["weight"], **_close(vector))
    return {"weight"}


def drift_account(vector: Vector) -> set[str]:
    """Collateral and requirement of an account with SOL, USDC and a perpetual, at the level that it states."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    level = inputs.get("type", "initial")
    sol, usdc = inputs["markets"]["sol"], inputs["markets"]["usdc"]
    custom = inputs.get("user_max_margin_ratio", 0.0) if level == "initial" else 0.0
    price = drift.Prices(oracle=sol["price"], average=sol["price"])
    weights = drift.SpotWeights(
        asset=sol[f"{level}_asset_weight"], liability=sol[f"{level}_liability_weight"], imf_factor=0.0
    )
    par = drift.Prices(oracle=usdc["price"], average=usdc["price"])
    quote = drift.SpotWeights(asset=usdc["weight"], liability=usdc["weight"], imf_factor=0.0)
    held = [
        drift.spot_health(inputs.get("usdc", 0), 0.0, 0.0, par, quote),
        drift.spot_health(
            inputs.get("sol", 0),
            inputs.get("open_bids_sol", 0),
            -inputs.get("open_asks_sol", 0),
            price,
            weights,
            order_charge=inputs["markets"]["open_order_requirement_usd"],
            custom_ratio=custom,
        ),
    ]
    if perp := inputs.get("perp"):
        held.append(
            drift.perpetual_health(
                perp["base"],
                0.0,
                0.0,
                0.0,
                perp["price"],
                ratio=perp[f"margin_ratio_{level}"],
                imf_factor=0.0,
                unrealised_weight=0.0,
                custom_ratio=custom,
            )
        )
    found = {
        "margin_requirement": math.fsum(one.requirement for one in held),
        "total_collateral": math.fsum(one.collateral for one in held),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, **_close(vector)), name
    return set(expected)


def strict_price_collateral(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    prices = drift.Prices(oracle=inputs["oracle"], average=inputs["twap_5min"])
    whole = drift.SpotWeights(asset=1.0, liability=1.0, imf_factor=0.0)
    found = drift.spot_health(inputs["usdc"], 0.0, 0.0, prices, whole, strict=inputs["strict"])
    assert found.collateral == pytest.approx(expected["total_collateral"], **_close(vector))
    return {"total_collateral"}


def prediction_market_margin(vector: Vector) -> set[str]:
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    gain = inputs["base"] * inputs["oracle"] + inputs["quote"]
    for level in ("initial", "maintenance"):
        found = drift.perpetual_health(
            inputs["base"],
            0.0,
            0.0,
            gain,
            inputs["oracle"],
            ratio=inputs[f"margin_ratio_{level}"],
            imf_factor=0.0,
            unrealised_weight=inputs[f"upnl_weight_{level}"],
            most_price=inputs["max_price"],
        )
        assert found.requirement == pytest.approx(expected[f"{level}_requirement"], **_close(vector))
        assert found.collateral == pytest.approx(expected[f"{level}_upnl"], **_close(vector))
    return set(expected)


def mango_health(vector: Vector) -> set[str]:
    """Initial health with the account's own limit prices and the banks' scaling of weights."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    names = [token["name"] for token in inputs["tokens"]]
    settings = inputs["bank_settings"] or [{}] * len(names)
    tokens = []
    for stated, bank in zip(inputs["tokens"], settings, strict=True):
        price = stated["price"]
        deposited = (bank.get("deposits", 0) + bank.get("potential_serum_tokens", 0)) * price
        tokens.append(
            mango.Token(
                balance=stated["balance"],
                asset_price=price,
                liability_price=price,
                asset_weight=mango.scaled_asset_weight(
                    stated["init_asset_weight"], bank.get("deposit_weight_scale_start_quote", math.inf), deposited
                ),
                liability_weight=mango.scaled_liability_weight(
                    stated["init_liab_weight"],
                    bank.get("borrow_weight_scale_start_quote", math.inf),
                    bank.get("borrows", 0) * price,
                ),
            )
        )
    lowest_ask, highest_bid = _own_limits(inputs["extra"])
    orders = [
        mango.SpotOrders(
            base=names.index(one["base"]),
            quote=names.index(one["quote"]),
            reserved_base=one["reserved_base"],
            reserved_quote=one["reserved_quote"],
            lowest_ask=lowest_ask.get(one["base"]),
            highest_bid=highest_bid.get(one["base"]),
        )
        for one in inputs["spot_open_orders"]
    ]
    perp = inputs["perp"]
    lot = perp["base_lot_size"]
    perpetual = mango.Perpetual(
        base=perp["base_lots"] * lot,
        quote=perp["quote_native"],
        buys=perp["bids_base_lots"] * lot,
        sells=perp["asks_base_lots"] * lot,
        asset_price=perp["base_price"],
        liability_price=perp["base_price"],
        asset_weight=perp["init_base_asset_weight"],
        liability_weight=perp["init_base_liab_weight"],
        overall_weight=perp["init_overall_asset_weight"],
        settle=names.index(perp["settle_token"]),
    )
    found = mango.health(tokens, orders, [perpetual])
    assert found.value == pytest.approx(expected["init_health"], **_close(vector))
    return {"init_health"}


def _own_limits(extra: str | None) -> tuple[dict[str, float], dict[str, float]]:
    """Lowest ask and highest bid by token, out of the words of the vector."""
    limits: dict[str, dict[str, float]] = {"ask": {}, "bid": {}}
    for part in (extra or "").removeprefix("order limits: ").split("; "):
        if part:
            token, _, side, price = part.split(" ")
            limits[side][token] = float(Decimal(price))
    return limits["ask"], limits["bid"]
