"""`scenario-grid` and its baseline `isolated`, as the engine sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import scenario_pnl, segment_sum, unit_sum
from crossmargin.aggregation.units import Grouping
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.basics.explanation import Explanation
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Level, ParametersInfo, ScenarioPnl, Traits, notes_on_orders
from crossmargin.methodologies.requirements import AccountRequirements, Contributions, Requirements, Units
from crossmargin.methodologies.venue_grids.scenario_grid.book import (
    ContractTable,
    GridBook,
    contract_table,
    grid_book,
    repriced,
)
from crossmargin.methodologies.venue_grids.scenario_grid.explain import explain_account, scenario_in_words
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import AcrossUnits, GridParameters, load_parameters
from crossmargin.methodologies.venue_grids.scenario_grid.recipe import (
    GridBreakdown,
    located,
    member_contributions,
    position_contributions,
    scenario_grid_requirement,
)
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, kw_only=True, eq=False)
class GridResult:
    """What the explanation, the scenario table and the pictures of an account need.

    `alone` are the members' positions, each a unit; `isolated` the requirement of each, shape `(n_positions,)`.
    """

    book: GridBook
    breakdown: GridBreakdown
    margin_accounts: tuple[str, ...]
    alone: GridBook
    isolated: FloatArray

    @cached_property
    def by_position(self) -> tuple[FloatArray, FloatArray]:
        """P&L in the worst scenario and contribution of each position."""
        return position_contributions(self.book, self.breakdown)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioGrid:
    """Worst loss over a venue grid; `grouping` says what nets: an underlying, or nothing (`isolated`)."""

    parameters: GridParameters
    grouping: Grouping
    name: str
    title: str
    version: str = "1"
    status: str = "own"
    schedule: None = None
    net_margin: bool = False

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def market(self) -> None:
        """Prices come from a market of quotes."""
        return None

    @property
    def traits(self) -> Traits:
        """A cap on gains is not homogeneous and breaks subadditivity; all else is a maximum of linear functions.

        Isolated margin is positions one by one: joining two books can net a position away, never cost more.
        """
        common = self.parameters.across_units is AcrossUnits.COMMON and self.grouping is Grouping.NETTED
        capped = common and np.isfinite(self.parameters.gain_cap)
        # A share of gains between 0 and 1 is convex too: loss - share * gain is a maximum of two linear functions.
        return Traits(
            convex=not capped,
            homogeneous=not capped,
            subadditive=not capped,
            euler=True,
            exact_integers=False,
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> ContractTable:
        """See `Methodology.price`."""
        if market.listing is None and market.currency != self.parameters.currency:
            raise UnsupportedError(
                Problem(
                    found=f"a market in {market.currency} for parameters in {self.parameters.currency}",
                    needed=f"Give a market whose prices are in {self.parameters.currency}.",
                    kind=UnsupportedError,
                )
            )
        return contract_table(instruments, market, self.parameters, policy)

    def repriced(self, priced: ContractTable, part: ContractTable) -> ContractTable:
        """See `Methodology.repriced`."""
        return repriced(priced, part)

    def changed_underlyings(self, older: Any) -> frozenset[str] | None:
        """See `Methodology.changed_underlyings`."""
        assert isinstance(older, ScenarioGrid)
        return self.parameters.changed_underlyings(older.parameters)

    def arrange(self, book: Book, priced: ContractTable) -> GridBook:
        """See `Methodology.arrange`."""
        return grid_book(book, priced, self.grouping)

    def account_requirements(self, arranged: GridBook, priced: ContractTable) -> AccountRequirements:
        """See `Methodology.account_requirements`."""
        units = replace(arranged, contracts=priced)
        breakdown = scenario_grid_requirement(units, self._applied)
        account_value = read_only(_option_value(units)[1])
        return AccountRequirements(
            requirement_initial=read_only(breakdown.requirement),
            requirement_maintenance=read_only(breakdown.maintenance),
            net_option_value=account_value,
            credit_initial=account_value,
            credit_maintenance=account_value,
        )

    @property
    def _applied(self) -> GridParameters:
        """Parameters as they apply: positions that are units by themselves share no scenario."""
        if self.grouping is Grouping.NETTED:
            return self.parameters
        return replace(self.parameters, across_units=AcrossUnits.INDEPENDENT)

    def notes(self, book: Book, priced: Any) -> tuple[str, ...]:
        """See `Methodology.notes`."""
        return notes_on_orders(book, self.name)

    def requirements(self, book: Book, priced: ContractTable) -> Requirements:
        """See `Methodology.requirements`."""
        alone = grid_book(book, priced, Grouping.POSITION)
        apart = replace(self.parameters, across_units=AcrossUnits.INDEPENDENT)
        isolated = scenario_grid_requirement(alone, apart)
        if self.grouping is Grouping.POSITION:
            units, breakdown, unit_isolated = alone, isolated, isolated.unit_requirement
        else:
            units = grid_book(book, priced, Grouping.NETTED)
            breakdown = scenario_grid_requirement(units, self.parameters)
            unit_isolated = _isolated_by_unit(units, alone, isolated.unit_requirement)
        unit_value, account_value = map(read_only, _option_value(units))
        result = GridResult(
            book=units,
            breakdown=breakdown,
            margin_accounts=book.margin_accounts,
            alone=alone,
            isolated=isolated.unit_requirement,
        )
        return Requirements(
            margin_accounts=book.margin_accounts,
            currency=self.parameters.currency,
            requirement_initial=read_only(breakdown.requirement),
            requirement_maintenance=read_only(breakdown.maintenance),
            requirement_isolated=read_only(
                segment_sum(isolated.unit_requirement, alone.unit_account, len(book.margin_accounts))
            ),
            net_option_value=account_value,
            credit_initial=account_value,
            credit_maintenance=account_value,
            units=Units(
                account_offsets=units.account_offsets,
                name_all=lambda: tuple(map(units.unit_name, range(units.holdings.n_units))),
                scenario_all=lambda: _worst_in_words(units, breakdown),
                components={
                    "scan_risk": breakdown.scan_risk,
                    "roll_charge": breakdown.roll_charge,
                    "short_option_minimum": breakdown.short_option_minimum,
                },
                requirement_initial=breakdown.unit_requirement,
                requirement_isolated=unit_isolated,
                net_option_value=unit_value,
            ),
            contribution_all=lambda: _contributions(result, len(book.accounts)),
            fills=priced.fills_of(book.instruments),
            breakdown=result,
        )

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        """See `Methodology.explain`."""
        result = _result(requirements)
        return explain_account(
            result.margin_accounts[account],
            requirements.units.of(account),
            account,
            result.book,
            result.breakdown,
            result.by_position[0],
            self._applied,
            level,
        )

    def scenarios(self, requirements: Requirements, account: int) -> ScenarioPnl:
        """See `Methodology.scenarios`."""
        result = _result(requirements)
        units = requirements.units.of(account)
        book = result.book
        pnl = scenario_pnl(book.holdings, book.contracts.unit_pnl, np.arange(units.start, units.stop))
        table = book.contracts.inputs.instruments
        grids = [book.contracts.scenarios[table.underlyings[int(book.unit_underlying[u])]] for u in units]
        return ScenarioPnl(
            units=tuple(book.unit_name(u) for u in units),
            words=tuple(
                tuple(scenario_in_words(book, u, s) for s in range(len(grid)))
                for u, grid in zip(units, grids, strict=True)
            ),
            price_move=np.array([grid.price_move for grid in grids]),
            vol_direction=np.array([grid.vol_direction for grid in grids], dtype=np.float64),
            weight=np.array([grid.weight for grid in grids]),
            pnl=pnl,
            counted=tuple(int(result.breakdown.scenario_worst[u]) for u in units),
            currency=requirements.currency,
        )


def _result(requirements: Requirements) -> GridResult:
    assert isinstance(requirements.breakdown, GridResult)
    return requirements.breakdown


def _option_value(units: GridBook) -> tuple[FloatArray, FloatArray]:
    """Net option value of each unit and of each margin account."""
    of_unit = unit_sum(units.holdings, units.contracts.option_value)
    return of_unit, segment_sum(of_unit, units.unit_account, len(units.account_offsets) - 1)


def _contributions(result: GridResult, n_members: int) -> Contributions:
    """Shares of positions and members; see `Contributions`."""
    units, held = result.book, result.book.holdings
    pnl_worst, contribution = result.by_position
    if units.grouping is Grouping.POSITION:
        by_member = segment_sum(contribution, units.owner, n_members)
    else:
        by_member = member_contributions(units, result.breakdown, result.alone, n_members)
    return Contributions(
        account_offsets=read_only(held.offsets[units.account_offsets]),
        unit=held.unit(),
        instrument=held.instrument,
        steps=units.steps,
        pnl_worst=pnl_worst,
        contribution=contribution,
        member=by_member,
        instrument_names=units.contracts.names,
    )


def _worst_in_words(units: GridBook, breakdown: GridBreakdown) -> tuple[str, ...]:
    """Worst scenario of each unit in words; there are few distinct ones."""
    words: dict[tuple[int, int], str] = {}
    pairs = list(zip(units.unit_underlying.tolist(), breakdown.scenario_worst.tolist(), strict=True))
    for u, pair in enumerate(pairs):
        if pair not in words:
            words[pair] = scenario_in_words(units, u, pair[1])
    return tuple(words[pair] for pair in pairs)


def _isolated_by_unit(units: GridBook, alone: GridBook, requirement: FloatArray) -> FloatArray:
    """Isolated sum of each margined unit: its members' positions, each alone.

    Positions that net away wholly leave no unit; their isolated sum stands with the account only.
    """
    unit: IntArray = located(units.unit_key, alone.unit_key)
    margined = unit >= 0
    return segment_sum(requirement[margined], unit[margined], units.holdings.n_units)


def scenario_grid(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> ScenarioGrid:
    """The grid method: offsets inside an underlying, and across underlyings as the parameters say."""
    return ScenarioGrid(
        parameters=load_parameters(parameters, **overrides),
        grouping=Grouping.NETTED,
        name="scenario-grid",
        title="worst loss over a price and volatility grid, roll charge, minimum for short options",
    )


def isolated(parameters: str | Path | dict[str, Any] | None = None, **overrides: Any) -> ScenarioGrid:
    """The baseline: every member's position alone, under the same rules and parameters."""
    return ScenarioGrid(
        parameters=load_parameters(parameters, **overrides),
        grouping=Grouping.POSITION,
        name="isolated",
        title="every position alone under the rules of scenario-grid: the baseline without offsets",
    )
