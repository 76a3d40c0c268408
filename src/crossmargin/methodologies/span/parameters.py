"""What a SPAN risk parameter file says, whichever format it came in: frozen, in one canonical order.

A file is parameters, prices and the list of contracts in one. What a reader might question: arrays, rates and charges
are *money* here, in the performance bond currency of their combined commodity. The positional format states whole
units and a risk exponent; its reader has applied it. Nothing is re-weighted: the extreme scenarios of a shipped array
hold their cover fraction already.

References
----------
cme-span: "Risk parameter file layouts"; the project's own account of both formats in docs/methodologies/span.md.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Decimal
from enum import IntEnum, StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import ParameterError, Problem, raise_problems
from crossmargin.portfolio.book import CustomerType

N_SCENARIOS = 16


class Kind(IntEnum):
    """What a product is; the names are those of the files."""

    PHY = 0
    FUT = 1
    CMB = 2
    OOP = 3
    OOF = 4
    OOC = 5

    @property
    def is_option(self) -> bool:
        """On a physical, a future or a combination."""
        return self >= Kind.OOP


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A product family of an exchange.

    Parameters
    ----------
    exchange, code : str
        As the file writes them.
    kind : Kind
        What it is.
    commodity : int
        Index of its combined commodity in `SpanFile.commodities`; -1 if the file puts it in none.
    currency : str
        Of its prices.
    premium_style : bool
        Whether an option's premium was paid, so that its value counts; a futures-style option has none.
    exercise : str
        `AMER`, `EURO` or empty.
    """

    exchange: str
    code: str
    kind: Kind
    name: str = ""
    commodity: int = -1
    currency: str = ""
    premium_style: bool = True
    exercise: str = ""

    @property
    def key(self) -> tuple[str, str, int]:
        """What products are ordered by."""
        return self.exchange, self.code, int(self.kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """Consecutive periods of a combined commodity, both ends included; an empty end is open.

    `rate` is money for each short option where the tier is one of the short option minimum, else 0.
    """

    number: int
    first: str = ""
    last: str = ""
    rate: float = 0.0

    def holds(self, period: str) -> bool:
        """Whether a period falls into the tier: an end that names a month takes all of its days."""
        if self.first and period < self.first:
            return False
        return not self.last or period[: len(self.last)] <= self.last


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotRate:
    """Delivery-month rates of one period: money for each delta in spreads, and for each delta outright."""

    period: str
    spread_rate: float
    outright_rate: float


class WeightedRisk(StrEnum):
    """How the weighted futures price risk of a delta is found; see `steps.weighted_price_risk`."""

    NORMAL = "normal"
    SCAN_RANGE_CAP = "scan_range_cap"
    SCAN_RANGE = "scan_range"


class ShortOptions(StrEnum):
    """Which short options the minimum counts: all, or the larger of calls and puts."""

    GROSS = "gross"
    MAX = "max"


class Method(StrEnum):
    """What a spread costs or brings.

    `FLAT`: `rate` money for each spread. `PER_MONTH`: `rate`, and `rate_per_month` for each month between the legs.
    `WEIGHTED`: a credit of the fraction `rate` of the weighted price risk of each leg's delta; a charge where negative.
    `FLAT_CREDIT`: a credit of `rate` money for each spread, in equal parts to its legs. `SCANNING`: the legs are
    scanned together in a target, gains counted by the fraction `rate`.
    """

    FLAT = "flat"
    PER_MONTH = "per_month"
    WEIGHTED = "weighted"
    FLAT_CREDIT = "flat_credit"
    SCANNING = "scanning"


class Across(StrEnum):
    """Over which parts of its combined commodities an inter-commodity spread is formed.

    `COMMODITY`: the whole of each leg, or the tier that the leg names. `EACH_TIER`: tier by tier of equal number, no
    more of them together than of the whole. `SAME_MONTH`: month by month, as in a crush.
    """

    COMMODITY = "commodity"
    EACH_TIER = "each_tier"
    SAME_MONTH = "same_month"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One leg of a spread.

    Parameters
    ----------
    commodity : str
        Code of its combined commodity.
    side : str
        `A` or `B`: legs of different letters are on different sides of the market, whichever.
    ratio : float
        Delta that one spread takes of this leg, above 0.
    tier : int
        Number of a tier, 0 for none: an intra-commodity tier in a calendar spread, an inter-commodity tier elsewhere.
    period : str
        A single period, or empty.
    exchange : str
        Where the file says it; empty otherwise.
    rate : float or None
        Fraction credited to this leg, where it has one of its own.
    required : bool
        Whether the spread needs this leg (a leg of a scanning-based spread may be missing).
    """

    commodity: str
    side: str
    ratio: float = 1.0
    tier: int = 0
    period: str = ""
    exchange: str = ""
    rate: float | None = None
    required: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """A spread that the file allows; lower `priority` is formed first.

    Parameters
    ----------
    rate : float
        Money or fraction, as `method` says.
    legs : tuple of Leg
        At least two.
    target : Leg or None
        Of a scanning-based spread: which combined commodity stands for all legs, and its delta for one spread.
    minimum_legs : int
        Legs that must be there for a scanning-based spread.
    group : str
        Group of combined commodities in which it holds; empty for all.
    """

    priority: int
    method: Method
    rate: float
    legs: tuple[Leg, ...]
    rate_per_month: float = 0.0
    across: Across = Across.COMMODITY
    target: Leg | None = None
    minimum_legs: int = 2
    group: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commodity:
    """A combined commodity: all products of one underlying, and the rules by which they are margined.

    Parameters
    ----------
    currency : str
        Performance bond currency: of arrays, rates and requirements.
    limit_option_value : bool
        Whether its option value may offset its own risk only.
    scan_tiers, intra_tiers, inter_tiers : tuple of Tier
        Periods that are scanned apart, that calendar spreads name, and that inter-commodity spreads name.
    scan_each_month : bool
        Whether each month is a scanning tier.
    som_tiers : tuple of Tier
        Short option minimum: rates by period; one tier with open ends where it has no tiers.
    series_spreads, tier_spreads : tuple of Spread
        Calendar spreads between single periods, formed first, and between tiers.
    spot_rates : tuple of SpotRate
        Delivery-month charges.
    adjustment, initial_ratio : mapping of CustomerType to float
        Maintenance over risk, and initial over maintenance.
    """

    code: str
    name: str = ""
    currency: str
    group: str = ""
    limit_option_value: bool = False
    weighted_risk: WeightedRisk = WeightedRisk.NORMAL
    short_options: ShortOptions = ShortOptions.GROSS
    scan_tiers: tuple[Tier, ...] = ()
    scan_each_month: bool = False
    intra_tiers: tuple[Tier, ...] = ()
    inter_tiers: tuple[Tier, ...] = ()
    som_tiers: tuple[Tier, ...] = ()
    series_spreads: tuple[Spread, ...] = ()
    tier_spreads: tuple[Spread, ...] = ()
    spot_rates: tuple[SpotRate, ...] = ()
    adjustment: Mapping[CustomerType, float] = field(default_factory=lambda: dict.fromkeys(CustomerType, 1.0))
    initial_ratio: Mapping[CustomerType, float] = field(default_factory=lambda: dict.fromkeys(CustomerType, 1.0))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Contracts:
    """Every contract of a file as columns, by product, period, underlying period, right, strike.

    Parameters
    ----------
    product : ndarray of shape (n_contracts,)
        Index into `SpanFile.products`.
    period, underlying_period, delta_period : ndarray of shape (n_contracts,)
        Indices into `SpanFile.periods`: when it expires, when the future that it is an option on does (the empty period
        where there is none), and to which period its delta is counted.
    right : ndarray of int8 of shape (n_contracts,)
        1 for a call, -1 for a put, 0 for what is no option.
    strike, price : ndarray of shape (n_contracts,)
        In price units; NaN where there is none.
    value_factor : ndarray of shape (n_contracts,)
        Money for one price unit.
    delta : ndarray of shape (n_contracts,)
        Composite delta of one long contract; a long put is negative.
    delta_scale : ndarray of shape (n_contracts,)
        Deltas of the combined commodity for one of the contract's.
    price_scan, vol_scan : ndarray of shape (n_contracts,)
        Scan ranges, price units and decimals; NaN where the file does not say them.
    loss : ndarray of shape (n_contracts, 16)
        The risk array: what one long contract *loses* in each scenario; a gain is negative.
    """

    product: IntArray
    period: IntArray
    underlying_period: IntArray
    delta_period: IntArray
    right: npt.NDArray[np.int8]
    strike: FloatArray
    price: FloatArray
    value_factor: FloatArray
    delta: FloatArray
    delta_scale: FloatArray
    price_scan: FloatArray
    vol_scan: FloatArray
    loss: FloatArray

    def __len__(self) -> int:
        return len(self.product)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenarios:
    """The 16 scenarios, in the order of the arrays.

    `price` and `vol` are multiples of the scan ranges; `paired` is the index of the scenario with the same price and
    the opposite volatility (an extreme scenario is its own); `cover` is the part of the loss that counts, which shipped
    arrays hold already.
    """

    price: tuple[float, ...]
    vol: tuple[float, ...]
    paired: tuple[int, ...]
    cover: tuple[float, ...]

    def words(self, scenario: int) -> str:
        """A scenario as a person says it."""
        price, vol = self.price[scenario], self.vol[scenario]
        size = next(
            (
                text
                for value, text in ((1 / 3, "a third of "), (2 / 3, "two thirds of "), (1.0, ""))
                if abs(abs(price) - value) < 1e-3
            ),
            f"{abs(price):g} times ",
        )
        move = f"price {'up' if price > 0 else 'down'} {size}its range" if price else "price unchanged"
        return move if not vol else f"{move}, vol {'up' if vol > 0 else 'down'}"


STANDARD_SCENARIOS = Scenarios(
    price=(0.0, 0.0, 1 / 3, 1 / 3, -1 / 3, -1 / 3, 2 / 3, 2 / 3, -2 / 3, -2 / 3, 1.0, 1.0, -1.0, -1.0, 3.0, -3.0),
    vol=(1.0, -1.0) * 7 + (0.0, 0.0),
    paired=(1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 14, 15),
    cover=(1.0,) * 14 + (0.33,) * 2,
)
"""Where a file does not define its own: the positional format never does."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SpanFile:
    """One risk parameter file.

    Parameters
    ----------
    source : str
        Name of the file.
    digest : str
        SHA-256 of its content as it was parsed, `sha256:...`.
    form : str
        The format, for people: `spn 4.00`, `pa2 U2`.
    complex : str
        Code of the exchange complex or clearing organisation.
    business_date : date
        Of the prices.
    is_settlement : bool
        Whether it is of the end of the day.
    products : tuple of Product
        By exchange, code and kind.
    periods : tuple of str
        Ascending: `YYYYMM`, `YYYYMMDD`, `YYYYMM` with a day code; the first is empty, for what has none.
    commodities : tuple of Commodity
        By code, each code once.
    super_spreads, inter_spreads, interclear_spreads : tuple of Spread
        Between combined commodities: formed before calendar spreads, after them, and between clearing houses.
    conversions : mapping of (str, str) to float
        Units of the second currency for one of the first.
    limit_option_value : bool
        Whether the file limits the option value of every combined commodity.
    skipped : mapping of str to int
        Records or elements that were not understood or are not used, by id, and how many.
    """

    source: str
    digest: str
    form: str
    complex: str
    business_date: date
    is_settlement: bool = True
    scenarios: Scenarios = STANDARD_SCENARIOS
    products: tuple[Product, ...]
    periods: tuple[str, ...]
    contracts: Contracts
    commodities: tuple[Commodity, ...]
    super_spreads: tuple[Spread, ...] = ()
    inter_spreads: tuple[Spread, ...] = ()
    interclear_spreads: tuple[Spread, ...] = ()
    conversions: Mapping[tuple[str, str], float] = field(default_factory=dict)
    limit_option_value: bool = False
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"<SpanFile {self.source}: {len(self.contracts):,} contracts of {len(self.commodities)} combined "
            f"commodities, {self.complex} {self.business_date}>"
        )

    def commodity_index(self, code: str) -> int | None:
        """Index of a combined commodity; `None` if the file has none of that code."""
        codes = [commodity.code for commodity in self.commodities]
        index = bisect_left(codes, code)
        return index if index < len(codes) and codes[index] == code else None


