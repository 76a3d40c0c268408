"""The sensitivity method beside Open Source Risk Engine: many portfolios, and many names in one; and a large file.

The engine's side is its calculator alone, which makes both sides: building its records is not counted for it. Ours is
both sides from columns in memory. Everything is seeded; one figure of the two is compared before either is timed.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Timed, Values, figure
from benchmarks.simm_files import write_crif
from crossmargin.methodologies.simm.parameters import SimmParameters, load_parameters
from crossmargin.methodologies.simm.recipe import Side, SimmBreakdown, simm_sides
from crossmargin.portfolio.sensitivities import Sensitivities

N_PORTFOLIOS, N_ROWS = 1_000, 50
N_NAMES = 20_000
Row = tuple[str, str, str, str, str, str, str, float]
_TENORS = ("3m", "1y", "2y", "5y", "10y")


def parameters() -> SimmParameters:
    """The reference version."""
    return load_parameters("simm-2.8+2506")


def rows_of(portfolio: str, n_rows: int, rng: np.random.Generator) -> list[Row]:
    """Delta and vega rows of every kind."""
    currencies = ("USD", "EUR", "JPY", "GBP", "CHF", "BRL")
    rows: list[Row] = []
    for _ in range(n_rows):
        kind, a, tenor = int(rng.integers(0, 8)), int(rng.integers(0, 60)), _TENORS[int(rng.integers(0, 5))]
        amount = float(rng.normal(0.0, 2e4))
        currency = currencies[a % 6]
        label: tuple[str, str, str, str, str, str]
        if kind == 0:
            label = ("RatesFX", "Risk_IRCurve", currency, "1", tenor, ("OIS", "Libor3m")[a % 2])
        elif kind == 1:
            label = ("RatesFX", "Risk_IRVol", currency, "", tenor, "")
        elif kind == 2:
            label = ("RatesFX", "Risk_FX", currencies[1:][a % 5], "", "", "")
        elif kind == 3:
            label = ("RatesFX", "Risk_FXVol", "EURUSD" if a % 2 else "GBPUSD", "", tenor, "")
        elif kind == 4:
            label = ("Credit", "Risk_CreditQ", f"CR{a}", str(1 + a % 12), ("1y", "3y", "5y")[a % 3], "EUR")
        elif kind == 5:
            label = ("Equity", "Risk_Equity", f"EQ{a}", str(1 + a % 12), "", "")
        elif kind == 6:
            label = ("Equity", "Risk_EquityVol", f"EQ{a}", str(1 + a % 12), tenor, "")
        else:
            label = ("Commodity", "Risk_Commodity", f"C{a % 17}", str(1 + a % 17), "", "")
        rows.append((portfolio, *label, amount))
    return rows


def names(buckets: Sequence[str]) -> list[Row]:
    """Equity deltas of as many names as `N_NAMES`, one in a hundred of them concentrated, each otherwise."""
    amounts = np.random.default_rng(8).normal(0.0, 2e4, N_NAMES)
    amounts[::100] *= 5e3
    return [
        ("one", "Equity", "Risk_Equity", f"N{k}", buckets[k % len(buckets)], "", "", float(a))
        for k, a in enumerate(amounts)
    ]


def sensitivities(rows: list[Row]) -> Sensitivities:
    """Columns in memory."""
    columns = ("portfolio", "product_class", "risk_type", "qualifier", "bucket", "label1", "label2")
    return Sensitivities.of(
        np.array([row[-1] for row in rows]), **{name: [row[k] for row in rows] for k, name in enumerate(columns)}
    )


def both_sides(held: Sensitivities) -> tuple[SimmBreakdown, SimmBreakdown]:
    """What the engine's calculator makes, too."""
    found = simm_sides(held, parameters())
    return found[Side.CALL], found[Side.POST]


