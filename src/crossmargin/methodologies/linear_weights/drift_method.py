"""`drift-v2`, as the engine sees it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.methodologies.by_unit import UnitBook
from crossmargin.methodologies.linear_weights import drift
from crossmargin.methodologies.linear_weights.by_market import (
    INITIAL,
    MAINTENANCE,
    LinearWeights,
    UnitLevels,
    no_fact,
    of_market,
    split,
)
from crossmargin.methodologies.linear_weights.parameters import (
    DriftParameters,
    load_drift,
    whole_schedule,
)
from crossmargin.methodologies.linear_weights.rows import Rows
from crossmargin.methodologies.parameter_files import refuse_overrides
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.methodologies.requirements import Requirements


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
            no_fact("deposits", rows, k, self.name, "scales its weight by")
            for k, key in enumerate(rows.key)
            if not rows.is_perpetual[k]
            and self.parameters.spot[key].scale_start > 0
            and of_market(rows.market, "deposits", key) is None
        ]

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        """With the margin that a fill is held to."""
        tree = super().explain(requirements, account, level)
        fill = 0.5 * float(requirements.requirement_initial[account] + requirements.requirement_maintenance[account])
        return replace(tree, note=f"a fill is held to the mean of initial and maintenance, {fill:,.2f}")

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
            shares += split(found[INITIAL], [abs(float(held.quantity[k])) for k in side])
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
            deposits = of_market(rows.market, "deposits", key) or 0.0
            asset = drift.scaled_initial_asset_weight(asset, weights.scale_start, deposits * price)
        return drift.spot_health(
            amount,
            buys,
            sells,
            drift.Prices(oracle=price, average=of_market(rows.market, "twap", key) or price),
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


def drift_v2(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> Drift:
    """Drift v2 with the markets of a parameter file."""
    refuse_overrides(overrides)
    return Drift(
        parameters=load_drift(parameters),
        name="drift-v2",
        title="Drift v2: weights and ratios that grow with size, worst of resting bids and asks",
    )
