"""SIMM parameters in the XML layout of Open Source Risk Engine (`simmcalibration_*.xml`), to a parameter document.

The numbers are taken field by field and nothing is calculated; the document has the form of the sets that ship, and
whoever makes parameters of it checks its figures. What one might question: the layout's `label1`/`label2` matrices are
kept as they are written, both halves, so a matrix that is not symmetric is seen and refused there. A field of another
name is an error: a parameter that is skipped would silently not apply. There are no entities, no DTD and no network.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from lxml import etree  # type: ignore[import-untyped]  # it brings no types

from crossmargin.basics.errors import FileFormatError, Problem, raise_problems
from crossmargin.files.cells import shown
from crossmargin.files.tables import head, read_text

MOST_BYTES = 4 * 1024 * 1024
"""Largest calibration; one version has about 64,000 bytes."""
_ROOT, _CALIBRATION = "SIMMCalibrationData", "SIMMCalibration"
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")

Element: TypeAlias = Any
"""An element of lxml, which brings no types."""
Numbers: TypeAlias = Mapping[str, Any]

_BUCKETED = ("CreditQualifying", "CreditNonQualifying", "Equity", "Commodity")
_CLASSES = ("InterestRate", *_BUCKETED, "FX")
_HVR = frozenset(("InterestRate", "Equity", "Commodity", "FX"))
_THRESHOLD_UNIT = {"InterestRate": "bp", "FX": "pct"}


def is_ore_calibration(path: Path) -> bool:
    """Whether a file begins as such a calibration does; not, where it cannot be read: its reader says why."""
    try:
        return f"<{_ROOT}".encode() in head(path, 4096)
    except FileFormatError:
        return False


def read_ore_calibration(path: str | Path, version: str | None = None) -> dict[str, Any]:
    """The parameter document of a calibration file.

    Parameters
    ----------
    path : path
        XML, plain or gzip.
    version : str, optional
        Which calibration, by a name of it, where the file holds several.

    Returns
    -------
    dict
        `version`, `effective_date`, one object for each risk class, `psi_risk_class`, `provenance`: numbers as floats,
        in the units of the file.

    Raises
    ------
    FileFormatError
        Listing every field that is missing, unknown, given twice or no number.
    """
    path = Path(path)
    text = read_text(path, MOST_BYTES)
    found = _Fields(path.name)
    root = _parsed(text, path.name)
    calibration = _chosen(root, version, found)
    document = _document(calibration, found)
    raise_problems(found.problems)
    return document


def _parsed(text: str, file: str) -> Element:
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False)
    try:
        root = etree.fromstring(text.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise FileFormatError(
            Problem(
                found=f"is no XML that can be read ({error.msg})",
                needed="Save it again from where it came.",
                file=file,
                row=error.lineno,
                kind=FileFormatError,
            )
        ) from None
    if root.getroottree().docinfo.doctype:
        raise FileFormatError(
            Problem(found="has a DTD", needed="A calibration needs none.", file=file, kind=FileFormatError)
        )
    if root.tag != _ROOT:
        raise FileFormatError(
            Problem(
                found=f"is XML of '{shown(str(root.tag))}'",
                needed=f"A calibration is a {_ROOT}.",
                file=file,
                kind=FileFormatError,
            )
        )
    return root


def _chosen(root: Element, version: str | None, found: _Fields) -> Element:
    """The calibration that is asked for, or the only one."""
    known = [(one, _names(one)) for one in root if one.tag == _CALIBRATION]
    wanted = [one for one, names in known if version is None or version in names]
    if len(wanted) != 1:
        listed = ", ".join("/".join(names) or "one without a name" for _, names in known) or "none"
        asked = "one is needed" if version is None else f"'{version}' names {len(wanted)} of them"
        raise FileFormatError(
            Problem(
                found=f"{len(known)} calibrations ({shown(listed)}); {asked}",
                needed="Say which with its version.",
                file=found.file,
                kind=FileFormatError,
            )
        )
    return wanted[0]


def _names(calibration: Element) -> list[str]:
    return [(name.text or "").strip() for name in calibration.iterfind("VersionNames/Name")]


def _document(calibration: Element, found: _Fields) -> dict[str, Any]:
    found.only(calibration, "", ("VersionNames", "AdditionalFields", *_CLASSES, "RiskClassCorrelations"))
    names = _names(calibration)
    if not names:
        found.wrong(calibration, "VersionNames", "no version name", "A Name: every answer states it.")
    effective = calibration.findtext("AdditionalFields/SIMM_EffectiveDate", default="").strip()
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", effective):
        where = "AdditionalFields/SIMM_EffectiveDate"
        found.wrong(calibration, where, f"'{shown(effective)}' is no date", "A date like 2025-12-06.")
    document: dict[str, Any] = {"version": names[0] if names else "", "effective_date": effective}
    for risk_class in _CLASSES:
        section = found.one(calibration, risk_class, "")
        document[risk_class] = {} if section is None else _risk_class(section, risk_class, found)
    psi = found.one(calibration, "RiskClassCorrelations", "")
    document["psi_risk_class"] = {} if psi is None else found.matrix(psi, "Correlation", "RiskClassCorrelations")
    document["provenance"] = {
        "source": f"{found.file}, calibration '{calibration.get('id', '')}'",
        "method": "field-by-field conversion of the XML",
    }
    return document


def _risk_class(section: Element, name: str, found: _Fields) -> dict[str, Any]:
    """Weights, correlations and thresholds of one risk class."""
    found.only(section, name, ("RiskWeights", "Correlations", "ConcentrationThresholds"))
    out: dict[str, Any] = {}
    weights = found.one(section, "RiskWeights", name)
    if weights is not None:
        out |= _weights(weights, name, found)
    correlations = found.one(section, "Correlations", name)
    if correlations is not None:
        out |= _correlations(correlations, name, found)
    thresholds = found.one(section, "ConcentrationThresholds", name)
    if thresholds is not None:
        out |= _thresholds(thresholds, name, found)
    return out


def _weights(section: Element, name: str, found: _Fields) -> dict[str, Any]:
    where = f"{name}/RiskWeights"
    fields = ["Delta", "Vega"]
    out = {
        "delta_rw_by_mpor": found.by_mpor(section, "Delta", where, "Weight"),
        "vega_rw_by_mpor": found.by_mpor(section, "Vega", where, "Weight"),
    }
    if name in _HVR:
        fields.append("HistoricalVolatilityRatio")
        out["hvr_by_mpor"] = found.by_mpor(section, fields[-1], where)
    if name == "InterestRate":
        fields += ["Inflation", "XCcyBasis", "CurrencyLists"]
        out["inflation_rw_by_mpor"] = found.by_mpor(section, "Inflation", where)
        out["xccy_basis_rw_by_mpor"] = found.by_mpor(section, "XCcyBasis", where)
        out["rw_currency_bucket"] = found.currencies(section, where)
    elif name == "FX":
        fields.append("CurrencyLists")
        out["volatility_group"] = found.currencies(section, where)
    elif name == "CreditQualifying":
        fields.append("BaseCorrelation")
        out["base_corr_rw_by_mpor"] = found.by_mpor(section, "BaseCorrelation", where)
    found.only(section, where, fields)
    return out


def _correlations(section: Element, name: str, found: _Fields) -> dict[str, Any]:
    where = f"{name}/Correlations"
    intra = found.one(section, "IntraBucket", where)
    inner = f"{where}/IntraBucket"
    if name == "InterestRate":
        found.only(section, where, ("IntraBucket", "Inflation", "Outer", "SubCurves", "XCcyBasis"))
        return {
            "tenor_corr": {} if intra is None else found.matrix(intra, "Correlation", inner),
            "subcurve_corr": found.number_of(section, "SubCurves", where),
            "inflation_corr": found.number_of(section, "Inflation", where),
            "xccy_corr": found.number_of(section, "XCcyBasis", where),
            "gamma": found.number_of(section, "Outer", where),
        }
    if name == "FX":
        found.only(section, where, ("IntraBucket", "Volatility"))
        by_group = {} if intra is None else found.nested(intra, "Correlation", inner, ("bucket", "label1", "label2"))
        return {
            "corr_by_calc_ccy_group": by_group,
            "vol_corr": found.number_of(section, "Volatility", where),
        }
    base = ("BaseCorrelation",) if name == "CreditQualifying" else ()
    found.only(section, where, ("IntraBucket", "InterBucket", *base))
    keys = ("label1", "label2") if name.startswith("Credit") else ("bucket",)
    inter = found.one(section, "InterBucket", where)
    out: dict[str, Any] = {
        "intra_corr": {} if intra is None else found.nested(intra, "Correlation", inner, keys),
        "gamma": {} if inter is None else found.matrix(inter, "Correlation", f"{where}/InterBucket"),
    }
    if base:
        out["base_corr_corr"] = found.number_of(section, "BaseCorrelation", where)
    return out


def _thresholds(section: Element, name: str, found: _Fields) -> dict[str, Any]:
    """Concentration thresholds, millions of dollars."""
    where = f"{name}/ConcentrationThresholds"
    lists = {"InterestRate": "concentration_currency_bucket", "FX": "concentration_category"}.get(name)
    found.only(section, where, ("Delta", "Vega", *(("CurrencyLists",) if lists else ())))
    out: dict[str, Any] = {}
    unit = _THRESHOLD_UNIT.get(name, "unit")
    for tag, key in (("Delta", f"delta_threshold_musd_per_{unit}"), ("Vega", "vega_threshold_musd")):
        block = found.one(section, tag, where)
        out[key] = {} if block is None else found.table(block, "Threshold", f"{where}/{tag}")
    if lists:
        out[lists] = found.currencies(section, where)
    return out


class _Fields:
    """Takes fields out of elements and collects what is wrong with them."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def wrong(self, element: Element, where: str, what: str, needed: str) -> None:
        row = element.sourceline
        self.problems.append(
            Problem(found=what, needed=needed, file=self.file, row=row, column=where, kind=FileFormatError)
        )

    def only(self, section: Element, where: str, tags: tuple[str, ...] | list[str]) -> None:
        """Every element of `section` is called by one of `tags`."""
        for child in _children(section):
            if child.tag not in tags:
                what = f"'{shown(str(child.tag))}' is no field of this layout"
                self.wrong(child, where or _CALIBRATION, what, f"Known: {', '.join(tags)}.")

    def one(self, section: Element, tag: str, where: str) -> Element | None:
        """The only element of that name; `None`, which is on the list, if there is none or are several."""
        found = section.findall(tag)
        if len(found) == 1:
            return found[0]
        self.wrong(section, f"{where}/{tag}".strip("/"), f"stands {len(found)} times", "It stands once.")
        return None

    def number(self, element: Element, where: str) -> float:
        text = (element.text or "").strip()
        value = float(text) if len(text) <= 40 and _DECIMAL.fullmatch(text) else math.nan
        if not math.isfinite(value):
            self.wrong(element, where, f"'{shown(text)}' is no number", "A decimal number.")
            return 0.0
        return value

    def number_of(self, section: Element, tag: str, where: str) -> float:
        element = self.one(section, tag, where)
        return 0.0 if element is None else self.number(element, f"{where}/{tag}")

    def by_mpor(self, section: Element, tag: str, where: str, inner: str | None = None) -> dict[str, Any]:
        """Figures for each margin period of risk: a number, or with `inner` a table of them."""
        out: dict[str, Any] = {}
        place = f"{where}/{tag}"
        for element in section.findall(tag):
            days = element.get("mporDays", "")
            if days not in ("1", "10"):
                self.wrong(element, place, f"mporDays is '{shown(days)}'", "1 or 10.")
            elif days in out:
                self.wrong(element, place, f"mporDays {days} stands twice", "Once for each period.")
            else:
                out[days] = self.number(element, place) if inner is None else self.table(element, inner, place)
        for days in {"1", "10"} - out.keys():
            self.wrong(section, place, f"mporDays {days} is missing", "Figures for 1 and 10 days.")
        return out

    def table(self, section: Element, tag: str, where: str) -> Any:
        """One number, or numbers by the attributes that the first of them has."""
        first = section.find(tag)
        keys = () if first is None else tuple(key for key in ("bucket", "label1", "label2") if key in first.attrib)
        if keys:
            return self.nested(section, tag, where, keys)
        self.only(section, where, (tag,))
        return self.number_of(section, tag, where)

    def nested(self, section: Element, tag: str, where: str, keys: tuple[str, ...]) -> dict[str, Any]:
        """Numbers by their attributes, one level for each."""
        self.only(section, where, (tag,))
        out: dict[str, Any] = {}
        for element in section.findall(tag):
            if set(element.attrib) != set(keys) or not all(element.attrib.values()):
                what = f"has the attributes {', '.join(sorted(element.attrib)) or 'none'}"
                self.wrong(element, where, what, f"It has {', '.join(keys)}.")
                continue
            level = out
            for key in keys[:-1]:
                level = level.setdefault(element.get(key), {})
            last = element.get(keys[-1])
            if last in level:
                at = " ".join(f"{key} {element.get(key)}" for key in keys)
                self.wrong(element, where, f"{at} stands twice", "Once.")
            level[last] = self.number(element, where)
        if not out:
            self.wrong(section, where, f"has no {tag}", "At least one.")
        return out

    def matrix(self, section: Element, tag: str, where: str) -> dict[str, Any]:
        """Numbers by two labels."""
        return self.nested(section, tag, where, ("label1", "label2"))

    def currencies(self, section: Element, where: str) -> dict[str, list[str]]:
        """Currencies by group; the group of all others lists 'Other'."""
        lists = self.one(section, "CurrencyLists", where)
        place = f"{where}/CurrencyLists"
        out: dict[str, list[str]] = {}
        seen: set[str] = set()
        if lists is None:
            return out
        self.only(lists, place, ("Currency",))
        for element in lists.findall("Currency"):
            name, group = (element.text or "").strip(), element.get("bucket", "")
            if not group or not (name == "Other" or re.fullmatch("[A-Z]{3}", name)):
                self.wrong(element, place, f"'{shown(name)}' in group '{shown(group)}'", "A currency and its bucket.")
            elif name in seen:
                self.wrong(element, place, f"{name} stands twice", "Once: a currency has one group.")
            else:
                seen.add(name)
                out.setdefault(group, []).append(name)
        if "Other" not in seen:
            self.wrong(lists, place, "no group has 'Other'", "One group is that of all other currencies.")
        return out


def _children(section: Element) -> Iterator[Element]:
    """Elements; comments and instructions are none."""
    return (child for child in section if isinstance(child.tag, str))
