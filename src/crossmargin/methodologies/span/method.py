"""`span`, as the engine sees it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time
from functools import cached_property
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import scenario_pnl, segment_sum
from crossmargin.aggregation.units import Grouping
from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import ParameterError, Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Level, ParametersInfo, ScenarioPnl, Traits, notes_on_orders
from crossmargin.methodologies.requirements import AccountRequirements, Contributions, Requirements, Units
from crossmargin.methodologies.span.book import SpanBook, SpanContracts, SpanModel, span_book, span_contracts
from crossmargin.methodologies.span.contributions import member_contributions, position_contributions
from crossmargin.methodologies.span.explain import explain_account
from crossmargin.methodologies.span.listing import SpanListing
from crossmargin.methodologies.span.parameters import SpanFile
from crossmargin.methodologies.span.policy import policy_for
from crossmargin.methodologies.span.recipe import SpanBreakdown, isolated_requirement, span_requirement
from crossmargin.methodologies.span.rules import rules_of
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, kw_only=True, eq=False)
class SpanResult:
    """What the explanation and the shares of an account need."""

    book: SpanBook
    breakdown: SpanBreakdown
    margin_accounts: tuple[str, ...]
    alone: SpanBook

    @cached_property
    def by_position(self) -> tuple[FloatArray, FloatArray]:
        """P&L in the active scenario and contribution of each position."""
        return position_contributions(self.book, self.breakdown)


@dataclass(frozen=True, kw_only=True, eq=False)
class Span:
    """SPAN with the parameters of one file."""

    model: SpanModel
    name: str = "span"
    title: str = "risk arrays of an exchange's file, spreads by priority on one delta ledger"
    version: str = "1"
    status: str = "published"
    schedule: None = None
    net_margin: bool = False

    @cached_property
    def info(self) -> ParametersInfo:
        """The file, and what of the policy can move a number."""
        file = self.model.file
        document = {
            "file": file.source,
            "file_hash": file.digest,
            "form": file.form,
            "complex": file.complex,
            "business_date": file.business_date.isoformat(),
            "currency": self.model.currency,
            **self.model.policy.document(),
        }
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return ParametersInfo(
            name=f"{file.source} ({self.model.policy.name})",
            version=file.form,
            date=file.business_date.isoformat(),
            digest=f"sha256:{digest}",
            document=document,
        )

    @property
    def traits(self) -> Traits:
        """Greedy spreads are neither convex nor subadditive, contributions an allocation; rounding does not scale."""
        policy = self.model.policy
        unrounded = policy.requirement_decimals is None and policy.delta_decimals is None
        return Traits(convex=False, homogeneous=unrounded, subadditive=False, euler=False, exact_integers=False)

    @cached_property
    def market(self) -> Market:
        """The file as a market: its contracts by name, its date, and its conversions."""
        file = self.model.file
        prices = {self.model.currency: 1.0}
        for (one, other), rate in sorted(file.conversions.items()):
            if other == self.model.currency:
                prices.setdefault(one, rate)
            elif one == self.model.currency:
                prices.setdefault(other, 1 / rate)
        notes = [f"house policy {self.model.policy.name}"]
        if file.skipped:
            skipped = ", ".join(f"{count:,} x {name}" for name, count in sorted(file.skipped.items()))
            notes.append(f"not used of the file: {skipped}")
        notes += [f"never formed with this file: {spread}" for spread in self.model.rules.dropped[:3]]
        return Market.of_listing(
            self.model.listing,
            as_of=datetime.combine(file.business_date, time(), UTC),
            source=f"{file.form} file {file.source}, {'settlement' if file.is_settlement else 'intraday'}",
            currency=self.model.currency,
            prices=prices,
            notes=tuple(notes),
        )

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> SpanContracts:
        """See `Methodology.price`; market and policy are not looked at, for the file has the prices."""
        return span_contracts(instruments, self.model)

    def repriced(self, priced: SpanContracts, part: SpanContracts) -> SpanContracts:
        """See `Methodology.repriced`: a newer file is newer as a whole."""
        return span_contracts(priced.names, part.model)

    def changed_underlyings(self, older: Any) -> frozenset[str] | None:
        """See `Methodology.changed_underlyings`."""
        assert isinstance(older, Span)
        return frozenset() if self.info.digest == older.info.digest else None

    def arrange(self, book: Book, priced: SpanContracts) -> SpanBook:
        """See `Methodology.arrange`."""
        return span_book(book, priced, Grouping.NETTED)

    def account_requirements(self, arranged: SpanBook, priced: SpanContracts) -> AccountRequirements:
        """See `Methodology.account_requirements`."""
        if arranged.contracts is not priced:  # another file numbers commodities and months anew
            arranged = span_book(arranged.book, priced, Grouping.NETTED)
        breakdown = span_requirement(arranged, record=False)
        return AccountRequirements(
            requirement_initial=read_only(breakdown.account_initial),
            requirement_maintenance=read_only(breakdown.account_maintenance),
            net_option_value=read_only(breakdown.account_option_value),
            credit_initial=read_only(breakdown.account_credit_initial),
            credit_maintenance=read_only(breakdown.account_credit_maintenance),
        )

    def notes(self, book: Book, priced: Any) -> tuple[str, ...]:
        """See `Methodology.notes`."""
        return notes_on_orders(book, self.name)

    def requirements(self, book: Book, priced: SpanContracts) -> Requirements:
        """See `Methodology.requirements`."""
        units = span_book(book, priced, Grouping.NETTED)
        alone = span_book(book, priced, Grouping.POSITION)
        breakdown = span_requirement(units)
        isolated = isolated_requirement(alone)
        result = SpanResult(book=units, breakdown=breakdown, margin_accounts=book.margin_accounts, alone=alone)
        rate = self.model.rate_of[units.commodity]
        ledger, levels = breakdown.ledger, breakdown.levels
        components = {
            "scan_risk": ledger.scan_risk,
            "intracommodity_spread_charge": ledger.calendar_charge,
            "delivery_month_charge": ledger.spot_charge,
            "intercommodity_spread_credit": 0.0 - breakdown.credit,
            "short_option_minimum": breakdown.short_option_minimum,
        }
        if self.model.policy.exposure is not None:
            components["exposure_margin"] = levels.exposure
        n_accounts = len(book.margin_accounts)
        return Requirements(
            margin_accounts=book.margin_accounts,
            currency=self.model.currency,
            requirement_initial=read_only(breakdown.account_initial),
            requirement_maintenance=read_only(breakdown.account_maintenance),
            requirement_isolated=read_only(segment_sum(isolated, alone.unit_account, n_accounts)),
            net_option_value=read_only(breakdown.account_option_value),
            credit_initial=read_only(breakdown.account_credit_initial),
            credit_maintenance=read_only(breakdown.account_credit_maintenance),
            units=Units(
                account_offsets=units.layout.account_offsets,
                name_all=lambda: tuple(map(units.unit_name, range(units.holdings.n_units))),
                scenario_all=lambda: tuple(map(self.model.file.scenarios.words, ledger.scenario.tolist())),
                components={name: read_only(values * rate) for name, values in components.items()},
                requirement_initial=read_only((levels.initial + levels.exposure) * rate),
                requirement_isolated=_isolated_by_unit(units, alone, isolated),
                net_option_value=read_only(levels.option_value * rate),
            ),
            contribution_all=lambda: _contributions(result, len(book.accounts)),
            fills=(),
            breakdown=result,
        )

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        """See `Methodology.explain`."""
        result = _result(requirements)
        return explain_account(
            result.margin_accounts[account], account, result.book, result.breakdown, result.by_position[0], level
        )

    def scenarios(self, requirements: Requirements, account: int) -> ScenarioPnl:
        """See `Methodology.scenarios`: P&L of each unit by itself, before any spread is formed."""
        result = _result(requirements)
        book, scenarios = result.book, self.model.file.scenarios
        units = requirements.units.of(account)
        chosen = np.arange(units.start, units.stop)
        words = tuple(f"{k + 1}: {scenarios.words(k)}" for k in range(len(scenarios.price)))
        return ScenarioPnl(
            units=tuple(book.unit_name(u) for u in units),
            words=(words,) * len(units),
            price_move=np.tile(scenarios.price, (len(units), 1)),
            vol_direction=np.tile(scenarios.vol, (len(units), 1)),
            weight=np.ones((len(units), len(scenarios.price))),
            pnl=scenario_pnl(book.holdings, book.contracts.swept, chosen)
            * self.model.rate_of[book.commodity[chosen]][:, None],
            counted=tuple(result.breakdown.ledger.scenario[chosen].tolist()),
            currency=requirements.currency,
        )


def _result(requirements: Requirements) -> SpanResult:
    assert isinstance(requirements.breakdown, SpanResult)
    return requirements.breakdown


def _isolated_by_unit(units: SpanBook, alone: SpanBook, isolated: FloatArray) -> FloatArray:
    """Isolated sum of each unit: its members' positions, each alone; what nets away wholly stands with the account."""
    place = np.searchsorted(units.layout.unit_key, alone.layout.unit_key)
    there = place < len(units.layout.unit_key)
    there[there] = units.layout.unit_key[place[there]] == alone.layout.unit_key[there]
    return read_only(segment_sum(isolated[there], place[there], units.holdings.n_units))


