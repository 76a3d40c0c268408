"""The report: one page that opens from disk, without a network and without a script.

First the number, its state and what makes it; then every account; then an account in the order of the calculation;
last what the figures rest on and what they leave out. What needs a click is `<details>`, so that everything is
readable without a script, by keyboard and on paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from importlib import resources

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.basics.times import format_utc
from crossmargin.engine.evaluate import Evaluation
from crossmargin.reports import charts, numbers
from crossmargin.reports.findings import (
    ContributionPicture,
    contribution_picture,
    curve_picture,
    grid_parameters,
    grid_pictures,
    is_common,
    unit_underlyings,
    waterfall_picture,
)
from crossmargin.reports.markup import Content, Markup, element, join
from crossmargin.standing.standing import State

MOST_ACCOUNTS_IN_TABLE = 200
MOST_ACCOUNTS_IN_DETAIL = 12
MOST_UNITS_DRAWN = 6
MOST_UNITS_IN_TABLE = 50
MOST_PARTS = 200
MOST_NOTES = 100
_MOST_CATEGORIES = 6

LIMITS = (
    "The requirement is the worst loss over the stated scenarios and the stated charges; a market can move further.",
    "Scenarios move all forwards of an underlying together and its volatilities in parallel by expiry; changes of "
    "skew and smile are not among them.",
    "No add-on for liquidity, concentration or the cost of closing a position; no default fund.",
    "Futures and perpetuals are taken as settled: what they gained before is in the balances.",
)
"""What no report of the grid family covers, when the caller states nothing else."""
LIMITS_OF_ANY = (LIMITS[0], LIMITS[3])
"""Likewise for a method whose own rules say what it charges."""


def limits_of(evaluation: Evaluation) -> tuple[str, ...]:
    """What a report does not cover, as far as it follows from the methodology's family."""
    return LIMITS if grid_parameters(evaluation) is not None else LIMITS_OF_ANY


_STATES = {
    State.HEALTHY: ("●", "healthy"),
    State.WARNING: ("▲", "warning"),
    State.CALL: ("◆", "call"),
    State.LIQUIDATION: ("■", "liquidation"),
}


def render_report(
    evaluation: Evaluation,
    *,
    account: str | None = None,
    title: str = "Margin report",
    limits: Sequence[str] | None = None,
) -> str:
    """The page, as text.

    Parameters
    ----------
    evaluation : Evaluation
        What is reported.
    account : str, optional
        The margin account (or a member of it) to show in detail; without it the largest, up to 12.
    title : str
        Heading of the page.
    limits : sequence of str
        What is not covered, one sentence each; `limits_of` if left out.

    Raises
    ------
    UnknownAccountError
        If nobody is called `account`.
    """
    order = _by_requirement(evaluation)
    if account is not None:
        chosen = [evaluation.margined.margin_account_index(account)]
    else:
        chosen = order[:MOST_ACCOUNTS_IN_DETAIL]
    body = join(
        _header(evaluation, title, chosen[0] if account is not None and chosen else None),
        element(
            "main",
            _accounts_table(evaluation, order, set(chosen)),
            [_account(evaluation, index) for index in chosen],
            _left_out(len(order) - len(chosen)) if account is None else None,
            _notes(evaluation),
            _provenance(evaluation),
            _limits(limits_of(evaluation) if limits is None else limits),
        ),
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        # Nothing is fetched, whatever a name in the data might say.
        element(
            "meta",
            http_equiv="Content-Security-Policy",
            content="default-src 'none'; style-src 'unsafe-inline'",
        ),
        element("title", title),
        element("style", Markup(style_sheet())),
    )
    return f"<!DOCTYPE html>\n{element('html', head, element('body', body), lang='en')}\n"


@cache
def style_sheet() -> str:
    """The style sheet, as it goes into the page."""
    return resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")


def _by_requirement(evaluation: Evaluation) -> list[int]:
    """Margin accounts, largest requirement first, by name among equals."""
    order: list[int] = np.argsort(-evaluation.requirements.requirement_initial, kind="stable").tolist()
    return order


# The head of the page.


