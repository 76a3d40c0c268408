"""SPAN parameter files made in memory, a contract at a time; and one that has a bit of everything."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np

from crossmargin.basics.quantities import quantity_steps
from crossmargin.methodologies.span.generate import ArrayRules, array_rules, linear_arrays, option_arrays
from crossmargin.methodologies.span.method import Span, span
from crossmargin.methodologies.span.parameters import (
    CONTRACT_COLUMNS,
    Across,
    Commodity,
    Contracts,
    Kind,
    Leg,
    Method,
    Product,
    ShortOptions,
    SpanFile,
    SpotRate,
    Spread,
    Tier,
    WeightedRisk,
    span_file,
)
from crossmargin.portfolio.book import Attributes, Book, CustomerType, PositionRows, build_book

_WHOLE = {"product": np.int64, "period": np.int64, "underlying_period": np.int64, "delta_period": np.int64,
          "right": np.int8}  # fmt: skip


@dataclass
class FileMaker:
    """Collects products, contracts and rules; `file()` puts them together as a reader would."""

    complex: str = "TEST"
    products: list[Product] = field(default_factory=list)
    commodities: list[Commodity] = field(default_factory=list)
    spreads: dict[str, list[Spread]] = field(default_factory=lambda: {"super": [], "inter": [], "interclear": []})
    conversions: dict[tuple[str, str], float] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)

    def commodity(self, code: str, currency: str = "USD", **stated: Any) -> None:
        """A combined commodity with one product of each kind, called like it."""
        self.commodities.append(Commodity(code=code, currency=currency, **stated))

    def contract(
        self,
        code: str,
        kind: Kind,
        period: str,
        *,
        loss: Sequence[float],
        delta: float = 1.0,
        delta_scale: float = 1.0,
        price: float = 100.0,
        value_factor: float = 1.0,
        right: int = 0,
        strike: float = float("nan"),
        underlying_period: str = "",
        price_scan: float = float("nan"),
        premium_style: bool = True,
    ) -> None:
        """One contract of a combined commodity."""
        product = Product(
            exchange="X",
            code=code,
            kind=kind,
            commodity=[one.code for one in self.commodities].index(code),
            premium_style=premium_style,
        )
        if product not in self.products:
            self.products.append(product)
        self.rows.append(
            {
                "product": self.products.index(product),
                "period": period,
                "underlying_period": underlying_period,
                "delta_period": underlying_period or period,
                "right": right,
                "strike": strike,
                "price": price,
                "value_factor": value_factor,
                "delta": delta,
                "delta_scale": delta_scale,
                "price_scan": price_scan,
                "vol_scan": float("nan"),
                "loss": list(loss),
            }
        )

    def future(self, code: str, period: str, scan: float, **stated: Any) -> None:
        """A future that loses `scan` in a whole move down, and 0.33 of three moves in an extreme one."""
        loss = linear_arrays(np.array([scan]), np.array([1.0]), array_rules())[0]
        self.contract(code, Kind.FUT, period, loss=loss.tolist(), price_scan=scan, **stated)

    def options(
        self,
        code: str,
        period: str,
        strikes: Iterable[float],
        *,
        underlying: float = 100.0,
        vol: float = 0.3,
        years: float = 0.25,
        scan: float = 8.0,
        value_factor: float = 1.0,
        kind: Kind = Kind.OOF,
        rules: ArrayRules | None = None,
        **stated: Any,
    ) -> None:
        """Calls and puts with arrays of ours."""
        for strike in strikes:
            for right in (1, -1):
                column = {
                    name: np.array([value])
                    for name, value in (("underlying", underlying), ("strike", strike), ("vol", vol), ("years", years),
                                        ("price", float("nan")), ("price_scan", scan), ("vol_scan", 0.05),
                                        ("value_factor", value_factor))
                }  # fmt: skip
                loss, delta = option_arrays(is_call=np.array([right > 0]), rules=rules or array_rules(), **column)
                # The price of the option is what a move to nothing would lose: the model's.
                now = option_price(underlying, strike, vol, years, right > 0)
                self.contract(
                    code,
                    kind,
                    period,
                    loss=np.round(loss[0], 4).tolist(),
                    delta=round(float(delta[0]), 4),
                    price=now,
                    value_factor=value_factor,
                    right=right,
                    strike=strike,
                    price_scan=scan,
                    **stated,
                )

    def file(self, **stated: Any) -> SpanFile:
        """The file."""
        periods = sorted({"", *(row[name] for row in self.rows for name in _PERIODS)})
        columns = {}
        for name in CONTRACT_COLUMNS:
            values = [periods.index(row[name]) if name in _PERIODS else row[name] for row in self.rows]
            columns[name] = np.array(values, dtype=_WHOLE.get(name, np.float64))
        known: dict[str, Any] = {
            "source": "made.spn",
            "digest": "sha256:made",
            "form": "made",
            "complex": self.complex,
            "business_date": date(2026, 6, 25),
            "conversions": self.conversions,
        }
        return span_file(
            products=self.products,
            periods=periods,
            contracts=Contracts(**columns),
            commodities=self.commodities,
            spreads=self.spreads,
            **known | stated,
        )


_PERIODS = ("period", "underlying_period", "delta_period")


def option_price(underlying: float, strike: float, vol: float, years: float, is_call: bool) -> float:
    """The model's price of an option, to 4 decimals."""
    from crossmargin.revaluation.black import black76

    return round(float(black76(underlying, strike, vol * years**0.5, is_call)), 4)


