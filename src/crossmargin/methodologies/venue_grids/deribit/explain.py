"""Breakdown of a unit to explanation: arranged from the kept figures, in the currency that the unit is margined in."""

from __future__ import annotations

import math

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.venue_grids.deribit.contracts import DOLLAR, DeribitContracts
from crossmargin.methodologies.venue_grids.deribit.parameters import DeribitParameters
from crossmargin.methodologies.venue_grids.deribit.recipe import DeribitBreakdown

SOURCE = "deribit-pm"
MOST_NAMED = 5
"""Losing and gaining positions that are named, each; the others stand together."""


def scenario_words(contracts: DeribitContracts, group: int) -> tuple[str, ...]:
    """The scenarios of a group as a person says them: `BTC -16%, vol up`; of the set as parts of each range."""
    said = _set_words if group == contracts.set_group else _words
    pair = contracts.group_pairs[group][0]
    return tuple(said(contracts, pair, scenario) for scenario in range(len(contracts.vol_direction)))


def _words(contracts: DeribitContracts, pair: int, scenario: int) -> str:
    name, move = contracts.pairs[pair].underlying, float(contracts.price_move[pair, scenario])
    words = f"{name} {100 * move:+.10g}%" if move else f"{name} unchanged"
    words += f", {_vol(contracts, scenario)}"
    if contracts.extended[scenario]:
        words += f", {100 * contracts.weight[pair, scenario]:.3g}% counted"
    return words


def _set_words(contracts: DeribitContracts, pair: int, scenario: int) -> str:
    """What is the same for every underlying of the set, whoever holds it."""
    move = float(contracts.price_move[pair, scenario])
    if contracts.extended[scenario]:
        return f"prices {100 * move:+.10g}%, {_vol(contracts, scenario)}, a part counted"
    part = 100 * move / float(contracts.price_move[pair, ~contracts.extended].max())
    price = f"prices {part:+.6g}% of their range" if move else "prices unchanged"
    return f"{price}, {_vol(contracts, scenario)}"


def _vol(contracts: DeribitContracts, scenario: int) -> str:
    return ("vol down", "vol same", "vol up")[int(contracts.vol_direction[scenario]) + 1]


def explain_unit(
    name: str,
    book: UnitBook,
    contracts: DeribitContracts,
    breakdown: DeribitBreakdown,
    parameters: DeribitParameters,
    unit: int,
    level: Level,
) -> Explanation:
    """The requirement of one unit: risk matrix margin, times a factor for maintenance, in dollars at the index."""
    tree = _Unit(book, contracts, breakdown, unit).risk_matrix()
    label = f"{level} requirement of {name}"
    if level == "maintenance":
        tree = Explanation(
            label="maintenance margin" if tree.unit != DOLLAR else label,
            value=float(breakdown.maintenance_margin[unit]),
            unit=tree.unit,
            rule="product",
            parts=(Explanation(label="maintenance over initial", value=parameters.mm_factor), tree),
            source=f"{SOURCE}: maintenance margin",
        )
    if tree.unit == DOLLAR:
        return tree if level == "maintenance" else _named(tree, label)
    of_level = breakdown.requirement_initial if level == "initial" else breakdown.requirement_maintenance
    price = Explanation(label=f"index price of {tree.unit}", value=float(breakdown.in_usd[unit]), unit=DOLLAR)
    return Explanation(
        label=label,
        value=float(of_level[unit]),
        unit=DOLLAR,
        rule="product",
        parts=(price, tree),
        source=f"{SOURCE}: margined in {tree.unit}, shown in dollars",
    )


def _named(tree: Explanation, label: str) -> Explanation:
    """A node under a name, where it would otherwise be said twice."""
    return Explanation(
        label=label, value=tree.value, unit=tree.unit, rule=tree.rule, parts=tree.parts, source=tree.source
    )


