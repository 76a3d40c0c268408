"""The margin of a CRIF: each side under the regulation that asks for most, by sensitivities and by the schedule.

What one might question: the two methods are of different trades, so that a portfolio's requirement is their sum; each
is taken under the regulation that asks for most by itself, as Open Source Risk Engine reports them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.answers.crif_book import CrifBook, Named
from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.methodologies.simm.add_ons import stated_twice
from crossmargin.methodologies.simm.explain import MOST_NAMED
from crossmargin.methodologies.simm.parameters import SimmParameters
from crossmargin.methodologies.simm.recipe import Side, SimmBreakdown, simm_sides
from crossmargin.methodologies.simm.regulations import RegulationUnits, regulation_units, winners
from crossmargin.methodologies.simm.rows import PRODUCT_CLASSES
from crossmargin.methodologies.simm.schedule.parameters import ScheduleParameters
from crossmargin.methodologies.simm.schedule.parameters import load_parameters as load_schedule
from crossmargin.methodologies.simm.schedule.recipe import ScheduleBreakdown, schedule_requirement
from crossmargin.methodologies.simm.schedule.trades import ScheduleTrades
from crossmargin.portfolio.sensitivities import Coded, Sensitivities

if TYPE_CHECKING:
    import polars as pl

    from crossmargin.answers.simm_what_if import SimmWhatIf

_LABELS = {
    "product_class": "ProductClass",
    "qualifier": "Qualifier",
    "bucket": "Bucket",
    "label1": "Label1",
    "label2": "Label2",
}
"""Columns of the sensitivities, and what a CRIF calls them."""
REPORT_COLUMNS = (
    "Portfolio",
    "ProductClass",
    "RiskClass",
    "MarginType",
    "Bucket",
    "SimmSide",
    "Regulation",
    "InitialMargin",
    "Currency",
    "CalculationCurrency",
)
"""Columns of the long report, as Open Source Risk Engine names them."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SideAnswer:
    """One side; arrays of shape `(n_portfolios,)`, in the calculation currency.

    Parameters
    ----------
    units : RegulationUnits
        What was margined together.
    breakdown : SimmBreakdown
        Of those units.
    unit : ndarray
        The unit that counts; -1 for a portfolio without sensitivities on this side.
    regulation : tuple of str
        Under which.
    simm, schedule, requirement : ndarray
        By sensitivities, by the schedule, and their sum.
    schedule_units, schedule_breakdown
        The same of the schedule; `None` where no trade is under it.
    schedule_trades : ScheduleTrades or None
        By unit.
    schedule_unit : ndarray or None
        The unit of the schedule that counts, as `unit`.
    schedule_regulation : tuple of str
        Under which regulation the schedule counts.
    """

    units: RegulationUnits
    breakdown: SimmBreakdown
    unit: IntArray
    regulation: tuple[str, ...]
    simm: FloatArray
    schedule: FloatArray
    requirement: FloatArray
    schedule_units: RegulationUnits | None
    schedule_breakdown: ScheduleBreakdown | None
    schedule_trades: ScheduleTrades | None
    schedule_unit: IntArray | None
    schedule_regulation: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SimmAnswer:
    """Both sides of every portfolio of a CRIF.

    Parameters
    ----------
    book : CrifBook
        What was margined.
    portfolios : tuple of str
        Netting sets, in order of name.
    currency : str
        Of every figure.
    sides : dict of Side to SideAnswer
        What is collected (`call`) and what is posted.
    parameters : SimmParameters
        Version, margin period and caveats.
    schedule : ScheduleParameters
        Rates of the schedule.
    as_of : date or None
        From when its maturities count.
    rejected : tuple of Problem
        Rows that are in no figure.
    notices : tuple of str
        What was ignored, and what the numbers rest on.
    """

    book: CrifBook
    portfolios: tuple[str, ...]
    currency: str
    sides: dict[Side, SideAnswer]
    parameters: SimmParameters
    schedule: ScheduleParameters
    as_of: date | None
    rejected: tuple[Problem, ...]
    notices: tuple[str, ...]

    def report(self, *, breakdown: bool = False) -> pl.DataFrame:
        """Long form in the field's columns: a row a level, of the regulation that counts.

        Parameters
        ----------
        breakdown : bool
            Of every regulation instead, under the names that share its rows.
        """
        import polars as pl

        columns: dict[str, list[Any]] = {name: [] for name in REPORT_COLUMNS}
        for line in self._lines(breakdown):
            for name, value in zip(REPORT_COLUMNS, line, strict=True):
                columns[name].append(value)
        kinds = {name: pl.Float64 if name == "InitialMargin" else pl.String for name in REPORT_COLUMNS}
        return pl.DataFrame(columns, schema=kinds)

    def _lines(self, breakdown: bool) -> Iterator[tuple[Any, ...]]:
        for side, answer in self.sides.items():
            counting = {int(unit): name for unit, name in zip(answer.unit.tolist(), answer.regulation, strict=True)}
            labels = answer.units.labels
            long = answer.breakdown.report()
            texts = (long.product_class, long.risk_class, long.margin_type, long.bucket)
            cells = zip(
                long.portfolio.texts(), *(column.texts() for column in texts), long.amount.tolist(), strict=True
            )
            for unit_name, *levels, amount in cells:
                unit = int(unit_name)
                if not breakdown and unit not in counting:
                    continue
                portfolio = self.portfolios[int(answer.units.portfolio[unit])]
                regulation = labels[unit] if breakdown else counting[unit]
                yield (portfolio, *levels, side.value.capitalize(), regulation, amount, self.currency, self.currency)

    def portfolio(self, name: str) -> int:
        """Index of a portfolio.

        Raises
        ------
        InputError
            If there is none of this name.
        """
        if name in self.portfolios:
            return self.portfolios.index(name)
        names = ", ".join(self.portfolios[:12]) + (", ..." if len(self.portfolios) > 12 else "")
        raise InputError(Problem(found=f"no portfolio '{name[:80]}'", needed=f"One of {names}.", file=self.book.file))

    def explain(self, portfolio: str, side: Side | str = Side.CALL, *, most: int = MOST_NAMED) -> Explanation:
        """The requirement of one portfolio as a tree down to the factor; see `explain_portfolio`."""
        from crossmargin.answers.simm_explain import explain_portfolio

        return explain_portfolio(self, portfolio, Side(side), most=most)

    def what_if(
        self, *, remove: Sequence[str] = (), add: CrifBook | None = None, portfolio: str | None = None
    ) -> SimmWhatIf:
        """Before and after a change of trades; see `what_if`."""
        from crossmargin.answers.simm_what_if import what_if

        return what_if(self, remove=remove, add=add, portfolio=portfolio)

    def allocation(self, by: str | Sequence[str] = "factor") -> pl.DataFrame:
        """What contributes to every requirement, by `factor`, `trade`, or columns of the CRIF; see `allocation`."""
        from crossmargin.answers.simm_allocation import allocation

        return allocation(self, by)

    def table(self) -> pl.DataFrame:
        """A row a portfolio: requirement, its two parts and the regulations of each side."""
        import polars as pl

        columns: dict[str, Any] = {"portfolio": list(self.portfolios)}
        for side, answer in self.sides.items():
            columns[f"requirement_{side}"] = answer.requirement
            columns[f"simm_{side}"] = answer.simm
            columns[f"schedule_{side}"] = answer.schedule
            columns[f"regulation_{side}"] = list(answer.regulation)
        return pl.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """As plain data; figures as decimal strings."""
        return {
            "portfolios": [
                {"portfolio": name}
                | {
                    side.value: {
                        "requirement": repr(float(answer.requirement[p])),
                        "simm": repr(float(answer.simm[p])),
                        "schedule": repr(float(answer.schedule[p])),
                        "regulation": answer.regulation[p],
                        "product_classes": self._product_classes(answer, p),
                    }
                    for side, answer in self.sides.items()
                }
                for p, name in enumerate(self.portfolios)
            ],
            "currency": self.currency,
            "methodology": "simm",
            "parameters": self.parameters.info.name,
            "parameters_hash": self.parameters.info.digest,
            "mpor_days": self.parameters.mpor_days,
            "rejected": [str(problem) for problem in self.rejected],
            "notices": list(self.notices),
        }

    def _product_classes(self, answer: SideAnswer, p: int) -> dict[str, str]:
        unit = int(answer.unit[p])
        if unit < 0:
            return {}
        return {
            name: repr(float(value))
            for name, value in zip(PRODUCT_CLASSES, answer.breakdown.product_class[unit].tolist(), strict=True)
            if value
        }


