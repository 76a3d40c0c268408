"""Answers as a person reads them: what is printed without `--json`."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import numpy as np

from crossmargin.answers.compare import Comparison
from crossmargin.answers.result import MarginResult
from crossmargin.answers.span_file import FileSummary
from crossmargin.answers.what_if import WhatIf
from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.quantities import format_quantity
from crossmargin.basics.times import format_utc
from crossmargin.cli.main import visible
from crossmargin.cli.tables import Column, paragraphs, table, tree, width
from crossmargin.collateral.valuation import CollateralItem
from crossmargin.engine.evaluate import Evaluation, Prepared
from crossmargin.market.snapshot import Market
from crossmargin.market.stand_ins import Fill
from crossmargin.portfolio.quarantine import Unmargined
from crossmargin.reports import numbers
from crossmargin.standing.standing import STATES

if TYPE_CHECKING:
    from crossmargin.answers.hedge_failure import HedgeFailureAnswer
    from crossmargin.cluster.margin import ClusterReport

ALL_UP_TO = 50
"""Accounts of a book whose every account is printed."""
LARGEST = 20
"""Accounts printed of a larger book."""
TOTAL_IN_WORDS = "total after option value"
"""What `total_initial` is called where it stands alone."""
MOST_UNMARGINED = 20
"""Accounts printed that were not margined."""


def margin_text(result: MarginResult, rows: int | None = None, *, where: str = "--out FILE writes all") -> str:
    """The margin table, its totals over all accounts, and what it rests on.

    `rows` is how many accounts to print; if left out, all of a small book and the largest of a large one. `where` says
    where all of them are.
    """
    r, s = result.figures, result.figures.standing
    shown = _shown(r.requirement_initial, rows)
    n = len(r.margin_accounts)

    def required(values: FloatArray) -> list[str]:
        """Rounded cells, and their sum: the column adds up as it is printed."""
        cells = [numbers.requirement(float(values[a])) for a in shown]
        return [*cells, numbers.money(numbers.requirement_total(values))] if n > 1 else cells

    def saved(need: Decimal, alone: Decimal) -> tuple[str, str]:
        return numbers.money(alone - need), _ratio(float(alone - need), float(alone))

    pairs = [(float(r.requirement_initial[a]), float(r.requirement_isolated[a])) for a in shown]
    savings = [saved(numbers.requirement_cents(need), numbers.requirement_cents(alone)) for need, alone in pairs]
    if n > 1:
        totals = (numbers.requirement_total(r.requirement_initial), numbers.requirement_total(r.requirement_isolated))
        savings.append(saved(*totals))
    many = n > 1
    columns = [
        Column(
            header="account",
            cells=[r.margin_accounts[a] for a in shown] + [_total_of(n, len(shown))] * many,
            align="left",
        ),
        Column(header="requirement", cells=required(r.requirement_initial)),
        Column(header="isolated", cells=required(r.requirement_isolated)),
        Column(header="saving", cells=[money for money, _ in savings], goes=3),
        Column(header="saved", cells=[ratio for _, ratio in savings]),
        Column(header="maintenance", cells=required(r.requirement_maintenance), goes=7),
        Column(
            header="option value",
            cells=[numbers.money(float(r.net_option_value[a])) for a in shown]
            + [numbers.money(float(r.net_option_value.sum()))] * many,
            goes=6,
        ),
    ]
    if s is None:  # with balances, option value shows in what is over or missing
        # Where the parameters are an exchange's, its own figure is the total.
        goes = 8 if result.prepared.methodology.market is None else 1
        columns.append(Column(header="total", cells=required(r.total_initial), goes=goes))
    else:
        columns += [
            # No totals: what one account has over is no cover for another.
            Column(header="equity", cells=[numbers.available(float(s.equity[a])) for a in shown] + [""] * many, goes=5),
            Column(header="excess", cells=[numbers.available(float(s.excess[a])) for a in shown] + [""] * many),
            Column(
                header="coverage",
                cells=[numbers.percent(float(s.coverage[a])) for a in shown] + [""] * many,
                goes=4,
            ),
            Column(header="state", cells=[STATES[s.state_code[a]].value for a in shown] + [""] * many, align="left"),
        ]
    lines = [f"Margin in {r.currency}, {_heading(result.prepared)}", "", table(columns, total=many)]
    lines += _not_shown(n - len(shown), where)
    if result.unmargined:
        lines += ["", *_unmargined(result.unmargined, "--json has all")]
    lines += ["", footer(result.prepared.market.source, result.prepared.notes, r.fills)]
    return "\n".join(lines)


def cluster_text(report: ClusterReport, market: Market, figures: Mapping[str, FloatArray]) -> str:
    """What a cluster did: totals, and whoever could not be margined.

    Parameters
    ----------
    figures : mapping of str to ndarray of shape (n_accounts,)
        Columns of the answer, added up as `margin_text` adds them up.
    """
    need, alone, maintenance, total = (
        numbers.requirement_total(figures[name])
        for name in ("requirement_initial", "requirement_isolated", "requirement_maintenance", "total_initial")
    )
    shards = f"{report.n_shards:,} shard" + ("s" if report.n_shards > 1 else "")
    lines = [
        f"Margin of {report.n_accounts:,} accounts from {report.n_rows:,} rows, in {report.currency}: {report.out}",
        "",
        table(
            [
                Column(
                    header="",
                    cells=["requirement", "isolated", "saving", "maintenance", "option value", TOTAL_IN_WORDS],
                    align="left",
                ),
                Column(
                    header="total",
                    cells=[
                        numbers.money(need),
                        numbers.money(alone),
                        f"{numbers.money(alone - need)} ({_ratio(float(alone - need), float(alone))})",
                        numbers.money(maintenance),
                        numbers.money(float(figures["net_option_value"].sum())),
                        numbers.money(total),
                    ],
                ),
            ]
        ),
        "",
        f"{shards} on {report.workers} workers; {report.retried} begun again because a worker died.",
    ]
    if report.deficits:
        lines.append(f"In deficit: {report.deficits:,} accounts.")
    if report.unmargined:
        lines += ["", *_unmargined(report.unmargined, f"{report.out} has all")]
    lines += ["", footer(market.source, report.notes, report.fills)]
    return "\n".join(lines)


def cluster_dict(report: ClusterReport) -> dict[str, object]:
    """The same as plain data, decimals as strings."""
    return {
        "out": str(report.out),
        "rows": report.n_rows,
        "accounts": report.n_accounts,
        "currency": report.currency,
        "totals": {name: repr(value) for name, value in report.totals.items()},
        "deficits": report.deficits,
        "shards": report.n_shards,
        "workers": report.workers,
        "retried": report.retried,
        "unmargined": [one.to_dict() for one in report.unmargined],
        "stand_ins": [fill.to_dict() for fill in report.fills],
        "notes": list(report.notes),
        "provenance": dict(report.provenance),
    }


def _unmargined(left_out: Sequence[Unmargined], where: str) -> list[str]:
    """Accounts without figures, each with its reasons; and that they are in no sum. None of it writes to a terminal."""
    count = f"{len(left_out):,} account" + ("s" if len(left_out) > 1 else "")
    lines = [f"Not margined, and in none of the figures: {count}."]
    for one in left_out[:MOST_UNMARGINED]:
        # As it stands in the data: no hyphen of a name becomes a minus sign.
        text = visible(f"not margined: {one.account}: {one.in_words}.")
        lines.append(textwrap.fill(text, width(), subsequent_indent="  ", break_long_words=False))
    if len(left_out) > MOST_UNMARGINED:
        lines.append(f"and {len(left_out) - MOST_UNMARGINED:,} more ({where}).")
    return lines


def _shown(requirement: FloatArray, rows: int | None) -> list[int]:
    """Accounts to print: all in their order, or the `rows` largest with the largest first."""
    n = len(requirement)
    most = (n if n <= ALL_UP_TO else LARGEST) if rows is None else rows
    if most >= n:
        return list(range(n))
    largest: list[int] = np.argsort(-requirement, kind="stable")[:most].tolist()
    return largest


def _total_of(count: int, shown: int) -> str:
    return "total" if count == shown else f"total of {count:,}"


def _not_shown(count: int, where: str) -> list[str]:
    """The line below a table that leaves out `count` accounts; none if it leaves out nobody."""
    return [f"{count:,} more account{'s' if count > 1 else ''} ({where})."] if count else []


def _ratio(part: float, whole: float) -> str:
    return numbers.percent(part / whole) if whole else numbers.UNKNOWN


def _heading(e: Evaluation | Prepared) -> str:
    moment = f"{e.market.as_of:%Y-%m-%d %H:%M:%S} UTC"
    return f"{e.methodology.name} {e.methodology.version} with {e.methodology.info.name}, as of {moment}"


def footer(source: str, notes: Sequence[str], fills: Sequence[Fill]) -> str:
    """Source of the market, notes and stand-ins, each in a line."""
    lines = [f"Market: {source}."]
    lines += [f"Note: {note}." for note in notes]
    lines += [f"Stand-in: {line}." for line in stand_ins(fills)]
    return paragraphs(lines)


def stand_ins(fills: Sequence[Fill]) -> list[str]:
    """What stood in for missing quotes, counted by field and rule."""
    counted = Counter((fill.field, _general(fill.rule)) for fill in fills)
    named = {(fill.field, _general(fill.rule)): fill for fill in fills}
    lines = []
    for (field, rule), count in sorted(counted.items()):
        fill = named[field, rule]
        if count == 1:
            lines.append(f"no {field} of {fill.instrument}: {fill.rule}, {fill.value:.6g}")
        else:
            lines.append(f"no {field} of {count} instruments: {rule}")
    return lines


def _general(rule: str) -> str:
    return rule.partition(",")[0]


def explain_text(result: MarginResult, account: str, *, scenarios: bool) -> str:
    """One account: the number, its worst scenario, the tree, the contributions."""
    e, a = result.of_account(result.index(account))
    r = e.requirements
    name = r.margin_accounts[a]
    members = e.book.members(a)
    lines = [f"{name}: {_heading(e)}", ""]
    facts = [
        ("initial requirement", numbers.requirement(float(r.requirement_initial[a]))),
        ("maintenance requirement", numbers.requirement(float(r.requirement_maintenance[a]))),
        ("isolated sum", numbers.requirement(float(r.requirement_isolated[a]))),
        ("net option value", numbers.money(float(r.net_option_value[a]))),
        (TOTAL_IN_WORDS, numbers.requirement(float(r.total_initial[a]))),
    ]
    if e.standing is not None and e.collateral is not None:
        facts += [
            ("collateral value", numbers.available(float(e.standing.collateral_value[a]))),
            ("equity", numbers.available(float(e.standing.equity[a]))),
            ("excess", numbers.available(float(e.standing.excess[a]))),
            ("state", e.standing.state_of(a).value),
        ]
    lines.append(
        table(
            [
                Column(header="", cells=[label for label, _ in facts], align="left"),
                Column(header=r.currency, cells=[figure for _, figure in facts]),
            ]
        )
    )
    worst = [
        f"Worst for {r.units.names[u]}: {numbers.signs(r.units.scenario_worst[u])}"
        for u in r.units.of(a)
        if r.units.scenario_worst[u]
    ]
    lines += ["", *worst] if worst else []
    lines += ["", tree(result.explain(name)), ""]
    lines.append(contributions_table(e, a))
    if e.collateral is not None and (items := e.collateral.items_of(a)):
        lines += ["", _collateral_table(items, float(e.collateral.value[a]))]
    if len(members) > 1:
        lines += ["", _members_table(e, a)]
    if scenarios:
        lines += ["", scenario_table(result, name)]
    lines += ["", footer(e.market.source, e.notes, e.fills)]
    return "\n".join(lines)


def contributions_table(e: Evaluation, a: int) -> str:
    """What each position adds to the requirement, the largest first, summing to it."""
    c, r = e.requirements.contributions, e.requirements
    rows = np.arange(int(c.account_offsets[a]), int(c.account_offsets[a + 1]))
    rows = rows[np.argsort(-c.contribution[rows], kind="stable")]
    beyond = {_words(name): float(values[a]) for name, values in r.account_charges.items() if values[a]}
    blank = [""] * (len(beyond) + 1)
    return table(
        [
            Column(
                header="position",
                cells=[c.instrument_names[int(c.instrument[k])] for k in rows] + [*beyond, "sum: initial requirement"],
                align="left",
            ),
            Column(
                header="quantity",
                cells=[numbers.quantity(format_quantity(int(c.steps[k]))) for k in rows] + blank,
            ),
            Column(
                header="P&L in worst",
                cells=[numbers.money(float(c.pnl_worst[k])) for k in rows] + blank,
                goes=1,
            ),
            Column(
                header="contribution",
                cells=[numbers.money(float(c.contribution[k])) for k in rows]
                + [numbers.money(value) for value in beyond.values()]
                + [numbers.requirement(float(r.requirement_initial[a]))],
            ),
        ],
        total=True,
    )


def _collateral_table(items: Sequence[CollateralItem], value: float) -> str:
    """What the collateral value is the sum of, in its order."""
    return table(
        [
            Column(header="collateral", cells=[item.asset for item in items] + ["sum: collateral value"], align="left"),
            Column(
                header="amount",
                cells=[numbers.quantity(f"{item.amount:.8f}".rstrip("0").rstrip(".")) for item in items] + [""],
            ),
            Column(
                header="price",
                cells=[numbers.money(item.price, decimals=2 if item.price >= 1 else 6) for item in items] + [""],
                goes=1,
            ),
            Column(header="haircut", cells=[numbers.percent(item.haircut) for item in items] + [""], goes=2),
            Column(
                header="value",
                cells=[numbers.money(item.value) for item in items] + [numbers.available(value)],
            ),
        ],
        total=True,
    )


def _members_table(e: Evaluation, a: int) -> str:
    rows = np.flatnonzero(e.book.margin_account_of == a)
    share = e.requirements.contributions.member
    return table(
        [
            Column(header="member", cells=[e.book.accounts[m] for m in rows], align="left"),
            Column(header="contribution", cells=[numbers.money(float(share[m])) for m in rows]),
        ]
    )


def scenario_table(result: MarginResult, account: str) -> str:
    """Every scenario's P&L, unit by unit; an asterisk marks the one that counts."""
    found = result.scenarios(account)
    parts = []
    for u, unit in enumerate(found.units):
        pnl = found.pnl[u]
        parts.append(
            table(
                [
                    Column(
                        header=f"scenario of {unit}",
                        cells=list(map(numbers.signs, found.words[u])),
                        align="left",
                    ),
                    Column(header="weight", cells=[numbers.percent(float(w)) for w in found.weight[u]], goes=1),
                    Column(header=f"P&L {found.currency}", cells=[numbers.money(float(x)) for x in pnl]),
                    Column(header="", cells=["*" if s == found.counted[u] else "" for s in range(len(pnl))]),
                ]
            )
        )
    return "\n\n".join(parts)


