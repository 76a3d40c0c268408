"""Ctrl-C: a real signal to a real process, which leaves one line, exit code 130 and no half of a file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from crossmargin.cli import commands
from crossmargin.cli.main import main
from crossmargin.sample import sample_paths

PATHS = sample_paths()
MARGIN = ("margin", str(PATHS.positions), "--market", str(PATHS.market))


def started(program: str, *arguments: object) -> subprocess.Popen[str]:
    """The command line in a process of its own; `program` runs before it."""
    # Children of a shell in the background ignore Ctrl-C: here it must arrive.
    ready = "import signal\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
    program = f"{ready}{program}\nfrom crossmargin.cli.main import main\nmain()"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def interrupted(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Send Ctrl-C; exit code, standard output and standard error."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def waiting(process: subprocess.Popen[str]) -> list[str]:
    """The words that a process says before it waits for its signal."""
    assert process.stdout is not None
    return process.stdout.readline().split()


READING = """
import signal
from crossmargin.files import inputs
def paused(*_, **__):
    print("reading", flush=True)
    signal.pause()
inputs.read_inputs = paused
"""


def test_while_files_are_read(tmp_path: Path) -> None:
    process = started(READING, *MARGIN, "--report", tmp_path / "r.html")
    assert waiting(process) == ["reading"]
    assert interrupted(process) == (130, "", "Interrupted: nothing was written.\n")
    assert list(tmp_path.iterdir()) == []


WRITING = """
import os, signal
def paused(source, target):
    print("writing", os.path.getsize(source), flush=True)
    signal.pause()
os.replace = paused
"""


@pytest.mark.parametrize("there_before", [True, False])
@pytest.mark.parametrize("command", ["report", "case"])
def test_while_a_file_is_written(tmp_path: Path, command: str, there_before: bool) -> None:
    target = tmp_path / "out"
    if there_before:
        target.write_text("old\n", encoding="utf-8")
    arguments = {
        "report": (*MARGIN, "--report", target),
        "case": ("case", *MARGIN[1:], "--account", "vertical", "--out", target),
    }
    process = started(WRITING, *arguments[command])
    said, size = waiting(process)
    assert said == "writing"
    assert int(size) > 1000  # all of it is in the temporary file, which has not taken the target's place
    assert len(list(tmp_path.iterdir())) == 1 + there_before
    assert interrupted(process) == (130, "", "Interrupted: nothing was written.\n")
    assert [path.read_text(encoding="utf-8") for path in tmp_path.iterdir()] == ["old\n"] * there_before


def test_what_was_written_before_is_said(tmp_path: Path) -> None:
    report = tmp_path / "r.html"
    program = (
        "import signal\n"
        "from crossmargin.cli import show\n"
        "def paused(*_, **__):\n    print('printing', flush=True)\n    signal.pause()\n"
        "show.margin_text = paused\n"
    )
    process = started(program, *MARGIN, "--report", report)
    assert waiting(process) == ["printing"]
    assert interrupted(process) == (130, "", f"Interrupted: {report} was written, nothing else.\n")
    assert report.read_text(encoding="utf-8").rstrip().endswith("</html>")


def test_while_the_commands_are_imported() -> None:
    program = (
        "import signal, sys\n"
        "class Pausing:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'cyclopts':\n            print('importing', flush=True)\n            signal.pause()\n"
        "sys.meta_path.insert(0, Pausing())\n"
    )
    process = started(program, *MARGIN)
    assert waiting(process) == ["importing"]
    assert interrupted(process) == (130, "", "Interrupted: nothing was written.\n")


def test_in_this_process_the_next_command_is_not_affected(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = signal.getsignal(signal.SIGINT)

    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    def code(arguments: tuple[str, ...]) -> int | str | None:
        with pytest.raises(SystemExit) as exited:
            main(list(arguments))
        return exited.value.code

    with monkeypatch.context() as patch:
        patch.setattr(commands, "_loaded", pressed)
        assert code(MARGIN) == 130
    assert capsys.readouterr() == ("", "Interrupted: nothing was written.\n")
    assert code(MARGIN) == 0
    assert signal.getsignal(signal.SIGINT) is handler
