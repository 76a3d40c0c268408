"""`margin`, `explain` and `whatif` of a CRIF, with --methodology simm: what they read, print and refuse."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.cli.tables import Column, paragraphs, table, tree
from crossmargin.cli.writing import require_places, write_table
from crossmargin.reports import numbers

if TYPE_CHECKING:
    import polars as pl

    from crossmargin.answers.simm import SimmAnswer
    from crossmargin.answers.simm_what_if import SimmWhatIf
    from crossmargin.cli.commands import Inputs, SimmInputs
    from crossmargin.methodologies.simm.recipe import Side

MOST_REJECTED = 20
"""Rejected rows that are printed."""
MOST_CONTRIBUTIONS = 20
LARGEST = 20
ALL_UP_TO = 50


def margin_crif(
    crif: Path,
    inputs: Inputs,
    simm: SimmInputs,
    others: Mapping[str, object],
    *,
    out: Path | None,
    rows: int | None,
    json_: bool,
) -> int:
    """Margin a CRIF; the exit code says whether rows were left out."""
    _refuse_others(inputs, {**others, "--side": simm.side})
    _require_rows(rows)
    require_places(table=out, beside=(crif, simm.fx) if simm.fx else (crif,))
    answer = _answer(crif, inputs, simm)
    contributions = None if simm.by is None else answer.allocation(_columns(simm.by))
    if out is not None:
        notes = {"parameters": answer.parameters.info.name, "parameters_hash": answer.parameters.info.digest}
        write_table(out, answer.report() if contributions is None else contributions, notes)
    if json_:
        document = answer.to_dict()
        if contributions is not None:
            document["contributions"] = [
                {key: repr(value) if isinstance(value, float) else value for key, value in row.items()}
                for row in contributions.iter_rows(named=True)
            ]
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print(simm_text(answer, rows, contributions))
    return 1 if answer.rejected else 0


def explain_crif(
    crif: Path, portfolio: str, inputs: Inputs, simm: SimmInputs, others: Mapping[str, object], *, json_: bool
) -> int:
    """The tree of one portfolio and side, and what contributes to it."""
    from crossmargin.methodologies.simm.recipe import Side

    _refuse_others(inputs, {**others, "--by": simm.by})
    if simm.side not in (None, *Side):
        raise InputError(Problem(found=f"--side {simm.side}", needed="call, what is collected, or post."))
    side = Side(simm.side or Side.CALL)
    answer = _answer(crif, inputs, simm)
    if json_:
        p = answer.portfolio(portfolio)
        document = answer.to_dict()
        document["portfolios"] = [document["portfolios"][p]]
        document["explanation"] = answer.explain(portfolio, side, most=sys.maxsize).to_dict()
        print(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print(explain_text(answer, portfolio, side))
    return 1 if answer.rejected else 0


def what_if_crif(
    crif: Path,
    inputs: Inputs,
    simm: SimmInputs,
    *,
    add: Sequence[str],
    remove: Sequence[str],
    portfolio: str | None,
    json_: bool,
) -> int:
    """Before, after and difference of the portfolios that a change touches."""
    from crossmargin.api import simm_what_if

    _refuse_others(inputs, {"--by": simm.by, "--side": simm.side})
    if len(add) > 1:
        raise InputError(Problem(found=f"--add given {len(add)} times", needed="Put all rows to add into one CRIF."))
    answer = _answer(crif, inputs, simm)
    change = simm_what_if(answer, remove=remove, add=Path(add[0]) if add else None, portfolio=portfolio)
    print(json.dumps(change.to_dict(), indent=2, ensure_ascii=False) if json_ else what_if_text(change))
    return 1 if answer.rejected else 0


def _answer(crif: Path, inputs: Inputs, simm: SimmInputs) -> SimmAnswer:
    from crossmargin.answers.simm import simm_margin
    from crossmargin.files.crif import read_crif
    from crossmargin.files.simm_document import read_simm_parameters

    skip = bool(simm.skip_rejected)
    parameters = read_simm_parameters(simm.version, inputs.parameters, 10 if simm.mpor is None else simm.mpor)
    return simm_margin(
        read_crif(crif, fx=simm.fx, parameters=parameters, skip_rejected=skip),
        parameters,
        currency="USD" if simm.currency is None else simm.currency,
        as_of=_day(inputs.as_of),
        skip_rejected=skip,
    )


def _refuse_others(inputs: Inputs, others: Mapping[str, object]) -> None:
    """A CRIF needs nothing of what prices need, and takes no option that would be ignored."""
    given = {
        "--market": inputs.market,
        "--market-format": inputs.market_format,
        "--balances": inputs.balances,
        "--history": inputs.history,
        "--across-units": inputs.across_units,
        "--gain-share": inputs.gain_share,
        "--gain-cap": inputs.gain_cap,
        "--time-step-days": inputs.time_step_days,
        "--option": inputs.option or None,
        "--missing": None if inputs.missing == "default" else inputs.missing,
        **others,
    }
    said = {name: f"Leave it out: it says what {command} shows." for name, command in _SHOWN_BY.items()}
    raise_problems(
        [
            Problem(
                found=f"{name} here" if name in said else f"{name} with a CRIF",
                needed=said.get(name, "Leave it out: it says nothing of sensitivities."),
            )
            for name, value in given.items()
            if value is not None
        ]
    )


_SHOWN_BY = {"--by": "`margin`", "--side": "`explain`"}
"""Options that go with a CRIF, and the one command that takes them."""


def _require_rows(rows: int | None) -> None:
    if rows is not None and rows < 0:
        raise InputError(Problem(found=f"--rows {rows}", needed="A number of at least 0."))


def _columns(by: str) -> str | list[str]:
    names = [name for name in (one.strip() for one in by.split(",")) if name]
    return names[0] if len(names) == 1 else names


def _day(as_of: str | None) -> date | None:
    if as_of is None:
        return None
    try:
        return date.fromisoformat(as_of[:10])
    except ValueError:
        raise InputError(Problem(found=f"--as-of {as_of}", needed="A date like 2026-01-31.")) from None


def simm_text(answer: SimmAnswer, rows: int | None, contributions: pl.DataFrame | None) -> str:
    """Requirement of every portfolio, what it is made of or what contributes to it, and what it rests on."""
    from crossmargin.methodologies.simm.recipe import Side

    call, post = (answer.sides.get(side) for side in (Side.CALL, Side.POST))
    assert call is not None
    assert post is not None
    n = len(answer.portfolios)
    most = (n if n <= ALL_UP_TO else LARGEST) if rows is None else rows
    order = sorted(range(n), key=lambda p: -float(call.requirement[p]))[:most] if most < n else list(range(n))
    columns = [
        Column(header="portfolio", cells=[answer.portfolios[p] for p in order], align="left"),
        Column(header="collect", cells=[numbers.requirement(float(call.requirement[p])) for p in order]),
        Column(header="under", cells=[_under(call.regulation[p]) for p in order], align="left", goes=1),
        Column(header="post", cells=[numbers.requirement(float(post.requirement[p])) for p in order]),
        Column(header="under", cells=[_under(post.regulation[p]) for p in order], align="left", goes=2),
    ]
    if call.schedule.any() or post.schedule.any():
        columns += [
            Column(header="of it schedule", cells=[numbers.money(float(call.schedule[p])) for p in order], goes=3)
        ]
    lines = [_heading(answer), "", table(columns)]
    if n > len(order):
        lines.append(f"{n - len(order):,} more portfolios (--rows N, --out FILE writes every level of all).")
    if contributions is not None:
        most = MOST_CONTRIBUTIONS if rows is None else rows
        lines += ["", *contributions_lines(contributions, most)]
    elif n == 1 and (levels := _levels(answer)):
        lines += ["", levels]
    return "\n".join([*lines, *_footer(answer)])


def explain_text(answer: SimmAnswer, portfolio: str, side: Side) -> str:
    """The tree of one portfolio and side, then the factors that contribute most."""
    import polars as pl

    lines = [_heading(answer), "", tree(answer.explain(portfolio, side)), ""]
    own = answer.allocation().filter(
        (pl.col("Portfolio") == portfolio) & (pl.col("SimmSide") == side.value.capitalize())
    )
    lines += contributions_lines(own, MOST_CONTRIBUTIONS)
    return "\n".join([*lines, *_footer(answer)])


def contributions_lines(contributions: pl.DataFrame, most: int) -> list[str]:
    """The largest contributions by size, and how many more there are."""
    import polars as pl

    if not contributions.height:
        return ["No contributions: no row counts."]
    shown = contributions.sort(pl.col("Contribution").abs(), descending=True, maintain_order=True).head(most)
    words = [name for name in shown.columns if shown.schema[name] == pl.String and name != "Currency"]
    several = contributions["Portfolio"].n_unique() > 1
    words = [name for name in words if (several or name != "Portfolio") and not (shown[name] == "").all()]
    columns = [
        Column(
            header=_HEADERS.get(name, name),
            cells=[_SIDES.get(cell, cell) if name == "SimmSide" else cell for cell in shown[name]],
            align="left",
            goes=_GOES.get(name, 0),
        )
        for name in words
    ]
    columns.append(Column(header="contribution", cells=[numbers.money(value) for value in shown["Contribution"]]))
    lines = [table(columns)]
    if contributions.height > shown.height:
        rest = contributions.height - shown.height
        lines.append(f"The largest by size; {rest:,} more (--rows N, --out FILE writes all).")
    return lines


_GOES = {"ProductClass": 4, "Bucket": 3, "Label2": 2, "Label1": 1}
"""Columns that a narrow terminal leaves out, the first one first."""


_SIDES = {"Call": "collect", "Post": "post"}
_HEADERS = {
    "Portfolio": "portfolio",
    "SimmSide": "side",
    "ProductClass": "product class",
    "RiskClass": "risk class",
    "MarginType": "margin type",
    "RiskType": "risk type",
    "Bucket": "bucket",
    "Qualifier": "qualifier",
    "Label1": "label 1",
    "Label2": "label 2",
}
"""Of the method's own columns; those of the file are called as it calls them."""