def calendar(code: str, priority: int, rate: float, a: int | str, b: int | str, **stated: Any) -> Spread:
    """A calendar spread of tiers (numbers) or periods (texts)."""
    legs = tuple(
        Leg(commodity=code, side=side, **({"period": of} if isinstance(of, str) else {"tier": of}))
        for side, of in (("A", a), ("B", b))
    )
    return Spread(priority=priority, **{"method": Method.FLAT, "rate": rate, "legs": legs, **stated})


def between(priority: int, rate: float, *legs: tuple[str, str, float], **stated: Any) -> Spread:
    """A spread between commodities: legs as (commodity, side, ratio)."""
    made = tuple(Leg(commodity=code, side=side, ratio=ratio) for code, side, ratio in legs)
    return Spread(priority=priority, **{"method": Method.WEIGHTED, "rate": rate, "legs": made, **stated})


MONTHS = ("202607", "202609", "202612", "202703")
QUARTERS = (
    Tier(number=1, first="202607", last="202607"),
    Tier(number=2, first="202609", last="202612"),
    Tier(number=3, first="202703"),
    Tier(number=4, first="202607", last="202609"),  # overlaps the first two
)


@cache
def rich_file() -> SpanFile:
    """Six commodities that use everything: tiers of all kinds, both stages of spreads, scanning, two currencies."""
    maker = FileMaker()
    plain = {"intra_tiers": QUARTERS, "som_tiers": (Tier(number=0, rate=1.5),)}
    types = {
        "adjustment": {CustomerType.MEMBER: 1.0, CustomerType.HEDGER: 1.0, CustomerType.SPECULATOR: 1.05},
        "initial_ratio": {CustomerType.MEMBER: 1.0, CustomerType.HEDGER: 1.0, CustomerType.SPECULATOR: 1.1},
    }
    maker.commodity(
        "AA",
        **plain,
        **types,
        series_spreads=(calendar("AA", 1, 2.0, "202607", "202609"),),
        tier_spreads=(
            calendar("AA", 1, 3.0, 1, 2),
            calendar("AA", 2, 4.0, 4, 3, method=Method.PER_MONTH, rate_per_month=0.25),
            Spread(
                priority=3,
                method=Method.FLAT,
                rate=2.5,
                legs=(
                    Leg(commodity="AA", tier=1, side="A"),
                    Leg(commodity="AA", tier=2, side="B", ratio=2.0),
                    Leg(commodity="AA", tier=3, side="A"),
                ),
            ),
            calendar("AA", 4, 5.0, 2, 2),
        ),
        spot_rates=(SpotRate(period="202607", spread_rate=0.5, outright_rate=1.25),),
        inter_tiers=(Tier(number=1, first="202607", last="202609"), Tier(number=2, first="202612")),
        group="G1",
    )
    maker.commodity(
        "BB",
        **plain,
        **types,
        tier_spreads=(calendar("BB", 1, 1.0, 1, 2), calendar("BB", 2, 1.5, 2, 3)),
        weighted_risk=WeightedRisk.SCAN_RANGE_CAP,
        inter_tiers=(Tier(number=1, first="202607", last="202609"), Tier(number=2, first="202612")),
        scan_tiers=(Tier(number=1, last="202609"), Tier(number=2, first="202612")),
        short_options=ShortOptions.MAX,
        group="G1",
    )
    maker.commodity("CC", **plain, weighted_risk=WeightedRisk.SCAN_RANGE, group="G1")
    maker.commodity("DD", limit_option_value=True, **plain, tier_spreads=(calendar("DD", 1, 2.0, 1, 2),), group="G2")
    maker.commodity("EE", **plain, group="G2")
    maker.commodity("FF", currency="EUR", intra_tiers=QUARTERS, tier_spreads=(calendar("FF", 1, 2.0, 1, 2),))
    maker.conversions = {("EUR", "USD"): 1.25}
    for number, code in enumerate(("AA", "BB", "CC", "DD", "EE", "FF")):
        for k, period in enumerate(MONTHS):
            maker.future(code, period, 8.0 + number + 0.25 * k, delta_scale=2.0 if code == "CC" else 1.0)
            if code != "CC":
                maker.options(
                    code,
                    period,
                    (90.0, 100.0, 115.0),
                    years=0.1 + 0.2 * k,
                    scan=8.0 + number,
                    underlying_period=period,
                    premium_style=code != "EE",
                )
    maker.spreads["super"] = [
        between(1, 0.9, ("AA", "A", 1.0), ("EE", "B", 2.0)),
        Spread(
            priority=2,
            method=Method.SCANNING,
            rate=0.8,
            legs=(
                Leg(commodity="DD", side="", required=False),
                Leg(commodity="EE", side="", ratio=2.0, required=False),
            ),
            target=Leg(commodity="DD", side="", required=False),
        ),
    ]
    maker.spreads["inter"] = [
        between(1, 0.75, ("AA", "A", 1.0), ("BB", "B", 1.0), across=Across.EACH_TIER),
        between(2, 0.6, ("BB", "A", 1.0), ("CC", "B", 2.0), across=Across.SAME_MONTH),
        between(3, 0.5, ("AA", "A", 2.0), ("BB", "B", 1.0), ("CC", "B", 1.0)),
        between(4, 1.5, ("AA", "A", 1.0), ("DD", "B", 1.0), method=Method.FLAT_CREDIT),
        between(5, 0.4, ("CC", "A", 1.0), ("FF", "B", 1.0)),
        between(6, -0.1, ("DD", "A", 1.0), ("FF", "A", 1.0)),
    ]
    return maker.file()


def contract_names(file: SpanFile) -> list[str]:
    """Every contract of a file, by name."""
    return list(span(file).model.listing.names)


def rich_method(**options: Any) -> Span:
    """SPAN on the rich file, unrounded unless asked."""
    return span(rich_file(), **{"requirement_decimals": "none", **options})


def book_of(
    holdings: dict[str, dict[str, int | str | Decimal]], attributes: dict[str, Attributes] | None = None
) -> Book:
    """A book of `{account: {instrument: quantity}}`."""
    accounts = sorted(holdings)
    instruments = sorted({name for held in holdings.values() for name in held})
    entries = [
        (accounts.index(account), instruments.index(name), quantity_steps(str(quantity)))
        for account, held in holdings.items()
        for name, quantity in held.items()
    ]
    columns = np.array(entries, dtype=np.int64).reshape(-1, 3)
    rows = PositionRows(account=columns[:, 0], instrument=columns[:, 1], steps=columns[:, 2])
    return build_book(accounts=accounts, instruments=instruments, rows=rows, attributes=attributes or {})


def with_policy(method: Span, **changes: Any) -> Span:
    """The same file under another policy."""
    return replace(method, model=replace(method.model, policy=replace(method.model.policy, **changes)))
