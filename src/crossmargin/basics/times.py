"""Times are UTC; years are actual seconds over 365 days.

Crypto venues and this engine count `seconds / (365 * 86400)`: the convention that reproduces the venues' marks
from their quoted volatilities.
"""

from __future__ import annotations

from datetime import UTC, datetime

SECONDS_PER_DAY = 86_400
DAYS_PER_YEAR = 365
SECONDS_PER_YEAR = DAYS_PER_YEAR * SECONDS_PER_DAY


def parse_utc(text: str) -> datetime:
    """Read an ISO 8601 time that states its zone, as UTC.

    Raises
    ------
    ValueError
        If `text` is no ISO time or states no zone: a time without a zone is a guess.
    """
    moment = datetime.fromisoformat(text.strip())
    if moment.tzinfo is None:
        raise ValueError(f"'{text}' states no time zone; write it like 2026-01-31T08:00:00Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"'{text}' is beyond the calendar") from None


def format_utc(moment: datetime) -> str:
    """ISO 8601 in UTC with `Z`, to the second where there is no finer part."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def epoch_seconds(moment: datetime) -> float:
    """Seconds since 1970-01-01 UTC."""
    return moment.timestamp()