def what_if_text(change: SimmWhatIf) -> str:
    """Before, after and difference of every portfolio and side, and of the levels that change."""
    import polars as pl

    frame, after = change.table(), change.after
    frame = frame.filter((pl.col("Difference") != 0.0) | (pl.col("Level") == "requirement"))
    done = [
        f"{n:,} row{'' if n == 1 else 's'} {what}"
        for n, what in ((change.removed, "removed"), (change.added, "added"))
        if n
    ]
    lines = [f"{_heading(after)}: what if {' and '.join(done)}", ""]
    lines.append(
        table(
            [
                Column(header="portfolio", cells=frame["Portfolio"].to_list(), align="left"),
                Column(header="side", cells=[_SIDES[side] for side in frame["SimmSide"]], align="left"),
                Column(header="level", cells=frame["Level"].to_list(), align="left"),
                *(
                    Column(
                        header=name.lower(),
                        cells=[
                            numbers.requirement(value) if level == "requirement" else numbers.money(value)
                            for level, value in zip(frame["Level"], frame[name], strict=True)
                        ],
                    )
                    for name in ("Before", "After")
                ),
                Column(header="difference", cells=[numbers.money(value, signed=True) for value in frame["Difference"]]),
            ]
        )
    )
    return "\n".join([*lines, *_footer(after)])


