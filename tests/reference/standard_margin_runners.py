"""Derive's standard margin: its vectors as markets and books, through the whole engine."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.positions import read_book
from crossmargin.instruments.terms import Delivery, On, Payoff, Perpetual, Right, Style, VanillaOption
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.standard_margin.method import derive_standard
from crossmargin.methodologies.standard_margin.recipe import StandardBreakdown
from crossmargin.portfolio.book import Book, Carried, net_carried
from tests.reference.loader import Vector

AS_OF = datetime(2026, 1, 1, 8, tzinfo=UTC)
STABLE = "USDC"
DETAIL = ("perp", "option", "base", "depeg", "upnl")


def derive_standard_margin(vector: Vector) -> set[str]:
    """Net margin at both levels and whatever else a vector states of it."""
    inputs, expected = vector.body["inputs"], vector.body["expected"]
    stated = vector.document["parameter_sets"][vector.body["parameters"]]
    evaluation = _evaluated(inputs, stated)
    close: dict[str, Any] = {"rel": float(vector.document["tolerance"]["relative"]), "abs": 1e-7}
    net = {level: _net_margin(evaluation, inputs, level) for level in ("initial", "maintenance")}
    markets = {level: _by_market(evaluation, inputs, level) for level in ("initial", "maintenance")}
    for level, of_markets in markets.items():
        # What is stated by market is the whole: nothing stands beside it.
        assert inputs["cash"] + sum(sum(one.values()) for one in of_markets.values()) == pytest.approx(
            net[level], rel=1e-9, abs=1e-6
        )
    done = set()
    for name, level in (("im", "initial"), ("mm", "maintenance")):
        for key in {name, f"{name}_checker"} & set(expected):
            assert net[level] == pytest.approx(expected[key], **close), key
            done.add(key)
        if (key := f"{name}_integer") in expected:
            # Upstream computes in whole numbers of 1e-18: next to an integer the truncation may fall on either side.
            assert any(int(net[level] + nudge) == expected[key] for nudge in (0.0, 1e-9, -1e-9)), key
            done.add(key)
        if (key := f"detail_{name}_checker") in expected:
            for market, detail in expected[key].items():
                assert set(detail) <= set(DETAIL), detail
                for part, value in detail.items():
                    assert markets[level][market][part] == pytest.approx(value, **close), (key, market, part)
            done.add(key)
    return done | _full_precision(evaluation, inputs, expected, close)


def _full_precision(
    evaluation: Evaluation, inputs: dict[str, Any], expected: dict[str, Any], close: dict[str, Any]
) -> set[str]:
    """Figures that only some vectors state; the perpetual's is the one of maintenance."""
    b = _breakdown(evaluation)
    upnl = sum(one["perp"]["unrealised_pnl"] for one in inputs["markets"].values())
    base = sum(one["base"] * one["spot"] for one in inputs["markets"].values())
    found = {
        "mtm": _option_value(evaluation).sum() + base + upnl,
        "perp_margin": -b.delta_one_maintenance.sum(),
        "oracle_contingency": -b.oracle.sum(),
        "depeg": -b.depeg.sum(),
        "base_margin": base - b.haircut_initial.sum(),
    }
    done = set(found) & set(expected)
    for name in done:
        assert found[name] == pytest.approx(expected[name], **close), name
    value = _option_value(evaluation)
    for key, requirement in (("option_im", b.option_initial), ("option_mm", b.option_maintenance)):
        if key in expected:
            units = evaluation.requirements.units.names
            of_market = dict(zip(units, (value - requirement).tolist(), strict=True))
            for market, wanted in expected[key].items():
                assert of_market.get(market.upper(), 0.0) == pytest.approx(wanted, **close), (key, market)
            done.add(key)
    return done


