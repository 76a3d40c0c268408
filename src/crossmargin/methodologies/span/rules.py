"""Spread rules of a file as flat arrays: what the delta ledger walks through, account by account.

Every leg of every spread, whatever the file calls it (a period, a tier, a whole combined commodity), is a run of
consecutive months of one combined commodity; then one ledger serves them all. A month here is any period that deltas
are counted to. Spreads are numbered in the order in which they are formed: super spreads, calendar spreads of each
combined commodity (series before tiers), inter-commodity, inter-clearing; each by ascending priority.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, offsets_from_counts, read_only
from crossmargin.methodologies.span.parameters import (
    Across,
    Commodity,
    Contracts,
    Kind,
    Leg,
    Method,
    SpanFile,
    Spread,
    Tier,
    WeightedRisk,
)


class Code(IntEnum):
    """What forming a spread does; `LIMIT` forms nothing and bounds the number of those that follow it."""

    FLAT = 0
    PER_MONTH = 1
    WEIGHTED = 2
    FLAT_CREDIT = 3
    SCANNING = 4
    LIMIT = 5


_CODES = {
    Method.FLAT: Code.FLAT,
    Method.PER_MONTH: Code.PER_MONTH,
    Method.WEIGHTED: Code.WEIGHTED,
    Method.FLAT_CREDIT: Code.FLAT_CREDIT,
    Method.SCANNING: Code.SCANNING,
}


class LedgerRules(NamedTuple):
    """The rules of a file for `ledger.settle`; read-only arrays.

    Parameters
    ----------
    commodity_months : (n_commodities + 1,)
        Months of commodity `c` are `commodity_months[c]` to `commodity_months[c + 1]`, ascending by period.
    month_key, month_number : (n_months,)
        What orders months of different commodities, and months since the year 0.
    month_range : (n_months,)
        Price scan range in money for each delta; NaN where no contract of the month says one.
    spot_spread_rate, spot_outright_rate : (n_months,)
        Delivery-month charge for each delta in spreads, and outright.
    weighted_risk : (n_commodities,)
        How weighted price risk is found: 0 normal, 1 capped at the scan range, 2 the scan range.
    calendar_offsets : (n_commodities + 1,)
        Spreads of commodity `c` are numbers `calendar_offsets[c]` to `calendar_offsets[c + 1]`.
    super_offsets, super_spread, inter_offsets, inter_spread
        Spreads between commodities by the commodity of their first leg (of any leg, if based on scanning).
    code, rate, rate_per_month, limited, target, target_ratio, target_required, minimum_legs : (n_spreads,)
        As `Spread`; `limited` is 1 where the last `LIMIT` bounds the number; `target` is -1 for none.
    leg_offsets : (n_spreads + 1,)
        Legs of each spread.
    leg_commodity, leg_first, leg_last, leg_tier : (n_legs,)
        Its months, half open; `leg_tier` is a row of the inter-commodity tiers, -1 for the whole commodity.
    leg_side, leg_required : (n_legs,)
        0 for A, 1 for B; whether the spread needs it.
    leg_ratio, leg_rate : (n_legs,)
        Delta for one spread, and the fraction credited.
    """

    commodity_months: IntArray
    month_key: IntArray
    month_number: IntArray
    month_range: FloatArray
    spot_spread_rate: FloatArray
    spot_outright_rate: FloatArray
    weighted_risk: IntArray
    calendar_offsets: IntArray
    super_offsets: IntArray
    super_spread: IntArray
    inter_offsets: IntArray
    inter_spread: IntArray
    code: IntArray
    rate: FloatArray
    rate_per_month: FloatArray
    limited: IntArray
    target: IntArray
    target_ratio: FloatArray
    target_required: IntArray
    minimum_legs: IntArray
    leg_offsets: IntArray
    leg_commodity: IntArray
    leg_first: IntArray
    leg_last: IntArray
    leg_tier: IntArray
    leg_side: IntArray
    leg_required: IntArray
    leg_ratio: FloatArray
    leg_rate: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rules:
    """Everything of a file that margining looks up by number.

    Parameters
    ----------
    ledger : LedgerRules
        For the delta ledger.
    spreads : tuple of Spread
        Each numbered spread as the file has it; several numbers may be of one.
    month_of_contract : ndarray of shape (n_contracts,)
        Month of each contract's delta; -1 where it is in no combined commodity.
    commodity_of_contract : ndarray of shape (n_contracts,)
        Its combined commodity; -1 where it is in none.
    scan_tier_of_contract : ndarray of shape (n_contracts,)
        What is scanned together, numbered within its commodity from 0.
    inter_tier_of_month : ndarray of shape (n_months,)
        Row of the inter-commodity tier that a month is in, -1 for none: rows are numbered over all commodities.
    som_rate_of_contract : ndarray of shape (n_contracts,)
        Short option minimum of one short contract; 0 for what is no option.
    month_period : tuple of str
        Period of each month.
    scanning_targets : ndarray of shape (n_pairs, 2)
        Commodities that may be scanned together, and into which.
    names_inter_tiers : bool
        Whether some spread is formed in tiers.
    dropped : tuple of str
        Spreads that can never be formed with this file, and why: one leg is at another clearing house.
    unsupported : mapping of int to str
        Commodities that cannot be margined, and why.
    """

    ledger: LedgerRules
    spreads: tuple[Spread, ...]
    month_of_contract: IntArray
    commodity_of_contract: IntArray
    scan_tier_of_contract: IntArray
    n_scan_tiers: int
    inter_tier_of_month: IntArray
    n_inter_tiers: int
    som_rate_of_contract: FloatArray
    month_period: tuple[str, ...]
    scanning_targets: IntArray
    names_inter_tiers: bool
    dropped: tuple[str, ...]
    unsupported: Mapping[int, str]


@dataclass(frozen=True, slots=True)
class _Months:
    """Periods of each commodity, ascending, and where each commodity's begin."""

    offsets: IntArray
    periods: tuple[str, ...]

    def all_of(self, commodity: int) -> tuple[int, int]:
        return int(self.offsets[commodity]), int(self.offsets[commodity + 1])

    def of_period(self, commodity: int, period: str) -> tuple[int, int]:
        """The month of a period; an empty run where nothing is listed in it."""
        first, last = self.all_of(commodity)
        for month in range(first, last):
            if self.periods[month] == period:
                return month, month + 1
        return first, first

    def of_tier(self, commodity: int, tier: Tier) -> tuple[int, int]:
        first, last = self.all_of(commodity)
        inside = [month for month in range(first, last) if tier.holds(self.periods[month])]
        return (inside[0], inside[-1] + 1) if inside else (first, first)

    def beside(self, commodity: int, period: str) -> tuple[int, int]:
        """The month of a period, or where it is not listed the listed months just before and after it.

        As a crush pairs November soybeans with October and December meal and oil.
        """
        exact = self.of_period(commodity, period)
        if exact[0] < exact[1]:
            return exact
        first, last = self.all_of(commodity)
        number = month_number(period)
        near = [k for k in range(first, last) if abs(month_number(self.periods[k]) - number) <= 1]
        return (near[0], near[-1] + 1) if near else (first, first)


