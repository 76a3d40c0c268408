"""Contracts by the names of a source that values them itself: an exchange's parameter file, for example.

Such a source has no quotes that a model could price from, and may list more contracts than anybody wants terms of. So a
market says of them only what reading positions needs: whether a name is listed, how it is spelled, and what is wrong
with one that is not. What a contract is worth stays with the methodology that the source belongs to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from crossmargin.basics.errors import Problem


class Listing(Protocol):
    """What a source lists, by name."""

    @property
    def names(self) -> Sequence[str]:
        """Every name; may be made only when somebody asks, and take long."""

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the source that can move a number, as `sha256:...`."""

    def __contains__(self, name: object) -> bool:
        """Whether `name`, spelled as `spelled` spells it, is listed."""

    def spelled(self, name: str) -> str:
        """The one spelling of whatever a person wrote; what is not recognised comes back without outer blanks."""

    def problem_with(self, name: str, *, file: str = "", row: int | None = None, column: str = "") -> Problem | None:
        """Why a position in `name` cannot be margined; `None` if it can."""