def _by_market(evaluation: Evaluation, inputs: dict[str, Any], level: str) -> dict[str, dict[str, float]]:
    """Net margin of each market by kind, with the doubt of oracles where it belongs."""
    b, units = _breakdown(evaluation), evaluation.requirements.units.names
    initial = level == "initial"
    held = evaluation.requirements.breakdown.book.holdings  # type: ignore[attr-defined]
    kind = evaluation.requirements.breakdown.priced.inputs.kind[held.instrument]  # type: ignore[attr-defined]
    oracle = np.zeros((3, len(units)))
    np.add.at(oracle, (kind, held.unit()), b.oracle_of if initial else 0.0)
    found = {}
    for name, one in inputs["markets"].items():
        found[name] = dict.fromkeys(DETAIL, 0.0) | {"upnl": one["perp"]["unrealised_pnl"]}
        if name.upper() not in units:
            continue
        u = units.index(name.upper())
        delta_one = b.delta_one_initial if initial else b.delta_one_maintenance
        option = b.option_initial if initial else b.option_maintenance
        haircut = b.haircut_initial if initial else b.haircut_maintenance
        found[name] |= {
            "perp": float(-delta_one[u] - oracle[1, u]),
            "option": float(_option_value(evaluation)[u] - option[u] - oracle[0, u]),
            "base": float(one["base"] * one["spot"] - haircut[u] - oracle[2, u]),
            "depeg": float(-b.depeg[u]) if initial else 0.0,
        }
    return found


def _net_margin(evaluation: Evaluation, inputs: dict[str, Any], level: str) -> float:
    """Equity less requirement, with what is in the stablecoin at par, as the venue has it."""
    assert evaluation.standing is not None
    requirement = getattr(evaluation.requirements, f"requirement_{level}")
    unrealised = sum(one["perp"]["unrealised_pnl"] for one in inputs["markets"].values())
    at_par = (inputs["cash"] + unrealised) * (1 - inputs["stable"]["price"])
    return float(evaluation.standing.equity[0]) - float(requirement[0]) + float(at_par)


def _breakdown(evaluation: Evaluation) -> StandardBreakdown:
    found = evaluation.requirements.breakdown.measured.detail  # type: ignore[attr-defined]
    assert isinstance(found, StandardBreakdown)
    return found


def _option_value(evaluation: Evaluation) -> np.ndarray:
    return evaluation.requirements.units.net_option_value


def _evaluated(inputs: dict[str, Any], stated: dict[str, Any]) -> Evaluation:
    """The vector's account under the vector's parameters."""
    quotes, rows, unrealised = [], [], {}
    balances = [{"account": "account", "asset": STABLE, "amount": repr(inputs["cash"])}]
    index, confidence, prices = {}, {}, {STABLE: float(inputs["stable"]["price"])}
    for name, one in inputs["markets"].items():
        market = name.upper()
        index[market] = prices[market] = float(one["spot"])
        confidence[market] = float(one["spot_confidence"])
        balances.append({"account": "account", "asset": market, "amount": repr(one["base"])})
        forward = {own["seconds_to_expiry"]: own for own in one["expiries"]}
        for seconds, own in forward.items():
            expiry = AS_OF + timedelta(seconds=seconds)
            stated_of = min(own["forward_confidence"], own["vol_confidence"])
            key = f"{market}-{expiry:%Y%m%d}"
            assert key not in confidence or confidence[key] == stated_of, "two expiries of one day"
            confidence[key] = float(stated_of)
        for option in one["options"]:
            terms = _option(market, option)
            own = forward[option["seconds_to_expiry"]]
            quotes.append(Quote(instrument=terms, vol=option["vol"], forward=own["forward"]))
            rows.append({"account": "account", "instrument": terms.name, "quantity": repr(option["amount"])})
        perpetual = _perpetual(market)
        quotes.append(Quote(instrument=perpetual, mark=float(one["perp"]["price"])))
        confidence[perpetual.name] = float(one["perp"]["confidence"])
        rows.append({"account": "account", "instrument": perpetual.name, "quantity": repr(one["perp"]["amount"])})
        unrealised[perpetual.name] = one["perp"]["unrealised_pnl"]
    unique = {quote.instrument.name: quote for quote in quotes}
    market_of_quotes = Market.from_quotes(
        unique.values(), as_of=AS_OF, source="vector", index=index, prices=prices, facts={"confidence": confidence}
    )
    problems: list[Any] = []
    book = read_book(rows, balances, problems, accepts=(STABLE, *index))
    assert book is not None, problems
    book = replace(book, carried=_carried(unrealised, book))
    return evaluate(book, market_of_quotes, derive_standard(_document(stated)))


