"""How many threads the calculation takes, and the pool that runs them.

A thread count never changes a number: work is cut by risk units or by cells, and each is done by one thread in one
order.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING

from crossmargin.basics.errors import InputError, Problem

if TYPE_CHECKING:
    # Imported where a pool is made: it brings in logging, which a small book should not wait for.
    from concurrent.futures import ThreadPoolExecutor

_chosen: ContextVar[int | None] = ContextVar("threads", default=None)
_pools: dict[int, ThreadPoolExecutor] = {}
_inside = threading.local()

if hasattr(os, "register_at_fork"):
    # A fork has the pool but not its threads: work given to it would never be done.
    os.register_at_fork(after_in_child=_pools.clear)


def thread_count() -> int:
    """Threads in use: as `using_threads` says, else the processors that this process may run on."""
    chosen = _chosen.get()
    if chosen is not None:
        return chosen
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Calculate on `count` threads inside; `None` leaves it as it is.

    Raises
    ------
    InputError
        If `count` is no whole number of at least 1.
    """
    if count is not None and (type(count) is not int or count < 1):  # True is no count
        raise InputError(Problem(found=f"{count!r} threads", needed="At least 1, or None for all processors."))
    token = _chosen.set(count if count is not None else _chosen.get())
    try:
        yield
    finally:
        _chosen.reset(token)


def for_each_range(work: Callable[[int, int], None], ranges: Sequence[tuple[int, int]]) -> None:
    """`work(first, last)` for every range, in parallel where there are several; the first error is raised."""
    count = min(thread_count(), len(ranges))
    if count <= 1 or getattr(_inside, "pool", False):  # a worker that waits for its own pool waits for ever
        for first, last in ranges:
            work(first, last)
        return
    running = [_pool(count).submit(copy_context().run, work, first, last) for first, last in ranges]
    try:
        for one in running:
            one.result()
    except BaseException:
        for one in running:
            one.cancel()
        raise


def _pool(count: int) -> ThreadPoolExecutor:
    if count not in _pools:
        from concurrent.futures import ThreadPoolExecutor

        _pools[count] = ThreadPoolExecutor(count, thread_name_prefix="crossmargin", initializer=_enter)
    return _pools[count]


def _enter() -> None:
    _inside.pool = True
