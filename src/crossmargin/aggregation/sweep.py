"""The sweep: quantities times unit P&L, unit by unit, in one fixed order.

A risk unit's P&L is the running sum, position by position in the order of instrument names, of
`quantity * unit_pnl`: the same two roundings for each position whether the unit is alone or one of a million, which
a matrix product does not promise. Small books run the numpy loop (`loops`), large ones the compiled one (`kernels`),
on as many threads as there are: the bits are the same. Nothing of the size units x scenarios outlives its block.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from types import ModuleType
from typing import TypeVar

import numpy as np

from crossmargin.aggregation import loops
from crossmargin.basics.arrays import FloatArray, IntArray, owners_of, read_only, run_starts
from crossmargin.basics.errors import InputError, ParameterError, QuantityError, ShapeError
from crossmargin.basics.threads import for_each_range, thread_count

BLOCK_UNITS = 4096
"""Units of which a recipe sees the scenarios at once: with 35 scenarios their P&L takes about 1 MB of cache."""
_CHUNK_UNITS = 1 << 14
"""Units that a thread takes at once: enough of them walk over a tile of the table while it is in cache."""
_SMALLEST_CHUNK = 256
_COMPILED_FROM = 50_000_000
"""Multiplications from which the compiled loop pays for its import (0.7 s) in a process that has not done it."""
_VECTOR = 8
"""Numbers in the widest vector: rows of a table are padded to a multiple of it."""
_MOST_PNL = 1e300
"""Sums that cannot pass this cannot become infinite, and no difference of infinities can pass for a number."""
_Array = TypeVar("_Array", FloatArray, IntArray)
_KERNELS = "crossmargin.aggregation.kernels"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Holdings:
    """Positions of risk units as compressed sparse rows.

    Parameters
    ----------
    offsets : ndarray of shape (n_units + 1,)
        Unit `k` holds positions `offsets[k]` to `offsets[k + 1]`.
    instrument : ndarray of shape (n_positions,)
        Row of the unit P&L table; inside a unit in the order of instrument names.
    quantity : ndarray of shape (n_positions,)
        Signed contracts; long is positive.
    """

    offsets: IntArray
    instrument: IntArray
    quantity: FloatArray
    largest: int = field(init=False)
    """Largest of `instrument`, -1 if nothing is held: the compiled loop trusts its indices, so they are checked."""
    size: float = field(init=False)
    """No sum of quantities is larger: so that no P&L can be, whatever a unit holds."""

    def __post_init__(self) -> None:
        # The compiled loop trusts what is checked here, so nobody may change it afterwards.
        object.__setattr__(self, "offsets", _own(_whole("offsets", self.offsets)))
        object.__setattr__(self, "instrument", _own(_whole("instrument", self.instrument)))
        object.__setattr__(self, "quantity", _own(_real("quantity", self.quantity, 1)))
        held = self.instrument
        if len(self.quantity) != len(held):
            raise ShapeError(f"{len(held)} instruments and {len(self.quantity)} quantities")
        ends = len(self.offsets) and self.offsets[0] == 0 and self.offsets[-1] == len(held)
        if not ends or np.any(self.offsets[1:] < self.offsets[:-1]):
            raise ShapeError(f"offsets that do not rise from 0 to {len(held)}")
        size = _magnitude(self.quantity)
        if not math.isfinite(size):
            raise QuantityError("a quantity that is no finite number")
        if len(held) and held.min() < 0:
            raise ShapeError(f"a position in instrument {held.min()}")
        object.__setattr__(self, "largest", int(held.max(initial=-1)))
        object.__setattr__(self, "size", size * len(held))

    @property
    def n_units(self) -> int:
        """How many units there are."""
        return len(self.offsets) - 1

    def unit(self) -> IntArray:
        """Unit of each position, shape `(n_positions,)`."""
        return owners_of(self.offsets)


def _whole(what: str, values: IntArray) -> IntArray:
    """Indices as they must be: whole numbers on one axis."""
    array = np.asarray(values)
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size) or array.dtype == np.uint64:
        raise ShapeError(f"{what} of shape {array.shape} and type {array.dtype}: they are whole numbers on one axis")
    return array.astype(np.int64, copy=False)


def _real(what: str, values: FloatArray, n_axes: int) -> FloatArray:
    """Figures as they must be: real numbers on so many axes, nothing masked."""
    array = np.asarray(values)
    if array.ndim != n_axes or array.dtype.kind not in "fiu" or isinstance(values, np.ma.MaskedArray):
        raise ShapeError(
            f"{what} of shape {array.shape} and type {array.dtype}: real numbers on {n_axes} axes are needed"
        )
    return array.astype(np.float64, copy=False)


def _own(values: _Array) -> _Array:
    """`values` as nobody else can change them: themselves if they cannot be written to, else a copy."""
    return read_only(values if not values.flags.writeable else values.copy())


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaidOut:
    """A unit P&L table as the loops read it: finite, rows of whole vectors, each at the start of a cache line.

    Whoever sweeps one table again and again lays it out once; see `laid_out`.

    Parameters
    ----------
    flat : ndarray of shape (n_instruments * row_length,)
        The rows one after the other, padded with zeros.
    largest : float
        Largest magnitude in it.
    """

    flat: FloatArray
    row_length: int
    n_instruments: int
    n_scenarios: int
    largest: float


def laid_out(unit_pnl: FloatArray | LaidOut) -> LaidOut:
    """`unit_pnl` of shape `(n_instruments, n_scenarios)` as the loops read it.

    Raises
    ------
    InputError
        If it holds NaN or infinity.
    """
    if isinstance(unit_pnl, LaidOut):
        return unit_pnl
    unit_pnl = _real("unit P&L", unit_pnl, 2)
    largest = _largest(unit_pnl)
    n_instruments, n_scenarios = unit_pnl.shape
    row_length = -(-max(n_scenarios, 1) // _VECTOR) * _VECTOR
    room = np.zeros(n_instruments * row_length + _VECTOR)
    skip = (-room.__array_interface__["data"][0] // 8) % _VECTOR
    flat = room[skip : skip + n_instruments * row_length]
    flat.reshape(n_instruments, row_length)[:, :n_scenarios] = unit_pnl
    return LaidOut(
        flat=flat, row_length=row_length, n_instruments=n_instruments, n_scenarios=n_scenarios, largest=largest
    )


def _magnitude(values: FloatArray) -> float:
    """Largest magnitude, NaN if there is one; without a copy of `values`."""
    return float(max(values.max(initial=0.0), -values.min(initial=0.0)))


def _largest(of_one: FloatArray) -> float:
    """Largest magnitude of figures of one contract; they are finite."""
    largest = _magnitude(of_one)
    if not math.isfinite(largest):
        raise InputError("a figure of one contract that is no finite number")
    return largest


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Segments:
    """Positions of each unit cut more finely: by expiry, tier, bucket.

    Segments are swept as units are: they are `Holdings` too, of more and smaller ones. A method may then treat each
    segment's P&L in a non-linear way before it adds those of a unit.

    Parameters
    ----------
    holdings : Holdings
        One "unit" a segment, by unit, then label; inside a segment in the order of positions.
    unit, label : ndarray of shape (n_segments,)
        Where each belongs.
    unit_offsets : ndarray of shape (n_units + 1,)
        Segments of unit `k` are `unit_offsets[k]` to `unit_offsets[k + 1]`.
    of_position : ndarray of shape (n_positions,)
        Segment of each position, in the order of the unit's own holdings.
    """

    holdings: Holdings
    unit: IntArray
    label: IntArray
    unit_offsets: IntArray
    of_position: IntArray

    def sum_by_unit(self, values: FloatArray, weight: FloatArray) -> FloatArray:
        """Sum of `values * weight[label]` over the segments of each unit, one after the other.

        Parameters
        ----------
        values : ndarray of shape (n_segments,)
            Of each segment.
        weight : ndarray of shape (n_labels,)
            Of each label.
        """
        # Segments are to their unit what positions are to it: a label for an instrument, a value for a quantity.
        held = Holdings(offsets=self.unit_offsets, instrument=self.label, quantity=read_only(values))
        return unit_sum(held, weight)


def segments(holdings: Holdings, label: IntArray) -> Segments:
    """Cut the units of `holdings` by the label of what they hold.

    Parameters
    ----------
    holdings : Holdings
        Units.
    label : ndarray of shape (n_instruments,)
        Label of each instrument, 0 and up.
    """
    label = _whole("label", label)
    if holdings.largest >= len(label):
        raise ShapeError(f"a position in instrument {holdings.largest}, and {len(label)} labels")
    if len(label) and not (label.min() >= 0 and label.max() < 2**31):
        raise ShapeError(f"labels {label.min()} to {label.max()}: they are 0 and up, below 2**31")
    n_labels = int(label.max(initial=0)) + 1
    key = holdings.unit() * n_labels + label[holdings.instrument]
    instrument, quantity = holdings.instrument, holdings.quantity
    order = None
    if np.any(key[1:] < key[:-1]):
        order = np.argsort(key, kind="stable")
        key, instrument, quantity = key[order], instrument[order], quantity[order]
    is_first = run_starts(key)
    first = np.flatnonzero(is_first)
    number = np.cumsum(is_first) - 1
    if order is not None:
        of_position = np.empty_like(number)
        of_position[order] = number
        number = of_position
    unit, of_label = np.divmod(key[first], n_labels)
    return Segments(
        holdings=Holdings(
            offsets=read_only(np.append(first, len(key))),
            instrument=read_only(instrument),
            quantity=read_only(quantity),
        ),
        unit=read_only(unit),
        label=read_only(of_label),
        unit_offsets=read_only(np.searchsorted(unit, np.arange(holdings.n_units + 1))),
        of_position=read_only(number),
    )


def blocks(n_units: int, block_units: int = BLOCK_UNITS) -> Iterator[tuple[int, int]]:
    """Half-open ranges that cover `n_units`."""
    for first in range(0, n_units, block_units):
        yield first, min(first + block_units, n_units)


def group_blocks(offsets: IntArray, block_units: int = BLOCK_UNITS) -> Iterator[tuple[int, int]]:
    """Half-open ranges of groups of at most `block_units` units; a larger group is a block of its own.

    Parameters
    ----------
    offsets : ndarray of shape (n_groups + 1,)
        Group `g` has units `offsets[g]` to `offsets[g + 1]`.
    """
    first = 0
    while first < len(offsets) - 1:
        last = max(first + 1, int(np.searchsorted(offsets, offsets[first] + block_units, side="right")) - 1)
        yield first, last
        first = last


def scenario_pnl(holdings: Holdings, unit_pnl: FloatArray | LaidOut, units: IntArray | None = None) -> FloatArray:
    """P&L of units in each scenario.

    Parameters
    ----------
    holdings : Holdings
        All units.
    unit_pnl : ndarray of shape (n_instruments, n_scenarios), or LaidOut
        Gain of one long contract.
    units : ndarray of shape (n_chosen,), optional
        Which units; all if left out.

    Returns
    -------
    ndarray of shape (n_chosen, n_scenarios)
        Positive is a gain; 0 for a unit without positions.
    """
    sweep = _Sweep.of_table(holdings, unit_pnl, units)
    pnl = np.empty((len(sweep.units), sweep.n_scenarios))
    sweep.run("scenario_pnl", pnl)
    return pnl


def unit_sum(holdings: Holdings, of_one: FloatArray) -> FloatArray:
    """Sum of `quantity * of_one` in each unit, `of_one` of shape `(n_instruments,)`: a sweep of one scenario."""
    of_one = _real("figures of one contract", of_one, 1)
    sweep = _Sweep(holdings, len(of_one), 1, _largest(of_one))
    sums = np.empty(holdings.n_units)
    of_one = np.ascontiguousarray(of_one)
    for_each_range(
        lambda first, last: sweep.loop.unit_sum(*sweep.holdings, of_one, first, last, sums),
        sweep.ranges(),
    )
    return sums


def worst_loss(
    holdings: Holdings, unit_pnl: FloatArray | LaidOut, units: IntArray | None = None
) -> tuple[FloatArray, IntArray]:
    """Largest loss of each unit and its scenario; arguments as `scenario_pnl`.

    Returns
    -------
    loss : ndarray of shape (n_chosen,)
        Minus the smallest P&L: negative when every scenario gains.
    scenario : ndarray of shape (n_chosen,)
        The lowest index among ties.

    Raises
    ------
    ShapeError
        If there is no scenario.
    """
    sweep = _Sweep.of_table(holdings, unit_pnl, units)
    sweep.need_scenarios()
    loss = np.empty(len(sweep.units))
    scenario = np.empty(len(sweep.units), dtype=np.int64)
    sweep.run("worst", loss, scenario)
    np.negative(loss, out=loss)
    loss += 0.0  # a loss of nothing is 0, not -0
    return loss, scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail:
    """Worst part of equally likely scenarios, as expected shortfall takes it.

    With `n` scenarios the tail holds `(1 - level) * n` of them, at least 1 and not necessarily a whole number: the
    worst count whole, the last by the fraction that is left. At 99% of 1,000 that is the mean of the worst 10; of 250,
    two and a half.
    This is the coherent estimator of Acerbi and Tasche: no interpolation between losses, subadditive for every `n`.

    Parameters
    ----------
    level : Decimal
        Confidence level, at least 0 and below 1, exact: as a float 0.99 would leave a tail of a little over 10.
    """

    level: Decimal

    def __post_init__(self) -> None:
        if not isinstance(self.level, Decimal):
            raise ParameterError(f"a confidence level of type {type(self.level).__name__}; write Decimal('0.99')")
        if not (self.level.is_finite() and 0 <= self.level < 1):
            raise ParameterError(f"a confidence level of {self.level}; it is at least 0 and below 1, like 0.99")

    def size(self, n_scenarios: int) -> Fraction:
        """Scenarios in the tail; at least 1, the worst."""
        return max(Fraction(1), (1 - Fraction(self.level)) * n_scenarios)

    def weights(self, n_scenarios: int) -> FloatArray:
        """Weight of each loss of the tail, worst first: 1, and at the end the fraction that is left."""
        whole, rest = divmod(self.size(n_scenarios), 1)
        return np.array([1.0] * int(whole) + ([float(rest)] if rest else []))


def expected_shortfall(
    holdings: Holdings, unit_pnl: FloatArray | LaidOut, tail: Tail, units: IntArray | None = None
) -> tuple[FloatArray, IntArray]:
    """Mean loss of each unit over its worst scenarios; arguments as `scenario_pnl`.

    Returns
    -------
    shortfall : ndarray of shape (n_chosen,)
        Positive is a loss: the losses of the tail added worst first, ties by scenario index, over the tail's size.
    scenario : ndarray of shape (n_chosen,)
        The worst of them.

    Raises
    ------
    ShapeError
        If there is no scenario.
    """
    sweep = _Sweep.of_table(holdings, unit_pnl, units)
    sweep.need_scenarios()
    weights, size = tail.weights(sweep.n_scenarios), float(tail.size(sweep.n_scenarios))
    shortfall = np.empty(len(sweep.units))
    scenario = np.empty(len(sweep.units), dtype=np.int64)

    def one_block(first: int, last: int) -> None:
        worst_pnl, worst_scenario = sweep.tail(first, last, len(weights))
        total = np.zeros(last - first)
        for k, weight in enumerate(weights.tolist()):
            total -= worst_pnl[:, k] * weight
        shortfall[first:last] = total / size
        scenario[first:last] = worst_scenario[:, 0]

    for_each_range(one_block, sweep.ranges())
    return shortfall, scenario


def tail_scenarios(
    holdings: Holdings, unit_pnl: FloatArray | LaidOut, n_tail: int, units: IntArray | None = None
) -> tuple[FloatArray, IntArray]:
    """The `n_tail` smallest P&L of each unit and their scenarios, worst first, both `(n_chosen, n_tail)`."""
    sweep = _Sweep.of_table(holdings, unit_pnl, units)
    if not 0 < n_tail <= sweep.n_scenarios:
        raise ShapeError(f"a tail of {n_tail} of {sweep.n_scenarios} scenarios")
    return sweep.tail(0, len(sweep.units), n_tail)


def compiled_kernels() -> ModuleType:
    """The compiled loops; the first import in a process takes about a second, the first on a machine several."""
    from crossmargin.aggregation import kernels

    return kernels


def expect_work(multiplications: int) -> None:
    """Say how much is to come in small pieces, so that what pays only for all of them together is done."""
    if not _is_small(multiplications):
        compiled_kernels()


def compiled_if_worth(multiplications: int, module: str = _KERNELS) -> bool:
    """Whether work of this size runs compiled: it is large, or this process has paid for that module already."""
    return module in sys.modules or multiplications >= _COMPILED_FROM


class _Sweep:
    """Arguments of the loops, checked, and the choice between the two implementations."""

    def __init__(
        self,
        holdings: Holdings,
        n_instruments: int,
        n_scenarios: int,
        largest: float,
        units: IntArray | None = None,
    ) -> None:
        if holdings.largest >= n_instruments:
            raise ShapeError(f"a position in instrument {holdings.largest} of a table of {n_instruments}")
        if holdings.size * largest > _MOST_PNL:
            raise InputError(
                f"positions of {holdings.size:g} contracts and {largest:g} a contract: too large to add up"
            )
        if units is None:
            self.units = np.arange(holdings.n_units)
            n_positions = len(holdings.instrument)
        else:
            units = self.units = np.ascontiguousarray(_whole("units", units))
            if len(units) and not (units.min() >= 0 and units.max() < holdings.n_units):
                raise ShapeError(f"units {units.min()} to {units.max()} of {holdings.n_units}")
            n_positions = int((holdings.offsets[units + 1] - holdings.offsets[units]).sum())
        self.n_scenarios = n_scenarios
        self.loop = loops if _is_small(n_positions * max(n_scenarios, _VECTOR)) else compiled_kernels()
        self.holdings = (holdings.offsets, holdings.instrument, holdings.quantity)

    @classmethod
    def of_table(cls, holdings: Holdings, unit_pnl: FloatArray | LaidOut, units: IntArray | None) -> _Sweep:
        table = laid_out(unit_pnl)
        sweep = cls(holdings, table.n_instruments, table.n_scenarios, table.largest, units)
        sweep.table = (table.flat, table.row_length, table.n_scenarios)
        return sweep

    table: tuple[FloatArray, int, int]

    def need_scenarios(self) -> None:
        if self.n_scenarios == 0 and len(self.units):
            raise ShapeError("a unit P&L table without scenarios")

    def ranges(self) -> list[tuple[int, int]]:
        n = len(self.units)
        if self.loop is loops:
            return list(blocks(n))
        if n <= _SMALLEST_CHUNK:
            return [(0, n)]
        # As many chunks for each thread, so that no thread waits for the last of another.
        threads = thread_count()
        rounds = max(2, -(-n // (threads * _CHUNK_UNITS)))
        return list(blocks(n, max(-(-n // (threads * rounds)), _SMALLEST_CHUNK)))

    def run(self, name: str, *outputs: FloatArray | IntArray) -> None:
        work: Callable[..., None] = getattr(self.loop, name)

        def one_block(first: int, last: int) -> None:
            work(*self.holdings, *self.table, self.units, first, last, *outputs)

        for_each_range(one_block, self.ranges())

    def tail(self, first: int, last: int, n_tail: int) -> tuple[FloatArray, IntArray]:
        """Of units `first` to `last` only: nothing of the size of all units times the tail."""
        pnl = np.empty((last - first, n_tail))
        scenario = np.zeros((last - first, n_tail), dtype=np.int64)
        self.loop.tail(*self.holdings, *self.table, self.units[first:last], 0, last - first, pnl, scenario)
        return pnl, scenario


def _is_small(multiplications: int) -> bool:
    """Whether the numpy loop is the quicker one: in a process without kernels it saves their import."""
    return not compiled_if_worth(multiplications)


def segment_sum(values: FloatArray, segment: IntArray, n_segments: int) -> FloatArray:
    """Sum of `values` by segment, added one after the other in their order.

    Parameters
    ----------
    values : ndarray of shape (n,)
        What is added.
    segment : ndarray of shape (n,)
        Segment of each value.

    Returns
    -------
    ndarray of shape (n_segments,)
        0 where a segment is empty.
    """
    return np.bincount(segment, weights=values, minlength=n_segments).astype(np.float64)
