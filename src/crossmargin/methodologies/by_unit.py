"""The common part of methods whose requirement is a sum over risk units: what a venue's recipe need not say again.

A recipe prices one contract of everything, says what nets together, and measures all risk units at once. From that
follow here the sums by margin account, the isolated baseline, contributions, explanations and scenario tables.

    requirement of an account = sum over its units + what it is charged beyond them

The decision a reader would question: a balance that takes part is a position of quantity 1 a unit of the asset, and an
instrument in which only orders rest is a position of quantity 0. So a recipe sees one list of rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from crossmargin.aggregation.sweep import Holdings, segment_sum, unit_sum
from crossmargin.aggregation.units import Grouping, Layout, Side, unit_layout
from crossmargin.basics.arrays import FloatArray, IntArray, owners_of, read_only
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import steps_to_float
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.protocol import Level, ParametersInfo, Priced, ScenarioPnl, Traits
from crossmargin.methodologies.requirements import AccountRequirements, Contributions, Requirements, Units
from crossmargin.portfolio.book import Balances, Book, Carried, Positions


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitBook:
    """Positions as risk units. Depends on the book and on terms, and on no price.

    Parameters
    ----------
    layout : Layout
        Units and their positions; `holdings.instrument` is the row of what was priced.
    grouping : Grouping
        What a unit is.
    buys, sells : ndarray of shape (n_positions,)
        Contracts of resting orders beside each position, at least 0.
    unrealised : ndarray of shape (n_positions,)
        Profit that is not settled, settlement currency.
    n_accounts : int
        Margin accounts.
    gross : ndarray of shape (n_accounts,)
        Accounts whose units share nothing.
    cash_account, cash_asset : ndarray of shape (n_cash,)
        Balances, netted by margin account: whose, and in which of `cash_assets`; also those that are positions too.
    cash_amount : ndarray of shape (n_cash,)
        Units of the asset; negative is owed.
    cut : object
        What a recipe has cut out of the units; see `ByUnit.cut`.
    account_names : tuple of str
        Of the margin accounts: a recipe may have a rule for some of them.
    """

    layout: Layout
    grouping: Grouping
    buys: FloatArray
    sells: FloatArray
    unrealised: FloatArray
    n_accounts: int
    gross: np.ndarray
    cash_assets: tuple[str, ...]
    cash_account: IntArray
    cash_asset: IntArray
    cash_amount: FloatArray
    cut: Any = None
    account_names: tuple[str, ...] = ()

    @property
    def holdings(self) -> Holdings:
        """Units and their positions."""
        return self.layout.holdings

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return self.layout.holdings.n_units

    @property
    def unit_account(self) -> IntArray:
        """Margin account of each unit, shape `(n_units,)`."""
        return owners_of(self.layout.account_offsets)

    @property
    def has_orders(self) -> bool:
        """Whether an order rests beside some position."""
        return bool(self.buys.any() or self.sells.any())

    def filled(self, buys: bool) -> UnitBook:
        """The units once every order to buy, or every order to sell, has been filled: nothing rests any more.

        Nothing is cut out of them yet; see `ByUnit.filled`.
        """
        held = self.layout.holdings
        quantity = held.quantity + (self.buys if buys else -self.sells)
        layout = replace(self.layout, holdings=replace(held, quantity=read_only(quantity)))
        nothing = read_only(np.zeros(len(quantity)))
        return replace(self, layout=layout, buys=nothing, sells=nothing, cut=None)

    def by_account(self, of_unit: FloatArray) -> FloatArray:
        """Sum over the units of each margin account, shape `(n_accounts,)`."""
        return segment_sum(of_unit, self.unit_account, self.n_accounts)


Shares = Callable[[], tuple[FloatArray, FloatArray]]
"""Makes P&L in the scenario that counts, and contribution to the initial requirement, both `(n_positions,)`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Measured:
    """What a recipe says of every risk unit, requirement currency, before option value is credited.

    Parameters
    ----------
    requirement_initial, requirement_maintenance : ndarray of shape (n_units,)
        `0 <= requirement_maintenance <= requirement_initial`.
    components : mapping of str to ndarray of shape (n_units,)
        Charges by name, in the order of the calculation, initial level.
    scenario_worst : ndarray of shape (n_units,)
        Index of the scenario that counts; -1 where there is none.
    position_shares : callable
        P&L in that scenario and contribution of each position; contributions of a unit sum to its requirement.
    account_initial, account_maintenance : mapping of str to ndarray of shape (n_accounts,)
        By the same names: what an account is charged beyond its units.
    detail : object
        Every figure of the calculation, for the explanation.
    """

    requirement_initial: FloatArray
    requirement_maintenance: FloatArray
    components: Mapping[str, FloatArray]
    scenario_worst: IntArray
    position_shares: Shares
    account_initial: Mapping[str, FloatArray] = field(default_factory=dict)
    account_maintenance: Mapping[str, FloatArray] = field(default_factory=dict)
    detail: Any = None


