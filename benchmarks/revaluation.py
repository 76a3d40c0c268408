"""From a book and a market to a requirement: the unit P&L table, one large account, many accounts.

The synthetic chain has as many options as the real one of 2026-02-05 (1,840, BTC and ETH, inverse), so that the
figures can be repeated without the data; `revaluation-margin-crash-book` is on the real one where it is there.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.harness import Timed, figure
from benchmarks.peers import contracts, naive_margin, scenarios
from crossmargin.aggregation.sweep import Holdings, worst_loss
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.quantities import STEPS_PER_UNIT
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.market import read_market
from crossmargin.instruments.deribit import parse_deribit
from crossmargin.instruments.table import Kind
from crossmargin.instruments.terms import VanillaOption
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.venue_grids.scenario_grid.book import GridBook
from crossmargin.methodologies.venue_grids.scenario_grid.method import GridResult, scenario_grid
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import load_parameters
from crossmargin.portfolio.book import Book, PositionRows, build_book
from crossmargin.revaluation.black import black76
from crossmargin.revaluation.inputs import pricing_inputs
from crossmargin.revaluation.unit_pnl import unit_pnl
from crossmargin.scenarios.grid import grid_scenarios, shifted_vol

DATA = Path(os.environ.get("CROSSMARGIN_DATA_DIR") or Path(__file__).resolve().parents[1] / "../shared/data")
CRASH_CHAIN = DATA / "deribit_chain_20260205T2129Z.csv.gz"

AS_OF = datetime(2026, 2, 5, 21, 29, tzinfo=UTC)
EXPIRIES = (
    *("6FEB26", "7FEB26", "8FEB26", "13FEB26", "20FEB26"),
    *("27FEB26", "27MAR26", "26JUN26", "25SEP26", "25DEC26"),
)
N_STRIKES = 46
# Index, lowest strike, distance of strikes.
COINS = {"BTC": (64_000.0, 20_000, 2_000), "ETH": (1_900.0, 600, 60)}

N_ACCOUNTS = 10_000
N_POSITIONS = 20


def synthetic_market() -> Market:
    """2 coins x 10 expiries x 46 strikes x call and put."""
    return market_of(COINS, n_strikes=N_STRIKES, seed=1840)


def market_of(coins: Mapping[str, tuple[float, int, int]], *, n_strikes: int, seed: int) -> Market:
    """Calls and puts on coins in all expiries; a smile, a carry, seeded noise in the vols."""
    rng = np.random.default_rng(seed)
    quotes = []
    for coin, (index, lowest, distance) in coins.items():
        for expiry in EXPIRIES:
            for k in range(n_strikes):
                strike = lowest + distance * k
                noise = float(rng.uniform(-0.02, 0.02))
                for right in "CP":
                    option = parse_deribit(f"{coin}-{expiry}-{strike}-{right}")
                    assert isinstance(option, VanillaOption)
                    years = (option.expiry - AS_OF).total_seconds() / (365 * 86_400)
                    forward = index * float(np.exp(0.05 * years))
                    vol = 0.6 + 0.25 * float(np.log(strike / forward)) ** 2 + noise
                    value = black76(
                        np.array([forward]),
                        np.array([float(strike)]),
                        np.array([vol * years**0.5]),
                        np.array([right == "C"]),
                    )
                    quotes.append(Quote(instrument=option, mark=float(value[0]) / forward, vol=vol, forward=forward))
    index_of = {coin: terms[0] for coin, terms in coins.items()}
    return Market.from_quotes(quotes, as_of=AS_OF, source="synthetic chain", index=index_of, prices=index_of)


def options_of(market: Market) -> tuple[str, ...]:
    """Names of the listed options."""
    table = market.instruments
    return tuple(table.names[k] for k in np.flatnonzero(table.kind == Kind.OPTION).tolist())


def book_of(instruments: tuple[str, ...], held: IntArray, contracts_held: IntArray) -> Book:
    """A book of accounts that hold whole contracts; both arrays of shape (n_accounts, n_positions)."""
    n_accounts, n_positions = held.shape
    return build_book(
        accounts=[f"account-{k:06d}" for k in range(n_accounts)],
        instruments=instruments,
        rows=PositionRows(
            account=np.repeat(np.arange(n_accounts), n_positions),
            instrument=held.ravel(),
            steps=contracts_held.ravel() * STEPS_PER_UNIT,
        ),
        attributes={},
    )


def many_accounts(market: Market, n_accounts: int = N_ACCOUNTS) -> Book:
    """Every account holds 20 different options of the market, 1 to 10 contracts, long or short."""
    names = options_of(market)
    rng = np.random.default_rng(20)
    held = np.stack([rng.choice(len(names), N_POSITIONS, replace=False) for _ in range(n_accounts)])
    size = rng.integers(1, 11, held.shape) * rng.choice([-1, 1], held.shape)
    return book_of(names, held.astype(np.int64), size.astype(np.int64))


def margined(evaluation: Evaluation) -> GridBook:
    """Risk units and unit P&L behind an answer of the grid method."""
    result = evaluation.requirements.breakdown
    assert isinstance(result, GridResult)
    return result.book


@figure(
    "revaluation-grid-synthetic",
    unit="ms",
    peer="QuantLib blackFormula (loop), every 8th option, scaled to all; vols and forwards shifted beforehand",
    packages=("numpy", "QuantLib"),
)
def grid_crash() -> Timed:
    """Unit P&L of 1,840 options x 35 scenarios; ours shifts vols and forwards and converts to dollars."""
    import QuantLib

    market, parameters = synthetic_market(), load_parameters(None)
    inputs = pricing_inputs(market, options_of(market), MissingPolicy())
    table = inputs.instruments
    grids = {name: grid_scenarios(parameters.shape, parameters.ranges[name]) for name in table.underlyings}
    n_options, n_scenarios = len(table), len(next(iter(grids.values())))
    assert (n_options, n_scenarios) == (1_840, 35), f"the grid is {n_options} x {n_scenarios}"

    class Loop(NamedTuple):
        """What the peer is given of one option: scalars, and a (forward, total vol) for each scenario."""

        kind: int
        strike: float
        forward: float
        total_vol: float
        dollars: float
        shifted: list[tuple[float, float]]

    rows = np.arange(0, n_options, 8)
    loops = []
    for k in rows.tolist():
        name = table.underlyings[table.underlying[k]]
        grid, one = grids[name], slice(k, k + 1)
        vol = shifted_vol(inputs.vol[one], np.ones(1), inputs.expiry_years[one], grid, parameters.ranges[name])
        root = float(np.sqrt(inputs.expiry_years[k]))
        loops.append(
            Loop(
                kind=QuantLib.Option.Call if table.is_call[k] else QuantLib.Option.Put,
                strike=float(table.strike[k]),
                forward=float(inputs.forward[k]),
                total_vol=float(inputs.vol[k]) * root,
                dollars=float(table.multiplier[k] * inputs.index[k] / inputs.forward[k]),
                shifted=list(
                    zip(
                        (inputs.forward[k] * (1 + grid.price_move)).tolist(),
                        (vol[0] * root).tolist(),
                        strict=True,
                    )
                ),
            )
        )

    def theirs() -> list[list[float]]:
        price = QuantLib.blackFormula
        found = []
        for kind, strike, forward, total_vol, dollars, shifted in loops:
            now = price(kind, strike, forward, total_vol)
            found.append([dollars * (price(kind, strike, f, v) - now) for f, v in shifted])
        return found

    def ours() -> FloatArray:
        return unit_pnl(inputs, grids, parameters.ranges).values

    difference = np.abs(ours()[rows] - np.array(theirs())) / inputs.index[rows, None]
    assert difference.max() <= 1e-9, f"ours and the peer differ by {difference.max():g} of the index"
    return Timed(ours=ours, peer=theirs, peer_amount=len(rows) / n_options, runs=15)


HAS_CRASH_CHAIN = CRASH_CHAIN.is_file()


@figure(
    "revaluation-margin-crash-book" if HAS_CRASH_CHAIN else "revaluation-margin-synthetic-book",
    unit="s",
    budget="< 1 s",
    peer="plain Python, a loop over positions and scenarios with math.erf; requirement and isolated sum only",
)
def margin_crash_book() -> Timed:
    """One account with one of every listed option, market in memory: the whole of `evaluate`."""
    if HAS_CRASH_CHAIN:
        market = read_market(CRASH_CHAIN)
    else:
        print(f"{CRASH_CHAIN} is not there: a synthetic chain of the same size instead.", file=sys.stderr)
        market = synthetic_market()
    names = options_of(market)
    one_of_each = np.arange(len(names))[None, :]
    book, method = book_of(names, one_of_each, np.ones_like(one_of_each)), scenario_grid()

    def ours() -> Evaluation:
        return evaluate(book, market, method)

    found = ours()
    held, grids = contracts(margined(found)), scenarios(margined(found))
    expected = naive_margin(held, grids, method.parameters)
    answer = found.requirements
    np.testing.assert_allclose(answer.requirement_initial, expected.initial, rtol=1e-9)
    np.testing.assert_allclose(answer.requirement_isolated, expected.isolated, rtol=1e-9)
    return Timed(ours=ours, peer=lambda: naive_margin(held, grids, method.parameters))


class Swept(NamedTuple):
    """10,000 accounts, and their sweep as a product of matrices."""

    book: Book
    market: Market
    holdings: Holdings
    unit_pnl: FloatArray


def swept() -> Swept:
    """The accounts on the synthetic chain, evaluated once to get their units and the unit P&L table."""
    market = synthetic_market()
    book = many_accounts(market)
    units = margined(evaluate(book, market, scenario_grid()))
    return Swept(book=book, market=market, holdings=units.holdings, unit_pnl=units.contracts.unit_pnl)


def scipy_worst(case: Swept) -> Timed:
    """The sweep both ways: ours, and sparse @ dense with minimum and argmin."""
    from scipy.sparse import csr_array

    held = case.holdings
    quantities = csr_array((held.quantity, held.instrument, held.offsets), shape=(held.n_units, len(case.unit_pnl)))

    def theirs() -> tuple[FloatArray, IntArray]:
        pnl = quantities @ case.unit_pnl
        worst = pnl.argmin(axis=1)
        return -pnl[np.arange(len(worst)), worst], worst

    def ours() -> tuple[FloatArray, IntArray]:
        return worst_loss(held, case.unit_pnl)

    np.testing.assert_allclose(ours()[0], theirs()[0], rtol=1e-9, atol=1e-6)
    return Timed(ours=ours, peer=theirs)


@figure(
    "revaluation-accounts-10k",
    unit="s",
    packages=("numpy",),
)
def accounts_10k() -> Timed:
    """10,000 accounts x 20 options: prices, sweep, isolated baseline, charges, contributions, words."""
    case = swept()
    method = scenario_grid()
    return Timed(ours=lambda: evaluate(case.book, case.market, method), runs=5)


@figure(
    "revaluation-sweep-10k",
    unit="ms",
    peer="scipy.sparse CSR @ dense and argmin on the same table",
    packages=("numpy", "scipy"),
)
def sweep_10k() -> Timed:
    """Of those accounts, the sweep of the margined units alone: like for like."""
    return scipy_worst(swept())