def compare_text(comparison: Comparison) -> str:
    """Requirement of every account under every methodology, and the components of each."""
    first = comparison.evaluations[0]
    shown = _shown(np.maximum.reduce([e.requirements.requirement_initial for e in comparison.evaluations]), None)
    n = len(comparison.margin_accounts)
    many = n > 1
    names = [comparison.margin_accounts[a] for a in shown]
    columns = [Column(header="account", cells=names + [_total_of(n, len(shown))] * many, align="left")]
    for e in comparison.evaluations:
        values = e.requirements.requirement_initial
        cells = [numbers.requirement(float(values[a])) for a in shown]
        columns.append(
            Column(header=e.methodology.name, cells=cells + [numbers.money(numbers.requirement_total(values))] * many)
        )
    moment = f"{first.market.as_of:%Y-%m-%d %H:%M:%S} UTC"
    lines = [
        f"Initial requirement in {first.requirements.currency}, as of {moment}",
        "",
        table(columns, total=many),
        *_not_shown(n - len(shown), "--json has all"),
    ]
    sums = [_sums(e) for e in comparison.evaluations]
    # What every method states stands last, below the components that only some have.
    stated = [name for name in sums[0] if all(name in one for one in sums)]
    labels = [name for name in dict.fromkeys(name for one in sums for name in one) if name not in stated] + stated
    columns = [Column(header="sum over accounts", cells=[_words(name) for name in labels], align="left")]
    for e, of_method in zip(comparison.evaluations, sums, strict=True):
        cells = [numbers.money(of_method[name]) if name in of_method else numbers.UNKNOWN for name in labels]
        columns.append(Column(header=e.methodology.name, cells=cells))
    notes = dict.fromkeys(note for e in comparison.evaluations for note in e.notes)
    fills = dict.fromkeys(fill for e in comparison.evaluations for fill in e.fills)
    lines += ["", table(columns), ""]
    if comparison.refused:
        reasons = [f"{name} has no answer: {one}" for name, problems in comparison.refused.items() for one in problems]
        lines += [paragraphs(reasons), ""]
    lines.append(footer(first.market.source, tuple(notes), tuple(fills)))
    return "\n".join(lines)


