"""`scenario-grid` and its baseline `isolated`, as the engine sees them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import scenario_pnl, segment_sum
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.explanation import Explanation
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Level, ParametersInfo, ScenarioPnl, Traits
from crossmargin.methodologies.requirements import Contributions, Requirements, Units
from crossmargin.methodologies.scenario_grid.book import GridBook, Grouping, contract_table, grid_book
from crossmargin.methodologies.scenario_grid.explain import explain_account, scenario_in_words
from crossmargin.methodologies.scenario_grid.parameters import AcrossUnits, GridParameters, load_parameters
from crossmargin.methodologies.scenario_grid.recipe import (
    GridBreakdown,
    located,
    member_contributions,
    position_contributions,
    scenario_grid_requirement,
)
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridResult:
    """What the explanation, the scenario table and the pictures of an account need.

    `alone` are the members' positions, each a unit; `isolated` the requirement of each, shape `(n_positions,)`.
    """

    book: GridBook
    breakdown: GridBreakdown
    pnl_worst: FloatArray
    margin_accounts: tuple[str, ...]
    alone: GridBook
    isolated: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioGrid:
    """Worst loss over a venue grid; `grouping` says what nets: an underlying, or nothing (`isolated`)."""

    parameters: GridParameters
    grouping: Grouping
    name: str
    title: str
    version: str = "1"
    status: str = "own"

    @property
    def info(self) -> ParametersInfo:
        """Parameter set."""
        return self.parameters.info

    @property
    def traits(self) -> Traits:
        """A cap on gains is not homogeneous and breaks subadditivity; all else is a maximum of linear functions.

        Isolated margin is positions one by one: joining two books can net a position away, never cost more.
        """
        common = self.parameters.across_units is AcrossUnits.COMMON and self.grouping is Grouping.UNDERLYING
        capped = common and np.isfinite(self.parameters.gain_cap)
        # A share of gains between 0 and 1 is convex too: loss - share * gain is a maximum of two linear functions.
        return Traits(
            convex=not capped,
            homogeneous=not capped,
            subadditive=not capped,
            euler=True,
            exact_integers=False,
        )

    def requirements(self, book: Book, market: Market, policy: MissingPolicy) -> Requirements:
        """See `Methodology.requirements`."""
        parameters = self.parameters
        contracts = contract_table(book.instruments, market, parameters, policy)
        alone = grid_book(book, contracts, Grouping.POSITION)
        apart = replace(parameters, across_units=AcrossUnits.INDEPENDENT)
        isolated = scenario_grid_requirement(alone, apart)
        if self.grouping is Grouping.POSITION:
            units, breakdown = alone, isolated
        else:
            units = grid_book(book, contracts, Grouping.UNDERLYING)
            breakdown = scenario_grid_requirement(units, parameters)
        pnl_worst, contribution = position_contributions(units, breakdown)
        if self.grouping is Grouping.POSITION:
            by_member = segment_sum(contribution, units.owner, len(book.accounts))
            unit_isolated = isolated.unit_requirement
        else:
            by_member = member_contributions(units, breakdown, alone, len(book.accounts))
            unit_isolated = _isolated_by_unit(units, alone, isolated.unit_requirement)
        position_value = units.holdings.quantity * contracts.option_value[units.holdings.instrument]
        unit_value = segment_sum(position_value, units.holdings.unit(), units.holdings.n_units)
        n_accounts = len(book.margin_accounts)
        position_counts = np.diff(units.holdings.offsets)
        unit_starts = np.concatenate(([0], np.cumsum(position_counts)))
        return Requirements(
            margin_accounts=book.margin_accounts,
            currency=parameters.currency,
            requirement_initial=read_only(breakdown.requirement),
            requirement_maintenance=read_only(breakdown.maintenance),
            requirement_isolated=read_only(segment_sum(isolated.unit_requirement, alone.unit_account, n_accounts)),
            net_option_value=read_only(segment_sum(unit_value, units.unit_account, n_accounts)),
            units=Units(
                account_offsets=units.account_offsets,
                names=tuple(map(units.unit_name, range(units.holdings.n_units))),
                components={
                    "scan_risk": breakdown.scan_risk,
                    "roll_charge": breakdown.roll_charge,
                    "short_option_minimum": breakdown.short_option_minimum,
                },
                scenario_worst=_worst_in_words(units, breakdown),
                requirement_initial=breakdown.unit_requirement,
                requirement_isolated=unit_isolated,
                net_option_value=unit_value,
            ),
            contributions=Contributions(
                account_offsets=read_only(unit_starts[units.account_offsets].astype(np.int64)),
                unit=units.holdings.unit(),
                instrument=units.holdings.instrument,
                steps=units.steps,
                pnl_worst=pnl_worst,
                contribution=contribution,
                member=by_member,
                instrument_names=book.instruments,
            ),
            fills=contracts.inputs.fills,
            breakdown=GridResult(
                book=units,
                breakdown=breakdown,
                pnl_worst=pnl_worst,
                margin_accounts=book.margin_accounts,
                alone=alone,
                isolated=isolated.unit_requirement,
            ),
        )

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        """See `Methodology.explain`."""
        result = _result(requirements)
        parameters = self.parameters
        if self.grouping is Grouping.POSITION:
            parameters = replace(parameters, across_units=AcrossUnits.INDEPENDENT)
        return explain_account(
            result.margin_accounts[account],
            requirements.units.of(account),
            account,
            result.book,
            result.breakdown,
            result.pnl_worst,
            parameters,
            level,
        )

    def scenarios(self, requirements: Requirements, account: int) -> ScenarioPnl:
        """See `Methodology.scenarios`."""
        result = _result(requirements)
        units = requirements.units.of(account)
        book = result.book
        pnl = scenario_pnl(book.holdings, book.contracts.unit_pnl, units.start, units.stop)
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
        grouping=Grouping.UNDERLYING,
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
