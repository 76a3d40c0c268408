"""Parameter documents: JSON with a name, a version, a date and sources; read with every fault at once.

Shared by the families of methodologies. A figure is a decimal string or a number; what a family does not know is an
error, since a misspelt parameter would be one that silently does not apply.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import ParameterError, Problem, UnknownOptionError
from crossmargin.methodologies.protocol import ParametersInfo

FORMAT = "crossmargin-parameters/1"
HEADER = ("format", "family", "name", "version", "date", "title", "sources")
_LARGEST_DOCUMENT = 4 * 1024 * 1024


def document_of(source: str | Path | Mapping[str, Any] | None, package: str, default: str | None) -> dict[str, Any]:
    """The document: itself, of a set that ships in `package`, or of a JSON file; `None` is the default set.

    Raises
    ------
    ParameterError
        If there is no such set or file, or it is no JSON object.
    """
    if isinstance(source, Mapping):
        return dict(source)
    name = default if source is None else source
    if name is None:
        raise ParameterError(
            Problem(
                found="no parameters",
                needed=f"Name a JSON file{_or_shipped(package)}.",
                kind=ParameterError,
            )
        )
    shipped = resources.files(package).joinpath(f"{name}.json")
    if isinstance(name, str) and "/" not in name and shipped.is_file():
        text, shown = shipped.read_text(encoding="utf-8"), name
    else:
        path = Path(name)
        shown = path.name
        if not path.is_file():
            raise ParameterError(
                Problem(
                    found=f"no parameter set and no file called '{name}'",
                    needed=f"Name a JSON file{_or_shipped(package)}.",
                    kind=ParameterError,
                )
            )
        if path.stat().st_size > _LARGEST_DOCUMENT:
            raise ParameterError(f"{shown}: larger than {_LARGEST_DOCUMENT:,} bytes, no parameter file")
        try:
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            raise ParameterError(f"{shown}: is not UTF-8 text") from None
        except OSError as error:
            raise ParameterError(f"{shown}: cannot be read ({error.strerror})") from None
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ParameterError(f"{shown}: is not JSON ({error})") from None
    if not isinstance(document, dict):
        raise ParameterError(f"{shown}: is not a JSON object")
    return document


def shipped_sets(package: str) -> tuple[str, ...]:
    """Names of the parameter sets that ship in a package."""
    names = [entry.name for entry in resources.files(package).iterdir()]
    return tuple(sorted(name.removesuffix(".json") for name in names if name.endswith(".json")))


def _or_shipped(package: str) -> str:
    shipped = shipped_sets(package)
    return f", or one that ships: {', '.join(shipped)}" if shipped else ""


def name_of(document: Mapping[str, Any]) -> str:
    """What the document calls itself, for messages."""
    name = str(document.get("name") or "parameters")[:256]
    return name if name.isprintable() else "parameters"


def info_of(document: dict[str, Any]) -> ParametersInfo:
    """Name, version, date and hash of a document whose header was checked."""
    name = name_of(document)
    return ParametersInfo(
        name=name,
        version=document["version"],
        date=document["date"],
        digest=digest_of(document, name),
        document=document,
    )


class ParameterReader:
    """Takes figures out of a document and collects what is wrong with it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.problems: list[Problem] = []

    def wrong(self, where: str, found: str, needed: str) -> None:
        self.problems.append(Problem(found=found, needed=needed, file=self.name, column=where, kind=ParameterError))

    def header(self, document: Mapping[str, Any], family: str, fields: tuple[str, ...]) -> None:
        """What every document states: format, family, name, version and date; and nothing but `fields`.

        Raises
        ------
        ParameterError
            At once where it is a document of something else.
        """
        if document.get("format") != FORMAT or document.get("family") != family:
            raise ParameterError(
                Problem(
                    found=f"format {shown(document.get('format'))}, family {shown(document.get('family'))}",
                    needed=f"A parameter document has format '{FORMAT}' and family '{family}'.",
                    file=self.name,
                    kind=ParameterError,
                )
            )
        known = (*HEADER, *fields)
        for extra in sorted(map(str, set(document) - set(known))):
            self.wrong(extra, "is no parameter of this family", f"Known: {', '.join(known)}.")
        for key in ("name", "version", "date"):
            stated = document.get(key)
            if not isinstance(stated, str) or not stated or not stated.isprintable() or len(stated) > 256:
                self.wrong(key, f"is {shown(stated)}", "A text: every answer names it.")

    def section(self, parent: Mapping[str, Any], key: str, fields: tuple[str, ...], where: str = "") -> dict[str, Any]:
        value = parent.get(key)
        if isinstance(value, Mapping):
            value = dict(value)
        place = f"{where}{key}"
        if not isinstance(value, dict):
            self.wrong(place, "is missing or no object", f"It has the fields {', '.join(fields)}.")
            return {}
        for extra in sorted(map(str, set(value) - set(fields))):
            self.wrong(f"{place}.{extra}", "is no parameter of this family", f"Known: {', '.join(fields)}.")
        return value

    def number(self, section: Mapping[str, Any], key: str, where: str, low: float, high: float) -> float:
        raw = section.get(key)
        try:
            if not isinstance(raw, str | int | float) or isinstance(raw, bool) or "_" in str(raw):
                raise ValueError
            value = float(raw)
        except (OverflowError, ValueError):
            self.wrong(f"{where}.{key}", f"is {shown(raw)}", f"A number from {low:g} to {high:g}, as a string.")
            return low
        if not (math.isfinite(value) and low <= value <= high):
            self.wrong(f"{where}.{key}", f"is {shown(raw)}", f"A number from {low:g} to {high:g}.")
            return low
        return value


def shown(found: object) -> str:
    """A value for a message: a list or object only by its kind, a long text shortened."""
    if isinstance(found, str | int | float | None):
        try:
            text = repr(found)
        except ValueError:  # a whole number of thousands of digits
            return "a number that is too long"
        return text if len(text) <= 80 else f"{text[:80]}..."
    return "an object" if isinstance(found, Mapping) else f"a {type(found).__name__}"


def digest_of(document: Mapping[str, Any], name: str) -> str:
    """SHA-256 of the document in one canonical spelling."""
    try:
        canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=str)
    except (ValueError, TypeError, RecursionError) as error:
        raise ParameterError(f"{name}: cannot be written as JSON, so nobody could check it ({error})") from None
    return f"sha256:{hashlib.sha256(canonical.encode()).hexdigest()}"


def refuse_overrides(overrides: Mapping[str, Any]) -> None:
    """Raise `UnknownOptionError` if something is overridden in a family whose parameters are its document alone."""
    overrides_of(overrides, ())


def overrides_of(overrides: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """What is set by name, without what is left at `None`.

    Raises
    ------
    UnknownOptionError
        Naming everything that is not among `known`.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    unknown = sorted(set(given) - set(known))
    if unknown:
        can = f"Those that can: {', '.join(known)}. Change others" if known else "Change it"
        raise UnknownOptionError(
            [
                Problem(
                    found=f"'{name}' is no parameter that can be overridden",
                    needed=f"{can} in a parameter file of your own (--parameters).",
                    kind=ParameterError,
                )
                for name in unknown
            ],
            unknown,
        )
    return given