def _sums(e: Evaluation) -> dict[str, float]:
    """Components of a method and what every method states, each summed over the accounts."""
    r = e.requirements
    charges = {**r.units.components, **r.account_charges}
    stated = {"maintenance_requirement": r.requirement_maintenance, "net_option_value": r.net_option_value}
    if e.standing is not None:
        stated |= {"equity": e.standing.equity, "excess": e.standing.excess}
    return {name: float(values.sum()) for name, values in {**charges, **stated}.items()}


_HEDGE_FIGURES = {
    "estimated": "as estimated",
    "zero": "at zero",
    "one": "at one",
    "against": "each at its worst",
    "window": "stressed days",
    "capped": "offset capped",
    "correlation_break": "break add-on",
    "vol_spike": "vol spike",
    "vol_spike_gap": "vol spike, gap",
}


def hedge_failure_text(answer: HedgeFailureAnswer) -> str:
    """Loss of every account under each assumption about what hedges what, then what the words mean."""
    shown = _shown(answer.figures["against"], None)
    columns = [Column(header="account", cells=[answer.accounts[a] for a in shown], align="left")]
    for k, (name, header) in enumerate(_HEDGE_FIGURES.items()):
        values = answer.figures[name]
        cells = [numbers.money(float(values[a])) if values[a] == values[a] else numbers.UNKNOWN for a in shown]
        columns.append(Column(header=header, cells=cells, goes=k if k > 3 else 0))
    worst = [f"{answer.accounts[a]}: {answer.window_worst[a]}" for a in shown if answer.window_worst[a]]
    given = answer.assumptions
    lines = [
        f"Loss in USD under {answer.provenance['methodology']}, as of {answer.provenance['as_of']}",
        "",
        table(columns),
        *_not_shown(len(answer.accounts) - len(shown), "--json has all"),
        "",
        paragraphs(
            [
                "At zero, at one: correlation of the underlyings, the scenarios of each as they are.",
                "Each at its worst: every underlying loses in its own worst scenarios at once: hedges at minus one.",
                f"Offset capped: at most {given.offset_cap:.0%} of what netting saves. Break add-on: "
                f"{given.break_weight:.0%} of what the worse of zero and one asks for beyond the estimate.",
                f"Vol spike: all volatilities up by {given.vol_rise:.0%}; gap: prices by {given.gap:.0%} with it, "
                "the worse way.",
                *(f"Worst stressed day of {line}." for line in worst[:LARGEST]),
            ]
        ),
    ]
    return "\n".join(lines)


