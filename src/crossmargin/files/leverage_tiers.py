"""Leverage tiers in the unified structure of ccxt: `{symbol: [{tier, minNotional, maxNotional, ...}]}`.

A venue that margins position by position asks for a fraction of the notional that grows with it, in steps. The
structure is checked for what makes it a schedule: the tiers of a symbol follow one another, the maintenance rate does
not fall and the leverage does not grow. What one might question: a notional at the border of two tiers is in the lower
one, and one between them, where a venue counts in whole units, in the upper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import FileFormatError, InputError, Problem, raise_problems
from crossmargin.basics.names import name_fault
from crossmargin.files.account_rows import Record
from crossmargin.files.cells import shown
from crossmargin.files.json_text import read_json

_MOST_TIERS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class LeverageTier:
    """One step of a schedule.

    Parameters
    ----------
    notional_min, notional_max : Decimal
        From where to where it reaches, in `currency`; the last may reach to infinity.
    maintenance_rate : Decimal
        Fraction of the notional that maintenance asks for.
    leverage_max : Decimal
        Notional over initial margin, at most.
    currency : str
        Of the notional; empty where it is not stated.
    """

    notional_min: Decimal
    notional_max: Decimal
    maintenance_rate: Decimal
    leverage_max: Decimal
    currency: str = ""

    @property
    def initial_rate(self) -> Decimal:
        """Fraction of the notional that initial margin asks for: one over the leverage."""
        return 1 / self.leverage_max


def read_leverage_tiers(source: Any) -> dict[str, tuple[LeverageTier, ...]]:
    """Leverage tiers by unified symbol.

    Parameters
    ----------
    source
        What ccxt's `fetch_leverage_tiers` gives, or a JSON file of it.

    Raises
    ------
    InputError
        With every tier and field that is wrong.
    """
    file = "leverage tiers"
    if isinstance(source, str | Path):
        path = Path(source)
        source, file = read_json(path, exact=True), path.name
    if not isinstance(source, Mapping) or not source:
        raise FileFormatError(
            Problem(
                found="are no leverage tiers: no object of symbols",
                needed="Give what fetch_leverage_tiers answers.",
                file=file,
                kind=FileFormatError,
            )
        )
    problems: list[Problem] = []
    found: dict[str, tuple[LeverageTier, ...]] = {}
    for symbol, tiers in source.items():
        if not isinstance(symbol, str) or not symbol.strip() or name_fault(symbol):
            problems.append(Problem(found=f"symbol {shown(repr(symbol))}", needed="Give a unified symbol.", file=file))
            continue
        place = f"{file}, {symbol}"
        if not isinstance(tiers, Sequence) or isinstance(tiers, str | bytes) or not 0 < len(tiers) <= _MOST_TIERS:
            needed = f"A list of 1 to {_MOST_TIERS} tiers."
            problems.append(Problem(found=f"its tiers are {shown(repr(tiers))}", needed=needed, file=place))
            continue
        before = len(problems)
        read = [_tier(tier, k, place, problems) for k, tier in enumerate(tiers, start=1)]
        schedule = tuple(tier for tier in read if tier is not None)
        if len(problems) == before:
            problems += _faults(schedule, place)
            found[symbol] = schedule
    raise_problems(problems)
    return found


def tier_of(tiers: Sequence[LeverageTier], notional: Decimal) -> LeverageTier:
    """The tier that a notional is in.

    Raises
    ------
    InputError
        If it is below 0 or above the last tier: no position of that size may be held.
    """
    for tier in tiers if tiers and notional >= tiers[0].notional_min else ():
        if notional <= tier.notional_max:
            return tier
    raise InputError(
        Problem(
            found=f"a notional of {notional} is in no tier",
            needed=f"From {tiers[0].notional_min} to {tiers[-1].notional_max}." if tiers else "There is no tier.",
        )
    )


def _tier(values: Any, row: int, file: str, problems: list[Problem]) -> LeverageTier | None:
    if not isinstance(values, Mapping):
        problems.append(Problem(found=f"is {shown(repr(values))}", needed="A tier is an object.", file=file, row=row))
        return None
    record = Record(values=values, file=file, row=row, account="", problems=problems)
    low = record.number("minNotional")
    high = record.number("maxNotional", optional=True)
    rate = record.number("maintenanceMarginRate")
    leverage = record.number("maxLeverage")
    if rate is not None and not 0 <= rate <= 1:
        record.wrong("maintenanceMarginRate", f"is {rate}", "A fraction from 0 to 1.")
    if leverage is not None and leverage < 1:
        record.wrong("maxLeverage", f"is {leverage}", "1 or more.")
    elif rate is not None and leverage is not None and rate * leverage > 1:
        record.wrong("maxLeverage", f"{leverage} asks for less than maintenance, {rate}", "Initial is no less.")
    currency = values.get("currency")
    if low is None or rate is None or leverage is None:
        return None
    return LeverageTier(
        notional_min=low,
        notional_max=Decimal("Infinity") if high is None else high,
        maintenance_rate=rate,
        leverage_max=leverage,
        currency=currency if isinstance(currency, str) and name_fault(currency) is None else "",
    )


def _faults(tiers: Sequence[LeverageTier], file: str) -> list[Problem]:
    """What keeps tiers from being one schedule."""
    faults = []
    for row, tier in enumerate(tiers, start=1):
        if tier.notional_max <= tier.notional_min or tier.notional_min < 0:
            faults.append((row, "maxNotional", f"from {tier.notional_min} to {tier.notional_max}"))
        if row == 1:
            continue
        before = tiers[row - 2]
        if tier.notional_min < before.notional_max:
            found = f"begins at {tier.notional_min}, where the one before has not ended ({before.notional_max})"
            faults.append((row, "minNotional", found))
        if tier.maintenance_rate < before.maintenance_rate:
            faults.append((row, "maintenanceMarginRate", f"{tier.maintenance_rate} is below the one before"))
        if tier.leverage_max > before.leverage_max:
            faults.append((row, "maxLeverage", f"{tier.leverage_max} is above the one before"))
    return [
        Problem(found=found, needed="Tiers follow one another, each stricter.", file=file, row=row, column=column)
        for row, column, found in faults
    ]
