"""Drift v2: weights that depend on size, worst case over resting orders, and what each position brings to health.

Weights are whole numbers of 1e-4 with floor divisions, as the program computes them; values are floats. Per market
there is no netting: a position brings collateral, or a requirement. The decision a reader would question: of resting
orders the side counts that leaves less free collateral, each taken as filled at the oracle price.

References: drift-v2 (see docs/sources.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

WEIGHT_STEPS = 10_000
"""Weights and margin ratios are multiples of 1e-4."""
_IMF_STEPS = 1_000_000
_SIZE_STEPS = 10**9
_ROOT_STEPS = 100_000
"""Square root of ten times a size in 1e-9: 1e5 for a size of 1."""


def size_root(size: float) -> int:
    """Square root of a size in whole units, in steps of 1e-5, rounded down."""
    return math.isqrt(10 * round(abs(size) * _SIZE_STEPS) + 1)


def size_premium_liability_weight(weight: float, imf_factor: float, size: float) -> float:
    """Weight of a liability, or margin ratio of a perpetual: at least `0.8 w + imf sqrt(size)`.

    Parameters
    ----------
    weight : float
        Stated weight.
    imf_factor : float
        How fast it grows with size; 0: never.
    size : float
        Whole units of base.
    """
    if imf_factor == 0:
        return weight
    own = round(weight * WEIGHT_STEPS)
    denominator = _ROOT_STEPS * _IMF_STEPS // WEIGHT_STEPS
    premium = own - own // 5 + size_root(size) * round(imf_factor * _IMF_STEPS) // denominator
    return max(own, premium) / WEIGHT_STEPS


def size_discount_asset_weight(weight: float, imf_factor: float, size: float) -> float:
    """Weight of an asset: at most `1.1 / (1 + imf sqrt(size))`; arguments as `size_premium_liability_weight`."""
    if imf_factor == 0:
        return weight
    grown = _IMF_STEPS + size_root(size) * round(imf_factor * _IMF_STEPS) // _ROOT_STEPS
    discount = (_IMF_STEPS + _IMF_STEPS // 10) * WEIGHT_STEPS // grown
    return min(round(weight * WEIGHT_STEPS), discount) / WEIGHT_STEPS


def scaled_initial_asset_weight(weight: float, scale_start: float, deposits_value: float) -> float:
    """Initial weight of an asset of which more is deposited in all than `scale_start` dollars; 0: never scaled."""
    if scale_start == 0 or deposits_value <= scale_start:
        return weight
    return weight * scale_start / deposits_value


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Oracle price and five-minute average; `strict` takes the worse of the two, which initial margin does."""

    oracle: float
    average: float

    def asset(self, strict: bool) -> float:
        """Of what is owned."""
        return min(self.oracle, self.average) if strict else self.oracle

    def liability(self, strict: bool) -> float:
        """Of what is owed."""
        return max(self.oracle, self.average) if strict else self.oracle


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotWeights:
    """Weights of an asset at one level, before size."""

    asset: float
    liability: float
    imf_factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """What a position brings: weighted collateral, and a requirement; dollars, both at least 0."""

    collateral: float
    requirement: float

    @property
    def free(self) -> float:
        """Free collateral that it leaves, negative where it takes some."""
        return self.collateral - self.requirement


def weighted_value(
    amount: float, prices: Prices, weights: SpotWeights, strict: bool, custom_ratio: float = 0.0
) -> float:
    """Value of a spot balance at its weight: positive counts as collateral, negative is required.

    Parameters
    ----------
    custom_ratio : float
        Margin ratio that the account asks of itself; only initial margin looks at it.
    """
    if amount >= 0:
        weight = size_discount_asset_weight(weights.asset, weights.imf_factor, amount)
        return amount * prices.asset(strict) * min(weight, max(0.0, 1 - custom_ratio))
    weight = size_premium_liability_weight(weights.liability, weights.imf_factor, amount)
    return amount * prices.liability(strict) * max(weight, 1 + custom_ratio)


def spot_health(
    amount: float,
    buys: float,
    sells: float,
    prices: Prices,
    weights: SpotWeights,
    *,
    strict: bool = False,
    order_charge: float = 0.0,
    custom_ratio: float = 0.0,
) -> Health:
    """Health of a spot balance with resting orders: the side, filled in full at the oracle, that leaves less.

    What is paid for a buy is required, what is received for a sale is collateral; `order_charge` is required as soon as
    anything rests.
    """
    worst: Health | None = None
    for filled in (buys, -sells) if buys or sells else (0.0,):
        token = weighted_value(amount + filled, prices, weights, strict, custom_ratio)
        # A purchase is paid at the dearer price, a sale at the cheaper.
        paid = -filled * (prices.liability(strict) if filled > 0 else prices.asset(strict))
        one = Health(collateral=max(0.0, token) + max(0.0, paid), requirement=max(0.0, -token) + max(0.0, -paid))
        if worst is None or one.free < worst.free:
            worst = one
    assert worst is not None
    charge = order_charge if buys or sells else 0.0
    return Health(collateral=worst.collateral, requirement=worst.requirement + charge)


def perpetual_health(
    base: float,
    buys: float,
    sells: float,
    unrealised: float,
    price: float,
    *,
    ratio: float,
    imf_factor: float,
    unrealised_weight: float,
    order_charge: float = 0.0,
    custom_ratio: float = 0.0,
    most_price: float | None = None,
) -> Health:
    """Health of a perpetual with resting orders.

    Parameters
    ----------
    base : float
        Position, whole units.
    unrealised : float
        Profit that is not settled, dollars; a loss counts whole.
    ratio : float
        Margin ratio of the level, before size.
    most_price : float, optional
        Of a prediction market, the price at which it settles at most: what is short can lose the rest up to it.
    """
    size = max(abs(base + buys), abs(base - sells))
    is_short = abs(base - sells) > abs(base + buys) or (base < 0 and not (buys or sells))
    liability = size * (most_price - price if most_price is not None and is_short else price)
    grown = max(size_premium_liability_weight(ratio, imf_factor, size), custom_ratio)
    charge = order_charge if buys or sells else 0.0
    gain = unrealised * unrealised_weight if unrealised > 0 else 0.0
    return Health(collateral=gain, requirement=liability * grown + charge + max(0.0, -unrealised))
