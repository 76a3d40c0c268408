"""The four pictures of a margin, each answering one question.

    where does it hurt?      `heat_map`: a ladder of price moves by volatility, as a trader reads prices: up is up
    how does it bend?        `curve`: P&L over price, now and later, against the requirement
    what offset what?        `waterfall`: from the isolated sum to the requirement
    who eats the margin?     `bars`: contributions, sorted

A picture comes with its title (the finding), what it shows, its text alternative and its table. They take plain data
(`reports.findings`), so that anything that can produce it can draw them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from crossmargin.reports import numbers, svg
from crossmargin.reports.findings import (
    ContributionPicture,
    CurvePicture,
    Extended,
    GridPicture,
    WaterfallPicture,
)
from crossmargin.reports.markup import Markup, element, join

COLOUR_STEPS = 5
"""Shades of gain and of loss beside the neutral one."""
MOST_ROWS = 21
MOST_BARS = 12
MOST_TABLE_ROWS = 200
_VOLS = ("vol down", "vol same", "vol up")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A picture with its words and its table."""

    kind: str
    title: str
    subtitle: str
    picture: Markup
    table: Markup
    note: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """How amounts of one picture are written: all over the same power of a thousand, with the same decimals."""

    divisor: float
    name: str
    decimals: int

    @classmethod
    def of(cls, values: Sequence[float], currency: str) -> Money:
        """The unit in which the largest of `values` has at most seven digits."""
        largest = max((abs(v) for v in values if math.isfinite(v)), default=0.0)
        for divisor, name in ((1e9, "billion"), (1e6, "million"), (1e3, "thousand")):
            if largest >= 1e4 * divisor:
                return cls(divisor, f"{name} {currency}", 0)
        return cls(1.0, currency, 0 if largest >= 100 else 2)

    def __call__(self, value: float, *, signed: bool = False) -> str:
        return numbers.money(value / self.divisor, decimals=self.decimals, signed=signed)


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[str | Markup]],
    *,
    words: Collection[int] = (0,),
    total: Sequence[str | Markup] = (),
) -> Markup:
    """A plain table: the columns in `words` are text, the rest figures; the total is ruled above."""

    def cell(name: str, k: int, content: str | Markup) -> Markup:
        scope = "col" if name == "th" else None
        return element(name, content, class_=None if k in words else "num", scope=scope)

    return element(
        "div",
        element(
            "table",
            element("thead", element("tr", [cell("th", k, name) for k, name in enumerate(head)])),
            element(
                "tbody",
                [element("tr", [cell("td", k, content) for k, content in enumerate(row)]) for row in rows],
            ),
            element("tfoot", element("tr", [cell("td", k, content) for k, content in enumerate(total)]))
            if total
            else None,
        ),
        class_="scroll",
    )


