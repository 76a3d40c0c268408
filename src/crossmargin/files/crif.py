"""CRIF, the common risk interchange format, to sensitivities in dollars and trades of the schedule.

The one way in for every table of it: CSV, Parquet, frames of polars or pandas, Arrow, columns, records. Only
PortfolioID and RiskType are required as headers, in any spelling. Every row that is wrong is rejected by its number
with the reason; rows are refused together unless the caller asks for an answer without them, which then says so.
Something that a row states and nobody uses is ignored with a notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crossmargin.answers.crif_book import TRADE, Carried, CrifBook, Named, in_order
from crossmargin.basics.arrays import IntArray
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.files.crif_checks import (
    Findings,
    Texts,
    amounts_usd,
    column_texts,
    labels,
    portfolios,
    risk_types,
    texts,
)
from crossmargin.files.crif_labels import (
    FACTOR,
    FIXED,
    KINDS,
    MULTIPLIER,
    SCHEDULE_NOTIONAL,
    SCHEDULE_PV,
    CalibratedLabels,
    end_date,
    im_model,
    product_class,
    qualifier,
    regulations,
)
from crossmargin.files.crif_rows import CrifRows, as_column, crif_rows
from crossmargin.files.fx_rates import read_fx_rates
from crossmargin.methodologies.simm.parameters import DEFAULT, SimmParameters, load_parameters
from crossmargin.methodologies.simm.regulations import EXCLUDED, ORDER
from crossmargin.methodologies.simm.schedule.parameters import PRODUCT_CLASSES
from crossmargin.methodologies.simm.schedule.trades import ScheduleTrades

_NOTIONAL, _PV = KINDS.index(SCHEDULE_NOTIONAL), KINDS.index(SCHEDULE_PV)
_ONCE = tuple(KINDS.index(name) for name in (MULTIPLIER, FACTOR))
_OF_PORTFOLIO = tuple(KINDS.index(name) for name in (MULTIPLIER, FACTOR, FIXED))
_KNOWN = frozenset((*ORDER, EXCLUDED))


def read_crif(
    source: Any, *, fx: Any = None, parameters: SimmParameters | None = None, skip_rejected: bool = False
) -> CrifBook:
    """Sensitivities and trades of a CRIF.

    Parameters
    ----------
    source
        Path of a CSV (plain or gzip) or Parquet file, a polars or pandas frame, an Arrow table, a mapping of columns or
        a sequence of records.
    fx
        What one unit of each currency is worth in dollars: a mapping, or a file or table `currency, usd`. Only needed
        where a row has no AmountUSD.
    parameters : SimmParameters, optional
        The calibration that says which buckets, tenors and sub-curves there are; the default one if left out.
    skip_rejected : bool
        Go on without the rows that are wrong; they stand in `.rejected` of the answer, with their reasons.

    Returns
    -------
    CrifBook
        In dollars, with row numbers, regulations and notices.

    Raises
    ------
    FileFormatError
        If it is no table of CRIF.
    InputError
        Listing every row that is wrong, unless they are skipped; or if no row is right.
    """
    rates = read_fx_rates(fx)
    calibrated = CalibratedLabels.of(parameters or load_parameters(DEFAULT))
    rows = crif_rows(source)
    findings = Findings.of(rows)
    portfolio = portfolios(rows, findings)
    kind = _kinds(rows, findings)
    columns = {
        "ProductClass": labels(rows, "ProductClass", kind, product_class, findings),
        "Qualifier": labels(rows, "Qualifier", kind, qualifier, findings),
        "Bucket": labels(rows, "Bucket", kind, calibrated.bucket, findings),
        "Label1": labels(rows, "Label1", kind, calibrated.label1, findings),
        "Label2": labels(rows, "Label2", kind, calibrated.label2, findings),
    }
    sides = {
        side: labels(rows, side, kind, regulations, findings) for side in ("CollectRegulations", "PostRegulations")
    }
    ends = labels(rows, "EndDate", kind, end_date, findings)
    amount = amounts_usd(rows, kind, rates, findings)
    _reject_repeated(portfolio, kind, columns["Qualifier"], sides, findings)
    trades, trade_rows = _trades(rows, portfolio, kind, columns["ProductClass"], ends, amount, findings)
    _notices(rows, sides, findings)
    rejected = [*rows.problems, *findings.rejected(portfolio)]
    rejected.sort(key=lambda problem: problem.row or 0)
    if not skip_rejected:
        raise_problems(rejected)
    if findings.wrong.all():
        needed = "At least one row has to be right."
        raise InputError([*rejected, Problem(found="no row is right", needed=needed, file=rows.file)])
    kept = np.flatnonzero(~findings.wrong & (kind != _NOTIONAL) & (kind != _PV))
    return CrifBook.of(
        file=rows.file,
        portfolio=(portfolio.names, portfolio.codes[kept]),
        risk_type=(list(KINDS), kind[kept]),
        labels={name: (column.names, column.codes[kept]) for name, column in columns.items()},
        amount_usd=amount[kept],
        row_numbers=rows.row_numbers[kept],
        collect=(sides["CollectRegulations"].names, sides["CollectRegulations"].codes[kept]),
        post=(sides["PostRegulations"].names, sides["PostRegulations"].codes[kept]),
        of_portfolio=np.isin(kind[kept], _OF_PORTFOLIO),
        carried=_carried(rows),
        file_rows=kept,
        trades=trades,
        trade_file_rows=trade_rows,
        trade_collect=(sides["CollectRegulations"].names, sides["CollectRegulations"].codes[trade_rows]),
        trade_post=(sides["PostRegulations"].names, sides["PostRegulations"].codes[trade_rows]),
        fx=rates,
        notices=tuple(findings.notices),
        rejected=tuple(rejected),
    )


def _carried(rows: CrifRows) -> Carried:
    """TradeID and the columns that are no CRIF's, read when they are asked for."""

    def read(column: str, at: IntArray) -> Named:
        series = rows.columns[column] if column in rows.columns else as_column(rows.others[column], column)
        found = texts(series.gather(at), len(at))  # first the rows: of a large file few may be asked for
        return in_order(found.names, found.codes)

    names = ((TRADE,) if TRADE in rows.columns else ()) + tuple(rows.others)
    return Carried(names, len(rows), read)


