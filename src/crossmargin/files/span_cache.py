"""Parsed parameter files in the user's cache folder, by the hash of the file that they were parsed from.

Plain arrays and JSON, no pickle. What is in the cache is checked like any input: a file that is damaged, cut or of
another make is parsed anew and written again, never an error and never trusted. Where the folder cannot be written
nothing is kept, which is slower and not wrong.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import date
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.basics.arrays import read_only
from crossmargin.basics.errors import CrossmarginError
from crossmargin.files.output import replacing
from crossmargin.methodologies.span.parameters import (
    CONTRACT_COLUMNS,
    N_SCENARIOS,
    Across,
    Commodity,
    Contracts,
    Kind,
    Leg,
    Method,
    Product,
    Scenarios,
    ShortOptions,
    SpanFile,
    SpotRate,
    Spread,
    Tier,
    WeightedRisk,
)
from crossmargin.portfolio.book import CustomerType

FOLDER = "CROSSMARGIN_CACHE_DIR"
"""Environment variable that names the folder, or says `off`."""
FORMAT = "crossmargin-span-cache/1"
"""Changes with whatever a reader makes of a file: what an older one made is then not found."""
MOST_FILES = 16
_WHOLE = {"right": np.int8, **dict.fromkeys(("product", "period", "underlying_period", "delta_period"), np.int64)}


def cache_folder() -> Path | None:
    """Where parsed files are kept; `None` where they are not."""
    stated = os.environ.get(FOLDER, "")
    if stated == "off":
        return None
    if stated:
        return Path(stated)
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA", "")
    elif sys.platform == "darwin":
        base = os.path.expanduser("~/Library/Caches")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(base) / "crossmargin" if base and not base.startswith("~") else None


def _place(digest: str) -> Path | None:
    folder = cache_folder()
    return None if folder is None else folder / f"span-{digest.removeprefix('sha256:')}.npz"


def load(digest: str, source: str) -> SpanFile | None:
    """The file of that hash as it was parsed, under its present name; `None` if it is not there, or not right."""
    place = _place(digest)
    if place is None or not place.is_file():
        return None
    try:
        with np.load(place, allow_pickle=False) as kept:
            document = json.loads(bytes(kept["document"]).decode())
            if document["format"] != FORMAT or document["digest"] != digest:
                return None
            columns = {name: kept[name] for name in CONTRACT_COLUMNS}
        return _checked(document, columns, digest, source)
    except Exception:  # whatever a damaged file can raise: it is parsed anew
        return None


def keep(file: SpanFile) -> None:
    """Put a parsed file into the cache, and the oldest out where there are too many."""
    place = _place(file.digest)
    if place is None:
        return
    document = {
        "format": FORMAT,
        **{one.name: _plain(getattr(file, one.name)) for one in fields(file) if one.name != "contracts"},
    }
    text = np.frombuffer(json.dumps(document, allow_nan=False).encode(), dtype=np.uint8)
    columns: dict[str, Any] = {name: getattr(file.contracts, name) for name in CONTRACT_COLUMNS}
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with replacing(place) as written, written.open("wb") as out:
            np.savez(out, document=text, **columns)
        others = sorted(place.parent.glob("span-*.npz"), key=lambda one: one.stat().st_mtime)
        for old in others[:-MOST_FILES]:
            old.unlink(missing_ok=True)
    except (OSError, CrossmarginError):
        return


def _plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value) and not isinstance(value, type):
        return {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
    if isinstance(value, Mapping):
        return [[_plain(key), _plain(one)] for key, one in value.items()]
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    return value


def _checked(document: dict[str, Any], columns: dict[str, Any], digest: str, source: str) -> SpanFile:
    """The file that was kept; any fault in it raises."""
    products, commodities = tuple(map(_product, document["products"])), tuple(map(_commodity, document["commodities"]))
    n = len(columns["product"])
    limits = {"product": len(products), **dict.fromkeys(("period", "underlying_period", "delta_period"),
                                                        len(document["periods"]))}  # fmt: skip
    for name, values in columns.items():
        shape = (n, N_SCENARIOS) if name == "loss" else (n,)
        assert values.dtype == _WHOLE.get(name, np.float64), name
        assert values.shape == shape, name
        if name in limits and n:
            assert 0 <= values.min() <= values.max() < limits[name], name
    assert np.isfinite(columns["loss"]).all()
    assert all(-1 <= product.commodity < len(commodities) for product in products)
    return SpanFile(
        source=source,
        digest=digest,
        form=document["form"],
        complex=document["complex"],
        business_date=date.fromisoformat(document["business_date"]),
        is_settlement=document["is_settlement"],
        scenarios=Scenarios(**{name: tuple(values) for name, values in document["scenarios"].items()}),
        products=products,
        periods=tuple(document["periods"]),
        contracts=Contracts(**{name: read_only(values) for name, values in columns.items()}),
        commodities=commodities,
        super_spreads=_spreads(document["super_spreads"]),
        inter_spreads=_spreads(document["inter_spreads"]),
        interclear_spreads=_spreads(document["interclear_spreads"]),
        conversions={(one, other): rate for (one, other), rate in document["conversions"]},
        limit_option_value=document["limit_option_value"],
        skipped=dict(document["skipped"]),
    )


def _product(stated: dict[str, Any]) -> Product:
    return Product(**stated | {"kind": Kind(stated["kind"])})


def _tiers(stated: list[dict[str, Any]]) -> tuple[Tier, ...]:
    return tuple(Tier(**one) for one in stated)


def _spreads(stated: list[dict[str, Any]]) -> tuple[Spread, ...]:
    return tuple(
        Spread(
            **one
            | {
                "method": Method(one["method"]),
                "across": Across(one["across"]),
                "legs": tuple(Leg(**leg) for leg in one["legs"]),
                "target": None if one["target"] is None else Leg(**one["target"]),
            }
        )
        for one in stated
    )


def _commodity(stated: dict[str, Any]) -> Commodity:
    tiers = ("scan_tiers", "intra_tiers", "inter_tiers", "som_tiers")
    factors = ("adjustment", "initial_ratio")
    return Commodity(
        **stated
        | {name: _tiers(stated[name]) for name in tiers}
        | {name: _spreads(stated[name]) for name in ("series_spreads", "tier_spreads")}
        | {name: {CustomerType(who): value for who, value in stated[name]} for name in factors}
        | {
            "weighted_risk": WeightedRisk(stated["weighted_risk"]),
            "short_options": ShortOptions(stated["short_options"]),
            "spot_rates": tuple(SpotRate(**one) for one in stated["spot_rates"]),
        }
    )