def month_number(period: str) -> int:
    """Months since the year 0; 0 for the empty period."""
    return int(period[:4]) * 12 + int(period[4:6]) - 1 if period else 0


def rules_of(file: SpanFile) -> Rules:
    """Number everything that `file` says of spreads."""
    contracts, commodities = file.contracts, file.commodities
    n = len(commodities)
    of_product = np.array([product.commodity for product in file.products] or [-1], dtype=np.int64)
    commodity = of_product[contracts.product] if len(contracts) else np.zeros(0, dtype=np.int64)
    months, month = _months(file, commodity)
    index = {one.code: k for k, one in enumerate(commodities)}
    tiers = _InterTiers.of(commodities)
    made = _Numbered(months, commodities, index, tiers)
    made.between(file.super_spreads)
    super_last = len(made.spreads)
    calendar_offsets = [super_last]
    for one in commodities:
        made.calendars(one)
        calendar_offsets.append(len(made.spreads))
    inter_first = len(made.spreads)
    made.between(file.inter_spreads)
    made.between(file.interclear_spreads)
    super_offsets, super_spread = made.by_commodity(0, super_last, n)
    inter_offsets, inter_spread = made.by_commodity(inter_first, len(made.spreads), n)
    spot = {(c, rate.period): rate for c, one in enumerate(commodities) for rate in one.spot_rates}
    owner = np.repeat(np.arange(n), np.diff(months.offsets)).tolist()
    spot_of = [spot.get((c, period)) for c, period in zip(owner, months.periods, strict=True)]
    weighted = {kind: k for k, kind in enumerate(WeightedRisk)}
    ledger = LedgerRules(
        commodity_months=read_only(months.offsets),
        month_key=_ints(map({period: k for k, period in enumerate(file.periods)}.__getitem__, months.periods)),
        month_number=_ints(map(month_number, months.periods)),
        month_range=_month_range(contracts, file, month, len(months.periods)),
        spot_spread_rate=_floats(rate.spread_rate if rate else 0.0 for rate in spot_of),
        spot_outright_rate=_floats(rate.outright_rate if rate else 0.0 for rate in spot_of),
        weighted_risk=_ints(weighted[one.weighted_risk] for one in commodities),
        calendar_offsets=_ints(calendar_offsets),
        super_offsets=super_offsets,
        super_spread=super_spread,
        inter_offsets=inter_offsets,
        inter_spread=inter_spread,
        **made.arrays(),
    )
    scan_tier, n_scan_tiers = _scan_tiers(file, commodity)
    return Rules(
        ledger=ledger,
        spreads=tuple(made.spreads),
        month_of_contract=read_only(month),
        commodity_of_contract=read_only(commodity),
        scan_tier_of_contract=read_only(scan_tier),
        n_scan_tiers=n_scan_tiers,
        inter_tier_of_month=_ints(
            tiers.row_of_period(c, period) for c, period in zip(owner, months.periods, strict=True)
        ),
        n_inter_tiers=tiers.count,
        som_rate_of_contract=_som_rates(file, commodity),
        month_period=months.periods,
        scanning_targets=made.scanning_targets(),
        names_inter_tiers=bool(np.any(ledger.leg_tier >= 0)),
        unsupported=made.unsupported,
        dropped=tuple(made.dropped),
    )