def _kinds(rows: CrifRows, findings: Findings) -> IntArray:
    """Risk types, those of the schedule apart."""
    kind = risk_types(rows, findings)
    models = labels(rows, "IMModel", kind, im_model, findings)
    scheduled = np.array([name == "Schedule" for name in models.names], dtype=np.bool_)[models.codes]
    as_schedule = np.where(kind == KINDS.index("PV"), _PV, _NOTIONAL)
    return np.where(scheduled, as_schedule, kind)


def _reject_repeated(
    portfolio: Texts, kind: IntArray, name: Texts, sides: Mapping[str, Texts], findings: Findings
) -> None:
    """A multiplier or a factor stands once: of two, nobody could say which applies."""
    seen: dict[tuple[int, ...], int] = {}
    for k in np.flatnonzero(np.isin(kind, _ONCE) & ~findings.wrong).tolist():
        key = tuple(int(codes[k]) for codes in (kind, portfolio.codes, name.codes, *(s.codes for s in sides.values())))
        first = seen.setdefault(key, k)
        if first != k:
            what = f"{KINDS[int(kind[k])]} of '{name.names[int(name.codes[k])]}' stands in row"
            found = f"{what} {int(findings.row_numbers[first])} already"
            findings.reject_row(k, "RiskType", found, "State it once for each portfolio.")


