"""The sample: a real BTC option chain and portfolios that people recognise, replaceable by any files.

The chain holds facts: the strikes, forwards, and bid and ask implied volatilities (here their middle) of 49 BTC options
that the stochvolmodels package (MIT, Artur Sepp) quotes as "BTC implied vols of 21Oct2021". What is inferred is said in
`NOTES`, and stands with every answer.
"""

from __future__ import annotations

from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import NamedTuple

from crossmargin.files.market import read_market
from crossmargin.market.snapshot import Market

NOTES = (
    "vols of 49 BTC options as the stochvolmodels package (MIT, Artur Sepp) states them, middle of bid and ask: facts, "
    "not its file",
    "as-of 2021-10-20T21:24:34Z and the 08:00 UTC expiries are inferred: the source states days/360 only, and these "
    "fit all four",
    "one side is quoted at each strike: the other side takes the same vol",
    "index and perpetual are set to 66,500 by us, futures to the forwards: the source states neither",
)


class SamplePaths(NamedTuple):
    """The three files of the sample."""

    positions: Path
    market: Path
    balances: Path


def sample_paths() -> SamplePaths:
    """Where the sample files stand."""
    folder = Path(str(resources.files(__package__)))
    return SamplePaths(
        positions=folder / "positions.csv", market=folder / "btc_chain.csv", balances=folder / "balances.csv"
    )


class SpanSamplePaths(NamedTuple):
    """The files of the SPAN sample: invented contracts, the parameter file made of them, accounts that hold some."""

    contracts: Path
    parameters: Path
    positions: Path


def span_sample_paths() -> SpanSamplePaths:
    """Where the files of the SPAN sample stand."""
    folder = Path(str(resources.files(__package__)))
    return SpanSamplePaths(
        contracts=folder / "span_contracts.csv",
        parameters=folder / "span_sample.spn",
        positions=folder / "span_positions.csv",
    )


def sample_market() -> Market:
    """The sample chain, with what is known and inferred of it."""
    return replace(read_market(sample_paths().market), source="sample BTC chain, 2021-10-20", notes=NOTES)
