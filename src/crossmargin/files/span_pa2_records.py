"""What the records of a `.pa2` file other than risk arrays say, collected record by record in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from crossmargin.basics.errors import FileFormatError, Problem
from crossmargin.files.cells import shown
from crossmargin.files.span_pa2_layouts import Record, field_of, record_kind, scaled
from crossmargin.methodologies.span.parameters import (
    Across,
    Kind,
    Leg,
    Method,
    ShortOptions,
    SpotRate,
    Spread,
    Tier,
    WeightedRisk,
)
from crossmargin.portfolio.book import CustomerType

KINDS = {kind.name: kind for kind in Kind} | {"I/C": Kind.CMB, "CAL": Kind.CMB, "STR": Kind.CMB}
"""Product types. A combination is `CMB` or named by what it is: between commodities, a calendar, a strip."""
_WEIGHTED_RISK = {
    "": WeightedRisk.NORMAL,
    "1": WeightedRisk.NORMAL,
    "2": WeightedRisk.SCAN_RANGE_CAP,
    "3": WeightedRisk.SCAN_RANGE,
}
_SHORT_OPTIONS = {"": ShortOptions.GROSS, "2": ShortOptions.GROSS, "1": ShortOptions.MAX}
_ACROSS = {
    "01": Across.COMMODITY,
    "02": Across.EACH_TIER,
    "03": Across.SAME_MONTH,
    "04": Across.COMMODITY,
    "20": Across.COMMODITY,
}
_SCANNING, _BY_TIER = "04", "20"
_TIERS_OF = {
    "01": (),
    "02": (),
    "10": ("scan_tiers",),
    "20": ("inter_tiers",),
    "21": ("scan_tiers", "inter_tiers"),
    "22": ("scan_tiers",),
    "23": ("inter_tiers",),
    "30": ("som_tiers",),
}
"""Which tiers a record S defines, by its method."""
_EACH_MONTH, _SHORT_OPTION_TIERS = "02", "30"
_NO_CHARGE, _BY_TABLE = "01", "10"
_MOST_DECIMALS = 14
"""Decimals that a price can have: the longest price has 14 digits."""
_LEGS_A_RECORD = 4
_FLAT = "F"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a record P says of a product's prices."""

    settlement_decimals: int
    strike_decimals: int
    value_factor: float
    currency: str
    name: str
    exercise: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A product as a record 2 links it into a combined commodity."""

    commodity: str
    premium_style: bool
    array_decimals: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesTerms:
    """What a record B says of a future, or of all options of one expiry."""

    delta_scale: float = 1.0
    value_factor: float = 0.0
    price_scan: float | None = None
    price_scan_is_percent: bool = False
    vol_scan: float | None = None


@dataclass(slots=True, kw_only=True)
class Definition:
    """A combined commodity as its records are found; charges are in the file's units until it is made."""

    code: str
    row: int
    kind: str
    is_defined: bool = False
    exponent: int = 0
    currency: str = ""
    limit_option_value: bool = False
    group: str = ""
    weighted_risk: WeightedRisk | None = None
    short_options: ShortOptions = ShortOptions.GROSS
    scan_each_month: bool = False
    tiers: dict[str, list[Tier]] = field(default_factory=dict)
    series_spreads: list[Spread] = field(default_factory=list)
    tier_spreads: list[Spread] = field(default_factory=list)
    spot_rates: list[SpotRate] = field(default_factory=list)
    short_option_rate: int | None = None
    adjustment: dict[CustomerType, float] = field(default_factory=dict)
    initial_ratio: dict[CustomerType, float] = field(default_factory=dict)


ProductKey = tuple[str, str, Kind]
SeriesKey = tuple[ProductKey, str, str]