def simm_margin(
    book: CrifBook,
    parameters: SimmParameters,
    *,
    currency: str = "USD",
    as_of: date | None = None,
    sides: Sequence[Side] = tuple(Side),
    schedule: ScheduleParameters | None = None,
    skip_rejected: bool = False,
    known: SimmAnswer | None = None,
) -> SimmAnswer:
    """Margin every portfolio of a CRIF.

    Parameters
    ----------
    book : CrifBook
        As `read_crif` reads it.
    parameters : SimmParameters
        A version at a margin period.
    currency : str
        In which it is calculated; its rate is among those of the book.
    as_of : date, optional
        From when maturities of the schedule count; needed where trades are under it.
    sides : sequence of Side
        Which.
    schedule : ScheduleParameters, optional
        Rates of the schedule; those of the regulations if left out.
    skip_rejected : bool
        Leave out rows that the version does not know, and say so.
    known : SimmAnswer, optional
        An answer of before a change, by the same parameters and in the same currency: what did not change is taken from
        it. No figure depends on it.

    Raises
    ------
    InputError
        Listing every row that the version does not know, unless they are skipped; if there is no rate of `currency`,
        or no date for the schedule.
    """
    currency = currency.strip().upper()
    if not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        found = f"'{currency[:20]}' is no calculation currency" if currency else "no calculation currency"
        raise InputError(Problem(found=found, needed="Three letters, like EUR."))
    if currency not in book.fx:
        raise InputError(
            Problem(
                found=f"no rate of {currency} in dollars",
                needed=f"Give it with --fx FILE (fx=...): a table with currency and usd, and a row of {currency}.",
            )
        )
    if len(book.trades) and as_of is None:
        raise InputError(
            Problem(
                found="trades under the schedule, and no date from which their maturities count",
                needed="Give it with --as-of 2026-01-31T00:00:00Z (as_of=...).",
            )
        )
    schedule = schedule or load_schedule()
    answers: dict[Side, SideAnswer] = {}
    unknown: dict[Problem, None] = {}
    left_out = {}
    units = {side: _units(book, side) for side in sides}
    first = units[sides[0]]
    # Without regulations both sides have the same rows, and share all but their curvature.
    shared = all(np.array_equal(one.row, first.row) and np.array_equal(one.unit, first.unit) for one in units.values())
    breakdowns: dict[Side, SimmBreakdown] = {}
    for together in [tuple(sides)] if shared else [(side,) for side in sides]:
        own = units[together[0]]
        breakdowns |= simm_sides(
            sensitivities_of(book, own.row, own.unit, len(own.regulations)),
            parameters,
            sides=together,
            calculation_currency=currency,
            usd_per_unit=book.fx[currency],
            skip_rejected=True,
            known=None if known is None else _breakdowns(known, units, together),
        )
    for side in sides:
        answer = _side(book, side, units[side], breakdowns[side], as_of, schedule)
        answers[side] = answer
        unknown |= dict.fromkeys(replace(problem, file=book.file) for problem in answer.breakdown.rejected)
        left_out[side] = int(answer.units.left_out.sum())
    rejected = sorted((*book.rejected, *unknown), key=lambda problem: problem.row or 0)
    if not skip_rejected:
        raise_problems(rejected)
    notices = [*book.notices, *parameters.caveats]
    for answer in answers.values():
        owner = answer.units.portfolio
        repeated = answer.breakdown.add_ons.repeated
        notices += [stated_twice(book.portfolios[int(owner[unit])], what) for unit, what in repeated]
    notices += [
        f"rows under no regulation on the {side} side, and so in no figure of it: {n:,}"
        for side, n in left_out.items()
        if n
    ]
    return SimmAnswer(
        book=book,
        portfolios=book.portfolios,
        currency=currency,
        sides=answers,
        parameters=parameters,
        schedule=schedule,
        as_of=as_of,
        rejected=tuple(rejected),
        notices=tuple(dict.fromkeys(notices)),
    )