def _notices(rows: CrifRows, sides: Mapping[str, Texts], findings: Findings) -> None:
    if rows.others:
        names = ", ".join(rows.others)[:400]
        findings.notices.append(f"columns that no figure uses (contributions may be by them): {names}")
    raw = column_texts(rows, "Qualifier")
    offshore = np.array(["CNH" in name.upper() for name in raw.names], dtype=np.bool_)[raw.codes]
    if offshore.any():
        findings.notices.append("CNH is taken as CNY")
    unknown = sorted({one for side in sides.values() for text in side.names for one in text.split(",")} - _KNOWN - {""})
    if unknown:
        findings.notices.append(f"regulations of names that are not known here: {', '.join(unknown)[:400]}")


def _trades(
    rows: CrifRows,
    portfolio: Texts,
    kind: IntArray,
    classes: Texts,
    ends: Texts,
    amount: Any,
    findings: Findings,
) -> tuple[ScheduleTrades, IntArray]:
    """Trades of the schedule, each of a row with its notional and one with its present value; and the former's rows."""
    wanted = (kind == _NOTIONAL) | (kind == _PV)
    if not wanted.any():
        return ScheduleTrades.none(), np.zeros(0, dtype=np.int64)
    ids = column_texts(rows, TRADE)
    notional: dict[tuple[str, str], int] = {}
    value: dict[tuple[str, str], int] = {}
    for k in np.flatnonzero(wanted & ~findings.wrong).tolist():
        trade = ids.names[int(ids.codes[k])]
        what, held = ("notional", notional) if kind[k] == _NOTIONAL else ("present value", value)
        if not trade:
            findings.reject_row(k, "TradeID", "no trade", "A notional and a PV are of one TradeID.")
            continue
        first = held.setdefault((portfolio.names[int(portfolio.codes[k])], trade), k)
        if first != k:
            row = int(findings.row_numbers[first])
            found = f"a second {what} of trade '{trade[:80]}', which has one in row {row}"
            findings.reject_row(k, "TradeID", found, "One notional and one PV for each trade.")
    for one, other, what in ((notional, value, "present value"), (value, notional, "notional")):
        for key in [key for key in one if key not in other]:
            found = f"trade '{key[1][:80]}' has no {what}"
            findings.reject_row(one.pop(key), "TradeID", found, "A row Notional and a row PV for each trade.")
    for key in list(notional):
        _reject_mismatch(key, notional, value, classes, ends, findings)
    keys = sorted(notional)  # the canonical order
    names = tuple(sorted({key[0] for key in keys}))
    place = {name: k for k, name in enumerate(names)}
    at = np.array([notional[key] for key in keys], dtype=np.int64)
    worth = np.array([value[key] for key in keys], dtype=np.int64)
    class_of = np.array([_class_place(name) for name in classes.names], dtype=np.int64)
    trades = ScheduleTrades(
        portfolios=names,
        trades=tuple(key[1] for key in keys),
        portfolio=np.array([place[key[0]] for key in keys], dtype=np.int64),
        product_class=class_of[classes.codes[at]],
        end_date=np.array([ends.names[int(code)] or "NaT" for code in ends.codes[at]], dtype="datetime64[D]"),
        notional=amount[at],
        present_value=amount[worth],
    )
    return trades, at


def _class_place(name: str) -> int:
    return PRODUCT_CLASSES.index(name) if name in PRODUCT_CLASSES else -1


def _reject_mismatch(
    key: tuple[str, str],
    notional: dict[tuple[str, str], int],
    value: dict[tuple[str, str], int],
    classes: Texts,
    ends: Texts,
    findings: Findings,
) -> None:
    """The two rows of a trade say the same of it; a PV may leave the end to the notional."""
    one, other = notional[key], value[key]
    for column, found, may_be_empty in (("ProductClass", classes, False), ("EndDate", ends, True)):
        here, there = found.names[int(found.codes[one])], found.names[int(found.codes[other])]
        if here != there and not (may_be_empty and not there):
            row = int(findings.row_numbers[one])
            what = f"trade '{key[1][:80]}' has {column} {there or 'nothing'} here and {here} in row {row}"
            findings.reject_row(other, column, what, "One trade has one.")
            findings.wrong[one] = True
            notional.pop(key, None)
            value.pop(key, None)
