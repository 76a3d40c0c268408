"""SPAN again, from the rulebook: one net account, plain Python, dictionaries by name.

It shares nothing with the engine but the file as it was read. Where the engine walks numbered months, this walks
periods; where the engine nets with arrays, this adds up positions. Only what the rulebook says is here: no rounding of
deltas, no blocks, no recording.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from crossmargin.methodologies.span.parameters import (
    Across,
    Commodity,
    Kind,
    Leg,
    Method,
    ShortOptions,
    SpanFile,
    Spread,
    Tier,
    WeightedRisk,
    contract_name,
)

PAIR = {**{k: k + 1 for k in range(1, 14, 2)}, **{k: k - 1 for k in range(2, 15, 2)}, 15: 15, 16: 16}


@dataclass
class Position:
    """One contract that is held."""

    row: int
    quantity: float
    period: str
    loss: list[float]
    delta: float


@dataclass
class Unit:
    """One combined commodity of the account."""

    rules: Commodity
    positions: list[Position] = field(default_factory=list)
    loss: list[float] = field(default_factory=lambda: [0.0] * 16)
    scan: float = 0.0
    price_risk: float = 0.0
    left: dict[str, float] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)
    in_spreads: dict[str, float] = field(default_factory=dict)
    calendar: float = 0.0
    spot: float = 0.0
    credit: float = 0.0
    minimum: float = 0.0
    value: float = 0.0
    gone: bool = False
    into: Unit | None = None
    only_long: bool = True

    @property
    def net(self) -> float:
        return sum(self.first.values())


def price_risk_of(loss: list[float]) -> tuple[float, float]:
    """Scan risk and futures price risk of one array."""
    worst = max(loss)
    time = (loss[0] + loss[1]) / 2
    if worst < 0:
        return 0.0, max(0.0, 0.0 - time - (loss[0] - loss[1]) / 2)
    active = loss.index(worst) + 1
    return worst, max(0.0, worst - time - (worst - loss[PAIR[active] - 1]) / 2)


def summed(positions: Iterable[Position]) -> list[float]:
    total = [0.0] * 16
    for one in positions:
        for k in range(16):
            total[k] += one.quantity * one.loss[k]
    return total


def months_between(one: str, other: str) -> int:
    return abs((int(one[:4]) - int(other[:4])) * 12 + int(one[4:6]) - int(other[4:6]))


class Oracle:
    """One account under one file."""

    def __init__(self, file: SpanFile, held: dict[str, float]) -> None:
        self.file = file
        self.units: dict[str, Unit] = {}
        self.listed: dict[str, list[str]] = {one.code: [] for one in file.commodities}
        self.ranges: dict[tuple[str, str], float] = {}
        contracts = file.contracts
        quantity = {name: q for name, q in held.items() if q}
        for row in range(len(contracts)):
            product = file.products[int(contracts.product[row])]
            if product.commodity < 0:
                continue
            rules = file.commodities[product.commodity]
            period = file.periods[int(contracts.delta_period[row])]
            if period not in self.listed[rules.code]:
                self.listed[rules.code].append(period)
            loss = [float(value) for value in contracts.loss[row]]
            if product.kind is Kind.FUT and (loss[12] - loss[10]) > 0:
                scan = (loss[12] - loss[10]) / 2 / float(contracts.delta_scale[row])
                self.ranges.setdefault((rules.code, period), scan)
            if (q := quantity.get(contract_name(file, row))) is None:
                continue
            unit = self.units.setdefault(rules.code, Unit(rules))
            delta = q * float(contracts.delta[row]) * float(contracts.delta_scale[row])
            unit.positions.append(Position(row, q, period, loss, delta))
        for periods in self.listed.values():
            periods.sort()
        for unit in self.units.values():
            self.open(unit)

    def open(self, unit: Unit) -> None:
        """Scan risk, deltas, minimum and option value of one commodity."""
        rules, contracts = unit.rules, self.file.contracts
        groups: dict[Any, list[Position]] = {}
        for one in unit.positions:
            tier: Any = 0
            if rules.scan_tiers:
                tier = next((k for k, t in enumerate(rules.scan_tiers) if t.holds(one.period)), -1)
            elif rules.scan_each_month:
                tier = one.period
            groups.setdefault(tier, []).append(one)
        for members in groups.values():
            scan, risk = price_risk_of(summed(members))
            unit.scan += scan
            unit.price_risk += risk
        unit.loss = summed(unit.positions)
        calls = puts = 0.0
        for one in unit.positions:
            unit.left[one.period] = unit.left.get(one.period, 0.0) + one.delta
            product = self.file.products[int(contracts.product[one.row])]
            right = int(contracts.right[one.row])
            premium = product.kind.is_option and product.premium_style
            if premium:
                unit.value += one.quantity * float(contracts.price[one.row]) * float(contracts.value_factor[one.row])
            if one.quantity < 0 or not premium:
                unit.only_long = False
            if right and one.quantity < 0:
                own = self.file.periods[int(contracts.period[one.row])]
                rate = next((t.rate for t in rules.som_tiers if t.holds(own)), 0.0)
                if right > 0:
                    calls -= one.quantity * rate
                else:
                    puts -= one.quantity * rate
        unit.first = dict(unit.left)
        unit.minimum = max(calls, puts) if rules.short_options is ShortOptions.MAX else calls + puts

    # Months of a leg.

    def in_tier(self, code: str, tier: Tier) -> list[str]:
        return [period for period in self.listed[code] if tier.holds(period)]

    def calendar_months(self, rules: Commodity, leg: Leg) -> list[str]:
        if leg.period:
            return [leg.period] if leg.period in self.listed[rules.code] else []
        if leg.tier:
            return self.in_tier(rules.code, next(t for t in rules.intra_tiers if t.number == leg.tier))
        return list(self.listed[rules.code])

    def tier_of(self, code: str, number: int) -> Tier:
        rules = next(one for one in self.file.commodities if one.code == code)
        return next(t for t in rules.inter_tiers if t.number == number)

    # Spreads.

    def side(self, leg: Leg, long_first: bool) -> int:
        return 1 if (leg.side == "A") == long_first else -1

    def take(self, unit: Unit, months: list[str], sign: int, delta: float, *, before_spot: bool) -> None:
        for period in months:
            have = sign * unit.left.get(period, 0.0)
            taken = min(max(have, 0.0), delta)
            if taken <= 0:
                continue
            unit.left[period] -= sign * taken
            if abs(unit.left[period]) < 1e-9:
                unit.left[period] = 0.0
            if before_spot:
                unit.in_spreads[period] = unit.in_spreads.get(period, 0.0) + taken
            delta -= taken

    def calendars(self, unit: Unit) -> None:
        rules = unit.rules
        for spreads in (rules.series_spreads, rules.tier_spreads):
            for spread in sorted(spreads, key=lambda one: one.priority):
                legs = self.joined([(leg, self.calendar_months(rules, leg)) for leg in spread.legs])
                for long_first in (True, False):
                    counts = []
                    for leg, months, ratio in legs:
                        sign = self.side(leg, long_first)
                        counts.append(sum(max(0.0, sign * unit.left.get(p, 0.0)) for p in months) / ratio)
                    n = min(counts)
                    if n <= 1e-9:
                        continue
                    if spread.method is Method.FLAT:
                        unit.calendar += n * spread.rate
                    elif spread.method is Method.PER_MONTH:
                        firsts = [months[0] for _, months, _ in legs if months]
                        gap = months_between(min(firsts), max(firsts)) if firsts else 0
                        unit.calendar += n * (spread.rate + spread.rate_per_month * gap)
                    else:
                        for leg, _, ratio in legs:
                            rate = spread.rate if leg.rate is None else leg.rate
                            unit.calendar -= self.weighted(unit, None, is_super=False) * n * ratio * rate
                    for leg, months, ratio in legs:
                        self.take(unit, months, self.side(leg, long_first), n * ratio, before_spot=True)

    def joined(self, legs: list[tuple[Leg, list[str]]]) -> list[tuple[Leg, list[str], float]]:
        """The same months on the same side are one leg."""
        found: list[tuple[Leg, list[str], float]] = []
        for leg, months in legs:
            for k, (other, same, ratio) in enumerate(found):
                if (other.commodity, other.side, other.rate) == (leg.commodity, leg.side, leg.rate) and same == months:
                    found[k] = (other, same, ratio + leg.ratio)
                    break
            else:
                found.append((leg, months, leg.ratio))
        return found

    def weighted(self, unit: Unit, tier: Tier | None, *, is_super: bool) -> float:
        net, risk = unit.net, unit.price_risk
        if tier is not None:
            inside = [one for one in unit.positions if tier.holds(one.period)]
            net = sum(delta for period, delta in unit.first.items() if tier.holds(period))
            risk = price_risk_of(summed(inside))[1] if inside else 0.0
        of_delta = risk / abs(net) if net else 0.0
        kind = unit.rules.weighted_risk
        if kind is not WeightedRisk.NORMAL:
            for period in sorted(unit.first):
                scan = self.ranges.get((unit.rules.code, period))
                if unit.first[period] and scan:
                    of_delta = min(of_delta, scan) if kind is WeightedRisk.SCAN_RANGE_CAP else scan
                    break
        if is_super and unit.net:
            of_delta = min(of_delta, unit.scan / abs(unit.net))
        return of_delta

    def between(self, spreads: Iterable[Spread], *, is_super: bool) -> None:
        for spread in spreads:
            if any(leg.commodity not in self.listed for leg in spread.legs):
                continue
            if spread.method is Method.SCANNING:
                self.scan_together(spread)
                continue
            whole = [(leg, self.listed[leg.commodity], None) for leg in spread.legs]
            if spread.across is Across.EACH_TIER:
                limit = max(self.count(whole, True), self.count(whole, False))
                numbers = set.intersection(
                    *({t.number for t in self.rules(leg.commodity).inter_tiers} for leg in spread.legs)
                )
                for number in sorted(numbers):
                    legs = [self.tiered(leg, number) for leg in spread.legs]
                    limit -= self.form(spread, legs, limit, is_super=is_super)
            elif spread.across is Across.SAME_MONTH:
                for period in list(self.listed[spread.legs[0].commodity]):
                    legs = [(leg, self.beside(leg.commodity, period), None) for leg in spread.legs]
                    self.form(spread, legs, math.inf, is_super=is_super)
            else:
                legs = [self.tiered(leg, leg.tier) if leg.tier else one
                        for leg, one in zip(spread.legs, whole, strict=True)]  # fmt: skip
                self.form(spread, legs, math.inf, is_super=is_super)

    def rules(self, code: str) -> Commodity:
        return next(one for one in self.file.commodities if one.code == code)

    def tiered(self, leg: Leg, number: int) -> tuple[Leg, list[str], Tier | None]:
        tier = self.tier_of(leg.commodity, number)
        return leg, self.in_tier(leg.commodity, tier), tier

    def beside(self, code: str, period: str) -> list[str]:
        if period in self.listed[code]:
            return [period]
        return [one for one in self.listed[code] if months_between(one, period) <= 1]

    def count(self, legs: list[tuple[Leg, list[str], Tier | None]], long_first: bool) -> float:
        n = math.inf
        for leg, months, _ in legs:
            unit = self.units.get(leg.commodity)
            if unit is None:
                return 0.0
            net = sum(unit.left.get(period, 0.0) for period in months)
            n = min(n, max(0.0, self.side(leg, long_first) * net) / leg.ratio)
        return n

    def form(
        self,
        spread: Spread,
        legs: list[tuple[Leg, list[str], Tier | None]],
        limit: float,
        *,
        is_super: bool,
    ) -> float:
        formed = 0.0
        for long_first in (True, False):
            n = min(self.count(legs, long_first), limit - formed)
            if n <= 1e-9:
                continue
            formed += n
            for leg, _, tier in legs:
                unit = self.units[leg.commodity]
                rate = spread.rate if leg.rate is None else leg.rate
                if spread.method is Method.FLAT_CREDIT:
                    unit.credit += n * spread.rate / len(legs)
                else:
                    unit.credit += self.weighted(unit, tier, is_super=is_super) * n * leg.ratio * rate
            for leg, months, _ in legs:
                sign = self.side(leg, long_first)
                self.take(self.units[leg.commodity], months, sign, n * leg.ratio, before_spot=is_super)
        return formed

    def scan_together(self, spread: Spread) -> None:
        assert spread.target is not None
        code = spread.target.commodity

        def here(commodity: str) -> bool:
            unit = self.units.get(commodity)
            return unit is not None and not unit.gone

        if spread.target.required and not here(code):
            return
        legs = [leg for leg in spread.legs if leg.commodity != code]
        if any(leg.required and not here(leg.commodity) for leg in spread.legs):
            return
        present = [leg for leg in legs if here(leg.commodity)]
        if len(present) + here(code) < max(2, spread.minimum_legs):
            return
        target = self.units.get(code)
        if target is None or target.gone:
            target = Unit(self.rules(code))
            self.units[code] = target

        def counted(loss: float) -> float:
            return loss if loss > 0 else spread.rate * loss

        target.loss = [counted(value) for value in target.loss]
        for leg in present:
            unit = self.units[leg.commodity]
            for k in range(16):
                target.loss[k] += counted(unit.loss[k])
            for period, delta in unit.left.items():
                months = self.listed[code]
                place = next((p for p in months if p >= period), months[-1])
                moved = delta * spread.target.ratio / leg.ratio
                target.left[place] = target.left.get(place, 0.0) + moved
                target.first[place] = target.first.get(place, 0.0) + moved
            target.calendar += unit.calendar
            target.spot += unit.spot
            target.credit += unit.credit
            target.minimum += unit.minimum
            target.value += unit.value
            target.only_long = target.only_long and unit.only_long
            unit.gone, unit.left, unit.into = True, {}, target
        target.scan, target.price_risk = price_risk_of(target.loss)


def span_oracle(file: SpanFile, held: dict[str, float], *, inside: bool = True) -> dict[str, dict[str, float]]:
    """Figures of each combined commodity of one net account, before account types and rounding."""
    account = Oracle(file, held)
    account.between(file.super_spreads, is_super=True)
    for unit in account.units.values():
        if not unit.gone:
            account.calendars(unit)
    # What super spreads took of a leg is delivered from its own months, also where a target stands for it since.
    for unit in account.units.values():
        rates = {one.period: one for one in unit.rules.spot_rates}
        bearer = unit
        while bearer.into is not None:
            bearer = bearer.into
        for period in {*unit.first}:
            if (rate := rates.get(period)) is not None:
                bearer.spot += unit.in_spreads.get(period, 0.0) * rate.spread_rate
                bearer.spot += abs(unit.left.get(period, 0.0)) * rate.outright_rate
    account.between((*file.inter_spreads, *file.interclear_spreads), is_super=False)
    answer = {}
    for code, unit in account.units.items():
        if unit.gone:
            continue
        before = unit.scan + unit.calendar + unit.spot
        if inside:
            risk = max(before - unit.credit, unit.minimum)
        else:
            risk = max(0.0, max(before, unit.minimum) - unit.credit)
        answer[code] = {
            "scan_risk": unit.scan,
            "charges": unit.calendar + unit.spot,
            "credit": unit.credit,
            "minimum": unit.minimum,
            "price_risk": unit.price_risk,
            "option_value": unit.value,
            "risk": risk,
        }
    return answer