def what_if_text(answer: WhatIf) -> str:
    """Before, after and difference of every component."""
    rows = answer.components()
    trades = ", ".join(f"{quantity} {name}" for name, quantity in answer.trades)
    lines = [f"{answer.account}: what if {answer.member} adds {numbers.signs(trades)}", ""]
    lines.append(
        table(
            [
                Column(
                    header=answer.before.requirements.currency,
                    cells=[_words(n) for n, _, _ in rows],
                    align="left",
                ),
                Column(header="before", cells=[_rounded(n, b) for n, b, _ in rows]),
                Column(header="after", cells=[_rounded(n, a) for n, _, a in rows]),
                Column(header="difference", cells=[numbers.money(a - b, signed=True) for _, b, a in rows]),
            ]
        )
    )
    for label, e in (("before", answer.before), ("after", answer.after)):
        units = e.requirements.units
        lines += [
            f"Worst {label}, {units.names[u]}: {numbers.signs(units.scenario_worst[u])}"
            for u in units.of(0)
            if units.scenario_worst[u]
        ]
    if answer.cash_paid:
        verb = "cost" if answer.cash_paid > 0 else "bring in"
        lines.append(f"At their marks the trades {verb} {numbers.money(abs(answer.cash_paid))}, settled in cash.")
    lines += ["", footer(answer.after.market.source, answer.after.notes, answer.after.fills)]
    return "\n".join(lines)


