"""Unit P&L under scenarios of risk factors: every contract fully revalued in every scenario.

Which factor moves an instrument is looked up by name, the most specific first: its own price (`price:BTC-27MAR26`), the
forward of its expiry (`forward:BTC-27MAR26`), the price of its underlying (`price:BTC`). An option's volatility has the
factors `vol`, `skew` and `term` of its underlying.

The decision a reader would question: no time passes. What an option loses by growing older over the horizon is known
today and no risk; margin that lets it pass would pay the holder of short options for waiting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.basics.times import DAYS_PER_YEAR
from crossmargin.history.factors import Change, Factor
from crossmargin.instruments.table import InstrumentTable, Kind
from crossmargin.revaluation.inputs import PricingInputs, undiscounted_value
from crossmargin.revaluation.unit_pnl import UnitPnl
from crossmargin.scenarios.grid import VOL_TENOR_DAYS

LEAST_VOL = 1e-4
"""Volatilities do not fall below this, whatever a scenario takes off them."""
_OPTIONS_AT_ONCE = 256
"""Options that are revalued together: with 1,000 scenarios each array of theirs takes 2 MB."""
OPTION_KINDS = ("vol", "skew", "term")
"""Kinds of factors that move nothing but options."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FactorMap:
    """Which factor moves what of each instrument; arrays of shape `(n_instruments,)`, -1 where there is none.

    Parameters
    ----------
    factors : tuple of Factor
        All that there are, in the order of scenarios.
    price, basis, vol, skew, term, rate, fx : ndarray
        Index into `factors`: of the price; of the yield that a future has over it, or the premium of a perpetual; of
        the volatility; of the rate that discounts; of the dollar price of the quote currency.
    """

    factors: tuple[Factor, ...]
    price: IntArray
    basis: IntArray
    vol: IntArray
    skew: IntArray
    term: IntArray
    rate: IntArray
    fx: IntArray

    def used(self) -> IntArray:
        """Factors that move something, in order."""
        columns = (self.price, self.basis, self.vol, self.skew, self.term, self.rate, self.fx)
        found = np.unique(np.concatenate(columns)) if len(self.price) else np.zeros(0, dtype=np.int64)
        return found[found >= 0]

    def of_factor(self, factor: int) -> IntArray:
        """Instruments that a factor moves."""
        columns = (self.price, self.basis, self.vol, self.skew, self.term, self.rate, self.fx)
        return np.flatnonzero(np.any([column == factor for column in columns], axis=0))


def factor_map(
    instruments: InstrumentTable, factors: tuple[Factor, ...], vol_stays: bool = False
) -> tuple[FactorMap, list[Problem]]:
    """The factors of each instrument, and a problem for each instrument that has none for its price or volatility.

    Parameters
    ----------
    vol_stays : bool
        Whether an option may do without a factor of its volatility.
    """
    place = {factor.name: k for k, factor in enumerate(factors)}
    n = len(instruments)
    columns = {name: np.full(n, -1, dtype=np.int64) for name in ("price", "basis", "vol", "skew", "term", "rate", "fx")}
    problems: list[Problem] = []
    without: dict[str, list[str]] = {}
    for k, terms in enumerate(instruments.instruments):
        underlying, kind = terms.underlying, instruments.kind[k]
        expiry = getattr(terms, "expiry", None)
        names = [f"price:{terms.name}"]
        if expiry is not None:
            names.append(f"forward:{underlying}-{expiry.strftime('%d%b%y').upper().lstrip('0')}")
        names.append(f"price:{underlying}")
        own = next((name for name in names if name in place), "")
        if own:
            columns["price"][k] = place[own]
        else:
            without.setdefault(names[-1], []).append(terms.name)
        if own == names[-1]:
            of_kind = {Kind.FUTURE: "basis", Kind.OPTION: "basis", Kind.PERPETUAL: "funding"}.get(kind)
            columns["basis"][k] = place.get(f"{of_kind}:{underlying}", -1)
        if kind == Kind.OPTION:
            for of_option in OPTION_KINDS:
                columns[of_option][k] = place.get(f"{of_option}:{underlying}", -1)
            if columns["vol"][k] < 0 and not vol_stays:
                without.setdefault(f"vol:{underlying}", []).append(terms.name)
            columns["rate"][k] = place.get(f"rate:{terms.quote_currency}", -1)
        columns["fx"][k] = place.get(f"fx:{terms.quote_currency}", -1)
    for name, held in without.items():
        what = "implied volatility" if name.startswith("vol:") else "price"
        problems.append(
            Problem(
                found=f"no history of '{name}', which the {what} of {_some(held)} needs",
                needed=f"Add '{name}' to the history, or name a proxy for it in the parameters."
                if what == "price"
                else f"Add '{name}' to the history, or state what stands in: --option vol_without_history=charge.",
                instruments=tuple(held),
            )
        )
    return FactorMap(factors=factors, **{name: read_only(column) for name, column in columns.items()}), problems


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def require_positive(inputs: PricingInputs, mapped: FactorMap) -> list[Problem]:
    """Problems of instruments whose price is not positive while their factor changes relatively."""
    relative = np.array([factor.change is Change.RELATIVE for factor in mapped.factors] + [False], dtype=np.bool_)
    wrong = np.flatnonzero(relative[mapped.price] & ~(inputs.forward > 0))
    return [
        Problem(
            found=f"price {inputs.forward[k]:g} of '{inputs.instruments.names[k]}', whose factor "
            f"'{mapped.factors[int(mapped.price[k])].name}' changes relatively",
            needed="Let the factor change absolutely.",
            instrument=inputs.instruments.names[k],
            kind=UnsupportedError,
        )
        for k in wrong.tolist()
    ]


