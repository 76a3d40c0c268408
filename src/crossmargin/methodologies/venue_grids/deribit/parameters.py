"""Parameters of Deribit's portfolio margin, under the names that its own API gives them.

`general`, `currency` and `currency_pair` are what `private/pme/simulate` answers as `model_params`: an answer can be
pasted. `rules` holds what the API does not state. The decision a reader would question: a linear contract takes the
figures of its currency under `usd`, and those of its pair under `btc_usd`, unless its own (`usdc`, `btc_usdc`) are
given; Deribit has settled the USDC contracts on the dollar index since July 2025.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import raise_problems
from crossmargin.methodologies.parameter_files import (
    ParameterReader,
    document_of,
    info_of,
    name_of,
    overrides_of,
    shown,
)
from crossmargin.methodologies.protocol import ParametersInfo
from crossmargin.scenarios.grid import GridRanges, GridShape

FAMILY = "deribit-pm"
DEFAULT = "deribit-pm-2026"
PACKAGE = "crossmargin.methodologies.venue_grids.deribit"
OVERRIDES = ("cross", "roll_form")
"""Rules that can be given by keyword."""


class RollForm(StrEnum):
    """How the basis of an expiry moves with its time: `a * T`, or `exp(a * T) - 1`."""

    LINEAR = "linear"
    EXP = "exp"


class EquitySide(StrEnum):
    """Whether a balance takes part in the dollar matrix of `cross`."""

    BOTH = "both"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrencyParameters:
    """What one currency has; names as in Deribit's API.

    Parameters
    ----------
    min_annualised_move, annualised_move_risk : float
        Roll shock: the least relative move of an expiry's basis, and its move in a year.
    pnl_offset : float
        Part of a gain that counts, 0 to 1.
    max_offsetable_pnl : float
        Most that a gain counts, dollars.
    extended_dampener : float
        What comes off the size of extended P&L, dollars, for each price range that the move lies outside.
    correlation_set : bool
        Under `cross`: whether the underlying shares its scenario with the others of the set.
    equity_side_impact : EquitySide
        Under `cross`: whether balances take part.
    haircut : float
        Under `cross`: part of a balance's value that does not count, initial level.
    """

    min_annualised_move: float
    annualised_move_risk: float
    pnl_offset: float
    max_offsetable_pnl: float
    extended_dampener: float
    correlation_set: bool
    equity_side_impact: EquitySide
    haircut: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairParameters:
    """What one currency pair has; names as in Deribit's API, decimals.

    Parameters
    ----------
    price_range : float
        Largest move of the core matrix, relative.
    extended_table_factor : float
        Part of the extended P&L that would count at a move equal to the range.
    volatility_range_up, volatility_range_down : float
        Relative volatility shift at 30 days.
    short_term_vega_power, long_term_vega_power : float
        Power of `30 / days` up to and beyond 30 days.
    min_volatility_for_shock_up : float
        Volatility up is at least this.
    m_inc : float
        Delta shock: relative move for one coin above the threshold.
    delta_total_liq_shock_threshold : float
        Delta shock: dollars of delta that cost nothing.
    max_delta_shock : float
        Delta shock: the largest relative move.
    """

    price_range: float
    extended_table_factor: float
    volatility_range_up: float
    volatility_range_down: float
    short_term_vega_power: float
    long_term_vega_power: float
    min_volatility_for_shock_up: float
    m_inc: float
    delta_total_liq_shock_threshold: float
    max_delta_shock: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeribitParameters:
    """A whole parameter set.

    Parameters
    ----------
    mm_factor : float
        Maintenance over initial risk matrix margin.
    buckets_count : int
        Price steps on each side.
    extended_moves : tuple of float
        Relative price moves of the extended table.
    roll_form : RollForm
        How roll shock grows with time.
    cross : bool
        X:PM, one dollar matrix of each underlying; otherwise S:PM, each currency pair by itself.
    vega_days_floor : float
        Expiries shorter than this many days shift volatility as this many do.
    settlement_window_minutes : float
        Last minutes of a contract, over which its exposure falls to 0.
    correlation_contingency : float
        Dollars for an account that holds anything; its formula is not public.
    currency, currency_pair : mapping of str
        By Deribit's names, lower case: `eth`, `eth_usd`.
    """

    info: ParametersInfo
    mm_factor: float
    buckets_count: int
    extended_moves: tuple[float, ...]
    roll_form: RollForm
    cross: bool
    vega_days_floor: float
    settlement_window_minutes: float
    correlation_contingency: float
    currency: Mapping[str, CurrencyParameters]
    currency_pair: Mapping[str, PairParameters]

    def of_currency(self, name: str) -> CurrencyParameters | None:
        """Figures of a settlement currency: its own, else those of dollars; `None` for a coin without any."""
        return self.currency.get(name.lower(), self.currency.get("usd") if name in DOLLARS else None)

    def of_pair(self, underlying: str, quote: str) -> PairParameters | None:
        """Figures of a pair: its own, else those against dollars."""
        own = self.currency_pair.get(f"{underlying}_{quote}".lower())
        return own or self.currency_pair.get(f"{underlying}_usd".lower())

    @property
    def coins(self) -> frozenset[str]:
        """Currencies with figures of their own but dollars, upper case."""
        return frozenset(name.upper() for name in self.currency) - {*DOLLARS}

    @property
    def correlation_set(self) -> tuple[str, ...]:
        """Coins that share scenarios under `cross`, sorted."""
        return tuple(sorted(coin for coin in self.coins if self.currency[coin.lower()].correlation_set))

    def shape(self, pair: PairParameters) -> GridShape:
        """The scenarios as the shared grid knows them."""
        return GridShape(
            price_steps=self.buckets_count,
            extended_moves=self.extended_moves,
            extended_factor=pair.extended_table_factor,
        )

    def ranges(self, pair: PairParameters) -> GridRanges:
        """How far each scenario of a pair goes, as the shared grid knows it."""
        return GridRanges(
            price_range=pair.price_range,
            vol_range_up=pair.volatility_range_up,
            vol_range_down=pair.volatility_range_down,
            vol_power_short=pair.short_term_vega_power,
            vol_power_long=pair.long_term_vega_power,
            vol_floor_up=pair.min_volatility_for_shock_up,
            vol_days_floor=self.vega_days_floor,
            extended_low=min(self.extended_moves, default=0.0),
            extended_high=max(self.extended_moves, default=0.0),
        )


DOLLARS = ("USD", "USDC", "USDT")
"""Currencies that have the figures of `usd` where they have none of their own."""


def load_parameters(source: str | Path | Mapping[str, Any] | None, **overrides: Any) -> DeribitParameters:
    """Read a parameter set: by the name of one that ships, from a JSON file, or from a document.

    Parameters
    ----------
    source : str, Path, mapping or None
        `None` is `deribit-pm-2026`.
    overrides
        `cross`, `roll_form`: replace the document's; the digest covers them.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    document = document_of(source, PACKAGE, DEFAULT)
    given = overrides_of(overrides, OVERRIDES)
    if given:
        rules = document.get("rules")
        own = {name: _flag(value) if name == "cross" else value for name, value in given.items()}
        document = document | {"rules": {**(rules if isinstance(rules, Mapping) else {}), **own}}
    return _parse(document)


