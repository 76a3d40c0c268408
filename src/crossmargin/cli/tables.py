"""Plain tables and trees for the terminal: right-aligned figures, rules instead of walls, width-aware."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from unicodedata import east_asian_width

from crossmargin.basics.explanation import Explanation
from crossmargin.reports import numbers

GAP = "  "
_COLOURS = {"warning": "33", "call": "38;5;208", "liquidation": "31;1", "bold": "1", "dim": "2"}
_VALUE_WIDTH = 16


def width() -> int:
    """Columns to write in: the terminal's, 100 where there is none; at least 40."""
    return max(40, shutil.get_terminal_size(fallback=(100, 24)).columns)


def styled(text: str, style: str) -> str:
    """`text` in a style, on a terminal that wants colour; colour never carries the meaning alone."""
    if style in _COLOURS and sys.stdout.isatty() and not os.environ.get("NO_COLOR"):
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m"
    return text


@dataclass(slots=True, kw_only=True)
class Column:
    """One column: header, cells, and how soon it goes when space is short (0 stays)."""

    header: str
    cells: Sequence[str]
    align: Literal["left", "right"] = "right"
    goes: int = 0
    width: int = field(init=False)

    def __post_init__(self) -> None:
        self.width = max(map(cell_width, (self.header, *self.cells)))


def cell_width(text: str) -> int:
    """Terminal cells that `text` takes."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)


def table(columns: Sequence[Column], *, total: bool = False, limit: int | None = None) -> str:
    """A table that fits into `limit` columns: the most dispensable columns go first, names are shortened last.

    With `total`, the last row is ruled off above.
    """
    limit = limit or width()
    shown = list(columns)
    while _needs(shown) > limit and any(column.goes for column in shown):
        shown.remove(max(shown, key=lambda column: column.goes))
    excess = _needs(shown) - limit
    for column in shown:
        if excess > 0 and column.align == "left":
            kept = max(8, column.width - excess)
            excess -= column.width - kept
            column.cells = [_shortened(cell, kept) for cell in column.cells]
            column.width = max(cell_width(column.header), kept)
    lines = [
        _line([c.header for c in shown], shown),
        "\N{BOX DRAWINGS LIGHT HORIZONTAL}" * min(limit, _needs(shown)),
    ]
    rows = [_line(list(cells), shown) for cells in zip(*(c.cells for c in shown), strict=True)]
    if total and rows:
        rows.insert(-1, lines[1])
    return "\n".join(lines + rows)


def _needs(columns: Sequence[Column]) -> int:
    return sum(column.width for column in columns) + len(GAP) * (len(columns) - 1)


def _line(cells: Sequence[str], columns: Sequence[Column]) -> str:
    parts = []
    for cell, column in zip(cells, columns, strict=True):
        blank = " " * (column.width - cell_width(cell))
        text = styled(cell, cell) if cell in _COLOURS else cell
        parts.append(text + blank if column.align == "left" else blank + text)
    return GAP.join(parts).rstrip()


def _shortened(text: str, limit: int) -> str:
    return text if cell_width(text) <= limit else text[: max(1, limit - 1)] + "\N{HORIZONTAL ELLIPSIS}"


def tree(root: Explanation) -> str:
    """An explanation as indented lines, figures in one right-aligned column, the rule behind each."""
    label_width = max(24, width() - _VALUE_WIDTH - 2)
    lines = []
    for depth, node in root.walk():
        indent = "  " * depth
        figure = numbers.figure(node.value, node.unit, root.unit)
        if depth == 0 and node.unit:
            figure = numbers.requirement(node.value)  # rounded as everywhere else, against the account
        words = numbers.signs(node.label) + (f" = {node.rule}" if node.rule and node.parts else "")
        wrapped = textwrap.wrap(words, max(16, label_width - len(indent)), subsequent_indent="  ") or [""]
        for k, line in enumerate(wrapped):
            label = indent + line
            last = k == len(wrapped) - 1
            blank = " " * max(1, width() - cell_width(label) - len(figure))
            lines.append(label + blank + figure if last else label)
        if node.note and depth:  # the notes of the whole stand below the answer
            lines += textwrap.wrap(
                f"({node.note})", width(), initial_indent=indent + "  ", subsequent_indent=indent + "  "
            )
    return "\n".join(lines)


def paragraphs(lines: Sequence[str]) -> str:
    """Sentences wrapped to the width, one below the other."""
    return "\n".join(
        textwrap.fill(numbers.signs(line), width(), subsequent_indent="  ", break_long_words=False) for line in lines
    )