def _carried(unrealised: dict[str, float], book: Book) -> Carried:
    names = tuple(sorted(unrealised))
    steps = [int(Decimal(repr(unrealised[name])) * STEPS_PER_UNIT) for name in names]
    nothing = np.zeros(len(names), dtype=np.int64)
    rows = Carried(
        instruments=names,
        account=nothing,
        instrument=np.arange(len(names)),
        buys=nothing,
        sells=nothing,
        unrealised=np.array(steps, dtype=np.int64),
    )
    return net_carried(rows, book.accounts)


def _option(market: str, option: dict[str, Any]) -> VanillaOption:
    expiry = AS_OF + timedelta(seconds=option["seconds_to_expiry"])
    right = Right(option["type"])
    return VanillaOption(
        name=f"{market}-{expiry:%Y%m%d%H%M%S}-{option['strike']:g}-{right.value[0].upper()}",
        underlying=market,
        quote_currency="USD",
        settlement_currency=STABLE,
        payoff=Payoff.LINEAR,
        multiplier=Decimal(1),
        expiry=expiry,
        strike=Decimal(repr(option["strike"])),
        right=right,
        style=Style.EUROPEAN,
        delivery=Delivery.CASH,
        on=On.INDEX,
    )


def _perpetual(market: str) -> Perpetual:
    return Perpetual(
        name=f"{market}-PERP",
        underlying=market,
        quote_currency="USD",
        settlement_currency=STABLE,
        payoff=Payoff.LINEAR,
        multiplier=Decimal(1),
    )


def _document(stated: dict[str, Any]) -> dict[str, Any]:
    """A vector's parameters as a document of ours."""
    markets = stated["markets"]
    oracle = [one["oracle_contingency"] for one in markets.values()]
    assert all(one == oracle[0] for one in oracle), "oracle charges that differ between markets"
    return {
        "format": "crossmargin-parameters/1",
        "family": "standard-margin",
        "name": "of a vector",
        "version": "1",
        "date": "2025-02-17",
        "status": "of a vector",
        "moneyness_price": "index",
        "delta_one_price": "mark",
        "dated_futures": False,
        "open_orders": "worst side",
        "depeg": {"asset": STABLE} | stated["depeg"],
        "oracle": {
            "delta_one_threshold": oracle[0]["perp_threshold"],
            "option_threshold": oracle[0]["option_threshold"],
            "collateral_threshold": oracle[0]["base_threshold"],
            "factor": oracle[0]["factor"],
        },
        "underlyings": {
            name.upper(): {
                "delta_one": {"maintenance": one["perp_mm"], "initial": one["perp_im"], "slope": 0},
                "options": _short_option(one["option"]),
            }
            for name, one in markets.items()
        },
        "collateral": {STABLE: {"factor": 1, "initial_scale": 1, "is_cash": True}}
        | {
            name.upper(): {
                "factor": one["base_margin_factor"],
                "initial_scale": one["base_im_scale"],
                "is_cash": False,
            }
            for name, one in markets.items()
        },
    }


def _short_option(stated: dict[str, float]) -> dict[str, Any]:
    return {
        "spot_initial_most": stated["max_spot_req"],
        "spot_initial_least": stated["min_spot_req"],
        "call_spot_maintenance": stated["mm_call_spot_req"],
        "put_spot_maintenance": stated["mm_put_spot_req"],
        "put_mark_maintenance": stated["mm_put_mtm_req"],
        "put_initial_over_maintenance": stated["mm_offset_scale"],
        "maximum_loss": {
            "unpaired_maintenance": stated["unpaired_mm_scale"],
            "unpaired_initial": stated["unpaired_im_scale"],
        },
    }