CONTRACT_COLUMNS = tuple(one.name for one in fields(Contracts))
_MOST_NAMED = 20
"""Contracts named of those of which the same is wrong."""
Wrong = Callable[[str, str], None]
"""Takes what was found and what is needed."""


def span_file(
    *,
    products: Sequence[Product],
    periods: Sequence[str],
    contracts: Contracts,
    commodities: Sequence[Commodity],
    spreads: Mapping[str, Iterable[Spread]],
    **stated: Any,
) -> SpanFile:
    """Put what a reader found into canonical order, and check what only the whole file shows.

    Parameters
    ----------
    products, periods : sequence
        In any order, as `contracts` index them; `Product.commodity` indexes `commodities` as given.
    contracts : Contracts
        In any order.
    spreads : mapping of str to iterable of Spread
        By `super`, `inter`, `interclear`; in any order of priority.
    stated : object
        The other fields of `SpanFile`.

    Raises
    ------
    ParameterError
        With every problem: codes that stand twice, legs of a commodity or tier that is not there, figures that are no
        finite number, two contracts of one name.
    """
    problems: list[Problem] = []
    source = str(stated.get("source", ""))

    def wrong(found: str, needed: str) -> None:
        problems.append(Problem(found=found, needed=needed, file=source, kind=ParameterError))

    in_order = sorted(range(len(commodities)), key=lambda k: commodities[k].code)
    commodity_now = {old: new for new, old in enumerate(in_order)} | {-1: -1}
    ordered = tuple(commodities[k] for k in in_order)
    for one, other in pairwise(ordered):
        if one.code == other.code:
            wrong(f"combined commodity '{one.code}' is defined twice", "Give each its own code.")
    by_key = sorted(range(len(products)), key=lambda k: products[k].key)
    product_now = np.empty(len(products), dtype=np.int64)
    product_now[by_key] = np.arange(len(products))
    for k, following in pairwise(by_key):
        if products[k].key == products[following].key:
            wrong(f"product {_shown(products[k])} is defined twice", "List all its contracts under one definition.")
    for commodity in ordered:
        _check_commodity(commodity, wrong)
    _check_legs({commodity.code: commodity for commodity in ordered}, spreads, wrong)
    names = sorted({"", *periods})
    place = {name: k for k, name in enumerate(names)}
    period_now = np.array([place[name] for name in periods], dtype=np.int64)
    columns = {name: getattr(contracts, name) for name in CONTRACT_COLUMNS}
    if len(contracts):
        columns["product"] = product_now[contracts.product]
        for name in ("period", "underlying_period", "delta_period"):
            columns[name] = period_now[columns[name]]
    key = ("product", "period", "underlying_period", "right", "strike")
    order = np.lexsort([columns[name] for name in reversed(key)])
    columns = {name: read_only(values[order]) for name, values in columns.items()}
    placed = Contracts(**columns)
    kept_products = tuple(replace(products[k], commodity=commodity_now[products[k].commodity]) for k in by_key)
    made = SpanFile(
        products=kept_products,
        periods=tuple(names),
        contracts=placed,
        commodities=ordered,
        super_spreads=_by_priority(spreads.get("super", ())),
        inter_spreads=_by_priority(spreads.get("inter", ())),
        interclear_spreads=_by_priority(spreads.get("interclear", ())),
        **stated,
    )
    _check_contracts(made, wrong)
    raise_problems(problems)
    return made