def heat_map(data: GridPicture, key: str) -> Chart:
    """P&L of a risk unit in every scenario, worst one outlined, the edge between gain and loss drawn."""
    row_height, head, gap, left, right = 25.0, 42.0, 15.0, 128.0, 4.0
    n_times = len(data.times)
    cell = 86.0 if n_times == 1 else 78.0
    block = 3 * cell
    block_gap = 14.0
    rows = _rows_shown(data)
    tails_up = [(k, tail) for k, tail in enumerate(data.extended) if tail.move > 0][::-1]
    tails_down = [(k, tail) for k, tail in enumerate(data.extended) if tail.move <= 0][::-1]
    all_values = [*data.pnl[:, rows].ravel().tolist(), *(tail.pnl for tail in data.extended)]
    amount = Money.of(all_values, data.currency)
    largest = max((abs(v) for v in all_values if math.isfinite(v)), default=0.0)
    width = left + n_times * block + (n_times - 1) * block_gap + right
    contents: list[Markup] = []
    border: list[tuple[float, float, float, float]] = []
    outline: tuple[float, float] | None = None

    def place(value: float, x: float, y: float) -> None:
        shade, on = _shade(value, largest)
        contents.append(svg.rect(x, y, cell, row_height, f"cell {shade}"))
        contents.append(svg.text(x + cell - 8, y + 17, amount(value), f"value {on}", "end"))

    def label(move: float, y: float) -> None:
        contents.append(svg.text(60, y + 17, numbers.move(move), "label strong", "end"))
        level = data.index + abs(data.index) * move
        contents.append(svg.text(left - 8, y + 17, numbers.price(level), "label faint", "end"))

    def strip(tails: list[tuple[int, Extended]], y: float) -> float:
        nonlocal outline
        above: float | None = None
        for k, tail in tails:
            column = left + (tail.vol + 1) * cell
            label(tail.move, y)
            place(tail.pnl, column, y)
            counted = f"counts {numbers.percent(tail.weight)}"
            if tail.vol == -1:
                contents.append(svg.text(column + cell + 8, y + 17, counted, "label faint"))
            else:
                contents.append(svg.text(column - 8, y + 17, counted, "label faint", "end"))
            if data.worst == (k,):
                outline = (column, y)
            if above is not None and (above < 0) != (tail.pnl < 0):
                border.append((column, y, column + cell, y))
            above = tail.pnl
            y += row_height
        return y

    y = head
    if tails_up:
        y = strip(tails_up, y) + gap
    core_top = y
    for r in reversed(rows):
        label(float(data.moves[r]), y)
        for t in range(n_times):
            for v in range(3):
                x = left + t * (block + block_gap) + v * cell
                value = float(data.pnl[t, r, v])
                if not math.isfinite(value):
                    continue
                place(value, x, y)
                if data.worst == (t, r, v):
                    outline = (x, y)
                if v and (value < 0) != (float(data.pnl[t, r, v - 1]) < 0):
                    border.append((x, y, x, y + row_height))
                higher = rows.index(r) + 1
                if higher < len(rows) and (value < 0) != (float(data.pnl[t, rows[higher], v]) < 0):
                    border.append((x, y, x + cell, y))
        y += row_height
    core_bottom = y
    if tails_down:
        y = strip(tails_down, y + gap)
    contents.append(svg.text(60, head - 10, "price", "axis", "end"))
    contents.append(svg.text(left - 8, head - 10, "level", "axis", "end"))
    for t, time in enumerate(data.times):
        for v, vol in enumerate(_VOLS):
            x = left + t * (block + block_gap) + (v + 1) * cell - 8
            contents.append(svg.text(x, head - 10, vol, "axis", "end"))
        if n_times > 1:
            x = left + t * (block + block_gap) + cell * 1.5
            contents.append(svg.text(x, 14, time, "label strong", "middle"))
    for edge in (core_top, core_bottom):
        contents.append(svg.line(0, edge, width - right, edge, "rule"))
    if border:
        contents.append(svg.edges(border, "contour-back"))
        contents.append(svg.edges(border, "contour"))
    if outline is not None:
        contents.append(svg.rect(outline[0], outline[1], cell, row_height, "outline-back"))
        contents.append(svg.rect(outline[0], outline[1], cell, row_height, "outline"))
    height = y + 6
    what = "the account's worst common scenario" if data.common else "the worst scenario"
    subtitle = f"P&L of {data.unit} by price move and volatility, {amount.name}. "
    subtitle += f"Outlined: {what}, {data.words}. "
    if border:
        subtitle += "Heavy line: where gain turns to loss."
    note = ""
    if data.extended:
        note = "The strips outside of the grid are extended moves, of whose P&L only the stated fraction counts."
    if len(rows) < len(data.moves):
        note += f" {len(rows)} of {len(data.moves)} price steps are drawn, the worst among them."
    described = f"{data.unit}: {data.words} gives {numbers.money(data.worst_pnl)} {data.currency}. "
    described += f"The figures range from {numbers.money(min(all_values))} to {numbers.money(max(all_values))} "
    described += f"{data.currency}."
    return Chart(
        kind="heat",
        title=data.finding,
        subtitle=subtitle,
        picture=svg.picture(key, width, height, data.finding, described, contents),
        table=_grid_table(data),
        note=note.strip(),
    )


