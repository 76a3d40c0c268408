"""Every error that crossmargin raises on purpose, on one page.

    CrossmarginError
    ├── InputError                 the caller's data
    │   ├── FileFormatError        a file that cannot be read as what it should be
    │   ├── VenueError             a venue whose public data cannot be fetched
    │   ├── SymbolError            an instrument name that says no contract
    │   ├── QuantityError          a quantity that is no exact finite number
    │   ├── PortfolioError         accounts, netting sets, segregation that contradict each other
    │   ├── UnknownInstrumentError a position in something the market does not list
    │   ├── UnknownAccountError    a question about an account that the book does not hold
    │   ├── ExpiredInstrumentError a position in something that is no more
    │   ├── MissingQuoteError      a price, forward or volatility that is not there
    │   └── ShapeError             arrays that disagree
    ├── UnsupportedError           right data, a case that the method does not cover
    └── ParameterError             a rulebook file is wrong
        └── UnknownOptionError     something set by name that the methodology does not have

A deficit, a refused order or an expired call is a result, not an error. A violated assumption of our
own is an `assert`. Whoever checks many things collects every `Problem` first and raises once.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, where it stands, and what would do.

    Parameters
    ----------
    found : str
        What was found, as a full clause.
    needed : str
        What would do.
    file : str
        File name, or a description of the source; empty where there is none.
    row : int or None
        1-based row in the file, the header being row 1.
    column : str
        Column or field name; empty where the whole row or file is meant.
    kind : type[CrossmarginError] or None
        The error that this problem alone would raise; `None` means `InputError`.
    instruments : tuple of str
        Instruments that it is about, where they are several: those of an underlying without an index price.
    instrument : str
        The instrument that it is about, where a later stage found it: who read the positions knows their row.
    account : str
        The account or netting set that it is about, where it is about one: what it holds cannot be margined.
    asset : str
        The asset that it is about, where it is about one: whoever has a balance in it cannot be margined.
    """

    found: str
    needed: str = ""
    file: str = ""
    row: int | None = None
    column: str = ""
    kind: type[CrossmarginError] | None = None
    instrument: str = ""
    instruments: tuple[str, ...] = ()
    account: str = ""
    asset: str = ""

    def __str__(self) -> str:
        place = [self.file] if self.file else []
        if self.row is not None:
            place.append(f"row {self.row}")
        if self.column:
            place.append(f"column '{self.column}'")
        where = ", ".join(place)
        text = f"{where}: {self.found}" if where else self.found
        end = "" if text.endswith(("?", ".", "!")) else "."
        return f"{text}{end} {self.needed}" if self.needed else text


class CrossmarginError(Exception):
    """Root of all errors raised on purpose; holds every problem found, in order."""

    def __init__(self, problems: str | Problem | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(found=problems)
        if isinstance(problems, Problem):
            problems = (problems,)
        self.problems: tuple[Problem, ...] = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class InputError(CrossmarginError):
    """The caller's data is wrong."""


class FileFormatError(InputError):
    """A file cannot be read as what it should be."""


class VenueError(InputError):
    """A venue did not answer, or not with what was asked for."""


class SymbolError(InputError):
    """An instrument name says no contract."""


class QuantityError(InputError):
    """A quantity is no exact finite number."""


class PortfolioError(InputError):
    """Accounts, netting sets or segregation contradict each other."""


class UnknownInstrumentError(InputError):
    """A position in something that the market does not list."""


class UnknownAccountError(InputError):
    """A question about an account that the book does not hold."""


class ExpiredInstrumentError(InputError):
    """A position in a contract that has expired at the time of the market."""


class MissingQuoteError(InputError):
    """A price, forward or volatility that the calculation needs is not there."""


class ShapeError(InputError):
    """Arrays disagree on a dimension."""


class UnsupportedError(CrossmarginError):
    """The data is right, but the method does not cover this case."""


class ParameterError(CrossmarginError):
    """A rulebook or parameter file is wrong."""


class UnknownOptionError(ParameterError):
    """Something is set by name that the methodology does not have.

    Parameters
    ----------
    problems : sequence of Problem
        One a name.
    names : sequence of str
        The names.
    """

    def __init__(self, problems: Sequence[Problem], names: Sequence[str]) -> None:
        super().__init__(problems)
        self.names = tuple(names)


def raise_problems(problems: Sequence[Problem]) -> None:
    """Raise one error with all `problems`, of their common kind; do nothing if there are none.

    Problems of several kinds raise the root that they share: `InputError`, unless all of them
    belong to `UnsupportedError` or `ParameterError`.
    """
    if not problems:
        return
    kinds = {problem.kind or InputError for problem in problems}
    for kind in (*kinds, UnsupportedError, ParameterError):
        if all(issubclass(other, kind) for other in kinds):
            raise kind(problems)
    raise InputError(problems)
