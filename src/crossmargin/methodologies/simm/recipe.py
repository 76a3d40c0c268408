"""The sensitivity method, top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import Problem
from crossmargin.methodologies.simm.parameters import SimmParameters
from crossmargin.portfolio.sensitivities import Coded, Sensitivities


class Side(StrEnum):
    """Whose margin: what this party collects, or what it posts."""

    CALL = "call"
    POST = "post"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmReport:
    """The levels of the calculation in long form; one axis of lines, amounts in the currency of the breakdown."""

    portfolio: Coded
    product_class: Coded
    risk_class: Coded
    margin_type: Coded
    bucket: Coded
    amount: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmBreakdown:
    """Every figure of one side, all portfolios."""

    portfolios: tuple[str, ...]
    total: FloatArray
    currency: str
    side: Side
    rejected: tuple[Problem, ...]
    notices: tuple[str, ...]

    def report(self) -> SimmReport:
        """Long form, as the field prints it: `All` where a column is summed over."""
        raise NotImplementedError


def simm(
    sensitivities: Sensitivities,
    parameters: SimmParameters,
    *,
    side: Side,
    calculation_currency: str = "USD",
    usd_per_unit: float = 1.0,
    skip_rejected: bool = False,
) -> SimmBreakdown:
    """Initial margin of every portfolio; raises one `InputError` with every rejected row unless `skip_rejected`."""
    raise NotImplementedError
