"""`dydx-v4`, `drift-v2` and `mango-v4`, as the engine sees them.

Each says what a market brings to the venue's own figure (net collateral less requirement, free collateral, health); the
requirement is what equity has more than that. The three differ in one method, `levels`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import MissingQuoteError, Problem, raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.linear_weights import drift, dydx, mango
from crossmargin.methodologies.linear_weights.parameters import (
    DriftParameters,
    DydxParameters,
    MangoParameters,
    load_drift,
    load_dydx,
    load_mango,
    whole_schedule,
)
from crossmargin.methodologies.linear_weights.rows import Rows, repriced, rows_from_market
from crossmargin.methodologies.parameter_files import refuse_overrides
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits, notes_on_orders
from crossmargin.portfolio.book import Book

INITIAL, MAINTENANCE = "initial", "maintenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitLevels:
    """One unit: requirement at both levels, the lines that explain each, and the share of each of its positions.

    `lines` are by level; each sums to the requirement of the level.
    """

    initial: float
    maintenance: float
    lines: dict[str, tuple[Explanation, ...]]
    shares: tuple[float, ...]
    exact: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class LinearWeights(ByUnit):
    """A venue without scenarios: every unit is worked out by itself, in plain Python."""

    name: str
    title: str
    version: str = "1"
    status: str = "published"
    net_margin: ClassVar[bool] = True

    @property
    @abstractmethod
    def _perpetuals(self) -> tuple[str, ...]:
        """Underlyings that have a perpetual."""

    @property
    @abstractmethod
    def _assets(self) -> tuple[str, ...]:
        """Assets that balances may be in."""

    @abstractmethod
    def levels(self, book: UnitBook, rows: Rows, positions: range) -> UnitLevels:
        """What the positions of a unit need."""

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> Rows:
        """See `Methodology.price`."""
        found = rows_from_market(
            instruments, market, policy, method=self.name, perpetuals=self._perpetuals, assets=self._assets
        )
        raise_problems(self._missing_facts(found))
        return found

    def _missing_facts(self, rows: Rows) -> list[Problem]:
        """Figures of the market as a whole that this venue cannot do without."""
        return []

    def repriced(self, priced: Rows, part: Rows) -> Rows:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def groups(self, priced: Rows) -> tuple[IntArray, tuple[str, ...]]:
        """Every market and every asset by itself."""
        return priced.groups()

    def measure(self, book: UnitBook, priced: Rows) -> Measured:
        """Unit by unit."""
        offsets = book.holdings.offsets
        units = [self.levels(book, priced, range(int(offsets[u]), int(offsets[u + 1]))) for u in range(book.n_units)]
        initial = np.array([one.initial for one in units], dtype=np.float64)
        shares = np.array([share for one in units for share in one.shares], dtype=np.float64)
        return Measured(
            requirement_initial=read_only(initial),
            requirement_maintenance=read_only(np.array([one.maintenance for one in units], dtype=np.float64)),
            components=self._components(book, priced, initial),
            scenario_worst=np.full(book.n_units, -1, dtype=np.int64),
            position_shares=lambda: (np.zeros(len(shares)), shares),
            detail=units,
        )

    def _components(self, book: UnitBook, priced: Rows, initial: FloatArray) -> dict[str, FloatArray]:
        """Requirement of perpetuals, and of balances."""
        first = book.holdings.instrument[book.holdings.offsets[:-1]]
        is_perpetual = priced.is_perpetual[first]
        return {
            "perpetual_requirement": np.where(is_perpetual, initial, 0.0),
            "balance_requirement": np.where(is_perpetual, 0.0, initial),
        }

    def explain_unit(self, book: UnitBook, priced: Rows, measured: Measured, unit: int, level: Level) -> Explanation:
        """See `ByUnit.explain_unit`."""
        found: UnitLevels = measured.detail[unit]
        label = self.groups(priced)[1][int(book.layout.unit_group[unit])]
        lines = found.lines[level]
        return Explanation(
            label=label,
            value=found.initial if level == INITIAL else found.maintenance,
            unit="USD",
            rule="sum" if lines else "",
            parts=lines,
            source=f"{self.name}: markets are summed",
        )


def _of_market(market: Market, kind: str, name: str) -> float | None:
    return market.facts.get(kind, {}).get(name)


def _no_fact(kind: str, rows: Rows, k: int, method: str, why: str) -> Problem:
    return Problem(
        found=f"no {kind.replace('_', ' ')} of '{rows.names[k]}', which '{method}' {why}",
        needed=f"State it as a fact of the market (kind '{kind}').",
        kind=MissingQuoteError,
        instrument=rows.names[k],
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class Dydx(LinearWeights):
    """dYdX v4: exact whole numbers of 1e-6 USDC end to end."""

    parameters: DydxParameters

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """Rounding up breaks scaling and convexity by a quantum; contributions are whole positions."""
        return Traits(convex=False, homogeneous=False, subadditive=False, euler=True, exact_integers=True)

    @cached_property
    def schedule(self) -> Schedule:
        """The quote asset is cash."""
        return whole_schedule(self.info, (self.parameters.quote_asset,), ())

    @property
    def _perpetuals(self) -> tuple[str, ...]:
        return tuple(self.parameters.markets)

    @property
    def _assets(self) -> tuple[str, ...]:
        return ()

    def notes(self, book: Book, priced: Rows) -> tuple[str, ...]:
        """See `Methodology.notes`."""
        return notes_on_orders(book, self.name)

    def _missing_facts(self, rows: Rows) -> list[Problem]:
        return [
            _no_fact("open_interest", rows, k, self.name, "scales initial margin by")
            for k, key in enumerate(rows.key)
            if self.parameters.markets[key].open_interest_upper > self.parameters.markets[key].open_interest_lower
            and _of_market(rows.market, "open_interest", rows.names[k]) is None
        ]

    def groups(self, priced: Rows) -> tuple[IntArray, tuple[str, ...]]:
        """One sum of whole numbers, which becomes a float once."""
        return np.zeros(len(priced.names), dtype=np.int64), ("perpetuals",)

    def levels(self, book: UnitBook, rows: Rows, positions: range) -> UnitLevels:
        """Every position of the account by itself."""
        requirements, lines = [], {INITIAL: [], MAINTENANCE: []}  # type: ignore[var-annotated]
        for k in positions:
            row = int(book.holdings.instrument[k])
            tier = self.parameters.markets[rows.key[row]]
            price = Fraction(repr(float(rows.price[row]))) * Fraction(repr(float(rows.size[row])))
            notional = dydx.quote_quantums(Fraction(int(book.layout.steps[k]), STEPS_PER_UNIT), price)
            contracts = _of_market(rows.market, "open_interest", rows.names[row]) or 0.0
            interest = dydx.quote_quantums(Fraction(repr(contracts)), price)
            fraction = dydx.adjusted_initial_ppm(tier, interest)
            found = (
                dydx.initial_requirement(notional, tier, interest),
                dydx.maintenance_requirement(notional, tier),
            )
            requirements.append(found)
            stated = f"{notional:,} quantums of notional"
            notes = (
                f"{stated} x {fraction:,} ppm, rounded up",
                f"{stated} x {tier.initial_ppm:,} ppm x {tier.maintenance_fraction_ppm:,} ppm, each rounded up",
            )
            for level, whole, note in zip((INITIAL, MAINTENANCE), found, notes, strict=True):
                lines[level].append(
                    Explanation(
                        label=rows.names[row],
                        value=whole / dydx.MILLION,
                        unit="USD",
                        note=note,
                        source=f"dydx-v4: {level} requirement",
                    )
                )
        exact = sum(one for one, _ in requirements), sum(one for _, one in requirements)
        return UnitLevels(
            initial=exact[0] / dydx.MILLION,
            maintenance=exact[1] / dydx.MILLION,
            lines={level: tuple(parts) for level, parts in lines.items()},
            shares=tuple(one / dydx.MILLION for one, _ in requirements),
            exact=exact,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Drift(LinearWeights):
    """Drift v2: weights by size, worst case over resting orders."""

    parameters: DriftParameters

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """Weights grow with size: nothing is promised but that contributions are whole markets."""
        return Traits(convex=False, homogeneous=False, subadditive=False, euler=True, exact_integers=False)

    @cached_property
    def schedule(self) -> Schedule:
        """Every asset with weights, and all of them take part."""
        return whole_schedule(self.info, self._assets, self._assets)

    @property
    def _perpetuals(self) -> tuple[str, ...]:
        return tuple(self.parameters.perpetuals)

    @property
    def _assets(self) -> tuple[str, ...]:
        return tuple(self.parameters.spot)

    def _missing_facts(self, rows: Rows) -> list[Problem]:
        return [
            _no_fact("deposits", rows, k, self.name, "scales its weight by")
            for k, key in enumerate(rows.key)
            if not rows.is_perpetual[k]
            and self.parameters.spot[key].scale_start > 0
            and _of_market(rows.market, "deposits", key) is None
        ]

    def levels(self, book: UnitBook, rows: Rows, positions: range) -> UnitLevels:
        """A perpetual, or an asset with the orders in its spot market; the sides of a gross account one by one."""
        held = book.holdings
        sides = [[k] for k in positions] if _is_gross(book, positions) else [list(positions)]
        initial = maintenance = 0.0
        lines: dict[str, list[Explanation]] = {INITIAL: [], MAINTENANCE: []}
        shares: list[float] = []
        for side in sides:
            row = int(held.instrument[side[0]])
            amount, buys, sells = (
                sum(float(values[k]) * float(rows.size[held.instrument[k]]) for k in side)
                for values in (held.quantity, book.buys, book.sells)
            )
            unrealised = sum(float(book.unrealised[k]) * float(rows.settlement[held.instrument[k]]) for k in side)
            equity = unrealised if rows.is_perpetual[row] else amount * float(rows.price[row])
            found = {}
            for level in (INITIAL, MAINTENANCE):
                health = self._health(rows, row, amount, buys, sells, unrealised, level)
                found[level] = equity - health.free
                lines[level] += _drift_lines(rows.names[row], equity, health, level)
            initial += found[INITIAL]
            maintenance += found[MAINTENANCE]
            shares += _split(found[INITIAL], [abs(float(held.quantity[k])) for k in side])
        return UnitLevels(
            initial=initial + 0.0,
            maintenance=maintenance + 0.0,
            lines={level: tuple(parts) for level, parts in lines.items()},
            shares=tuple(shares),
        )

    def _health(
        self, rows: Rows, row: int, amount: float, buys: float, sells: float, unrealised: float, level: str
    ) -> drift.Health:
        p, key, price = self.parameters, rows.key[row], float(rows.price[row])
        initial = level == INITIAL
        custom = p.custom_ratio if initial else 0.0
        if rows.is_perpetual[row]:
            own = p.perpetuals[key]
            return drift.perpetual_health(
                amount,
                buys,
                sells,
                unrealised,
                price,
                ratio=own.ratio_initial if initial else own.ratio_maintenance,
                imf_factor=own.imf_factor,
                unrealised_weight=own.unrealised_initial if initial else own.unrealised_maintenance,
                order_charge=p.order_charge,
                custom_ratio=custom,
                most_price=own.most_price or None,
            )
        weights = p.spot[key]
        asset = weights.asset_initial if initial else weights.asset_maintenance
        if initial and weights.scale_start:
            deposits = _of_market(rows.market, "deposits", key) or 0.0
            asset = drift.scaled_initial_asset_weight(asset, weights.scale_start, deposits * price)
        return drift.spot_health(
            amount,
            buys,
            sells,
            drift.Prices(oracle=price, average=_of_market(rows.market, "twap", key) or price),
            drift.SpotWeights(
                asset=asset,
                liability=weights.liability_initial if initial else weights.liability_maintenance,
                imf_factor=weights.imf_factor,
            ),
            strict=initial,
            order_charge=p.order_charge,
            custom_ratio=custom,
        )


def _is_gross(book: UnitBook, positions: range) -> bool:
    return (
        bool(len(positions) and book.gross[book.layout.owner[positions[0]]])
        if book.grouping.value == "netted"
        else False
    )


def _split(whole: float, keys: list[float]) -> list[float]:
    """`whole` in proportion to `keys`; evenly where all are 0."""
    total = sum(keys)
    return [whole * key / total for key in keys] if total else [whole / len(keys)] * len(keys)


def _drift_lines(name: str, equity: float, health: drift.Health, level: str) -> list[Explanation]:
    """What equity has, less what counts of it, plus what is required."""
    stated = (
        (f"{name} at its market value", equity),
        (f"{name}: collateral that counts, taken off", -health.collateral),
        (f"{name}: required", health.requirement),
    )
    return [
        Explanation(label=label, value=value + 0.0, unit="USD", source=f"drift-v2: {level} margin")
        for label, value in stated
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class MangoLevels(UnitLevels):
    """Health at its three levels, beside what follows from it."""

    health: dict[str, mango.Health] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, eq=False)
class Mango(LinearWeights):
    """Mango v4: one health over all tokens, perpetuals and spot orders of an account."""

    parameters: MangoParameters

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """Health is concave while weights are not scaled, but nothing of it is promised: spot orders are order's."""
        return Traits(convex=False, homogeneous=True, subadditive=False, euler=True, exact_integers=False)

    @cached_property
    def schedule(self) -> Schedule:
        """Every token takes part."""
        return whole_schedule(self.info, self._assets, self._assets)

    @property
    def _perpetuals(self) -> tuple[str, ...]:
        return tuple(self.parameters.perpetuals)

    @property
    def _assets(self) -> tuple[str, ...]:
        return tuple(self.parameters.tokens)

    def groups(self, priced: Rows) -> tuple[IntArray, tuple[str, ...]]:
        """One health for everything."""
        return np.zeros(len(priced.names), dtype=np.int64), ("health",)

    def _components(self, book: UnitBook, priced: Rows, initial: FloatArray) -> dict[str, FloatArray]:
        return {"health_requirement": initial}

    def levels(self, book: UnitBook, rows: Rows, positions: range) -> MangoLevels:
        """Health with initial weights and stable prices, initial weights at the oracle, and maintenance weights."""
        equity = self._equity(book, rows, positions)
        health = {level: self._health(book, rows, positions, level) for level in mango_levels}
        lines = {level: _mango_lines(equity, health[level], level) for level in (INITIAL, MAINTENANCE)}
        initial, maintenance = (equity - health[level].value for level in (INITIAL, MAINTENANCE))
        alone = [
            max(0.0, self._equity(book, rows, one) - self._health(book, rows, one, INITIAL).value)
            for one in (range(k, k + 1) for k in positions)
        ]
        return MangoLevels(
            initial=initial + 0.0,
            maintenance=maintenance + 0.0,
            lines=lines,
            shares=tuple(_split(initial, alone)),
            health=health,
        )

    def _equity(self, book: UnitBook, rows: Rows, positions: range) -> float:
        held, total = book.holdings, 0.0
        for k in positions:
            row = int(held.instrument[k])
            if rows.is_perpetual[row]:
                total += float(book.unrealised[k]) * float(rows.settlement[row])
            else:
                total += float(held.quantity[k]) * float(rows.size[row]) * float(rows.price[row])
        return total

    def _health(self, book: UnitBook, rows: Rows, positions: range, level: str) -> mango.Health:
        held, names = book.holdings, list(self.parameters.tokens)
        balance = dict.fromkeys(names, 0.0)
        orders: list[mango.SpotOrders] = []
        perpetuals: list[mango.Perpetual] = []
        prices = {name: self._prices(rows, name, level) for name in names}
        for k in positions:
            row, quantity = int(held.instrument[k]), float(held.quantity[k]) * float(rows.size[held.instrument[k]])
            buys, sells = (float(side[k]) * float(rows.size[row]) for side in (book.buys, book.sells))
            key, oracle = rows.key[row], float(rows.price[row])
            if rows.is_perpetual[row]:
                gain = float(book.unrealised[k]) * float(rows.settlement[row])
                perpetuals.append(self._perpetual(rows, key, quantity, buys, sells, gain, oracle, level))
                continue
            balance[key] += quantity
            if buys or sells:
                # What rests is reserved: it is in the balances as stated, and not free.
                quote = rows.quote[row]
                paid = buys * oracle / prices[quote][0]
                balance[key] -= sells
                balance[quote] -= paid
                orders.append(
                    mango.SpotOrders(
                        base=names.index(key),
                        quote=names.index(quote),
                        reserved_base=sells,
                        reserved_quote=paid,
                        lowest_ask=_of_market(rows.market, "lowest_ask", rows.names[row]),
                        highest_bid=_of_market(rows.market, "highest_bid", rows.names[row]),
                    )
                )
        tokens = [self._token(rows, name, balance[name], prices[name], level) for name in names]
        return mango.health(tokens, orders, perpetuals)

    def _prices(self, rows: Rows, name: str, level: str) -> tuple[float, float]:
        """Of what is owned and of what is owed: at initial level the worse of the oracle and the stable price."""
        found = next((float(rows.price[k]) for k, key in enumerate(rows.key) if key == name), None)
        oracle = found if found is not None else rows.market.prices.get(name, rows.market.index.get(name, 1.0))
        stable = _of_market(rows.market, "stable_price", name) if level == INITIAL else None
        return (oracle, oracle) if stable is None else (min(oracle, stable), max(oracle, stable))

    def _token(self, rows: Rows, name: str, balance: float, prices: tuple[float, float], level: str) -> mango.Token:
        own, market = self.parameters.tokens[name], rows.market
        if level == MAINTENANCE:
            asset, liability = own.asset_maintenance, own.liability_maintenance
        else:
            asset, liability = own.asset_initial, own.liability_initial
        if level == INITIAL:
            deposits, borrows = (_of_market(market, kind, name) or 0.0 for kind in ("deposits", "borrows"))
            asset = mango.scaled_asset_weight(asset, own.deposit_scale_start, deposits * prices[0])
            liability = mango.scaled_liability_weight(liability, own.borrow_scale_start, borrows * prices[1])
        return mango.Token(
            balance=balance,
            asset_price=prices[0],
            liability_price=prices[1],
            asset_weight=asset,
            liability_weight=liability,
        )

    def _perpetual(
        self, rows: Rows, key: str, base: float, buys: float, sells: float, gain: float, oracle: float, level: str
    ) -> mango.Perpetual:
        own = self.parameters.perpetuals[key]
        stable = _of_market(rows.market, "stable_price", key) if level == INITIAL else None
        low, high = (oracle, oracle) if stable is None else (min(oracle, stable), max(oracle, stable))
        maintenance = level == MAINTENANCE
        return mango.Perpetual(
            base=base,
            quote=gain - base * oracle,  # what it was bought for, as if at the oracle less what it gained since
            buys=buys,
            sells=sells,
            asset_price=low,
            liability_price=high,
            asset_weight=own.asset_maintenance if maintenance else own.asset_initial,
            liability_weight=own.liability_maintenance if maintenance else own.liability_initial,
            overall_weight=own.overall_maintenance if maintenance else own.overall_initial,
            settle=list(self.parameters.tokens).index(own.settle),
        )

    def explain_unit(self, book: UnitBook, priced: Rows, measured: Measured, unit: int, level: Level) -> Explanation:
        """With the health at which a liquidation that has begun ends."""
        found: MangoLevels = measured.detail[unit]
        node = super().explain_unit(book, priced, measured, unit, level)
        ends = found.health[LIQUIDATION_END].value
        return Explanation(
            label=node.label,
            value=node.value,
            unit=node.unit,
            rule=node.rule,
            parts=node.parts,
            source=node.source,
            note=f"a liquidation ends once health at initial weights and oracle prices, now {ends:,.2f}, is 0 or more",
        )


