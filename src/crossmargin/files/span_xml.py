"""Risk parameter files in XML, layout 4.00 (`.spn`), to a `SpanFile`.

Arrays and rates are decimals of money there, so the risk exponent is not applied; the extreme scenarios are not
weighted again. Of several rates by number (`r`) the lowest is the base; what other customers pay is a factor on it
(`adjRate`).
A contract's delta scale is its own, or that of its series, times that of its product in the combined commodity.

What is not known or not used is skipped and counted by its path, where leaving it out cannot lower a requirement
(a credit, a name); a charge of an unknown kind is refused. Every number is checked, and one error lists all that is
wrong. Options are lifted out of the text first (`span_options`); of the rest only contracts are many, and each is
emptied when it ends. There are no entities, no DTD and no network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from io import BytesIO
from typing import IO, Any, NamedTuple

import numpy as np
from lxml import etree  # type: ignore[import-untyped]  # it brings no types

from crossmargin.basics.errors import FileFormatError, Problem, UnsupportedError
from crossmargin.files.cells import LARGEST, shown
from crossmargin.files.span_elements import CONTRACT_TAGS, DECIMAL, KINDS, Element, Fields, Reading, lowest
from crossmargin.files.span_options import CALL, OPTION_NUMBERS, PUT, RUN, Options, lift_options
from crossmargin.methodologies.span.parameters import (
    CONTRACT_COLUMNS,
    N_SCENARIOS,
    STANDARD_SCENARIOS,
    Commodity,
    Contracts,
    Kind,
    Leg,
    Method,
    Product,
    Scenarios,
    ShortOptions,
    SpanFile,
    SpotRate,
    Spread,
    Tier,
    WeightedRisk,
    span_file,
)
from crossmargin.portfolio.book import CustomerType

_CUSTOMERS = {"M": CustomerType.MEMBER, "H": CustomerType.HEDGER, "S": CustomerType.SPECULATOR}
_WEIGHTED = {
    "": WeightedRisk.NORMAL,
    "NORMAL": WeightedRisk.NORMAL,
    "SCANRANGE": WeightedRisk.SCAN_RANGE,
    "SCANRANGE_CAP": WeightedRisk.SCAN_RANGE_CAP,
    "SCANRANGECAP": WeightedRisk.SCAN_RANGE_CAP,
}
_SHORT = {"": ShortOptions.GROSS, "NONE": ShortOptions.GROSS, "GROSS": ShortOptions.GROSS, "MAX": ShortOptions.MAX}
_SPOT = {"": True, "NONE": True, "NORMAL": True}
_PREMIUM = {"": True, "EQTY": True, "FUT": False, "FUTOP": False}
_CALENDAR = {"F": Method.FLAT, "P": Method.PER_MONTH, "W": Method.WEIGHTED}
_BETWEEN = {"": Method.WEIGHTED, "W": Method.WEIGHTED, "F": Method.FLAT_CREDIT}

_ENCODING = re.compile(rb"<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([^\"'>]{1,40})[\"']")
_HOLDS_ASCII = re.compile(r"(utf-?8|us-ascii|ascii|iso-?8859-?\d+|latin-?\d|(windows-|cp)125\d)", re.IGNORECASE)


def parse_spn(stream_or_bytes: IO[bytes] | bytes, source: str, digest: str) -> SpanFile:
    """Read an XML risk parameter file.

    Parameters
    ----------
    stream_or_bytes : binary stream or bytes
        The document, unfolded.
    source : str
        Its name, for messages.
    digest : str
        What `SpanFile.digest` is to be.

    Raises
    ------
    InputError, UnsupportedError, ParameterError
        With everything that is wrong, up to `MOST_LISTED` places of it.
    """
    data = stream_or_bytes if isinstance(stream_or_bytes, bytes) else stream_or_bytes.read()
    return _Reader(source).file(data, digest)


# ----------------------------------------------------------------------------------------------------- text before XML


def _refusal(source: str, found: str, needed: str, line: int | None = None) -> FileFormatError:
    return FileFormatError(Problem(found=found, needed=needed, file=source, row=line, kind=FileFormatError))


def _with_ascii(data: bytes, source: str) -> bytes:
    """The document in an encoding that has ASCII in it, so that bytes can be searched for markup; no DTD.

    A DTD is how XML bombs and files from elsewhere come in, and a parameter file has none.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            text = data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise _refusal(source, f"is broken UTF-16 ({error.reason})", "Save it as UTF-8.") from None
        data = re.sub(r"\A\s*<\?xml[^>]*\?>", "", text).encode("utf-8", "surrogatepass")
    if b"\0" in data:
        raise _refusal(source, "holds a NUL byte", "Save it as UTF-8.", data.count(b"\n", 0, data.index(b"\0")) + 1)
    declared = _ENCODING.search(data[:1000])
    encoding = declared[1].decode("ascii", "replace") if declared else "utf-8"
    if not _HOLDS_ASCII.fullmatch(encoding):
        raise _refusal(source, f"is declared to be in '{shown(encoding)}'", "Save it as UTF-8.", 1)
    place = data.find(b"<!DOCTYPE")
    if place >= 0:
        line = data.count(b"\n", 0, place) + 1
        raise _refusal(source, "has a DOCTYPE; a document type could define anything", "Remove it.", line)
    return data


