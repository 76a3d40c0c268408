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
    n_rows : int
        Rows of the file.
    read : callable
        Of a column and rows of the file, from 0.
    """

    names: tuple[str, ...]
    n_rows: int
    read: Callable[[str, IntArray], Named]

    def below(self, other: Carried) -> Carried:
        """The columns of both files, the rows of `other` after these; a column that one lacks is empty there."""

        def read(column: str, at: IntArray) -> Named:
            first = at < self.n_rows
            here, there = (
                one.read(column, rows) if column in one.names else Named(("",), np.zeros(len(rows), dtype=np.int64))
                for one, rows in ((self, at[first]), (other, at[~first] - self.n_rows))
            )
            codes = np.empty(len(at), dtype=np.int64)
            codes[first], codes[~first] = here.codes, there.codes + len(here.names)
            return in_order(*_distinct((*here.names, *there.names), codes))

        return Carried(tuple(dict.fromkeys((*self.names, *other.names))), self.n_rows + other.n_rows, read)


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

    def trade_portfolio(self) -> IntArray:
        """Portfolio of each trade of the schedule, as an index into those of the book."""
        place = {name: k for k, name in enumerate(self.portfolios)}
        return np.array([place[name] for name in self.trades.portfolios], dtype=np.int64)[self.trades.portfolio]

    def select(self, rows: IntArray, trades: IntArray) -> CrifBook:
        """The book of some sensitivities and trades of the schedule, in rising order, with their portfolios alone."""
        owner = self.trade_portfolio()[trades]
        held = sorted(set(owner.tolist()))
        names = tuple(self.portfolios[k] for k in held)
        return CrifBook.of(
            file=self.file,
            portfolio=(self.portfolios, self.portfolio[rows]),
            risk_type=_rows_of(self.risk_type, rows),
            labels={name: _rows_of(column, rows) for name, column in self.labels.items()},
            amount_usd=self.amount_usd[rows],
            row_numbers=self.row_numbers[rows],
            collect=_rows_of(self.collect, rows),
            post=_rows_of(self.post, rows),
            of_portfolio=self.of_portfolio[rows],
            carried=self.carried,
            file_rows=self.file_rows[rows],
            trades=self.trades.take(trades, names, np.searchsorted(held, owner)) if held else ScheduleTrades.none(),
            trade_file_rows=self.trade_file_rows[trades],
            trade_collect=_rows_of(self.trade_collect, trades),
            trade_post=_rows_of(self.trade_post, trades),
            fx=self.fx,
            notices=self.notices,
            rejected=self.rejected,
        )

    def with_rows_of(self, other: CrifBook) -> CrifBook:
        """Both books as one. Rows of `other` are named by their number in its own file."""
        trades, order = self.trades.with_trades_of(other.trades)
        return CrifBook.of(
            file=self.file,
            portfolio=_joined(Named(self.portfolios, self.portfolio), Named(other.portfolios, other.portfolio)),
            risk_type=_joined(self.risk_type, other.risk_type),
            labels={name: _joined(column, other.labels[name]) for name, column in self.labels.items()},
            amount_usd=np.concatenate([self.amount_usd, other.amount_usd]),
            row_numbers=np.concatenate([self.row_numbers, other.row_numbers]),
            collect=_joined(self.collect, other.collect),
            post=_joined(self.post, other.post),
            of_portfolio=np.concatenate([self.of_portfolio, other.of_portfolio]),
            carried=self.carried.below(other.carried),
            file_rows=np.concatenate([self.file_rows, other.file_rows + self.carried.n_rows]),
            trades=trades,
            trade_file_rows=np.concatenate([self.trade_file_rows, other.trade_file_rows + self.carried.n_rows])[order],
            trade_collect=_rows_of(_joined(self.trade_collect, other.trade_collect), order),
            trade_post=_rows_of(_joined(self.trade_post, other.trade_post), order),
            fx=self.fx,
            notices=tuple(dict.fromkeys((*self.notices, *other.notices))),
            rejected=(*self.rejected, *other.rejected),
        )

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


def _rows_of(column: Named, rows: IntArray) -> Named:
    return Named(column.names, column.codes[rows])


def _joined(one: Named, other: Named) -> Named:
    return Named(*_distinct((*one.names, *other.names), np.concatenate([one.codes, other.codes + len(one.names)])))


def _distinct(names: Sequence[str], codes: IntArray) -> tuple[tuple[str, ...], IntArray]:
    """The same cells with each name once."""
    place: dict[str, int] = {}
    renumber = np.array([place.setdefault(name, len(place)) for name in names], dtype=np.int64)
    return tuple(place), renumber[codes] if len(codes) else codes


def in_order(names: Sequence[str], codes: IntArray) -> Named:
    """The names that occur, in order, and each row's index among them."""
    occurs = np.zeros(len(names), dtype=np.bool_)
    occurs[codes] = True
    kept = sorted(np.flatnonzero(occurs).tolist(), key=names.__getitem__)
    place = np.full(len(names), -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    return Named(tuple(names[k] for k in kept), place[codes])