def _ints(values: Iterable[int]) -> IntArray:
    return read_only(np.fromiter(values, dtype=np.int64))


def _floats(values: Iterable[float]) -> FloatArray:
    return read_only(np.fromiter(values, dtype=np.float64))


def _months(file: SpanFile, commodity: IntArray) -> tuple[_Months, IntArray]:
    """The months of all commodities, and that of each contract."""
    n, n_periods = len(file.commodities), len(file.periods)
    listed = commodity >= 0
    key = commodity * n_periods + file.contracts.delta_period
    distinct, number = np.unique(key[listed], return_inverse=True)
    owner, period = np.divmod(distinct, n_periods)
    month = np.full(len(commodity), -1, dtype=np.int64)
    month[listed] = number
    offsets = offsets_from_counts(np.bincount(owner, minlength=n))
    return _Months(offsets, tuple(file.periods[k] for k in period.tolist())), month


def _month_range(contracts: Contracts, file: SpanFile, month: IntArray, n_months: int) -> FloatArray:
    """Price scan range of each month in money for a delta, from the first of its futures, else physicals, else options.

    Of a future or physical it is half the distance between the array's whole moves up and down, which is what the
    array was made of; of an option the stated range.
    """
    kinds = np.array([int(product.kind) for product in file.products] or [0])[contracts.product]
    is_linear = (kinds == Kind.FUT) | (kinds == Kind.PHY)
    with np.errstate(invalid="ignore", divide="ignore"):
        by_array = (contracts.loss[:, 12] - contracts.loss[:, 10]) / 2
        money = np.where(is_linear & (by_array > 0), by_array, contracts.price_scan * contracts.value_factor)
        of_delta = money / contracts.delta_scale
    order = np.lexsort((np.arange(len(kinds)), kinds != Kind.FUT, month))
    usable = order[(month[order] >= 0) & np.isfinite(of_delta[order]) & (of_delta[order] > 0)]
    result = np.full(n_months, np.nan)
    result[month[usable[::-1]]] = of_delta[usable[::-1]]  # from the last to the first: what stays is the first
    return read_only(result)


def _scan_tiers(file: SpanFile, commodity: IntArray) -> tuple[IntArray, int]:
    """What is scanned together with each contract, from 0 within its commodity; what is in no tier shares the last."""
    table = np.zeros((max(len(file.commodities), 1), len(file.periods)), dtype=np.int64)
    for c, one in enumerate(file.commodities):
        if one.scan_each_month:
            table[c] = np.arange(len(file.periods))
        for p, period in enumerate(file.periods):
            if one.scan_tiers:
                inside = [k for k, tier in enumerate(one.scan_tiers) if tier.holds(period)]
                table[c, p] = inside[0] if inside else len(one.scan_tiers)
    tier = table[commodity, file.contracts.delta_period]
    return tier, int(table.max(initial=0)) + 1


