"""What CRIF lets stand in each label of each risk type, one label at a time.

A label is looked at once for each risk type that it stands beside, however many rows it is in. Three things come out:
the spelling to go on with, a fault, or that the risk type does not use the label, which is then ignored with a notice.
Which buckets, tenors and sub-curves there are is for the calibration to say. What one might question: the volatility
group that an interest-rate row states as its bucket is not used; it follows from the currency and the parameters.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from crossmargin.basics.names import name_fault
from crossmargin.files.cells import shown
from crossmargin.methodologies.simm.parameters import RiskClass, SimmParameters
from crossmargin.methodologies.simm.regulations import EXCLUDED, ORDER
from crossmargin.methodologies.simm.rows import (
    CREDIT_TENOR_TYPES,
    CURRENCY_TYPES,
    PRODUCT_CLASSES,
    RISK_CLASS_OF,
    TENOR_TYPES,
)
from crossmargin.methodologies.simm.rows import RISK_TYPES as SIMM_TYPES
from crossmargin.methodologies.simm.schedule.parameters import PRODUCT_CLASSES as SCHEDULE_CLASSES

RISK_TYPES = (*SIMM_TYPES, "PV")
"""As a CRIF spells them: the method's, and one of the schedule alone."""
SCHEDULE_NOTIONAL, SCHEDULE_PV = "Notional of the schedule", "PV of the schedule"
KINDS = (*RISK_TYPES, SCHEDULE_NOTIONAL, SCHEDULE_PV)
"""Risk types, and those two of the schedule apart: the same word means another thing there."""
MULTIPLIER, FACTOR, FIXED = "Param_ProductClassMultiplier", "Param_AddOnNotionalFactor", "Param_AddOnFixedAmount"
PURE_NUMBERS = (MULTIPLIER, FACTOR)
"""Risk types whose amount is no money."""
_WITH_LABEL2 = ("Risk_IRCurve", "Risk_CreditQ", "Risk_CreditNonQ", "Risk_CreditVolNonQ")
_CURRENCY_TYPES = frozenset(name for name, kind in SIMM_TYPES.items() if kind in CURRENCY_TYPES)
_REGULATIONS = {name.lower(): name for name in (*ORDER, EXCLUDED)}
_CURRENCY = re.compile("[A-Z]{3}")
_WHOLE = re.compile(r"0*([0-9]+)(\.0+)?")
_DAY_FIRST = re.compile(r"([0-9]{1,2})[/.]([0-9]{1,2})[/.]([0-9]{4})")


class Fault(NamedTuple):
    """What is wrong with a cell, and what would do."""

    found: str
    needed: str


class Unused(NamedTuple):
    """The risk type does not use the label, which says something: it is ignored."""


UNUSED = Unused()
Rule = Callable[[str, str], str | Fault | Unused]
"""Of a kind and a text without outer blanks: the spelling to go on with, or what is wrong."""


def im_model(kind: str, text: str) -> str | Fault | Unused:
    """`Schedule`, or nothing for SIMM."""
    model = text.lower().replace("_", "-")
    if model == "schedule":
        if kind in ("Notional", "PV"):
            return "Schedule"
        return Fault(f"{kind} under the schedule", "The schedule takes Notional and PV.")
    if model not in ("", "simm", "simm-r", "simm-p"):
        return Fault(f"IM model '{shown(text)}'", "SIMM or Schedule.")
    if kind == "PV":
        return Fault("PV that is not under the schedule", "IMModel Schedule: SIMM takes no present values.")
    return ""


def product_class(kind: str, text: str) -> str | Fault | Unused:
    """The product class that a sensitivity nets in, or whose rate a trade has."""
    if kind in (SCHEDULE_NOTIONAL, SCHEDULE_PV):
        return _one_of(text, SCHEDULE_CLASSES, "product class", "of the schedule")
    if not kind.startswith("Risk_"):
        return UNUSED if text else ""
    return _one_of(text, PRODUCT_CLASSES, "product class", "of SIMM")


