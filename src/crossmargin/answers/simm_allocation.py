"""What contributes to the requirements of a CRIF: by factor, by trade, by any column that the file has.

Contributions are of the regulation that counts, and sum to the requirement of each portfolio and side. Under the
schedule a trade contributes its gross margin times what its portfolio has to hold of the gross: the net-to-gross ratio
is held, as concentration factors are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from crossmargin.answers.crif_book import TRADE, CrifBook, Named
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.methodologies.simm.aggregation import ratio, total
from crossmargin.methodologies.simm.allocation import contributions
from crossmargin.methodologies.simm.parameters import RISK_CLASS_NAMES, RiskClass
from crossmargin.methodologies.simm.report import ALL
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES, packed
from crossmargin.methodologies.simm.schedule.parameters import PRODUCT_CLASSES as SCHEDULE_CLASSES
from crossmargin.portfolio.sensitivities import Coded, joined

if TYPE_CHECKING:
    import polars as pl

    from crossmargin.answers.simm import SideAnswer, SimmAnswer

LEVELS = ("ProductClass", "RiskClass", "MarginType", "Bucket", "Qualifier", "Label1", "Label2")
"""The tree of the method down to the factor."""
OWN_COLUMNS = ("Portfolio", "SimmSide", "AmountUSD", "Weighted", "Concentration", "Contribution", "Currency")
"""What the answer states of each contribution beside its keys."""
FACTOR, BY_TRADE = "factor", "trade"
SCHEDULE = "Schedule"
_LABELS = ("Qualifier", "Label1", "Label2", "RiskType")


class _Part(NamedTuple):
    """Contributions of one kind; one axis."""

    portfolio: IntArray
    columns: list[Coded]
    amount_usd: FloatArray
    weighted: FloatArray
    concentration: FloatArray
    contribution: FloatArray


def allocation(answer: SimmAnswer, by: str | Sequence[str] = FACTOR) -> pl.DataFrame:
    """Contributions to every portfolio's requirement, both sides, in the calculation currency.

    Parameters
    ----------
    answer : SimmAnswer
        What was margined.
    by : str or sequence of str
        `factor` for every level of the method down to the risk factor; `trade` for TradeID; or columns: those of the
        levels, RiskType, TradeID, and whatever else the CRIF has, like a desk.

    Returns
    -------
    DataFrame
        `Portfolio, SimmSide`, the columns asked for, `Contribution, Currency`; by factor also its net `AmountUSD`,
        `Weighted` sensitivity (or curvature risk) in dollars and `Concentration` factor.

    Raises
    ------
    InputError
        Naming columns that the CRIF does not have, or that are called as a column of the answer.
    """
    import polars as pl

    names = columns_of(answer.book, by)
    carried = {name: _of_book(answer.book, name) for name in names if name not in LEVELS or name in _LABELS}
    frames = []
    for side, one in answer.sides.items():
        parts = list(_parts(answer.book, one, names, carried))
        if not parts:
            continue
        found = _grouped(parts)
        frame = {
            "Portfolio": _series(Coded(found.portfolio, answer.portfolios)),
            "SimmSide": pl.repeat(side.value.capitalize(), len(found.portfolio), eager=True),
            **{name: _series(column) for name, column in zip(names, found.columns, strict=True)},
        }
        if names == LEVELS:
            frame |= {
                "AmountUSD": pl.Series(found.amount_usd),
                "Weighted": pl.Series(found.weighted),
                "Concentration": pl.Series(found.concentration),
            }
        frame["Contribution"] = pl.Series(found.contribution)
        frame["Currency"] = pl.repeat(answer.currency, len(found.portfolio), eager=True)
        frames.append(pl.DataFrame(frame))
    return pl.concat(frames).sort("Portfolio", maintain_order=True) if frames else pl.DataFrame()


def columns_of(book: CrifBook, by: str | Sequence[str]) -> tuple[str, ...]:
    """The columns that `by` names, as the answer spells them.

    A column of the file that is called like a level of the method is not reached: the level is.
    """
    if by == FACTOR:
        return LEVELS
    asked = [by] if isinstance(by, str) else list(by)
    if not asked:
        raise InputError(Problem(found="contributions by no column", needed=f"{FACTOR}, {BY_TRADE}, or a column."))
    known = {name.lower(): name for name in (*book.carried.names, *LEVELS, "RiskType")}
    if TRADE in book.carried.names:
        known.setdefault(BY_TRADE, TRADE)
    problems = []
    for name in asked:
        if name.lower() not in known:
            found = f"contributions by '{name[:80]}', a column that the CRIF does not have"
            needed = f"{FACTOR}, or one or several of {', '.join(dict.fromkeys(known.values()))}."
            problems.append(Problem(found=found, needed=needed, file=book.file))
        elif known[name.lower()] in OWN_COLUMNS:
            found = f"contributions by '{known[name.lower()]}', which the answer calls a column of its own"
            problems.append(Problem(found=found, needed="Call it something else in the CRIF.", file=book.file))
    raise_problems(problems)
    return tuple(dict.fromkeys(known[name.lower()] for name in asked))


def _of_book(book: CrifBook, name: str) -> tuple[Coded, Coded]:
    """A column of sensitivities, and of the schedule's trades."""
    if name in book.carried.names:
        return (
            _coded(book.carried.read(name, book.file_rows)),
            _coded(book.carried.read(name, book.trade_file_rows)),
        )
    of_rows = book.risk_type if name == "RiskType" else book.labels[name]
    return _coded(of_rows), Coded.constant("", len(book.trades))


