"""Names for the arrays that steps take, and the one way to make them read-only."""

from __future__ import annotations

from typing import TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

FloatArray: TypeAlias = npt.NDArray[np.float64]
IntArray: TypeAlias = npt.NDArray[np.int64]
BoolArray: TypeAlias = npt.NDArray[np.bool_]

_Array = TypeVar("_Array", bound=npt.NDArray[np.generic])


def read_only(array: _Array) -> _Array:
    """Contiguous `array` that refuses to be written to; a view where it already was contiguous."""
    fixed = np.ascontiguousarray(array).view()
    fixed.flags.writeable = False
    return fixed  # type: ignore[return-value]  # a view keeps the type, which numpy's stubs do not say


def offsets_from_counts(counts: IntArray) -> IntArray:
    """Row starts of a compressed-sparse-row layout: `(n,)` counts to `(n + 1,)` offsets."""
    offsets = np.zeros(len(counts) + 1, dtype=np.int64)
    np.cumsum(counts, out=offsets[1:])
    return offsets


def run_starts(values: IntArray) -> BoolArray:
    """Where each run of equal values begins: a mask of the shape of `values`, which have one axis."""
    starts = np.ones(len(values), dtype=np.bool_)
    np.not_equal(values[1:], values[:-1], out=starts[1:])
    return starts


def owners_of(offsets: IntArray) -> IntArray:
    """Row of each entry of a compressed-sparse-row layout: `(n + 1,)` offsets to `(offsets[-1],)` rows."""
    return np.repeat(np.arange(len(offsets) - 1), offsets[1:] - offsets[:-1])
