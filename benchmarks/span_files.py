"""Synthetic risk parameter files in the XML layout 4.00: a large one to measure with, a small one that has everything.

Nothing in them is of any exchange. Arrays are what a long contract loses when Black-76 is shifted by the scan ranges,
no look-ahead, to two decimals; the extreme scenarios move twice the range and count by 35%, as `pointDef` says. The
same call gives the same bytes.

    python -m benchmarks.span_files FILE.spn [--small]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.revaluation.black import black76, black76_greeks

BUSINESS_DATE = date(2026, 6, 25)
MOVES = ((0, 1), (1, 3), (-1, 3), (2, 3), (-2, 3), (1, 1), (-1, 1))
"""Numerator and denominator of the price moves that are scanned with the volatility up and down."""
EXTREME, COVER = 2, 0.35
DELTA_WEIGHTS = (0.270, 0.217, 0.217, 0.111, 0.111, 0.037, 0.037)
_PRICE = np.array([n / d for n, d in MOVES for _ in "ud"] + [EXTREME, -EXTREME])
_VOL = np.array([1.0, -1.0] * len(MOVES) + [0.0, 0.0])
_COVER = np.array([1.0] * 14 + [COVER] * 2)

Leaf = str | int | float


def element(tag: str, /, *parts: str, **leaves: Leaf) -> str:
    """An element with its leaves, in the order given, and then ready-made parts."""
    inside = "".join(f"<{leaf}>{value}</{leaf}>" for leaf, value in leaves.items())
    return f"<{tag}>{inside}{''.join(parts)}</{tag}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Underlying:
    """What one combined commodity is about: one underlying, its futures and one product of options.

    Parameters
    ----------
    first_id : int
        Product numbers are this one and those that follow.
    futures : sequence of str
        Their periods.
    series : mapping of str to str, as pairs
        Period of each series of options, and that of the future that it is on, empty for the physical.
    option_kind : str
        `oop` or `oof`.
    factor : str
        Money for one price unit.
    scale : str
        Deltas for one contract's, as the contracts state it.
    """

    code: str
    first_id: int
    exchange: str
    currency: str
    spot: float
    vol: float
    futures: Sequence[str]
    series: Sequence[tuple[str, str]]
    strikes: FloatArray
    option_kind: str = "oop"
    factor: str = "1.00"
    scale: str = "1.000000"
    value_method: str = "EQTY"
    exercise: str = "EURO"

    @property
    def price_scan(self) -> float:
        """About the 99th percentile of two days."""
        return round(self.spot * self.vol * 0.2, 2)

    @property
    def vol_scan(self) -> float:
        return round(self.vol / 4, 4)

    def forward(self, period: str) -> float:
        """Two percent a year above the spot."""
        return round(self.spot * (1 + 0.02 * years(period)), 2)


def years(period: str) -> float:
    """From the business date; a month expires on its 20th."""
    day = date(int(period[:4]), int(period[4:6]), int(period[6:8] or 20))
    return (day - BUSINESS_DATE).days / 365


def _array(losses: Iterable[float], delta: float) -> str:
    return f"<ra><r>1</r>{''.join(f'<a>{loss:.2f}</a>' for loss in losses)}<d>{delta:.5f}</d></ra>"


def _scan_rate(underlying: Underlying) -> str:
    return element("scanRate", r=1, priceScan=f"{underlying.price_scan:.2f}", volScan=f"{underlying.vol_scan:.4f}")


def _contract(underlying: Underlying, kind: str, number: int, period: str) -> str:
    """A physical or a future: linear in the price, its factor in the array."""
    is_future = kind == "fut"
    losses = -_PRICE * underlying.price_scan * _COVER * float(underlying.factor) if is_future else np.zeros(16)
    under = [element("undC", exch=underlying.exchange, pfId=underlying.first_id, cId=1, s="A", i="1.0000")]
    return element(
        kind,
        *(under if is_future else []),
        _scan_rate(underlying),
        _array(losses, 1.0),
        cId=number,
        pe=period or "00000000",
        p=f"{underlying.forward(period) if period else underlying.spot:.2f}",
        d="1.000000",
        v=f"{underlying.vol if is_future else 0:.6f}",
        cvf=underlying.factor,
        sc=underlying.scale,
    )


def _options(underlying: Underlying, period: str, future: str) -> str:
    """All options of a series, calls and puts in turn."""
    strikes, is_call = np.repeat(underlying.strikes, 2), np.tile([True, False], len(underlying.strikes))
    forward, time = underlying.forward(future or period), max(years(period), 1 / 365)
    vols = underlying.vol * (1 + 0.3 * np.log(strikes / forward) ** 2)
    now = black76(forward, strikes, vols * np.sqrt(time), is_call)
    moved = np.maximum(forward + _PRICE * underlying.price_scan, forward * 0.01)
    shaken = np.maximum(vols[:, None] + _VOL * underlying.vol_scan, 0.01)
    then = black76(moved, strikes[:, None], shaken * np.sqrt(time), is_call[:, None])
    losses = ((now[:, None] - then) * _COVER * float(underlying.factor)).tolist()
    delta_points = np.maximum(forward + np.array([n / d for n, d in MOVES]) * underlying.price_scan, forward * 0.01)
    deltas = black76_greeks(delta_points, strikes[:, None], vols[:, None], time, is_call[:, None]).delta
    columns = (strikes.tolist(), is_call.tolist(), now.tolist(), vols.tolist(), (deltas @ DELTA_WEIGHTS).tolist())
    rows = zip(*columns, deltas[:, 0].tolist(), losses, strict=True)
    return "".join(
        f"<opt><cId>{number}</cId><o>{'C' if call else 'P'}</o><k>{strike:.2f}</k><p>{price:.2f}</p>"
        f"<d>{delta:.6f}</d><v>{vol:.5f}</v>{_array(loss, composite)}</opt>\n"
        for number, (strike, call, price, vol, composite, delta, loss) in enumerate(rows, start=1)
    )


def _series(underlying: Underlying, period: str, future: str) -> str:
    under = element(
        "undC",
        exch=underlying.exchange,
        pfId=underlying.first_id + bool(future),
        cId=list(underlying.futures).index(future) + 1 if future else 1,
        s="A",
        i="1.0000",
    )
    return element(
        "series",
        under,
        _scan_rate(underlying),
        "\n",
        _options(underlying, period, future),
        pe=period,
        v=f"{underlying.vol:.5f}",
        t=f"{years(period):.6f}",
        sc=underlying.scale,
        cvf=underlying.factor,
    )


def products(underlying: Underlying) -> str:
    """Physical, futures and options."""
    common = {"pfCode": underlying.code, "name": underlying.code, "currency": underlying.currency}
    common["cvf"] = underlying.factor
    number = underlying.first_id
    physical = element("phyPf", _contract(underlying, "phy", 1, ""), pfId=number, **common, valueMeth="FUT")
    futures = [_contract(underlying, "fut", k, period) + "\n" for k, period in enumerate(underlying.futures, start=1)]
    future = element("futPf", "\n", *futures, pfId=number + 1, **common, valueMeth="FUT")
    option = element(
        f"{underlying.option_kind}Pf",
        "\n",
        *(_series(underlying, period, on) + "\n" for period, on in underlying.series),
        pfId=number + 2,
        **common,
        exercise=underlying.exercise,
        priceModel="BLACK",
        valueMeth=underlying.value_method,
    )
    return f"{physical}\n{future}\n{option}\n"


def links(underlying: Underlying, scale: str = "1.000000") -> str:
    """What ties the three products of an underlying to its combined commodity."""
    kinds = ("PHY", "FUT", underlying.option_kind.upper())
    of = {"exch": underlying.exchange, "pfCode": underlying.code, "sc": scale}
    return "".join(
        element("pfLink", pfId=underlying.first_id + k, pfType=kind, **of) + "\n" for k, kind in enumerate(kinds)
    )


def rate(value: Leaf, r: int = 1) -> str:
    return element("rate", r=r, val=value)


def leg(code: str, side: str, ratio: Leaf, *, tier: int | None = None, period: str = "") -> str:
    """A leg in a period, or else in a tier."""
    if period:
        return element("pLeg", cc=code, pe=period, rs=side, i=ratio)
    return element("tLeg", cc=code, tn=tier or 0, rs=side, i=ratio)


def spread(priority: int, *parts: str, method: str = "", tag: str = "dSpread") -> str:
    """A spread of ready-made rate and legs."""
    return element(tag, *parts, spread=priority, **({"chargeMeth": method} if method else {})) + "\n"


def tier(number: int, first: str = "", last: str = "", *parts: str) -> str:
    ends = {name: period for name, period in (("sPe", first), ("ePe", last)) if period}
    return element("tier", *parts, tn=number, **ends)


def points() -> str:
    """The 16 scenarios and the 7 points of the composite delta."""

    def move(name: str, numerator: float, denominator: float, multiple: float = 1) -> str:
        return element(name, mult=multiple, numerator=numerator, denominator=denominator)

    scan, delta = [], []
    for k, (n, d) in enumerate(MOVES):
        for up, point, paired in ((1, 2 * k + 1, 2 * k + 2), (-1, 2 * k + 2, 2 * k + 1)):
            moves = move("priceScanDef", n, d) + move("volScanDef", up, 1)
            scan.append(f"<point>{point}</point>{moves}<weight>1.0</weight><pairedPoint>{paired}</pairedPoint>")
        moves = move("priceScanDef", n, d) + move("volScanDef", 0, 1)
        delta.append(f"<point>{k + 1}</point>{moves}<weight>{DELTA_WEIGHTS[k]}</weight>")
    for point, sign in ((15, 1), (16, -1)):
        moves = move("priceScanDef", sign, 1, EXTREME) + move("volScanDef", 0, 1)
        scan.append(f"<point>{point}</point>{moves}<weight>{COVER}</weight><pairedPoint>{point}</pairedPoint>")
    inside = [element("scanPointDef", one) for one in scan] + [element("deltaPointDef", one) for one in delta]
    return element("pointDef", "\n", "\n".join(inside), r=1) + "\n"


def document(inside: Iterable[str]) -> bytes:
    """The whole file, around what is in the clearing organisation."""
    account_type = element("acctTypeDef", isCust=1, acctType="S", name="Speculator", isNetMargin=1, priority=10)
    definitions = element(
        "definitions", element("currencyDef", currency="INR", symbol="R", name="RUPEE", decimalPos=2), account_type
    )
    head = {"name": "SYNTHETIC", "isContractScale": 1, "isNetMargin": 0, "capAnov": 0, "lookAheadYears": 0.002739}
    organisation = element("clearingOrg", "\n", *inside, ec="SYN", **head)
    point_in_time = element(
        "pointInTime", organisation, date=f"{BUSINESS_DATE:%Y%m%d}", isSetl=1, setlQualifier="final"
    )
    file = element("spanFile", definitions, "\n", point_in_time, "\n", fileFormat="4.00", created="202606251800")
    return f'<?xml version="1.0" encoding="ISO-8859-1"?>\n{file}\n'.encode("latin-1")


# ---------------------------------------------------------------- the large one

N_COMMODITIES = 132


def _large_underlying(k: int, rng: np.random.Generator) -> Underlying:
    """Of each eleven one like an index, with weekly expiries and many strikes; one of three has options on futures."""
    is_index = k % 11 == 0
    spot = round(float(np.exp(rng.uniform(np.log(100), np.log(3000)))) * (12 if is_index else 1), 2)
    months = [f"2026{month:02d}{day}" for month, day in ((7, 28), (8, 25), (9, 29), (10, 27), (11, 24), (12, 29))]
    weeks = ["20260630", "20260707", "20260714", "20260721", "20260804", "20260811", "20260818", "20270330"]
    expiries = sorted([*months, *weeks]) if is_index else months
    on_futures = k % 3 == 2 and not is_index
    step = float(f"{spot / 80:.1g}")
    count = 90 if is_index else 61
    strikes = np.round((np.arange(count) - count // 2) * step + round(spot / step) * step, 2)
    return Underlying(
        code=f"SY{k:03d}",
        first_id=3 * k + 1,
        exchange="XSY",
        currency="INR",
        spot=spot,
        vol=round(float(rng.uniform(0.12, 0.45)), 3),
        futures=months,
        series=[(period, period if on_futures else "") for period in expiries],
        strikes=strikes[strikes > 0],
        option_kind="oof" if on_futures else "oop",
    )


def _large_definition(one: Underlying, k: int) -> str:
    months = one.futures
    charge = round(one.spot * 0.0177, 2)
    pairs = [(a, b) for a in range(len(months)) for b in range(a + 1, len(months))]
    tiers = "".join(tier(n, month[:6], month[:6]) for n, month in enumerate(months, start=1))
    if k % 2:
        spreads = [
            spread(n, rate(f"{charge:.6f}"), leg(one.code, "A", "1.0", tier=a + 1),
                   leg(one.code, "B", "1.0", tier=b + 1), method="F")
            for n, (a, b) in enumerate(pairs, start=1)
        ]  # fmt: skip
    else:
        spreads = [
            spread(n, rate(f"{charge:.6f}"), leg(one.code, "A", "1.0", period=months[a]),
                   leg(one.code, "B", "1.0", period=months[b]), method="F")
            for n, (a, b) in enumerate(pairs, start=1)
        ]  # fmt: skip
    methods = dict.fromkeys(("procMeth", "wfprMeth", "spotMeth"), "NORMAL")
    return element(
        "ccDef",
        "\n",
        links(one),
        element("adjRate", r=1, baseR=1, val="1.00000"),
        "<scanTiers/>",
        element("intraTiers", tiers) if k % 2 else "<intraTiers/>",
        "<interTiers/><rateTiers/>",
        element("somTiers", tier(0, "", "", rate(f"{charge / 40:.6f}"))),
        "\n",
        *spreads,
        element("spotRate", r=1, pe=months[0], sprd=f"{charge / 2:.6f}", outr=f"{charge:.6f}"),
        cc=one.code,
        name=one.code,
        currency=one.currency,
        riskExponent=0,
        capAnov=0,
        **methods,
        somMeth="GROSS",
        cmbMeth="NONE",
    )


def _large() -> bytes:
    rng = np.random.default_rng(20260625)
    all_of_them = [_large_underlying(k, rng) for k in range(N_COMMODITIES)]
    credits = [
        spread(n, rate("0.500000"), leg(one.code, "A", "1.0"), leg(other.code, "B", "1.0"))
        for n, (one, other) in enumerate(zip(all_of_them[1::2], all_of_them[2::2], strict=False), start=1)
    ]
    exchange = element("exchange", "\n", *(products(one) for one in all_of_them), exch="XSY", name="SYNTHETIC")
    definitions = (_large_definition(one, k) + "\n" for k, one in enumerate(all_of_them))
    return document([points(), exchange, "\n", *definitions, element("interSpreads", "\n", *credits)])


# ---------------------------------------------------------------- the small one

GOLD = Underlying(
    code="GLD",
    first_id=1,
    exchange="XSY",
    currency="USD",
    spot=2400.0,
    vol=0.16,
    futures=("202608", "202610", "202612"),
    series=(("20260728", "202608"), ("202610", "202610")),
    strikes=np.array([2300.0, 2500.0]),
    option_kind="oof",
    factor="100.00",
    exercise="AMER",
)
"""Tiers of every kind, a charge of every kind; options on futures, one series of which expires before its future."""
SILVER = Underlying(
    code="SLV",
    first_id=11,
    exchange="XSY",
    currency="EUR",
    spot=30.0,
    vol=0.3,
    futures=("202608", "202612"),
    series=(("202608", "202608"),),
    strikes=np.array([30.0]),
    option_kind="oof",
    factor="500.00",
    scale="0.500000",
    value_method="FUT",
    exercise="AMER",
)
"""Futures-style options; half a delta for each contract, and a half again in its combined commodity."""
INDEX = Underlying(
    code="IDX",
    first_id=21,
    exchange="XSY",
    currency="INR",
    spot=24000.0,
    vol=0.14,
    futures=("20260728", "20260825"),
    series=(("20260728", ""),),
    strikes=np.array([23500.0, 24500.0]),
)
"""Options on the physical, and beside it a share, a combination of two futures and an option on that."""


def _others() -> str:
    """The kinds of product that no underlying above has."""
    losses = [round(float(move) * -700.0, 2) for move in _PRICE * _COVER]
    array = _array(losses, 0.0)
    scan = _scan_rate(INDEX)
    share = element(
        "equityPf",
        element("equity", scan, _array(losses, 1.0), cId=1, isin="XS0000000001", pe="00000000", p="120.50", d="1.0",
                v="0", cvf="1.00", sc="1.000000", type="STOCK"),
        pfId=31, pfCode="SHR", name="SHARE", currency="INR", cvf="1.00", valueMeth="EQTY",
    )  # fmt: skip
    legs = "".join(element("undC", exch="XSY", pfId=22, cId=k, s=side, i="1.0000") for k, side in ((1, "A"), (2, "B")))
    combination = element(
        "cmbPf", element("cmb", legs, scan, array, cId=1, pe="20260728", p="-38.40", d="0", v="0", cvf="1.00"),
        pfId=32, pfCode="IDXC", name="CALENDAR", currency="INR", cvf="1.00", valueMeth="FUT",
    )  # fmt: skip
    on_it = element("undC", exch="XSY", pfId=32, cId=1, s="A", i="1.0000")
    option = element(
        "opt", _array([round(loss / 2, 2) for loss in losses], 0.5), cId=1, o="C", k="-40.00", p="12.00", d="0.5",
        v="9", cvf="2.00",
    )  # fmt: skip
    series = element("series", on_it, scan, option, pe="20260728", v="9.0", t="0.09", sc="1.000000")
    on_combination = element(
        "oocPf", series, pfId=33, pfCode="IDXC", name="CALENDAR", currency="INR", cvf="1.00", exercise="EURO",
        valueMeth="EQTY",
    )  # fmt: skip
    return f"{share}\n{combination}\n{on_combination}\n"


def _small_definitions() -> str:
    """Rules of the three combined commodities."""
    factors = ((1, 1, "1.00000"), (2, 1, "1.10000"), (3, 2, "1.25000"), (4, 3, "1.10000"), (5, 1, "1.00000"))
    adjustments = "".join(element("adjRate", r=r, baseR=base, val=value) for r, base, value in factors)
    gold = element(
        "ccDef",
        element("group", id=1, aVal="METAL"),
        links(GOLD),
        adjustments,
        "\n",
        element("scanTiers", tier(1, "202608", "202609"), tier(2, "202610", "202612")),
        element("intraTiers", tier(1, "202608", "202609"), tier(2, "202610"), tier(3, "", "202612")),
        element("interTiers", tier(1, "202608", "202612")),
        element("rateTiers", tier(1, "", "", rate("1.1"))),
        element(
            "somTiers", tier(1, "", "202609", rate("150.0", 2), rate("100.0")), tier(2, "202610", "", rate("80.0"))
        ),
        "\n",
        spread(2, rate("450.0"), leg("GLD", "A", 1, tier=1), leg("GLD", "B", 1, tier=2), method="F"),
        spread(1, element("pmpsRate", r=1, psRate="200.0", pmRate="25.0"), leg("GLD", "A", 2, tier=2),
               leg("GLD", "B", 2, tier=3), method="P"),
        spread(3, rate("0.25"), leg("GLD", "A", 1, tier=1), leg("GLD", "B", 1, tier=3), method="W"),
        element("spotRate", r=2, pe="202608", sprd="999.0", outr="999.0"),
        element("spotRate", r=1, pe="202608", sprd="300.0", outr="600.0"),
        cc="GLD", name="GOLD", currency="USD", riskExponent=0, capAnov=1, procMeth="NORMAL", wfprMeth="SCANRANGE",
        spotMeth="NORMAL", somMeth="GROSS", cmbMeth="NONE",
    )  # fmt: skip
    silver = element(
        "ccDef",
        links(SILVER, "0.500000"),
        "<scanTiers/><intraTiers/>",
        element("interTiers", tier(1, "202608", "202612")),
        element("somTiers", tier(0, "", "", rate("40.0"))),
        spread(1, element("pmpsRate", element("psRate", r=1, val="90.0"), element("pmRate", r=1, val="5.0")),
               leg("SLV", "A", 1, period="202608"), leg("SLV", "B", 1, period="202612"), method="P"),
        cc="SLV", name="SILVER", currency="EUR", riskExponent=-2, capAnov=0, wfprMeth="SCANRANGE_CAP", somMeth="MAX",
    )  # fmt: skip
    linked = ((31, "SHR", "EQTY"), (32, "IDXC", "CMB"), (33, "IDXC", "OOC"))
    index = element(
        "ccDef",
        links(INDEX),
        *(element("pfLink", exch="XSY", pfId=pf, pfCode=code, pfType=kind) for pf, code, kind in linked),
        element("adjRate", r=1, baseR=1, val="1.00000"),
        spread(1, rate("425.0", 2), rate("400.0"), leg("IDX", "A", 1, period="20260728"),
               leg("IDX", "B", 1, period="20260825"), method="F"),
        element("lotSizeDef", lot=75),  # of no layout that we know
        cc="IDX", name="INDEX", currency="INR", riskExponent=0,
    )  # fmt: skip
    return f"{gold}\n{silver}\n{index}\n"


def _small_spreads() -> str:
    """Between combined commodities: by fraction and by money, by scanning, and with another clearing house."""

    def scanned(code: str, target: int, required: int) -> str:
        return element("sLeg", cc=code, isTarget=target, isRequired=required)

    between = [
        spread(2, rate("12.5"), leg("GLD", "A", 1), leg("SLV", "B", 4), method="F"),
        spread(1, rate("0.80"), leg("GLD", "A", 1, tier=1), leg("SLV", "B", 5, tier=1)),
        spread(4, rate("0.60"), leg("GLD", "A", 1, period="202612"), leg("SLV", "B", 3, period="202612"), method="W"),
        spread(3, rate("0.70"), scanned("GLD", 1, 1), scanned("SLV", 0, 1), scanned("IDX", 0, 0), tag="sSpread"),
        spread(5, rate("0.30"), leg("GLD", "A", 1), leg("IDX", "B", 1), tag="hSpread"),
        spread(6, rate("0.30"), leg("GLD", "A", 1), scanned("IDX", 1, 1), tag="hSpread"),
    ]
    with_others = element("tLeg", exch="XOT", cc="OTH", tn=0, rs="B", i="2.0")
    return "".join(
        (
            element("superSpreads", spread(1, rate("0.90"), leg("GLD", "A", 1), leg("SLV", "B", 5))),
            "\n",
            element("interSpreads", *between),
            "\n",
            element("interClearSpreads", spread(1, rate("0.40"), leg("GLD", "A", 1), with_others)),
        )
    )


def _small() -> bytes:
    customers = (("M", 0, 1, 1), ("M", 0, 0, 5), ("H", 1, 1, 2), ("H", 1, 0, 3), ("S", 1, 1, 3), ("S", 1, 0, 4))
    inside = [
        element("curConv", fromCur="EUR", toCur="USD", factor="1.08"),
        element("curConv", fromCur="USD", toCur="INR", factor="86.5"),
        *(
            element("pbRateDef", r=r, isCust=is_customer, acctType=who, isM=is_maintenance, pbc="CORE")
            for who, is_customer, is_maintenance, r in customers
        ),
        points(),
        element("exchange", *map(products, (GOLD, SILVER, INDEX)), _others(), exch="XSY", name="SYNTHETIC"),
        _small_definitions(),
        _small_spreads(),
    ]
    return document(inside)


@cache
def spn(*, small: bool = False) -> bytes:
    """A synthetic file: 38 MB with 118,000 options, or a few kB with one of everything."""
    return _small() if small else _large()


def main() -> None:
    """Write one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.span_files", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--small", action="store_true")
    arguments = parser.parse_args()
    arguments.file.write_bytes(spn(small=arguments.small))


if __name__ == "__main__":
    main()