def factor_unit_pnl(inputs: PricingInputs, mapped: FactorMap, shifts: FloatArray) -> UnitPnl:
    """What one long contract gains in each scenario, in the market's currency.

    Parameters
    ----------
    inputs : PricingInputs
        What is held.
    mapped : FactorMap
        Its factors.
    shifts : ndarray of shape (n_scenarios, n_factors)
        Changes, known for every factor that moves something.

    Returns
    -------
    UnitPnl
        `(n_instruments, n_scenarios)`.
    """
    table = inputs.instruments
    values = np.zeros((len(table), len(shifts)))
    options = np.flatnonzero(inputs.is_option)
    for rows in (
        np.flatnonzero(~inputs.is_option),
        *(options[k : k + _OPTIONS_AT_ONCE] for k in range(0, len(options), _OPTIONS_AT_ONCE)),
    ):
        if len(rows):
            values[rows] = _gains(inputs, mapped, shifts, rows)
    return UnitPnl(values=read_only(values), currency="USD")


def _shift_of(shifts: FloatArray, factor: IntArray) -> FloatArray:
    """Change of a factor each, `(n, n_scenarios)`; 0 where there is none."""
    column = np.where(factor < 0, shifts.shape[1], factor)
    return np.asarray(np.concatenate((shifts, np.zeros((len(shifts), 1))), axis=1).T[column])


def _moved(level: FloatArray, factor: IntArray, mapped: FactorMap, shifts: FloatArray) -> FloatArray:
    """`level` of shape `(n,)` after the change of its factor, `(n, n_scenarios)`."""
    relative = np.array([one.change is Change.RELATIVE for one in mapped.factors] + [True], dtype=np.bool_)
    change = _shift_of(shifts, factor)
    is_relative = relative[factor][:, None]
    return np.where(is_relative, level[:, None] * np.exp(np.where(is_relative, change, 0.0)), level[:, None] + change)


def _gains(inputs: PricingInputs, mapped: FactorMap, shifts: FloatArray, rows: IntArray) -> FloatArray:
    """Gain of one contract of each of `rows`, `(n, n_scenarios)`, dollars."""
    table = inputs.instruments
    forward, index, years = inputs.forward[rows], inputs.index[rows], inputs.expiry_years[rows]
    kind, inverse, multiplier = table.kind[rows], table.is_inverse[rows][:, None], table.multiplier[rows][:, None]
    price = mapped.price[rows]
    # A yield acts over the time to expiry, a premium at once.
    tenor = np.where(np.isfinite(years) & (kind != Kind.PERPETUAL), years, 1.0)[:, None]
    carry = _shift_of(shifts, mapped.basis[rows]) * tenor
    forward_then = _moved(forward, price, mapped, shifts) + forward[:, None] * np.expm1(carry)
    index_then = _moved(index, price, mapped, shifts)
    usd = inputs.quote_usd[rows]
    usd_then = _moved(usd, mapped.fx[rows], mapped, shifts)
    usd = usd[:, None]
    if kind[0] != Kind.OPTION:
        with np.errstate(divide="ignore", invalid="ignore"):
            coin = multiplier * (1 / forward[:, None] - 1 / forward_then)
        linear = multiplier * (forward_then - forward[:, None]) * usd_then
        spot = multiplier * (forward_then * usd_then - forward[:, None] * usd)
        return np.where(inverse, coin * index_then * usd_then, np.where((kind == Kind.SPOT)[:, None], spot, linear))
    strike, is_call, normal = table.strike[rows], table.is_call[rows], inputs.vol_normal[rows]
    discount, vol = inputs.discount[rows], inputs.vol[rows]
    now = discount * undiscounted_value(forward, strike, vol * np.sqrt(years), is_call, normal)
    vol_then = _vol_then(mapped, shifts, rows, forward, strike, vol, years, normal)
    discount_then = discount[:, None] * np.exp(-_shift_of(shifts, mapped.rate[rows]) * years[:, None])
    then = discount_then * _value(forward_then, strike, vol_then * np.sqrt(years)[:, None], is_call, normal)
    # An inverse option's value is coin: of the quote currency's value over the forward.
    forward_then = np.where(inverse, forward_then, 1.0)
    in_coin = then / forward_then * index_then * usd_then - (now / forward * index)[:, None] * usd
    return multiplier * np.where(inverse, in_coin, then * usd_then - now[:, None] * usd)