def _header(evaluation: Evaluation, title: str, chosen: int | None) -> Markup:
    requirements = evaluation.requirements
    provenance = evaluation.provenance
    n_accounts = len(requirements.margin_accounts)
    if chosen is None:
        need = numbers.requirement_total(requirements.requirement_initial)
        alone = numbers.requirement_total(requirements.requirement_isolated)
        what = f"initial requirement of {_count(n_accounts, 'account')}, {requirements.currency}"
    else:
        need = numbers.requirement_cents(float(requirements.requirement_initial[chosen]))
        alone = numbers.requirement_cents(float(requirements.requirement_isolated[chosen]))
        what = f"initial requirement of {requirements.margin_accounts[chosen]}, {requirements.currency}"
    facts = [
        ("as of", _moment(evaluation)),
        ("market", evaluation.market.source),
        ("methodology", f"{provenance['methodology']} version {provenance['methodology_version']}"),
        (
            "parameters",
            f"{provenance['parameters']} version {provenance['parameters_version']}, {provenance['parameters_date']}",
        ),
        (
            "hash",
            join(_short_hash(provenance["parameters_hash"]), " / ", _short_hash(provenance["market_hash"])),
        ),
    ]
    return element(
        "header",
        element(
            "div",
            element("h1", title),
            element("p", what, class_="what"),
            element("p", numbers.money(need), class_="number"),
            element("p", _saving_sentence(need, alone), class_="lead"),
            element("p", _state_sentence(evaluation, chosen), class_="lead"),
            element("p", _largest_sentence(evaluation, chosen), class_="lead"),
            class_="first",
        ),
        element(
            "dl",
            [element("div", element("dt", name), element("dd", value)) for name, value in facts],
            class_="facts",
        ),
    )


def _saving_sentence(need: Decimal, alone: Decimal) -> str:
    if alone <= 0:
        return "No position needs margin."
    saving = alone - need
    if saving == 0:
        return f"Isolated margin would be the same: {numbers.money(alone)}."
    return (
        f"Isolated margin would be {numbers.money(alone)}: "
        f"cross-margining saves {numbers.money(saving)}, {numbers.percent(float(saving / alone))}."
    )


def _state_sentence(evaluation: Evaluation, chosen: int | None) -> Content:
    stands = evaluation.standing
    if stands is None:
        return "No balances were given, so equity and excess are not known."
    if chosen is not None:
        state = stands.state_of(chosen)
        return join(_badge(state), f" {_excess_words(float(stands.excess[chosen]))}")
    short = int(np.count_nonzero(stands.excess < 0))
    if not short:
        return join(_badge(State.HEALTHY, "covered"), " Every account covers its initial requirement.")
    count = stands.count()
    worst = State.LIQUIDATION if count[State.LIQUIDATION] else State.CALL
    missing = sum((-numbers.available_cents(v) for v in stands.excess.tolist() if v < 0), Decimal(0))
    counts = [f"{count[state]:,} in {state.value}" for state in (State.CALL, State.LIQUIDATION) if count[state]]
    which = "is" if short == 1 else "are"
    return join(
        _badge(worst, f"{_count(short, 'account')} {which} short"),
        f" by {numbers.money(missing)} in all ({', '.join(counts)}).",
    )


def _largest_sentence(evaluation: Evaluation, chosen: int | None) -> str | None:
    """Which account and which scenario the number comes from."""
    order = _by_requirement(evaluation)
    index = chosen if chosen is not None else order[0] if order else None
    if index is None or not len(evaluation.requirements.units.of(index)):
        return None
    words = _worst_words(evaluation, index)
    if chosen is not None or len(order) == 1:
        return words
    requirements = evaluation.requirements
    need, whole = (
        float(requirements.requirement_initial[index]),
        math.fsum(requirements.requirement_initial.tolist()),
    )
    if need <= 0:
        return None
    return f"The largest, {requirements.margin_accounts[index]}, makes {numbers.percent(need / whole)} of it. {words}"


def _excess_words(excess: float) -> str:
    if excess < 0:
        return f"Short of {numbers.money(-numbers.available_cents(excess))}."
    return f"Excess {numbers.available(excess)}."


def _badge(state: State, words: str = "") -> Markup:
    shape, name = _STATES[state]
    return element(
        "span",
        element("span", shape, class_=f"shape {name}", aria_hidden="true"),
        words or name,
        class_="badge",
    )


# All accounts.


