"""SPAN, top to bottom, for all risk units at once.

    scan risk      = largest loss over the 16 scenarios, at least 0
    risk           = max(scan risk + calendar and delivery charges - credits, short option minimum)
    maintenance    = risk x adjustment of the account type
    initial        = maintenance x initial ratio of the account type
    total          = risk less net option value, at least 0 in its scope

What a reader might question: requirements here are *before* option value, as everywhere in this engine; the rulebook's
own figure is the total. A unit that holds only long options needs no more than they are worth, whatever its array, its
adjustment or its ratio says.

References
----------
cme-span, ice-span (see docs/sources.md)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from crossmargin.aggregation.sweep import segment_sum, unit_sum, worst_loss
from crossmargin.aggregation.units import Grouping
from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.methodologies.span.book import SpanBook, short_option_rule
from crossmargin.methodologies.span.ledger import LedgerFigures
from crossmargin.methodologies.span.parameters import SpanFile
from crossmargin.methodologies.span.policy import CreditPlace, Scope, SpanPolicy
from crossmargin.methodologies.span.steps import (
    PriceRisk,
    option_value_credit,
    price_risk,
    rounded,
    scenario_losses,
    settled,
    short_option_minimum,
)
from crossmargin.portfolio.book import CustomerType


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Levels:
    """From a unit's charges to its requirements; arrays of shape `(n_units,)`, performance bond currency.

    `risk_raw` is before the cap at the value of long options, which `capped` says was needed; `exposure` is beside SPAN
    and in neither `risk` nor `maintenance` nor `initial`.
    """

    risk: FloatArray
    adjustment: FloatArray
    ratio: FloatArray
    maintenance_raw: FloatArray
    initial_raw: FloatArray
    maintenance: FloatArray
    initial: FloatArray
    minimum_binds: BoolArray
    only_long: BoolArray
    option_value: FloatArray
    exposure: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SpanBreakdown:
    """Every figure of the calculation; money in the performance bond currency of each unit unless said.

    Parameters
    ----------
    loss : ndarray of shape (n_scans, 16)
        Loss of what is scanned together, before any spread.
    scanned : PriceRisk
        Of these.
    ledger : LedgerFigures
        Deltas, spreads formed, charges and credits, and scan risk after scanning-based spreads.
    short_option_minimum : ndarray of shape (n_units,)
        Of each unit that stands for itself or others.
    levels : Levels
        Requirements of each unit.
    scope : ndarray of shape (n_units,)
        Over which risk its option value counts.
    credit_initial, credit_maintenance, excess_option_value : ndarray of shape (n_scopes,)
        Option value that counts, and what is left of it at the initial level.
    account_initial, account_maintenance, account_credit_initial, account_credit_maintenance, account_option_value :
        ndarray of shape (n_accounts,), in the currency of the answer; with exposure margin.
    """

    loss: FloatArray
    scanned: PriceRisk
    ledger: LedgerFigures
    short_option_minimum: FloatArray
    levels: Levels
    scope: IntArray
    credit_initial: FloatArray
    credit_maintenance: FloatArray
    excess_option_value: FloatArray
    account_initial: FloatArray
    account_maintenance: FloatArray
    account_credit_initial: FloatArray
    account_credit_maintenance: FloatArray
    account_option_value: FloatArray

    @property
    def credit(self) -> FloatArray:
        """Credits of all spreads between commodities, shape `(n_units,)`."""
        return self.ledger.super_credit + self.ledger.inter_credit


def span_requirement(book: SpanBook, *, record: bool = True) -> SpanBreakdown:
    """Requirements of each risk unit and margin account.

    Parameters
    ----------
    record : bool
        Whether the ledger's entries are kept: without them the figures are the same and nothing explains them.
    """
    contracts, holdings = book.contracts, book.holdings
    model, policy = contracts.model, contracts.model.policy
    paired = np.array(model.file.scenarios.paired, dtype=np.int64)

    # Scan risk, tier by tier where the file has scanning tiers; then of the unit.
    loss = scenario_losses(book.scan, contracts.swept)
    scanned = price_risk(loss, paired)
    unit_loss, unit_risk = _of_units(book, loss, scanned)

    # Net deltas by month, and every spread on one ledger.
    net_delta = rounded(unit_sum(book.months, contracts.delta), policy.delta_decimals)
    tier_risk = price_risk(scenario_losses(book.tiers, contracts.swept), paired).price_risk
    ledger = settled(
        model.rules.ledger, paired, book.ledger_book(net_delta, tier_risk), unit_loss, unit_risk, record=record
    )

    # A unit that was scanned into a target brings its minimum, its charges and its options there.
    stands_in, n = ledger.stands_in, holdings.n_units
    minimum = short_option_minimum(
        book.short, contracts.som_call, contracts.som_put, short_option_rule(model)[book.commodity]
    )
    minimum = segment_sum(minimum, stands_in, n)
    charges = segment_sum(ledger.calendar_charge + ledger.spot_charge, stands_in, n)
    credit = segment_sum(ledger.super_credit + ledger.inter_credit, stands_in, n)
    levels = _levels(book, ledger.scan_risk + charges, credit, minimum, stands_in)
    return _for_accounts(book, loss, scanned, ledger, minimum, levels)


def _of_units(book: SpanBook, loss: FloatArray, scanned: PriceRisk) -> tuple[FloatArray, PriceRisk]:
    """Losses and risks of units, which are sums over their scanning tiers."""
    if book.scan is book.holdings:
        return loss, scanned
    unit, n = book.scan_unit, book.holdings.n_units
    of_unit = np.zeros((n, loss.shape[1]))
    np.add.at(of_unit, unit, loss)
    # The active scenario of the unit is that of its most costly tier.
    order = np.lexsort((-np.arange(len(unit)), scanned.scan_risk))
    scenario = np.zeros(n, dtype=np.int64)
    scenario[unit[order]] = scanned.scenario[order]
    sums = {name: segment_sum(getattr(scanned, name), unit, n) for name in _SUMMED}
    return of_unit, PriceRisk(scenario=scenario, **sums)


_SUMMED = ("scan_risk", "time_risk", "vol_risk", "price_risk")


def _levels(
    book: SpanBook, scan_and_charges: FloatArray, credit: FloatArray, minimum: FloatArray, stands_in: IntArray
) -> Levels:
    """Risk of each unit, and what the account type makes of it."""
    contracts, n = book.contracts, book.holdings.n_units
    model, policy = contracts.model, contracts.model.policy
    if policy.credit is CreditPlace.INSIDE:
        before = scan_and_charges - credit
        risk = np.maximum(before, minimum)
        binds = before < minimum
    else:
        risk = np.maximum(0.0, np.maximum(scan_and_charges, minimum) - credit)
        binds = scan_and_charges < minimum
    adjustment, ratio = (
        _by_customer(model.file, name)[book.commodity, book.customer] for name in ("adjustment", "initial_ratio")
    )
    maintenance_raw = rounded(adjustment * risk, policy.requirement_decimals)
    initial_raw = rounded(ratio * maintenance_raw, policy.requirement_decimals)
    option_value = segment_sum(unit_sum(book.holdings, contracts.option_value), stands_in, n)
    # All that a target stands for must be long options for the target to need no more than their value.
    held = np.diff(book.holdings.offsets) > 0
    other = np.bincount(stands_in, held & ~book.only_long_options, n) > 0
    only_long = (np.bincount(stands_in, held, n) > 0) & ~other
    exposure = unit_sum(book.absolute, contracts.exposure_any) + unit_sum(book.short, contracts.exposure_short)
    return Levels(
        risk=risk,
        adjustment=adjustment,
        ratio=ratio,
        maintenance_raw=maintenance_raw,
        initial_raw=initial_raw,
        maintenance=np.where(only_long, np.minimum(maintenance_raw, option_value), maintenance_raw),
        initial=np.where(only_long, np.minimum(initial_raw, option_value), initial_raw),
        minimum_binds=binds,
        only_long=only_long,
        option_value=option_value,
        exposure=exposure,
    )


def _by_customer(file: SpanFile, name: str) -> FloatArray:
    """Factors by combined commodity and customer type, shape `(n_commodities, 3)`."""
    return np.array([[getattr(one, name)[who] for who in CustomerType] for one in file.commodities])


def _for_accounts(
    book: SpanBook,
    loss: FloatArray,
    scanned: PriceRisk,
    ledger: LedgerFigures,
    minimum: FloatArray,
    levels: Levels,
) -> SpanBreakdown:
    """Credit option value in its scope, and add up what each account is asked for."""
    model = book.contracts.model
    account, n_accounts = book.unit_account, len(book.layout.account_offsets) - 1
    scope, n_scopes = _scopes(book, model.policy)
    credit_initial, excess = option_value_credit(levels.initial, levels.option_value, scope, n_scopes)
    credit_maintenance, _ = option_value_credit(levels.maintenance, levels.option_value, scope, n_scopes)
    rate = model.rate_of[book.commodity]
    # A scope has one currency and one account: those of any of its units.
    of_scope = np.zeros(n_scopes, dtype=np.int64)
    of_scope[scope] = np.arange(len(scope))
    scope_account, scope_rate = account[of_scope], rate[of_scope]

    def by_account(values: FloatArray) -> FloatArray:
        return segment_sum(values * rate, account, n_accounts)

    return SpanBreakdown(
        loss=loss,
        scanned=scanned,
        ledger=ledger,
        short_option_minimum=minimum,
        levels=levels,
        scope=scope,
        credit_initial=credit_initial,
        credit_maintenance=credit_maintenance,
        excess_option_value=excess,
        account_initial=by_account(levels.initial + levels.exposure),
        account_maintenance=by_account(levels.maintenance + levels.exposure),
        account_credit_initial=segment_sum(credit_initial * scope_rate, scope_account, n_accounts),
        account_credit_maintenance=segment_sum(credit_maintenance * scope_rate, scope_account, n_accounts),
        account_option_value=by_account(levels.option_value),
    )


def _scopes(book: SpanBook, policy: SpanPolicy) -> tuple[IntArray, int]:
    """Over which risk the option value of each unit counts, numbered by account.

    Of a gross account it is the unit itself: the long options of one client cover nobody else's risk. So it is of a
    combined commodity whose option value the file limits.
    """
    file, n = book.contracts.model.file, book.holdings.n_units
    unit = np.arange(n)
    if not n:
        return unit, 0
    number: dict[tuple[str, str], int] = {}
    of_commodity = np.array(
        [
            number.setdefault(
                (one.currency, one.group if policy.option_value_scope is Scope.GROUP else ""), len(number)
            )
            for one in file.commodities
        ]
    )
    limited = np.array([one.limit_option_value or file.limit_option_value for one in file.commodities])
    alone = limited[book.commodity] | ~book.forms_spreads[book.unit_account]
    if policy.option_value_scope is Scope.CLASS:
        alone = np.ones(n, dtype=np.bool_)
    # Shared scopes are numbered by account and commodity, those of a unit alone behind them.
    n_shared = len(book.layout.account_offsets) * len(number)
    key = np.where(alone, n_shared + unit, book.unit_account * len(number) + of_commodity[book.commodity])
    distinct, scope = np.unique(key, return_inverse=True)
    return scope.reshape(-1).astype(np.int64), len(distinct)


def isolated_requirement(alone: SpanBook) -> FloatArray:
    """Initial requirement of every member's position alone, in the currency of the answer, shape `(n_positions,)`.

    The same steps as `span_requirement` where nothing can spread: scan risk, the outright delivery charge, the minimum.
    """
    assert alone.grouping is Grouping.POSITION
    contracts, held = alone.contracts, alone.holdings
    model, rules = contracts.model, contracts.model.rules.ledger
    scan_risk = np.maximum(0.0, worst_loss(held, contracts.swept)[0])
    spot = (
        np.abs(held.quantity * contracts.delta[held.instrument])
        * (rules.spot_outright_rate[contracts.month[held.instrument]])
    )
    minimum = short_option_minimum(
        alone.short, contracts.som_call, contracts.som_put, short_option_rule(model)[alone.commodity]
    )
    nothing, itself = np.zeros(held.n_units), np.arange(held.n_units)
    levels = _levels(alone, scan_risk + spot, nothing, minimum, itself)
    return (levels.initial + levels.exposure) * model.rate_of[alone.commodity]
