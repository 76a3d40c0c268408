"""Parameters of standard margin, read from a JSON document that names its sources.

The venues are one method with other figures. What one of them does not have is `null`: an offset by maximum loss, a
charge for a stablecoin off its peg or for unsure oracles, options or perpetuals of an underlying. `null` is never 0:
who holds a contract whose figures nobody has stated is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import raise_problems
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

FAMILY = "standard-margin"


class PriceOf(StrEnum):
    """Which price a rule reads: the underlying's index, the contract's own mark, or the forward of its expiry."""

    INDEX = "index"
    MARK = "mark"
    FORWARD = "forward"


class Orders(StrEnum):
    """How resting orders are charged: each as a position of its own, or the worse side once it has been filled."""

    EACH = "each"
    WORST_SIDE = "worst side"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeltaOne:
    """Charge for perpetuals and futures, decimals of the notional; `slope` is added for each unit of the position."""

    maintenance: float
    initial: float
    slope: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MaximumLoss:
    """Multiples of the forward that are added for each call short beyond the long ones."""

    unpaired_maintenance: float
    unpaired_initial: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortOption:
    """Charge for an option short, beside what it is worth.

    Parameters
    ----------
    spot_initial_most, spot_initial_least : float
        Part of spot at the money, which falls by how far the option is out of it, and its floor.
    call_spot_maintenance, put_spot_maintenance : float
        Part of spot.
    put_mark_maintenance : float
        Part of a put's value, where that is more.
    put_initial_over_maintenance : float
        A put's initial margin with its value is at least so many times that of maintenance.
    maximum_loss : MaximumLoss or None
        Whether the options of an expiry may together need no more than their worst payoff.
    """

    spot_initial_most: float
    spot_initial_least: float
    call_spot_maintenance: float
    put_spot_maintenance: float
    put_mark_maintenance: float
    put_initial_over_maintenance: float
    maximum_loss: MaximumLoss | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnderlyingParameters:
    """What one underlying has; `None` where it has no figures for such contracts."""

    delta_one: DeltaOne | None
    options: ShortOption | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralParameters:
    """Part of an asset's value that counts for maintenance, and the part of that which counts for initial.

    Cash is what the account is kept in: no oracle says what it is worth.
    """

    factor: float
    initial_scale: float
    is_cash: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Depeg:
    """Rise of the initial charge, as part of notional, for each unit that a stablecoin is below the threshold."""

    asset: str
    threshold: float
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleConfidence:
    """Part of the notional that is charged for each unit of doubt, where confidence is below the threshold."""

    delta_one_threshold: float
    option_threshold: float
    collateral_threshold: float
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardParameters:
    """A whole parameter set.

    Parameters
    ----------
    moneyness_price : PriceOf
        What an option is out of the money against: index or forward.
    delta_one_price : PriceOf
        What the notional of a perpetual or future is taken at: index or mark.
    dated_futures : bool
        Whether futures with an expiry are margined as perpetuals are, or not held at all.
    """

    info: ParametersInfo
    status: str
    moneyness_price: PriceOf
    delta_one_price: PriceOf
    dated_futures: bool
    open_orders: Orders
    depeg: Depeg | None
    oracle: OracleConfidence | None
    underlyings: Mapping[str, UnderlyingParameters]
    collateral: Mapping[str, CollateralParameters]

    @property
    def offsets(self) -> bool:
        """Whether the options of an expiry are ever looked at together."""
        return any(own.options is not None and own.options.maximum_loss for own in self.underlyings.values())

    @property
    def grows_with_size(self) -> bool:
        """Whether a larger position is charged at a higher rate."""
        return any(own.delta_one is not None and own.delta_one.slope for own in self.underlyings.values())


_TOP = (
    "status",
    "moneyness_price",
    "delta_one_price",
    "dated_futures",
    "open_orders",
    "depeg",
    "oracle",
    "underlyings",
    "collateral",
)
_DELTA_ONE = ("maintenance", "initial", "slope")
_OPTION_RATES = (
    "spot_initial_most",
    "spot_initial_least",
    "call_spot_maintenance",
    "put_spot_maintenance",
    "put_mark_maintenance",
)
_OPTIONS = (*_OPTION_RATES, "put_initial_over_maintenance", "maximum_loss")
_UNPAIRED = ("unpaired_maintenance", "unpaired_initial")
_ORACLE = ("delta_one_threshold", "option_threshold", "collateral_threshold", "factor")


def load_parameters(source: str | Path | Mapping[str, Any] | None, default: str) -> StandardParameters:
    """Read a parameter set: by the name of one that ships, from a JSON file, or from a document.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document, maintenance above initial among it.
    """
    document = document_of(source, __package__, default)
    read = ParameterReader(name_of(document))
    read.header(document, FAMILY, _TOP)
    status = document.get("status")
    if not isinstance(status, str):
        read.wrong("status", f"is {shown(status)}", "Words: what is known of where the figures come from.")
    moneyness = _choice(document, "moneyness_price", (PriceOf.INDEX, PriceOf.FORWARD), read)
    delta_one_price = _choice(document, "delta_one_price", (PriceOf.INDEX, PriceOf.MARK), read)
    orders = _choice(document, "open_orders", tuple(Orders), read)
    dated = _flag(document, "dated_futures", read)
    depeg = _depeg(document, read)
    oracle = None
    if (own := _optional(document, "oracle", _ORACLE, read)) is not None:
        oracle = OracleConfidence(**{key: read.number(own, key, "oracle", 0.0, _most(key)) for key in _ORACLE})
    underlyings = {
        name: _underlying(own, f"underlyings.{name}", read)
        for name, own in _entries(document, "underlyings", ("delta_one", "options"), read)
    }
    collateral = {
        name: CollateralParameters(
            factor=read.number(own, "factor", f"collateral.{name}", 0.0, 1.0),
            initial_scale=read.number(own, "initial_scale", f"collateral.{name}", 0.0, 1.0),
            is_cash=_flag(own, "is_cash", read, f"collateral.{name}."),
        )
        for name, own in _entries(document, "collateral", ("factor", "initial_scale", "is_cash"), read)
    }
    raise_problems(read.problems)
    return StandardParameters(
        info=info_of(document),
        status=str(status),
        moneyness_price=PriceOf(moneyness),
        delta_one_price=PriceOf(delta_one_price),
        dated_futures=dated,
        open_orders=Orders(orders),
        depeg=depeg,
        oracle=oracle,
        underlyings=underlyings,
        collateral=collateral,
    )


def _most(key: str) -> float:
    return 1.0 if key.endswith("threshold") else 100.0


def _depeg(document: Mapping[str, Any], read: ParameterReader) -> Depeg | None:
    own = _optional(document, "depeg", ("asset", "threshold", "factor"), read)
    if own is None:
        return None
    asset = own.get("asset")
    if not isinstance(asset, str) or not asset:
        read.wrong("depeg.asset", f"is {shown(asset)}", "The stablecoin that the account is kept in.")
    return Depeg(
        asset=str(asset),
        threshold=read.number(own, "threshold", "depeg", 0.0, 1000.0),
        factor=read.number(own, "factor", "depeg", 0.0, 1000.0),
    )


def _underlying(own: Mapping[str, Any], where: str, read: ParameterReader) -> UnderlyingParameters:
    delta_one = options = None
    if (stated := _optional(own, "delta_one", _DELTA_ONE, read, f"{where}.")) is not None:
        place = f"{where}.delta_one"
        delta_one = DeltaOne(**{key: read.number(stated, key, place, 0.0, 10.0) for key in _DELTA_ONE})
        _in_order(read, place, delta_one.maintenance, delta_one.initial, "maintenance", "initial")
    if (stated := _optional(own, "options", _OPTIONS, read, f"{where}.")) is not None:
        options = _options(stated, f"{where}.options", read)
    return UnderlyingParameters(delta_one=delta_one, options=options)


def _options(stated: Mapping[str, Any], where: str, read: ParameterReader) -> ShortOption:
    maximum_loss = None
    if (unpaired := _optional(stated, "maximum_loss", _UNPAIRED, read, f"{where}.")) is not None:
        place = f"{where}.maximum_loss"
        maximum_loss = MaximumLoss(**{key: read.number(unpaired, key, place, 0.0, 100.0) for key in _UNPAIRED})
        _in_order(read, place, maximum_loss.unpaired_maintenance, maximum_loss.unpaired_initial, *_UNPAIRED)
    rates = {key: read.number(stated, key, where, 0.0, 10.0) for key in _OPTION_RATES}
    found = ShortOption(
        **rates,
        put_initial_over_maintenance=read.number(stated, "put_initial_over_maintenance", where, 1.0, 100.0),
        maximum_loss=maximum_loss,
    )
    least = found.spot_initial_least
    _in_order(read, where, least, found.spot_initial_most, "spot_initial_least", "spot_initial_most")
    _in_order(read, where, found.call_spot_maintenance, least, "call_spot_maintenance", "spot_initial_least")
    return found


def _in_order(read: ParameterReader, where: str, low: float, high: float, low_key: str, high_key: str) -> None:
    """What maintenance could ask beyond initial: nobody could then be warned before being liquidated."""
    if low > high:
        read.wrong(f"{where}.{low_key}", f"is {low:g}, above {high_key} of {high:g}", f"At most {high_key}.")


def _optional(
    parent: Mapping[str, Any], key: str, fields: tuple[str, ...], read: ParameterReader, where: str = ""
) -> Mapping[str, Any] | None:
    """A section, or `None` where the document says `null`; leaving it out is an error."""
    if key in parent and parent[key] is None:
        return None
    if not isinstance(parent.get(key), Mapping):
        read.wrong(f"{where}{key}", "is missing or no object", f"null, or an object of {', '.join(fields)}.")
        return None
    return read.section(parent, key, fields, where=where)


def _entries(
    document: Mapping[str, Any], key: str, fields: tuple[str, ...], read: ParameterReader
) -> list[tuple[str, Mapping[str, Any]]]:
    stated = document.get(key)
    if not isinstance(stated, Mapping) or not stated:
        read.wrong(key, f"is {shown(stated)}", "One entry for each.")
        return []
    return [(name, read.section(stated, name, fields, where=f"{key}.")) for name in sorted(map(str, stated))]


def _choice(document: Mapping[str, Any], key: str, choices: tuple[StrEnum, ...], read: ParameterReader) -> str:
    found = document.get(key)
    if found not in list(choices):
        read.wrong(key, f"is {shown(found)}", f"One of {', '.join(choices)}.")
        return choices[0]
    return str(found)


def _flag(section: Mapping[str, Any], key: str, read: ParameterReader, where: str = "") -> bool:
    found = section.get(key)
    if not isinstance(found, bool):
        read.wrong(f"{where}{key}", f"is {shown(found)}", "true or false.")
    return found is True
