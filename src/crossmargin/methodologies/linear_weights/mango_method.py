"""`mango-v4`, as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import MissingQuoteError, Problem, UnsupportedError
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import STABLECOINS
from crossmargin.methodologies.by_unit import Measured, UnitBook
from crossmargin.methodologies.linear_weights import mango
from crossmargin.methodologies.linear_weights.by_market import (
    INITIAL,
    MAINTENANCE,
    LinearWeights,
    UnitLevels,
    of_market,
    split,
)
from crossmargin.methodologies.linear_weights.parameters import (
    MangoParameters,
    load_mango,
    whole_schedule,
)
from crossmargin.methodologies.linear_weights.rows import Rows
from crossmargin.methodologies.parameter_files import refuse_overrides
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits


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
        """Weights scale with the bank and not with the account, so health scales; nothing else is promised."""
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

    def _missing_facts(self, rows: Rows) -> list[Problem]:
        """Every token of the parameters has a price, and whatever is paid for a spot order is a token."""
        tokens = self.parameters.tokens
        settled = {own.settle for own in self.parameters.perpetuals.values()}
        unpriced = [
            name
            for name in (*settled, *rows.quote)
            if name in tokens and name not in (*rows.market.prices, *rows.market.index, *STABLECOINS)
        ]
        return [
            *(
                Problem(
                    found=f"no dollar price of '{name}', which '{self.name}' settles in",
                    needed=f"Add a spot row for '{name}' to the market.",
                    kind=MissingQuoteError,
                )
                for name in dict.fromkeys(unpriced)
            ),
            *(
                Problem(
                    found=f"'{rows.names[k]}' is paid in {quote}, which is no token of '{self.info.name}'",
                    needed=f"Its tokens are {', '.join(tokens)}.",
                    kind=UnsupportedError,
                    instrument=rows.names[k],
                )
                for k, quote in enumerate(rows.quote)
                if quote and quote not in tokens
            ),
        ]

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
            shares=tuple(split(initial, alone)),
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
                        lowest_ask=of_market(rows.market, "lowest_ask", rows.names[row]),
                        highest_bid=of_market(rows.market, "highest_bid", rows.names[row]),
                    )
                )
        tokens = [self._token(rows, name, balance[name], prices[name], level) for name in names]
        return mango.health(tokens, orders, perpetuals)

    def _prices(self, rows: Rows, name: str, level: str) -> tuple[float, float]:
        """Of what is owned and of what is owed: at initial level the worse of the oracle and the stable price."""
        # Of the market, and of nobody's positions: another account's may be in another quote currency.
        oracle = rows.market.prices.get(name, rows.market.index.get(name, 1.0))
        stable = of_market(rows.market, "stable_price", name) if level == INITIAL else None
        return (oracle, oracle) if stable is None else (min(oracle, stable), max(oracle, stable))

    def _token(self, rows: Rows, name: str, balance: float, prices: tuple[float, float], level: str) -> mango.Token:
        own, market = self.parameters.tokens[name], rows.market
        if level == MAINTENANCE:
            asset, liability = own.asset_maintenance, own.liability_maintenance
        else:
            asset, liability = own.asset_initial, own.liability_initial
        if level == INITIAL:
            deposits, borrows = (of_market(market, kind, name) or 0.0 for kind in ("deposits", "borrows"))
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
        stable = of_market(rows.market, "stable_price", key) if level == INITIAL else None
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


def mango_v4(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Mango:
    """Mango v4 with the banks and markets of a parameter file."""
    refuse_overrides(overrides)
    return Mango(
        parameters=load_mango(parameters),
        name="mango-v4",
        title="Mango v4: health of all tokens, perpetuals and spot orders at their weights",
    )
