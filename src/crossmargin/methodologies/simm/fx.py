"""Foreign exchange delta: one bucket, in which correlations and weights go by the volatility groups of the currencies.

The row of the calculation currency is dropped. Its group decides which table of correlations counts.
"""

from __future__ import annotations

import numpy as np

from crossmargin.basics.errors import Problem, UnsupportedError
from crossmargin.methodologies.simm.aggregation import concentrated_square, summed, total
from crossmargin.methodologies.simm.margins import Margin, nothing
from crossmargin.methodologies.simm.parameters import SimmParameters
from crossmargin.methodologies.simm.rows import Rows


def delta_margin(
    rows: Rows, names: tuple[str, ...], parameters: SimmParameters, calculation_currency: str, n_scopes: int
) -> Margin:
    """Delta margin of every scope.

    Raises
    ------
    UnsupportedError
        If the calibration has no correlations for the calculation currency's group.
    """
    p = parameters.fx
    (scope, currency), amount, _ = summed([rows.scope, rows.qualifier], rows.amount)
    kept = np.array([names[code] != calculation_currency for code in currency.tolist()], dtype=np.bool_)
    scope, currency, amount = scope[kept], currency[kept], amount[kept]
    if not len(scope):
        return nothing(np.zeros(n_scopes))
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
    of_name = np.array([p.volatility.group(name) for name in names], dtype=np.int64)
    category = np.array([p.category.group(name) for name in names], dtype=np.int64)
    group = of_name[currency]
    cr = np.ones(len(amount))
    if parameters.has_concentration:
        cr = np.maximum(1.0, np.sqrt(np.abs(amount) / p.delta_threshold[category[currency]]))
    ws = p.risk_weight[own, group] * amount * cr
    own_rho = rho[group, group]
    square = total((1 - own_rho) * ws * ws, scope, n_scopes)
    of_group = [
        concentrated_square(np.where(group == g, ws, 0.0), cr, scope, n_scopes) for g in range(len(p.risk_weight))
    ]
    for g, one in enumerate(of_group):
        square += rho[g, g] * one
    square += rho[0, 1] * (concentrated_square(ws, cr, scope, n_scopes) - of_group[0] - of_group[1])
    value = np.sqrt(np.maximum(square, 0.0))
    cells = np.flatnonzero(np.bincount(scope, minlength=n_scopes))
    return Margin(value=value, scope=cells, bucket=np.zeros(len(cells), dtype=np.int64), k=value[cells])
