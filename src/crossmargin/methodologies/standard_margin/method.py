"""`derive-standard` and `deribit-standard`, as the engine sees them: one recipe, two parameter sets."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from crossmargin.aggregation.sweep import Holdings, Segments
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.by_unit import ByUnit, Measured, UnitBook
from crossmargin.methodologies.parameter_files import refuse_overrides
from crossmargin.methodologies.protocol import Level, ParametersInfo, Traits
from crossmargin.methodologies.standard_margin.contracts import StandardContracts, contracts_of, repriced
from crossmargin.methodologies.standard_margin.explain import explain_unit
from crossmargin.methodologies.standard_margin.inputs import inputs_from_market
from crossmargin.methodologies.standard_margin.parameters import Orders, StandardParameters, load_parameters
from crossmargin.methodologies.standard_margin.recipe import (
    StandardBreakdown,
    by_expiry,
    orders_charge_each,
    position_shares,
    standard_requirement,
)
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, kw_only=True, eq=False)
class StandardMargin(ByUnit):
    """Standard margin with one parameter set; `lists_inverse` says whether the venue's own contracts are inverse."""

    parameters: StandardParameters
    name: str
    title: str
    version: str = "1"
    status: str = "published"
    lists_inverse: bool = False
    net_margin: ClassVar[bool] = True

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """The better of two ways bends up; a rate that rises with size makes two positions joined dearer than apart."""
        offsets, grows = self.parameters.offsets, self.parameters.grows_with_size
        return Traits(
            convex=not offsets,
            homogeneous=not grows,
            subadditive=not offsets and not grows,
            euler=True,
            exact_integers=False,
        )

    @cached_property
    def schedule(self) -> Schedule:
        """Every asset that the parameters name, whole: what of it does not count is part of the requirement."""
        assets = self.parameters.collateral
        return Schedule(
            name=self.info.name,
            date=self.info.date,
            digest=self.info.digest,
            haircuts=dict.fromkeys(assets, 0.0),
            take_part=frozenset(asset for asset, own in assets.items() if not own.is_cash),
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> StandardContracts:
        """See `Methodology.price`."""
        return contracts_of(
            inputs_from_market(instruments, market, self.parameters, policy, self.name), self.parameters
        )

    def repriced(self, priced: StandardContracts, part: StandardContracts) -> StandardContracts:
        """See `Methodology.repriced`."""
        return repriced(priced, part, self.parameters)

    def groups(self, priced: StandardContracts) -> tuple[IntArray, tuple[str, ...]]:
        """Underlyings with the asset of the same name, and other assets: what is summed, market by market."""
        return priced.inputs.group, priced.inputs.groups

    def cut(self, holdings: Holdings, priced: StandardContracts) -> Segments:
        """The units by expiry."""
        return by_expiry(holdings, priced)

    def measure(self, book: UnitBook, priced: StandardContracts) -> Measured:
        """The recipe."""
        b = standard_requirement(book, book.cut, priced)
        charged = {"open_orders": self._orders(book, priced, b.requirement_initial)} if book.has_orders else {}
        return Measured(
            requirement_initial=b.requirement_initial,
            requirement_maintenance=b.requirement_maintenance,
            components={
                "delta_one_charge": b.delta_one_initial,
                "option_requirement": b.option_initial,
                "collateral_haircut": b.haircut_initial,
                "depeg_charge": b.depeg,
                "oracle_charge": b.oracle,
            },
            scenario_worst=np.full(book.n_units, -1, dtype=np.int64),
            position_shares=lambda: position_shares(book, priced, b),
            account_initial=charged,
            account_maintenance={name: np.zeros(book.n_accounts) for name in charged},
            detail=b,
        )

    def _orders(self, book: UnitBook, priced: StandardContracts, requirement: FloatArray) -> FloatArray:
        if self.parameters.open_orders is Orders.EACH:
            return orders_charge_each(book, priced)
        return self.orders_charge(book, priced, requirement)

    def explain_unit(
        self, book: UnitBook, priced: StandardContracts, measured: Measured, unit: int, level: Level
    ) -> Explanation:
        """See `ByUnit.explain_unit`."""
        assert isinstance(measured.detail, StandardBreakdown)
        name = self.groups(priced)[1][int(book.layout.unit_group[unit])]
        return explain_unit(self.name, name, book, priced, measured.detail, unit, level)

    def notes(self, book: Book, priced: StandardContracts) -> tuple[str, ...]:
        """Inverse contracts, where they are not the venue's."""
        if self.lists_inverse or not priced.inputs.has_inverse:
            return ()
        return (f"{self.name} has no inverse contracts: they are taken as linear ones on as many coins, in dollars",)


def derive_standard(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> StandardMargin:
    """Derive: options of an expiry may need no more than their maximum loss; depeg and oracle charges."""
    refuse_overrides(overrides)
    return StandardMargin(
        parameters=load_parameters(parameters, "derive-standard-mainnet"),
        name="derive-standard",
        title="Derive standard margin: positions alone or the maximum loss of an expiry, whichever is less",
    )


def deribit_standard(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> StandardMargin:
    """Deribit: every short option alone, futures by a rate that rises with size."""
    refuse_overrides(overrides)
    return StandardMargin(
        parameters=load_parameters(parameters, "deribit-standard-2024"),
        name="deribit-standard",
        title="Deribit standard margin: every short option alone, futures by a rate that rises with size",
        status="inferred",
        lists_inverse=True,
    )