def _vol_then(
    mapped: FactorMap,
    shifts: FloatArray,
    rows: IntArray,
    forward: FloatArray,
    strike: FloatArray,
    vol: FloatArray,
    years: FloatArray,
    normal: np.ndarray,
) -> FloatArray:
    moved = _moved(vol, mapped.vol[rows], mapped, shifts)
    with np.errstate(divide="ignore", invalid="ignore"):
        moneyness = np.where(normal, 0.0, np.log(strike / forward) / np.sqrt(years))
    tenor = np.sqrt(VOL_TENOR_DAYS / (years * DAYS_PER_YEAR)) - 1
    scale = np.where(normal, np.abs(forward), 1.0)
    # A Bachelier volatility is in price units: skew and term are fractions of the price a year.
    tilt = moneyness[:, None] * _shift_of(shifts, mapped.skew[rows])
    tilt = (tilt + tenor[:, None] * _shift_of(shifts, mapped.term[rows])) * scale[:, None]
    return np.maximum(moved + tilt, LEAST_VOL * scale[:, None])


def _value(
    forward: FloatArray, strike: FloatArray, total_vol: FloatArray, is_call: np.ndarray, normal: np.ndarray
) -> FloatArray:
    """Forward value of options in each scenario; intrinsic where a price falls below 0 that Black-76 cannot take."""
    black_at_zero = (forward <= 0) & ~normal[:, None]
    strike, is_call = strike[:, None], is_call[:, None]
    value = undiscounted_value(np.where(black_at_zero, 1.0, forward), strike, total_vol, is_call, normal[:, None])
    if black_at_zero.any():
        intrinsic = np.maximum(np.where(is_call, forward - strike, strike - forward), 0.0)
        value = np.where(black_at_zero, intrinsic, value)
    return value


def known_shifts(
    shifts: FloatArray, factors: Sequence[Factor], proxies: Mapping[str, tuple[str, float]]
) -> tuple[FloatArray, dict[int, tuple[str, float, int]]]:
    """Shifts with what a proxy says where a factor is unknown.

    Parameters
    ----------
    shifts : ndarray of shape (n_scenarios, n_factors)
        NaN where unknown.
    proxies : mapping of str to (str, float)
        By factor: which other, and how much of its change.

    Returns
    -------
    shifts : ndarray of shape (n_scenarios, n_factors)
        Still NaN where the proxy is unknown too.
    filled : dict of int to (str, float, int)
        By factor: proxy, multiple, and scenarios in which it stands in.
    """
    place = {factor.name: k for k, factor in enumerate(factors)}
    filled: dict[int, tuple[str, float, int]] = {}
    known = shifts.copy()
    for name, (other, beta) in proxies.items():
        if why_no_proxy(name, other, factors):
            continue
        k = place[name]
        missing = np.isnan(known[:, k])
        if missing.any():
            known[missing, k] = beta * shifts[missing, place[other]]
            filled[k] = (other, beta, int(missing.sum()))
    return known, filled


def why_no_proxy(name: str, other: str, factors: Sequence[Factor]) -> str:
    """What keeps `other` from standing in for `name`; empty if nothing does.

    Of two factors of one kind, a multiple of a difference in price is no logarithm of a ratio. Of two kinds (a price by
    a rate) the multiple says how much the one is of the other.
    """
    by_name = {factor.name: factor for factor in factors}
    if other not in by_name or name not in by_name:
        return f"its proxy '{other}' has no history"
    own, stands_in = by_name[name], by_name[other]
    if own.kind == stands_in.kind and own.change is not stands_in.change:
        return f"its proxy '{other}' has {stands_in.change} changes, and it {own.change} ones"
    return ""