def _by_priority(spreads: Iterable[Spread]) -> tuple[Spread, ...]:
    # Stable: among equal priorities the file's order stands.
    return tuple(sorted(spreads, key=lambda spread: spread.priority))


def _shown(product: Product) -> str:
    return f"{product.exchange} {product.code} {product.kind.name}".strip()


def _check_commodity(commodity: Commodity, wrong: Wrong) -> None:
    """What one combined commodity says of itself."""
    numbers = {tier.number for tier in commodity.intra_tiers}
    where = f"combined commodity '{commodity.code}'"
    for what, tiers in (("scanning", commodity.scan_tiers), ("short option", commodity.som_tiers)):
        for one, other in pairwise(tiers):
            if other.number == one.number:
                wrong(f"{where} has two {what} tiers {one.number}", "Number each tier once.")
    for spread in (*commodity.series_spreads, *commodity.tier_spreads):
        _check_spread(spread, where, wrong)
        for leg in spread.legs:
            if leg.commodity != commodity.code:
                wrong(
                    f"calendar spread {spread.priority} of {where} has a leg in '{leg.commodity}'",
                    "A calendar spread is within one combined commodity.",
                )
            elif leg.tier and leg.tier not in numbers:
                wrong(
                    f"calendar spread {spread.priority} of {where} has a leg in tier {leg.tier}",
                    f"It defines {_listed(numbers)}.",
                )
    figures = {
        **{f"adjustment of a {who}": value for who, value in commodity.adjustment.items()},
        **{f"initial ratio of a {who}": value for who, value in commodity.initial_ratio.items()},
        **{f"short option rate of tier {tier.number}": tier.rate for tier in commodity.som_tiers},
        **{f"spot rate {one.period}": one.spread_rate for one in commodity.spot_rates},
        **{f"outright spot rate {one.period}": one.outright_rate for one in commodity.spot_rates},
    }
    for what, value in figures.items():
        if not (math.isfinite(value) and value >= 0):
            wrong(f"{what} of {where} is {value:g}", "A finite number of at least 0.")
    for who, value in commodity.initial_ratio.items():
        if value < 1:
            wrong(f"initial ratio of a {who} of {where} is {value:g}", "Initial is never below maintenance.")


