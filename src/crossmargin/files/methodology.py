"""A methodology by its name, and its parameters from wherever they are: what ships, a document, or an exchange's file.

The registry makes methodologies of parameters and reads no exchange's file. Which methodology has such a file, and who
reads it, stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import InputError, ParameterError, Problem
from crossmargin.methodologies.parameter_files import document_of, shipped_sets
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import entry


def _span_file(path: Path) -> Any:
    from crossmargin.files.span import read_span

    return read_span(path)


READERS: dict[str, Callable[[Path], Any]] = {"span": _span_file}
"""By methodology, what reads the exchange's file that its parameters are. A reader imports what it needs when it is
called: listing the methodologies loads no parser."""


def read_methodology(name: str, parameters: Any = None, **overrides: Any) -> Methodology:
    """The methodology called `name` with its parameters.

    Parameters
    ----------
    name : str
        As `crossmargin methodologies` lists it.
    parameters
        As its factory takes them: name of a set that ships, JSON file, document. Of a methodology in `READERS`: the
        path of the exchange's file, or what its reader made of one.
    **overrides
        As its factory takes them. A `history` of risk factors may be a file or a frame, as `read_history` takes it.

    Raises
    ------
    InputError
        If there is no methodology of that name, or a file cannot be read.
    ParameterError
        If its parameters are wrong or missing, or there is no such override.
    """
    known = entry(name)
    if parameters is None and known.about is not None:
        raise ParameterError(
            Problem(
                found=f"no parameters for '{name}', which takes {known.about.parameters}",
                needed="Give the file with --parameters FILE (parameters=... in Python).",
                kind=ParameterError,
            )
        )
    if name in READERS and isinstance(parameters, str | Path):
        parameters = READERS[name](Path(parameters))
    if overrides.get("history") is not None:
        if not known.takes_history:
            raise InputError(
                Problem(found=f"a history for '{name}', which takes none", needed="Leave --history out (history=...).")
            )
        from crossmargin.files.history import read_history

        overrides["history"] = read_history(overrides["history"])
    return known.factory(parameters, **overrides)


def read_methodologies(names: Sequence[str], parameters: Any = None, **overrides: Any) -> list[Methodology]:
    """Several to be compared, each with the parameters given if they are of its family, and else with its own.

    A history goes to those that take one.

    Raises
    ------
    InputError, ParameterError
        As `read_methodology`; also if only some of them take their prices from their parameter file, or the parameters
        are of nobody's family.
    """
    of_file = [name for name in names if name in READERS]
    if of_file and len(of_file) < len(names):
        others = [name for name in names if name not in of_file]
        raise InputError(
            Problem(
                found=f"{_listed(of_file)} of the prices in a parameter file, and {_listed(others)} of a market",
                needed="Compare methodologies of one market; margin the others by themselves.",
            )
        )
    history = overrides.pop("history", None)
    if history is not None and any(entry(name).takes_history for name in names):
        from crossmargin.files.history import read_history

        history = read_history(history)

    def made(name: str, its_parameters: Any) -> Methodology:
        own = {"history": history} if history is not None and (entry(name).takes_history or len(names) == 1) else {}
        return read_methodology(name, its_parameters, **overrides, **own)

    if parameters is None or of_file:
        return [made(name, parameters) for name in names]
    stated = _family_of(parameters, names)
    return [made(name, parameters if entry(name).family == stated else None) for name in names]


def _family_of(parameters: Any, names: Sequence[str]) -> str:
    """The family that a document, a file or a set by name is of; where only one is asked for, that one."""
    entries = [entry(name) for name in names]
    families = tuple(dict.fromkeys(one.family for one in entries))
    if len(families) == 1:
        return families[0]
    document = parameters
    if isinstance(parameters, str | Path):
        packages = [one.package for one in entries if one.package]
        ships_it = [package for package in packages if str(parameters) in shipped_sets(package)]
        document = document_of(parameters, (ships_it or packages)[0], None)
    stated = document.get("family") if isinstance(document, Mapping) else None
    if stated not in families:
        raise ParameterError(
            Problem(
                found=f"parameters of family '{stated}', which none of the methodologies takes",
                needed=f"They take {_listed(families)}.",
                kind=ParameterError,
            )
        )
    return str(stated)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
