"""dYdX v4: initial and maintenance requirement in whole quote quantums, and the rules on what may be done when short.

All amounts are Python integers: quote quantums of 1e-6 USDC, fractions in parts per million. Requirements are rounded
up. The decision a reader would question: initial looks at the market's open interest, maintenance does not, so a market
that grows asks more for opening and liquidates nobody.

References: dydx-v4 (see docs/sources.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

MILLION = 1_000_000
"""A whole, in parts per million; and quote quantums in one USDC."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiquidityTier:
    """Margin of a market: fractions in parts per million, caps of open notional in quote quantums (both 0: none)."""

    initial_ppm: int
    maintenance_fraction_ppm: int
    open_interest_lower: int
    open_interest_upper: int


def quote_quantums(base: Fraction, price: Fraction) -> int:
    """Notional of `base` units at `price` USDC in quote quantums, towards 0."""
    exact = abs(base * price) * MILLION
    return exact.numerator // exact.denominator


def adjusted_initial_ppm(tier: LiquidityTier, open_notional: int) -> int:
    """Initial fraction once open interest has scaled it: from the tier's own at the lower cap to a whole at the upper.

    In whole parts per million, rounded down.
    """
    lower, upper = tier.open_interest_lower, tier.open_interest_upper
    if upper <= lower or open_notional <= lower:
        return tier.initial_ppm
    if open_notional >= upper:
        return max(MILLION, tier.initial_ppm)
    return tier.initial_ppm + (MILLION - tier.initial_ppm) * (open_notional - lower) // (upper - lower)


def initial_requirement(notional: int, tier: LiquidityTier, open_notional: int) -> int:
    """Initial requirement of a position, quote quantums, rounded up."""
    return _ceiling(notional * adjusted_initial_ppm(tier, open_notional), MILLION)


def maintenance_requirement(notional: int, tier: LiquidityTier) -> int:
    """Maintenance requirement: a fraction of the initial one before open interest, each rounded up."""
    unscaled = _ceiling(notional * tier.initial_ppm, MILLION)
    return _ceiling(unscaled * tier.maintenance_fraction_ppm, MILLION)


def _ceiling(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Net collateral and requirements of an account, quote quantums."""

    net_collateral: int
    initial: int
    maintenance: int

    @property
    def is_liquidatable(self) -> bool:
        """Whether maintenance is not covered. Who has no position is not liquidated, however much is owed."""
        return self.maintenance > 0 and self.maintenance > self.net_collateral


def account_risk(usdc: int, positions: list[tuple[int, int, LiquidityTier, int]]) -> Risk:
    """Risk of an account.

    Parameters
    ----------
    usdc : int
        Quote balance, quote quantums, negative where positions were bought on credit.
    positions : list of (notional, sign, tier, open notional)
        Notional in quote quantums; sign 1 of a long position, -1 of a short one.
    """
    return Risk(
        net_collateral=usdc + sum(sign * notional for notional, sign, _, _ in positions),
        initial=sum(initial_requirement(notional, tier, interest) for notional, _, tier, interest in positions),
        maintenance=sum(maintenance_requirement(notional, tier) for notional, _, tier, _ in positions),
    )


def compared_risk(first: Risk, second: Risk) -> int:
    """1 if `first` is the riskier, -1 if it is the safer, 0 if neither.

    By net collateral over maintenance, compared by cross-multiplication; among equals the larger maintenance is
    riskier, and among those the smaller net collateral.
    """
    crossed = first.net_collateral * second.maintenance, second.net_collateral * first.maintenance
    for riskier, safer in (
        (crossed[1], crossed[0]),
        (first.maintenance, second.maintenance),
        (second.net_collateral, first.net_collateral),
    ):
        if riskier != safer:
            return 1 if riskier > safer else -1
    return 0


class Transition(StrEnum):
    """Whether an update of an account is allowed."""

    SUCCESS = "success"
    STILL_UNDERCOLLATERALIZED = "still_undercollateralized"
    NEWLY_UNDERCOLLATERALIZED = "newly_undercollateralized"


def transition(before: Risk, after: Risk) -> Transition:
    """Whether an account may go from `before` to `after`: who is short of initial may only reduce risk.

    That is: maintenance does not rise, and net collateral over maintenance does not fall. Without a position before and
    after, net collateral must rise.
    """
    if after.net_collateral >= after.initial:
        return Transition.SUCCESS
    if before.net_collateral >= before.initial:
        return Transition.NEWLY_UNDERCOLLATERALIZED
    if after.maintenance > before.maintenance:
        return Transition.STILL_UNDERCOLLATERALIZED
    if before.maintenance == after.maintenance == 0:
        better = after.net_collateral > before.net_collateral
    else:
        better = after.net_collateral * before.maintenance >= before.net_collateral * after.maintenance
    return Transition.SUCCESS if better else Transition.STILL_UNDERCOLLATERALIZED