def _check_spread(spread: Spread, where: str, wrong: Wrong) -> None:
    """What one spread says of itself."""
    this = f"spread {spread.priority} of {where}"
    if len(spread.legs) < 2:
        wrong(f"{this} has {len(spread.legs)} legs", "A spread has at least two.")
    for leg in (*spread.legs, *filter(None, (spread.target,))):
        if leg.side not in ("A", "B") and spread.method is not Method.SCANNING:
            wrong(f"{this} has a leg on side '{leg.side}'", "Sides are A and B.")
        if not (math.isfinite(leg.ratio) and leg.ratio > 0):
            wrong(f"{this} has a leg with a delta of {leg.ratio:g} for each spread", "A finite number above 0.")
    rates = [spread.rate, spread.rate_per_month, *(leg.rate for leg in spread.legs if leg.rate is not None)]
    if not all(map(math.isfinite, rates)):
        wrong(f"{this} has a rate that is no finite number", "State its rate.")
    if spread.method is Method.SCANNING and spread.target is None:
        wrong(f"{this} is based on scanning and names no target", "State its target combined commodity.")


def _check_legs(commodities: Mapping[str, Commodity], spreads: Mapping[str, Iterable[Spread]], wrong: Wrong) -> None:
    """The legs of spreads between combined commodities are there. Those of other clearing houses need not be."""
    for what in ("super", "inter", "interclear"):
        where = f"the {what} spreads"
        for spread in spreads.get(what, ()):
            _check_spread(spread, where, wrong)
            for leg in (*spread.legs, *filter(None, (spread.target,))):
                commodity = commodities.get(leg.commodity)
                if commodity is None:
                    if what != "interclear":
                        wrong(
                            f"spread {spread.priority} of {where} has a leg in '{leg.commodity}'",
                            "The file defines no such combined commodity.",
                        )
                elif leg.tier and leg.tier not in {tier.number for tier in commodity.inter_tiers}:
                    wrong(
                        f"spread {spread.priority} of {where} has a leg in tier {leg.tier} of '{leg.commodity}'",
                        f"It defines {_listed(tier.number for tier in commodity.inter_tiers)}.",
                    )


