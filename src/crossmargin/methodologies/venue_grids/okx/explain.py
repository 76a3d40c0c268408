"""Breakdown to explanation: every MR a node, arranged from the kept figures; nothing is calculated anew."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.venue_grids.okx.book import OkxContracts
from crossmargin.methodologies.venue_grids.okx.parameters import PAIRS, OkxParameters, TierTable
from crossmargin.methodologies.venue_grids.okx.recipe import OkxBreakdown
from crossmargin.methodologies.venue_grids.okx.steps import Ledger

SOURCE = "okx-pm"
MOST_NAMED = 5
"""Losing and gaining positions that are named, each; the others stand together."""
IN_COIN = "margined in coin: taken as the linear contract of the same dollars"


def scenario_words(contracts: OkxContracts, coin: int) -> tuple[str, ...]:
    """The scenarios of MR1, MR2 and MR6 of a coin as a person says them."""
    name, grid = contracts.coins[coin], contracts.grid
    words = [
        _moved(name, move) + ", vol " + ("down", "same", "up")[direction + 1] + form
        for move, direction, form in zip(
            contracts.price_move[coin].tolist(), grid.vol_direction, grid.vol_form, strict=True
        )
    ]
    extreme = float(contracts.extreme_move[coin])
    return (*words, "time passed", _moved(name, -extreme) + ", extreme", _moved(name, extreme) + ", extreme")


def _moved(name: str, move: float) -> str:
    return f"{name} {100 * move:+.10g}%" if move else f"{name} unchanged"


def explain_unit(
    name: str,
    book: UnitBook,
    contracts: OkxContracts,
    breakdown: OkxBreakdown,
    parameters: OkxParameters,
    unit: int,
    level: Level,
) -> Explanation:
    """The requirement of one unit: initial is a factor on maintenance."""
    maintenance = _maintenance(name, book, contracts, breakdown, parameters, unit)
    if level == "maintenance":
        return maintenance
    return Explanation(
        label=f"initial requirement of {name}",
        value=float(breakdown.initial[unit]),
        unit="USD",
        rule="product",
        parts=(Explanation(label="initial over maintenance", value=parameters.initial_factor), maintenance),
        source=f"{SOURCE}: IMR",
    )


def _maintenance(
    name: str,
    book: UnitBook,
    contracts: OkxContracts,
    breakdown: OkxBreakdown,
    parameters: OkxParameters,
    unit: int,
) -> Explanation:
    in_unit = slice(int(book.holdings.offsets[unit]), int(book.holdings.offsets[unit + 1]))
    in_coin = bool(contracts.in_coin[book.holdings.instrument[in_unit]].any())
    return Explanation(
        label=f"maintenance requirement of {name}",
        value=float(breakdown.maintenance[unit]),
        unit="USD",
        rule="sum",
        parts=(
            Explanation(
                label="stress or minimum charge",
                value=max(float(breakdown.stressed[unit]), float(breakdown.mr7[unit])),
                unit="USD",
                rule="greater of",
                parts=(
                    _stress(book, contracts, breakdown, parameters, unit),
                    _minimum(contracts, breakdown, book, unit),
                ),
                source=f"{SOURCE}: MMR of derivatives",
            ),
            _stablecoins(contracts, breakdown, unit),
        ),
        source=f"{SOURCE}: MMR of a risk unit",
        note=IN_COIN if in_coin else "",
    )


def _stress(
    book: UnitBook, contracts: OkxContracts, breakdown: OkxBreakdown, parameters: OkxParameters, unit: int
) -> Explanation:
    words = scenario_words(contracts, int(book.layout.unit_group[unit]))
    return _figure(
        "stress",
        breakdown.stressed[unit],
        "sum",
        (
            _figure(
                "worst of spot shock, theta decay and extreme move",
                breakdown.worst[unit],
                "greater of",
                (
                    _loss(
                        f"MR1 spot shock, worst in '{words[int(breakdown.mr1_scenario[unit])]}'",
                        breakdown.mr1[unit],
                        book,
                        contracts,
                        contracts.shocked[:, int(breakdown.mr1_scenario[unit])],
                        unit,
                    ),
                    _loss("MR2 theta decay", breakdown.mr2[unit], book, contracts, contracts.decay, unit),
                    _extreme(words, book, contracts, breakdown, parameters, unit),
                ),
            ),
            _by_expiry("MR3 vega risk", "vega for volatility doubling", breakdown.mr3, breakdown.vega, contracts, unit),
            _by_expiry("MR4 basis risk", "delta", breakdown.mr4, breakdown.basis, contracts, unit),
            _rates(breakdown, parameters, unit),
        ),
    )


def _extreme(
    words: Sequence[str],
    book: UnitBook,
    contracts: OkxContracts,
    breakdown: OkxBreakdown,
    parameters: OkxParameters,
    unit: int,
) -> Explanation:
    direction = int(breakdown.extreme_direction[unit])
    loss = _loss(
        f"loss in '{words[len(contracts.grid) + 1 + direction]}'",
        breakdown.extreme_loss[unit],
        book,
        contracts,
        contracts.extreme[:, direction],
        unit,
    )
    counted = Explanation(label="part of the loss that counts", value=parameters.extreme_counted)
    return _figure("MR6 extreme move", breakdown.mr6[unit], "product", (counted, loss))


def _loss(
    label: str, value: float, book: UnitBook, contracts: OkxContracts, gain_of_one: FloatArray, unit: int
) -> Explanation:
    """A loss, made of the largest losing and gaining positions by name, the others together."""
    first, last = int(book.holdings.offsets[unit]), int(book.holdings.offsets[unit + 1])
    instrument = book.holdings.instrument[first:last]
    gain = book.holdings.quantity[first:last] * gain_of_one[instrument]  # the products that the loss is the sum of
    order = np.argsort(gain, kind="stable").tolist()
    named = [k for k in order if gain[k] < 0][:MOST_NAMED]
    named += [k for k in reversed(order) if gain[k] > 0][:MOST_NAMED]
    rest = [k for k in range(last - first) if k not in set(named) and gain[k] != 0]
    stand_ins = {fill.instrument: fill.in_words for fill in contracts.fills}
    parts = [
        Explanation(
            label=f"P&L of {format_quantity(int(book.layout.steps[first + k]))} {contracts.names[int(instrument[k])]}",
            value=float(gain[k]),
            unit="USD",
            note=stand_ins.get(contracts.names[int(instrument[k])], ""),
        )
        for k in named
    ]
    if rest:
        count = f"{len(rest)} other position" + "s" * (len(rest) > 1)
        parts.append(Explanation(label=f"P&L of {count}", value=math.fsum(float(gain[k]) for k in rest), unit="USD"))
    return _figure(label, value, "loss: minus the sum, at least 0", tuple(parts))


def _by_expiry(
    label: str, what: str, charge: FloatArray, ledger: Ledger, contracts: OkxContracts, unit: int
) -> Explanation:
    """A charge that is the sum over expiries of an absolute net figure times a move."""
    charges = ledger.charge
    parts = tuple(
        Explanation(
            label=contracts.expiry_labels[int(ledger.expiry[k])],
            value=float(charges[k]),
            unit="USD",
            rule="product",
            parts=(
                Explanation(
                    label=f"absolute net {what}",
                    value=abs(float(ledger.net[k])),
                    unit="USD",
                    rule="absolute value of the sum",
                    parts=(Explanation(label=f"net {what}", value=float(ledger.net[k]), unit="USD"),),
                ),
                Explanation(label="move", value=float(ledger.shift[k])),
            ),
        )
        for k in range(*np.searchsorted(ledger.unit, (unit, unit + 1)).tolist())
        if charges[k]
    )
    return _figure(label, charge[unit], "sum", parts)


def _rates(breakdown: OkxBreakdown, parameters: OkxParameters, unit: int) -> Explanation:
    parts = tuple(
        Explanation(
            label=f"rate curve, {name}",
            value=abs(float(net)),
            unit="USD",
            rule="absolute value of the sum",
            parts=(Explanation(label="gain when it shifts", value=float(net), unit="USD"),),
        )
        for name, net in zip(parameters.rate_shifts or {}, breakdown.rate_net[unit].tolist(), strict=True)
        if net
    )
    return _figure("MR5 rate risk", breakdown.mr5[unit], "sum", parts)


def _minimum(contracts: OkxContracts, breakdown: OkxBreakdown, book: UnitBook, unit: int) -> Explanation:
    coin = int(book.layout.unit_group[unit])
    parts = _tiers(breakdown.charge_amounts[unit], contracts.charge_tiers, coin, "raw charge", "multiplier")
    return _figure("MR7 minimum charge", breakdown.mr7[unit], "sum", parts)


def _stablecoins(contracts: OkxContracts, breakdown: OkxBreakdown, unit: int) -> Explanation:
    parts = []
    for k, (one, other) in enumerate(PAIRS):
        if not breakdown.pair_charge[unit, k]:
            continue
        assert contracts.ladders is not None
        parts.append(
            _figure(
                f"{one} against {other}, index at {contracts.pair_index[k]:.6g}",
                breakdown.pair_charge[unit, k],
                "sum",
                _tiers(breakdown.hedged_amounts[unit, k], contracts.ladders, k, "hedged", "rate"),
            )
        )
    return _figure("MR9 stablecoin risk", breakdown.mr9[unit], "sum", tuple(parts))


def _tiers(amounts: FloatArray, tiers: TierTable, row: int, what: str, rate: str) -> tuple[Explanation, ...]:
    """One product for each tier that something lies in."""
    return tuple(
        Explanation(
            label=f"tier from {float(tiers.starts[row, k]):,.0f}",
            value=float(amounts[k] * tiers.rates[row, k]),
            unit="USD",
            rule="product",
            parts=(
                Explanation(label=f"{what} in the tier", value=float(amounts[k]), unit="USD"),
                Explanation(label=rate, value=float(tiers.rates[row, k])),
            ),
        )
        for k in np.flatnonzero(amounts > 0).tolist()
    )


def explain_borrowing(book: UnitBook, breakdown: OkxBreakdown, account: int, level: Level) -> tuple[Explanation, ...]:
    """MR8 of an account, once; nothing where it owes nothing."""
    charge = breakdown.mr8_initial if level == "initial" else breakdown.mr8_maintenance
    rate = breakdown.debt_initial if level == "initial" else breakdown.debt_maintenance
    owed = np.flatnonzero((book.cash_account == account) & (breakdown.debt > 0)).tolist()
    if not owed:
        return ()
    parts = tuple(
        Explanation(
            label=f"debt in {book.cash_assets[int(book.cash_asset[k])]}",
            value=float(breakdown.debt[k] * rate[k]),
            unit="USD",
            rule="product",
            parts=(
                Explanation(label="owed", value=float(breakdown.debt[k]), unit="USD"),
                Explanation(label="rate", value=float(rate[k])),
            ),
        )
        for k in owed
    )
    return (_figure("MR8 borrowing", charge[account], "sum", parts),)


def _figure(label: str, value: float, rule: str, parts: tuple[Explanation, ...]) -> Explanation:
    """A node of the calculation; a leaf where nothing makes it up."""
    return Explanation(
        label=label, value=float(value), unit="USD", rule=rule if parts else "", parts=parts, source=_source(label)
    )


def _source(label: str) -> str:
    return f"{SOURCE}: {label.partition(',')[0]}" if label.startswith("MR") else ""
