"""Names of accounts and instruments: how long they may be, and what may stand in them."""

from __future__ import annotations

LONGEST_NAME = 256


def name_fault(name: str) -> tuple[str, str] | None:
    """What is wrong with a name of an account or instrument, and what would do; `None` if nothing."""
    if len(name) > LONGEST_NAME:
        return f"has {len(name):,} characters", f"At most {LONGEST_NAME} are read."
    if not name.isprintable():
        return f"{name!r} has characters that cannot be shown", "Remove them."
    return None