def _heading(answer: SimmAnswer) -> str:
    return f"SIMM {answer.parameters.info.version}, {answer.parameters.mpor_days} days, in {answer.currency}"


def _footer(answer: SimmAnswer) -> list[str]:
    """What was left out, and what the figures rest on."""
    said = [f"Rejected: {problem}" for problem in answer.rejected[:MOST_REJECTED]]
    if len(answer.rejected) > MOST_REJECTED:
        said.append(f"And {len(answer.rejected) - MOST_REJECTED:,} more rejected rows (--json has all).")
    said += [f"Note: {notice}" + ("" if notice.endswith(".") else ".") for notice in answer.notices]
    return ["", paragraphs(said)] if said else []


def _under(regulation: str) -> str:
    return "" if regulation in ("", "Unspecified") else regulation


def _levels(answer: SimmAnswer) -> str:
    """Product class, risk class and margin type of the call side of one portfolio."""
    report = answer.report()
    shown = [
        (row["ProductClass"], row["RiskClass"], row["MarginType"], row["InitialMargin"])
        for row in report.iter_rows(named=True)
        if row["SimmSide"] == "Call" and row["Bucket"] == "All" and row["ProductClass"] != "All"
    ]
    if not shown:
        return ""
    return table(
        [
            Column(header="product class", cells=[one[0] for one in shown], align="left"),
            Column(header="risk class", cells=[one[1] for one in shown], align="left"),
            Column(header="margin type", cells=[one[2] for one in shown], align="left"),
            Column(header="collect", cells=[numbers.money(float(one[3])) for one in shown]),
        ]
    )