def qualifier(kind: str, text: str) -> str | Fault | Unused:
    """Currency, pair in alphabetical order, name, or product class, as the risk type has it."""
    if kind in (FIXED, SCHEDULE_NOTIONAL, SCHEDULE_PV, "PV"):
        return UNUSED if text else ""
    if kind in _CURRENCY_TYPES:
        code = text.upper()
        if not _CURRENCY.fullmatch(code):
            return Fault(f"'{shown(text)}' is no currency", f"{kind} has three letters, like EUR.")
        return onshore(code)
    if kind == "Risk_FXVol":
        pair = text.upper()
        if not (len(pair) == 6 and _CURRENCY.fullmatch(pair[:3]) and _CURRENCY.fullmatch(pair[3:])):
            return Fault(f"'{shown(text)}' is no currency pair", "Two currencies of three letters, like EURUSD.")
        first, second = sorted((onshore(pair[:3]), onshore(pair[3:])))
        if first == second:
            return Fault(f"'{shown(text)}' is a pair of one currency", "Two currencies, like EURUSD.")
        return first + second
    if kind == MULTIPLIER:
        return _one_of(text, PRODUCT_CLASSES, "product class", "that has a multiplier")
    if not text:
        return Fault("no qualifier", f"{kind} is of a name.")
    fault = name_fault(text)
    return text if fault is None else Fault(f"the qualifier {fault[0]}", fault[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedLabels:
    """Rules of the labels that a calibration lists.

    Parameters
    ----------
    buckets, tenors : mapping of str to tuple of str
        By the risk types that have them.
    sub_curves : tuple of str
        Of interest rates.
    """

    buckets: Mapping[str, tuple[str, ...]]
    tenors: Mapping[str, tuple[str, ...]]
    sub_curves: tuple[str, ...]

    @classmethod
    def of(cls, parameters: SimmParameters) -> CalibratedLabels:
        """What a calibration knows."""
        credit = parameters.bucketed[RiskClass.CREDIT_QUALIFYING].tenors
        tenors = {**dict.fromkeys(CREDIT_TENOR_TYPES, credit), **dict.fromkeys(TENOR_TYPES, parameters.rates.tenors)}
        buckets = {kind: parameters.bucketed[risk_class].buckets for kind, risk_class in RISK_CLASS_OF.items()}
        return cls(
            buckets={name: buckets[kind] for name, kind in SIMM_TYPES.items() if kind in buckets},
            tenors={name: tenors[kind] for name, kind in SIMM_TYPES.items() if kind in tenors},
            sub_curves=parameters.rates.sub_curves,
        )

    def bucket(self, kind: str, text: str) -> str | Fault | Unused:
        """The bucket, without leading zeros; of an interest-rate row none."""
        known = self.buckets.get(kind)
        if known is None:
            return "" if kind == "Risk_IRCurve" or not text else UNUSED
        whole = _WHOLE.fullmatch(text)
        if whole is not None and whole[1] in known:
            return whole[1]
        return _one_of(text, known, "bucket", f"of {kind}")

    def label1(self, kind: str, text: str) -> str | Fault | Unused:
        """The tenor."""
        known = self.tenors.get(kind)
        if known is None:
            return UNUSED if text else ""
        return _one_of(text, known, "tenor", f"of {kind}")

    def label2(self, kind: str, text: str) -> str | Fault | Unused:
        """The sub-curve, the currency of payment, or the group of a securitisation."""
        if kind not in _WITH_LABEL2:
            return UNUSED if text else ""
        if kind == "Risk_IRCurve":
            return _one_of(text, self.sub_curves, "sub-curve", f"of {kind}")
        fault = name_fault(text)
        return text if fault is None else Fault(f"Label2 {fault[0]}", fault[1])


def end_date(kind: str, text: str) -> str | Fault | Unused:
    """The day on which a trade of the schedule ends, as year-month-day; nothing where a PV leaves it to the notional.

    Days come before months where slashes or dots part them, as in Open Source Risk Engine's example.
    """
    if kind not in (SCHEDULE_NOTIONAL, SCHEDULE_PV):
        return ""
    if not text:
        return "" if kind == SCHEDULE_PV else Fault("no end date", "EndDate says until when the rate is taken.")
    day_first = _DAY_FIRST.fullmatch(text)
    try:
        if day_first is not None:
            found = date(int(day_first[3]), int(day_first[2]), int(day_first[1]))
        else:
            found = date.fromisoformat(text[:10] if text[10:11] in ("T", " ") else text)
    except ValueError:
        return Fault(f"'{shown(text)}' is no date", "Write it like 2026-08-23.")
    return found.isoformat()


def regulations(kind: str, text: str) -> str | Fault | Unused:
    """Regulations by name, in order, with commas between them; those that are known in their own spelling.

    In another spelling a regulation would be another one, with its rows apart, and the requirement too low.
    """
    names = sorted({_REGULATIONS.get(name.lower(), name) for name in re.split(r"[,;\[\]\s\"]+", text) if name})
    if any(not name.isprintable() or len(name) > 64 for name in names):
        return Fault(f"'{shown(text)}' names no regulations", "Names like ESA, with commas between them.")
    return ",".join(names)


def onshore(currency: str) -> str:
    """CNH is taken as CNY."""
    return "CNY" if currency == "CNH" else currency


def _one_of(text: str, known: tuple[str, ...], what: str, where: str) -> str | Fault:
    for one in known:
        if one.lower() == text.lower():
            return one
    found = f"{what} '{shown(text)}'" if text else f"no {what}"
    return Fault(f"{found} {where}", f"One of {', '.join(known)}.")