def _accounts_table(evaluation: Evaluation, order: list[int], detailed: set[int]) -> Markup:
    requirements, stands = evaluation.requirements, evaluation.standing
    shown = order[:MOST_ACCOUNTS_IN_TABLE]
    currency = requirements.currency
    head = ["account", "requirement", "isolated", "saving", "%", "net option value"]
    if stands is None:  # with balances, option value shows in what is over or missing
        head.append("total")
    else:
        head += ["equity", "excess", "coverage", "state"]
    if not order:
        return element("section", element("h2", "Accounts"), element("p", "The book holds no account."))
    rows: list[list[str | Markup]] = []
    for index in shown:
        name = requirements.margin_accounts[index]
        members = evaluation.margined.members(index)
        linked: Content = element("a", name, href=f"#account-{index}") if index in detailed else name
        if members != (name,):
            linked = join(linked, element("span", f" {_count(len(members), 'member')}", class_="faint"))
        row: list[str | Markup] = [join(linked)]
        row += _saving_cells(
            float(requirements.requirement_initial[index]), float(requirements.requirement_isolated[index])
        )
        row.append(numbers.money(float(requirements.net_option_value[index])))
        if stands is None:
            row.append(numbers.requirement(float(requirements.total_initial[index])))
        else:
            row += [
                numbers.available(float(stands.equity[index])),
                numbers.available(float(stands.excess[index])),
                numbers.percent(float(stands.coverage[index])),
                _badge(stands.state_of(index)),
            ]
        rows.append(row)
    need = numbers.requirement_total(requirements.requirement_initial)
    alone = numbers.requirement_total(requirements.requirement_isolated)
    total: list[str | Markup] = [
        f"total, {_count(len(order), 'account')}",
        numbers.money(need),
        numbers.money(alone),
    ]
    total += [numbers.money(alone - need), numbers.percent(float((alone - need) / alone) if alone else None)]
    total.append(numbers.money(math.fsum(requirements.net_option_value.tolist())))
    if stands is None:
        total.append(numbers.money(numbers.requirement_total(requirements.total_initial)))
    else:
        # No totals: the excess of one account is no cover for another.
        total += ["", "", "", ""]
    left_out = None
    if len(order) > len(shown):
        rest = order[len(shown) :]
        needs = numbers.requirement_total(requirements.requirement_initial[rest])
        left_out = element(
            "p",
            f"The {len(shown):,} accounts with the largest requirements; {_count(len(rest), 'other account')}, needing "
            f"{numbers.money(needs)} together, are left out of the table and counted in the total.",
            class_="source",
        )
    single = len(order) == 1
    return element(
        "section",
        element("h2", "Account" if single else "Accounts"),
        element(
            "p",
            f"Requirement, then what it would have been, in {currency}. Requirements are rounded up to the cent, "
            "what is available down.",
            class_="sub",
        ),
        charts.table(head, rows, words=(0, 9), total=() if single else total),
        left_out,
        id="accounts",
    )


def _saving_cells(need: float, alone: float) -> list[str]:
    required, isolated = numbers.requirement_cents(need), numbers.requirement_cents(alone)
    saving = isolated - required
    return [
        numbers.money(required),
        numbers.money(isolated),
        numbers.money(saving),
        numbers.percent(float(saving / isolated) if isolated else None),
    ]


def _left_out(count: int) -> Markup | None:
    if count <= 0:
        return None
    return element(
        "p",
        f"{_count(count, 'account')} with smaller requirements {'is' if count == 1 else 'are'} not shown in detail.",
        class_="source",
    )


# One account, in the order of the calculation.


