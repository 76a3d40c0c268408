"""Progress: nothing for quick work, a bar on a terminal, a line every few seconds elsewhere; never in the way."""

from __future__ import annotations

import io
import itertools
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from crossmargin.cli.progress import progress


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def terminal_that_can_redraw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.delenv("NO_COLOR", raising=False)


def work(stream: io.StringIO, *, seconds: float, parts: int = 100, quiet: bool = False) -> list[str]:
    """Report `parts` equal parts of a million accounts over `seconds`; what the stream holds after each."""
    clock, seen = Clock(), []
    with progress("accounts", quiet=quiet, stream=stream, clock=clock) as report:
        for part in range(1, parts + 1):
            clock.seconds += seconds / parts
            report(part * (1_000_000 // parts), 1_000_000)
            seen.append(stream.getvalue())
    return seen


def test_lines_come_every_few_seconds_and_say_what_is_left() -> None:
    stream = io.StringIO()
    work(stream, seconds=20.0)
    assert stream.getvalue().splitlines() == [
        "crossmargin: 250,000 of 1,000,000 accounts (25%), 15 s left",
        "crossmargin: 500,000 of 1,000,000 accounts (50%), 10 s left",
        "crossmargin: 750,000 of 1,000,000 accounts (75%), 5 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "left"), [(60.0, "54 s left"), (600.0, "9 min left"), (9000.0, "2 h 15 min left"), (85_000, "21 h 15 ")]
)
def test_time_left_is_no_finer_than_it_is_known(seconds: float, left: str) -> None:
    stream = io.StringIO()
    work(stream, seconds=seconds, parts=10)
    assert f"100,000 of 1,000,000 accounts (10%), {left}" in stream.getvalue().splitlines()[0]


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_quick_work_shows_nothing(stream: io.StringIO) -> None:
    assert set(work(stream, seconds=0.9)) == {""}
    assert stream.getvalue() == ""


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_quiet_work_shows_nothing_however_long(stream: io.StringIO) -> None:
    assert set(work(stream, seconds=1e5, quiet=True)) == {""}
    assert stream.getvalue() == ""


def test_the_bar_appears_after_a_second_moves_and_goes() -> None:
    stream = Terminal()
    seen = work(stream, seconds=10.0)
    assert set(seen[:9]) == {""}
    assert "100,000 of 1,000,000 accounts, 9 s left" in _plain(seen[10])
    assert "500,000 of 1,000,000 accounts, 5 s left" in _plain(seen[49])
    assert "50%" in _plain(seen[49])
    assert "1,000,000 of 1,000,000 accounts" in _plain(seen[-1])
    assert "left" not in _plain(seen[-1]).rpartition("1,000,000 of")[2]
    ended = stream.getvalue().removeprefix(seen[-1])
    assert "\x1b[2K" in ended  # its line is erased
    assert "\x1b[?25h" in ended  # the cursor is back
    assert "crossmargin: " not in stream.getvalue()


def test_the_bar_is_redrawn_at_most_ten_times_a_second() -> None:
    stream = Terminal()
    seen = work(stream, seconds=10.0, parts=10_000)
    redrawn = sum(now != before for before, now in itertools.pairwise(seen))
    assert 50 <= redrawn <= 101


def test_no_color_keeps_the_bar_and_drops_its_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = Terminal()
    work(coloured, seconds=10.0)
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Terminal()
    work(plain, seconds=10.0)
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9][0-9;]*m")
    assert colour.search(coloured.getvalue())
    assert not colour.search(plain.getvalue())
    assert "500,000 of 1,000,000 accounts" in _plain(plain.getvalue())


def test_a_terminal_that_cannot_redraw_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    work(stream, seconds=20.0)
    assert len(stream.getvalue().splitlines()) == 3
    assert "\x1b" not in stream.getvalue()


def test_the_bar_goes_when_the_work_fails() -> None:
    stream, clock = Terminal(), Clock()

    def interrupted() -> None:
        with progress("accounts", stream=stream, clock=clock) as report:
            clock.seconds += 5
            report(1, 10)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "1 of 10 accounts" in _plain(stream.getvalue())
    assert stream.getvalue().endswith("\x1b[2K") or "\x1b[?25h" in stream.getvalue()


@pytest.mark.parametrize("error", [BrokenPipeError(), ValueError("I/O operation on closed file")])
def test_nobody_watching_does_not_end_the_work(error: Exception) -> None:
    class Closed(io.StringIO):
        def write(self, _: str) -> int:
            raise error

    seen = work(Closed(), seconds=20.0)
    assert len(seen) == 100


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_threads_may_report_in_any_order_and_too_late(stream: io.StringIO) -> None:
    clock = Clock()
    with progress("accounts", stream=stream, clock=clock) as report:
        clock.seconds += 60
        report(600, 1_000)
        shown = stream.getvalue()
        clock.seconds += 60
        report(300, 1_000)  # was overtaken by the one before
        assert stream.getvalue() == shown
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda done: report(done, 1_000), range(601, 900)))
    assert "600 of 1,000 accounts" in _plain(stream.getvalue())
    assert "300 of" not in stream.getvalue()
    ended = stream.getvalue()
    clock.seconds += 60
    report(950, 1_000)  # a block that ends after Ctrl-C
    assert stream.getvalue() == ended


def test_nothing_done_of_nothing_is_no_division_by_zero() -> None:
    for stream in (io.StringIO(), Terminal()):
        clock = Clock()
        with progress("accounts", stream=stream, clock=clock) as report:
            for seconds in (0, 10, 10):
                clock.seconds += seconds
                report(0, 0)
                report(0, 7)
        assert "7" not in stream.getvalue() or "0 of 7 accounts, ? left" in _plain(stream.getvalue())


def test_rich_is_imported_for_a_bar_that_is_shown_and_for_no_other() -> None:
    program = (
        "import io, sys\n"
        "from crossmargin.cli.progress import progress\n"
        "class Terminal(io.StringIO):\n    isatty = lambda self: True\n"
        "now = [0.0]\n"
        "for stream, seconds in ((io.StringIO(), 1e5), (Terminal(), 0.5), (Terminal(), 2.0)):\n"
        "    with progress('accounts', stream=stream, clock=lambda: now[0]) as report:\n"
        "        now[0] += seconds\n"
        "        report(1, 2)\n"
        "    print('rich' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["False", "False", "True"]


def _plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)
