"""Names of many millions of rows to numbers, batch by batch, without holding the text of more than one batch.

Numbers are looked up by a 64-bit hash, which is what makes it fast, and every row is then compared with the name that
its number stands for, which is what makes it exact: where two names share a hash, another hash is taken. Imported only
for large files: it loads polars and numba.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import types

from crossmargin.basics.arrays import IntArray
from crossmargin.basics.compiled import Int, IntsOut, compiled

_SMALLEST_TABLE = 1 << 12

_HASHES = types.Array(types.uint64, 1, "C", readonly=True)
_HASHES_OUT = types.Array(types.uint64, 1, "C")
_CODES_OUT = types.Array(types.int32, 1, "C")

Hashes = npt.NDArray[np.uint64]
Codes32 = npt.NDArray[np.int32]


class NameCodes:
    """Numbers distinct spellings in the order in which they come.

    Parameters
    ----------
    spelling : callable
        The one spelling of a name as it stands in the file; several names may have one spelling, and then one number.
    """

    def __init__(self, spelling: Callable[[str], str]) -> None:
        self.names: list[str] = []
        self._spelling = spelling
        self._number: dict[str, int] | None = None  # needed only once a spelling is not the name as it is written
        self._seed = 0
        self._as_written = pl.Series([], dtype=pl.String)
        self._number_of_written = np.zeros(0, dtype=np.int32)
        self._keys: Hashes = np.zeros(0, dtype=np.uint64)
        self._slots: Codes32 = np.zeros(0, dtype=np.int32)

    def codes(self, names: pl.Series) -> Codes32:
        """The number of each name of a batch, shape `(n_rows,)`; `names` lists what they stand for."""
        while True:
            self._size_table(len(names))
            written = np.empty(len(names), dtype=np.int32)
            new_rows = np.empty(len(names), dtype=np.int64)
            n_before = len(self._as_written)
            hashes = _hashes(names, self._seed)
            n_now = numbered(hashes, self._keys, self._slots, n_before, written, new_rows)
            self._add(names.gather(new_rows[: n_now - n_before]))
            if (self._as_written.gather(written) == names).all():
                return self._number_of_written[written] if self._number is not None else written
            self._seed += 1
            self._size_table(len(names), anew=True)

    def _add(self, written: pl.Series) -> None:
        if not len(written):
            return
        as_written = written.to_list()
        spelled = list(map(self._spelling, as_written))
        if self._number is None and spelled == as_written:
            numbers = np.arange(len(self.names), len(self.names) + len(spelled), dtype=np.int32)
            self.names += spelled
        else:
            if self._number is None:
                self._number = {name: k for k, name in enumerate(self.names)}
            new = dict.fromkeys(name for name in spelled if name not in self._number)
            self._number.update(zip(new, range(len(self.names), len(self.names) + len(new)), strict=True))
            self.names += new
            numbers = np.array([self._number[name] for name in spelled], dtype=np.int32)
        self._as_written = pl.concat([self._as_written, written]).rechunk()
        self._number_of_written = np.concatenate((self._number_of_written, numbers))

    def _size_table(self, n_more: int, anew: bool = False) -> None:
        """A table in which `n_more` names find room; those that are known are entered again in a larger one."""
        n_known, size = len(self._as_written), _SMALLEST_TABLE
        while 2 * size < 3 * (n_known + n_more):
            size *= 2
        if not anew and size <= len(self._slots):
            return
        self._keys = np.empty(size, dtype=np.uint64)
        self._slots = np.full(size, -1, dtype=np.int32)
        known, unused = np.empty(n_known, dtype=np.int32), np.empty(n_known, dtype=np.int64)
        n_entered = numbered(_hashes(self._as_written, self._seed), self._keys, self._slots, 0, known, unused)
        if n_entered < n_known:  # two known names share a hash
            self._seed += 1
            self._size_table(n_more, anew=True)


def _hashes(names: pl.Series, seed: int) -> Hashes:
    return np.ascontiguousarray(names.hash(seed).to_numpy())


@compiled(Int, _HASHES, _HASHES_OUT, _CODES_OUT, Int, _CODES_OUT, IntsOut)
def numbered(
    hashes: Hashes, keys: Hashes, slots: Codes32, n_known: int, codes: Codes32, new_rows: IntArray
) -> int:  # fmt: skip
    """Number hashes in order of appearance, in a table with open addressing whose size is a power of two.

    `slots` holds the number or -1, `keys` its hash. Fills `codes`, and `new_rows` with the row in which each new number
    comes first; returns how many numbers there are.
    """
    n_numbers, mask = n_known, np.uint64(len(slots) - 1)
    for k in range(len(hashes)):
        at = np.int64(hashes[k] & mask)
        while slots[at] >= 0 and keys[at] != hashes[k]:
            at = np.int64(np.uint64(at + 1) & mask)
        if slots[at] < 0:
            slots[at] = n_numbers
            keys[at] = hashes[k]
            new_rows[n_numbers - n_known] = k
            n_numbers += 1
        codes[k] = slots[at]
    return n_numbers