def _account(evaluation: Evaluation, index: int) -> Markup:
    requirements = evaluation.requirements
    name = requirements.margin_accounts[index]
    units = requirements.units.of(index)
    contributions = contribution_picture(evaluation, index)
    heading = [element("h2", name), _account_facts(evaluation, index)]
    if not len(units):
        return element(
            "section",
            heading,
            element("p", "No positions: nothing is required.", class_="lead"),
            _explanation(evaluation, index),
            class_="account",
            id=f"account-{index}",
        )
    source = (
        f"Source: {evaluation.market.source}, {_moment(evaluation)}; parameters {evaluation.methodology.info.name}."
    )
    colours = _categories(evaluation)
    drawn = _largest_units(evaluation, index)[:MOST_UNITS_DRAWN]
    grids = grid_pictures(evaluation, index)
    pictures: list[Markup] = []
    for u in drawn:
        if not grids:
            break
        grid = grids[u - units.start]
        key = f"a{index}u{u}"
        pair = [
            charts.figure(charts.heat_map(grid, f"{key}h"), source),
            charts.figure(charts.curve(curve_picture(evaluation, index, u, grid), f"{key}c"), source),
        ]
        pictures.append(
            join(
                element("h3", _swatch(colours, grid.unit), f"Risk unit {grid.unit}") if len(units) > 1 else None,
                element("div", pair, class_="pair" if len(grid.times) == 1 else "pair even"),
            )
        )
    if grids and len(units) > len(drawn):
        rest = len(units) - len(drawn)
        pictures.append(element("p", f"{_count(rest, 'smaller risk unit')} not drawn.", class_="source"))
    made_of: Content = element(
        "p", "One position: nothing offsets it, and it is all of the requirement.", class_="lead"
    )
    # The baseline is one of the grid family: another method has no waterfall until it has a baseline of its own.
    steps = waterfall_picture(evaluation, index) if grids else None
    if len(contributions.items) > 1 or (steps is not None and len(steps.all_steps) > 1):
        by_position = charts.bars(contributions, f"a{index}b", colours if len(units) > 1 else None)
        made_of = join(
            element("h3", "What offset what, and who eats the margin"),
            element(
                "div",
                charts.figure(charts.waterfall(steps, f"a{index}w"), source) if steps is not None else None,
                charts.figure(by_position, source),
                class_="pair even",
            ),
        )
    return element(
        "section",
        heading,
        element("p", _worst_words(evaluation, index), class_="lead"),
        _what_makes_it(contributions, is_gradient=evaluation.methodology.traits.euler),
        _units_table(evaluation, index, colours),
        pictures,
        made_of,
        _members(evaluation, index),
        _explanation(evaluation, index),
        element("p", element("a", "Back to all accounts", href="#accounts"), class_="source back"),
        class_="account",
        id=f"account-{index}",
    )


def _largest_units(evaluation: Evaluation, index: int) -> list[int]:
    """Risk units of an account, largest requirement first."""
    units = evaluation.requirements.units
    return sorted(units.of(index), key=lambda u: (-float(units.requirement_initial[u]), u))


def _account_facts(evaluation: Evaluation, index: int) -> Markup:
    requirements, stands = evaluation.requirements, evaluation.standing
    need = float(requirements.requirement_initial[index])
    alone = float(requirements.requirement_isolated[index])
    cells = _saving_cells(need, alone)
    facts: list[tuple[str, Content]] = [
        ("maintenance", numbers.requirement(float(requirements.requirement_maintenance[index]))),
        ("isolated", cells[1]),
        ("saving", join(cells[2], element("span", f" {cells[3]}", class_="faint"))),
        ("net option value", numbers.money(float(requirements.net_option_value[index]))),
        ("total after it", numbers.requirement(float(requirements.total_initial[index]))),
    ]
    if stands is not None:
        facts += [
            ("equity", numbers.available(float(stands.equity[index]))),
            ("excess", numbers.available(float(stands.excess[index]))),
            ("coverage", numbers.percent(float(stands.coverage[index]))),
        ]
    return element(
        "div",
        element(
            "div",
            element("p", f"initial requirement, {requirements.currency}", class_="what"),
            element(
                "p",
                element("span", cells[0], class_="number"),
                _badge(stands.state_of(index)) if stands is not None else None,
                class_="with-state",
            ),
        ),
        element(
            "dl",
            [element("div", element("dt", label), element("dd", value)) for label, value in facts],
            class_="tiles",
        ),
        class_="account-head",
    )


def _worst_words(evaluation: Evaluation, index: int) -> str:
    units = evaluation.requirements.units
    held = evaluation.requirements.contributions
    first, last = held.account_offsets[index : index + 2].tolist()
    drawn = [u for u in units.of(index) if units.scenario_worst[u]]
    if not drawn:
        return ""
    common = is_common(evaluation) and len(drawn) > 1
    ranked = [u for u in _largest_units(evaluation, index) if units.scenario_worst[u]]
    said = []
    for u in ranked[: MOST_UNITS_DRAWN if common else 3]:
        pnl = math.fsum(held.pnl_worst[first:last][held.unit[first:last] == u].tolist())
        words = numbers.signs(units.scenario_worst[u])
        # A scenario begins with its underlying; a side of a gross account has to be said.
        unit = f"{units.names[u]}: " if len(drawn) > 1 and not words.startswith(f"{units.names[u]} ") else ""
        said.append(f"{unit}{words}, {numbers.money(pnl, signed=True)}")
    more = len(drawn) - len(said)
    words = "; ".join(said) + (f"; and {_count(more, 'smaller risk unit')}" if more else "")
    if common:
        return f"Worst common scenario: {words}."
    return f"Worst scenario{'s' if len(said) > 1 else ''}: {words}."


