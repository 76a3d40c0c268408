"""The cost of hedge failure: what every account would be asked for under other correlations than the estimated ones."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.basics.times import format_utc
from crossmargin.engine.evaluate import Evaluation
from crossmargin.methodologies.by_unit import UnitResult
from crossmargin.methodologies.model_based.base import ModelBased
from crossmargin.methodologies.model_based.hedge_failure import Assumptions, HedgeFailure
from crossmargin.methodologies.model_based.hedge_failure import hedge_failure as of_units

if TYPE_CHECKING:
    import polars as pl

FIGURES = (
    "estimated",
    "zero",
    "one",
    "against",
    "window",
    "capped",
    "correlation_break",
    "vol_spike",
    "vol_spike_gap",
)
"""Columns of the answer, in the order in which they are read."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HedgeFailureAnswer:
    """By margin account, US dollars; see `HedgeFailure` for what each figure says.

    Parameters
    ----------
    accounts : tuple of str
        Margin accounts.
    figures : mapping of str to ndarray of shape (n_accounts,)
        By name, as `FIGURES` has them; `window` is NaN where the history has no stressed day.
    window_worst : tuple of str
        The day of `window`; of a gross account that of its larger side.
    """

    accounts: tuple[str, ...]
    figures: dict[str, FloatArray]
    window_worst: tuple[str, ...]
    assumptions: Assumptions
    provenance: dict[str, object]

    def table(self) -> pl.DataFrame:
        """A row an account."""
        import polars as pl

        return pl.DataFrame({"account": list(self.accounts), **self.figures, "window_worst": list(self.window_worst)})

    def to_dict(self) -> dict[str, Any]:
        """As plain data; figures as decimal strings, null where there is none."""

        def shown(value: float) -> str | None:
            return None if math.isnan(value) else repr(value)

        return {
            "accounts": [
                {"account": name}
                | {key: shown(float(values[a])) for key, values in self.figures.items()}
                | {"window_worst": self.window_worst[a]}
                for a, name in enumerate(self.accounts)
            ],
            "assumptions": {name: repr(getattr(self.assumptions, name)) for name in Assumptions.__dataclass_fields__},
            "provenance": self.provenance,
        }


def hedge_failure(evaluation: Evaluation, assumptions: Assumptions | None = None) -> HedgeFailureAnswer:
    """What each margin account of an evaluation would be asked for if its hedges failed.

    Raises
    ------
    UnsupportedError
        If the methodology has no scenarios of a model.
    """
    method = evaluation.methodology
    if not isinstance(method, ModelBased):
        raise UnsupportedError(
            Problem(
                found=f"'{method.name}' has no estimated correlations that could fail",
                needed="Ask a method that takes a history: historical-es, filtered-es, monte-carlo-es.",
                kind=UnsupportedError,
            )
        )
    assumptions = assumptions or Assumptions()
    result = evaluation.requirements.breakdown
    assert isinstance(result, UnitResult)
    table = next(iter(result.priced.sets.values()))
    found: HedgeFailure = of_units(
        result.book,
        result.priced,
        table,
        method.tail_measure,
        method.stressed(evaluation.market.as_of, method.horizon_days),
        assumptions,
    )
    figures = {name: result.book.by_account(getattr(found, name)) for name in FIGURES}
    return HedgeFailureAnswer(
        accounts=result.margin_accounts,
        figures=figures,
        window_worst=_worst_days(result, found),
        assumptions=assumptions,
        provenance=evaluation.provenance | {"as_of": format_utc(evaluation.market.as_of)},
    )


def _worst_days(result: UnitResult, found: HedgeFailure) -> tuple[str, ...]:
    """The day of the largest unit of each account."""
    words = [""] * len(result.margin_accounts)
    largest = np.full(len(words), -1.0)
    for u, a in enumerate(result.book.unit_account.tolist()):
        if found.window[u] > largest[a]:
            largest[a], words[a] = found.window[u], found.window_worst[u]
    return tuple(words)
