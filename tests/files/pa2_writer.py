"""Writes `.pa2` files for tests: columns as the documents state them, on purpose not by the tables of the reader.

`small()` is a complete file of four combined commodities by hand; `large(n)` has `n` option records, seeded.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np


def line(kind: str, *parts: tuple[int, str]) -> str:
    """A record: texts by the column that each begins in; trailing blanks are left out, as CME does."""
    characters = [" "] * 180
    for column, text in ((1, kind), *parts):
        characters[column - 1 : column - 1 + len(text)] = text
    return "".join(characters).rstrip()


def header(code: str = "U2", limit: str = "N") -> str:
    return line("0", (3, "XYZ"), (9, "20250620"), (17, "SE"), (24, "202506201407"), (36, code), (38, "Y" + limit))


def currency(one: str, other: str, millionths: int) -> str:
    return line("T", (3, one), (7, other), (11, f"{millionths:010d}"))


def exchange(acronym: str) -> str:
    return line("1", (3, acronym), (8, "01"))


def prices(
    acronym: str,
    code: str,
    kind: str,
    *,
    settlement: str = "002",
    strike: str = "002",
    factor: float = 50,
    money: str = "USD",
    exercise: str = "AMER",
) -> str:
    return line(
        "P",
        (3, acronym),
        (6, code),
        (16, kind),
        (19, f"{code} {kind}"),
        (34, settlement),
        (37, strike),
        (42, f"{round(factor * 10**7):014d}"),
        (56, "0000010001"),
        (66, money),
        (70, "IDX"),
        (74, "00"),
        (76, exercise),
    )


def commodity(
    acronym: str,
    code: str,
    families: Sequence[tuple[str, str]],
    *,
    exponent: int = 0,
    money: str = "USD",
    style: str = "P",
    limit: str = "N",
) -> Iterable[str]:
    """Records 2: six families each."""
    for first in range(0, len(families), 6):
        parts = [(3, acronym), (7, code), (13, str(exponent)), (14, money), (18, style), (19, limit)]
        for k, (product, kind) in enumerate(families[first : first + 6]):
            parts += [(23 + 16 * k, product), (33 + 16 * k, kind)]
        yield line("2", *parts)


def tiers(
    code: str,
    method: str,
    ranges: Sequence[tuple[int, str, str]],
    *,
    weighted: str = " ",
    rates: Sequence[int] = (),
) -> Iterable[str]:
    """Records S: five tiers each; ends of eight characters hold a day code."""
    for first in range(0, max(len(ranges), 1), 5):
        parts = [(3, code), (9, method), (11, f"{len(ranges):02d}"), (83, weighted)]
        for k, (number, start, end) in enumerate(ranges[first : first + 5]):
            parts += [(13 + 14 * k, f"{number:02d}{start[:6]:<6}{end[:6]:<6}")]
            parts += [(84 + 4 * k, f"{start[6:]:<2}{end[6:]:<2}")]
        for k, rate in enumerate(rates[first : first + 5]):
            parts += [(104 + 7 * k, f"{rate:07d}")]
        yield line("S", *parts)


def calendar_tiers(code: str, ranges: Sequence[tuple[int, str, str]], ratios: str = "100010001100") -> Iterable[str]:
    """Records 3: four tiers each."""
    for first in range(0, len(ranges), 4):
        parts = [(3, code), (9, "10"), (69, ratios)]
        for k, (number, start, end) in enumerate(ranges[first : first + 4]):
            parts += [(11 + 14 * k, f"{number:02d}{start[:6]:<6}{end[:6]:<6}")]
            parts += [(81 + 4 * k, f"{start[6:]:<2}{end[6:]:<2}")]
        yield line("3", *parts)


def series_spread(code: str, priority: int, rate: int, legs: Sequence[tuple[str, float, str]]) -> Iterable[str]:
    """Records E: four legs each, of month YYMM, ratio and side."""
    for first in range(0, len(legs), 4):
        parts = [(3, code), (9, f"{priority:05d}"), (14, f"{rate:07d}")]
        for k, (month, ratio, side) in enumerate(legs[first : first + 4]):
            parts += [(21 + 14 * k, month), (28 + 14 * k, f"{round(ratio * 10**4):06d}{side}")]
        yield line("E", *parts)


def tier_spread(code: str, priority: int, rate: int, legs: Sequence[tuple[int, int, str]]) -> str:
    parts = [(3, code), (9, "10"), (11, f"{priority:02d}{len(legs):02d}{rate:07d}")]
    for k, (tier, ratio, side) in enumerate(legs):
        parts += [(22 + 7 * k, f"{k + 1:02d}{tier:02d}{ratio:02d}{side}")]
    return line("C", *parts)


def delivery(
    code: str,
    months: Sequence[tuple[str, int, int]] = (),
    *,
    short_option: int = 0,
    adjustments: str = "100100100",
    method: str = " ",
) -> Iterable[str]:
    """Records 4: two delivery months each."""
    for first in range(0, max(len(months), 1), 2):
        parts = [(3, code), (9, "10" if months else "01"), (11, f"{len(months):02d}")]
        for k, (month, spread, outright) in enumerate(months[first : first + 2]):
            parts += [(13 + 22 * k, f"{first + k + 1:02d}{month[:6]}{spread:07d}{outright:07d}")]
            parts += [(57 + 2 * k, month[6:])]
        parts += [(63, f"{short_option:07d}{adjustments}{method}")]
        yield line("4", *parts)


def terms(
    acronym: str,
    code: str,
    kind: str,
    future: str,
    option: str = "",
    *,
    price_scan: int = 0,
    vol_scan: float = 0.05,
    scale: float = 1.0,
    factor: float = 0.0,
    factor_exponent: str = "00 ",
) -> str:
    """Record B."""
    return line(
        "B",
        (3, acronym),
        (6, code),
        (16, kind),
        (19, f"{future[:6]:<6}{future[6:]:<2}"),
        (28, f"{option[:6]:<6}{option[6:]:<2}"),
        (37, "00200000"),
        (45, f"{round(vol_scan * 10**6):08d}{price_scan:05d}0300003300"),
        (86, f"{round(scale * 10**4):06d}20250920"),
        (129, f"{round(factor * 10**7):014d}{factor_exponent}"),
    )


def group(name: str, codes: Sequence[str]) -> Iterable[str]:
    """Records 5: ten combined commodities each."""
    for first in range(0, len(codes), 10):
        yield line("5", (3, name), (13, "".join(f"{code:<6}" for code in codes[first : first + 10])))


def spread(
    name: str,
    priority: int,
    rate: str,
    method: str,
    legs: Sequence[tuple[str, str, float, str]],
    *,
    tier_numbers: Sequence[int] = (),
    target: tuple[str, str, float] | None = None,
    super_flag: str = " ",
    credit: str = " ",
    minimum: int = 0,
    required: str = "    ",
    leg_rates: Sequence[str] = (),
    status: str = " ",
) -> Iterable[str]:
    """Records 6: four legs each, of exchange, combined commodity, ratio and side; the rate is seven characters."""
    for first in range(0, len(legs), 4):
        parts = [(3, name), (6, f"{priority:04d}{rate}"), (89, method), (101, credit), (110, super_flag), (151, status)]
        for k, (acronym, code, ratio, side) in enumerate(legs[first : first + 4]):
            text = f"{acronym:<3}{required[k]}{code:<6}{round(ratio * 10**4):07d}{side}"
            parts += [(17 + 18 * k, text)]
        for k, number in enumerate(tier_numbers[first : first + 4]):
            parts += [(102 + 2 * k, f"{number:02d}")]
        if target:
            parts += [(91, f"{target[0]:<3} {target[1]:<6}"), (111, f"{round(target[2] * 10**4):07d}{minimum:04d}")]
        if leg_rates:
            parts += [(122, "Y" + "".join(leg_rates))]
        yield line("6", *parts)


def array(
    acronym: str,
    code: str,
    kind: str,
    future: str,
    values: Sequence[int],
    *,
    underlying: str = "",
    option: str = "",
    right: str = " ",
    strike: int | None = None,
    settlement: int = 0,
    delta: float = 1.0,
    precise: int | None = None,
    precise_flag: str = "N",
) -> list[str]:
    """Records 81 and 82 of a contract; strike and settlement are digits with a sign."""
    name = [
        (3, acronym),
        (6, code),
        (16, underlying or code),
        (26, kind + right),
        (30, f"{future[:6]:<6}{future[6:]:<2}"),
        (39, f"{option[:6]:<6}{option[6:]:<2}"),
        (48, f"{abs(strike or 0):07d}"),
    ]
    first = "".join(f"{abs(value):05d}{'-' if value < 0 else '+'}" for value in values[:9])
    second = "".join(f"{abs(value):05d}{'-' if value < 0 else '+'}" for value in values[9:])
    precisely = [] if precise is None else [(109, f"{precise:014d}{precise_flag}")]
    sign = "-" if strike is not None and strike < 0 else "+"
    delta_text = f"{abs(round(delta * 10**4)):05d}{'-' if delta < 0 else '+'}"
    rest = f"{delta_text}00200000{abs(settlement):07d}{'-' if settlement < 0 else '+'}{sign}"
    return [line("81", *name, (55, first), *precisely), line("82", *name, (55, second + rest))]


def future_values(scan: int, cover: float = 0.33) -> list[int]:
    """Losses of one long future, whose price moves by thirds of the scan range and three times it."""
    moves = (0, 0, 1 / 3, 1 / 3, -1 / 3, -1 / 3, 2 / 3, 2 / 3, -2 / 3, -2 / 3, 1, 1, -1, -1, 3 * cover, -3 * cover)
    return [-round(scan * move) for move in moves]


def small() -> list[str]:
    """The lines of a small complete file; what it says is stated by hand in the tests.

    ES and NQ are index futures on CME, ES with options on futures, weekly ones and a day code; KR has a risk exponent
    of 1 and Korean money; CR is a product whose strikes are in hundreds; NY stands on another clearing house.
    """
    es, kr = future_values(6000), future_values(300)
    lines = [
        header(),
        currency("KRW", "USD", 730),
        exchange("CME"),
        prices("CME", "ES", "FUT"),
        prices("CME", "ES", "OOF"),
        prices("CME", "EW", "OOF", exercise="EURO"),
        *commodity(
            "CME", "ES", [("ES", "FUT"), ("ES", "OOF"), ("EW", "OOF"), ("E1", "OOF"), ("E2", "OOF"), ("E3", "OOF")]
        ),
        *commodity("CME", "ES", [("E4", "OOF")]),
        *tiers(
            "ES",
            "20",
            [(k, f"2025{5 + k:02d}", f"2025{5 + k:02d}") for k in range(1, 6)] + [(6, "202511", "202712")],
            weighted="2",
        ),
        *tiers("ES", "30", [(1, "202506", "202509"), (2, "202510", "")], rates=[50, 75]),
        *calendar_tiers(
            "ES",
            [
                (1, "202506", "202509"),
                (2, "202510", "202512"),
                (3, "202603", "202603"),
                (4, "202606", "202606"),
                (5, "202506", "202606"),
            ],
        ),
        *series_spread("ES", 1, 100, [("2506", 1, "A"), ("2509", 2, "B"), ("2512", 1, "A")]),
        *series_spread(
            "ES", 2, 400, [("2506", 1, "A"), ("2509", 1, "B"), ("2512", 1, "A"), ("2603", 1, "B"), ("2606", 0.5, "A")]
        ),
        tier_spread("ES", 1, 250, [(1, 1, "A"), (2, 1, "B")]),
        tier_spread("ES", 2, 90, [(1, 1, "A"), (3, 2, "B"), (4, 1, "A")]),
        *delivery(
            "ES",
            [("202506", 10, 20), ("20250703", 30, 40), ("202509", 50, 0)],
            short_option=17,
            adjustments="100105110",
            method="1",
        ),
        terms("CME", "ES", "FUT", "202506", price_scan=6000, scale=1.0),
        terms("CME", "ES", "OOF", "202506", "202506", price_scan=6000, scale=1.0),
        terms(
            "CME",
            "EW",
            "OOF",
            "202509",
            "202507W1",
            price_scan=6000,
            vol_scan=0.04,
            scale=0.5,
            factor=5,
            factor_exponent="01 ",
        ),
        prices("CME", "NQ", "FUT", factor=20),
        *commodity("CME", "NQ", [("NQ", "FUT")], limit="Y"),
        *tiers("NQ", "21", [(1, "202506", "202508"), (2, "202509", "999999")], weighted="3"),
        *calendar_tiers("NQ", [(1, "202506", "202512")], ratios="000000000000"),
        *delivery("NQ"),
        prices("CME", "KR", "FUT", settlement="000", factor=1000, money="KRW"),
        prices("CME", "KR", "OOF", settlement="000", strike="000", factor=1000, money="KRW"),
        *commodity("CME", "KR", [("KR", "FUT"), ("KR", "OOF")], exponent=1, money="KRW", style="F"),
        *tiers("KR", "02", [], weighted="1"),
        *calendar_tiers("KR", [(1, "202506", "202512"), (2, "202603", "202612")]),
        tier_spread("KR", 1, 25, [(1, 1, "A"), (2, 1, "B")]),
        *delivery("KR", [("202506", 3, 4)], short_option=7, method="2"),
        exchange("CBT"),
        prices("CBT", "CR", "FUT", settlement="001", factor=10),
        prices("CBT", "CR", "OOF", settlement="001", strike="-02", factor=10),
        prices("CBT", "CP", "PHY", settlement="001", factor=10),
        *commodity("CBT", "CR", [("CR", "FUT"), ("CR", "OOF"), ("CP", "PHY")]),
        *tiers("CR", "22", [(1, "202506", "202512")], weighted="1"),
        *tiers("CR", "23", [(1, "202506", "202509"), (2, "202510", "202612")]),
        line("X", (3, "S"), (4, "CS"), (14, "0000000")),
        line("V", (3, "CBT"), (6, "CR")),
        *group("IDX", ["ES", "NQ"]),
        *group("AGR", ["CR", *(f"ZZ{k}" for k in range(9)), "KR"]),
        *spread("ALL", 1, "0750000", "01", [("CME", "ES", 1, "A"), ("CME", "NQ", 1.5, "B")]),
        *spread(
            "IDX", 2, "0333333", "02", [("CME", "ES", 1, "A"), ("CME", "NQ", 1, "B")], leg_rates=["0400000", "0300000"]
        ),
        *spread("ALL", 3, "0500000", "03", [("CME", "ES", 1, "A"), ("CBT", "CR", 1, "B"), ("CME", "KR", 2, "B")]),
        *spread(
            "ALL",
            1,
            "0980000",
            "04",
            [("CME", "ES", 1, "A"), ("CME", "NQ", 1, "B")],
            target=("CME", "ES", 1),
            super_flag="S",
            minimum=1,
            required=" N  ",
        ),
        *spread("ALL", 5, "0600000", "20", [("CME", "ES", 1, "A"), ("CME", "NQ", 1, "B")], tier_numbers=[2, 1]),
        *spread("ALL", 6, "0012345", "01", [("CME", "ES", 1, "A"), ("CBT", "CR", 2, "B")], credit="F"),
        *spread("ALL", 7, "0250000", "01", [("CME", "ES", 1, "A"), ("ICE", "XX", 1, "B")]),
        *spread(
            "ALL",
            8,
            "-100000",
            "01",
            [("CME", code, 1, side) for code, side in zip(("ES", "NQ", "KR", "ES", "NQ"), "ABABA", strict=True)],
        ),
        *spread("ALL", 9, "0500000", "10", [("CME", "ES", 1, "A"), ("CME", "NQ", 1, "B")]),
        *spread("ALL", 10, "0500000", "01", [("CME", "ES", 1, "A"), ("CME", "NQ", 1, "B")], status="H"),
    ]
    lines += array("CME", "ES", "FUT", "202506", es, settlement=600025, precise=600025)
    lines += array("CME", "ES", "FUT", "202509", es, settlement=0, precise=123456789, precise_flag="Y")
    lines += array("CME", "ES", "FUT", "20250703", es, settlement=601000)
    call = [0, 1, -1000, -1100, 900, 950, -2100, -2200, 1700, 1750, -3300, -3400, 2400, 2450, -3100, 1000]
    put = [-value for value in call]
    for right, values, delta in (("C", call, 0.5123), ("P", put, -0.4877)):
        name = {"option": "202506", "right": right, "strike": 600000, "settlement": 5050}
        lines += array("CME", "ES", "OOF", "202506", values, delta=delta, **name)  # type: ignore[arg-type]
    lines += array(
        "CME",
        "EW",
        "OOF",
        "202509",
        call,
        underlying="ES",
        option="202507W1",
        right="C",
        strike=610050,
        settlement=1025,
        delta=0.25,
    )
    lines += array("CME", "NQ", "FUT", "202506", es, settlement=2150000)
    lines += array("CME", "KR", "FUT", "202506", kr, settlement=350)
    lines += array("CME", "KR", "OOF", "202506", call, option="202506", right="C", strike=360, settlement=12, delta=0.4)
    for strike in (10, -10):
        lines += array(
            "CBT", "CR", "OOF", "202509", call, option="202509", right="P", strike=strike, settlement=-15, delta=-0.3
        )
    lines += array("CBT", "CP", "PHY", "", es, settlement=4321)
    lines += [line("83", (3, "CBT")), line("91", (3, "CBT"))]
    return lines


def large(n_options: int = 100_000, seed: int = 7) -> bytes:
    """A file with many arrays: options of 50 products, by expiry and strike, and their futures."""
    rng = np.random.default_rng(seed)
    n_products, n_expiries = 50, 10
    n_strikes = n_options // (2 * n_products * n_expiries)
    head = [header(), exchange("CME")]
    body: list[str] = []
    for p in range(n_products):
        code = f"P{p:02d}"
        months = [f"2025{7 + k:02d}" if k < 6 else f"2026{k - 5:02d}" for k in range(n_expiries)]
        head += [prices("CME", code, "FUT"), prices("CME", code, "OOF")]
        head += commodity("CME", code, [(code, "FUT"), (code, "OOF")])
        head += delivery(code, short_option=10)
        head += [terms("CME", code, "OOF", month, month, price_scan=6000) for month in months]
        for month in months:
            body += array("CME", code, "FUT", month, future_values(6000), settlement=600000, precise=600000)
            values = rng.integers(-6000, 6000, size=(n_strikes, 2, 16)).tolist()
            for k in range(n_strikes):
                for right, some in zip("CP", values[k], strict=True):
                    body += array(
                        "CME",
                        code,
                        "OOF",
                        month,
                        some,
                        option=month,
                        right=right,
                        strike=400000 + 500 * k,
                        settlement=5000,
                        precise=5000,
                        delta=0.5 if right == "C" else -0.5,
                    )
    return written(head + body)


def written(lines: Iterable[str], end: str = "\r\n") -> bytes:
    """A file of lines."""
    return "".join(f"{one}{end}" for one in lines).encode("latin-1")
