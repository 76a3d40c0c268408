"""The record of what stood in for a missing quote, and the one stand-in that needs no model: the price of an asset."""

from __future__ import annotations

import math
from dataclasses import dataclass

from crossmargin.basics.errors import MissingQuoteError, Problem
from crossmargin.basics.times import format_utc
from crossmargin.market.policy import STABLECOINS, MissingPolicy, UnpricedStablecoin
from crossmargin.market.snapshot import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One stand-in: for which field of which instrument, by which rule, with which value.

    `donor` is the instrument whose quote was borrowed; empty when none was.
    """

    instrument: str
    field: str
    rule: str
    value: float
    donor: str = ""

    @property
    def in_words(self) -> str:
        """What was missing and what stands in: `no mark: index price, 63,858.3`."""
        return f"no {self.field}: {self.rule}, {self.value:.6g}"

    def __str__(self) -> str:
        return f"{self.instrument}: {self.in_words}"

    def to_dict(self) -> dict[str, str]:
        """As plain data."""
        record = {"instrument": self.instrument, "field": self.field, "rule": self.rule, "value": repr(self.value)}
        return record | ({"donor": self.donor} if self.donor else {})


def asset_price(
    market: Market,
    asset: str,
    policy: MissingPolicy,
    fills: list[Fill],
    problems: list[Problem],
    *,
    needed_by: str,
    instruments: tuple[str, ...] = (),
) -> float:
    """Market currency for one unit of `asset`; NaN with a problem on the list when the market has none.

    `needed_by` says for what, in words; `instruments` are those that the problem is about.
    A stablecoin is at par with the dollar: no stand-in where the market is in another currency.
    """
    what = "dollar price" if market.currency == "USD" else f"price in {market.currency}"
    if asset in market.prices:
        price = market.prices[asset]
        if not (math.isfinite(price) and price > 0):
            problems.append(
                Problem(
                    found=f"{what} {price:g} of '{asset}' in the market of {format_utc(market.as_of)}",
                    needed="Give the price that was quoted, above 0.",
                    kind=MissingQuoteError,
                    instruments=instruments,
                )
            )
        return price
    if asset in STABLECOINS and policy.stablecoin is UnpricedStablecoin.PAR and market.currency == "USD":
        fills.append(Fill(instrument=asset, field=what, rule="par assumed", value=1.0))
        return 1.0
    problems.append(
        Problem(
            found=f"no {what} for '{asset}' (needed by '{needed_by}') in the market of "
            f"{format_utc(market.as_of)} ({market.source})",
            needed=f"Add a spot row for '{asset}' to the market."
            if market.listing is None
            else f"Cover in this market is {market.currency}.",
            kind=MissingQuoteError,
            instruments=instruments,
        )
    )
    return float("nan")