@dataclass(frozen=True, kw_only=True, eq=False)
class UnitResult:
    """What explanation, contributions and scenario tables of an account need."""

    book: UnitBook
    alone: UnitBook
    priced: Priced
    measured: Measured
    margin_accounts: tuple[str, ...]
    requirement_initial: FloatArray
    requirement_maintenance: FloatArray

    @cached_property
    def shares(self) -> tuple[FloatArray, FloatArray]:
        """P&L in the worst scenario and contribution of each position."""
        return self.measured.position_shares()


class ByUnit(ABC):
    """A methodology whose requirement is a sum over risk units; see `Methodology` for what is asked of it.

    A venue gives `price`, `groups`, `measure` and `explain_unit`, and says what it is called.
    """

    name: str
    title: str
    version: str
    status: str
    currency: ClassVar[str] = "USD"
    net_margin: ClassVar[bool] = False

    # What a venue says.

    @property
    @abstractmethod
    def info(self) -> ParametersInfo:
        """Parameter set."""

    @property
    @abstractmethod
    def traits(self) -> Traits:
        """The laws it promises with these parameters."""

    @property
    def schedule(self) -> Schedule | None:
        """See `Methodology.schedule`."""
        return None

    @property
    def market(self) -> Market | None:
        """Prices come from a market of quotes."""
        return None

    @abstractmethod
    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> Priced:
        """See `Methodology.price`; has at least `names`, `fills` and `option_value` (of one long contract)."""

    @abstractmethod
    def repriced(self, priced: Priced, part: Priced) -> Priced:
        """See `Methodology.repriced`."""

    def changed_underlyings(self, older: Any) -> frozenset[str] | None:
        """See `Methodology.changed_underlyings`: everything, unless the parameters are the same."""
        return frozenset() if self.info.digest == older.info.digest else None

    @abstractmethod
    def groups(self, priced: Priced) -> tuple[IntArray, tuple[str, ...]]:
        """Group of each priced row, and the names of the groups: what nets together."""

    def cut(self, holdings: Holdings, priced: Priced) -> Any:
        """What a recipe cuts out of the units by terms alone (by expiry, by strike): kept from tick to tick."""
        return None

    @abstractmethod
    def measure(self, book: UnitBook, priced: Priced) -> Measured:
        """The recipe, for all units at once."""

    @abstractmethod
    def explain_unit(self, book: UnitBook, priced: Priced, measured: Measured, unit: int, level: Level) -> Explanation:
        """The requirement of one unit at a level, as a tree of the kept figures."""

    def explain_account_charges(
        self, book: UnitBook, priced: Priced, measured: Measured, account: int, level: Level
    ) -> tuple[Explanation, ...]:
        """What an account is charged beyond its units: one node a charge that is not 0."""
        charges = measured.account_initial if level == "initial" else measured.account_maintenance
        return tuple(
            Explanation(
                label=name.replace("_", " "),
                value=float(values[account]),
                unit=self.currency,
                source=f"{self.name}: {name.replace('_', ' ')}",
            )
            for name, values in charges.items()
            if values[account]
        )

    def notes(self, book: Book, priced: Priced) -> tuple[str, ...]:
        """See `Methodology.notes`."""
        return ()

    def scenario_words(self, priced: Priced, group: int) -> tuple[str, ...]:
        """The scenarios of a group as a person says them; none where the method has no scenarios."""
        return ()

    def scenario_shape(self, priced: Priced, group: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Price move, volatility direction and weight of each scenario of a group, each `(n_scenarios,)`."""
        nothing = np.zeros(len(self.scenario_words(priced, group)))
        return nothing, nothing, nothing + 1.0

    def unit_scenarios(self, book: UnitBook, priced: Priced, units: IntArray) -> FloatArray | None:
        """P&L of some units in each scenario, `(n, n_scenarios)`; `None` where the method has none."""
        return None

    # What follows.

    def filled(self, book: UnitBook, priced: Priced, *, buys: bool) -> UnitBook:
        """The units once every order to buy, or every order to sell, has been filled."""
        filled = book.filled(buys)
        return replace(filled, cut=self.cut(filled.holdings, priced))

    def orders_charge(self, book: UnitBook, priced: Priced, requirement: FloatArray) -> FloatArray:
        """What resting orders add to initial requirements by account: the worst of all buys, all sells and none filled.

        Parameters
        ----------
        requirement : ndarray of shape (n_units,)
            Initial requirement of the units as they stand.

        Returns
        -------
        ndarray of shape (n_accounts,)
            At least 0.
        """
        if not book.has_orders:
            return np.zeros(book.n_accounts)
        now = book.by_account(requirement)
        then = [
            filled.by_account(self.measure(filled, priced).requirement_initial)
            for filled in (self.filled(book, priced, buys=True), self.filled(book, priced, buys=False))
        ]
        return np.asarray(np.maximum.reduce([now, *then]) - now)

    def arrange(self, book: Book, priced: Priced) -> UnitBook:
        """See `Methodology.arrange`."""
        return self._unit_book(book, priced, Grouping.NETTED)

    def account_requirements(self, arranged: UnitBook, priced: Priced) -> AccountRequirements:
        """See `Methodology.account_requirements`."""
        measured = self.measure(arranged, priced)
        value = read_only(arranged.by_account(unit_sum(arranged.holdings, priced.option_value)))
        initial, maintenance = _account_sums(arranged, measured)
        return AccountRequirements(
            requirement_initial=read_only(initial),
            requirement_maintenance=read_only(maintenance),
            net_option_value=value,
            credit_initial=value,
            credit_maintenance=value,
        )

    def requirements(self, book: Book, priced: Priced) -> Requirements:
        """See `Methodology.requirements`."""
        units = self._unit_book(book, priced, Grouping.NETTED)
        alone = self._unit_book(book, priced, Grouping.POSITION)
        measured, apart = self.measure(units, priced), self.measure(alone, priced)
        initial, maintenance = map(read_only, _account_sums(units, measured))
        isolated_account, _ = _account_sums(alone, apart)
        unit_value = unit_sum(units.holdings, priced.option_value)
        value = read_only(units.by_account(unit_value))
        result = UnitResult(
            book=units,
            alone=alone,
            priced=priced,
            measured=measured,
            margin_accounts=book.margin_accounts,
            requirement_initial=initial,
            requirement_maintenance=maintenance,
        )
        return Requirements(
            margin_accounts=book.margin_accounts,
            currency=self.currency,
            requirement_initial=initial,
            requirement_maintenance=maintenance,
            requirement_isolated=read_only(isolated_account),
            net_option_value=value,
            credit_initial=value,
            credit_maintenance=value,
            units=Units(
                account_offsets=units.layout.account_offsets,
                name_all=lambda: self._unit_names(units, priced),
                scenario_all=lambda: self._worst_in_words(units, priced, measured),
                components=measured.components,
                requirement_initial=measured.requirement_initial,
                requirement_isolated=_isolated_by_unit(units, alone, apart.requirement_initial),
                net_option_value=read_only(unit_value),
            ),
            account_charges=measured.account_initial,
            contribution_all=lambda: _contributions(result, len(book.accounts)),
            fills=priced.fills,
            breakdown=result,
        )

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        """See `Methodology.explain`."""
        result = _result(requirements)
        at = result.requirement_initial if level == "initial" else result.requirement_maintenance
        parts = (
            *(
                self.explain_unit(result.book, result.priced, result.measured, u, level)
                for u in requirements.units.of(account)
            ),
            *self.explain_account_charges(result.book, result.priced, result.measured, account, level),
        )
        return Explanation(
            label=f"{level} requirement of {result.margin_accounts[account]}",
            value=float(at[account]),
            unit=self.currency,
            rule="sum" if parts else "",
            parts=parts,
            source=f"{self.name}: units are summed",
        )

    def scenarios(self, requirements: Requirements, account: int) -> ScenarioPnl:
        """See `Methodology.scenarios`."""
        result = _result(requirements)
        units = requirements.units.of(account)
        chosen = np.arange(units.start, units.stop)
        group = result.book.layout.unit_group[chosen].tolist()
        words = tuple(self.scenario_words(result.priced, g) for g in group)
        pnl = self.unit_scenarios(result.book, result.priced, chosen)
        shape = [self.scenario_shape(result.priced, g) for g in group]
        empty = np.zeros((len(chosen), 0))
        price_move, vol_direction, weight = (
            np.array([one[k] for one in shape]) if pnl is not None and shape else empty for k in range(3)
        )
        return ScenarioPnl(
            units=tuple(requirements.units.names[u] for u in units),
            words=words,
            price_move=price_move,
            vol_direction=vol_direction,
            weight=weight,
            pnl=empty if pnl is None else pnl,
            counted=tuple(result.measured.scenario_worst[chosen].tolist()),
            currency=requirements.currency,
        )

    def _unit_book(self, book: Book, priced: Priced, grouping: Grouping) -> UnitBook:
        group, names = self.groups(priced)
        carried = (book.carried or Carried()).only_named()
        rested = _with_resting(book, carried, grouping)
        place = {name: k for k, name in enumerate(priced.names)}
        row = np.array([place[name] for name in rested.instruments], dtype=np.int64)
        layout = unit_layout(rested, row, group, len(names), grouping)
        buys, sells, unrealised = _beside(layout, rested, carried, place, grouping)
        cash_account, cash_asset, cash_amount = _cash(book)
        return UnitBook(
            layout=layout,
            grouping=grouping,
            buys=buys,
            sells=sells,
            unrealised=unrealised,
            n_accounts=len(book.margin_accounts),
            gross=book.gross,
            cash_assets=(book.balances or Balances()).assets,
            cash_account=cash_account,
            cash_asset=cash_asset,
            cash_amount=cash_amount,
            cut=self.cut(layout.holdings, priced),
            account_names=book.margin_accounts,
        )

    def unit_name(self, book: UnitBook, priced: Priced, unit: int) -> str:
        """Group of a unit, with the side of a gross account."""
        side = Side(int(book.layout.unit_key[unit]) % len(Side))
        return self.groups(priced)[1][int(book.layout.unit_group[unit])] + side.words

    def _unit_names(self, book: UnitBook, priced: Priced) -> tuple[str, ...]:
        if book.grouping is Grouping.POSITION:
            return tuple(priced.names[k] for k in book.holdings.instrument[book.holdings.offsets[:-1]].tolist())
        _, names = self.groups(priced)
        return tuple(
            names[g] + Side(side).words
            for g, side in zip(
                book.layout.unit_group.tolist(), (book.layout.unit_key % len(Side)).tolist(), strict=True
            )
        )

    def _worst_in_words(self, book: UnitBook, priced: Priced, measured: Measured) -> tuple[str, ...]:
        words = {g: self.scenario_words(priced, g) for g in np.unique(book.layout.unit_group).tolist()}
        return tuple(
            words[g][s] if s >= 0 else ""
            for g, s in zip(book.layout.unit_group.tolist(), measured.scenario_worst.tolist(), strict=True)
        )


def _account_sums(book: UnitBook, measured: Measured) -> tuple[FloatArray, FloatArray]:
    """Initial and maintenance requirement of each margin account."""
    initial, maintenance = (
        book.by_account(of_unit) for of_unit in (measured.requirement_initial, measured.requirement_maintenance)
    )
    for charge in measured.account_initial.values():
        initial = initial + charge
    for charge in measured.account_maintenance.values():
        maintenance = maintenance + charge
    return initial, maintenance


def _with_resting(book: Book, carried: Carried, grouping: Grouping) -> Book:
    """`book` with a position of quantity 0 wherever only orders rest, or profit is left unsettled."""
    if not len(carried.account):
        return book
    names = tuple(sorted({*book.instruments, *carried.instruments}))
    number = {name: k for k, name in enumerate(names)}
    now = np.array([number[name] for name in book.instruments], dtype=np.int64)
    of_carried = np.array([number[name] for name in carried.instruments], dtype=np.int64)[carried.instrument]
    owner = book.margin_account_of[carried.account]

    def extended(held: Positions, who: IntArray, gross: np.ndarray) -> Positions:
        own, instrument = held.owner(), now[held.instrument]
        there = own * len(names) + instrument
        wanted = np.unique(who * len(names) + of_carried)
        # A gross owner's orders stand beside its long row: they are of clients too, and net with nobody.
        new = wanted[~np.isin(wanted, there)]
        key = np.concatenate((there, new))
        steps = np.concatenate((held.steps, np.zeros(len(new), dtype=np.int64)))
        order = np.argsort(key, kind="stable")
        key = key[order]
        counts = np.bincount(key // len(names), minlength=len(held.offsets) - 1)
        return Positions(
            offsets=read_only(np.concatenate(([0], np.cumsum(counts))).astype(np.int64)),
            instrument=read_only(key % len(names)),
            steps=read_only(steps[order]),
        )

    members = extended(book.member_positions, carried.account, book.gross[book.margin_account_of])
    positions = extended(book.positions, owner, book.gross)
    return replace(book, instruments=names, member_positions=members, positions=positions)


def _beside(
    layout: Layout, book: Book, carried: Carried, place: Mapping[str, int], grouping: Grouping
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Orders to buy, to sell and unrealised profit beside each position; on the first row of a gross account's two."""
    n = len(layout.steps)
    if not len(carried.account):
        nothing = read_only(np.zeros(n))
        return nothing, nothing, nothing
    width = max(place.values(), default=0) + 1
    row_of = np.array([place[name] for name in carried.instruments], dtype=np.int64)
    owner = carried.account if grouping is Grouping.POSITION else book.margin_account_of[carried.account]
    key = layout.owner * width + layout.holdings.instrument
    order = np.argsort(key, kind="stable")
    at = order[np.searchsorted(key[order], owner * width + row_of[carried.instrument])]

    def placed(steps: IntArray) -> FloatArray:
        sums = np.zeros(n, dtype=np.int64)
        np.add.at(sums, at, steps)
        return read_only(steps_to_float(sums))

    return placed(carried.buys), placed(carried.sells), placed(carried.unrealised)


def _cash(book: Book) -> tuple[IntArray, IntArray, FloatArray]:
    """Balances by margin account and asset: account, asset, amount."""
    balances = book.balances or Balances()
    n_assets = max(len(balances.assets), 1)
    key = book.margin_account_of[balances.account] * n_assets + balances.asset
    distinct, of_row = np.unique(key, return_inverse=True)
    steps = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(steps, of_row.reshape(-1), balances.steps)
    return read_only(distinct // n_assets), read_only(distinct % n_assets), read_only(steps_to_float(steps))


def _result(requirements: Requirements) -> UnitResult:
    assert isinstance(requirements.breakdown, UnitResult)
    return requirements.breakdown


def located(sorted_keys: IntArray, wanted: IntArray) -> IntArray:
    """Index of each wanted key in `sorted_keys` (its last among equals), -1 where it is absent."""
    index = np.searchsorted(sorted_keys, wanted, side="right") - 1
    present = index >= 0
    present[present] = sorted_keys[index[present]] == wanted[present]
    return np.where(present, index, -1)


def _isolated_by_unit(units: UnitBook, alone: UnitBook, requirement: FloatArray) -> FloatArray:
    """Isolated sum of each unit: its members' positions, each alone; what nets away wholly stands with the account."""
    unit = located(units.layout.unit_key, alone.layout.unit_key)
    margined = unit >= 0
    return read_only(segment_sum(requirement[margined], unit[margined], units.n_units))


def _contributions(result: UnitResult, n_members: int) -> Contributions:
    """Shares of positions and members; see `Contributions`."""
    layout, held = result.book.layout, result.book.holdings
    pnl_worst, contribution = result.shares
    return Contributions(
        account_offsets=read_only(held.offsets[layout.account_offsets]),
        unit=held.unit(),
        instrument=held.instrument,
        steps=layout.steps,
        pnl_worst=pnl_worst,
        contribution=contribution,
        member=_member_contributions(result, contribution, n_members),
        instrument_names=result.priced.names,
    )


def _member_contributions(result: UnitResult, contribution: FloatArray, n_members: int) -> FloatArray:
    """Share of each member account in its margin account, shape `(n_members,)`.

    A member has for each contract what a contract brings to the margin account; what nets away between members costs
    neither of them.
    """
    held, alone = result.book.holdings, result.alone.holdings
    unit = located(result.book.layout.unit_key, result.alone.layout.unit_key)
    width = max(len(result.priced.names), 1)
    key = held.unit() * width + held.instrument
    order = np.argsort(key, kind="stable")
    place = located(key[order], unit[alone.unit()] * width + alone.instrument)
    there = place >= 0
    position = order[place[there]]
    quantity = held.quantity[position]
    of_one = np.divide(contribution[position], quantity, out=np.zeros(len(position)), where=quantity != 0)
    return segment_sum(alone.quantity[there] * of_one, result.alone.layout.owner[there], n_members)


def kept_fills(fills: tuple[Fill, ...], names: tuple[str, ...]) -> tuple[Fill, ...]:
    """`fills` without those of `names`, which are priced anew."""
    anew = set(names)
    return tuple(fill for fill in fills if fill.instrument not in anew)
