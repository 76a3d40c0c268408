"""`crossmargin margin CRIF --methodology simm`: what it reads, prints and refuses."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.cli.tables import Column, paragraphs, table
from crossmargin.cli.writing import require_places, write_table
from crossmargin.reports import numbers

if TYPE_CHECKING:
    from crossmargin.answers.simm import SimmAnswer
    from crossmargin.cli.commands import Inputs, SimmInputs

MOST_REJECTED = 20
"""Rejected rows that are printed."""
LARGEST = 20
ALL_UP_TO = 50


def margin_crif(
    crif: Path, inputs: Inputs, simm: SimmInputs, *, out: Path | None, rows: int | None, json_: bool
) -> int:
    """Margin a CRIF; the exit code says whether rows were left out."""
    from crossmargin.answers.simm import simm_margin
    from crossmargin.files.crif import read_crif
    from crossmargin.files.simm_document import read_simm_parameters

    _refuse_others(inputs)
    require_places(table=out, beside=(crif, simm.fx) if simm.fx else (crif,))
    skip = bool(simm.skip_rejected)
    answer = simm_margin(
        read_crif(crif, fx=simm.fx, skip_rejected=skip),
        read_simm_parameters(simm.version, inputs.parameters, 10 if simm.mpor is None else simm.mpor),
        currency=(simm.currency or "USD").upper(),
        as_of=_day(inputs.as_of),
        skip_rejected=skip,
    )
    if out is not None:
        notes = {"parameters": answer.parameters.info.name, "parameters_hash": answer.parameters.info.digest}
        write_table(out, answer.report(), notes)
    if json_:
        print(json.dumps(answer.to_dict(), indent=2, ensure_ascii=False))
    else:
        print(simm_text(answer, rows))
    return 1 if answer.rejected else 0


def _refuse_others(inputs: Inputs) -> None:
    """A CRIF needs nothing of what prices need."""
    given = {
        "--market": inputs.market,
        "--balances": inputs.balances,
        "--history": inputs.history,
        "--option": inputs.option or None,
    }
    raise_problems(
        [
            Problem(found=f"{name} with a CRIF", needed="Leave it out: sensitivities are all that simm needs.")
            for name, value in given.items()
            if value is not None
        ]
    )


def _day(as_of: str | None) -> date | None:
    if as_of is None:
        return None
    try:
        return date.fromisoformat(as_of[:10])
    except ValueError:
        raise InputError(Problem(found=f"--as-of {as_of}", needed="A date like 2026-01-31.")) from None


def simm_text(answer: SimmAnswer, rows: int | None) -> str:
    """Requirement of every portfolio, what it is made of, and what it rests on."""
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
    lines = [
        f"SIMM {answer.parameters.info.version}, {answer.parameters.mpor_days} days, in {answer.currency}",
        "",
        table(columns),
    ]
    if n > len(order):
        lines.append(f"{n - len(order):,} more portfolios (--rows N, --out FILE writes every level of all).")
    levels = _levels(answer) if n == 1 else ""
    lines += ["", levels] if levels else []
    said = [f"Rejected: {problem}" for problem in answer.rejected[:MOST_REJECTED]]
    if len(answer.rejected) > MOST_REJECTED:
        said.append(f"And {len(answer.rejected) - MOST_REJECTED:,} more rejected rows (--json has all).")
    said += [f"Note: {notice}" + ("" if notice.endswith(".") else ".") for notice in answer.notices]
    return "\n".join([*lines, "", paragraphs(said)]) if said else "\n".join(lines)


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
