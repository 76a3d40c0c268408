"""Foreign exchange delta: one bucket, in which correlations and weights go by the volatility groups of the currencies.

The row of the calculation currency is dropped. Its group decides which table of correlations counts.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.methodologies.simm import bucketed
from crossmargin.methodologies.simm.aggregation import concentrated_gradient, concentrated_square, total
from crossmargin.methodologies.simm.margins import Form, Margin, nothing
from crossmargin.methodologies.simm.parameters import SimmParameters
from crossmargin.methodologies.simm.rows import Rows


def delta_margin(rows: Rows, parameters: SimmParameters, calculation_currency: str, n_scopes: int) -> Margin:
    """Delta margin of every scope.

    Raises
    ------
    UnsupportedError
        If the calibration has no correlations for the calculation currency's group.
    """
    p = parameters.fx
    found = bucketed.netted(rows)
    is_foreign = by_name(rows.names, found.qualifier, lambda name: name != calculation_currency)
    if not is_foreign.any():
        return nothing(rows, n_scopes)
    own = p.volatility.group(calculation_currency)
    rho = p.correlation[own]
    if rho is None:
        raise UnsupportedError(
            Problem(
                found=f"no correlations of currencies for a calculation in {calculation_currency} in "
                f"{parameters.info.name}",
                needed="Calculate in another currency, or with another version.",
                kind=UnsupportedError,
            )
        )
    group = by_name(rows.names, found.qualifier, p.volatility.group)
    category = by_name(rows.names, found.qualifier, p.category.group)
    # A currency is an issuer, which concentrates by itself.
    cr = bucketed.concentration(found, found.amount, p.delta_threshold[category], parameters.has_concentration)
    weight = np.where(is_foreign, p.risk_weight[own, group] * cr, 0.0)
    ws = weight * found.amount
    scope = found.scope_of_cell[found.cell]
    square = correlated_square(ws, cr, group, rho, scope, len(found.scopes))
    k = np.sqrt(np.maximum(square, 0.0))
    value = np.zeros(n_scopes)
    value[found.scopes] = k

    def form() -> Form:
        return Form(
            of_row=found.of_row,
            weight=weight[found.of_row],
            cell=found.cell,
            x=ws,
            concentration=cr,
            correlated=correlated(ws, cr, group, rho, scope, len(k)),
            s=np.zeros(len(k)),
            cross=np.zeros(len(k)),
            is_residual=np.zeros(len(k), dtype=np.bool_),
            root=value,
        )

    return Margin(value=value, scope=found.cell_scope, bucket=found.cell_bucket, k=k, rows=rows, form=form)


def correlated_square(
    ws: FloatArray, cr: FloatArray, group: IntArray, rho: FloatArray, scope: IntArray, n_scopes: int
) -> FloatArray:
    """Sum over pairs of `rho f WS_k WS_l`: 1 for a currency with itself, else by the groups of the two.

    Parameters
    ----------
    rho : ndarray of shape (2, 2)
        By groups.
    """
    found = total((1 - rho[group, group]) * ws * ws, scope, n_scopes)
    high, regular = (concentrated_square(np.where(group == g, ws, 0.0), cr, scope, n_scopes) for g in (0, 1))
    both = concentrated_square(ws, cr, scope, n_scopes)
    found += rho[0, 0] * high + rho[1, 1] * regular + rho[0, 1] * (both - high - regular)
    return found


def correlated(
    ws: FloatArray, cr: FloatArray, group: IntArray, rho: FloatArray, scope: IntArray, n_scopes: int
) -> FloatArray:
    """The currencies of each one's scope as they are correlated with it; half the derivative of the square."""
    found = (1 - rho[group, group]) * ws
    for g in (0, 1):
        found += rho[group, g] * concentrated_gradient(np.where(group == g, ws, 0.0), cr, scope, n_scopes)
    return np.asarray(found)


def by_name(names: tuple[str, ...], code: IntArray, of: Callable[[str], int]) -> IntArray:
    """What each code's name gives; each name is looked up once."""
    used, place = np.unique(code, return_inverse=True)
    return np.array([of(names[k]) for k in used.tolist()], dtype=np.int64)[place]
