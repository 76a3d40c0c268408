"""What a CRIF holds, ready to be margined: sensitivities, trades of the schedule, regulations, what was left out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import BoolArray, FloatArray, IntArray
from crossmargin.basics.errors import Problem
from crossmargin.methodologies.simm.schedule.trades import ScheduleTrades


class Named(NamedTuple):
    """Distinct names, in order, and the index of each row's."""

    names: tuple[str, ...]
    codes: IntArray


TRADE = "TradeID"


class Carried(NamedTuple):
    """Columns that no figure uses, and by which contributions may be grouped: TradeID, and those that are no CRIF's.

    Parameters
    ----------
    names : tuple of str
        As they are written, TradeID first where there is one.
    read : callable
        Of a column and rows of the file, from 0.
    """

    names: tuple[str, ...]
    read: Callable[[str, IntArray], Named]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CrifBook:
    """Sensitivities and trades of several portfolios.

    Parameters
    ----------
    file : str
        Where they come from.
    portfolios : tuple of str
        All portfolios with a row that is right, in order.
    portfolio, risk_type, labels, amount_usd, row_numbers
        Of each sensitivity; labels by their CRIF name.
    collect, post : Named
        Regulations of each sensitivity, as `regulations.names_of` takes them.
    of_portfolio : ndarray of bool
        Which rows are parameters of their portfolio.
    carried : Carried
        What sensitivities state besides; `file_rows` are their rows of the file, from 0.
    trades : ScheduleTrades
        With portfolios of their own; `trade_collect` and `trade_post` are their regulations, `trade_file_rows` the rows
        of their notionals.
    fx : mapping of str to float
        Dollars for one unit of each currency, as given.
    notices : tuple of str
        What was ignored or taken as something else.
    rejected : tuple of Problem
        Rows that are in no figure, with their reasons.
    """

    file: str
    portfolios: tuple[str, ...]
    portfolio: IntArray
    risk_type: Named
    labels: Mapping[str, Named]
    amount_usd: FloatArray
    row_numbers: IntArray
    collect: Named
    post: Named
    of_portfolio: BoolArray
    carried: Carried
    file_rows: IntArray
    trades: ScheduleTrades
    trade_file_rows: IntArray
    trade_collect: Named
    trade_post: Named
    fx: Mapping[str, float]
    notices: tuple[str, ...] = ()
    rejected: tuple[Problem, ...] = ()

    def __len__(self) -> int:
        return len(self.amount_usd)

    @classmethod
    def of(
        cls,
        *,
        file: str,
        portfolio: tuple[Sequence[str], IntArray],
        risk_type: tuple[Sequence[str], IntArray],
        labels: Mapping[str, tuple[Sequence[str], IntArray]],
        amount_usd: FloatArray,
        row_numbers: IntArray,
        collect: tuple[Sequence[str], IntArray],
        post: tuple[Sequence[str], IntArray],
        of_portfolio: BoolArray,
        carried: Carried,
        file_rows: IntArray,
        trades: ScheduleTrades,
        trade_file_rows: IntArray,
        trade_collect: tuple[Sequence[str], IntArray],
        trade_post: tuple[Sequence[str], IntArray],
        fx: Mapping[str, float],
        notices: tuple[str, ...] = (),
        rejected: tuple[Problem, ...] = (),
    ) -> CrifBook:
        """The book of columns of names in any order, some of which may stand nowhere."""
        own = in_order(*portfolio)
        names = tuple(sorted({*own.names, *trades.portfolios}))
        place = {name: k for k, name in enumerate(names)}
        renumber = np.array([place[name] for name in own.names], dtype=np.int64)
        return cls(
            file=file,
            portfolios=names,
            portfolio=renumber[own.codes] if len(own.codes) else own.codes,
            risk_type=in_order(*risk_type),
            labels={name: in_order(*column) for name, column in labels.items()},
            amount_usd=amount_usd,
            row_numbers=row_numbers,
            collect=in_order(*collect),
            post=in_order(*post),
            of_portfolio=of_portfolio,
            carried=carried,
            file_rows=file_rows,
            trades=trades,
            trade_file_rows=trade_file_rows,
            trade_collect=in_order(*trade_collect),
            trade_post=in_order(*trade_post),
            fx=fx,
            notices=notices,
            rejected=rejected,
        )


def in_order(names: Sequence[str], codes: IntArray) -> Named:
    """The names that occur, in order, and each row's index among them."""
    occurs = np.zeros(len(names), dtype=np.bool_)
    occurs[codes] = True
    kept = sorted(np.flatnonzero(occurs).tolist(), key=names.__getitem__)
    place = np.full(len(names), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    return Named(tuple(names[k] for k in kept), place[codes])
