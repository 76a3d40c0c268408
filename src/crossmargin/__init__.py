"""crossmargin: the margin of a whole derivatives portfolio, with an explanation.

    import crossmargin as cm

    book = cm.read_positions("positions.csv")
    market = cm.read_market("chain.csv.gz")
    result = cm.margin(book, market, methodology="scenario-grid")
    print(result.table())
    print(result.explain("alice").value)

Names are loaded when first used, so that the command line starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from crossmargin._version import __version__

if TYPE_CHECKING:
    from crossmargin.api import (
        compare,
        explain,
        margin,
        read_balances,
        read_leverage_tiers,
        read_market,
        read_positions,
        simm,
        simm_what_if,
        what_if,
    )
    from crossmargin.basics.errors import CrossmarginError
    from crossmargin.market.policy import MissingPolicy

__all__ = [
    "CrossmarginError",
    "MissingPolicy",
    "__version__",
    "compare",
    "explain",
    "margin",
    "read_balances",
    "read_leverage_tiers",
    "read_market",
    "read_positions",
    "simm",
    "simm_what_if",
    "what_if",
]


def __getattr__(name: str) -> Any:
    if name == "CrossmarginError":
        from crossmargin.basics.errors import CrossmarginError

        return CrossmarginError
    if name == "MissingPolicy":
        from crossmargin.market.policy import MissingPolicy

        return MissingPolicy
    if name in __all__:
        from crossmargin import api

        return getattr(api, name)
    raise AttributeError(f"module 'crossmargin' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted(__all__)