def _som_rates(file: SpanFile, commodity: IntArray) -> FloatArray:
    table = np.zeros((max(len(file.commodities), 1), len(file.periods)))
    for c, one in enumerate(file.commodities):
        for p, period in enumerate(file.periods):
            table[c, p] = next((tier.rate for tier in one.som_tiers if tier.holds(period)), 0.0)
    is_option = file.contracts.right != 0
    return read_only(np.where(is_option & (commodity >= 0), table[commodity, file.contracts.period], 0.0))


@dataclass(frozen=True, slots=True)
class _InterTiers:
    """Inter-commodity tiers of all commodities, row by row."""

    tiers: tuple[tuple[tuple[int, Tier], ...], ...]
    count: int

    @classmethod
    def of(cls, commodities: Sequence[Commodity]) -> _InterTiers:
        rows, count = [], 0
        for one in commodities:
            rows.append(tuple((count + k, tier) for k, tier in enumerate(one.inter_tiers)))
            count += len(one.inter_tiers)
        return cls(tuple(rows), count)

    def row(self, commodity: int, number: int) -> tuple[int, Tier]:
        return next((row, tier) for row, tier in self.tiers[commodity] if tier.number == number)

    def row_of_period(self, commodity: int, period: str) -> int:
        return next((row for row, tier in self.tiers[commodity] if tier.holds(period)), -1)


@dataclass(frozen=True, slots=True)
class _Placed:
    """A leg with its months."""

    leg: Leg
    commodity: int
    months: tuple[int, int]
    tier: int = -1