def _rounded(name: str, value: float) -> str:
    """Against the account: what is required up, what is there down."""
    if name.startswith(("requirement", "total")):
        return numbers.requirement(value)
    return numbers.available(value) if name in ("collateral_value", "equity", "excess") else numbers.money(value)


def market_text(market: Market, most: int) -> str:
    """What a market file holds, and every row that cannot be margined with its reason."""
    kinds = Counter(type(instrument).__name__ for instrument in market.instruments.instruments)
    american = int(market.instruments.is_american.sum())
    lines = [f"{market.source}, as of {format_utc(market.as_of)}", ""]
    lines.append(
        table(
            [
                Column(header="in the market", cells=[_kind(name) for name in kinds], align="left"),
                Column(header="rows", cells=[f"{count:,}" for count in kinds.values()]),
            ]
        )
    )
    lines += ["", *(f"Index {name}: {numbers.money(price)}" for name, price in market.index.items())]
    if len(market.without_vol):
        lines.append(
            f"Options without a quoted vol, for which the policy takes a stand-in: {len(market.without_vol):,}"
        )
    if american:
        lines.append(f"American options, whose pricer is not there yet: {american:,}")
    reasons = Counter(row.reason.value for row in market.excluded)
    lines += [f"Left out, {reason}: {count:,}" for reason, count in sorted(reasons.items())]
    lines += [f"  row {row.row}: {row.name}: {row.detail}" for row in market.excluded[:most]]
    if len(market.excluded) > most:
        lines.append(f"  and {len(market.excluded) - most:,} more (--json has all)")
    lines += ["", paragraphs([f"Note: {note}." for note in market.notes])]
    return "\n".join(lines)


