"""What houses do differently with the same file: named presets, and what a user may change of them.

A file does not say where the inter-commodity credit goes, over what option value counts, or how a requirement is
rounded. These are house rules; each preset names its source, and what is from memory says so.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any

from crossmargin.basics.errors import ParameterError, Problem, raise_problems
from crossmargin.methodologies.span.parameters import SpanFile, WeightedRisk
from crossmargin.portfolio.book import CustomerType

DEFAULT = "cme"


class CreditPlace(StrEnum):
    """Where the inter-commodity credit comes off: inside the maximum with the short option minimum, or after it."""

    INSIDE = "inside"
    OUTSIDE = "outside"


class Scope(StrEnum):
    """Over which risk option value counts, in one currency; each takes in those after it.

    `COMPLEX`: all combined commodities of the account. `GROUP`: those of one group. `CLASS`: its own only.
    """

    COMPLEX = "complex"
    GROUP = "group"
    CLASS = "class"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exposure:
    """Exposure margin, which is not SPAN: a fraction of contract value beside it.

    `index_rate` for combined commodities named in `index`, `other_rate` for the others; of every future, and of every
    short option at the price of its underlying.
    """

    index_rate: float
    other_rate: float
    index: frozenset[str]

    def rate(self, commodity: str) -> float:
        """Fraction of contract value."""
        return self.index_rate if commodity in self.index else self.other_rate


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanPolicy:
    """House rules.

    Parameters
    ----------
    weighted_risk : WeightedRisk or None
        For all combined commodities; `None` as the file says for each.
    delta_decimals, requirement_decimals : int or None
        Decimals of net deltas and of requirements; `None` leaves them unrounded.
    customer_type : CustomerType
        Of accounts that state none.
    exposure : Exposure or None
        `None` where the house asks for none.
    """

    name: str
    credit: CreditPlace
    option_value_scope: Scope
    weighted_risk: WeightedRisk | None
    delta_decimals: int | None
    requirement_decimals: int | None
    customer_type: CustomerType
    exposure: Exposure | None

    def document(self) -> dict[str, Any]:
        """As plain data."""
        exposure = self.exposure
        return {
            "policy": self.name,
            "credit": self.credit.value,
            "option_value_scope": self.option_value_scope.value,
            "weighted_risk": self.weighted_risk.value if self.weighted_risk else "file",
            "delta_decimals": self.delta_decimals,
            "requirement_decimals": self.requirement_decimals,
            "customer_type": self.customer_type.value,
            "exposure": None
            if exposure is None
            else {
                "index_rate": repr(exposure.index_rate),
                "other_rate": repr(exposure.other_rate),
                "index": sorted(exposure.index),
            },
        }


@cache
def _presets() -> tuple[dict[str, dict[str, Any]], str]:
    text = resources.files(__package__).joinpath("policies.json").read_text(encoding="utf-8")
    return json.loads(text)["policies"], f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def presets() -> tuple[str, ...]:
    """Names of the presets."""
    return tuple(_presets()[0])


def policy_for(file: SpanFile, name: str | None = None, **changes: str | None) -> SpanPolicy:
    """The policy called `name`, or that of the house whose file it is, with some of it changed.

    Parameters
    ----------
    name : str, optional
        A preset; if left out, the one that knows the file's exchange complex, else `cme`.
    **changes
        `credit`, `option_value_scope`, `weighted_risk`, `delta_decimals`, `requirement_decimals`, `customer_type`,
        `exposure` (`on` or `off`): as text.

    Raises
    ------
    ParameterError
        Listing everything that is no preset, no field or no value of one.
    """
    known, _ = _presets()
    if name is None:
        name = next((preset for preset, stated in known.items() if file.complex in stated["complexes"]), DEFAULT)
    if name not in known:
        raise ParameterError(
            Problem(found=f"no policy '{name}'", needed=f"There are {', '.join(known)}.", kind=ParameterError)
        )
    policy = _made(name, known[name])
    problems: list[Problem] = []
    for field, text in changes.items():
        if text is None:
            continue
        try:
            policy = replace(policy, **{field: _READERS[field](str(text), policy)})
        except KeyError:
            problems.append(
                _wrong(f"'{field}' is no option of span", f"Its options: policy, currency, {', '.join(_READERS)}.")
            )
        except ValueError:
            problems.append(_wrong(f"{field} is '{text}'", f"It is {_VALUES[field]}."))
    raise_problems(problems)
    return policy


def _wrong(found: str, needed: str) -> Problem:
    return Problem(found=found, needed=needed, kind=ParameterError)


def _made(name: str, stated: Mapping[str, Any]) -> SpanPolicy:
    exposure = stated["exposure"]
    return SpanPolicy(
        name=name,
        credit=CreditPlace(stated["credit"]),
        option_value_scope=Scope(stated["option_value_scope"]),
        weighted_risk=_weighted_risk(stated["weighted_risk"]),
        delta_decimals=stated["delta_decimals"],
        requirement_decimals=stated["requirement_decimals"],
        customer_type=CustomerType(stated["customer_type"]),
        exposure=exposure
        and Exposure(
            index_rate=float(exposure["index_rate"]),
            other_rate=float(exposure["other_rate"]),
            index=frozenset(exposure["index"]),
        ),
    )


def _weighted_risk(text: str) -> WeightedRisk | None:
    return None if text == "file" else WeightedRisk(text)


def _decimals(text: str) -> int | None:
    if text == "none":
        return None
    if text not in ("0", "1", "2", "3", "4", "5", "6"):
        raise ValueError(text)
    return int(text)


def _exposure(text: str, policy: SpanPolicy) -> Exposure | None:
    """`on`, `off`, or a rate for everything."""
    if text == "off":
        return None
    if text == "on":
        return policy.exposure or _made("nse", _presets()[0]["nse"]).exposure
    rate = float(text)
    if not (math.isfinite(rate) and 0 <= rate <= 1):
        raise ValueError(text)
    return Exposure(index_rate=rate, other_rate=rate, index=frozenset())


_READERS: dict[str, Any] = {
    "credit": lambda text, _: CreditPlace(text),
    "option_value_scope": lambda text, _: Scope(text),
    "weighted_risk": lambda text, _: _weighted_risk(text),
    "delta_decimals": lambda text, _: _decimals(text),
    "requirement_decimals": lambda text, _: _decimals(text),
    "customer_type": lambda text, _: CustomerType(text),
    "exposure": _exposure,
}
_VALUES = {
    "credit": " or ".join(CreditPlace),
    "option_value_scope": ", ".join(Scope),
    "weighted_risk": f"file, {', '.join(WeightedRisk)}",
    "delta_decimals": "none, or 0 to 6",
    "requirement_decimals": "none, or 0 to 6",
    "customer_type": ", ".join(CustomerType),
    "exposure": "on, off, or a fraction from 0 to 1",
}