class _Numbered:
    """Spreads as they are numbered, one after the other."""

    def __init__(
        self, months: _Months, commodities: Sequence[Commodity], index: dict[str, int], tiers: _InterTiers
    ) -> None:
        self.spreads: list[Spread] = []
        self.dropped: list[str] = []
        self.unsupported: dict[int, str] = {}
        self._months, self._commodities, self._index, self._tiers = months, commodities, index, tiers
        self._codes: list[Code] = []
        self._limited: list[int] = []
        self._legs: list[tuple[_Placed, ...]] = []

    def calendars(self, commodity: Commodity) -> None:
        """Number the calendar spreads of a commodity: series to series first, then tier to tier."""
        c = self._index[commodity.code]
        tier_of = {tier.number: tier for tier in commodity.intra_tiers}
        for spreads in (commodity.series_spreads, commodity.tier_spreads):
            for spread in sorted(spreads, key=lambda one: one.priority):
                legs = []
                for leg in spread.legs:
                    if leg.period:
                        run = self._months.of_period(c, leg.period)
                    else:
                        run = self._months.of_tier(c, tier_of[leg.tier]) if leg.tier else self._months.all_of(c)
                    legs.append(_Placed(leg, c, run))
                self._add(spread, _CODES[spread.method], legs)

    def between(self, spreads: Iterable[Spread]) -> None:
        """Number spreads between commodities, which are in order of priority."""
        for spread in spreads:
            missing = [leg.commodity for leg in spread.legs if leg.commodity not in self._index]
            if missing:
                self.dropped.append(f"spread {spread.priority}: '{missing[0]}' is at another clearing house")
                continue
            whole = [_Placed(leg, c, self._months.all_of(c)) for leg, c in self._with_index(spread.legs)]
            if spread.method is Method.SCANNING:
                self._add(spread, Code.SCANNING, whole)
            elif spread.across is Across.EACH_TIER:
                self._each_tier(spread, whole)
            elif spread.across is Across.SAME_MONTH:
                for period in self._months.periods[slice(*whole[0].months)]:
                    legs = [replace(one, months=self._months.beside(one.commodity, period)) for one in whole]
                    self._add(spread, _CODES[spread.method], legs)
            else:
                legs = [one if not one.leg.tier else self._in_tier(one, one.leg.tier) for one in whole]
                self._add(spread, _CODES[spread.method], legs)

    def _with_index(self, legs: Iterable[Leg]) -> list[tuple[Leg, int]]:
        return [(leg, self._index[leg.commodity]) for leg in legs]

    def _each_tier(self, spread: Spread, whole: list[_Placed]) -> None:
        """Tier by tier of equal number, together no more than of the whole commodities."""
        numbers = [{tier.number for _, tier in self._tiers.tiers[one.commodity]} for one in whole]
        self._add(spread, Code.LIMIT, whole)
        for number in sorted(set.intersection(*numbers)):
            self._add(spread, _CODES[spread.method], [self._in_tier(one, number) for one in whole], limited=True)

    def _in_tier(self, placed: _Placed, number: int) -> _Placed:
        row, tier = self._tiers.row(placed.commodity, number)
        return replace(placed, months=self._months.of_tier(placed.commodity, tier), tier=row)

    def _add(self, spread: Spread, code: Code, legs: Sequence[_Placed], *, limited: bool = False) -> None:
        legs = _joined(legs)
        for c in _overlapping(legs) if code is not Code.SCANNING else ():
            self.unsupported.setdefault(c, f"spread {spread.priority} has legs on one side whose tiers overlap in part")
        self.spreads.append(spread)
        self._codes.append(code)
        self._limited.append(int(limited))
        self._legs.append(tuple(legs))

    def by_commodity(self, first: int, last: int, n_commodities: int) -> tuple[IntArray, IntArray]:
        """The spreads `first` to `last`, half open, by the commodity that makes them worth looking at."""
        of: list[list[int]] = [[] for _ in range(n_commodities)]
        for number in range(first, last):
            spread, legs = self.spreads[number], self._legs[number]
            concerned = [legs[0].commodity]
            if self._codes[number] is Code.SCANNING:  # any of its legs may be missing
                target = [self._index[spread.target.commodity]] if spread.target else []
                concerned = sorted({*(leg.commodity for leg in legs), *target})
            for c in concerned:
                of[c].append(number)
        return read_only(offsets_from_counts(np.array([len(one) for one in of], dtype=np.int64))), _ints(
            number for one in of for number in one
        )

    def scanning_targets(self) -> IntArray:
        """Pairs of a commodity and a target that it may be scanned into."""
        pairs = {
            (leg.commodity, self._index[spread.target.commodity])
            for spread, legs in zip(self.spreads, self._legs, strict=True)
            if spread.target is not None
            for leg in legs
        }
        return np.array(sorted(pairs), dtype=np.int64).reshape(-1, 2)

    def arrays(self) -> dict[str, Any]:
        """The columns of `LedgerRules` that spreads and legs are."""
        spreads = self.spreads
        legs = [(spread, one) for spread, placed in zip(spreads, self._legs, strict=True) for one in placed]
        targets = [spread.target for spread in spreads]
        return {
            "code": _ints(self._codes),
            "rate": _floats(spread.rate for spread in spreads),
            "rate_per_month": _floats(spread.rate_per_month for spread in spreads),
            "limited": _ints(self._limited),
            "target": _ints(self._index[target.commodity] if target else -1 for target in targets),
            "target_ratio": _floats(target.ratio if target else 1.0 for target in targets),
            "target_required": _ints(int(target.required) if target else 0 for target in targets),
            "minimum_legs": _ints(max(spread.minimum_legs, 2) for spread in spreads),
            "leg_offsets": read_only(
                offsets_from_counts(np.array([len(placed) for placed in self._legs], dtype=np.int64))
            ),
            "leg_commodity": _ints(one.commodity for _, one in legs),
            "leg_first": _ints(one.months[0] for _, one in legs),
            "leg_last": _ints(one.months[1] for _, one in legs),
            "leg_tier": _ints(one.tier for _, one in legs),
            "leg_side": _ints(int(one.leg.side == "B") for _, one in legs),
            "leg_required": _ints(int(one.leg.required) for _, one in legs),
            "leg_ratio": _floats(one.leg.ratio for _, one in legs),
            "leg_rate": _floats(spread.rate if one.leg.rate is None else one.leg.rate for spread, one in legs),
        }


def _joined(legs: Sequence[_Placed]) -> list[_Placed]:
    """Legs without repetition: the same months on the same side are one leg that takes the sum of their deltas."""
    found: dict[tuple[int, tuple[int, int], str, float | None], _Placed] = {}
    for one in legs:
        key = (one.commodity, one.months, one.leg.side, one.leg.rate)
        if key in found:
            ratio = found[key].leg.ratio + one.leg.ratio
            found[key] = replace(found[key], leg=replace(one.leg, ratio=ratio))
        else:
            found[key] = one
    return list(found.values())


def _overlapping(legs: Sequence[_Placed]) -> set[int]:
    """Commodities of which two legs on one side share some months: what each may take depends on the other."""
    return {
        one.commodity
        for k, one in enumerate(legs)
        for other in legs[k + 1 :]
        if one.commodity == other.commodity
        and one.leg.side == other.leg.side
        and max(one.months[0], other.months[0]) < min(one.months[1], other.months[1])
    }