def _flag(value: Any) -> Any:
    """`true` and `false` as a command line gives them."""
    return {"true": True, "false": False}.get(value, value) if isinstance(value, str) else value


_GENERAL = ("mm_factor", "buckets_count", "vol_scenarios_count", "timestamp")
_RULES = {
    "vega_days_floor": (1e-6, 30.0),
    "settlement_window_minutes": (0.0, 24 * 60.0),
    "correlation_contingency": (0.0, 1e18),
}
_CURRENCY = {
    "min_annualised_move": (0.0, 1.0),
    "annualised_move_risk": (0.0, 10.0),
    "pnl_offset": (0.0, 1.0),
    "max_offsetable_pnl": (0.0, 1e18),
    "extended_dampener": (0.0, 1e18),
    "haircut": (0.0, 1.0),
}
_PAIR = {
    "price_range": (1e-6, 0.999),
    "extended_table_factor": (0.0, 100.0),
    "volatility_range_up": (0.0, 100.0),
    "volatility_range_down": (0.0, 1.0),
    "short_term_vega_power": (0.0, 5.0),
    "long_term_vega_power": (0.0, 5.0),
    "min_volatility_for_shock_up": (0.0, 100.0),
    "m_inc": (0.0, 1.0),
    "delta_total_liq_shock_threshold": (0.0, 1e18),
    "max_delta_shock": (0.0, 1.0),
}
_TOP = ("general", "currency", "currency_pair", "rules")