def _rows_shown(data: GridPicture) -> list[int]:
    n = len(data.moves)
    if n <= MOST_ROWS:
        return list(range(n))
    chosen = set(np.linspace(0, n - 1, MOST_ROWS - 1).round().astype(int).tolist())
    chosen.add(int(np.argmin(np.abs(data.moves))))
    if len(data.worst) == 3:
        chosen.add(data.worst[1])
    return sorted(chosen)


def _shade(value: float, largest: float) -> tuple[str, str]:
    """Classes of a cell and of the figure in it: neutral at zero, the same scale on both sides."""
    if largest <= 0 or abs(value) < 0.005:
        return "z", "on"
    # A hair less, so that what is exactly a fifth of the largest falls in the first shade on both sides.
    k = min(COLOUR_STEPS, max(1, math.ceil(abs(value) / largest * COLOUR_STEPS - 1e-9)))
    return f"{'g' if value > 0 else 'l'}{k}", "on5" if k == COLOUR_STEPS else "on"


def _grid_table(data: GridPicture) -> Markup:
    head = ["price", "level"]
    for time in data.times:
        head += [vol if len(data.times) == 1 else f"{time}, {vol}" for vol in _VOLS]
    head.append("counts")
    blank = [""] * (3 * (len(data.times) - 1))
    lines: list[tuple[float, list[str]]] = []
    for r, move in enumerate(data.moves.tolist()):
        figures = [numbers.money(float(v)) for t in range(len(data.times)) for v in data.pnl[t, r]]
        lines.append((move, [numbers.move(move), _level(data.index, move), *figures, "100%"]))
    for tail in data.extended:
        cells = ["", "", ""]
        cells[tail.vol + 1] = numbers.money(tail.pnl)
        lines.append(
            (
                tail.move,
                [
                    numbers.move(tail.move),
                    _level(data.index, tail.move),
                    *cells,
                    *blank,
                    numbers.percent(tail.weight),
                ],
            )
        )
    lines.sort(key=lambda pair: -pair[0])
    return table(head, [cells for _, cells in lines], words=())


def _level(index: float, move: float) -> str:
    return numbers.price(index + abs(index) * move)