def _what_makes_it(picture: ContributionPicture, *, is_gradient: bool) -> Markup | None:
    meaning = "what a small change of the position changes, while the worst scenario stays the worst"
    if not is_gradient:
        meaning = "an allocation by loss in the worst scenario and by the delta that charges and credits took"
    if len(picture.items) < 2:
        return None
    adding = [item for item in picture.items if item.contribution > 0][:3]
    lowering = [item for item in reversed(picture.items) if item.contribution < 0][:3]

    def box(heading: str, items: Sequence[tuple[str, float]], otherwise: str) -> Markup:
        lines = [
            element(
                "li",
                element("span", label),
                element("span", numbers.money(value, signed=True), class_="num"),
            )
            for label, value in items
        ]
        return element(
            "div",
            element("h3", heading),
            element("ul", lines) if lines else element("p", otherwise, class_="sub"),
        )

    return element(
        "div",
        box("What makes it", [(i.label, i.contribution) for i in adding], "Nothing: no position needs margin."),
        box(
            "What lowers it",
            [(i.label, i.contribution) for i in lowering],
            "Nothing: every position adds to the requirement, charges included.",
        ),
        element(
            "p",
            f"Shares of the requirement: {meaning}.",
            class_="source",
        ),
        class_="makes",
    )


def _units_table(evaluation: Evaluation, index: int, colours: dict[str, int]) -> Markup:
    units = evaluation.requirements.units
    rows: list[list[str | Markup]] = []
    n_units = len(units.of(index))
    drawn = _largest_units(evaluation, index)[:MOST_UNITS_IN_TABLE]
    for u in sorted(drawn):
        row: list[str | Markup] = [join(_swatch(colours, units.names[u]), units.names[u])]
        row += [numbers.money(float(values[u])) for values in units.components.values()]
        row += _saving_cells(float(units.requirement_initial[u]), float(units.requirement_isolated[u]))
        row += [numbers.money(float(units.net_option_value[u])), numbers.signs(units.scenario_worst[u])]
        rows.append(row)
    head = ["risk unit", *(name.replace("_", " ") for name in units.components)]
    head += ["requirement", "isolated", "saving", "%", "net option value", "worst scenario"]
    gross = bool(evaluation.margined.gross[index])
    common = is_common(evaluation) and len(rows) > 1
    return join(
        element("div", charts.table(head, rows, words=(0, len(head) - 1)), class_="units"),
        element("p", "A gross account: its long and its short side never net.", class_="source") if gross else None,
        element("p", f"{_count(n_units - len(drawn), 'smaller risk unit')} not listed.", class_="source")
        if n_units > len(drawn)
        else None,
        element(
            "p",
            "One scenario for all units: a unit's requirement is its share of the account's, negative where it gains.",
            class_="source",
        )
        if common
        else None,
    )


def _members(evaluation: Evaluation, index: int) -> Markup | None:
    book = evaluation.margined
    members = np.flatnonzero(book.margin_account_of == index).tolist()
    if len(members) < 2:
        return None
    share = evaluation.requirements.contributions.member
    ranked = sorted(members, key=lambda k: (-float(share[k]), book.accounts[k]))
    rows = [(book.accounts[k], numbers.money(float(share[k]))) for k in ranked]
    total = (
        "sum = requirement",
        numbers.requirement(float(evaluation.requirements.requirement_initial[index])),
    )
    return element(
        "div",
        element("h3", "Members"),
        element("p", "Share of each linked account in the requirement; a hedge has a negative one.", class_="sub"),
        charts.table(("member", "contribution"), rows, total=total),
    )


