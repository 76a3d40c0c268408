"""Parameters of OKX portfolio margin: what is sourced ships, what is not must be given.

The decision a reader would question: `null` is an answer here. A figure that no public source states is `null` in the
document, and whoever holds something that needs it is refused by the name of the parameter. No figure is invented, and
what needs none of them (futures and perpetuals of coins whose rates are known) is margined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np

from crossmargin.basics.arrays import FloatArray, read_only
from crossmargin.basics.errors import ParameterError, Problem, UnsupportedError, raise_problems
from crossmargin.methodologies.parameter_files import (
    ParameterReader,
    document_of,
    info_of,
    name_of,
    refuse_overrides,
    shipped_sets,
    shown,
)
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "okx-pm"
DEFAULT = "okx-pm-2025"
PACKAGE = "crossmargin.methodologies.venue_grids.okx"

STABLE = ("USDT", "USDC", "USD")
"""Currencies whose contracts hedge each other in one unit, and whose parity MR9 is about."""
PAIRS = (("USDT", "USD"), ("USDT", "USDC"), ("USDC", "USD"))
"""In which order MR9 matches long of one currency with short of another."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByCoin(Generic[T]):
    """A figure by coin; `others` is what every coin that is not named has, `None` where nobody states one."""

    named: Mapping[str, T]
    others: T | None = None

    def of(self, coin: str) -> T | None:
        """The figure of a coin; `None` if it is not known."""
        return self.named.get(coin, self.others)

    def __iter__(self) -> Iterator[T]:
        yield from self.named.values()
        if self.others is not None:
            yield self.others


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiers:
    """Marginal tiers: what lies between `starts[k]` and the next start is charged at `rates[k]`.

    Starts rise from 0, and rates never fall: a larger amount is never cheaper by the unit.
    """

    starts: tuple[float, ...]
    rates: tuple[float, ...]

    def rate_at(self, amount: float) -> float:
        """Rate of the tier that begins at or below `amount`."""
        return self.rates[sum(start <= amount for start in self.starts) - 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bracket:
    """The tiers that hold while the index of a stablecoin pair is at least `index_from`."""

    index_from: float
    tiers: Tiers


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """A figure by days to expiry: linear between the stated days, flat before and after."""

    days: tuple[float, ...]
    values: tuple[float, ...]

    def at(self, days: FloatArray) -> FloatArray:
        """Values at `days`, same shape."""
        return np.asarray(np.interp(days, self.days, self.values), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class BorrowRate:
    """Share of a debt's value that is asked for; `maintenance <= initial`."""

    maintenance: float
    initial: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OkxParameters:
    """A whole parameter set; `None` where a figure is not given.

    Parameters
    ----------
    initial_factor : float
        Initial over maintenance requirement of derivatives.
    time_step_days : float
        MR2: how much time passes.
    spot_moves : ByCoin of tuple of float
        MR1: relative price moves up; the same down, and none. Of every coin as many.
    extreme_move : ByCoin of float
        MR6: relative price move, up and down; `extreme_counted` of the loss is charged.
    basis_annualised, basis_floor : ByCoin of float
        MR4: relative move of an expiry's basis in a year, and the least such move.
    charge_rate, option_charge_rate : ByCoin of float
        MR7: charge for a dollar of a position, and for a dollar of the underlying in an option.
    charge_tiers : ByCoin of Tiers
        MR7: multipliers of the raw charge, marginal.
    vol_relative, vol_points : Curve or None
        MR1: volatility shift by days to expiry, relative and in points a year (0.3 is 30 points).
    vega_shift : Curve or None
        MR3: relative volatility shift of an expiry on its own.
    rate_shifts : mapping of str to Curve, or None
        MR5: shifts of the interest rate curve, decimals a year, by name of the component.
    ladders : mapping of str to tuple of Bracket, or None
        MR9: by pair (`USDT-USD`), highest index first.
    borrowing : mapping of str to BorrowRate
        MR8: by asset.
    """

    info: ParametersInfo
    initial_factor: float
    time_step_days: float
    spot_moves: ByCoin[tuple[float, ...]]
    extreme_move: ByCoin[float]
    extreme_counted: float
    basis_annualised: ByCoin[float]
    basis_floor: ByCoin[float]
    charge_rate: ByCoin[float]
    option_charge_rate: ByCoin[float]
    charge_tiers: ByCoin[Tiers]
    vol_relative: Curve | None
    vol_points: Curve | None
    vega_shift: Curve | None
    rate_shifts: Mapping[str, Curve] | None
    ladders: Mapping[str, tuple[Bracket, ...]] | None
    borrowing: Mapping[str, BorrowRate]

    @property
    def coins(self) -> frozenset[str]:
        """Every coin that is named somewhere."""
        tables = (self.spot_moves, self.extreme_move, self.basis_annualised, self.basis_floor, self.charge_rate)
        return frozenset(coin for table in tables for coin in table.named)

    def missing_of_coin(self, coin: str) -> tuple[str, ...]:
        """Parameters without which nothing of a coin can be margined."""
        asked: dict[str, object] = {
            f"spot_shock ({coin})": self.spot_moves.of(coin),
            f"extreme_move ({coin})": self.extreme_move.of(coin),
            f"basis annualised_move ({coin})": self.basis_annualised.of(coin),
            f"basis.floors.{coin}": self.basis_floor.of(coin),
            f"minimum_charge.rates.{coin}": self.charge_rate.of(coin),
            f"minimum_charge.tiers ({coin})": self.charge_tiers.of(coin),
        }
        return tuple(name for name, value in asked.items() if value is None)

    def missing_of_options(self, coin: str) -> tuple[str, ...]:
        """Parameters without which no option on a coin can be margined."""
        asked: dict[str, object] = {
            "volatility_shift": self.vol_relative,
            "vega_shift": self.vega_shift,
            "rate_shifts": self.rate_shifts,
            f"minimum_charge.option_rates.{coin}": self.option_charge_rate.of(coin),
        }
        return tuple(name for name, value in asked.items() if value is None)

    def not_given(self, names: tuple[str, ...], instruments: tuple[str, ...], what: str) -> Problem:
        """The refusal of `instruments`, which need parameters that are not in the set."""
        several = len(names) > 1
        ships = self.info.name in shipped_sets(PACKAGE)
        extends = f', with "extends": "{self.info.name}"' if ships else ""
        return Problem(
            found=f"{what}: parameter{'s' * several} {', '.join(names)} of '{self.info.name}' "
            f"{'are' if several else 'is'} not given, and no public source states {'them' if several else 'it'}",
            needed=f"Give {'them' if several else 'it'} in a parameter file of your own{extends}.",
            kind=UnsupportedError,
            instruments=instruments,
        )


def load_parameters(source: str | Path | Mapping[str, Any] | None, **overrides: Any) -> OkxParameters:
    """Read a parameter set: by the name of one that ships, from a JSON file, or from a document.

    A document with `extends` holds only what it adds to a set that ships, or changes in it.

    Parameters
    ----------
    source : str, Path, mapping or None
        `None` is `okx-pm-2025`.
    overrides
        There are none.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    refuse_overrides(overrides)
    return _parse(_extended(document_of(source, PACKAGE, DEFAULT)))


def _extended(document: dict[str, Any]) -> dict[str, Any]:
    """`document` on top of the shipped set that it extends."""
    if "extends" not in document:
        return document
    base = document["extends"]
    if not isinstance(base, str) or "/" in base:
        raise ParameterError(f"{name_of(document)}: extends is {shown(base)}; it is the name of a set that ships")
    own = {key: value for key, value in document.items() if key != "extends"}
    return _merged(_extended(document_of(base, PACKAGE, None)), own)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Objects are merged key by key, sources of both are kept, and of all else the own value holds."""
    merged = dict(base)
    for key, value in own.items():
        below = base.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            merged[key] = _merged(below, value)
        elif key == "sources" and isinstance(value, list) and isinstance(below, list):
            merged[key] = [*below, *value]
        else:
            merged[key] = value
    return merged


_FIELDS = (
    "currency",
    "initial_factor",
    "time_step_hours",
    "spot_shock",
    "extreme_move",
    "basis",
    "minimum_charge",
    "volatility_shift",
    "vega_shift",
    "rate_shifts",
    "stablecoin_ladders",
    "borrowing",
)


def _parse(document: dict[str, Any]) -> OkxParameters:
    name = name_of(document)
    read = _Reader(name)
    read.header(document, FAMILY, _FIELDS)
    if document.get("currency") != "USD":
        read.wrong("currency", f"is {shown(document.get('currency'))}", "OKX margins in USD.")
    extreme = read.section(document, "extreme_move", ("classes", "others", "counted"))
    basis = read.section(document, "basis", ("classes", "others", "floors"))
    charge = read.section(document, "minimum_charge", ("rates", "option_rates", "tiers"))
    spot_moves = read.by_class(
        read.section(document, "spot_shock", ("classes", "others")), "moves", "spot_shock", read.moves
    )
    if len({len(moves) for moves in spot_moves}) > 1:
        read.wrong("spot_shock", "coins have different numbers of moves", "As many for every coin: one table has all.")
    vol = read.optional_section(document, "volatility_shift", ("days", "relative", "points"))

    def one(low: float, high: float) -> Callable[[Mapping[str, Any], str, str], float]:
        return lambda section, key, where: read.number(section, key, where, low, high)

    parameters: dict[str, Any] = {
        "initial_factor": read.number(document, "initial_factor", name, 1.0, 100.0),
        "time_step_days": read.number(document, "time_step_hours", name, 0.0, 24 * 365.0) / 24,
        "spot_moves": spot_moves,
        "extreme_move": read.by_class(extreme, "move", "extreme_move", one(1e-6, 0.999)),
        "extreme_counted": read.number(extreme, "counted", "extreme_move", 0.0, 1.0),
        "basis_annualised": read.by_class(basis, "annualised_move", "basis", one(0.0, 10.0)),
        "basis_floor": read.by_name(basis, "floors", "basis", one(0.0, 1.0)),
        "charge_rate": read.by_name(charge, "rates", "minimum_charge", one(0.0, 1.0)),
        "option_charge_rate": read.by_name(charge, "option_rates", "minimum_charge", one(0.0, 1.0)),
        "charge_tiers": read.by_class(
            read.section(charge, "tiers", ("classes", "others"), "minimum_charge."),
            "tiers",
            "minimum_charge.tiers",
            lambda section, key, where: read.tiers(section, key, where, 1e6),
        ),
        "vol_relative": vol and read.curve(vol, "relative", "volatility_shift", 0.0, 10.0),
        "vol_points": vol and read.curve(vol, "points", "volatility_shift", 0.0, 10.0),
        "vega_shift": read.optional_curve(document, "vega_shift"),
        "rate_shifts": read.rate_shifts(document),
        "ladders": read.ladders(document),
        "borrowing": read.borrowing(document),
    }
    raise_problems(read.problems)
    return OkxParameters(info=info_of(document), **parameters)


class _Reader(ParameterReader):
    """What this family's documents hold beside plain numbers."""

    def listed(self, section: Mapping[str, Any], key: str, where: str) -> list[Any]:
        """A list of at most 1,000 entries; a problem and an empty one otherwise."""
        value = section.get(key)
        if not isinstance(value, list) or len(value) > 1000:
            self.wrong(f"{where}.{key}", f"is {shown(value)}", "A list of at most 1,000.")
            return []
        return value

    def numbers(self, section: Mapping[str, Any], key: str, where: str, low: float, high: float) -> tuple[float, ...]:
        """A list of numbers, not empty."""
        values = tuple(
            self.number({str(k): raw}, str(k), f"{where}.{key}", low, high)
            for k, raw in enumerate(self.listed(section, key, where))
        )
        if not values and isinstance(section.get(key), list):
            self.wrong(f"{where}.{key}", "is empty", "At least one number.")
        return values

    def rising(self, values: tuple[float, ...], where: str) -> None:
        """A problem unless every value is above the one before it."""
        if any(later <= earlier for earlier, later in pairwise(values)):
            self.wrong(where, "does not rise", "Each above the one before it.")

    def by_class(
        self,
        section: Mapping[str, Any],
        field: str,
        where: str,
        parse: Callable[[Mapping[str, Any], str, str], T],
    ) -> ByCoin[T]:
        """`classes` of coins that share a figure, and `others`, which may be null."""
        named: dict[str, T] = {}
        for k, own in enumerate(self.listed(section, "classes", where)):
            place = f"{where}.classes.{k}"
            one = self.section({place: own}, place, ("coins", field))
            value = parse(one, field, place)
            for coin in self.listed(one, "coins", place):
                if not isinstance(coin, str) or coin in named:
                    self.wrong(f"{place}.coins", f"has {shown(coin)}", "Coins by name, each in one class.")
                    continue
                named[coin] = value
        if section.get("others") is None:
            if "others" not in section:
                self.wrong(f"{where}.others", "is missing", "What all other coins have; null if nobody states it.")
            return ByCoin(named=named)
        others = self.section(section, "others", (field,), f"{where}.")
        return ByCoin(named=named, others=parse(others, field, f"{where}.others"))

    def by_name(
        self,
        section: Mapping[str, Any],
        key: str,
        where: str,
        parse: Callable[[Mapping[str, Any], str, str], T],
    ) -> ByCoin[T]:
        """An object by coin; null is "not known"."""
        stated = section.get(key)
        if not isinstance(stated, Mapping):
            self.wrong(f"{where}.{key}", f"is {shown(stated)}", "An object by coin; it may be empty.")
            return ByCoin(named={})
        return ByCoin(
            named={str(coin): parse(stated, coin, f"{where}.{key}") for coin in stated if stated[coin] is not None}
        )

    def moves(self, section: Mapping[str, Any], key: str, where: str) -> tuple[float, ...]:
        """Relative price moves up, rising."""
        values = self.numbers(section, key, where, 1e-6, 0.999)
        self.rising(values, f"{where}.{key}")
        return values

    def tiers(self, section: Mapping[str, Any], key: str, where: str, most: float) -> Tiers:
        """A list of [start, rate]."""
        starts, rates = [], []
        for k, row in enumerate(self.listed(section, key, where)):
            place = f"{where}.{key}.{k}"
            if not isinstance(row, list) or len(row) != 2:
                self.wrong(place, f"is {shown(row)}", "A pair: where the tier starts, and its rate.")
                continue
            starts.append(self.number({"start": row[0]}, "start", place, 0.0, 1e18))
            rates.append(self.number({"rate": row[1]}, "rate", place, 0.0, most))
        self.rising(tuple(starts), f"{where}.{key}")
        if starts[:1] != [0.0]:
            self.wrong(f"{where}.{key}", "does not start at 0", "The first tier starts at 0.")
            return Tiers(starts=(0.0,), rates=(0.0,))
        if any(later < earlier for earlier, later in pairwise(rates)):
            self.wrong(f"{where}.{key}", "has a rate that falls", "A larger amount is never cheaper by the unit.")
        return Tiers(starts=tuple(starts), rates=tuple(rates))

    def optional_section(self, document: Mapping[str, Any], key: str, fields: tuple[str, ...]) -> dict[str, Any] | None:
        """An object, or null where it is not known; the key must stand there."""
        if key not in document:
            self.wrong(key, "is missing", "Null if nobody states it.")
            return None
        return None if document[key] is None else self.section(document, key, fields)

    def curve(self, section: Mapping[str, Any], key: str, where: str, low: float, high: float) -> Curve:
        """Values at the section's `days`."""
        days = self.numbers(section, "days", where, 0.0, 100_000.0)
        values = self.numbers(section, key, where, low, high)
        self.rising(days, f"{where}.days")
        if len(days) != len(values):
            self.wrong(f"{where}.{key}", f"has {len(values)} values for {len(days)} days", "One for each of the days.")
            return Curve(days=(0.0,), values=(0.0,))
        return Curve(days=days, values=values)

    def optional_curve(self, document: Mapping[str, Any], key: str) -> Curve | None:
        """A relative shift by days to expiry, or null."""
        section = self.optional_section(document, key, ("days", "relative"))
        return None if section is None else self.curve(section, "relative", key, 0.0, 10.0)

    def rate_shifts(self, document: Mapping[str, Any]) -> Mapping[str, Curve] | None:
        """Components of the rate curve by name, or null."""
        if "rate_shifts" not in document:
            self.wrong("rate_shifts", "is missing", "Null if nobody states it.")
        stated = document.get("rate_shifts")
        if stated is None:
            return None
        if not isinstance(stated, Mapping) or not stated:
            self.wrong("rate_shifts", f"is {shown(stated)}", "An object: by component, days and shift.")
            return None
        return {
            str(name): self.curve(
                self.section(stated, str(name), ("days", "shift"), "rate_shifts."),
                "shift",
                f"rate_shifts.{name}",
                -10.0,
                10.0,
            )
            for name in stated
        }

    def ladders(self, document: Mapping[str, Any]) -> Mapping[str, tuple[Bracket, ...]] | None:
        """MR9: brackets by pair, or null."""
        pairs = tuple("-".join(pair) for pair in PAIRS)
        section = self.optional_section(document, "stablecoin_ladders", pairs)
        if section is None:
            return None
        return {pair: self._brackets(section, pair) for pair in pairs}

    def _brackets(self, section: Mapping[str, Any], pair: str) -> tuple[Bracket, ...]:
        where = f"stablecoin_ladders.{pair}"
        brackets = []
        for k, own in enumerate(self.listed(section, pair, "stablecoin_ladders")):
            place = f"{where}.{k}"
            one = self.section({place: own}, place, ("index_from", "tiers"))
            brackets.append(
                Bracket(
                    index_from=self.number(one, "index_from", place, 0.0, 1.0),
                    tiers=self.tiers(one, "tiers", place, 1.0),
                )
            )
        self.rising(tuple(-bracket.index_from for bracket in brackets), f"{where} (index_from, falling)")
        if not brackets or brackets[-1].index_from != 0:
            self.wrong(where, "does not end at an index of 0", "The last bracket has index_from 0.")
        for higher, lower in pairwise(brackets):
            starts = (*higher.tiers.starts, *lower.tiers.starts)
            if any(lower.tiers.rate_at(start) < higher.tiers.rate_at(start) for start in starts):
                self.wrong(where, "has a rate that falls with the index", "A coin further from its peg costs no less.")
        return tuple(brackets)

    def borrowing(self, document: Mapping[str, Any]) -> Mapping[str, BorrowRate]:
        """MR8: rates by asset; null is "not known"."""
        stated = document.get("borrowing")
        if not isinstance(stated, Mapping):
            self.wrong("borrowing", f"is {shown(stated)}", "An object by asset; it may be empty.")
            return {}
        rates = {}
        for asset in stated:
            if stated[asset] is None:
                continue
            where = f"borrowing.{asset}"
            one = self.section(stated, str(asset), ("maintenance", "initial"), "borrowing.")
            rate = BorrowRate(
                maintenance=self.number(one, "maintenance", where, 0.0, 10.0),
                initial=self.number(one, "initial", where, 0.0, 10.0),
            )
            if rate.maintenance > rate.initial:
                self.wrong(where, "has maintenance above initial", "Maintenance is at most initial.")
            rates[str(asset)] = rate
        return rates


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TierTable:
    """Tiers of several rows as arrays; shorter ones end in tiers that start at infinity.

    Parameters
    ----------
    starts, ends, rates : ndarray of shape (n_rows, n_tiers)
        From where to where a tier reaches, and its rate.
    """

    starts: FloatArray
    ends: FloatArray
    rates: FloatArray

    @classmethod
    def of(cls, rows: tuple[Tiers, ...]) -> TierTable:
        """The table of `rows`."""
        n_tiers = max((len(one.starts) for one in rows), default=1)
        starts, rates = np.full((len(rows), n_tiers), np.inf), np.zeros((len(rows), n_tiers))
        for k, one in enumerate(rows):
            starts[k, : len(one.starts)] = one.starts
            rates[k, : len(one.rates)] = one.rates
        ends = np.concatenate((starts[:, 1:], np.full((len(rows), 1), np.inf)), axis=1)
        return cls(starts=read_only(starts), ends=read_only(ends), rates=read_only(rates))