class Records:
    """What the records of a file other than arrays say, by what they say it of."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.problems: list[Problem] = []
        self.exchanges: set[str] = set()
        self.prices: dict[ProductKey, Prices] = {}
        self.families: dict[ProductKey, Family] = {}
        self.definitions: dict[str, Definition] = {}
        self.groups: dict[str, tuple[str, int]] = {}
        self.terms: dict[SeriesKey, SeriesTerms] = {}
        self.spreads: dict[str, list[Spread]] = {"super": [], "inter": [], "interclear": []}
        self.conversions: dict[tuple[str, str], float] = {}
        self.skipped: Counter[str] = Counter()
        self.products: dict[ProductKey, int] = {}
        self.periods: dict[str, int] = {"": 0}
        self._intercommodity: list[tuple[Record, list[Record]]] = []
        self._series_spreads: list[tuple[Record, list[Record]]] = []
        self._last: Record | None = None
        self._readers: dict[str, Callable[[Record], None]] = {
            "T": self._read_conversion,
            "1": self._read_exchange,
            "P": self._read_prices,
            "5": self._read_group,
            "2": self._read_families,
            "S": self._read_tiers,
            "3": self._read_calendar_tiers,
            "E": self._read_series_spread,
            "C": self._read_tier_spread,
            "4": self._read_delivery,
            "B": self._read_terms,
            "6": self._read_intercommodity,
        }

    def record(self, kind: str, line: str, row: int) -> Record:
        """A line to be read by its layout."""
        return Record(kind, line, row, self.source, self.problems)

    def wrong(self, row: int, found: str, needed: str) -> None:
        """Put a problem on the list."""
        self.problems.append(Problem(found=found, needed=needed, file=self.source, row=row, kind=FileFormatError))

    def read(self, line: str, row: int) -> None:
        """Read one record, or count it as skipped: of no use here, or of an unknown kind."""
        kind = record_kind(line)
        if not kind or not kind.isprintable():
            self.wrong(row, f"'{shown(line[:20])}' begins with no record id", "A record begins with its id.")
        elif kind == "0":
            self.wrong(row, "a second record 0", "A file has one, which is its first.")
        elif kind in self._readers:
            record = self.record(kind, line, row)
            self._readers[kind](record)
            self._last = record
        else:
            self.skipped[kind] += 1

    def check(self) -> None:
        """What only all records together show."""
        for legs in self._series_spreads:
            self._make_series_spread(*legs)
        for legs in self._intercommodity:
            self._make_intercommodity(*legs)
        for code, definition in self.definitions.items():
            definition.group = self.groups.get(code, ("", 0))[0]
            if not definition.is_defined:
                self.wrong(
                    definition.row,
                    f"record {definition.kind} is of combined commodity '{shown(code)}', which no record 2 defines",
                    "Every combined commodity has a record 2.",
                )

    def _definition(self, record: Record) -> Definition:
        code = record.text("code")
        return self.definitions.setdefault(code, Definition(code=code, row=record.row or 0, kind=record.kind))

    def _skip(self, record: Record, code: str) -> None:
        self.skipped[f"{record.kind}/{code}"] += 1

    def _kind(self, record: Record, text: str) -> Kind | None:
        """A product type; one that is not known is counted, its record left out."""
        kind = KINDS.get(text)
        if kind is None and text:
            self._skip(record, text if text.isprintable() else "?")
        return kind

    def product_key(self, record: Record) -> ProductKey | None:
        """Product of a record that names its exchange, commodity and type."""
        exchange, commodity = record.text("exchange"), record.text("commodity")
        kind = self._kind(record, record.text("type"))
        return (exchange, commodity, kind) if kind is not None and exchange and commodity else None

    def _read_conversion(self, record: Record) -> None:
        pair = record.text("from_currency"), record.text("to_currency")
        rate = record.number("rate")
        if rate is None:
            return
        if not rate:
            record.wrong(f"the rate from {pair[0]} to {pair[1]} is 0", "A rate above 0.", "rate")
        elif self.conversions.setdefault(pair, rate) != rate:
            record.wrong(f"two rates from {pair[0]} to {pair[1]}", "State one.", "rate")

    def _read_exchange(self, record: Record) -> None:
        self.exchanges.add(record.text("exchange"))

    def _read_prices(self, record: Record) -> None:
        key = self.product_key(record)
        if key is None:
            return
        decimals = [self._decimals(record, name) for name in ("settlement_decimals", "strike_decimals")]
        factor = record.scaled("value_factor", "value_factor_exponent")
        settlement, strike = decimals
        if settlement is None or strike is None or factor is None:
            return
        prices = Prices(
            settlement_decimals=settlement,
            strike_decimals=strike,
            value_factor=factor,
            currency=record.text("currency"),
            name=record.text("long_name") or record.text("name"),
            exercise=record.text("exercise"),
        )
        if self.prices.setdefault(key, prices) != prices:
            record.wrong(f"a second record P of {named(key)} says something else", "One record P for each product.")

    def _decimals(self, record: Record, name: str) -> int | None:
        before = len(self.problems)
        decimals = record.units(name)
        if len(self.problems) > before:
            return None
        if decimals is not None and abs(decimals) > _MOST_DECIMALS:
            record.wrong(f"prices of {decimals} decimals", f"At most {_MOST_DECIMALS}.", name.replace("_", " "))
            return None
        return decimals or 0

    def _read_group(self, record: Record) -> None:
        group = record.text("group")
        for slot in record.each("commodities"):
            code = slot.text("")
            first, row = self.groups.setdefault(code, (group, record.row or 0))
            if first != group:
                record.wrong(
                    f"combined commodity '{shown(code)}' is in group '{shown(group)}' and, by line {row}, "
                    f"in '{shown(first)}'",
                    "A combined commodity is in one group.",
                )

    def _read_families(self, record: Record) -> None:
        definition = self._definition(record)
        exponent, currency = record.units("risk_exponent") or 0, record.text("currency")
        limited = self._flag(record, "limit_option_value", "YN") == "Y"
        premium_style = self._flag(record, "margin_style", "PF") != "F"
        stated = (exponent, currency, limited)
        if not definition.is_defined:
            definition.is_defined, definition.row = True, record.row or 0
            definition.exponent, definition.currency, definition.limit_option_value = stated
        elif stated != (definition.exponent, definition.currency, definition.limit_option_value):
            record.wrong(
                f"a further record 2 of '{shown(definition.code)}' says another risk exponent, currency or limit",
                f"Record 2 in line {definition.row} is the first.",
            )
        for slot in record.each("families"):
            code, stated_type = slot.text("commodity"), slot.text("type")
            kind = self._kind(record, stated_type)
            if bool(code) != bool(stated_type):
                record.wrong(f"a product of '{shown(definition.code)}' has no code or no type", "State both.")
            if kind is None or not code:
                continue
            key = record.text("exchange"), code, kind
            if key in self.families:
                record.wrong(
                    f"{named(key)} is in combined commodity '{shown(definition.code)}' and in "
                    f"'{shown(self.families[key].commodity)}'",
                    "A product is listed once.",
                )
            self.families[key] = Family(
                commodity=definition.code,
                premium_style=premium_style or not kind.is_option,
                array_decimals=slot.units("array_decimals") or 0,
            )

    def _flag(self, record: Record, name: str, allowed: str) -> str:
        flag = record.text(name)
        if flag and flag not in allowed:
            wanted = ", ".join(allowed)
            record.wrong(
                f"the {name.replace('_', ' ')} is '{shown(flag)}'", f"{wanted} or blank.", name.replace("_", " ")
            )
        return flag

    def _read_tiers(self, record: Record) -> None:
        definition = self._definition(record)
        method = record.text("method")
        if method not in _TIERS_OF:
            if method:
                self._skip(record, method)
            return
        if method == _EACH_MONTH:
            definition.scan_each_month = True
        if method != _SHORT_OPTION_TIERS:
            flag = self._flag(record, "weighted_risk", "123")
            if flag and definition.weighted_risk is None:
                definition.weighted_risk = _WEIGHTED_RISK.get(flag)
        tiers = list(self._tiers(record))
        for name in _TIERS_OF[method]:
            definition.tiers.setdefault(name, []).extend(tiers)

    def _read_calendar_tiers(self, record: Record) -> None:
        definition = self._definition(record)
        method = record.text("method")
        if method not in ("", _NO_CHARGE, _BY_TABLE):
            self._skip(record, method)
        definition.tiers.setdefault("intra_tiers", []).extend(self._tiers(record))
        self._read_rates(record, "initial_ratio", definition.initial_ratio)

    def _read_rates(self, record: Record, name: str, rates: dict[CustomerType, float]) -> None:
        """One rate of each type of customer: the first record that states it counts; 0 or blank is 1."""
        for who in CustomerType:
            rate = record.number(f"{name}_{who}")
            if rate:
                rates.setdefault(who, rate)

    def _tiers(self, record: Record) -> Iterator[Tier]:
        """Tiers of a record S or 3; their rates are in the file's units."""
        for slot in record.each("tiers"):
            number = slot.units("tier")
            if not number:
                # Blank or 0: room that is not used, unless the rest of it is.
                if slot.text("first_month").strip("0") or slot.text("last_month").strip("0"):
                    slot.wrong(f"a tier of record {record.kind} has no number", "Tiers are numbered from 1.")
                continue
            rate = slot.units("short_option_rate") if record.kind == "S" else None
            yield Tier(
                number=number,
                first=self.period(slot, "first_month", "first_day", is_end=True),
                last=self.period(slot, "last_month", "last_day", is_end=True),
                rate=float(rate or 0),
            )

    def period(self, record: Record, month_name: str, day_name: str, *, is_end: bool = False) -> str:
        """A contract period: month with a day or week code; empty for none, which blanks and zeros say.

        An end of a tier is open where it is all nines, too.
        """
        month, day = record.text(month_name), record.text(day_name)
        if day == "00":
            day = ""
        if not month.strip("0") or (is_end and not month.strip("9")):
            return ""
        is_month = len(month) == len("CCYYMM") and month.isascii() and month.isdecimal() and 1 <= int(month[4:]) <= 12
        if not is_month or not (day == "" or (day.isascii() and day.isalnum())):
            record.wrong(
                f"'{shown(month + day)}' is no contract period",
                "A month as CCYYMM, and a day or week code of letters and digits.",
                month_name.replace("_", " "),
            )
            return ""
        return month + day

    def _read_series_spread(self, record: Record) -> None:
        _collect(record, self._last, self._series_spreads, ("code", "priority"), leg="month")

    def _make_series_spread(self, record: Record, legs: Sequence[Record]) -> None:
        """A calendar spread between single periods, whose months have two digits of the year."""
        definition = self._definition(record)
        priority, rate = record.units("priority"), record.units("charge_rate")
        made = []
        for slot in legs:
            month, rest = slot.text("month"), slot.text("rest")
            if not (len(month) == len("YYMM") and month.isascii() and month.isdecimal() and 1 <= int(month[2:]) <= 12):
                slot.wrong(f"'{shown(month)}' is no month", "Write it as YYMM.", "month")
            made.append(
                Leg(commodity=definition.code, side=slot.text("side"), ratio=_ratio(slot), period=f"20{month}{rest}")
            )
        if priority is not None and rate is not None:
            definition.series_spreads.append(
                Spread(priority=priority, method=Method.FLAT, rate=float(rate), legs=tuple(made))
            )

    def _read_tier_spread(self, record: Record) -> None:
        definition = self._definition(record)
        method = record.text("method")
        if method not in ("", _BY_TABLE):
            self._skip(record, method)
            return
        priority, rate = record.units("priority"), record.units("charge_rate")
        legs = tuple(
            Leg(
                commodity=definition.code,
                side=slot.text("side"),
                ratio=_ratio(slot),
                tier=slot.units("tier") or 0,
            )
            for slot in record.each("legs")
            if slot.units("leg")
        )
        stated = record.units("n_legs")
        if stated is not None and stated != len(legs):
            record.wrong(
                f"record C states {stated} legs and has {len(legs)}", "All legs stand in the record.", "n legs"
            )
        elif priority is not None and rate is not None:
            definition.tier_spreads.append(Spread(priority=priority, method=Method.FLAT, rate=float(rate), legs=legs))

    def _read_delivery(self, record: Record) -> None:
        definition = self._definition(record)
        method = record.text("method")
        if method == _BY_TABLE:
            for slot in record.each("months"):
                period = self.period(slot, "month", "day")
                rates = slot.units("spread_rate") or 0, slot.units("outright_rate") or 0
                if period:
                    definition.spot_rates.append(
                        SpotRate(period=period, spread_rate=float(rates[0]), outright_rate=float(rates[1]))
                    )
        elif method not in ("", _NO_CHARGE):
            self._skip(record, method)
        if definition.short_option_rate is None:
            definition.short_option_rate = record.units("short_option_rate")
            definition.short_options = _SHORT_OPTIONS.get(
                self._flag(record, "short_option_method", "12"), ShortOptions.GROSS
            )
        self._read_rates(record, "adjustment", definition.adjustment)

    def _read_terms(self, record: Record) -> None:
        product = self.product_key(record)
        if product is None:
            return
        key = self.series_key(record, product)
        percent_vol = self._flag(record, "vol_scan_quotation", "AP") == "P"
        if key in self.terms:
            record.wrong(f"a second record B of {named(product)} {key[1]} {key[2]}".rstrip(), "One for each series.")
        self.terms[key] = SeriesTerms(
            delta_scale=record.number("delta_scale") or 1.0,
            value_factor=record.scaled("value_factor", "value_factor_exponent") or 0.0,
            price_scan=record.scaled("price_scan", "price_scan_exponent"),
            price_scan_is_percent=self._flag(record, "price_scan_quotation", "AP") == "P",
            # A percentage is of the implied volatility of each option: no one range of the series.
            vol_scan=None if percent_vol else record.scaled("vol_scan", "vol_scan_exponent"),
        )

    def series_key(self, record: Record, product: ProductKey) -> SeriesKey:
        """Product, futures period and option period of a record 81, 82 or B."""
        option = self.period(record, "option_month", "option_day") if product[2].is_option else ""
        return product, self.period(record, "contract_month", "contract_day"), option

    def _read_intercommodity(self, record: Record) -> None:
        _collect(record, self._last, self._intercommodity, ("group", "priority"), leg="code")

    def _make_intercommodity(self, record: Record, slots: Sequence[Record]) -> None:
        """A spread between combined commodities, of one or several records 6."""
        method = record.text("method")
        status = record.text("regulatory_status")
        if method not in _ACROSS or status in ("N", "H"):
            self._skip(record, method if method not in _ACROSS else status)
            return
        group, priority, rate = record.text("group"), record.units("priority"), record.units("credit_rate_percent")
        minimum, target_ratio = record.units("min_legs"), record.number("target.ratio")
        by_leg = self._flag(record, "rate_by_leg", "YN") == "Y"
        credit = self._flag(record, "credit_method", "WF")
        legs = tuple(
            Leg(
                commodity=slot.text("code"),
                side=slot.text("side"),
                ratio=_ratio(slot),
                tier=(slot.units("tier") or 0) if method == _BY_TIER else 0,
                exchange=slot.text("exchange"),
                rate=_percent(slot.units("rate_percent")) if by_leg else None,
                required=slot.text("required") != "N",
            )
            for slot in slots
        )
        target = None
        if method == _SCANNING:
            target = Leg(
                commodity=record.text("target.code"),
                side="",
                ratio=target_ratio or 1.0,
                exchange=record.text("target.exchange"),
                required=record.text("target.required") != "N",
            )
            if not target.commodity:
                record.wrong("a scanning-based spread (method 04) without a target", "State it.", "target code")
        if priority is None or rate is None:
            return
        flat = credit == _FLAT and method != _SCANNING
        # A flat rate has the same digits with the point two places further right: money 9(5)V9(2).
        money_or_fraction = scaled(rate, -2) if flat else _percent(rate)
        assert money_or_fraction is not None
        spread = Spread(
            priority=priority,
            method=Method.SCANNING if target else Method.FLAT_CREDIT if flat else Method.WEIGHTED,
            rate=money_or_fraction,
            legs=legs,
            across=_ACROSS[method],
            target=target,
            minimum_legs=minimum or 2,
            group="" if group == "ALL" else group,
        )
        self.spreads[self._where(record, spread)].append(spread)

    def _where(self, record: Record, spread: Spread) -> str:
        """Which of the three kinds of spreads one is: with a leg of another clearing house, early, or neither."""
        exchanges = {leg.exchange for leg in spread.legs} - {""}
        if not exchanges <= self.exchanges:
            return "interclear"
        return "super" if self._flag(record, "spread_group", "NS") == "S" else "inter"


