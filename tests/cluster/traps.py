"""Methodologies that misbehave for one account; workers import them from here."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


def pid() -> int:
    """Of the worker."""
    return os.getpid()


@dataclass(frozen=True, eq=False)
class Trap:
    """`method`, but not where `account` is in the book."""

    method: Any
    account: str
    folder: Path

    def requirements(self, book: Any, *others: Any) -> Any:
        if self.account in book.margin_accounts:
            self.spring()
        return self.method.requirements(book, *others)

    def spring(self) -> None:
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "method":  # asked for while it is unpickled
            raise AttributeError(name)
        return getattr(self.method, name)


class Raises(Trap):
    """As an error that nobody foresaw."""

    def spring(self) -> None:
        raise ZeroDivisionError("a shard\nthat cannot be")


class Dies(Trap):
    """Each time."""

    def spring(self) -> None:
        os._exit(1)


class WaitsOnce(Trap):
    """Tells its process the first time, and waits there; goes on at once the next time."""

    def spring(self) -> None:
        told = self.folder / "pid"
        if not told.exists():
            partial = told.with_suffix(".partial")
            partial.write_text(str(os.getpid()))
            partial.rename(told)
            time.sleep(60)


class NotPicklableError(ZeroDivisionError):
    """An exception that Ray cannot take apart and put together."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one + two)


class RaisesOddly(Trap):
    """An exception that does not survive the way back."""

    def spring(self) -> None:
        raise NotPicklableError("odd", "ly")
