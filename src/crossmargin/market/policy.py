"""What stands in for a price or volatility that was not quoted.

Every member of an enum is a named, conservative rule; whichever is used is recorded with the figure it gave. The
first member of each is the refusal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class MissingVol(StrEnum):
    """An option without a quoted volatility.

    `ERROR` refuses it. `NEAREST` takes the one implied by its own mark (or by the middle of its own bid and ask)
    and, where that is not possible, the volatility of the nearest strike of the same expiry and underlying; of two
    equally near strikes the higher volatility, since it is the short side that a margin protects.
    """

    ERROR = "error"
    NEAREST = "nearest"


class MissingMark(StrEnum):
    """A contract without a mark.

    `ERROR` refuses it. `MODEL` takes the middle of bid and ask where both are quoted, and otherwise the model price
    at the option's volatility. A future has no model price: without bid and ask it is refused. In a market whose
    options have no other mark than the middle of their quotes (Cboe) that middle is no stand-in.
    """

    ERROR = "error"
    MODEL = "model"


class MissingPerpetual(StrEnum):
    """A perpetual without a price. `ERROR` refuses it, `INDEX` takes the index price that it is tied to by funding."""

    ERROR = "error"
    INDEX = "index"


class MissingTouch(StrEnum):
    """A bid or an ask that is not there.

    `ERROR` refuses it. `LEAVE` leaves it missing: no price is invented for it, and since a margin is taken at the
    mark nothing else depends on it.
    """

    ERROR = "error"
    LEAVE = "leave"


class UnpricedStablecoin(StrEnum):
    """A dollar stablecoin without a dollar price. `ERROR` refuses it, `PAR` takes one dollar and says so."""

    ERROR = "error"
    PAR = "par"


STABLECOINS = ("USDC", "USDT")


@dataclass(frozen=True, slots=True, kw_only=True)
class MissingPolicy:
    """One rule for each thing that may be missing; the defaults never invent a touch and never take 0."""

    vol: MissingVol = MissingVol.NEAREST
    mark: MissingMark = MissingMark.MODEL
    perpetual: MissingPerpetual = MissingPerpetual.INDEX
    touch: MissingTouch = MissingTouch.LEAVE
    stablecoin: UnpricedStablecoin = UnpricedStablecoin.PAR

    def to_dict(self) -> dict[str, str]:
        """As plain data, for the record."""
        return {
            "vol": self.vol.value,
            "mark": self.mark.value,
            "perpetual": self.perpetual.value,
            "touch": self.touch.value,
            "stablecoin": self.stablecoin.value,
        }


STRICT = MissingPolicy(
    vol=MissingVol.ERROR,
    mark=MissingMark.ERROR,
    perpetual=MissingPerpetual.ERROR,
    touch=MissingTouch.LEAVE,
    stablecoin=UnpricedStablecoin.ERROR,
)
"""Refuse whatever is missing and used."""
