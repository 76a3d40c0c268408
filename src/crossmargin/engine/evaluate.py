"""The whole calculation once, stage by stage. No clock, no files: everything comes in as an argument."""

from __future__ import annotations

from dataclasses import dataclass

from crossmargin._version import __version__
from crossmargin.basics.errors import CrossmarginError
from crossmargin.basics.times import format_utc
from crossmargin.collateral.valuation import CollateralValue, collateral_value, schedule, spot_trades
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.requirements import Requirements
from crossmargin.portfolio.book import Book
from crossmargin.standing.standing import Standing, Thresholds, standing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evaluation:
    """A book under a methodology: what is required, what is there, and what everything rests on.

    Parameters
    ----------
    book : Book
        As given.
    margined : Book
        The same with coin balances as spot positions: what the methodology saw.
    collateral, standing : CollateralValue, Standing or None
        `None` when the book has no balances.
    thresholds : Thresholds
        Equity over requirement at which states begin.
    """

    book: Book
    margined: Book
    market: Market
    methodology: Methodology
    policy: MissingPolicy
    requirements: Requirements
    collateral: CollateralValue | None
    standing: Standing | None
    thresholds: Thresholds

    @property
    def fills(self) -> tuple[Fill, ...]:
        """Every stand-in for a missing quote, once."""
        of_collateral = self.collateral.fills if self.collateral else ()
        return tuple(dict.fromkeys((*self.requirements.fills, *of_collateral)))

    @property
    def provenance(self) -> dict[str, object]:
        """What the answer rests on: methodology, parameters, market, time, engine."""
        info = self.methodology.info
        return {
            "methodology": self.methodology.name,
            "methodology_version": self.methodology.version,
            "methodology_status": self.methodology.status,
            "parameters": info.name,
            "parameters_version": info.version,
            "parameters_date": info.date,
            "parameters_hash": info.digest,
            "market_hash": self.market.fingerprint,
            "market_source": self.market.source,
            "as_of": format_utc(self.market.as_of),
            "engine_version": __version__,
            "missing_policy": self.policy.to_dict(),
            "collateral_schedule": schedule().name,
            "collateral_schedule_hash": schedule().digest,
            "warning_below": repr(self.thresholds.warning),
            "liquidation_below": repr(self.thresholds.liquidation),
        }


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
    policy, levels = policy or MissingPolicy(), thresholds or Thresholds()
    try:
        trades = spot_trades(book, market)
        margined = book.with_trades(trades) if trades else book
        requirements = methodology.requirements(margined, methodology.price(margined.instruments, market, policy))
        collateral = None if book.balances is None else collateral_value(book, market, policy)
    except CrossmarginError as error:
        raise type(error)(map(book.located, error.problems)) from None
    stands = None
    if collateral is not None:
        stands = standing(
            collateral.value,
            requirements.net_option_value,
            requirements.requirement_initial,
            requirements.requirement_maintenance,
            levels,
        )
    return Evaluation(
        book=book,
        margined=margined,
        market=market,
        methodology=methodology,
        policy=policy,
        requirements=requirements,
        collateral=collateral,
        standing=stands,
        thresholds=levels,
    )