# ------------------------------------------------------------------------------------------------- contracts as columns


class _Option(NamedTuple):
    """One option; `numbers` in the order of `OPTION_NUMBERS`."""

    right: int
    numbers: tuple[float, ...]
    delta: float
    loss: list[float]


@dataclass(slots=True)
class _Held:
    """Contracts of one product with one period: a series of options, or a single contract of another kind.

    `under` is where the future is that they are options on: exchange, product number, contract number.
    """

    element: Element
    period: str
    under: tuple[str, int, int] | None
    value_factor: float
    scale: float
    price_scan: float
    vol_scan: float
    options: Options
    number: int = 0


@dataclass(slots=True)
class _Family:
    """A product, its number in its exchange, and what it holds."""

    element: Element
    product: Product
    number: int
    value_factor: float
    held: list[_Held]


@dataclass(slots=True)
class _Linked:
    """Where products belong: by exchange and number, index of the combined commodity and delta scale."""

    places: dict[tuple[str, int], tuple[int, float]] = field(default_factory=dict)
    elements: dict[tuple[str, int], Element] = field(default_factory=dict)


class _Reader(Reading):
    """Reads one document, top down, and collects what is wrong and what is skipped."""

    def __init__(self, source: str) -> None:
        super().__init__(source)
        self._runs: list[Options] = []
        self._held: list[_Held | None] = []

    # ------------------------------------------------------------------------------------------------- the document

    def file(self, data: bytes, digest: str, *, lift: bool = True) -> SpanFile:
        """The whole document; `lift` is false only to prove that it makes no difference."""
        data = _with_ascii(data, self.source)
        if lift:
            data, self._runs = lift_options(data)
        root = self._tree(data)
        if root.tag != "spanFile":
            raise _refusal(
                self.source, f"its root is <{shown(str(root.tag))}>", "A parameter file has a <spanFile>.", 1
            )
        top = Fields(self, root)
        layout = top.text("fileFormat")
        if layout and not re.fullmatch(r"4(\.[0-9]+)?", layout):
            self.wrong(root, f"is '{shown(layout)}'", "Layout 4.00 is read.", leaf="fileFormat", kind=UnsupportedError)
        moment = Fields(self, self._only(top, "pointInTime"))
        organisation = Fields(self, self._only(moment, "clearingOrg"))
        linked = _Linked()
        rates = self._customer_rates(organisation)
        commodities = [
            self._commodity(element, k, linked, rates) for k, element in enumerate(organisation.all("ccDef"))
        ]
        families = [
            family for element in organisation.all("exchange") for family in self._families(Fields(self, element))
        ]
        products = self._placed(families, commodities, linked)
        periods, contracts = self._contracts(families, linked)
        spreads = {
            name: [
                spread
                for element in organisation.all(tag)
                for spread in self._between(Fields(self, element))
                if spread is not None
            ]
            for name, tag in (("super", "superSpreads"), ("inter", "interSpreads"), ("interclear", "interClearSpreads"))
        }
        stated = {
            "form": f"spn {layout}",
            "complex": organisation.text("ec"),
            "business_date": self._date(moment),
            "is_settlement": moment.flag("isSetl", True),
            "scenarios": self._scenarios(organisation),
            "conversions": self._conversions(organisation),
            "limit_option_value": organisation.flag("capAnov", False),
        }
        if not commodities:
            self.wrong(organisation.element, "defines no combined commodity", "Take the whole file.")
        self.raise_all()
        return span_file(
            source=self.source,
            digest=digest,
            products=products,
            periods=periods,
            contracts=contracts,
            commodities=commodities,
            spreads=spreads,
            skipped=dict(sorted(self.skipped.items())),
            **stated,
        )

    def _tree(self, data: bytes) -> Element:
        """The root of the document; of its contracts only the places, since each was read when it ended."""
        events = etree.iterparse(
            BytesIO(data),
            events=("end",),
            tag=CONTRACT_TAGS,
            load_dtd=False,
            no_network=True,
            resolve_entities=False,
            remove_comments=True,
            remove_pis=True,
            collect_ids=False,
        )
        try:
            for _, element in events:
                around = element.getparent()
                if around is not None and around.tag in KINDS:
                    self._held.append(self._contract(element))
                    element.clear(keep_tail=False)
                    element.text = str(len(self._held) - 1)
        except etree.XMLSyntaxError as error:
            line = error.lineno or None
            self.add(f"is no well-formed XML: {shown(error.msg or 'broken', 200)}", "Fetch it again.", line,
                      FileFormatError)  # fmt: skip
            self.raise_all()
        root = events.root
        if root is None or root.getroottree().docinfo.internalDTD is not None:
            raise _refusal(self.source, "is no XML document without a DOCTYPE", "Fetch it again.")
        return root

    def _only(self, fields: Fields, tag: str) -> Element:
        """The one element of that name; without it nothing else can be read."""
        found = fields.all(tag)
        if not found:
            self.wrong(fields.element, f"has no <{tag}>", "Take the whole file.")
            self.raise_all()
        for other in found[1:]:
            self.wrong(other, "is a second one", "Split the file.", kind=UnsupportedError)
        return found[0]

    def _date(self, moment: Fields) -> date:
        text = moment.text("date")
        try:
            if re.fullmatch("[0-9]{8}", text):
                return date(int(text[:4]), int(text[4:6]), int(text[6:]))
        except ValueError:
            pass
        if text:
            moment.wrong("date", f"is '{shown(text)}', which is no date", "Write it as YYYYMMDD.")
        return date.min

    # ------------------------------------------------------------------------------------------------- contracts

    def _contract(self, element: Element) -> _Held | None:
        """A series of options or a single contract; `None` for a physical without an array, which cannot be held."""
        fields = Fields(self, element)
        scans = fields.all("scanRate")
        scan = self._lowest(scans)
        if element.tag == "series":
            options = self._options(fields)
        elif element.tag in ("phy", "equity") and not fields.all("ra"):
            self.skip(element)
            return None
        else:
            delta, loss = self._array(fields)
            numbers = {"p": np.array([fields.number("p", math.nan)])}
            options = Options.of([0], numbers, np.array([delta]), np.array([loss]))
        under = [Fields(self, child) for child in fields.all("undC")]
        return _Held(
            element=element,
            period=fields.period("pe"),
            under=(under[0].text("exch"), under[0].whole("pfId"), under[0].whole("cId")) if under else None,
            value_factor=fields.number("cvf", math.nan, low=0),
            scale=fields.number("sc", math.nan, low=0),
            price_scan=scan.number("priceScan", math.nan, low=0) if scan else math.nan,
            vol_scan=scan.number("volScan", math.nan, low=0) if scan else math.nan,
            options=options,
            number=fields.whole("cId") if element.tag == "fut" else 0,
        )

    def _run(self, element: Element) -> Options | None:
        """The options that were lifted out where this element stands."""
        text = element.text or ""
        return self._runs[int(text)] if text.isdecimal() and int(text) < len(self._runs) else None

    def _options(self, series: Fields) -> Options:
        """All options of a series, in order."""
        parts: list[Options] = []
        rows: list[_Option] = []
        for child in series.inside:
            if child.tag == "opt":
                rows.append(self._option(Fields(self, child)))
            elif child.tag == RUN and (run := self._run(child)) is not None:
                parts += [_as_columns(rows), run]
                rows = []
        if rows or not parts:
            parts.append(_as_columns(rows))
        names = ("right", "strike", "price", "value_factor", "scale", "delta", "loss")
        return Options(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def _option(self, fields: Fields) -> _Option:
        """One option that was not lifted."""
        right = fields.text("o")
        if right not in (CALL, PUT, ""):
            fields.wrong("o", f"is '{shown(right)}'", f"{CALL} for a call, {PUT} for a put.")
        numbers = (
            fields.number("k"),
            fields.number("p", math.nan),
            fields.number("cvf", math.nan, low=0),
            fields.number("sc", math.nan, low=0),
        )
        return _Option(1 if right == CALL else -1, numbers, *self._array(fields))

    def _array(self, contract: Fields) -> tuple[float, list[float]]:
        """Composite delta and the 16 losses of the base rate."""
        arrays = contract.all("ra")
        fields = self._lowest(arrays)
        if fields is None:
            self.wrong(contract.element, "has no <ra>", "Every contract needs its risk array.")
            return math.nan, [math.nan] * N_SCENARIOS
        values = fields.all("a")
        if len(values) != N_SCENARIOS:
            self.wrong(fields.element, f"has {len(values)} values", f"A risk array has {N_SCENARIOS}.")
            return math.nan, [math.nan] * N_SCENARIOS
        return fields.number("d"), [self._value(value) for value in values]

    def _value(self, element: Element) -> float:
        """A value of an array, an element of its own and no leaf, since there are several."""
        text = (element.text or "").strip()
        if len(element) or not DECIMAL.fullmatch(text) or not abs(value := float(text)) <= LARGEST:
            found = f"is '{shown(text)}'" if text else "is empty"
            self.wrong(element, found, f"A decimal number not beyond {LARGEST:g}.")
            return math.nan
        return value

    def _lowest(self, elements: Sequence[Element]) -> Fields | None:
        return lowest(self, elements)

    def _families(self, exchange: Fields) -> Iterator[_Family]:
        """The products of an exchange."""
        name = exchange.text("exch")
        for element in exchange.inside:
            fields = Fields(self, element)
            kind = KINDS[element.tag]
            held = []
            for child in fields.inside:
                if (child.tag == "series") != kind.is_option or (found := self._held[int(child.text)]) is None:
                    continue
                held.append(found)
            product = Product(
                exchange=name,
                code=fields.text("pfCode"),
                kind=kind,
                name=fields.text("name", ""),
                currency=fields.text("currency", ""),
                premium_style=fields.choice("valueMeth", _PREMIUM) if kind.is_option else True,
                exercise=fields.text("exercise", "") if kind.is_option else "",
            )
            factor = fields.number("cvf", math.nan, low=0)
            yield _Family(element, product, fields.whole("pfId"), factor, held)

    def _placed(self, families: list[_Family], commodities: list[Commodity], linked: _Linked) -> list[Product]:
        """The products with their combined commodities; a link to a product that is not there is counted."""
        found = set()
        products = []
        for family in families:
            key = family.product.exchange, family.number
            if key in found:
                self.wrong(family.element, f"has the number {family.number} of another", "Number each product once.")
            found.add(key)
            index, _ = linked.places.get(key, (-1, 1.0))
            currency = family.product.currency or (commodities[index].currency if index >= 0 else "")
            products.append(replace(family.product, commodity=index, currency=currency))
        for key, element in linked.elements.items():
            if key not in found:
                self.skip(element)
        return products

    def _contracts(self, families: list[_Family], linked: _Linked) -> tuple[list[str], Contracts]:
        """All contracts as columns, and the periods that they index."""
        periods: dict[str, int] = {"": 0}
        futures = {
            (family.product.exchange, family.number, held.number): held.period
            for family in families
            if family.product.kind is Kind.FUT
            for held in family.held
        }
        columns: dict[str, list[Any]] = {name: [] for name in CONTRACT_COLUMNS}
        for k, family in enumerate(families):
            _, linked_scale = linked.places.get((family.product.exchange, family.number), (-1, 1.0))
            for held in family.held:
                n = len(held.options)
                underlying = self._underlying(family, held, futures)
                counted_in = underlying if family.product.kind is Kind.OOF else held.period
                own = held.options
                factor = np.where(np.isnan(own.value_factor), _stated(held.value_factor, family.value_factor),
                                  own.value_factor)  # fmt: skip
                if np.isnan(factor).any():
                    self.wrong(family.element, f"states no value factor for {held.period or 'its contract'}",
                               "State <cvf> of the product, the series or the contract.")  # fmt: skip
                scale = np.where(np.isnan(own.scale), _stated(held.scale, 1.0), own.scale) * linked_scale
                chunk = {
                    "product": np.full(n, k),
                    "period": np.full(n, periods.setdefault(held.period, len(periods))),
                    "underlying_period": np.full(n, periods.setdefault(underlying, len(periods))),
                    "delta_period": np.full(n, periods.setdefault(counted_in, len(periods))),
                    "right": own.right,
                    "strike": own.strike,
                    "price": own.price,
                    "value_factor": factor,
                    "delta": own.delta,
                    "delta_scale": scale,
                    "price_scan": np.full(n, held.price_scan),
                    "vol_scan": np.full(n, held.vol_scan),
                    "loss": own.loss,
                }
                for name, values in chunk.items():
                    columns[name].append(values)
        if not columns["product"]:
            whole = {"right": np.int8, **dict.fromkeys(CONTRACT_COLUMNS[:4], np.int64)}
            nothing: dict[str, Any] = {
                name: np.empty(0, dtype=whole.get(name, np.float64)) for name in CONTRACT_COLUMNS
            }
            return list(periods), Contracts(**nothing | {"loss": np.empty((0, N_SCENARIOS))})
        return list(periods), Contracts(**{name: np.concatenate(values) for name, values in columns.items()})

    def _underlying(self, family: _Family, held: _Held, futures: Mapping[tuple[str, int, int], str]) -> str:
        """Period of the future that a series is on; empty where it is on none."""
        if family.product.kind is not Kind.OOF or not len(held.options):
            return ""
        if held.under is None or held.under not in futures:
            found = "names no future" if held.under is None else "is on a future that is not there"
            self.wrong(family.element, f"{found} in its series {held.period}", "Name it in <undC>.")
            return ""
        return futures[held.under]

    # ------------------------------------------------------------------------------------------------- the organisation

    def _scenarios(self, organisation: Fields) -> Scenarios:
        """The scenarios that the file defines, or the standard ones."""
        points = self._lowest(organisation.all("pointDef"))
        if points is None:
            return STANDARD_SCENARIOS
        scenarios: dict[int, tuple[float, float, int, float]] = {}
        for element in points.all("scanPointDef"):
            fields = Fields(self, element)
            number = fields.whole("point", low=1, high=N_SCENARIOS)
            if number in scenarios:
                fields.wrong("point", f"is {number} again", "Number the scenarios from 1 to 16.")
            price, vol = (self._multiple(fields, tag) for tag in ("priceScanDef", "volScanDef"))
            paired = fields.whole("pairedPoint", number, low=1, high=N_SCENARIOS)
            scenarios[number] = (price, vol, paired - 1, fields.number("weight", 1.0, low=0))
        if sorted(scenarios) != list(range(1, N_SCENARIOS + 1)):
            self.wrong(points.element, f"defines {len(scenarios)} scenarios", f"Number them from 1 to {N_SCENARIOS}.")
            return STANDARD_SCENARIOS
        prices, vols, pairs, covers = zip(*(scenarios[k] for k in sorted(scenarios)), strict=True)
        return Scenarios(price=prices, vol=vols, paired=pairs, cover=covers)

    def _multiple(self, point: Fields, tag: str) -> float:
        """Of a scan range: a fraction times a multiple."""
        found = point.all(tag)
        if len(found) != 1:
            self.wrong(point.element, f"has {len(found)} <{tag}>", "State one.")
            return math.nan
        fields = Fields(self, found[0])
        multiple, numerator = fields.number("mult", 1.0), fields.number("numerator")
        denominator = fields.positive("denominator", 1.0)
        return multiple * numerator / denominator

    def _conversions(self, organisation: Fields) -> dict[tuple[str, str], float]:
        conversions = {}
        for element in organisation.all("curConv"):
            fields = Fields(self, element)
            pair = fields.text("fromCur"), fields.text("toCur")
            if pair in conversions:
                self.wrong(element, f"converts {shown(' to '.join(pair))} again", "State each conversion once.")
            conversions[pair] = fields.positive("factor")
        return conversions

    def _customer_rates(self, organisation: Fields) -> dict[tuple[CustomerType, bool], int]:
        """Number of the rate of each type of customer, by whether it is for maintenance: the core one, or the first."""
        rates: dict[tuple[CustomerType, bool], int] = {}
        core = set()
        for element in organisation.all("pbRateDef"):
            fields = Fields(self, element)
            customer = _CUSTOMERS.get(fields.text("acctType").upper())
            if customer is None:
                self.skip(element)
                continue
            key = customer, fields.flag("isM", True)
            is_core = fields.text("pbc", "").upper() == "CORE"
            if key not in rates or (is_core and key not in core):
                rates[key] = fields.whole("r")
            if is_core:
                core.add(key)
        return rates

    # ------------------------------------------------------------------------------------------------- rules

    def _commodity(
        self, element: Element, index: int, linked: _Linked, rates: Mapping[tuple[CustomerType, bool], int]
    ) -> Commodity:
        fields = Fields(self, element)
        fields.whole("riskExponent", 0, low=-9, high=9)  # arrays and rates are money already: it only has to be one
        code = fields.text("cc")
        for link in fields.all("pfLink"):
            self._link(Fields(self, link), index, linked)
        intra = self._tiers(fields, "intraTiers")
        calendar = [self._calendar(Fields(self, spread), intra) for spread in fields.all("dSpread")]
        adjustment, initial_ratio = self._adjustments(fields, rates)
        groups = sorted((Fields(self, group) for group in fields.all("group")), key=lambda group: group.whole("id", 0))
        fields.choice("spotMeth", _SPOT)
        return Commodity(
            code=code,
            name=fields.text("name", ""),
            currency=fields.text("currency"),
            group=groups[0].text("aVal", "") if groups else "",
            limit_option_value=fields.flag("capAnov", False),
            weighted_risk=fields.choice("wfprMeth", _WEIGHTED),
            short_options=fields.choice("somMeth", _SHORT),
            scan_tiers=self._tiers(fields, "scanTiers"),
            intra_tiers=intra,
            inter_tiers=self._tiers(fields, "interTiers"),
            som_tiers=self._tiers(fields, "somTiers", with_rate=True),
            series_spreads=_by_priority(spread for spread, in_series in calendar if in_series),
            tier_spreads=_by_priority(spread for spread, in_series in calendar if not in_series),
            spot_rates=self._spot_rates(fields),
            adjustment=adjustment,
            initial_ratio=initial_ratio,
        )

    def _link(self, fields: Fields, index: int, linked: _Linked) -> None:
        key = fields.text("exch"), fields.whole("pfId")
        if key in linked.places:
            self.wrong(fields.element, f"links product {key[1]} of {shown(key[0])} again", "A product is in one.")
        linked.places[key] = index, fields.positive("sc", 1.0)
        linked.elements[key] = fields.element

    def _tiers(self, commodity: Fields, tag: str, *, with_rate: bool = False) -> tuple[Tier, ...]:
        tiers = []
        for holder in commodity.all(tag):
            for element in Fields(self, holder).all("tier"):
                fields = Fields(self, element)
                first, last = fields.period("sPe", is_end=True), fields.period("ePe", is_end=True)
                if first and last and first[: len(last)] > last:
                    self.wrong(element, f"ends in {last}, before it begins in {first}", "Swap its ends.")
                charge = self._rate(fields) if with_rate else 0.0
                tiers.append(Tier(number=fields.whole("tn"), first=first, last=last, rate=charge))
        return tuple(tiers)

    def _rate(self, fields: Fields) -> float:
        """The base rate of an element."""
        base = self._lowest(fields.all("rate"))
        if base is None:
            self.wrong(fields.element, "has no <rate>", "State it.")
            return math.nan
        return base.number("val")

    def _spot_rates(self, commodity: Fields) -> tuple[SpotRate, ...]:
        """Delivery-month rates, by period."""
        by_period: dict[str, list[Element]] = {}
        for element in commodity.all("spotRate"):
            period = (element.findtext("pe") or "").strip()
            by_period.setdefault(period, []).append(element)
        rates = []
        for elements in by_period.values():
            fields = self._lowest(elements)
            assert fields is not None
            period = fields.period("pe")
            if not period:
                fields.text("pe")
            rates.append(
                SpotRate(period=period, spread_rate=fields.number("sprd", low=0),
                         outright_rate=fields.number("outr", low=0))
            )  # fmt: skip
        return tuple(sorted(rates, key=lambda rate: rate.period))

    def _adjustments(
        self, commodity: Fields, rates: Mapping[tuple[CustomerType, bool], int]
    ) -> tuple[dict[CustomerType, float], dict[CustomerType, float]]:
        """Maintenance over risk and initial over maintenance, by type of customer; 1 where nothing is said."""
        factors: dict[int, tuple[int, float]] = {}
        for element in commodity.all("adjRate"):
            fields = Fields(self, element)
            number = fields.whole("r")
            if number in factors:
                fields.wrong("r", f"is {number} again", "Adjust each rate once.")
            factors[number] = fields.whole("baseR", number), fields.positive("val", 1.0)

        def over_base(customer: CustomerType, is_maintenance: bool) -> float | None:
            number = rates.get((customer, is_maintenance))
            if number is None:
                return None
            product, passed = 1.0, set()
            while number in factors:
                if number in passed:
                    self.wrong(commodity.element, f"rate {number} rests on itself", "End each <adjRate> at the base.")
                    return None
                passed.add(number)
                base, factor = factors[number]
                product *= factor
                if base == number:
                    break
                number = base
            return product

        adjustment, initial_ratio = {}, {}
        for customer in CustomerType:
            maintenance, initial = over_base(customer, True), over_base(customer, False)
            adjustment[customer] = 1.0 if maintenance is None else maintenance
            initial_ratio[customer] = 1.0 if initial is None else initial / adjustment[customer]
        return adjustment, initial_ratio

    # ------------------------------------------------------------------------------------------------- spreads

    def _calendar(self, fields: Fields, tiers: Sequence[Tier]) -> tuple[Spread, bool]:
        """A calendar spread, and whether it is between single periods."""
        legs = fields.all("tLeg", "pLeg")
        in_series = bool(legs) and all(element.tag == "pLeg" for element in legs)
        others = fields.all("rpLeg", "sLeg", "dSpread")
        if others or (not in_series and any(element.tag == "pLeg" for element in legs)):
            self.wrong(fields.element, "has legs of another kind than tiers or single periods",
                       "Such a charge is not calculated.", kind=UnsupportedError)  # fmt: skip
        per_month = fields.all("pmpsRate")
        method = fields.choice("chargeMeth", {"": Method.PER_MONTH if per_month else Method.FLAT, **_CALENDAR})
        if method is Method.PER_MONTH:
            charge, each_month = self._per_month(fields, per_month)
        else:
            charge, each_month = self._rate(fields), 0.0
        read = tuple(self._leg(Fields(self, element)) for element in legs)
        numbers = {tier.number for tier in tiers}
        for element, leg in zip(legs, read, strict=True):
            if element.tag == "tLeg" and (not leg.tier or leg.tier not in numbers):
                listed = ", ".join(map(str, sorted(numbers))) or "none"
                self.wrong(element, f"is in tier {leg.tier}", f"Its <intraTiers> are {listed}.")
        self._check_legs(fields, read)
        return Spread(
            priority=fields.whole("spread"), method=method, rate=charge, rate_per_month=each_month, legs=read
        ), in_series

    def _per_month(self, fields: Fields, elements: Sequence[Element]) -> tuple[float, float]:
        """Charge for each spread, and for each month between its legs."""
        base = self._lowest(elements)
        if base is None:
            self.wrong(fields.element, "has no <pmpsRate>", "State it.")
            return math.nan, math.nan
        return self._part(base, "psRate"), self._part(base, "pmRate")

    def _part(self, rates: Fields, tag: str) -> float:
        """`psRate` or `pmRate`, which is 0 if absent: a number, or rates by number."""
        found = rates.all(tag)
        if any(len(element) for element in found):
            base = self._lowest(found)
            return base.number("val") if base is not None else math.nan
        if len(found) > 1:
            self.wrong(found[1], "stands there twice", "State it once.")
        return self._value(found[0]) if found else 0.0

    def _leg(self, fields: Fields) -> Leg:
        """A leg in a tier, in a period, or to be scanned."""
        is_scanned = fields.element.tag == "sLeg"
        side = fields.text("rs", "" if is_scanned else None).upper()
        if side not in ("A", "B") and side:
            fields.wrong("rs", f"is '{shown(side)}'", "Legs are on side A or B.")
        period = fields.period("pe") if fields.element.tag == "pLeg" else ""
        if fields.element.tag == "pLeg" and not period:
            self.wrong(fields.element, "names no period", "State <pe>.")
        own = self._lowest(fields.all("rate"))
        return Leg(
            commodity=fields.text("cc"),
            side=side,
            ratio=fields.positive("i", 1.0 if is_scanned else None),
            tier=fields.whole("tn", 0) if fields.element.tag == "tLeg" else 0,
            period=period,
            exchange=fields.text("exch", "") or fields.text("ec", ""),
            rate=None if own is None else own.number("val"),
            required=fields.flag("isRequired", True) if is_scanned else True,
        )

    def _check_legs(self, fields: Fields, legs: Sequence[Leg]) -> None:
        if len(legs) < 2:
            self.wrong(fields.element, f"has {len(legs)} legs", "A spread has at least two.")

    def _between(self, holder: Fields) -> Iterator[Spread | None]:
        """Spreads between combined commodities, in order."""
        for element in holder.inside:
            fields = Fields(self, element)
            legs, scanned = fields.all("tLeg", "pLeg"), fields.all("sLeg")
            if fields.all("rpLeg", "dSpread", "pmpsRate") or bool(legs) == bool(scanned):
                # A credit less, where it cannot be told what for; a negative one is a charge.
                if any(Fields(self, rate).number("val", 0.0) < 0 for rate in fields.all("rate")):
                    self.wrong(
                        element, "is a charge for legs of a kind that is not calculated", "", kind=UnsupportedError
                    )
                self.skip(element)
                continue
            yield self._scanning(fields, scanned) if scanned else self._credit(fields, legs)

    def _credit(self, fields: Fields, elements: Sequence[Element]) -> Spread:
        """A spread by delta: a fraction of the price risk of its legs, or money."""
        legs = tuple(self._leg(Fields(self, element)) for element in elements)
        self._check_legs(fields, legs)
        method = fields.choice("chargeMeth", _BETWEEN)
        each_has_its_own = bool(legs) and all(leg.rate is not None for leg in legs)
        rate = 0.0 if each_has_its_own and not fields.all("rate") else self._rate(fields)
        if method is Method.WEIGHTED and abs(rate) > 1:
            self.wrong(fields.element, f"has the rate {rate:g}", "A fraction of the price risk, at most 1.")
        return Spread(priority=fields.whole("spread"), method=method, rate=rate, legs=legs)

    def _scanning(self, fields: Fields, elements: Sequence[Element]) -> Spread:
        """A spread by scanning its legs together; the target is one of them."""
        each = [Fields(self, element) for element in elements]
        legs = tuple(map(self._leg, each))
        self._check_legs(fields, legs)
        targets = [leg for leg, leaf in zip(legs, each, strict=True) if leaf.flag("isTarget", False)]
        if len(targets) != 1:
            self.wrong(fields.element, f"has {len(targets)} targets", "One <sLeg> has <isTarget> 1.")
        rate = self._rate(fields)
        if rate < 0 or rate > 1:
            self.wrong(fields.element, f"has the rate {rate:g}", "A fraction from 0 to 1.")
        return Spread(
            priority=fields.whole("spread"),
            method=Method.SCANNING,
            rate=rate,
            legs=legs,
            target=targets[0] if targets else None,
        )


def _as_columns(rows: Sequence[_Option]) -> Options:
    numbers = np.array([row.numbers for row in rows]).reshape(len(rows), len(OPTION_NUMBERS))
    return Options.of(
        [row.right for row in rows],
        dict(zip(OPTION_NUMBERS, numbers.T, strict=True)),
        np.array([row.delta for row in rows]),
        np.array([row.loss for row in rows]).reshape(len(rows), N_SCENARIOS),
    )


def _stated(first: float, second: float) -> float:
    """The first of two numbers, or the second where there is none."""
    return second if math.isnan(first) else first


def _by_priority(spreads: Iterable[Spread]) -> tuple[Spread, ...]:
    # Stable: among equal priorities the file's order stands.
    return tuple(sorted(spreads, key=lambda spread: spread.priority))