def _listed(numbers: Iterable[int]) -> str:
    known = sorted(numbers)
    return f"tiers {', '.join(map(str, known))}" if known else "no tiers"


def _check_contracts(made: SpanFile, wrong: Wrong) -> None:
    """Figures of contracts are numbers, and each contract stands once."""
    contracts = made.contracts
    for name in ("value_factor", "delta", "delta_scale", "loss"):
        values = getattr(contracts, name)
        fine = np.isfinite(values) if values.ndim == 1 else np.isfinite(values).all(axis=1)
        for k in np.flatnonzero(~fine)[:_MOST_NAMED].tolist():
            wrong(f"{name.replace('_', ' ')} of '{contract_name(made, k)}' is no finite number", "State it.")
    same = np.ones(max(len(contracts) - 1, 0), dtype=np.bool_)
    for name in ("product", "period", "underlying_period", "right"):
        values = getattr(contracts, name)
        same &= values[1:] == values[:-1]
    strike = contracts.strike
    same &= (strike[1:] == strike[:-1]) | (np.isnan(strike[1:]) & np.isnan(strike[:-1]))
    for k in np.flatnonzero(same)[:_MOST_NAMED].tolist():
        wrong(f"contract '{contract_name(made, k)}' stands twice", "List each contract once.")


def contract_name(file: SpanFile, k: int) -> str:
    """The one name of a contract: `NSE NIFTY OOP 20260630 C 24000`, `CBT 06 FUT 202507`.

    Exchange, product code, kind, period (with `/` and the future's period for an option on a future of another one),
    right, strike; the parts that a contract has, with one blank between them.
    """
    contracts = file.contracts
    product = file.products[int(contracts.product[k])]
    period = file.periods[int(contracts.period[k])]
    underlying = file.periods[int(contracts.underlying_period[k])]
    if underlying and underlying != period:
        period = f"{period}/{underlying}"
    parts = [product.exchange, product.code, product.kind.name, period]
    if contracts.right[k]:
        parts += ["C" if contracts.right[k] > 0 else "P", strike_text(float(contracts.strike[k]))]
    return " ".join(filter(None, parts))


def strike_text(strike: float) -> str:
    """A strike in the fewest digits that read back to it: `24000`, `145.25`."""
    text = repr(strike + 0.0)
    if "e" in text:
        text = f"{Decimal(text):f}"
    return text.removesuffix(".0")
