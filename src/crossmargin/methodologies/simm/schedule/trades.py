"""Trades that are margined by the schedule: a notional and a present value each, in dollars.

They are held in one canonical order, by portfolio and trade, so that the same trades give the same bits however the
rows of their file were ordered.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import InputError, Problem, raise_problems

DateArray: TypeAlias = npt.NDArray[np.datetime64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScheduleTrades:
    """Trades under the schedule.

    Parameters
    ----------
    portfolios : tuple of str
        Names, in order.
    trades : tuple of str
        Trade ids; shape (n_trades,) like all that follow.
    portfolio : ndarray of int
        Index of the portfolio.
    product_class : ndarray of int
        Index into `PRODUCT_CLASSES`.
    end_date : ndarray of datetime64[D]
        When the trade ends.
    notional : ndarray of float
        US dollars; its sign says nothing, a notional is a size.
    present_value : ndarray of float
        US dollars, positive where the trade is worth something to whoever collects.
    """

    portfolios: tuple[str, ...]
    trades: tuple[str, ...]
    portfolio: IntArray
    product_class: IntArray
    end_date: DateArray
    notional: FloatArray
    present_value: FloatArray

    def __post_init__(self) -> None:
        for name in ("portfolio", "product_class", "end_date", "notional", "present_value"):
            array = read_only(getattr(self, name))
            assert array.shape == (len(self.trades),), name
            object.__setattr__(self, name, array)

    def __len__(self) -> int:
        return len(self.trades)

    @classmethod
    def none(cls) -> ScheduleTrades:
        """No trades."""
        return cls(
            portfolios=(),
            trades=(),
            portfolio=np.zeros(0, dtype=np.int64),
            product_class=np.zeros(0, dtype=np.int64),
            end_date=np.zeros(0, dtype="datetime64[D]"),
            notional=np.zeros(0),
            present_value=np.zeros(0),
        )

    def take(self, rows: IntArray, portfolios: Sequence[str], portfolio: IntArray) -> ScheduleTrades:
        """Some of the trades, as those of other portfolios: one trade may be taken several times."""
        return ScheduleTrades(
            portfolios=tuple(portfolios),
            trades=tuple(self.trades[k] for k in rows.tolist()),
            portfolio=portfolio,
            product_class=self.product_class[rows],
            end_date=self.end_date[rows],
            notional=self.notional[rows],
            present_value=self.present_value[rows],
        )

    def with_trades_of(self, other: ScheduleTrades) -> tuple[ScheduleTrades, IntArray]:
        """Both, in the canonical order; and where each stood among these, then those of `other`.

        Raises
        ------
        InputError
            Naming every trade that is in both.
        """
        keys = [
            (one.portfolios[owner], trade)
            for one in (self, other)
            for owner, trade in zip(one.portfolio.tolist(), one.trades, strict=True)
        ]
        own = set(keys[: len(self)])
        raise_problems(
            [
                Problem(
                    found=f"trade '{trade}' is under the schedule already",
                    needed="Remove it, or give the other one a TradeID of its own.",
                    account=portfolio,
                    kind=InputError,
                )
                for portfolio, trade in keys[len(self) :]
                if (portfolio, trade) in own
            ]
        )
        order = np.array(sorted(range(len(keys)), key=keys.__getitem__), dtype=np.int64)
        names = tuple(sorted({portfolio for portfolio, _ in keys}))
        place = {name: k for k, name in enumerate(names)}
        both = {
            name: np.concatenate([getattr(self, name), getattr(other, name)])[order]
            for name in ("product_class", "end_date", "notional", "present_value")
        }
        joined = ScheduleTrades(
            portfolios=names,
            trades=tuple(keys[k][1] for k in order.tolist()),
            portfolio=np.array([place[keys[k][0]] for k in order.tolist()], dtype=np.int64),
            **both,
        )
        return joined, order


def years_to(end_date: DateArray, as_of: np.datetime64) -> FloatArray:
    """Years from `as_of`, actual over actual: days of each calendar year over that year's length (ISDA)."""
    return _year_count(end_date) - float(_year_count(np.array([as_of], dtype="datetime64[D]"))[0])


def _year_count(dates: DateArray) -> FloatArray:
    """Calendar years since 1970, with the part of the running one that has passed."""
    years = dates.astype("datetime64[Y]")
    begin = years.astype("datetime64[D]")
    length = ((years + 1).astype("datetime64[D]") - begin).astype(np.float64)
    passed: FloatArray = years.astype(np.int64) + (dates - begin).astype(np.float64) / length
    return passed