class Engine:
    """Records of Open Source Risk Engine, built once."""

    def __init__(self, rows: list[Row]) -> None:
        import ORE

        self.ore: Any = ORE
        record = ORE.CrifRecord
        self.mapper = ORE.SimmBucketMapperBase()
        self.config = ORE.SimmConfiguration_ISDA_V2_8_2506(self.mapper, 10)
        self.sets: dict[str, Any] = {}
        self.crifs: dict[str, Any] = {}
        for portfolio, product_class, risk_type, qualifier, bucket, label1, label2, amount in rows:
            if portfolio not in self.sets:
                self.sets[portfolio], self.crifs[portfolio] = ORE.NettingSetDetails(portfolio), ORE.Crif()
            kind = getattr(record, "RiskType_" + risk_type.removeprefix("Risk_"))
            if bucket:
                self.mapper.addMapping(kind, qualifier, bucket)
            self.crifs[portfolio].addRecord(
                record(
                    "T",
                    "",
                    self.sets[portfolio],
                    getattr(record, "ProductClass_" + product_class),
                    kind,
                    qualifier,
                    bucket,
                    label1,
                    label2,
                    "USD",
                    amount,
                    amount,
                    record.IMModel_SIMM,
                )
            )

    def run(self) -> dict[str, float]:
        """The calculator, portfolio by portfolio; what is collected."""
        ore, found = self.ore, {}
        config, record = ore.SimmConfiguration, ore.CrifRecord
        for name, crif in self.crifs.items():
            calculator = ore.SimmCalculator(crif, self.config)
            result = calculator.finalSimmResults(config.SimmSide_Call, self.sets[name]).second
            found[name] = result.get(record.ProductClass_All, config.RiskClass_All, config.MarginType_All, "All")
        return found


@cache
def _thousand() -> tuple[Sensitivities, Engine]:
    rng = np.random.default_rng(50)
    rows = [row for k in range(N_PORTFOLIOS) for row in rows_of(f"p{k:04}", N_ROWS, rng)]
    return sensitivities(rows), Engine(rows)


@figure(
    "simm-1000x50",
    unit="s",
    budget=">= 20x",
    peer="Open Source Risk Engine, SimmCalculator, both sides, records built beforehand",
    packages=("numpy", "open-source-risk-engine"),
)
def thousand() -> Timed:
    """1,000 portfolios x 50 rows, both sides, from columns in memory."""
    held, engine = _thousand()
    _agree(both_sides(held)[0], engine.run())
    return Timed(ours=lambda: both_sides(held), peer=engine.run, runs=5)


@figure(
    "simm-20k-names",
    unit="s",
    budget=">= 1,000x",
    peer="Open Source Risk Engine, SimmCalculator, both sides, one run",
    packages=("numpy", "open-source-risk-engine"),
)
def twenty_thousand() -> Values:
    """One portfolio of 20,000 equity names over twelve buckets, both sides; the engine sums over 33 million pairs."""
    rows = names([str(k) for k in range(1, 13)])
    held, engine = sensitivities(rows), Engine(rows)
    start = time.perf_counter()
    theirs = engine.run()
    middle = time.perf_counter()
    _agree(both_sides(held)[0], theirs)
    ours = []
    for _ in range(11):
        begin = time.perf_counter()
        both_sides(held)
        ours.append(time.perf_counter() - begin)
    return Values(value=float(np.median(ours)), peer_value=middle - start)


@figure("simm-crif-million", unit="s", budget="< 5 s", packages=("numpy", "polars"))
def million_rows() -> Timed:
    """A CRIF of a million rows and 500 portfolios, from its CSV file to both sides of every portfolio."""
    from crossmargin.api import simm as from_file

    path = Path(tempfile.mkdtemp()) / "crif.csv"
    write_crif(path, 1_000_000)
    return Timed(ours=lambda: from_file(path).table(), runs=3)


@figure("simm-what-if", unit="ms", packages=("numpy", "polars"))
def what_if() -> Values:
    """A trade leaves one of 500 portfolios, a million rows, margined before: both sides before and after."""
    from crossmargin.api import simm as from_file

    path = Path(tempfile.mkdtemp()) / "crif.csv"
    write_crif(path, 1_000_000)
    answer = from_file(path)
    rows = answer.book.carried.read("TradeID", answer.book.file_rows)
    taken = []
    for k in np.random.default_rng(5).integers(0, len(rows.codes), 21).tolist():
        trade, portfolio = rows.names[int(rows.codes[k])], answer.portfolios[int(answer.book.portfolio[k])]
        begin = time.perf_counter()
        answer.what_if(remove=[trade], portfolio=portfolio)
        taken.append((time.perf_counter() - begin) * 1e3)
    return Values(value=float(np.median(taken)))


def _agree(ours: SimmBreakdown, theirs: dict[str, float]) -> None:
    for name, total in zip(ours.portfolios, ours.total.tolist(), strict=True):
        assert abs(total - theirs[name]) <= max(1e-9 * abs(theirs[name]), 1e-6), (name, total, theirs[name])