def _parse(document: dict[str, Any]) -> DeribitParameters:
    name = name_of(document)
    read = ParameterReader(name)
    read.header(document, FAMILY, _TOP)
    general = read.section(document, "general", _GENERAL)
    buckets = read.number(general, "buckets_count", "general", 1, 1000)
    if buckets != int(buckets):
        read.wrong("general.buckets_count", f"is {buckets:g}", "A whole number.")
    if read.number(general, "vol_scenarios_count", "general", 1, 1000) != 3:
        read.wrong(
            "general.vol_scenarios_count", f"is {shown(general.get('vol_scenarios_count'))}", "3: down, same and up."
        )
    mm_factor = read.number(general, "mm_factor", "general", 0.0, 1.0)
    rules = _rules(read, document)
    currency = {key: _currency(read, section, key) for key, section in _by_name(read, document, "currency")}
    pair = {key: _pair(read, section, key) for key, section in _by_name(read, document, "currency_pair")}
    for key, own in pair.items():
        near = [move for move in rules["extended_moves"] if own.extended_table_factor * own.price_range > abs(move)]
        if near:
            read.wrong(
                "rules.extended_moves",
                f"{near[0]:g} of {key} would count more than whole: it is inside the range",
                f"Moves of at least {own.extended_table_factor * own.price_range:g}.",
            )
    raise_problems(read.problems)
    return DeribitParameters(
        info=info_of(document),
        mm_factor=mm_factor,
        buckets_count=int(buckets),
        currency=currency,
        currency_pair=pair,
        **rules,
    )


def _rules(read: ParameterReader, document: dict[str, Any]) -> dict[str, Any]:
    section = read.section(document, "rules", ("extended_moves", "roll_form", "cross", *_RULES))
    moves = section.get("extended_moves")
    if not isinstance(moves, list) or len(moves) > 1000:
        read.wrong("rules.extended_moves", f"is {shown(moves)}", "A list of at most 1,000 relative moves.")
        moves = []
    extended = tuple(
        read.number({str(k): move}, str(k), "rules.extended_moves", -0.999, 1000.0) for k, move in enumerate(moves)
    )
    if 0.0 in extended:
        read.wrong("rules.extended_moves", "holds 0", "An extended move is damped by its size.")
    form, cross = section.get("roll_form"), section.get("cross")
    if form not in list(RollForm):
        read.wrong("rules.roll_form", f"is {shown(form)}", f"One of {', '.join(RollForm)}.")
        form = RollForm.LINEAR
    if not isinstance(cross, bool):
        read.wrong("rules.cross", f"is {shown(cross)}", "true (X:PM) or false (S:PM).")
    return {
        "extended_moves": extended,
        "roll_form": RollForm(form),
        "cross": cross is True,
        **{key: read.number(section, key, "rules", *limits) for key, limits in _RULES.items()},
    }


def _by_name(read: ParameterReader, document: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
    stated = document.get(key)
    if not isinstance(stated, Mapping) or not stated:
        read.wrong(key, "is missing, empty or no object", "One entry for each, by Deribit's lower-case name.")
        return []
    wanted = CurrencyParameters if key == "currency" else PairParameters
    names = tuple(own.name for own in fields(wanted))
    found = []
    for name in sorted(map(str, stated)):
        if name != name.lower():
            read.wrong(f"{key}.{name}", "is not in lower case", "Names are Deribit's own: 'eth', 'eth_usd'.")
        found.append((name, read.section(stated, name, names, f"{key}.")))
    return found


def _currency(read: ParameterReader, section: dict[str, Any], name: str) -> CurrencyParameters:
    where = f"currency.{name}"
    shared, side = section.get("correlation_set"), section.get("equity_side_impact")
    if not isinstance(shared, bool):
        read.wrong(f"{where}.correlation_set", f"is {shown(shared)}", "true or false.")
    if side not in list(EquitySide):
        read.wrong(
            f"{where}.equity_side_impact",
            f"is {shown(side)}",
            f"{' or '.join(EquitySide)}: no other value has been seen, so what it does is not known.",
        )
        side = EquitySide.NONE
    return CurrencyParameters(
        correlation_set=shared is True,
        equity_side_impact=EquitySide(side),
        **{key: read.number(section, key, where, *limits) for key, limits in _CURRENCY.items()},
    )


def _pair(read: ParameterReader, section: dict[str, Any], name: str) -> PairParameters:
    return PairParameters(
        **{key: read.number(section, key, f"currency_pair.{name}", *limits) for key, limits in _PAIR.items()}
    )
