"""Options of an XML parameter file, taken out of its text before anything reads that as XML.

Nearly all of such a file is options, one like the other. A run of them, each of the shape of the first, is lifted out
and one small element stands in its place, with as many line ends, so that what is left is small and its lines keep
their numbers. The decision a reader would question, two ways to read an option, costs a fifth of the time of one: so
only what is beyond doubt is lifted. Plain numbers of at most 15 digits on either side of the point, ASCII, elements
that we know, each once, no attribute, comment or entity. Anything else stays for the XML parser to read or to refuse:
there are no errors here, and a file gives the same bits either way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import FloatArray
from crossmargin.methodologies.span.parameters import N_SCENARIOS

RUN = "opt.run"
"""Name of the element that stands for a run; it holds the index of the run."""
OPTION_NUMBERS = ("k", "p", "cvf", "sc")
"""Strike, price, and where an option has its own, the value factor and the delta scale."""
OPTION_UNUSED = ("cId", "d", "v", "pq", "priceType", "volType", "val", "svf")
"""`d` is the delta of today; the one that spreads are formed by is in the array."""
CALL, PUT = "C", "P"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Options:
    """Options as columns of shape `(n_options,)`, `loss` of `(n_options, 16)`; NaN for what they do not state."""

    right: npt.NDArray[np.int8]
    strike: FloatArray
    price: FloatArray
    value_factor: FloatArray
    scale: FloatArray
    delta: FloatArray
    loss: FloatArray

    def __len__(self) -> int:
        return len(self.right)

    @classmethod
    def of(cls, rights: Sequence[int], numbers: dict[str, FloatArray], delta: FloatArray, loss: FloatArray) -> Options:
        """From the numbers that are stated, by name."""
        none = np.full(len(rights), np.nan)
        return cls(
            right=np.array(rights, dtype=np.int8),
            strike=numbers.get("k", none),
            price=numbers.get("p", none),
            value_factor=numbers.get("cvf", none),
            scale=numbers.get("sc", none),
            delta=delta,
            loss=loss,
        )


_OPEN, _CLOSE = b"<opt>", b"</opt>"
_BLANK = rb"[ \t\r\n]*+"
_NUMBER = rb"([-+]?[0-9]{1,15}+(?:\.[0-9]{0,15}+)?+)"
# No markup, and nothing that XML forbids or that an encoding could make into something else.
_TEXT = rb"[\t\r\n\x20-%\x27-;=?-~]*+"
_LEAF = re.compile(_BLANK + rb"<([A-Za-z]++)>" + _TEXT + rb"</\1>")
_ARRAY_TEXT = (
    rb"<ra>" + _BLANK + rb"<r>[0-9]{1,9}+</r>"
    + (_BLANK + rb"<a>" + _NUMBER + rb"</a>") * N_SCENARIOS
    + _BLANK + rb"<d>" + _NUMBER + rb"</d>" + _BLANK + rb"</ra>"
)  # fmt: skip
_ARRAY = re.compile(_BLANK + _ARRAY_TEXT)
_END = re.compile(_BLANK + _CLOSE)


def lift_options(document: bytes) -> tuple[bytes, list[Options]]:
    """What is left of a document when its runs of options are lifted out of it, and the runs.

    Parameters
    ----------
    document : bytes
        In an encoding that has ASCII in it, such as UTF-8 or Latin-1; well-formed or not.
    """
    if RUN.encode() in document:  # an element of that name would be taken for ours
        return document, []
    left: list[bytes] = []
    runs: list[Options] = []
    kept = 0
    start = document.find(_OPEN)
    while start >= 0:
        end = start
        if names := _shape(document, start):
            match = _pattern(names).match
            rows = []
            while found := match(document, end):
                rows.append(found.groups())
                end = found.end()
            lines = b"\n" * document.count(b"\n", start, end)
            left += [document[kept:start], f"<{RUN}>{len(runs)}</{RUN}>".encode(), lines]
            runs.append(_columns(names, rows))
            kept = end
        start = document.find(_OPEN, max(end, start + len(_OPEN)))
    left.append(document[kept:])
    return b"".join(left), runs


def _shape(document: bytes, start: int) -> tuple[str, ...] | None:
    """Names of the elements of the option that begins at `start`; `None` if it is not to be lifted."""
    names: list[str] = []
    position = start + len(_OPEN)
    while not _END.match(document, position):
        if found := _ARRAY.match(document, position):
            names.append("ra")
        elif found := _LEAF.match(document, position):
            names.append(found[1].decode())
        else:
            return None
        position = found.end()
    shape = tuple(names)
    known = {"o", "ra", *OPTION_NUMBERS, *OPTION_UNUSED}
    fits = {"o", "k", "ra"} <= set(shape) <= known and len(set(shape)) == len(shape)
    # An unusual number keeps even the first option from its own pattern.
    return shape if fits and _pattern(shape).match(document, start) else None


@lru_cache(maxsize=64)
def _pattern(names: tuple[str, ...]) -> re.Pattern[bytes]:
    """An option of this shape: its right, its numbers and its array are the groups, in the order of `names`."""
    parts = []
    for name in names:
        tag = name.encode()
        if name == "ra":
            parts.append(_ARRAY_TEXT)
        else:
            inside = b"([CP])" if name == "o" else _NUMBER if name in OPTION_NUMBERS else _TEXT
            parts.append(b"<" + tag + b">" + inside + b"</" + tag + b">")
    return re.compile(_BLANK + _BLANK.join([_OPEN, *parts, _CLOSE]))


def _columns(names: tuple[str, ...], rows: list[tuple[bytes, ...]]) -> Options:
    """The groups of the options of a run as numbers."""
    columns = list(zip(*rows, strict=True))
    numbers: dict[str, FloatArray] = {}
    rights: list[int] = []
    at = 0
    for name in names:
        if name == "o":
            rights = [1 if text == b"C" else -1 for text in columns[at]]
            at += 1
        elif name == "ra":
            flat = [float(text) for column in columns[at : at + N_SCENARIOS + 1] for text in column]
            array = np.array(flat).reshape(N_SCENARIOS + 1, len(rows))
            at += N_SCENARIOS + 1
        elif name in OPTION_NUMBERS:
            numbers[name] = np.array([float(text) for text in columns[at]])
            at += 1
    return Options.of(rights, numbers, array[-1], np.ascontiguousarray(array[:-1].T))
