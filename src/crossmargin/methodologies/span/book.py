"""Positions and a parameter file to the arrays that SPAN needs.

A risk unit is a margin account's positions in one combined commodity. What a reader might question: a scanning-based
spread margins its legs in a target, in which the account may hold nothing; who holds a leg therefore gets an empty unit
of the target, with all of its months, before anything is calculated.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import Holdings, LaidOut, laid_out, segments
from crossmargin.aggregation.units import Grouping, Layout, Side, unit_layout
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray, offsets_from_counts, owners_of, read_only
from crossmargin.basics.errors import MissingQuoteError, Problem, UnsupportedError, raise_problems
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.span.ledger import LedgerBook
from crossmargin.methodologies.span.listing import SpanListing
from crossmargin.methodologies.span.parameters import Kind, ShortOptions, SpanFile, contract_name
from crossmargin.methodologies.span.policy import SpanPolicy
from crossmargin.methodologies.span.rules import Rules
from crossmargin.portfolio.book import Book, CustomerType


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpanModel:
    """A file, its rules by number, the house's policy, and the currency that is answered in.

    `rate_of` has shape `(n_commodities,)`: units of `currency` for one of each performance bond currency; NaN where
    the file has no conversion.
    """

    file: SpanFile
    rules: Rules
    listing: SpanListing
    policy: SpanPolicy
    currency: str
    rate_of: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpanContracts:
    """What one contract of each held instrument does; arrays of shape `(n_instruments,)` unless said.

    Parameters
    ----------
    names : tuple of str
        Instruments, in order.
    row : ndarray
        Row of the file's contracts.
    swept : LaidOut
        Gain of one long contract in the 16 scenarios: minus the risk array.
    loss : ndarray of shape (n_instruments, 16)
        The risk array.
    commodity, month, scan_tier : ndarray
        Combined commodity, month of its delta, what it is scanned with.
    delta : ndarray
        Composite delta times delta scale, of one long contract.
    option_value : ndarray
        Value of one long contract, money; 0 for what has no premium.
    is_premium : ndarray of bool
        Whether it is an option whose premium was paid.
    som_call, som_put : ndarray
        Short option minimum of one short contract, where it is a call or a put.
    exposure_any, exposure_short : ndarray
        Exposure margin of one contract, whichever side, and of one short contract.
    """

    model: SpanModel
    names: tuple[str, ...]
    row: IntArray
    swept: LaidOut
    loss: FloatArray
    commodity: IntArray
    month: IntArray
    scan_tier: IntArray
    delta: FloatArray
    option_value: FloatArray
    is_premium: BoolArray
    som_call: FloatArray
    som_put: FloatArray
    exposure_any: FloatArray
    exposure_short: FloatArray

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Stand-ins for missing quotes: none, what is missing is refused."""
        return ()


def span_contracts(instruments: tuple[str, ...], model: SpanModel) -> SpanContracts:
    """Look one contract of everything held up in the file.

    Raises
    ------
    UnknownInstrumentError, ExpiredInstrumentError
        For a name that means no contract of the file, or several.
    MissingQuoteError
        For an option with a premium and no price: its value would be missing from the answer.
    UnsupportedError
        For a combined commodity whose spreads cannot be formed, or whose currency the file does not convert.
    """
    listing, file, rules = model.listing, model.file, model.rules
    problems = [problem for name in instruments if (problem := listing.problem_with(name)) is not None]
    raise_problems(problems)
    row = np.array([listing.row(name) for name in instruments], dtype=np.int64)
    contracts = file.contracts
    commodity = rules.commodity_of_contract[row]
    product = contracts.product[row]
    is_premium = np.array([one.kind.is_option and one.premium_style for one in file.products] or [False])[product]
    price = contracts.price[row]
    for k in np.flatnonzero(is_premium & np.isnan(price)).tolist():
        problems.append(
            Problem(
                found=f"no price of '{instruments[k]}' in {file.source}",
                needed="Its option value counts: use a file that states its price.",
                kind=MissingQuoteError,
                instrument=instruments[k],
            )
        )
    for c in np.unique(commodity).tolist():
        of = tuple(instruments[k] for k in np.flatnonzero(commodity == c).tolist())
        problems += _not_covered(model, c, of)
    raise_problems(problems)
    som = rules.som_rate_of_contract[row]
    any_side, short = _exposure(model, row)
    loss = contracts.loss[row]
    return SpanContracts(
        model=model,
        names=instruments,
        row=read_only(row),
        swept=laid_out(0.0 - loss),  # not -0
        loss=read_only(loss),
        commodity=read_only(commodity),
        month=read_only(rules.month_of_contract[row]),
        scan_tier=read_only(rules.scan_tier_of_contract[row]),
        delta=read_only(contracts.delta[row] * contracts.delta_scale[row]),
        option_value=read_only(np.where(is_premium, price * contracts.value_factor[row], 0.0)),
        is_premium=read_only(is_premium),
        som_call=read_only(np.where(contracts.right[row] > 0, som, 0.0)),
        som_put=read_only(np.where(contracts.right[row] < 0, som, 0.0)),
        exposure_any=read_only(any_side),
        exposure_short=read_only(short),
    )


