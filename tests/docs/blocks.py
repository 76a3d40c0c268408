"""The code blocks of README and docs: where they stand, how they run, what they printed.

A `python` block runs as it is, those of a page one after the other in one namespace. A `console` block holds commands
(`$ crossmargin ...`) and the output of each. Both run in a folder with copies of the sample files.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmargin.cli.main import main
from crossmargin.sample import sample_paths, span_sample_paths

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
_FILE = re.compile(r"^`([a-z-]+\.json)`:\n\n```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A file that a page shows whole, under its name: it is laid out as it is shown."""
_FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
WIDTH = "100"


@dataclass(frozen=True)
class Block:
    """One fenced block; `start` and `end` are offsets of its body in the page."""

    language: str
    body: str
    start: int
    end: int


def blocks(text: str) -> list[Block]:
    """All runnable blocks of a page, in order."""
    return [Block(m.group(1), m.group(2), m.start(2), m.end(2)) for m in _FENCE.finditer(text)]


CLIENTS = """account,instrument,quantity
ann,BTC-26NOV21-58000-P,-2
ann,BTC-26NOV21-48000-P,2
bob,BTC-PERPETUAL,5000
cid,BTC-26NOV21-58000-P,-1
cid,BTC-26NOV21-58500-P,1
"""
"""Positions of which one, of `cid`, is in no market."""


def lay_out(folder: Path) -> None:
    """Put the files that pages speak of into `folder`."""
    paths = sample_paths()
    shutil.copyfile(paths.positions, folder / "positions.csv")
    shutil.copyfile(paths.market, folder / "market.csv")
    shutil.copyfile(paths.balances, folder / "balances.csv")
    span = span_sample_paths()
    shutil.copyfile(span.positions, folder / "futures.csv")
    shutil.copyfile(span.parameters, folder / "exchange.spn")
    shutil.copyfile(span.contracts, folder / "contracts.csv")
    (folder / "clients.csv").write_text(CLIENTS, encoding="utf-8")
    for page in PAGES:
        for shown in _FILE.finditer(page.read_text(encoding="utf-8")):
            (folder / shown[1]).write_text(shown[2], encoding="utf-8")


@contextlib.contextmanager
def inside(folder: Path) -> Any:
    """Run in `folder`, at the width of the docs."""
    before, columns = Path.cwd(), os.environ.get("COLUMNS")
    os.chdir(folder)
    os.environ["COLUMNS"] = WIDTH
    try:
        yield
    finally:
        os.chdir(before)
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns


def run_command(line: str) -> str:
    """What a `crossmargin` command prints, standard output and standard error together."""
    words = shlex.split(line)
    assert words[0] == "crossmargin", line
    printed = io.StringIO()
    with (
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
        contextlib.suppress(SystemExit),
    ):
        main(words[1:])
    return printed.getvalue()


def run_console(body: str) -> str:
    """The console block with the output that its commands have now."""
    parts = []
    for line in body.splitlines():
        if line.startswith("$ "):
            parts.append(line + "\n" + run_command(line[2:]))
    return "".join(part if part.endswith("\n") else part + "\n" for part in parts)
