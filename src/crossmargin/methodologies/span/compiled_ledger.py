"""The functions of `ledger`, compiled as they stand: imported only where a book is large enough to pay for it.

Nothing of the ledger is written twice. Each of its functions is compiled in a copy of its module's namespace in which
the functions that it calls are the compiled ones.
"""

from __future__ import annotations

from typing import get_type_hints

from numba import types

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.compiled import Floats, FloatsOut, Int, Ints, IntsOut, Nothing, TableOut, compiled_from
from crossmargin.methodologies.span import ledger
from crossmargin.methodologies.span.ledger import LedgerBook, LedgerFigures
from crossmargin.methodologies.span.rules import LedgerRules


def _tuple_of(kind: type, integers: types.Type, floats: types.Type, **others: types.Type) -> types.Type:
    """The type of a named tuple whose fields are arrays of whole numbers or of floats, as their annotations say."""
    kinds = {IntArray: integers, FloatArray: floats}
    of = [others.get(name, kinds[annotation]) for name, annotation in get_type_hints(kind).items()]
    return types.NamedTuple(of, kind)  # type: ignore[no-untyped-call]


_RULES = _tuple_of(LedgerRules, Ints, Floats)
_BOOK = _tuple_of(LedgerBook, Ints, Floats)
_FIGURES = _tuple_of(LedgerFigures, IntsOut, FloatsOut, loss=TableOut)

_compiled = compiled_from(
    vars(ledger),
    {
        "decompose_all": Nothing(TableOut, Ints, Int, Int, FloatsOut, IntsOut, FloatsOut, FloatsOut, FloatsOut),
        "settle": Nothing(_RULES, Ints, _BOOK, _FIGURES, Int, Int),
    },
)
decompose_all = _compiled["decompose_all"]
settle = _compiled["settle"]
