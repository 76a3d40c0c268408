"""Write the SPAN sample: a small invented parameter file, and accounts that hold its contracts.

    .venv/bin/python -m tools.make_span_sample

Two stock indices, LRG and TEC, with futures of three months and options of the first; prices, ranges and rates are made
up by us, in round numbers, so that a reader can check a figure with a pencil. Arrays are ours (`span-generate`).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

from crossmargin.files.span_contracts import generate_span_file
from crossmargin.files.span_write import write_spn
from crossmargin.methodologies.span.generate import array_rules
from crossmargin.methodologies.span.parameters import Commodity, Leg, Method, SpanFile, SpotRate, Spread, Tier
from crossmargin.portfolio.book import CustomerType

SAMPLE = Path(__file__).resolve().parents[1] / "src" / "crossmargin" / "sample"
CONTRACTS, PARAMETERS, POSITIONS = (
    SAMPLE / name for name in ("span_contracts.csv", "span_sample.spn", "span_positions.csv")
)
DAY = date(2026, 6, 25)
EXPIRIES = ("20260717", "20260821", "20260918")
# Index level, price scan range, volatility scan range, volatility, strikes of the first expiry.
INDICES = {
    "LRG": (5_000.0, 250.0, 0.04, 0.16, (4_600, 4_800, 4_900, 5_000, 5_100, 5_200, 5_400)),
    "TEC": (8_000.0, 560.0, 0.06, 0.22, (7_200, 7_600, 8_000, 8_400, 8_800)),
}
HOLDINGS = """account,symbol,expiry,right,strike,quantity
calendar,LRG,2026-07-17,,,10
calendar,LRG,2026-08-21,,,-10
covered_call,LRG,2026-07-17,,,5
covered_call,LRG,2026-07-17,C,5200,-5
iron_condor,LRG,2026-07-17,P,4600,10
iron_condor,LRG,2026-07-17,P,4800,-10
iron_condor,LRG,2026-07-17,C,5200,-10
iron_condor,LRG,2026-07-17,C,5400,10
long_puts,TEC,2026-07-17,P,7600,4
pair,LRG,2026-07-17,,,8
pair,TEC,2026-07-17,,,-4
short_strangle,TEC,2026-07-17,P,7200,-3
short_strangle,TEC,2026-07-17,C,8800,-3
"""


def contracts_csv() -> str:
    """The table that arrays are made from."""
    lines = ["product,kind,expiry,right,strike,price,underlying_price,vol,price_scan,vol_scan,value_factor"]
    for code, (level, price_scan, vol_scan, vol, strikes) in INDICES.items():
        for k, expiry in enumerate(EXPIRIES):
            price = level + 20 * (k + 1)
            lines.append(f"{code},FUT,{expiry},,,{price:g},,,{price_scan:g},,50")
        for strike in strikes:
            for right in "CP":
                start = f"{code},OOF,{EXPIRIES[0]},{right},{strike}"
                lines.append(f"{start},,{level + 20:g},{vol:g},{price_scan:g},{vol_scan:g},50")
    return "\n".join(lines) + "\n"


def with_rules(file: SpanFile) -> SpanFile:
    """The file with calendar charges, a delivery charge, minimums, account types and one credit between the indices."""
    rates = {"LRG": (600.0, 100.0), "TEC": (1_400.0, 250.0)}
    types = {
        "adjustment": dict.fromkeys(CustomerType, 1.0),
        "initial_ratio": {CustomerType.MEMBER: 1.0, CustomerType.HEDGER: 1.0, CustomerType.SPECULATOR: 1.1},
    }

    def ruled(one: Commodity) -> Commodity:
        charge, minimum = rates[one.code]
        spreads = tuple(
            Spread(
                priority=number,
                method=Method.FLAT,
                rate=charge,
                legs=(
                    Leg(commodity=one.code, side="A", tier=near),
                    Leg(commodity=one.code, side="B", tier=far),
                ),
            )
            for number, (near, far) in enumerate(((1, 2), (2, 3), (1, 3)), start=1)
        )
        return replace(
            one,
            **types,
            intra_tiers=tuple(Tier(number=k + 1, first=p, last=p) for k, p in enumerate(EXPIRIES)),
            tier_spreads=spreads,
            som_tiers=(Tier(number=0, rate=minimum),),
            spot_rates=(SpotRate(period=EXPIRIES[0], spread_rate=0.0, outright_rate=150.0),),
            group="INDEX",
        )

    pair = Spread(
        priority=1,
        method=Method.WEIGHTED,
        rate=0.7,
        legs=(Leg(commodity="LRG", side="A", ratio=2.0), Leg(commodity="TEC", side="B", ratio=1.0)),
    )
    return replace(file, commodities=tuple(map(ruled, file.commodities)), inter_spreads=(pair,))


def main() -> None:
    """Write the three files."""
    CONTRACTS.write_text(contracts_csv(), encoding="utf-8")
    file = generate_span_file(CONTRACTS, business_date=DAY, rules=array_rules())
    write_spn(with_rules(file), PARAMETERS)
    POSITIONS.write_text(HOLDINGS, encoding="utf-8")


if __name__ == "__main__":
    main()