def _not_covered(model: SpanModel, commodity: int, instruments: tuple[str, ...]) -> list[Problem]:
    one = model.file.commodities[commodity]
    problems = []
    if reason := model.rules.unsupported.get(commodity):
        problems.append(
            Problem(
                found=f"combined commodity '{one.code}' of {model.file.source}: {reason}",
                needed="It cannot be margined with this file.",
                kind=UnsupportedError,
                instruments=instruments,
            )
        )
    if np.isnan(model.rate_of[commodity]):
        problems.append(
            Problem(
                found=f"no conversion from {one.currency} to {model.currency} in {model.file.source}, for '{one.code}'",
                needed=f"Ask for {one.currency}, or margin its positions in a book of their own.",
                kind=UnsupportedError,
                instruments=instruments,
            )
        )
    return problems


def _exposure(model: SpanModel, row: IntArray) -> tuple[FloatArray, FloatArray]:
    """Exposure margin of one contract: of a future by its price, of a short option by that of its underlying."""
    contracts, file, exposure = model.file.contracts, model.file, model.policy.exposure
    if exposure is None:
        return np.zeros(len(row)), np.zeros(len(row))
    commodity = model.rules.commodity_of_contract[row]
    rate = np.array([exposure.rate(one.code) for one in file.commodities])[commodity]
    kinds = np.array([one.kind for one in file.products], dtype=np.int64)[contracts.product]
    is_option = contracts.right[row] != 0
    is_on_future = kinds[row] == Kind.OOF
    underlying = np.full(len(row), np.nan)
    for kind, chosen, place in (
        (Kind.PHY, ~is_on_future, model.rules.commodity_of_contract),
        (Kind.FUT, is_on_future, model.rules.month_of_contract),  # an option's delta is in its future's month
    ):
        listed = np.flatnonzero((kinds == kind) & (place >= 0))
        of_place = np.full(int(place.max(initial=-1)) + 1, np.nan)
        of_place[place[listed[::-1]]] = contracts.price[listed[::-1]]
        underlying[chosen] = of_place[place[row[chosen]]]
    missing = np.isnan(np.where(is_option, underlying, contracts.price[row]))
    raise_problems(
        [
            Problem(
                found=f"no price of the underlying of '{file.commodities[c].code}' in {file.source}, by which exposure "
                "margin is charged",
                needed="Leave exposure margin out: --option exposure=off.",
                kind=MissingQuoteError,
                instruments=tuple(contract_name(file, int(k)) for k in row[missing & (commodity == c)].tolist()),
            )
            for c in np.unique(commodity[missing]).tolist()
        ]
    )
    value = rate * contracts.value_factor[row]
    futures = np.where(is_option | (kinds[row] == Kind.PHY), 0.0, value * contracts.price[row])
    return np.abs(futures), np.where(is_option, value * underlying, 0.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class SpanBook:
    """Positions as risk units; arrays of shape `(n_units,)` unless said.

    Parameters
    ----------
    book : Book
        What it was arranged from.
    contracts : SpanContracts
        What it was arranged by; `holdings.instrument` are its rows.
    layout : Layout
        Units and positions, targets of scanning included.
    grouping : Grouping
        What a unit is.
    months : Holdings
        Positions of each unit month by month; months of a target may be empty. None where every position is a unit.
    month_unit, month : ndarray of shape (n_unit_months,)
        Unit and month of each.
    month_of_position : ndarray of shape (n_positions,)
        Entry of `months` that a position, in the order of the units, is in.
    scan : Holdings
        Positions of each unit, by what is scanned together.
    scan_unit : ndarray of shape (n_scans,)
        Unit of each.
    tiers : Holdings
        Positions of each unit in each inter-commodity tier of its commodity; none where no spread names tiers.
    tier_unit, tier : ndarray of shape (n_unit_tiers,)
        Unit and row of each.
    customer : ndarray
        Customer type of the account: index into `tuple(CustomerType)`.
    forms_spreads : ndarray of shape (n_accounts,)
        Whether the account's units may hedge each other and months: not those of a gross account.
    """

    book: Book
    contracts: SpanContracts
    layout: Layout
    grouping: Grouping
    months: Holdings
    month_unit: IntArray
    month: IntArray
    month_of_position: IntArray
    scan: Holdings
    scan_unit: IntArray
    tiers: Holdings
    tier_unit: IntArray
    tier: IntArray
    customer: IntArray
    forms_spreads: BoolArray

    @property
    def holdings(self) -> Holdings:
        """Units and their positions."""
        return self.layout.holdings

    @property
    def commodity(self) -> IntArray:
        """Combined commodity of each unit."""
        return self.layout.unit_group

    @cached_property
    def unit_account(self) -> IntArray:
        """Margin account of each unit."""
        return owners_of(self.layout.account_offsets)

    @cached_property
    def short(self) -> Holdings:
        """The same positions with what is short of each, at least 0."""
        return self._with(np.maximum(0.0, -self.holdings.quantity))

    @cached_property
    def absolute(self) -> Holdings:
        """The same positions without their sign."""
        return self._with(np.abs(self.holdings.quantity))

    def _with(self, quantity: FloatArray) -> Holdings:
        held = self.holdings
        return Holdings(offsets=held.offsets, instrument=held.instrument, quantity=read_only(quantity))

    @cached_property
    def only_long_options(self) -> BoolArray:
        """Whether a unit holds nothing but options that it paid for; `False` for one that holds nothing."""
        other = (self.holdings.quantity < 0) | ~self.contracts.is_premium[self.holdings.instrument]
        unit, n = self.holdings.unit(), self.holdings.n_units
        return np.asarray(np.bincount(unit, other, n) == 0) & (np.diff(self.holdings.offsets) > 0)

    def unit_name(self, unit: int) -> str:
        """Code of the combined commodity, with the side for a gross account; the contract where it is a unit."""
        if self.grouping is Grouping.POSITION:
            return self.contracts.names[int(self.holdings.instrument[unit])]
        side = Side(int(self.layout.unit_key[unit]) % len(Side))
        return self.contracts.model.file.commodities[int(self.commodity[unit])].code + side.words

    def ledger_book(self, net_delta: FloatArray, tier_price_risk: FloatArray) -> LedgerBook:
        """What the delta ledger reads."""
        n = self.holdings.n_units
        columns: dict[str, Any] = {
            "account_units": self.layout.account_offsets,
            "forms_spreads": self.forms_spreads.astype(np.int64),
            "unit_commodity": self.commodity,
            "unit_held": (np.diff(self.holdings.offsets) > 0).astype(np.int64),
            "unit_months": np.searchsorted(self.month_unit, np.arange(n + 1)),
            "month": self.month,
            "net_delta": net_delta,
            "tier_offsets": np.searchsorted(self.tier_unit, np.arange(n + 1)),
            "tier": self.tier,
            "tier_price_risk": tier_price_risk,
        }
        return LedgerBook(**{name: read_only(values) for name, values in columns.items()})


_NOTHING = Holdings(offsets=np.zeros(1, dtype=np.int64), instrument=np.zeros(0, dtype=np.int64), quantity=np.zeros(0))


def span_book(book: Book, contracts: SpanContracts, grouping: Grouping) -> SpanBook:
    """Group positions into risk units, margin account by margin account.

    Parameters
    ----------
    contracts : SpanContracts
        At least what the book holds.
    """
    model = contracts.model
    rules, n_commodities = model.rules, len(model.file.commodities)
    if contracts.names == book.instruments:
        row = np.arange(len(contracts.names))
    else:
        place = {name: k for k, name in enumerate(contracts.names)}
        row = np.array([place[name] for name in book.instruments], dtype=np.int64)
    layout = unit_layout(book, row, contracts.commodity, n_commodities, grouping)
    netted = grouping is Grouping.NETTED
    if netted and len(rules.scanning_targets):
        layout = _with_targets(layout, rules, n_commodities, book.gross)
    holdings = layout.holdings
    months, tiers = _NOTHING, _NOTHING
    month_unit = month = month_of_position = tier_unit = tier = np.zeros(0, dtype=np.int64)
    if netted:
        by_month = segments(holdings, contracts.month)
        months, month_unit, month = by_month.holdings, by_month.unit, by_month.label
        month_of_position = by_month.of_position
    if netted and len(rules.scanning_targets):
        targets = np.flatnonzero(np.isin(layout.unit_group, rules.scanning_targets[:, 1]))
        months, month_unit, month, month_of_position = _with_months(
            months, month_unit, month, month_of_position, targets, layout.unit_group[targets], rules
        )
    scan, scan_unit = holdings, np.arange(holdings.n_units)
    if netted and rules.n_scan_tiers > 1:
        by_tier = segments(holdings, contracts.scan_tier)
        scan, scan_unit = by_tier.holdings, by_tier.unit
    if netted and rules.names_inter_tiers:
        # What is in no tier goes to one behind all others, which no spread names.
        label = rules.inter_tier_of_month[contracts.month]
        by_inter = segments(holdings, np.where(label < 0, rules.n_inter_tiers, label))
        tiers, tier_unit, tier = by_inter.holdings, by_inter.unit, by_inter.label
    account = owners_of(layout.account_offsets)
    stated = book.customer_types.astype(np.int64)
    default = tuple(CustomerType).index(model.policy.customer_type)
    return SpanBook(
        book=book,
        contracts=contracts,
        layout=layout,
        grouping=grouping,
        months=months,
        month_unit=month_unit,
        month=month,
        month_of_position=month_of_position,
        scan=scan,
        scan_unit=scan_unit,
        tiers=tiers,
        tier_unit=tier_unit,
        tier=tier,
        customer=read_only(np.where(stated < 0, default, stated)[account]),
        # A position alone has nothing to spread against.
        forms_spreads=~book.gross if netted else np.zeros(len(book.margin_accounts), dtype=np.bool_),
    )


def _with_targets(layout: Layout, rules: Rules, n_commodities: int, gross: BoolArray) -> Layout:
    """The layout with an empty unit for every target that an account's legs could be scanned into."""
    account = owners_of(layout.account_offsets)
    keys = [
        (account[of_leg] * n_commodities + target) * len(Side)
        for leg, target in rules.scanning_targets.tolist()
        if len(of_leg := np.flatnonzero((layout.unit_group == leg) & ~gross[account]))
    ]
    new = np.setdiff1d(np.concatenate(keys), layout.unit_key) if keys else np.zeros(0, dtype=np.int64)
    if not len(new):
        return layout
    key = np.concatenate((layout.unit_key, new))
    order = np.argsort(key, kind="stable")
    counts = np.concatenate((np.diff(layout.holdings.offsets), np.zeros(len(new), dtype=np.int64)))[order]
    unit_account, group = np.divmod(key[order] // len(Side), n_commodities)
    held = layout.holdings
    return Layout(
        holdings=Holdings(
            offsets=read_only(offsets_from_counts(counts)), instrument=held.instrument, quantity=held.quantity
        ),
        steps=layout.steps,
        owner=layout.owner,
        unit_key=read_only(key[order]),
        unit_group=read_only(group),
        account_offsets=read_only(
            offsets_from_counts(np.bincount(unit_account, minlength=len(layout.account_offsets) - 1).astype(np.int64))
        ),
    )


def _with_months(
    months: Holdings,
    month_unit: IntArray,
    month: IntArray,
    month_of_position: IntArray,
    units: IntArray,
    commodity: IntArray,
    rules: Rules,
) -> tuple[Holdings, IntArray, IntArray, IntArray]:
    """The months of all units, with every month that is listed for `units`."""
    n_months = max(len(rules.month_period), 1)
    first, last = rules.ledger.commodity_months[commodity], rules.ledger.commodity_months[commodity + 1]
    listed = last - first
    starts = offsets_from_counts(listed)
    all_months = np.repeat(first - starts[:-1], listed) + np.arange(starts[-1])
    wanted = np.repeat(units, listed) * n_months + all_months
    key = month_unit * n_months + month
    both = np.union1d(key, wanted)
    counts = np.zeros(len(both), dtype=np.int64)
    place = np.searchsorted(both, key)
    counts[place] = np.diff(months.offsets)
    return (
        Holdings(
            offsets=read_only(offsets_from_counts(counts)), instrument=months.instrument, quantity=months.quantity
        ),
        read_only(both // n_months),
        read_only(both % n_months),
        read_only(place[month_of_position]),
    )


def short_option_rule(model: SpanModel) -> BoolArray:
    """Whether each commodity's minimum counts only the larger of short calls and puts, shape `(n_commodities,)`."""
    return np.array([one.short_options is ShortOptions.MAX for one in model.file.commodities], dtype=np.bool_)
