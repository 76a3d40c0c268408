"""The whole calculation once, stage by stage. No clock, no files: everything comes in as an argument.

Pricing comes first and is done once for everything held (`Prepared`); then any accounts of the book can be margined,
all at once, in blocks, or one alone, with the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from crossmargin._version import __version__
from crossmargin.basics.errors import CrossmarginError, InputError, Problem, UnsupportedError, raise_problems
from crossmargin.basics.times import format_utc
from crossmargin.collateral.valuation import (
    CollateralPrices,
    CollateralValue,
    Schedule,
    collateral_prices,
    schedule,
    spot_rows,
)
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.protocol import Methodology, Priced
from crossmargin.methodologies.requirements import Requirements
from crossmargin.portfolio.book import Book
from crossmargin.standing.standing import Standing, Thresholds, standing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prepared:
    """A book whose instruments are priced: any of its accounts can be margined.

    Parameters
    ----------
    book : Book
        As given.
    margined : Book
        The same with coin balances as spot positions: what the methodology sees.
    priced : Priced
        One contract of each instrument, as the methodology needs it.
    thresholds : Thresholds
        Equity over requirement at which states begin.
    cover : CollateralPrices or None
        Of what the book has as cover; `None` without balances, and where whoever has a part of a book priced
        leaves it to `evaluation` to find them.
    """

    book: Book
    margined: Book
    market: Market
    methodology: Methodology
    policy: MissingPolicy
    thresholds: Thresholds
    priced: Priced
    cover: CollateralPrices | None = None

    def block(self, first: int, last: int) -> Prepared:
        """Of the margin accounts `first` to `last`, half open; the prices are shared."""
        book = self.book.block(first, last)
        margined = book if self.margined is self.book else self.margined.block(first, last)
        return replace(self, book=book, margined=margined)

    def account(self, margin_account: int) -> Prepared:
        """Of one margin account."""
        return self.block(margin_account, margin_account + 1)

    @property
    def provenance(self) -> dict[str, object]:
        """What the answer rests on: methodology, parameters, market, time, engine."""
        return provenance(self.market, self.methodology, self.policy, self.thresholds)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was inferred of the market, and what the methodology says of what it margins."""
        return (*self.market.notes, *self.methodology.notes(self.margined, self.priced))

    def evaluation(self) -> Evaluation:
        """Margin every account, value its collateral, and stand one against the other.

        Raises
        ------
        InputError, UnsupportedError
            Only where the prices of the cover are still to be found: listing what has none.
        """
        requirements = self.methodology.requirements(self.margined, self.priced)
        if self.book.balances is None:
            return Evaluation(prepared=self, requirements=requirements, collateral=None, standing=None)
        cover = self.cover or collateral_prices(self.book, self.market, self.policy, self.methodology.schedule)
        collateral = cover.value_of(self.book)
        assert requirements.currency == self.market.currency
        stands = standing(collateral.value, requirements, self.thresholds)
        return Evaluation(prepared=self, requirements=requirements, collateral=collateral, standing=stands)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A book under a methodology: what is required, what is there, and what everything rests on.

    Parameters
    ----------
    prepared : Prepared
        What was asked, of whom, at which prices.
    collateral, standing : CollateralValue, Standing or None
        `None` when the book has no balances.
    """

    prepared: Prepared
    requirements: Requirements
    collateral: CollateralValue | None
    standing: Standing | None

    @property
    def book(self) -> Book:
        """As given."""
        return self.prepared.book

    @property
    def margined(self) -> Book:
        """What the methodology saw: coin balances are positions in it."""
        return self.prepared.margined

    @property
    def market(self) -> Market:
        """Prices."""
        return self.prepared.market

    @property
    def methodology(self) -> Methodology:
        """Method and parameters."""
        return self.prepared.methodology

    @property
    def policy(self) -> MissingPolicy:
        """What stood in for missing quotes."""
        return self.prepared.policy

    @property
    def thresholds(self) -> Thresholds:
        """Where states begin."""
        return self.prepared.thresholds

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every stand-in for a missing quote, once."""
        of_collateral = self.collateral.fills if self.collateral else ()
        return tuple(dict.fromkeys((*self.requirements.fills, *of_collateral)))

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Prepared.notes`."""
        return self.prepared.notes

    @property
    def provenance(self) -> dict[str, object]:
        """See `Prepared.provenance`."""
        return self.prepared.provenance


def provenance(
    market: Market, methodology: Methodology, policy: MissingPolicy, thresholds: Thresholds
) -> dict[str, object]:
    """What an answer rests on, whoever margins: plain data, decimals as strings."""
    info = methodology.info
    cover = methodology.schedule or schedule()
    return {
        "methodology": methodology.name,
        "methodology_version": methodology.version,
        "methodology_status": methodology.status,
        "parameters": info.name,
        "parameters_version": info.version,
        "parameters_date": info.date,
        "parameters_hash": info.digest,
        **({"history_hash": info.history} if info.history else {}),
        "market_hash": market.fingerprint,
        "market_source": market.source,
        "as_of": format_utc(market.as_of),
        "engine_version": __version__,
        "missing_policy": policy.to_dict(),
        "collateral_schedule": cover.name,
        "collateral_schedule_hash": cover.digest,
        "warning_below": repr(thresholds.warning),
        "liquidation_below": repr(thresholds.liquidation),
    }


def own_market(methodologies: Sequence[Methodology]) -> Market | None:
    """The market that the parameters of `methodologies` are; `None` where all of them take prices from elsewhere.

    Raises
    ------
    InputError
        If they take their prices from different markets, so that their answers are not of the same prices.
    """
    markets = {None if one.market is None else one.market.fingerprint: one.market for one in methodologies}
    if len(markets) > 1:
        theirs = ", ".join(
            f"'{one.name}' from {one.market.source if one.market else 'a market of quotes'}" for one in methodologies
        )
        raise InputError(
            Problem(
                found=f"methodologies take their prices from different markets: {theirs}",
                needed="Compare methodologies of one market; margin the others by themselves.",
            )
        )
    return next(iter(markets.values()), None)


def require_market(methodology: Methodology, market: Market) -> None:
    """Raise `InputError` if the parameters of `methodology` are a market, and `market` is another."""
    own = methodology.market
    if own is None or own is market or own.fingerprint == market.fingerprint:
        return
    raise InputError(
        Problem(
            found=f"the market {market.source} for '{methodology.name}', whose prices are those of {own.source}",
            needed="Margin the book in the methodology's own market.",
        )
    )


def with_coins(book: Book, market: Market, scheduled: Schedule | None = None) -> Book:
    """`book` with the balances that take part in the scenarios as positions too: what a methodology sees.

    `scheduled` is the methodology's own schedule, if it has one.

    Raises
    ------
    MissingQuoteError
        As `spot_rows`.
    """
    if book.balances is None:
        return book
    instruments, rows = spot_rows(book, market, scheduled)
    return book.with_positions(instruments=instruments, rows=rows) if len(rows.account) else book


def prepare(
    book: Book,
    market: Market,
    methodology: Methodology,
    policy: MissingPolicy | None = None,
    thresholds: Thresholds | None = None,
) -> Prepared:
    """Price everything that `book` holds, as a position and as cover; what came to nothing needs no price.

    Raises
    ------
    InputError, UnsupportedError
        Listing everything that cannot be margined or valued, each problem with whom it is about where it is about
        somebody: with an instrument, an asset or an account.
    """
    require_market(methodology, market)
    policy = policy or MissingPolicy()
    book = book.held_only()
    margined, priced, cover = book, None, None
    of_coins: list[Problem] = []
    of_pricing: list[Problem] = []
    of_cover: list[Problem] = []
    with _collected(of_coins):
        margined = with_coins(book, market, methodology.schedule)
    with _collected(of_pricing):
        priced = methodology.price(margined.to_price, market, policy)
    if book.balances is not None:
        with _collected(of_cover):
            cover = collateral_prices(book, market, policy, methodology.schedule)
    # What has no price as a position has none as cover: that is one problem, and said once.
    said = {str(problem) for problem in of_pricing}
    refused = {name for problem in of_pricing for name in _about(problem)}
    of_cover = [p for p in of_cover if str(p) not in said and not (_about(p) and _about(p) <= refused)]
    raise_problems([*map(book.located, (*_orders_of_gross(book), *of_coins, *of_pricing, *of_cover))])
    return Prepared(
        book=book,
        margined=margined,
        market=market,
        methodology=methodology,
        policy=policy,
        thresholds=thresholds or Thresholds(),
        priced=priced,
        cover=cover,
    )


def _orders_of_gross(book: Book) -> list[Problem]:
    """Gross accounts with resting orders: whether one opens or closes depends on whose it is, which nobody states."""
    carried = book.carried
    if carried is None or not book.gross.any():
        return []
    owner = book.margin_account_of[carried.account]
    rests = book.gross[owner] & ((carried.buys > 0) | (carried.sells > 0))
    return [
        Problem(
            found=f"resting orders of gross account '{book.margin_accounts[a]}'",
            needed="They are of clients who are not named: give each client an account, or leave the orders out.",
            kind=UnsupportedError,
            account=book.margin_accounts[a],
        )
        for a in sorted(set(owner[rests].tolist()))
    ]


@contextmanager
def _collected(problems: list[Problem]) -> Iterator[None]:
    """What the block is refused for goes to `problems`: the next step has its own to say."""
    try:
        yield
    except CrossmarginError as error:
        kind = None if type(error) is InputError else type(error)
        problems += [replace(problem, kind=problem.kind or kind) for problem in error.problems]


def _about(problem: Problem) -> set[str]:
    return {name for name in (problem.instrument, *problem.instruments) if name}


def evaluate(
    book: Book,
    market: Market,
    methodology: Methodology,
    policy: MissingPolicy | None = None,
    thresholds: Thresholds | None = None,
) -> Evaluation:
    """Margin every account of `book` in `market`.

    Raises
    ------
    InputError, UnsupportedError
        Listing everything that cannot be margined or valued.
    """
    return prepare(book, market, methodology, policy, thresholds).evaluation()
