"""Breakdown to explanation: the 16 losses, each spread with the delta that it consumed, each credit. It arranges only.

A leg's credit is its weighted price risk times the delta that the spread took times the rate: where the file caps or
replaces the weighted price risk, the figure stands with a note, for the ledger keeps what it paid and not how.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.methodologies.protocol import Level
from crossmargin.methodologies.span.book import SpanBook
from crossmargin.methodologies.span.parameters import Leg, Method, Spread
from crossmargin.methodologies.span.policy import CreditPlace
from crossmargin.methodologies.span.recipe import SpanBreakdown
from crossmargin.portfolio.book import CustomerType

SOURCE = "cme-span"
MOST_NAMED = 12
"""Positions named in the active scenario; the others are one line."""


def explain_account(
    account: str, index: int, book: SpanBook, breakdown: SpanBreakdown, pnl_worst: np.ndarray, level: Level
) -> Explanation:
    """The requirement of one margin account at a level, as a tree."""
    first, last = book.layout.account_offsets[index : index + 2].tolist()
    view = _View(book, breakdown, pnl_worst, level)
    units = [u for u in range(first, last) if breakdown.ledger.stands_in[u] == u]
    parts = tuple(view.unit(u) for u in units)
    values = breakdown.account_initial if level == "initial" else breakdown.account_maintenance
    credit = breakdown.account_credit_initial if level == "initial" else breakdown.account_credit_maintenance
    value, currency = float(values[index]), view.answer_currency
    total = max(0.0, value - float(credit[index]))
    return Explanation(
        label=f"{level} requirement of {account}",
        value=value,
        unit=currency,
        rule="sum" if parts else "",
        parts=parts,
        source=f"{SOURCE}: risk before option value",
        note=f"option value that counts {credit[index]:,.2f}, total after it {total:,.2f} {currency}"
        if credit[index]
        else "",
    )


class _View:
    """The figures of one book, unit by unit."""

    def __init__(self, book: SpanBook, breakdown: SpanBreakdown, pnl_worst: np.ndarray, level: Level) -> None:
        self.book, self.breakdown, self.level = book, breakdown, level
        self.model = book.contracts.model
        self.answer_currency = self.model.currency
        self.pnl_worst = pnl_worst

    def unit(self, u: int) -> Explanation:
        """The requirement of one unit in the currency of the answer."""
        own = self._requirement(u)
        rate = float(self.model.rate_of[self.book.commodity[u]])
        if rate == 1.0 and own.unit == self.answer_currency:
            return own
        return Explanation(
            label=f"{own.label} in {self.answer_currency}",
            value=own.value * rate,
            unit=self.answer_currency,
            rule="product",
            parts=(own, Explanation(label=f"{self.answer_currency} for one {own.unit}", value=rate)),
            source=f"{SOURCE}: conversion rates of the file",
        )

    def _currency(self, u: int) -> str:
        return self.model.file.commodities[int(self.book.commodity[u])].currency

    def _requirement(self, u: int) -> Explanation:
        levels, currency, name = self.breakdown.levels, self._currency(u), self.book.unit_name(u)
        maintenance = self._level(
            f"maintenance requirement of {name}",
            self._risk(u),
            "adjustment",
            float(levels.adjustment[u]),
            float(levels.maintenance_raw[u]),
            u,
        )
        found = maintenance
        if self.level == "initial":
            found = self._level(
                f"initial requirement of {name}",
                maintenance,
                "initial ratio",
                float(levels.ratio[u]),
                float(levels.initial_raw[u]),
                u,
            )
        value = float((levels.initial if self.level == "initial" else levels.maintenance)[u])
        if levels.only_long[u]:
            found = Explanation(
                label=f"requirement of {name}, which holds only long options",
                value=value,
                unit=currency,
                rule="lesser of",
                parts=(
                    found,
                    Explanation(label="their value", value=float(levels.option_value[u]), unit=currency),
                ),
                source=f"{SOURCE}: long options need no more than they are worth",
            )
        if levels.exposure[u]:
            found = Explanation(
                label=f"{name} with exposure margin",
                value=found.value + float(levels.exposure[u]),
                unit=currency,
                rule="sum",
                parts=(
                    found,
                    Explanation(
                        label="exposure margin of futures and short options",
                        value=float(levels.exposure[u]),
                        unit=currency,
                        source=f"house policy {self.model.policy.name}",
                    ),
                ),
            )
        return found

    def _level(self, label: str, below: Explanation, what: str, factor: float, value: float, u: int) -> Explanation:
        """`below` times a factor of the account type, rounded as the house does; `below` itself where neither acts."""
        decimals = self.model.policy.requirement_decimals
        who = tuple(CustomerType)[int(self.book.customer[u])].value
        if factor == 1.0 and decimals is None:
            return below
        product, exact = below, below.value * factor
        is_rounded = decimals is not None and exact != value
        if factor != 1.0:
            product = Explanation(
                label=f"{label}, unrounded" if is_rounded else label,
                value=exact,
                unit=below.unit,
                rule="product",
                parts=(below, Explanation(label=f"{what} of a {who}", value=factor, source=self.model.file.source)),
                source=f"{SOURCE}: account types",
            )
        if decimals is None or not is_rounded:
            return product
        return Explanation(
            label=label,
            value=value,
            unit=below.unit,
            rule="first to as many decimals as second",
            parts=(product, Explanation(label="decimals", value=float(decimals))),
            source=f"house policy {self.model.policy.name}",
        )

    def _risk(self, u: int) -> Explanation:
        """Scan risk, charges and credits against the short option minimum."""
        breakdown, currency, name = self.breakdown, self._currency(u), self.book.unit_name(u)
        scan = self._scan(u)
        group = self._group(u)
        charges = [
            part
            for part in (self._spreads(group, True, currency), self._spot(group, currency))
            if part.value or part.parts
        ]
        credit = self._spreads(group, False, currency)
        credits = [credit] if credit.parts else []
        minimum = self._minimum(group, u, currency)
        inside = self.model.policy.credit is CreditPlace.INSIDE
        before = [scan, *charges, *(credits if inside else [])]
        risk = before[0]
        if len(before) > 1:
            risk = Explanation(
                label=f"scan risk, charges{' and credits' if inside and credits else ''} of {name}",
                value=sum(part.value for part in before),
                unit=currency,
                rule="sum",
                parts=tuple(before),
            )
        found = Explanation(
            label=f"risk of {name}",
            value=float(breakdown.levels.risk[u]) if inside or not credits else max(risk.value, minimum.value),
            unit=currency,
            rule="greater of",
            parts=(risk, minimum),
            source=f"{SOURCE}: SPAN requirement of a combined commodity",
        )
        if credits and not inside:
            found = Explanation(
                label=f"risk of {name} after credit",
                value=float(breakdown.levels.risk[u]),
                unit=currency,
                rule="sum, at least 0",
                parts=(found, *credits),
                source=f"house policy {self.model.policy.name}",
            )
        return found

    def _group(self, u: int) -> list[int]:
        """The unit, and those that were scanned into it."""
        return np.flatnonzero(self.breakdown.ledger.stands_in == u).tolist()

    def _scan(self, u: int) -> Explanation:
        """Scan risk as the largest of 16 losses, by scanning tier where there are several."""
        ledger, currency = self.breakdown.ledger, self._currency(u)
        scenarios = self.model.file.scenarios
        group = self._group(u)
        rows = [] if len(group) > 1 else np.flatnonzero(self.book.scan_unit == u).tolist()
        if len(rows) > 1:
            parts = tuple(
                self._losses(
                    f"scanning tier {n + 1}",
                    float(self.breakdown.scanned.scan_risk[row]),
                    self.breakdown.loss[row],
                    int(self.breakdown.scanned.scenario[row]),
                    currency,
                    (),
                )
                for n, row in enumerate(rows)
            )
            return Explanation(
                label=f"scan risk of {self.book.unit_name(u)}",
                value=float(ledger.scan_risk[u]),
                unit=currency,
                rule="sum",
                parts=parts,
                source=f"{SOURCE}: scanning tiers",
            )
        scenario = int(ledger.scenario[u])
        positions = self._positions(u, currency) if len(group) == 1 else ()
        with_others = ", ".join(self.book.unit_name(other) for other in group if other != u)
        return self._losses(
            f"scan risk of {self.book.unit_name(u)}, worst in '{scenario + 1}: {scenarios.words(scenario)}'",
            float(ledger.scan_risk[u]),
            ledger.loss[u],
            scenario,
            currency,
            positions,
            note=f"scanned together with {with_others}" if with_others else "",
        )

    def _losses(
        self,
        label: str,
        scan_risk: float,
        loss: np.ndarray,
        active: int,
        currency: str,
        positions: tuple[Explanation, ...],
        note: str = "",
    ) -> Explanation:
        scenarios = self.model.file.scenarios
        return Explanation(
            label=label,
            value=scan_risk,
            unit=currency,
            rule="largest, at least 0",
            parts=tuple(
                Explanation(
                    label=f"loss in {s + 1}: {scenarios.words(s)}",
                    value=float(loss[s]),
                    unit=currency,
                    rule="sum" if s == active and positions else "",
                    parts=positions if s == active else (),
                    note="active" if s == active else "",
                )
                for s in range(len(loss))
            ),
            source=f"{SOURCE}: scan risk",
            note=note,
        )

    def _positions(self, u: int, currency: str) -> tuple[Explanation, ...]:
        """What each position loses in the active scenario: the largest by name, the others together."""
        held = self.book.holdings
        first, last = int(held.offsets[u]), int(held.offsets[u + 1])
        rate = float(self.model.rate_of[self.book.commodity[u]])
        loss = -self.pnl_worst[first:last] / rate
        order = np.argsort(-np.abs(loss), kind="stable")
        names = self.book.contracts.names
        parts = [
            Explanation(
                label=f"loss of {format_quantity(int(self.book.layout.steps[first + k]))} "
                f"{names[int(held.instrument[first + k])]}",
                value=float(loss[k]) + 0.0,
                unit=currency,
            )
            for k in order[:MOST_NAMED].tolist()
        ]
        rest = order[MOST_NAMED:]
        if len(rest):
            count = f"{len(rest)} other position" + ("s" if len(rest) > 1 else "")
            parts.append(Explanation(label=f"loss of {count}", value=float(np.sum(loss[rest])), unit=currency))
        return tuple(parts)

    def _formed(self, group: list[int], calendar: bool) -> Iterator[tuple[int, int, list[int]]]:
        """Spreads that took delta of a unit, calendar spreads or the others, with the entries that did."""
        ledger, rules = self.breakdown.ledger, self.model.rules
        n_entries = int(ledger.n_recorded[1])
        mine = np.isin(self.book.month_unit[ledger.entry_month[:n_entries]], group)
        offsets = rules.ledger.calendar_offsets
        for formed in np.unique(ledger.entry_formed[:n_entries][mine]).tolist():
            number = int(ledger.formed_spread[formed])
            if (offsets[0] <= number < offsets[-1]) == calendar:
                entries = np.flatnonzero(mine & (ledger.entry_formed[:n_entries] == formed)).tolist()
                yield formed, number, entries

    def _spreads(self, group: list[int], calendar: bool, currency: str) -> Explanation:
        """Calendar charges, or credits of spreads with other commodities (negative)."""
        ledger = self.breakdown.ledger
        parts = [
            self._spread(formed, number, entries, calendar, currency)
            for formed, number, entries in self._formed(group, calendar)
        ]
        if calendar:
            label, value = "intracommodity spread charge", float(ledger.calendar_charge[group].sum())
        else:
            label, value = "intercommodity spread credit", -float(self.breakdown.credit[group].sum())
        return Explanation(
            label=label,
            value=value + 0.0,
            unit=currency,
            rule="sum" if parts else "",
            parts=tuple(parts),
            source=f"{SOURCE}: {label}",
        )

    def _spread(self, formed: int, number: int, entries: list[int], calendar: bool, currency: str) -> Explanation:
        ledger, spread = self.breakdown.ledger, self.model.rules.spreads[number]
        count, side = float(ledger.formed_count[formed]), int(ledger.formed_side[formed])
        money = sum(float(ledger.entry_money[k]) for k in entries)
        label = f"{_count_text(count)} x spread {spread.priority}: {_legs_text(spread, side)}"
        if spread.method is Method.SCANNING:
            return Explanation(
                label=f"spread {spread.priority}: scanned together in {spread.target and spread.target.commodity}",
                value=money + 0.0,
                unit=currency,
                note=self._consumed(entries),
            )
        if calendar and spread.method in (Method.FLAT, Method.PER_MONTH):
            return Explanation(
                label=label,
                value=float(ledger.formed_money[formed]),
                unit=currency,
                rule="product",
                parts=(
                    Explanation(label="spreads", value=count, note=self._consumed(entries)),
                    Explanation(label="rate", value=float(ledger.formed_money[formed]) / count, unit=currency),
                ),
            )
        taken = sum(abs(float(ledger.entry_delta[k])) for k in entries)
        if spread.method is Method.WEIGHTED and not calendar and spread.rate and taken:
            rate = next(
                (leg.rate for leg in spread.legs if leg.rate is not None and self._is_of(leg, entries)), spread.rate
            )
            return Explanation(
                label=label,
                value=money + 0.0,
                unit=currency,
                rule="minus the product",
                parts=(
                    self._weighted(entries, money, taken, rate, currency),
                    Explanation(label="delta consumed", value=taken, note=self._consumed(entries)),
                    Explanation(label="credit rate", value=rate),
                ),
            )
        return Explanation(label=label, value=money + 0.0, unit=currency, note=self._consumed(entries))

    def _is_of(self, leg: Leg, entries: list[int]) -> bool:
        unit = int(self.book.month_unit[self.breakdown.ledger.entry_month[entries[0]]])
        return self.model.file.commodities[int(self.book.commodity[unit])].code == leg.commodity

    def _weighted(self, entries: list[int], money: float, taken: float, rate: float, currency: str) -> Explanation:
        """Weighted futures price risk: with its parts where it is price risk over the whole net delta."""
        ledger = self.breakdown.ledger
        unit = int(self.book.month_unit[ledger.entry_month[entries[0]]])
        of_delta = -money / (taken * rate)
        delta, risk = abs(float(ledger.original_delta[unit])), float(ledger.price_risk[unit])
        label = f"weighted futures price risk of {self.book.unit_name(unit)}"
        if not delta or abs(risk / delta - of_delta) > 1e-9 * abs(of_delta):
            return Explanation(
                label=label, value=of_delta, unit=currency, note="as the file caps it, or of a tier alone"
            )
        return Explanation(
            label=label,
            value=of_delta,
            unit=currency,
            rule="first over second",
            parts=(
                Explanation(
                    label="futures price risk",
                    value=risk,
                    unit=currency,
                    rule="sum, at least 0",
                    parts=(
                        Explanation(label="scan risk", value=float(ledger.scan_risk[unit]), unit=currency),
                        Explanation(label="less time risk", value=0.0 - float(ledger.time_risk[unit]), unit=currency),
                        Explanation(
                            label="less volatility risk", value=0.0 - float(ledger.vol_risk[unit]), unit=currency
                        ),
                    ),
                ),
                Explanation(label="absolute net delta before spreads", value=delta),
            ),
            source=f"{SOURCE}: weighted futures price risk",
        )

    def _consumed(self, entries: list[int]) -> str:
        """Which delta a spread took, month by month."""
        ledger, periods = self.breakdown.ledger, self.model.rules.month_period
        parts = []
        for k in entries:
            month = int(ledger.entry_month[k])
            unit = int(self.book.month_unit[month])
            period = periods[int(self.book.month[month])] or "spot"
            parts.append(f"{float(ledger.entry_delta[k]):+,.4f} of {self.book.unit_name(unit)} {period}")
        return "delta " + ", ".join(parts)

    def _spot(self, group: list[int], currency: str) -> Explanation:
        ledger, rules = self.breakdown.ledger, self.model.rules.ledger
        parts = []
        for k in np.flatnonzero(np.isin(self.book.month_unit, group)).tolist():
            month = int(self.book.month[k])
            period = self.model.rules.month_period[month] or "spot"
            outright = max(0.0, abs(float(ledger.original[k])) - float(ledger.consumed[k]))
            for what, delta, rate in (
                ("in spreads", float(ledger.consumed[k]), float(rules.spot_spread_rate[month])),
                ("outright", outright, float(rules.spot_outright_rate[month])),
            ):
                if delta and rate:
                    parts.append(
                        Explanation(
                            label=f"delivery charge of {period} {what}",
                            value=delta * rate,
                            unit=currency,
                            rule="product",
                            parts=(
                                Explanation(label="delta", value=delta),
                                Explanation(label="rate", value=rate, unit=currency),
                            ),
                        )
                    )
        return Explanation(
            label="delivery-month charge",
            value=float(ledger.spot_charge[group].sum()),
            unit=currency,
            rule="sum" if parts else "",
            parts=tuple(parts),
            source=f"{SOURCE}: delivery-month charge",
        )

    def _minimum(self, group: list[int], u: int, currency: str) -> Explanation:
        contracts, held = self.book.contracts, self.book.short
        parts = []
        for unit in group:
            for k in range(int(held.offsets[unit]), int(held.offsets[unit + 1])):
                instrument = int(held.instrument[k])
                rate = float(contracts.som_call[instrument] + contracts.som_put[instrument])
                if held.quantity[k] and rate:
                    parts.append(
                        Explanation(
                            label=f"{held.quantity[k]:g} short {contracts.names[instrument]}",
                            value=float(held.quantity[k]) * rate,
                            unit=currency,
                        )
                    )
        value = float(self.breakdown.short_option_minimum[u])
        whole = sum(part.value for part in parts)
        plain = abs(whole - value) <= 1e-9 * max(1.0, abs(value))
        return Explanation(
            label=f"short option minimum of {self.book.unit_name(u)}",
            value=value,
            unit=currency,
            rule="sum" if parts and plain else "",
            parts=tuple(parts) if plain else (),
            source=f"{SOURCE}: short option minimum",
            note="" if plain else "only the larger of calls and puts counts",
        )


def _count_text(count: float) -> str:
    return f"{count:,.4f}".rstrip("0").rstrip(".")


def _legs_text(spread: Spread, side: int) -> str:
    """Legs of a spread with the side of the market that each was on."""
    words = {"A": "long", "B": "short"} if side > 0 else {"A": "short", "B": "long"}
    parts = []
    for leg in spread.legs:
        where = leg.commodity
        if leg.period:
            where += f" {leg.period}"
        elif leg.tier:
            where += f" tier {leg.tier}"
        parts.append(f"{words.get(leg.side, '')} {leg.ratio:g} {where}".strip())
    return ", ".join(parts)