def _breakdowns(
    known: SimmAnswer, units: Mapping[Side, RegulationUnits], sides: Sequence[Side]
) -> dict[Side, SimmBreakdown]:
    """Known figures of the sides whose units are the same ones."""
    return {
        side: known.sides[side].breakdown
        for side in sides
        if known.sides[side].units.regulations == units[side].regulations
        and np.array_equal(known.sides[side].units.portfolio, units[side].portfolio)
    }


def _units(book: CrifBook, side: Side) -> RegulationUnits:
    """Sensitivities by the regulations of a side."""
    here, there = (book.collect, book.post) if side is Side.CALL else (book.post, book.collect)
    n = len(book.portfolios)
    return regulation_units(n, book.portfolio, here.names, here.codes, there.names, there.codes, book.of_portfolio)


def _side(
    book: CrifBook,
    side: Side,
    units: RegulationUnits,
    breakdown: SimmBreakdown,
    as_of: date | None,
    schedule: ScheduleParameters,
) -> SideAnswer:
    n = len(book.portfolios)
    unit, regulation = winners(units, breakdown.total, n)
    of_simm = _of_units(breakdown.total, unit)
    of_schedule = np.zeros(n)
    schedule_units, schedule_breakdown, trades, counting, schedule_regulation = None, None, None, None, ("",) * n
    if len(book.trades):
        assert as_of is not None
        schedule_units, trades = _schedule_units(book, side)
        schedule_breakdown = schedule_requirement(trades, np.datetime64(as_of), schedule, post=side is Side.POST)
        counting, schedule_regulation = winners(schedule_units, schedule_breakdown.requirement, n)
        of_schedule = _of_units(schedule_breakdown.requirement, counting) / breakdown.usd_per_unit
    return SideAnswer(
        units=units,
        breakdown=breakdown,
        unit=unit,
        regulation=regulation,
        simm=of_simm,
        schedule=of_schedule,
        requirement=of_simm + of_schedule,
        schedule_units=schedule_units,
        schedule_breakdown=schedule_breakdown,
        schedule_trades=trades,
        schedule_unit=counting,
        schedule_regulation=schedule_regulation,
    )