def curve(data: CurvePicture, key: str) -> Chart:
    """P&L over price with volatilities unchanged: now, after some days, and what the requirement covers."""
    width, height, left, right, top, bottom = 580.0, 420.0, 72.0, 92.0, 34.0, 52.0
    loss = -data.requirement if data.requirement > 0 else 0.0
    values = [0.0, loss, *data.now.tolist(), *data.later.tolist()]
    if data.worst:
        values.append(data.worst[1])
    amount = Money.of(values, data.currency)
    room = (max(values) - min(values)) * 0.06 or 1.0
    x = svg.Scale(float(data.moves[0]), float(data.moves[-1]), left, width - right)
    y = svg.Scale(min(values) - room, max(values) + room, height - bottom, top)
    inner_left, inner_right = x(-data.price_range), x(data.price_range)
    contents = [
        svg.rect(left, top, inner_left - left, height - bottom - top, "outside"),
        svg.rect(inner_right, top, width - right - inner_right, height - bottom - top, "outside"),
    ]
    if loss:
        contents.append(svg.rect(left, y(0), width - right - left, y(loss) - y(0), "band"))
    y_ticks = svg.ticks(y.low, y.high, 6)
    step = y_ticks[1] - y_ticks[0] if len(y_ticks) > 1 else 1.0
    apart = step / amount.divisor
    decimals = next((d for d in (0, 1) if math.isclose(round(apart, d), apart)), 2)
    axis = Money(amount.divisor, amount.name, decimals)
    for tick in y_ticks:
        contents.append(svg.line(left, y(tick), width - right, y(tick), "grid" if abs(tick) > 1e-12 else "zero"))
        contents.append(svg.text(left - 8, y(tick) + 4, axis(tick), "axis", "end"))
    x_ticks = svg.ticks(x.low, x.high, 6)
    for tick in x_ticks:
        contents.append(svg.line(x(tick), height - bottom, x(tick), height - bottom + 5, "tick"))
        contents.append(svg.text(x(tick), height - bottom + 19, numbers.move(round(tick, 6)), "axis", "middle"))
        contents.append(svg.text(x(tick), height - bottom + 35, _level(data.index, tick), "axis faint", "middle"))
    for edge, anchor, offset in ((inner_left, "start", 5.0), (inner_right, "end", -5.0)):
        contents.append(svg.line(edge, top, edge, height - bottom, "range"))
        if anchor == "start":
            reach = numbers.move(data.price_range).lstrip("+")
            contents.append(svg.text(edge + offset, top + 14, f"grid: ±{reach}", "axis faint"))
    contents.append(svg.text(left - 8, top - 12, amount.name, "axis faint", "end"))
    if loss:
        contents.append(svg.line(left, y(loss), width - right, y(loss), "requirement"))
    same = bool(np.max(np.abs(data.now - data.later), initial=0.0) < 0.002 * (max(values) - min(values) or 1.0))
    if not same:
        contents.append(svg.path([(x(m), y(v)) for m, v in zip(data.moves, data.later, strict=True)], "later"))
    contents.append(svg.path([(x(m), y(v)) for m, v in zip(data.moves, data.now, strict=True)], "now"))
    days = f"after {data.days:g} day{'' if data.days == 1 else 's'}"
    labels = [(y(float(data.now[-1])), f"now and {days}" if same else "now", "direct now-text")]
    if not same:
        labels.append((y(float(data.later[-1])), days, "direct later-text"))
    if loss:
        labels.append((y(loss), "its share" if data.common else "requirement", "direct"))
        labels.append((y(loss) + 15, numbers.MINUS + amount(data.requirement), "direct"))
    places = svg.spread([place for place, _, _ in labels], 15, top + 4, height - bottom)
    for at, (_, words, class_) in zip(places, labels, strict=True):
        contents.append(svg.text(width - right + 7, at + 4, words, class_))
    if data.worst:
        move, pnl, words = data.worst
        at_x, at_y = x(move), y(pnl)
        contents.append(svg.circle(at_x, at_y, 4.5, "worst"))
        after = svg.text_width(f"worst: {words}", 12) + at_x + 10 < width - right
        # Above the requirement's line: the worst scenario loses at most that.
        contents.append(
            svg.text(
                at_x + (10 if after else -10),
                at_y + (-9 if at_y > top + 20 else 18),
                f"worst: {words}",
                "halo",
                "start" if after else "end",
            )
        )
    subtitle = f"P&L of {data.unit} over its price, volatility unchanged, {amount.name}; now and {days}."
    if loss:
        covers = "the unit's share of the requirement" if data.common else "the requirement"
        subtitle += f" Shaded: what {covers} covers."
    described = (
        f"P&L of {data.unit} now: {numbers.money(data.at_range[0])} {data.currency} at "
        f"{numbers.move(-data.price_range)} and {numbers.money(data.at_range[1])} {data.currency} at "
        f"{numbers.move(data.price_range)}."
    )
    rows = [
        (numbers.move(round(m, 6)), _level(data.index, m), numbers.money(now), numbers.money(later))
        for m, now, later in data.rows
    ]
    return Chart(
        kind="curve",
        title=data.finding,
        subtitle=subtitle,
        picture=svg.picture(key, width, height, data.finding, described, contents),
        table=table(("price", "level", "now", days), rows, words=()),
    )