def _explanation(evaluation: Evaluation, index: int) -> Markup:
    tree = evaluation.methodology.explain(evaluation.requirements, index)
    return element(
        "div",
        element("h3", "The calculation"),
        element(
            "p",
            "Every figure and the rule by which its parts make it, as calculated; the requirement itself is then "
            "rounded up to the cent.",
            class_="sub",
        ),
        element("div", _node(tree, 0, tree.unit), class_="tree"),
    )


def _node(node: Explanation, depth: int, home: str) -> Markup:
    value = numbers.figure(node.value, node.unit, home)
    about = [text for text in (node.rule, node.note) if text]
    said = element(
        "span",
        element("span", numbers.signs(node.label), class_="name"),
        element("span", f" {'; '.join(about)}", class_="rule") if about else None,
    )
    row = [said, element("span", value, class_="num")]
    if not node.parts:
        return element("div", row, class_="leaf", title=node.source or None)
    shown = node.parts[:MOST_PARTS]
    more = len(node.parts) - len(shown)
    return element(
        "details",
        element("summary", row, title=node.source or None),
        [_node(part, depth + 1, home) for part in shown],
        element("div", f"{_count(more, 'further part')}, not listed here", class_="leaf rule") if more else None,
        open=depth < 2,
    )


# What it rests on.


def _notes(evaluation: Evaluation) -> Markup:
    fills = evaluation.fills
    market = evaluation.market
    parts: list[Content] = []
    if evaluation.notes:
        parts.append(element("ul", [element("li", note) for note in evaluation.notes]))
    if fills:
        shown = fills[:MOST_NOTES]
        parts.append(
            element(
                "p",
                f"{_count(len(fills), 'figure')} stood in for what was not quoted, each by a named rule"
                + (f"; the first {len(shown)}:" if len(shown) < len(fills) else ":"),
            )
        )
        rows = [(fill.instrument, fill.field, fill.rule, numbers.plain(fill.value)) for fill in shown]
        parts.append(charts.table(("instrument", "missing", "stand-in", "value"), rows, words=(0, 1, 2)))
    else:
        parts.append(element("p", "Every price and volatility that was used was quoted: nothing stood in."))
    if market.excluded:
        parts.append(
            element(
                "p",
                f"{_count(len(market.excluded), 'row')} of the source {'is' if len(market.excluded) == 1 else 'are'} "
                "not in the market (expired, unsupported or unreadable).",
            )
        )
    return element("section", element("h2", "Notes and stand-ins"), parts, id="notes")


def _provenance(evaluation: Evaluation) -> Markup:
    rows: list[tuple[str, Content]] = []
    for name, value in evaluation.provenance.items():
        if isinstance(value, dict):
            value = ", ".join(f"{key}: {rule}" for key, rule in value.items())
        rows.append((name.replace("_", " "), str(value)))
    return element(
        "section",
        element("h2", "Provenance"),
        element(
            "dl",
            [element("div", element("dt", name), element("dd", value)) for name, value in rows],
            class_="provenance",
        ),
        id="provenance",
    )


def _limits(limits: Sequence[str]) -> Markup | None:
    if not limits:
        return None
    return element(
        "section",
        element("h2", "What is not covered"),
        element("ul", [element("li", limit) for limit in limits]),
        id="limits",
    )


def _categories(evaluation: Evaluation) -> dict[str, int]:
    """Colour of each risk unit by name: that of its underlying; 0 is "other".

    An underlying's place among those of the parameter set makes it the same on every page.
    """
    stated = evaluation.methodology.info.document.get("underlyings")
    underlyings = sorted(stated) if isinstance(stated, dict) else sorted(evaluation.market.index)
    colour = {name: k + 1 for k, name in enumerate(underlyings[:_MOST_CATEGORIES])}
    names = zip(evaluation.requirements.units.names, unit_underlyings(evaluation), strict=True)
    return {unit: colour.get(underlying, 0) for unit, underlying in names}


def _swatch(colours: dict[str, int], unit: str) -> Markup:
    return element("span", class_=f"swatch u{colours.get(unit, 0)}", aria_hidden="true")


def _moment(evaluation: Evaluation) -> str:
    return f"{format_utc(evaluation.market.as_of).replace('T', ' ').removesuffix('Z')} UTC"


def _short_hash(digest: object) -> Markup:
    text = str(digest)
    return element("code", text.removeprefix("sha256:")[:12], title=text)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
