"""Standard margin of one account as plain loops over its positions: written from the formulas, sharing no code."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from crossmargin.instruments.table import Kind
from crossmargin.market.snapshot import Market

CHARGES: tuple[str, ...] = (
    "delta_one_charge",
    "option_requirement",
    "collateral_haircut",
    "depeg_charge",
    "oracle_charge",
)


@dataclass
class Unit:
    """What one underlying, or one other asset, asks for: by name of the charge, at both levels."""

    initial: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CHARGES, 0.0))
    maintenance: dict[str, float] = field(default_factory=lambda: dict.fromkeys(CHARGES, 0.0))
    together: list[bool] = field(default_factory=list)


@dataclass
class Option:
    quantity: float
    strike: float
    call: bool
    worth: float
    spot: float
    against: float
    forward: float


def _normal(x: float) -> float:
    return 0.5 * math.erfc(-x / math.sqrt(2))


def _black(forward: float, strike: float, total_vol: float, call: bool) -> float:
    upper = math.log(forward / strike) / total_vol + total_vol / 2
    lower = upper - total_vol
    if call:
        return forward * _normal(upper) - strike * _normal(lower)
    return strike * _normal(-lower) - forward * _normal(-upper)


def standard_account(
    positions: dict[str, float], balances: dict[str, float], document: dict[str, Any], market: Market
) -> dict[str, Unit]:
    """Every unit of an account by name."""
    units: dict[str, Unit] = {}
    options: dict[tuple[str, int], list[Option]] = {}
    assets = dict(balances)  # a coin held as spot is the same coin
    sure = market.facts.get("confidence", {})
    doubt = document["oracle"]
    table = market.instruments
    peg = document["depeg"]
    off = 0.0 if peg is None else max(0.0, float(peg["threshold"]) - market.prices[peg["asset"]]) * float(peg["factor"])

    def charge_of_doubt(names: list[str], kind: str) -> float:
        if doubt is None:
            return 0.0
        least = min(sure.get(name, 1.0) for name in names)
        return (1 - least) * float(doubt["factor"]) if least < float(doubt[f"{kind}_threshold"]) else 0.0

    for name, quantity in positions.items():
        row = table.names.index(name)
        terms: Any = table.instruments[row]
        underlying, spot = terms.underlying, market.index[terms.underlying]
        unit = units.setdefault(underlying, Unit())
        own = document["underlyings"][underlying]
        if table.kind[row] == Kind.SPOT:
            assets[underlying] = assets.get(underlying, 0.0) + quantity
        elif table.kind[row] == Kind.OPTION:
            years = (terms.expiry - market.as_of).total_seconds() / (365 * 86_400)
            forward = float(market.forward[row])
            worth = _black(
                forward, float(terms.strike), float(market.vol[row]) * math.sqrt(years), terms.right == "call"
            )
            if terms.payoff == "inverse":
                worth *= spot / forward
            option = Option(
                quantity=quantity,
                strike=float(terms.strike),
                call=terms.right == "call",
                worth=worth,
                spot=spot,
                against=spot if document["moneyness_price"] == "index" else forward,
                forward=forward,
            )
            options.setdefault((underlying, int(terms.expiry.timestamp())), []).append(option)
            if quantity < 0:
                unit.initial["depeg_charge"] += -quantity * spot * off
                day = f"{underlying}-{terms.expiry:%Y%m%d}"
                unit.initial["oracle_charge"] += -quantity * spot * charge_of_doubt([underlying, day], "option")
        else:
            mark = float(market.mark[row])
            coins = abs(quantity) * float(terms.multiplier)
            if terms.payoff == "inverse":
                coins /= mark
            price = spot if document["delta_one_price"] == "index" else mark
            rates = own["delta_one"]
            for level in ("initial", "maintenance"):
                rate = float(rates[level]) + float(rates["slope"]) * coins
                getattr(unit, level)["delta_one_charge"] += coins * price * rate
            unit.initial["depeg_charge"] += coins * spot * off
            unit.initial["oracle_charge"] += coins * spot * charge_of_doubt([underlying, name], "delta_one")
    for (underlying, _), held in options.items():
        _expiry(units[underlying], held, document["underlyings"][underlying]["options"])
    for asset, amount in assets.items():
        if not document["collateral"][asset]["is_cash"]:
            _hold(units.setdefault(asset, Unit()), asset, amount, market.prices[asset], document, charge_of_doubt)
    return units


def _hold(unit: Unit, asset: str, amount: float, price: float, document: dict[str, Any], charge_of_doubt: Any) -> None:
    own = document["collateral"][asset]
    counted = float(own["factor"])
    unit.maintenance["collateral_haircut"] += abs(amount) * price * (1 - counted)
    unit.initial["collateral_haircut"] += abs(amount) * price * (1 - counted * float(own["initial_scale"]))
    if not own["is_cash"]:
        unit.initial["oracle_charge"] += abs(amount) * price * charge_of_doubt([asset], "collateral")


def _expiry(unit: Unit, held: list[Option], rules: dict[str, Any]) -> None:
    """Net margin of the options, as the venue has it, and from that what is required beyond what they are worth."""
    worth = sum(one.quantity * one.worth for one in held)
    for level in ("initial", "maintenance"):
        apart = sum(_alone(one, rules, level) for one in held)
        margin = apart
        if rules["maximum_loss"] is not None:
            settlements = [0.0, *(one.strike for one in held)]
            least = min(0.0, *(sum(_payoff(one, at) for one in held) for at in settlements))
            calls = sum(one.quantity for one in held if one.call)
            if calls < 0:
                least += calls * held[0].forward * float(rules["maximum_loss"][f"unpaired_{level}"])
            margin = max(apart, least)
            unit.together.append(least > apart)
        getattr(unit, level)["option_requirement"] += worth - margin


def _payoff(one: Option, settlement: float) -> float:
    return one.quantity * max(0.0, settlement - one.strike if one.call else one.strike - settlement)


def _alone(one: Option, rules: dict[str, Any], level: str) -> float:
    """Net margin of an option by itself: nothing for a long one, below 0 for a short one."""
    if one.quantity > 0:
        return 0.0
    away = max(0.0, one.strike - one.against if one.call else one.against - one.strike)
    owed = one.quantity * one.worth
    part = max(float(rules["spot_initial_most"]) - away / one.against, float(rules["spot_initial_least"]))
    if one.call:
        if level == "initial":
            return owed + part * one.spot * one.quantity
        return owed + float(rules["call_spot_maintenance"]) * one.spot * one.quantity
    maintenance = owed + min(
        float(rules["put_spot_maintenance"]) * one.spot * one.quantity, float(rules["put_mark_maintenance"]) * owed
    )
    if level == "maintenance":
        return maintenance
    times = float(rules["put_initial_over_maintenance"])
    return min(owed + part * one.spot * one.quantity, times * maintenance)
