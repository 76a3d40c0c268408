"""A methodology by its name, and its parameters from wherever they are: what ships, a document, or an exchange's file.

The registry makes methodologies of parameters and reads no exchange's file. Which methodology has such a file, and who
reads it, stands here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import InputError, ParameterError, Problem
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
        As its factory takes them.

    Raises
    ------
    InputError
        If there is no methodology of that name, or its file cannot be read.
    ParameterError
        If its parameters are wrong or missing, or there is no such override.
    """
    known = entry(name)
    if name in READERS:
        if parameters is None:
            takes = known.about.parameters if known.about else "an exchange's parameter file"
            raise ParameterError(
                Problem(
                    found=f"no parameters for '{name}', which takes {takes}",
                    needed="Give the file with --parameters FILE (parameters=... in Python).",
                    kind=ParameterError,
                )
            )
        if isinstance(parameters, str | Path):
            parameters = READERS[name](Path(parameters))
    return known.factory(parameters, **overrides)


def read_methodologies(names: Sequence[str], parameters: Any = None, **overrides: Any) -> list[Methodology]:
    """Several with the same parameters, to be compared: those given, or else those that the first has by itself.

    Raises
    ------
    InputError, ParameterError
        As `read_methodology`; also if only some of them take their prices from their parameter file.
    """
    of_file = [name for name in names if entry(name).about is not None]
    if of_file and len(of_file) < len(names):
        others = [name for name in names if name not in of_file]
        raise InputError(
            Problem(
                found=f"{_listed(of_file)} of the prices in a parameter file, and {_listed(others)} of a market",
                needed="Compare methodologies of one market; margin the others by themselves.",
            )
        )
    methods: list[Methodology] = []
    for name in names:
        methods.append(read_methodology(name, parameters, **overrides))
        if parameters is None:
            parameters = methods[0].info.document
    return methods


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