def _contributions(result: SpanResult, n_members: int) -> Contributions:
    """Shares of positions and members; see `Contributions`."""
    book, held = result.book, result.book.holdings
    pnl_worst, contribution = result.by_position
    return Contributions(
        account_offsets=read_only(held.offsets[book.layout.account_offsets]),
        unit=held.unit(),
        instrument=held.instrument,
        steps=book.layout.steps,
        pnl_worst=pnl_worst,
        contribution=contribution,
        member=member_contributions(book, result.breakdown, result.alone, n_members),
        instrument_names=book.contracts.names,
    )


def span(parameters: SpanFile | None = None, **options: Any) -> Span:
    """SPAN with the parameters of a file.

    Parameters
    ----------
    parameters : SpanFile
        As `files.span.read_span` reads it.
    **options
        `policy` (a preset), `currency` (of the answer), and what `policy_for` takes.

    Raises
    ------
    ParameterError
        If it is no such file, or an option is wrong.
    """
    if not isinstance(parameters, SpanFile):
        raise ParameterError(
            Problem(
                found="span without a risk parameter file",
                needed="Name the exchange's .spn or .pa2 file: its contracts, arrays and rates are the parameters.",
                kind=ParameterError,
            )
        )
    currency = options.pop("currency", None)
    policy = policy_for(parameters, options.pop("policy", None), **options)
    currency = _currency(parameters, None if currency is None else str(currency))
    return Span(
        model=SpanModel(
            file=parameters,
            rules=rules_of(parameters),
            listing=SpanListing(parameters),
            policy=policy,
            currency=currency,
            rate_of=read_only(
                np.array([_rate(parameters.conversions, one.currency, currency) for one in parameters.commodities])
            ),
        )
    )


def _currency(file: SpanFile, asked: str | None) -> str:
    """What is answered in: as asked, else the one currency of the file, else US dollars."""
    known = sorted({one.currency for one in file.commodities})
    if asked is None:
        return known[0] if len(known) == 1 else "USD"
    if asked not in known and not any(asked in pair for pair in file.conversions):
        raise ParameterError(
            Problem(
                found=f"currency '{asked}', which {file.source} neither margins in nor converts",
                needed=f"It margins in {', '.join(known)}.",
                kind=ParameterError,
            )
        )
    return asked


def _rate(conversions: Mapping[tuple[str, str], float], one: str, other: str) -> float:
    """Units of `other` for one of `one`, NaN where the file does not say."""
    if one == other:
        return 1.0
    if (one, other) in conversions:
        return conversions[one, other]
    if (other, one) in conversions:
        return 1 / conversions[other, one]
    return float("nan")
