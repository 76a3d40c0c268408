"""What if trades were added to a CRIF, or removed from it: before, after, and the difference at every level.

Portfolios that the change does not touch are not margined again; of those that it touches, margins whose rows stay the
same are kept. What one might question: the figures after are those of the changed file to the last bit, since every sum
runs in one canonical order; nothing is added to or taken from a sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.answers.crif_book import TRADE, CrifBook
from crossmargin.answers.simm import SimmAnswer, simm_margin
from crossmargin.basics.arrays import BoolArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.methodologies.simm.parameters import RISK_CLASS_NAMES
from crossmargin.methodologies.simm.recipe import Side
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmWhatIf:
    """Portfolios that a change touches, before and after.

    Parameters
    ----------
    before, after : SimmAnswer
        Of those portfolios alone; a portfolio that is new, or of which nothing is left, is in one of them.
    removed, added : int
        Rows.
    """

    before: SimmAnswer
    after: SimmAnswer
    removed: int
    added: int

    @property
    def portfolios(self) -> tuple[str, ...]:
        """Those that the change touches, in order of name."""
        return tuple(sorted({*self.before.portfolios, *self.after.portfolios}))

    def table(self) -> pl.DataFrame:
        """A row a portfolio, side and level: `Portfolio, SimmSide, Level, Before, After, Difference`.

        The levels are the requirement, its two methods, and each product class and risk class that either has.
        """
        import polars as pl

        columns: dict[str, list[Any]] = {name: [] for name in ("Portfolio", "SimmSide", "Level", "Before", "After")}
        for portfolio in self.portfolios:
            for side in self.after.sides:
                before, after = (_levels(answer, portfolio, side) for answer in (self.before, self.after))
                for level in sorted({*before, *after}, key=_place):
                    line = (portfolio, side.value.capitalize(), level, before.get(level, 0.0), after.get(level, 0.0))
                    for column, value in zip(columns.values(), line, strict=True):
                        column.append(value)
        frame = pl.DataFrame(columns)
        return frame.with_columns(Difference=frame["After"] - frame["Before"])

    def to_dict(self) -> dict[str, Any]:
        """As plain data; figures as decimal strings."""
        lines = [
            {key.lower(): repr(value) if isinstance(value, float) else value for key, value in row.items()}
            for row in self.table().iter_rows(named=True)
        ]
        return {
            "removed_rows": self.removed,
            "added_rows": self.added,
            "currency": self.after.currency,
            "levels": lines,
            "before": self.before.to_dict(),
            "after": self.after.to_dict(),
        }


REQUIREMENT, SENSITIVITIES, SCHEDULE = "requirement", "by sensitivities", "by the schedule"
_LEVELS = (
    REQUIREMENT,
    SENSITIVITIES,
    SCHEDULE,
    *(level for one in PRODUCT_CLASSES for level in (one, *(f"{one}, {name}" for name in RISK_CLASS_NAMES))),
)


def _place(level: str) -> int:
    return _LEVELS.index(level)


def _levels(answer: SimmAnswer, portfolio: str, side: Side) -> dict[str, float]:
    """Figures of one portfolio and side, by level; nothing of a portfolio that is not there."""
    if portfolio not in answer.portfolios:
        return {}
    p, one = answer.portfolios.index(portfolio), answer.sides[side]
    found = {REQUIREMENT: float(one.requirement[p])}
    if one.schedule[p]:
        found |= {SENSITIVITIES: float(one.simm[p]), SCHEDULE: float(one.schedule[p])}
    unit = int(one.unit[p])
    if unit < 0:
        return found
    b = one.breakdown
    for c, name in enumerate(PRODUCT_CLASSES):
        if b.product_class[unit, c]:
            found[name] = float(b.product_class[unit, c])
            found |= {
                f"{name}, {risk_class}": float(value)
                for risk_class, value in zip(RISK_CLASS_NAMES, b.risk_class[unit, c].tolist(), strict=True)
                if value
            }
    return found


class SimmDesk:
    """Some portfolios of a CRIF, margined once, of which one asks what if.

    Parameters
    ----------
    answer : SimmAnswer
        Of the whole CRIF.
    portfolios : sequence of str
        Which; others are never looked at.
    """

    def __init__(self, answer: SimmAnswer, portfolios: Sequence[str]) -> None:
        book = answer.book
        wanted = np.array([name in set(portfolios) for name in book.portfolios], dtype=np.bool_)
        self._whole = answer
        rows, trades = np.flatnonzero(wanted[book.portfolio]), np.flatnonzero(wanted[book.trade_portfolio()])
        self.book = book.select(rows, trades)
        self.before = self._margined(self.book, None)

    def what_if(
        self, *, remove: Sequence[str] = (), add: CrifBook | None = None, portfolio: str | None = None
    ) -> SimmWhatIf:
        """Before and after a change.

        Parameters
        ----------
        remove : sequence of str
            TradeIDs: all rows that they have in these portfolios, or in `portfolio` alone.
        add : CrifBook, optional
            Rows to add; a portfolio that is not there yet is a new one.

        Raises
        ------
        InputError
            Naming trades that these portfolios do not have, or rows to add that are wrong.
        """
        gone, gone_trades = _rows_of_trades(self.book, remove, portfolio)
        changed = self.book.select(np.flatnonzero(~gone), np.flatnonzero(~gone_trades))
        if add is not None:
            changed = changed.with_rows_of(add)
        return SimmWhatIf(
            before=self.before,
            after=self._margined(changed, self.before),
            removed=int(gone.sum()) + 2 * int(gone_trades.sum()),
            added=0 if add is None else len(add) + 2 * len(add.trades),
        )

    def _margined(self, book: CrifBook, known: SimmAnswer | None) -> SimmAnswer:
        whole = self._whole
        return simm_margin(
            book,
            whole.parameters,
            currency=whole.currency,
            as_of=whole.as_of,
            sides=tuple(whole.sides),
            schedule=whole.schedule,
            skip_rejected=bool(whole.rejected),
            known=known,
        )


def what_if(
    answer: SimmAnswer, *, remove: Sequence[str] = (), add: CrifBook | None = None, portfolio: str | None = None
) -> SimmWhatIf:
    """Before and after a change of trades; only the portfolios that it touches are margined.

    Parameters
    ----------
    answer : SimmAnswer
        Of the whole CRIF.
    remove : sequence of str
        TradeIDs, with all their rows.
    add : CrifBook, optional
        Rows to add.
    portfolio : str, optional
        The only one from which trades are removed; every one that has them if left out.

    Raises
    ------
    InputError
        Naming trades that are not there, a portfolio that is not, or that there is no change.
    """
    book, problems = answer.book, []
    if not remove and (add is None or not (len(add) or len(add.trades))):
        problems.append(
            Problem(
                found="no change",
                needed="Say which trades go (--remove TRADE, remove=...), or give rows to add (--add FILE, add=...).",
            )
        )
    if "" in remove:
        problems.append(Problem(found="a trade without a name to remove", needed="Name it as TradeID does."))
    if portfolio is not None and portfolio not in book.portfolios:
        problems.append(Problem(found=f"no portfolio '{portfolio[:80]}'", needed="Name it as PortfolioID does."))
    raise_problems(problems)
    touched = set(() if add is None else add.portfolios)
    if remove:
        touched |= {portfolio} if portfolio is not None else set(_portfolios_of(book, remove))
    desk = SimmDesk(answer, sorted(touched))
    return desk.what_if(remove=remove, add=add, portfolio=portfolio)


def _portfolios_of(book: CrifBook, trades: Sequence[str]) -> tuple[str, ...]:
    rows, scheduled = _rows_of_trades(book, trades)
    found = {*book.portfolio[rows].tolist(), *book.trade_portfolio()[scheduled].tolist()}
    return tuple(book.portfolios[k] for k in sorted(found))


def _rows_of_trades(book: CrifBook, trades: Sequence[str], portfolio: str | None = None) -> tuple[BoolArray, BoolArray]:
    """Which sensitivities, and which trades of the schedule, are of these trades."""
    if not trades:
        return np.zeros(len(book), dtype=np.bool_), np.zeros(len(book.trades), dtype=np.bool_)
    if TRADE not in book.carried.names:
        raise InputError(
            Problem(found=f"no column {TRADE}", needed="A trade is removed by its TradeID.", file=book.file)
        )
    wanted, found = set(trades), set[str]()
    masks = []
    for rows, owner in ((book.file_rows, book.portfolio), (book.trade_file_rows, book.trade_portfolio())):
        names, codes = book.carried.read(TRADE, rows)
        mask = np.array([name in wanted for name in names], dtype=np.bool_)[codes] if len(codes) else codes > 0
        if portfolio is not None:
            mask &= np.array([name == portfolio for name in book.portfolios], dtype=np.bool_)[owner]
        found |= {names[code] for code in np.unique(codes[mask]).tolist()}
        masks.append(mask)
    raise_problems(
        [
            Problem(
                found=f"no trade '{one[:80]}'" + ("" if portfolio is None else f" in portfolio '{portfolio[:80]}'"),
                needed="Name it as TradeID does.",
                file=book.file,
            )
            for one in dict.fromkeys(trades)
            if one not in found
        ]
    )
    return masks[0], masks[1]