def _coded(column: Named) -> Coded:
    return Coded(column.codes, column.names or ("",))


def _parts(
    book: CrifBook, side: SideAnswer, names: Sequence[str], carried: dict[str, tuple[Coded, Coded]]
) -> Iterator[_Part]:
    """Contributions to the units that count, margin by margin, then of the schedule."""
    counts = np.zeros(len(side.units.regulations), dtype=np.bool_)
    counts[side.unit[side.unit >= 0]] = True
    for found in contributions(side.breakdown):
        at = np.flatnonzero(counts[found.scope // len(PRODUCT_CLASSES)])
        if not len(at):
            continue
        scope, row = found.scope[at], side.units.row[found.source[at]]
        fixed = Coded.constant
        levels = {
            "ProductClass": Coded(scope % len(PRODUCT_CLASSES), PRODUCT_CLASSES),
            "RiskClass": fixed(ALL if found.risk_class is None else RISK_CLASS_NAMES[found.risk_class], len(at)),
            "MarginType": fixed(found.margin_type, len(at)),
            "Bucket": _coded(
                book.labels["Qualifier" if found.risk_class is RiskClass.INTEREST_RATE else "Bucket"]
            ).take(row),
        }
        if found.risk_class is None:
            levels["ProductClass"] = Coded.of([_ADD_ONS[name] for name in _coded(book.risk_type).take(row).texts()])
        yield _Part(
            portfolio=side.units.portfolio[scope // len(PRODUCT_CLASSES)],
            columns=[levels[name] if name in levels else carried[name][0].take(row) for name in names],
            amount_usd=book.amount_usd[row],
            weighted=found.weighted[at],
            concentration=found.concentration[at],
            contribution=found.amount[at],
        )
    units, schedule = side.schedule_units, side.schedule_breakdown
    if units is None or schedule is None:
        return
    assert side.schedule_unit is not None
    counts = np.zeros(len(units.regulations), dtype=np.bool_)
    counts[side.schedule_unit[side.schedule_unit >= 0]] = True
    at = np.flatnonzero(counts[units.unit])
    row, unit = units.row[at], units.unit[at]
    share = ratio(schedule.requirement, schedule.gross)[unit] / side.breakdown.usd_per_unit
    levels = {
        "ProductClass": Coded(book.trades.product_class[row], SCHEDULE_CLASSES),
        "RiskClass": Coded.constant(ALL, len(at)),
        "MarginType": Coded.constant(SCHEDULE, len(at)),
        "Bucket": Coded.constant("", len(at)),
    }
    yield _Part(
        portfolio=units.portfolio[unit],
        columns=[levels[name] if name in levels else carried[name][1].take(row) for name in names],
        amount_usd=book.trades.notional[row],
        weighted=schedule.trade_gross[at],
        concentration=np.ones(len(at)),
        contribution=schedule.trade_gross[at] * share,
    )


_ADD_ONS = {"Param_AddOnFixedAmount": "AddOnFixedAmount", "Notional": "AddOnNotionalFactor"}
"""Product classes of add-ons, as the report has them."""


def _grouped(parts: Sequence[_Part]) -> _Part:
    """Equal keys added up, by portfolio and then as they first stand."""
    portfolio = np.concatenate([part.portfolio for part in parts])
    columns = [joined([part.columns[k] for part in parts]) for k in range(len(parts[0].columns))]
    key = packed([portfolio, *(column.codes for column in columns)])
    _, first, place = np.unique(key, return_index=True, return_inverse=True)
    order = np.lexsort((first, portfolio[first]))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    group, first = rank[place], first[order]
    sums = [
        total(np.concatenate([getattr(part, name) for part in parts]), group, len(first))
        for name in ("amount_usd", "weighted", "contribution")
    ]
    return _Part(
        portfolio=portfolio[first],
        columns=[column.take(first) for column in columns],
        amount_usd=sums[0],
        weighted=sums[1],
        concentration=np.concatenate([part.concentration for part in parts])[first],
        contribution=sums[2],
    )


def _series(column: Coded) -> pl.Series:
    import polars as pl

    return pl.Series(column.names, dtype=pl.String).gather(column.codes)
