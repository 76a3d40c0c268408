"""Two hedges that failed, and outright margins beside the published ones: real histories under `filtered-es`.

    .venv/bin/python -m tools.model_study FOLDER

`FOLDER` has `crypto_daily.csv.gz`, `lme_base_metals_daily.csv.gz`, `futures_daily.csv.gz` and
`us_futures_outright_margins.csv.gz`. Prints the tables of `docs/hedge-failure.md` and `docs/outright-margins.md`, and
writes `docs/images/outright-margins.svg`.

Only what was known at the time is used: the history is cut at the day before, and so is everything that is estimated.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import polars as pl

from crossmargin.aggregation.procyclicality import largest_increase, procyclicality
from crossmargin.answers.hedge_failure import HedgeFailureAnswer, hedge_failure
from crossmargin.basics.arrays import FloatArray
from crossmargin.engine.evaluate import evaluate, prepare
from crossmargin.files.history import read_history
from crossmargin.files.positions import read_positions
from crossmargin.history.histories import FactorHistories
from crossmargin.instruments.terms import DatedFuture, Payoff, Spot
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.registry import methodology

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Case:
    """A hedged book on the day before.

    `value` is what is held of each, US dollars, long positive; `days` are the days after it whose losses are told.
    """

    title: str
    eve: date
    value: Mapping[str, float]
    days: tuple[date, ...]
    observations: int


LUNA = Case(
    title="Four coins against bitcoin, 8 May 2022",
    eve=date(2022, 5, 8),
    value={"LUNA": 250_000, "SOL": 250_000, "AVAX": 250_000, "ETH": 250_000, "BTC": -1_000_000},
    days=(date(2022, 5, 9), date(2022, 5, 10), date(2022, 5, 11), date(2022, 5, 12)),
    observations=500,
)
NICKEL = Case(
    title="Copper against nickel, 4 March 2022",
    eve=date(2022, 3, 4),
    value={"copper": 1_000_000, "nickel": -1_000_000},
    days=(date(2022, 3, 7),),
    observations=1000,
)


def closes(frame: pl.DataFrame, by: str, price: str, names: Sequence[str]) -> pl.DataFrame:
    """Wide table of closes: a date a row, a factor a column."""
    chosen = frame.filter(pl.col(by).is_in(list(names)) & pl.col(price).is_not_null())
    wide = chosen.pivot(on=by, index="date", values=price).sort("date")
    return wide.rename({name: f"price:{name}" for name in wide.columns if name != "date"})


def market_of(prices: Mapping[str, float], at: datetime) -> Market:
    """A market of spot instruments, one unit each."""
    quotes = [
        Quote(instrument=Spot(name=name, underlying=name, quote_currency="USD", settlement_currency="USD"))
        for name in prices
    ]
    return Market.from_quotes(quotes, as_of=at, source="daily closes", index=dict(prices), prices=dict(prices))


def evening(day: date) -> datetime:
    """The end of a day."""
    return datetime.combine(day, time(23, 59, 59), UTC)


def answered(case: Case, table: pl.DataFrame) -> tuple[HedgeFailureAnswer, dict[date, float]]:
    """What each assumption asks for on the eve, and the loss up to the close of each day after it."""
    history = read_history(table)
    wanted = {row["date"]: row for row in table.to_dicts()}
    prices = {name: wanted[case.eve.isoformat()][f"price:{name}"] for name in case.value}
    rows = [
        {"account": "book", "instrument": name, "quantity": f"{value / prices[name]:.8f}"}
        for name, value in case.value.items()
    ]
    method = methodology("filtered-es", history=history, observations=str(case.observations))
    market = market_of(prices, evening(case.eve))
    answer = hedge_failure(evaluate(read_positions(rows), market, method))
    losses = {}
    for day in case.days:
        then = wanted[day.isoformat()]
        losses[day] = -sum(value * (then[f"price:{name}"] / prices[name] - 1) for name, value in case.value.items())
    return answer, losses


_ASKED = {
    "estimated": "correlations as estimated",
    "zero": "at zero",
    "one": "at one",
    "against": "each leg at its own worst at once (a hedge at minus one)",
    "capped": "at most 80% of the saving recognised",
    "correlation_break": "add-on for a break of correlation",
    "window": "worst stressed days of the past",
}


def print_case(case: Case, table: pl.DataFrame) -> None:
    """The table of a case."""
    answer, losses = answered(case, table)
    print(f"## {case.title}\n")
    print("| held | US dollars |\n|---|---:|")
    for name, value in case.value.items():
        print(f"| {name} | {value:,.0f} |")
    print("\n| asked for the evening before, over two days at 99% | US dollars |\n|---|---:|")
    for name, words in _ASKED.items():
        value = float(answer.figures[name][0])
        worst = f" ({answer.window_worst[0]})" if name == "window" and answer.window_worst[0] else ""
        print(f"| {words}{worst} | {'none known' if math.isnan(value) else f'{value:,.0f}'} |")
    print("\n| loss by the close of | US dollars | times what was asked for |\n|---|---:|---:|")
    for day, loss in losses.items():
        print(f"| {day.isoformat()} | {loss:,.0f} | {loss / float(answer.figures['estimated'][0]):.1f} |")
    print()


POINT = {"ES": 50, "NQ": 20, "CL": 1000, "NG": 10_000, "GC": 100, "ZN": 1000}
"""Dollars of a point of each contract."""
FIRST, LAST = date(2010, 1, 8), date(2021, 12, 31)


def business_days_before(day: date, n: int) -> date:
    """The `n`-th weekday before `day`."""
    while n:
        day -= timedelta(days=1)
        n -= day.weekday() < 5
    return day


def expires_on(symbol: str, year: int, month: int) -> date | None:
    """Last day of the front contract in a month, by the calendar of its exchange; holidays are left out."""
    if symbol == "CL":
        return business_days_before(date(year, month, 25), 3 if date(year, month, 25).weekday() < 5 else 4)
    if symbol == "NG":
        following = date(year + month // 12, month % 12 + 1, 1)
        return business_days_before(following, 3)
    if month % 3:
        return None
    if symbol in ("ES", "NQ"):
        first = date(year, month, 1)
        return first + timedelta(days=(4 - first.weekday()) % 7 + 14)
    return None  # the continuous series of gold and notes has no visible step


def rolled(symbol: str, days: Sequence[str]) -> list[bool]:
    """Days whose close is of another contract than the one before."""
    expiries = {
        one
        for year in range(int(days[0][:4]), int(days[-1][:4]) + 1)
        for month in range(1, 13)
        if (one := expires_on(symbol, year, month)) is not None
    }
    dates = [date.fromisoformat(day) for day in days]
    return [k > 0 and any(dates[k - 1] <= e < dates[k] for e in expiries) for k in range(len(dates))]


def futures_history(folder: Path) -> FactorHistories:
    """Closes of the six, with their rolls."""
    frame = pl.read_csv(folder / "futures_daily.csv.gz").filter(pl.col("symbol").is_in(list(POINT)))
    parts = []
    for (symbol,), own in frame.sort("date").group_by("symbol", maintain_order=True):
        days = own["date"].to_list()
        parts.append(
            pl.DataFrame(
                {
                    "date": days,
                    "factor": [f"price:{symbol}"] * len(days),
                    "value": own["close"],
                    "roll": rolled(str(symbol), days),
                }
            )
        )
    return read_history(pl.concat(parts))


def published(folder: Path, days: Sequence[date]) -> dict[str, FloatArray]:
    """Published maintenance margin of each contract in force on each day."""
    frame = pl.read_csv(folder / "us_futures_outright_margins.csv.gz").filter(pl.col("symbol").is_in(list(POINT)))
    found = {}
    for (symbol,), own in frame.sort("date").group_by("symbol"):
        steps = [date.fromisoformat(text) for text in own["date"].to_list()]
        values = own["maintenance_margin"].to_list()
        series = []
        for day in days:
            known = [value for step, value in zip(steps, values, strict=True) if step <= day]
            series.append(float(known[-1]) if known else math.nan)
        found[str(symbol)] = np.array(series)
    return found


def modelled(history: FactorHistories, days: Sequence[date], **options: str) -> dict[str, FloatArray]:
    """Requirement of one long contract of each on each day."""
    document = dict(methodology("filtered-es").info.document)
    # The series of notes lacks up to two weeks at a time: its market was open, and the next close has the whole change.
    document["factors"] = document["factors"] | {"longest_closure_days": "21"}
    document["anti_procyclicality"] = document["anti_procyclicality"] | {"long_run_observations": "2250"}
    made = methodology("filtered-es", document, history=history, horizon_days="1", observations="500", **options)
    found: dict[str, list[float]] = {symbol: [] for symbol in POINT}
    rows = [{"account": symbol, "instrument": symbol, "quantity": "1"} for symbol in POINT]
    book = read_positions(rows)
    times = history.times
    for day in days:
        at = evening(day)
        k = int(np.searchsorted(times, int(at.timestamp()), side="right")) - 1
        quotes, index = [], {}
        for symbol, point in POINT.items():
            column = history.level[: k + 1, history.place[f"price:{symbol}"]]
            price = float(column[~np.isnan(column)][-1])
            terms = DatedFuture(
                name=symbol,
                underlying=symbol,
                quote_currency="USD",
                settlement_currency="USD",
                payoff=Payoff.LINEAR,
                multiplier=Decimal(point),
                expiry=at + timedelta(days=90),
            )
            quotes.append(Quote(instrument=terms, mark=price))
            index[symbol] = price
        market = Market.from_quotes(quotes, as_of=at, source="daily closes", index=index)
        ready = prepare(book, market, made)
        required = made.account_requirements(made.arrange(ready.margined, ready.priced), ready.priced)
        for name, value in zip(book.margin_accounts, required.requirement_initial.tolist(), strict=True):
            found[name].append(value)
    return {symbol: np.array(values) for symbol, values in found.items()}


def print_outrights(folder: Path) -> None:
    """The tables and the picture of outright margins."""
    days = [FIRST + timedelta(days=7 * k) for k in range((LAST - FIRST).days // 7 + 1)]
    history = futures_history(folder)
    ours = modelled(history, days)
    damped = modelled(history, days, anti_procyclicality="buffer")
    theirs = published(folder, days)
    print("| | ratio, median | ratio, 5% to 95% | peak to trough: model | with 25% buffer | published |", end="")
    print(" largest rise in 4 weeks: model | with buffer | published |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|---:|")
    ratios = {}
    for symbol in POINT:
        there = ~np.isnan(theirs[symbol])
        ratio = ours[symbol][there] / theirs[symbol][there]
        ratios[symbol] = np.where(there, ours[symbol] / theirs[symbol], np.nan)
        low, high = np.quantile(ratio, [0.05, 0.95])
        cycles = [procyclicality(one[there]).peak_to_trough for one in (ours[symbol], damped[symbol], theirs[symbol])]
        rises = [largest_increase(one[there], 4, within=True) for one in (ours[symbol], damped[symbol], theirs[symbol])]
        cells = [f"{np.median(ratio):.2f}", f"{low:.2f} to {high:.2f}", *(f"{c:.1f}" for c in cycles)]
        print(f"| {symbol} | " + " | ".join([*cells, *(f"{r:+.0%}" for r in rises)]) + " |")
    (ROOT / "docs/images/outright-margins.svg").write_text(picture(days, ratios), encoding="utf-8")


def picture(days: Sequence[date], ratios: Mapping[str, FloatArray]) -> str:
    """Ratio of model to published margin through time: a small panel a contract, one logarithmic scale for all."""
    width, height, left, top, across = 380, 150, 46, 30, 2
    low, high = math.log(0.25), math.log(4)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across * width + 20} {3 * height + 20}" role="img">',
        "<title>Model margin over published margin, 2010 to 2021</title>",
        "<style>text{font:12px system-ui,sans-serif;fill:#555}.n{font-weight:600;fill:#222}"
        ".l{fill:none;stroke:#2a6fb0;stroke-width:1.4}.g{stroke:#ccc;stroke-width:1}.o{stroke:#888;stroke-width:1}"
        "@media(prefers-color-scheme:dark){text{fill:#aaa}.n{fill:#eee}.l{stroke:#7db3e8}.g{stroke:#444}}</style>",
    ]
    span = (days[-1] - days[0]).days
    for k, (symbol, ratio) in enumerate(ratios.items()):
        x0, y0 = (k % across) * width + left, (k // across) * height + top
        w, h = width - left - 14, height - 46

        def y_of(value: float, y0: float = y0, h: float = h) -> float:
            return y0 + h * (1 - (min(max(math.log(value), low), high) - low) / (high - low))

        out.append(f'<text class="n" x="{x0}" y="{y0 - 8}">{symbol}</text>')
        for level in (0.25, 0.5, 1, 2, 4):
            y = y_of(level)
            out.append(
                f'<line class="{"o" if level == 1 else "g"}" x1="{x0}" x2="{x0 + w}" y1="{y:.1f}" y2="{y:.1f}"/>'
            )
            out.append(f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>')
        for year in range(2010, 2022, 3):
            x = x0 + w * (date(year, 1, 8) - days[0]).days / span
            out.append(f'<text x="{x:.1f}" y="{y0 + h + 15}">{year}</text>')
        points = [
            f"{x0 + w * (day - days[0]).days / span:.1f},{y_of(float(value)):.1f}"
            for day, value in zip(days, ratio.tolist(), strict=True)
            if not math.isnan(value)
        ]
        out.append(f'<polyline class="l" points="{" ".join(points)}"/>')
    out.append("</svg>")
    return "\n".join(out) + "\n"


def main(folder: Path) -> None:
    """Both studies."""
    coins = closes(pl.read_csv(folder / "crypto_daily.csv.gz"), "symbol", "close", list(LUNA.value))
    metals = pl.read_csv(folder / "lme_base_metals_daily.csv.gz")
    print_case(LUNA, coins)
    print_case(NICKEL, closes(metals, "metal", "three_month_usd_per_t", list(NICKEL.value)))
    print_outrights(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
