"""JSON from outside: limits first, then the standard library's parser, and nothing that JSON does not promise.

Size and nesting are looked at before anything is parsed. NaN, infinities and a key that stands twice in one object are
refused: two readers of such a text could see two documents.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import FileFormatError, Problem
from crossmargin.files.cells import shown
from crossmargin.files.tables import read_text

MOST_BYTES = 64 * 1024**2
"""Largest text: a venue's whole chain is under a hundredth of it."""
MOST_NESTING = 64
_LONGEST_NUMBER = 1000
# Possessive: what is matched is never tried again in another way, however long the text is.
_STRING = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_BRACKETS = re.compile(r"[\[\]{}]")


def read_json(path: Path, *, exact: bool = False) -> Any:
    """The document in a JSON file, which may be gzip; errors as `parse_json` and `read_text`."""
    return parse_json(read_text(path, MOST_BYTES), path.name, exact=exact)


def parse_json(text: str, file: str, *, exact: bool = False) -> Any:
    """The document that a JSON text holds.

    Parameters
    ----------
    text : str
        At most `MOST_BYTES` characters.
    file : str
        For messages.
    exact : bool
        Whether numbers with a fraction become `Decimal`, as they are written, and not `float`.

    Raises
    ------
    FileFormatError
        If it is too large, nested too deep, no JSON, or holds a key twice, NaN or an infinity.
    """
    if len(text) > MOST_BYTES:
        raise _error(file, f"has {len(text):,} characters", f"At most {MOST_BYTES:,} are read.")
    depth = 0
    for bracket in _BRACKETS.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MOST_NESTING:
            raise _error(file, f"is nested more than {MOST_NESTING} deep", "Save the answer as it comes.")
    try:
        return json.loads(
            text,
            parse_float=_exact if exact else float,
            parse_constant=_refuse_constant,
            object_pairs_hook=_without_duplicates,
        )
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise _error(file, f"is no JSON ({shown(str(error), 200)})", "Save the answer as it comes.") from None


def _exact(text: str) -> Decimal:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} characters")
    return Decimal(text)


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number here")


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        name = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"'{name}' stands twice in one object")
    return found


def _error(file: str, found: str, needed: str) -> FileFormatError:
    return FileFormatError(Problem(found=found, needed=needed, file=file, kind=FileFormatError))