_BAR_WIDTH = 460.0
_BAR_ROW = 38.0


def _bar_words(y: float, label: str, value: str, share: str, weight: str = "", colour: int | None = None) -> Markup:
    """The line above a bar: what it is on the left, how much on the right. It fits a phone."""
    class_ = f"label {weight}".strip()
    return join(
        svg.rect(1, y + 4, 9, 9, f"swatch u{colour}") if colour is not None else None,
        svg.text(0 if colour is None else 17, y + 13, svg.clipped(label, 36), class_),
        svg.text(_BAR_WIDTH - 58, y + 13, value, class_, "end"),
        svg.text(_BAR_WIDTH, y + 13, share, "label faint", "end"),
    )


def waterfall(data: WaterfallPicture, key: str) -> Chart:
    """From the isolated sum down to the requirement."""
    rows_drawn: list[tuple[str, float, float, str]] = [("isolated sum", 0.0, data.isolated, "total")]
    level = data.isolated
    for step in data.steps:
        after = level + step.change
        rows_drawn.append((step.label, level, after, "less" if step.change <= 0 else "more"))
        level = after
    rows_drawn.append(("requirement", 0.0, data.requirement, "ours"))
    amount = Money.of([data.isolated], data.currency)
    ends = [end for _, start, stop, _ in rows_drawn for end in (start, stop)]
    x = svg.Scale(min(0.0, *ends), max(1e-9, *ends), 1, _BAR_WIDTH - 1)
    contents: list[Markup] = []
    y = 2.0
    for k, (name, start, stop, class_) in enumerate(rows_drawn):
        last = k == len(rows_drawn) - 1
        whole = k == 0 or last
        if last:
            contents.append(svg.line(0, y - 1, _BAR_WIDTH, y - 1, "rule strong-rule"))
            y += 3
        share = (stop if whole else stop - start) / data.isolated if data.isolated > 0 else math.nan
        contents.append(
            _bar_words(
                y,
                name,
                amount(stop) if whole else amount(stop - start, signed=True),
                numbers.percent(share, signed=not whole),
                "strong" if whole else "",
            )
        )
        wide = max(abs(x(stop) - x(start)), 1.0)
        contents.append(svg.rect(x(start), y + 18, wide if stop >= start else -wide, 13, class_))
        if not last:
            to_next = y + _BAR_ROW + 18 + (3 if k == len(rows_drawn) - 2 else 0)
            contents.append(svg.line(x(stop), y + 31, x(stop), to_next, "connector"))
        y += _BAR_ROW
    height = y
    described = (
        f"From {numbers.money(data.isolated)} {data.currency} isolated to "
        f"{numbers.money(data.requirement)} {data.currency}: "
        + "; ".join(f"{step.label} {numbers.money(step.change, signed=True)}" for step in data.steps)
        + "."
    )
    rows: list[Sequence[str]] = [("isolated sum", "", "", numbers.requirement(data.isolated))]
    rows += [
        (
            step.label,
            numbers.money(step.isolated),
            numbers.money(step.contribution),
            numbers.money(step.change),
        )
        for step in data.all_steps[:MOST_TABLE_ROWS]
    ]
    if further := data.all_steps[MOST_TABLE_ROWS:]:
        sums = [math.fsum(getattr(step, name) for step in further) for name in ("isolated", "contribution", "change")]
        rows.append((f"other ({len(further)} positions)", *(numbers.money(value) for value in sums)))
    total = ("requirement", "", "", numbers.requirement(data.requirement))
    subtitle = f"From what every position needs alone to what they need together, {amount.name}."
    note = "A step is the position's contribution minus what it needs alone."
    return Chart(
        kind="waterfall",
        title=data.finding,
        subtitle=subtitle,
        picture=svg.picture(key, _BAR_WIDTH, height, data.finding, described, contents),
        table=table(("step", "alone", "contribution", "change"), rows, total=total),
        note=note,
    )