LIQUIDATION_END = "liquidation end"
mango_levels = (INITIAL, LIQUIDATION_END, MAINTENANCE)


def _mango_lines(equity: float, health: mango.Health, level: str) -> tuple[Explanation, ...]:
    """Equity, less what of it is health."""
    source = f"mango-v4: {level} health"
    return (
        Explanation(label="balances and profit at their market value", value=equity + 0.0, unit="USD"),
        Explanation(
            label="tokens with perpetuals at their weights, taken off",
            value=-sum(health.tokens) + 0.0,
            unit="USD",
            source=source,
        ),
        Explanation(
            label="reserved in spot orders, taken off", value=-sum(health.spot_orders) + 0.0, unit="USD", source=source
        ),
    )


Factory = Callable[..., LinearWeights]


def dydx_v4(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Dydx:
    """dYdX v4; its tiers are those of the repository's testing genesis."""
    refuse_overrides(overrides)
    return Dydx(
        parameters=load_dydx(parameters),
        name="dydx-v4",
        title="dYdX v4: a fraction of every perpetual's notional, initial scaled by open interest, exact integers",
    )


def drift_v2(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Drift:
    """Drift v2 with the markets of a parameter file."""
    refuse_overrides(overrides)
    return Drift(
        parameters=load_drift(parameters),
        name="drift-v2",
        title="Drift v2: weights and ratios that grow with size, worst of resting bids and asks",
    )


def mango_v4(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Mango:
    """Mango v4 with the banks and markets of a parameter file."""
    refuse_overrides(overrides)
    return Mango(
        parameters=load_mango(parameters),
        name="mango-v4",
        title="Mango v4: health of all tokens, perpetuals and spot orders at their weights",
    )