def span_file_text(summary: FileSummary, most: int) -> str:
    """What a SPAN parameter file holds, and the odd things in it."""
    day = "settlement" if summary.is_settlement else "intraday"
    lines = [
        f"{summary.source}: {summary.form} of {summary.complex}, {summary.business_date}, {day}, "
        f"in {', '.join(summary.currencies)}",
        "",
    ]
    held = {f"contracts {kind}": count for kind, count in summary.contracts.items()} | summary.rules
    lines.append(
        table(
            [
                Column(header="in the file", cells=list(held), align="left"),
                Column(header="", cells=[f"{count:,}" for count in held.values()]),
            ]
        )
    )
    lines.append("")
    lines += [f"Not used: {count:,} x {visible(name)}" for name, count in summary.skipped.items()]
    lines += [f"Never formed: {visible(one)}" for one in summary.never_formed[:most]]
    for finding in summary.findings:
        names = ", ".join(visible(name) for name in finding.names[:most])
        more = f" and {len(finding.names) - most:,} more" if len(finding.names) > most else ""
        text = f"Odd: {len(finding.names):,} {finding.what}: {names}{more}"
        # Names as they stand in the file: no hyphen of theirs becomes a minus sign.
        lines.append(textwrap.fill(text, width(), subsequent_indent="  ", break_long_words=False))
    if not summary.findings:
        lines.append("Nothing looks odd.")
    return "\n".join(lines)


def methodologies_text(rows: Sequence[dict[str, str]]) -> str:
    """The methodologies with their parameters and promises."""
    parts = []
    for row in rows:
        parts.append(
            "\n".join(
                (
                    f"{row['name']} {row['version']} ({row['status']})",
                    paragraphs([f"  {row['title']}"]),
                    paragraphs([f"  parameters: {row['parameters']}", f"  promises: {row['traits']}"]),
                )
            )
        )
    return "\n\n".join(parts)


def _kind(name: str) -> str:
    return {"VanillaOption": "options", "DatedFuture": "futures", "Perpetual": "perpetuals", "Spot": "spot"}[name]


def _words(name: str) -> str:
    return name.replace("_", " ")