def bars(data: ContributionPicture, key: str, colours: dict[str, int] | None = None) -> Chart:
    """Contributions to the requirement, sorted, negative ones to the left, their sum stated."""
    shown = [(item.label, item.unit, item.contribution) for item in data.items]
    if len(shown) > MOST_BARS + 1:
        by_size = sorted(data.items, key=lambda item: -abs(item.contribution))
        kept = {id(item) for item in by_size[:MOST_BARS]}
        shown = [(item.label, item.unit, item.contribution) for item in data.items if id(item) in kept]
        rest = [item.contribution for item in data.items if id(item) not in kept]
        shown.append((f"other ({len(rest)} positions)", "", math.fsum(rest)))
    values = [value for _, _, value in shown]
    amount = Money.of([*values, data.requirement], data.currency)
    x = svg.Scale(min(0.0, *values), max(1e-9, *values), 1, _BAR_WIDTH - 1)
    contents: list[Markup] = []
    y = 2.0

    def share(value: float) -> str:
        return numbers.percent(value / data.requirement if data.requirement > 0 else None, decimals=0)

    for label, unit, value in shown:
        colour = colours.get(unit, 0) if colours and unit else None
        contents.append(_bar_words(y, label, amount(value), share(value), colour=colour))
        contents.append(svg.rect(x(0), y + 18, x(value) - x(0), 13, "more" if value > 0 else "less"))
        contents.append(svg.line(x(0), y + 17, x(0), y + 32, "zero"))
        y += _BAR_ROW
    contents.append(svg.line(0, y - 1, _BAR_WIDTH, y - 1, "rule strong-rule"))
    all_of_it = share(data.requirement)
    contents.append(_bar_words(y + 3, "sum = requirement", amount(data.requirement), all_of_it, "strong"))
    described = (
        f"Contributions to {numbers.money(data.requirement)} {data.currency}: "
        + "; ".join(f"{label} {numbers.money(value)}" for label, _, value in shown)
        + "."
    )
    rows: list[Sequence[str]] = [
        (
            item.label,
            item.unit,
            numbers.money(item.pnl_worst),
            numbers.money(item.contribution),
            numbers.percent(item.contribution / data.requirement if data.requirement > 0 else None),
        )
        for item in data.items[:MOST_TABLE_ROWS]
    ]
    if further := data.items[MOST_TABLE_ROWS:]:
        left = math.fsum(item.contribution for item in further)
        of_all = numbers.percent(left / data.requirement if data.requirement > 0 else None)
        lost = math.fsum(item.pnl_worst for item in further)
        name = f"other ({len(further)} positions)"
        rows.append((name, "", numbers.money(lost), numbers.money(left), of_all))
    total = ("sum", "", "", numbers.requirement(data.requirement), all_of_it)
    return Chart(
        kind="bars",
        title=data.finding,
        subtitle=f"Share of each position in the requirement, {amount.name}. To the left: what lowers it.",
        picture=svg.picture(key, _BAR_WIDTH, y + 20, data.finding, described, contents),
        table=table(
            ("position", "risk unit", "P&L in the worst scenario", "contribution", "share"),
            rows,
            words=(0, 1),
            total=total,
        ),
        note="P&L in the worst scenario of its unit, with the sign turned, plus the share of the charges.",
    )


def figure(chart: Chart, source: str) -> Markup:
    """A chart with its title, its subtitle, its source and date, and its table one click away."""
    return element(
        "figure",
        element("figcaption", element("h4", chart.title), element("p", chart.subtitle, class_="sub"), class_="cap"),
        element("div", chart.picture, class_="scroll picture", tabindex="0", role="group", aria_label="chart"),
        element("p", join(f"{chart.note} " if chart.note else "", source), class_="source"),
        element("details", element("summary", "Table"), chart.table, class_="data"),
        class_=f"chart {chart.kind}",
    )