def _of_units(amounts: FloatArray, unit: IntArray) -> FloatArray:
    """The amount of the unit that counts for each portfolio, 0 where none does (-1)."""
    found = np.zeros(len(unit))
    found[unit >= 0] = amounts[unit[unit >= 0]]
    return found


def _schedule_units(book: CrifBook, side: Side) -> tuple[RegulationUnits, ScheduleTrades]:
    """The schedule's trades, by the regulations of a side."""
    here, there = book.trade_collect, book.trade_post
    if side is Side.POST:
        here, there = there, here
    owner = book.trade_portfolio()
    units = regulation_units(
        len(book.portfolios),
        owner,
        here.names,
        here.codes,
        there.names,
        there.codes,
        np.zeros(len(book.trades), dtype=np.bool_),
    )
    names = [str(k) for k in range(len(units.regulations))]
    return units, book.trades.take(units.row, names, units.unit)


def sensitivities_of(book: CrifBook, rows: IntArray, unit: IntArray, n_units: int) -> Sensitivities:
    """Rows of a book as sensitivities of the units that they are margined in, which are called by their numbers."""

    def column(named: Named) -> Coded:
        return Coded(named.codes[rows], named.names or ("",))

    return Sensitivities.of(
        book.amount_usd[rows],
        portfolio=Coded(unit, tuple(str(k) for k in range(n_units)) or ("",)),
        risk_type=column(book.risk_type),
        row=book.row_numbers[rows],
        **{name: column(book.labels[stated]) for name, stated in _LABELS.items()},
    )
