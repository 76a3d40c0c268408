"""Progress of long work, on standard error: a bar on a terminal, else a line every few seconds.

Nothing is shown of work that is over within a second, and `rich` is imported only for a bar that is shown: quick
commands stay quick and never flicker.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Report = Callable[[int, int], None]
"""Called with what is done and the total, as often as the work likes."""

BAR_AFTER_SECONDS = 1.0
BAR_EVERY_SECONDS = 0.1
LINE_EVERY_SECONDS = 5.0


@contextmanager
def progress(
    things: str,
    *,
    quiet: bool = False,
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Report]:
    """A callback that shows how far the work of the block is; any thread may call it.

    Parameters
    ----------
    things : str
        What is counted, in the plural: `accounts`.
    quiet : bool
        Show nothing.
    stream : text file, optional
        Where to; standard error if left out.
    clock : callable
        Seconds that only go forward.
    """
    stream = stream or sys.stderr
    if quiet:
        yield lambda done, total: None
        return
    shown: _Shown = _Bar(things, stream, clock) if _is_terminal(stream) else _Lines(things, stream, clock)
    try:
        yield shown.report
    finally:
        shown.close()


def _is_terminal(stream: TextIO) -> bool:
    """Whether a bar can be redrawn there; colour is another question, and not asked here."""
    return stream.isatty() and os.environ.get("TERM", "") not in ("dumb", "unknown")


class _Shown:
    """Calls from any thread, one at a time; those that are late (after a later one, or after the end) are dropped."""

    def __init__(self, things: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._things, self._stream, self._clock = things, stream, clock
        self._begun = self._last = clock()
        self._done = -1
        self._lock = Lock()
        self._closed = False

    def report(self, done: int, total: int) -> None:
        with self._lock:
            if done > self._done and not self._closed:
                self._done = done
                now = self._clock()
                left = _duration((now - self._begun) * (total - done) / done) if done > 0 else "?"
                # The answer matters, not who watches: a closed standard error does not end the work.
                with suppress(OSError, ValueError):
                    self._show(done, total, left, now)

    def close(self) -> None:
        with self._lock, suppress(OSError, ValueError):
            self._closed = True
            self._end()

    def _show(self, done: int, total: int, left: str, now: float) -> None:
        raise NotImplementedError

    def _end(self) -> None:
        """Nothing is open."""


class _Lines(_Shown):
    """A line every few seconds, the first one when as many have passed."""

    def _show(self, done: int, total: int, left: str, now: float) -> None:
        if now - self._last < LINE_EVERY_SECONDS or not 0 < done < total:
            return
        self._last = now
        line = f"crossmargin: {done:,} of {total:,} {self._things} ({100 * done // total}%), {left} left"
        print(line, file=self._stream, flush=True)


class _Bar(_Shown):
    """A bar that appears once the work has taken a while, and is gone when it is over."""

    def __init__(self, things: str, stream: TextIO, clock: Callable[[], float]) -> None:
        super().__init__(things, stream, clock)
        self._bar: tuple[Progress, TaskID] | None = None

    def _show(self, done: int, total: int, left: str, now: float) -> None:
        if self._bar is None:
            if now - self._begun < BAR_AFTER_SECONDS or done >= total:
                return
            self._bar = self._opened(total)
        elif now - self._last < BAR_EVERY_SECONDS and done < total:
            return
        self._last = now
        bar, task = self._bar
        ending = f", {left} left" if done < total else ""
        bar.update(task, completed=done, total=total, words=f"{done:,} of {total:,} {self._things}{ending}")
        bar.refresh()

    def _end(self) -> None:
        if self._bar is not None:
            self._bar[0].stop()

    def _opened(self, total: int) -> tuple[Progress, TaskID]:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

        bar = Progress(
            TextColumn("crossmargin"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[words]}"),
            console=Console(file=self._stream, force_terminal=True),
            auto_refresh=False,  # drawn when something was reported: no thread beside the work
            transient=True,
            expand=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        task = bar.add_task("", total=total, words="")
        bar.start()
        return bar, task


def _duration(seconds: float) -> str:
    """Time left, no finer than it is known: `12 s`, `3 min`, `2 h 5 min`."""
    whole = max(1, round(seconds))
    if whole < 90:
        return f"{whole} s"
    hours, minutes = divmod(round(whole / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