def _collect(
    record: Record, last: Record | None, into: list[tuple[Record, list[Record]]], same: Sequence[str], *, leg: str
) -> None:
    """Add the legs of a record to those of the record before, which it continues, or begin a spread with them.

    A record continues the one right before it if that is full of legs and both have the fields `same` in common. Room
    for a leg is used where the field `leg` says something.
    """
    legs = [slot for slot in record.each("legs") if slot.text(leg) not in ("", "0000")]
    if into and last is not None and last.kind == record.kind:
        first, so_far = into[-1]
        is_full = so_far and len(so_far) % _LEGS_A_RECORD == 0
        if is_full and all(_as_written(record, name) == _as_written(first, name) for name in same):
            so_far.extend(legs)
            return
    into.append((record, legs))


def _as_written(record: Record, name: str) -> str:
    place = field_of(record.kind, name)
    return record.line[place.first - 1 : place.last]


def _ratio(slot: Record) -> float:
    """Delta per spread; a leg without one is refused as a leg of 0."""
    return slot.number("ratio") or 0.0


def _percent(units: int | None) -> float | None:
    """A percentage of four decimals as a fraction, exactly rounded."""
    return None if units is None else scaled(units, -6)


def named(key: ProductKey) -> str:
    exchange, code, kind = key
    return f"product '{shown(f'{exchange} {code} {kind.name}')}'"