class _Unit:
    """One unit's figures, and the nodes that they make."""

    def __init__(self, book: UnitBook, contracts: DeribitContracts, breakdown: DeribitBreakdown, unit: int) -> None:
        self.book, self.contracts, self.b, self.unit = book, contracts, breakdown, unit
        self.group = int(book.layout.unit_group[unit])
        self.currency = contracts.currency_of(self.group)
        by_pair = breakdown.units.by_pair
        self.pairs = range(int(by_pair.unit_offsets[unit]), int(by_pair.unit_offsets[unit + 1]))
        self.together = not bool(book.gross[book.unit_account[unit]])

    def node(self, label: str, value: float, rule: str = "", *parts: Explanation, source: str = "") -> Explanation:
        """A figure in the unit's currency; a leaf where nothing makes it up."""
        return Explanation(
            label=label,
            value=float(value),
            unit=self.currency,
            rule=rule if parts else "",
            parts=parts,
            source=f"{SOURCE}: {source}" if source else "",
        )

    def coins(self, label: str, value: float, rule: str = "", *parts: Explanation) -> Explanation:
        """A number of coins."""
        return Explanation(label=label, value=float(value), unit=self._coin(), rule=rule if parts else "", parts=parts)

    def _coin(self) -> str:
        names = {self.contracts.pairs[k].underlying for k in self.contracts.group_pairs[self.group]}
        return names.pop() if len(names) == 1 else "coins"

    def risk_matrix(self) -> Explanation:
        """Everything that the positions are charged."""
        return self.node(
            "risk matrix margin",
            self.b.risk_matrix_margin[self.unit],
            "sum",
            self.worst_case(),
            self.roll(),
            self.delta(),
            source="risk matrix margin",
        )

    def worst_case(self) -> Explanation:
        """The loss in the scenario that counts, pair by pair where there are several."""
        worst, value = self.b.worst_case, float(self.b.worst_case.loss[self.unit])
        if not value:
            return self.node("worst case: no scenario loses", value, source="worst case")
        losses = [self.loss(k) for k in self.pairs]
        if len(losses) == 1:
            return losses[0]
        if not self.together:
            return self.node("worst case of every pair, each its own", value, "sum", *losses, source="worst case")
        words = _set_words(self.contracts, self.contracts.group_pairs[self.group][0], int(worst.scenario[self.unit]))
        return self.node(f"worst case, in '{words}'", value, "sum, at least 0", *losses, source="worst case")

    def loss(self, k: int) -> Explanation:
        """What a pair loses in its scenario, negative for a gain that counts."""
        worst, scenario = self.b.worst_case, int(self.b.worst_case.pair_scenario[k])
        pair = int(self.b.units.by_pair.label[k])
        words = _words(self.contracts, pair, scenario)
        shared, counted = float(worst.pair_offset[k]), float(worst.pair_counted[k])
        dampener = float(self.contracts.dampener[pair, scenario])
        label = f"worst case, in '{words}'" if len(self.pairs) == 1 else f"loss in '{words}'"
        if shared <= 0:
            loss = self.before(k, scenario, "loss: minus the sum, at least 0", -shared, label)
            if not dampener:
                return loss
            before = self.node("loss before the dampener", loss.value, loss.rule, *loss.parts)
            return self.node(
                label, -counted + 0.0, "sum, at least 0", before, self.node("extended dampener", -dampener)
            )
        gain = self.node(
            "share of the gain" if dampener else label,
            -shared,
            "share of the gain, at most the cap: minus min(first x second, third)",
            self.before(k, scenario, "sum", float(worst.pair_pnl[k]), "gain"),
            Explanation(label="share that counts", value=float(self.contracts.share[pair])),
            self.node("at most", self.contracts.cap[pair, scenario]),
        )
        if not dampener:
            return gain
        less = self.node("less the dampener", -shared + dampener, "sum", gain, self.node("extended dampener", dampener))
        return self.node(label, -counted + 0.0, "lesser of", self.node("at most nothing", 0.0), less)

    def before(self, k: int, scenario: int, rule: str, value: float, label: str) -> Explanation:
        """The P&L of a pair, made of the largest losing and gaining positions by name, the others together."""
        book, held = self.book, self.book.holdings
        first, last = int(held.offsets[self.unit]), int(held.offsets[self.unit + 1])
        rows = [at for at in range(first, last) if int(self.b.units.by_pair.of_position[at]) == k]
        gain = {  # the products that the P&L is the sum of
            at: float(held.quantity[at] * self.contracts.unit_pnl[int(held.instrument[at]), scenario]) for at in rows
        }
        order = sorted((at for at in rows if gain[at]), key=lambda at: gain[at])
        named = [at for at in order if gain[at] < 0][:MOST_NAMED]
        named += [at for at in reversed(order) if gain[at] > 0][:MOST_NAMED]
        stand_ins = {fill.instrument: fill.in_words for fill in self.contracts.fills}
        parts = [
            Explanation(
                label=f"P&L of {format_quantity(int(book.layout.steps[at]))} "
                f"{self.contracts.names[int(held.instrument[at])]}",
                value=gain[at],
                unit=self.currency,
                note=stand_ins.get(self.contracts.names[int(held.instrument[at])], ""),
            )
            for at in named
        ]
        rest = [at for at in order if at not in set(named)]
        if rest:
            count = f"{len(rest)} other position" + "s" * (len(rest) > 1)
            parts.append(self.node(f"P&L of {count}", math.fsum(gain[at] for at in rest)))
        return self.node(label, value + 0.0, rule, *parts, source="worst case")

    def roll(self) -> Explanation:
        """Roll shock, expiry by expiry."""
        ledger = self.b.roll
        charge = ledger.charge
        parts = []
        for k in range(*np.searchsorted(ledger.unit, (self.unit, self.unit + 1)).tolist()):
            if not charge[k]:
                continue
            net = self.coins("net delta", ledger.net[k])
            size = self.coins("absolute net delta", abs(ledger.net[k]), "absolute value of the sum", net)
            factors = [size, Explanation(label="basis move", value=float(ledger.move[k]))]
            if self.currency == DOLLAR:
                factors.append(self.node("index price", ledger.coin_value[k]))
            label = f"roll of {self.contracts.expiry_labels[int(ledger.expiry[k])]}"
            parts.append(self.node(label, charge[k], "product", *factors))
        return self.node("roll shock", self.b.roll_shock[self.unit], "sum", *parts, source="roll shock")

    def delta(self) -> Explanation:
        """Delta shock, pair by pair."""
        ledger = self.b.delta
        charge = ledger.charge
        parts = [self._shocked(k, float(charge[k])) for k in self.pairs if charge[k]]
        return self.node("delta shock", self.b.delta_shock[self.unit], "sum", *parts, source="delta shock (inferred)")

    def _shocked(self, k: int, charge: float) -> Explanation:
        ledger, contracts = self.b.delta, self.contracts
        pair = int(self.b.units.by_pair.label[k])
        delta, others = float(ledger.delta[k]), float(ledger.others[k])
        size = self.coins(
            "delta that is shocked",
            abs(delta),
            "absolute value of the sum",
            self.coins("delta of futures, perpetuals and sold options", others),
            self.coins("less by bought options", delta - others),
        )
        above = self.coins(
            "above the threshold",
            max(0.0, abs(delta) - float(contracts.threshold_coins[pair])),
            "sum, at least 0",
            self.coins("delta", abs(delta)),
            self.coins("threshold", -float(contracts.threshold_coins[pair])),
        )
        rising = Explanation(
            label="move for its size",
            value=float(contracts.m_inc[pair]) * above.value,
            rule="product",
            parts=(Explanation(label="move for one coin", value=float(contracts.m_inc[pair])), above),
        )
        rate = Explanation(
            label="relative move",
            value=float(ledger.rate[k]),
            rule="lesser of",
            parts=(rising, Explanation(label="the largest", value=float(contracts.max_shock[pair]))),
        )
        factors = [size, rate]
        if self.currency == DOLLAR:
            factors.append(self.node("index price", ledger.coin_value[k]))
        return self.node(f"delta shock of {contracts.pairs[pair]}", charge, "product", *factors)
