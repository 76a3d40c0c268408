"""Parameters of the linear-weight venues, each read from a JSON document that names its sources."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from crossmargin.basics.errors import raise_problems
from crossmargin.collateral.valuation import Schedule
from crossmargin.methodologies.linear_weights.dydx import LiquidityTier
from crossmargin.methodologies.parameter_files import ParameterReader, document_of, info_of, name_of, shown
from crossmargin.methodologies.protocol import ParametersInfo

_Entry = TypeVar("_Entry")


def whole_schedule(info: ParametersInfo, assets: tuple[str, ...], take_part: tuple[str, ...]) -> Schedule:
    """Every asset at its market value: what of it does not count is part of the requirement."""
    return Schedule(
        name=info.name,
        date=info.date,
        digest=info.digest,
        haircuts=dict.fromkeys(assets, 0.0),
        take_part=frozenset(take_part),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class DydxParameters:
    """Tier of each market by its underlying; the quote asset is cash."""

    info: ParametersInfo
    quote_asset: str
    markets: Mapping[str, LiquidityTier]


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftSpot:
    """Weights of an asset; `scale_start` in dollars of all deposits, 0: never scaled."""

    asset_initial: float
    asset_maintenance: float
    liability_initial: float
    liability_maintenance: float
    imf_factor: float
    scale_start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftPerpetual:
    """Margin ratios of a perpetual, and how much of a profit counts; `most_price` of a prediction market, else 0."""

    ratio_initial: float
    ratio_maintenance: float
    imf_factor: float
    unrealised_initial: float
    unrealised_maintenance: float
    most_price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftParameters:
    """A whole parameter set; `custom_ratio` is what the account asks of itself at initial level."""

    info: ParametersInfo
    order_charge: float
    custom_ratio: float
    spot: Mapping[str, DriftSpot]
    perpetuals: Mapping[str, DriftPerpetual]


@dataclass(frozen=True, slots=True, kw_only=True)
class MangoToken:
    """Weights of a token at two levels, and totals in quote from which the initial ones are scaled."""

    asset_initial: float
    asset_maintenance: float
    liability_initial: float
    liability_maintenance: float
    deposit_scale_start: float
    borrow_scale_start: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MangoPerpetual:
    """Weights of a perpetual at two levels, and the token that it settles into."""

    asset_initial: float
    asset_maintenance: float
    liability_initial: float
    liability_maintenance: float
    overall_initial: float
    overall_maintenance: float
    settle: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MangoParameters:
    """A whole parameter set."""

    info: ParametersInfo
    tokens: Mapping[str, MangoToken]
    perpetuals: Mapping[str, MangoPerpetual]


Source = str | Path | Mapping[str, Any] | None


def load_dydx(source: Source) -> DydxParameters:
    """Tiers and markets.

    Raises
    ------
    ParameterError
        With everything that is wrong in the document.
    """
    document, read = _opened(source, "dydx", "dydx-v4-genesis", ("quote_asset", "tiers", "markets"))
    tiers = _entries(document, "tiers", read, _tier)
    markets = {}
    stated = document.get("markets")
    if not isinstance(stated, dict) or not stated:
        read.wrong("markets", f"is {shown(stated)}", "A tier for the underlying of each market.")
    for underlying, tier in sorted(stated.items()) if isinstance(stated, dict) else ():
        if tier not in tiers:
            read.wrong(f"markets.{underlying}", f"is {shown(tier)}", f"One of {', '.join(tiers)}.")
        else:
            markets[underlying] = tiers[tier]
    quote = _text(document, "quote_asset", read)
    raise_problems(read.problems)
    return DydxParameters(info=info_of(document), quote_asset=quote, markets=markets)


def load_drift(source: Source) -> DriftParameters:
    """Spot and perpetual markets; errors as `load_dydx`."""
    document, read = _opened(source, "drift", None, ("order_charge", "custom_ratio", "spot", "perpetuals"))
    spot = _entries(document, "spot", read, _drift_spot)
    perpetuals = _entries(document, "perpetuals", read, _drift_perpetual)
    order_charge = read.number(document, "order_charge", read.name, 0.0, 1e6)
    custom = read.number(document, "custom_ratio", read.name, 0.0, 100.0)
    raise_problems(read.problems)
    return DriftParameters(
        info=info_of(document), order_charge=order_charge, custom_ratio=custom, spot=spot, perpetuals=perpetuals
    )


def load_mango(source: Source) -> MangoParameters:
    """Tokens and perpetuals; errors as `load_dydx`."""
    document, read = _opened(source, "mango", None, ("tokens", "perpetuals"))
    tokens = _entries(document, "tokens", read, _mango_token)
    perpetuals = _entries(document, "perpetuals", read, partial(_mango_perpetual, tokens=tokens))
    raise_problems(read.problems)
    return MangoParameters(info=info_of(document), tokens=tokens, perpetuals=perpetuals)


def _opened(
    source: Source, family: str, default: str | None, fields: tuple[str, ...]
) -> tuple[dict[str, Any], ParameterReader]:
    document = document_of(source, __package__, default)
    read = ParameterReader(name_of(document))
    read.header(document, family, ("status", *fields))
    return document, read


def _text(section: Mapping[str, Any], key: str, read: ParameterReader, where: str = "") -> str:
    stated = section.get(key)
    if not isinstance(stated, str) or not stated:
        read.wrong(f"{where}{key}", f"is {shown(stated)}", "A text.")
        return ""
    return stated


def _entries(
    document: Mapping[str, Any],
    key: str,
    read: ParameterReader,
    made: Callable[[Mapping[str, Any], str, str, ParameterReader], _Entry],
) -> dict[str, _Entry]:
    stated = document.get(key)
    if not isinstance(stated, dict):
        read.wrong(key, f"is {shown(stated)}", "An object with an entry for each.")
        return {}
    return {name: made(stated, name, f"{key}.{name}", read) for name in sorted(map(str, stated))}


def _numbers(
    parent: Mapping[str, Any],
    name: str,
    where: str,
    read: ParameterReader,
    limits: Mapping[str, tuple[float, float]],
    *more: str,
) -> tuple[dict[str, float], dict[str, Any]]:
    section = read.section(parent, name, (*limits, *more), where=where.removesuffix(name))
    return {key: read.number(section, key, where, *ends) for key, ends in limits.items()}, section


def _falling(found: Mapping[str, float], low: str, high: str, where: str, read: ParameterReader) -> None:
    """Maintenance must not ask for more than initial, or nobody who is short could be told before."""
    if found[low] > found[high]:
        read.wrong(f"{where}.{low}", f"is {found[low]:g}, above {high} {found[high]:g}", "It is at most that.")


_LEVELS = {
    "asset_initial": (0.0, 1.0),
    "asset_maintenance": (0.0, 1.0),
    "liability_initial": (1.0, 100.0),
    "liability_maintenance": (1.0, 100.0),
}


def _weights_in_order(found: Mapping[str, float], where: str, read: ParameterReader) -> None:
    _falling(found, "asset_initial", "asset_maintenance", where, read)
    _falling(found, "liability_maintenance", "liability_initial", where, read)


def _tier(parent: Mapping[str, Any], name: str, where: str, read: ParameterReader) -> LiquidityTier:
    limits = {
        "initial_ppm": (0.0, 1e6),
        "maintenance_fraction_ppm": (0.0, 1e6),
        "open_interest_lower": (0.0, 1e24),
        "open_interest_upper": (0.0, 1e24),
    }
    found, section = _numbers(parent, name, where, read, limits)
    for key, value in found.items():
        if value != int(value):
            read.wrong(f"{where}.{key}", f"is {value:g}", "A whole number.")
    return LiquidityTier(**{key: int(str(section.get(key, "0")).split(".")[0] or 0) for key in limits})


def _drift_spot(parent: Mapping[str, Any], name: str, where: str, read: ParameterReader) -> DriftSpot:
    limits = {**_LEVELS, "imf_factor": (0.0, 100.0), "scale_start": (0.0, 1e15)}
    found, _ = _numbers(parent, name, where, read, limits)
    _weights_in_order(found, where, read)
    return DriftSpot(**found)


def _drift_perpetual(parent: Mapping[str, Any], name: str, where: str, read: ParameterReader) -> DriftPerpetual:
    limits = {
        "ratio_initial": (0.0, 10.0),
        "ratio_maintenance": (0.0, 10.0),
        "imf_factor": (0.0, 100.0),
        "unrealised_initial": (0.0, 1.0),
        "unrealised_maintenance": (0.0, 1.0),
        "most_price": (0.0, 1e9),
    }
    found, _ = _numbers(parent, name, where, read, limits)
    _falling(found, "ratio_maintenance", "ratio_initial", where, read)
    _falling(found, "unrealised_initial", "unrealised_maintenance", where, read)
    return DriftPerpetual(**found)


def _mango_token(parent: Mapping[str, Any], name: str, where: str, read: ParameterReader) -> MangoToken:
    found, section = _numbers(parent, name, where, read, _LEVELS, "deposit_scale_start", "borrow_scale_start")
    _weights_in_order(found, where, read)
    # None is no scaling.
    scales = {
        key: math.inf if section.get(key) is None else read.number(section, key, where, 1e-9, 1e18)
        for key in ("deposit_scale_start", "borrow_scale_start")
    }
    return MangoToken(**found, **scales)


def _mango_perpetual(
    parent: Mapping[str, Any], name: str, where: str, read: ParameterReader, *, tokens: Mapping[str, MangoToken]
) -> MangoPerpetual:
    limits = {**_LEVELS, "overall_initial": (0.0, 1.0), "overall_maintenance": (0.0, 1.0)}
    found, section = _numbers(parent, name, where, read, limits, "settle")
    _weights_in_order(found, where, read)
    _falling(found, "overall_initial", "overall_maintenance", where, read)
    settle = _text(section, "settle", read, f"{where}.")
    if settle and settle not in tokens:
        read.wrong(f"{where}.settle", f"is '{settle}'", f"One of {', '.join(tokens)}.")
    return MangoPerpetual(**found, settle=settle)
