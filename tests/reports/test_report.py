"""The page says what the evaluation says, fetches nothing, escapes everything, and can be read in both themes."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser

import numpy as np
import pytest

from crossmargin.answers.curves import pnl_curve, unit_curve
from crossmargin.basics.errors import UnknownAccountError, UnsupportedError
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.files.inputs import read_inputs
from crossmargin.instruments.deribit import parse_deribit
from crossmargin.instruments.terms import Spot
from crossmargin.market.snapshot import Market, Quote
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.book import AccountType, Attributes, Balances, Book, PositionRows, build_book
from crossmargin.reports import charts, numbers
from crossmargin.reports.findings import (
    contribution_picture,
    curve_picture,
    grid_pictures,
    isolated_by_position,
    waterfall_picture,
)
from crossmargin.reports.html import LIMITS, LIMITS_OF_ANY, render_report, style_sheet
from crossmargin.reports.markup import Markup, element, join
from crossmargin.reports.svg import spread, ticks
from tests import books, listed

AS_OF = datetime(2026, 2, 5, 21, 30, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>"

OPTIONS = {
    "BTC-27MAR26-55000-P": 0.62,
    "BTC-27MAR26-60000-P": 0.60,
    "BTC-27MAR26-70000-C": 0.58,
    "BTC-27MAR26-80000-C": 0.57,
    "BTC-26JUN26-70000-C": 0.55,
    "ETH-27MAR26-2000-C": 0.75,
}
FORWARDS = {"BTC": 64_500.0, "ETH": 1_890.0}


def market() -> Market:
    quotes = [
        Quote(instrument=(terms := parse_deribit(name)), vol=vol, forward=FORWARDS[terms.underlying])
        for name, vol in OPTIONS.items()
    ]
    quotes += [
        Quote(instrument=parse_deribit("BTC-PERPETUAL")),
        Quote(instrument=parse_deribit("ETH-PERPETUAL"), mark=1_876.0),
        Quote(instrument=Spot(name="BTC", underlying="BTC", quote_currency="USD", settlement_currency="USD")),
    ]
    return Market.from_quotes(
        quotes,
        as_of=AS_OF,
        source="a small market & no venue's",
        index={"BTC": 64_000.0, "ETH": 1_875.0},
        prices={"BTC": 64_000.0, "ETH": 1_875.0, "USDC": 1.0},
        notes=("the index is <stated>",),
    )


def book(
    holdings: dict[str, dict[str, str]],
    *,
    attributes: dict[str, Attributes] | None = None,
    balances: dict[str, dict[str, str]] | None = None,
) -> Book:
    def steps(text: str) -> int:
        return int(Decimal(text) * 10**8)

    accounts = sorted({*holdings, *(balances or {})})
    instruments = sorted({name for held in holdings.values() for name in held})
    assets = tuple(sorted({asset for held in (balances or {}).values() for asset in held}))
    rows = [
        (accounts.index(a), instruments.index(i), steps(q)) for a, held in holdings.items() for i, q in held.items()
    ]
    cash = [
        (accounts.index(a), assets.index(i), steps(q)) for a, held in (balances or {}).items() for i, q in held.items()
    ]
    position, balance = (np.array(part, dtype=np.int64).reshape(-1, 3) for part in (rows, cash))
    return build_book(
        accounts=accounts,
        instruments=instruments,
        rows=PositionRows(account=position[:, 0], instrument=position[:, 1], steps=position[:, 2]),
        attributes=attributes or {},
        balances=None
        if balances is None
        else Balances(assets=assets, account=balance[:, 0], asset=balance[:, 1], steps=balance[:, 2]),
    )


HOLDINGS = {
    "strangle": {"BTC-27MAR26-55000-P": "-4", "BTC-27MAR26-80000-C": "-4", "BTC-PERPETUAL": "-1000"},
    "put spread": {"BTC-27MAR26-60000-P": "3", "BTC-27MAR26-55000-P": "-3"},
    "short put": {"BTC-27MAR26-55000-P": "-1"},
    "no options": {"BTC-PERPETUAL": "5000", "ETH-PERPETUAL": "-20000"},
    "omnibus": {"BTC-27MAR26-70000-C": "2", "BTC-26JUN26-70000-C": "-2"},
    "two coins": {"BTC-27MAR26-70000-C": "-2", "ETH-27MAR26-2000-C": "-30", "ETH-PERPETUAL": "40000"},
    "one leg": {"BTC-27MAR26-60000-P": "-2"},
    "other leg": {"BTC-27MAR26-60000-P": "2", "BTC-27MAR26-55000-P": "-1"},
    HOSTILE: {"BTC-26JUN26-70000-C": "-0.5"},
    "idle": {},
}
ATTRIBUTES = {
    "omnibus": Attributes(account_type=AccountType.GROSS),
    "one leg": Attributes(netting_set="linked"),
    "other leg": Attributes(netting_set="linked"),
}
BALANCES = {
    "strangle": {"BTC": "1", "USDC": "40000"},
    "put spread": {"USDC": "1"},
    "short put": {"USDC": "9000"},
    "idle": {"USDC": "10"},
}


def evaluation(name: str = "scenario-grid", *, balances: bool = True, **overrides: str) -> Evaluation:
    held = book(HOLDINGS, attributes=ATTRIBUTES, balances=BALANCES if balances else None)
    return evaluate(held, market(), methodology(name, None, **overrides))


@pytest.fixture(scope="module")
def result() -> Evaluation:
    return evaluation()


@pytest.fixture(scope="module")
def page(result: Evaluation) -> str:
    return render_report(result)


PAGES = {
    "independent": lambda: render_report(evaluation()),
    "no balances": lambda: render_report(evaluation(balances=False)),
    "common, with a time step": lambda: render_report(
        evaluation(across_units="common", gain_share="0.5", gain_cap="5000", time_step_days="2")
    ),
    "isolated": lambda: render_report(evaluation("isolated")),
    "one account": lambda: render_report(evaluation(), account="two coins"),
    "a member": lambda: render_report(evaluation(), account="one leg"),
    "nobody": lambda: render_report(evaluate(book({}), market(), methodology("scenario-grid"))),
}


@pytest.fixture(scope="module", params=list(PAGES))
def any_page(request: pytest.FixtureRequest) -> str:
    return PAGES[request.param]()


class Reader(HTMLParser):
    """Checks that elements nest, collects ids, links and text."""

    VOID = frozenset({"meta", "br", "hr", "col", "link"})

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[str] = []
        self.ids: list[str] = []
        self.references: list[str] = []
        self.anchors: list[str] = []
        self.pictures = 0
        self.tags: set[str] = set()
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        stated = dict(attrs)
        assert len(stated) == len(attrs), f"an attribute twice in {self.get_starttag_text()}"
        self.ids += [stated["id"] or ""] if "id" in stated else []
        if tag == "a":
            self.anchors.append(stated["href"] or "")
        if tag == "svg":
            self.pictures += 1
            assert stated["role"] == "img"
            self.references += (stated["aria-labelledby"] or "").split()
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, tag
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack and self.stack[-1] != "style":
            self.text.append(data)


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    return reader


def rows_of(page: str, start: str, stop: str) -> list[list[str]]:
    """Cells of the table rows between two markers."""
    part = page[page.index(start) : page.index(stop, page.index(start))]
    rows = re.findall(r"<tr>(.*?)</tr>", part, flags=re.S)
    return [[re.sub("<[^>]+>", "", cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)] for row in rows]


# The page as a document.


def test_page_is_well_formed_and_every_picture_has_a_text_alternative(any_page: str) -> None:
    reader = read(any_page)
    assert not reader.stack
    assert len(set(reader.ids)) == len(reader.ids)
    assert set(reader.references) <= set(reader.ids)
    assert {anchor.removeprefix("#") for anchor in reader.anchors} <= set(reader.ids)
    assert any_page.count("<figure") == reader.pictures == any_page.count('<details class="data">')


def test_page_fetches_nothing_and_runs_nothing(any_page: str) -> None:
    assert not re.search(r"https?:|//|\bsrc\s*=|url\(|@import|javascript:", any_page)
    assert not read(any_page).tags & {"script", "link", "img", "iframe", "object", "embed", "base", "form"}
    assert "default-src &#x27;none&#x27;" in any_page


def test_page_is_small(any_page: str) -> None:
    assert len(any_page.encode()) < 3_000_000


def test_names_are_escaped(page: str) -> None:
    assert HOSTILE not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "the index is &lt;stated&gt;" in page
    assert "a small market &amp; no venue&#x27;s" in page


def test_a_hostile_title_limit_and_account_are_escaped(result: Evaluation) -> None:
    hostile = render_report(result, account=HOSTILE, title=HOSTILE, limits=[HOSTILE])
    assert HOSTILE not in hostile
    assert "script" not in read(hostile).tags


def test_elements_escape_text_and_leave_markup() -> None:
    assert element("p", "a < b", Markup("<b>c</b>"), title='"') == '<p title="&quot;">a &lt; b<b>c</b></p>'
    assert join("&", ["<", None]) == "&amp;&lt;"


# Its figures.


def test_table_has_the_figures_of_the_result(result: Evaluation, page: str) -> None:
    requirements = result.requirements
    rows = {row[0]: row for row in rows_of(page, 'id="accounts"', "</section>") if row}
    assert result.standing is not None
    for index, name in enumerate(requirements.margin_accounts):
        shown = "linked 2 members" if name == "linked" else numbers_escaped(name)
        row = rows[shown]
        assert row[1] == numbers.requirement(float(requirements.requirement_initial[index]))
        assert row[2] == numbers.requirement(float(requirements.requirement_isolated[index]))
        assert amount(row[3]) == amount(row[2]) - amount(row[1])
        assert row[5] == numbers.money(float(requirements.net_option_value[index]))
        assert row[6] == numbers.available(float(result.standing.equity[index]))
        assert row[7] == numbers.available(float(result.standing.excess[index]))
        assert row[9].endswith(result.standing.state[index].value)
    total = rows[f"total, {len(requirements.margin_accounts)} accounts"]
    for column in (1, 2, 3):
        assert amount(total[column]) == sum(amount(row[column]) for row in rows.values() if row is not total)
    assert total[6:] == ["", "", "", ""]  # the excess of one account is no cover for another
    assert f'class="number">{total[1]}<' in page


def numbers_escaped(name: str) -> str:
    return name.replace("<", "&lt;").replace(">", "&gt;")


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", "").replace(numbers.MINUS, "-"))


def test_accounts_come_largest_first(result: Evaluation, page: str) -> None:
    rows = [row for row in rows_of(page, 'id="accounts"', "</section>") if row][:-1]
    shown = [amount(row[1]) for row in rows]
    assert shown == sorted(shown, reverse=True)


def test_without_balances_there_are_no_equity_columns() -> None:
    bare = render_report(evaluation(balances=False))
    assert "No balances were given" in bare
    assert ">equity<" not in bare
    assert ">coverage<" not in bare


def test_who_is_short_is_said_first(result: Evaluation, page: str) -> None:
    assert result.standing is not None
    short = int(np.count_nonzero(result.standing.excess < 0))
    assert f"{short} accounts are short" in page
    missing = sum(-numbers.available_cents(v) for v in result.standing.excess.tolist() if v < 0)
    assert f"by {numbers.money(missing)} in all" in page


def test_worst_scenario_is_said_in_words(result: Evaluation, page: str) -> None:
    for words in result.requirements.units.scenario_worst:
        assert numbers.signs(words) in page


def test_account_without_positions_says_so(page: str) -> None:
    assert "No positions: nothing is required." in page


def test_chosen_account_alone_is_detailed(result: Evaluation) -> None:
    one = render_report(result, account="two coins")
    assert one.count('class="account"') == 1
    assert "initial requirement of two coins" in one
    with pytest.raises(UnknownAccountError, match="no account 'nobody'"):
        render_report(result, account="nobody")


def test_large_book_is_cut_and_says_so() -> None:
    many = book({f"a{k:04d}": {"BTC-PERPETUAL": str(10 + k)} for k in range(230)})
    cut = render_report(evaluate(many, market(), methodology("scenario-grid")))
    assert "30 other accounts" in cut
    assert "total, 230 accounts" in cut
    assert cut.count('class="account"') == 12
    assert "218 accounts with smaller requirements are not shown in detail." in cut


def test_notes_fills_provenance_and_limits_are_there(result: Evaluation, page: str) -> None:
    text = " ".join(read(page).text)
    assert "BTC-PERPETUAL" in {row[0] for row in rows_of(page, 'id="notes"', "</section>") if row}
    assert str(result.provenance["parameters_hash"]) in text
    assert str(result.provenance["market_hash"]) in text
    assert "2026-02-05 21:30:00 UTC" in text
    for limit in LIMITS:
        assert limit in text


# What the pictures rest on.


@pytest.mark.parametrize(
    "overrides", [{}, {"across_units": "common", "gain_share": "0.5", "time_step_days": "2"}], ids=str
)
def test_waterfall_steps_lead_from_isolated_to_requirement(overrides: dict[str, str]) -> None:
    of = evaluation(**overrides)
    for index in range(len(of.requirements.margin_accounts)):
        data = waterfall_picture(of, index)
        for steps in (data.steps, data.all_steps):
            reached = data.isolated + math.fsum(step.change for step in steps)
            assert reached == pytest.approx(data.requirement, rel=1e-9, abs=1e-6)
        assert math.fsum(step.isolated for step in data.all_steps) == pytest.approx(data.isolated, rel=1e-12)


def test_positions_that_net_between_members_are_a_step(result: Evaluation) -> None:
    index = result.requirements.margin_accounts.index("linked")
    data = waterfall_picture(result, index)
    netted = [step for step in data.all_steps if "nets between members" in step.label]
    assert [step.label for step in netted] == ["BTC-27MAR26-60000-P (nets between members)"]
    assert netted[0].contribution == 0
    assert netted[0].change == -netted[0].isolated < 0


def test_isolated_figures_are_those_of_the_result(result: Evaluation) -> None:
    for index, isolated in enumerate(result.requirements.requirement_isolated.tolist()):
        assert math.fsum(isolated_by_position(result, index).values()) == pytest.approx(isolated, rel=1e-12)


def test_contributions_sum_and_are_sorted(result: Evaluation) -> None:
    for index in range(len(result.requirements.margin_accounts)):
        data = contribution_picture(result, index)
        values = [item.contribution for item in data.items]
        assert values == sorted(values, reverse=True)
        assert math.fsum(values) == pytest.approx(data.requirement, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("overrides", [{}, {"time_step_days": "2"}], ids=str)
def test_grid_pictures_hold_every_scenario_once_and_mark_the_worst(overrides: dict[str, str]) -> None:
    of = evaluation(**overrides)
    for index in range(len(of.requirements.margin_accounts)):
        scenarios = of.methodology.scenarios(of.requirements, index)
        for k, data in enumerate(grid_pictures(of, index)):
            drawn = sorted([*data.pnl.ravel().tolist(), *(tail.pnl for tail in data.extended)])
            assert drawn == sorted(scenarios.pnl[k].tolist())
            marked = data.pnl[data.worst] if len(data.worst) == 3 else data.extended[data.worst[0]].pnl
            assert marked == data.worst_pnl == min(drawn)


def test_curve_is_the_grid_with_volatility_unchanged(result: Evaluation) -> None:
    for name in ("strangle", "two coins", "omnibus", "no options"):
        index = result.requirements.margin_accounts.index(name)
        for u, data in zip(result.requirements.units.of(index), grid_pictures(result, index), strict=True):
            assert unit_curve(result, u, data.moves, 0.0).tolist() == data.pnl[0, :, 1].tolist()


def test_curve_of_an_account_is_that_of_its_units(result: Evaluation) -> None:
    index = result.requirements.margin_accounts.index("omnibus")
    moves = np.linspace(-0.2, 0.2, 9)
    apart = sum(unit_curve(result, u, moves, 3.0) for u in result.requirements.units.of(index))
    assert pnl_curve(result, index, "BTC", moves, 3.0) == pytest.approx(apart, rel=1e-12, abs=1e-8)
    assert pnl_curve(result, index, "ETH", moves, 3.0).tolist() == [0.0] * 9
    assert pnl_curve(result, index, "nothing", moves, 3.0).tolist() == [0.0] * 9


def test_curve_after_the_time_step_is_the_grid_s() -> None:
    of = evaluation(time_step_days="2")
    index = of.requirements.margin_accounts.index("strangle")
    (data,) = grid_pictures(of, index)
    assert data.times == ("now", "after 2 days")
    unit = of.requirements.units.of(index)[0]
    assert unit_curve(of, unit, data.moves, 2.0).tolist() == data.pnl[1, :, 1].tolist()
    assert curve_picture(of, index, unit, data).days == 2.0


def test_a_short_option_gains_as_time_passes(result: Evaluation) -> None:
    index = result.requirements.margin_accounts.index("short put")
    later = pnl_curve(result, index, "BTC", np.array([0.0]), 5.0)
    assert later[0] > 0 == pnl_curve(result, index, "BTC", np.array([0.0]), 0.0)[0]


def test_curve_of_another_family_is_refused(result: Evaluation) -> None:
    other = replace(result, requirements=replace(result.requirements, breakdown=object()))
    with pytest.raises(UnsupportedError, match="keeps no pricing inputs"):
        pnl_curve(other, 0, "BTC", np.array([0.0]), 0.0)
    assert grid_pictures(other, 0) == ()


# What the sentences say.


def _sentence(result: Evaluation, account: str, kind: str) -> str:
    index = result.requirements.margin_accounts.index(account)
    if kind == "heat":
        return grid_pictures(result, index)[0].finding
    if kind == "waterfall":
        return waterfall_picture(result, index).finding
    if kind == "bars":
        return contribution_picture(result, index).finding
    unit = result.requirements.units.of(index)[0]
    return curve_picture(result, index, unit, grid_pictures(result, index)[0]).finding


def test_sentences_hold_the_figures_they_state(result: Evaluation) -> None:
    requirements = result.requirements
    index = requirements.margin_accounts.index("strangle")
    need, alone = float(requirements.requirement_initial[index]), float(requirements.requirement_isolated[index])
    assert _sentence(result, "strangle", "waterfall") == (
        f"Offsets save {numbers.percent(1 - need / alone)} against isolated margin"
    )
    largest = contribution_picture(result, index).items[0]
    share = numbers.percent(largest.contribution / need, decimals=0)
    assert _sentence(result, "strangle", "bars").startswith(f"The {largest.words} makes {share} of the requirement")
    assert _sentence(result, "short put", "bars") == "The short 55,000 put of 27 Mar 2026 is all of it"
    assert _sentence(result, "short put", "waterfall").startswith("Nothing offsets")
    ends = pnl_curve(result, requirements.margin_accounts.index("short put"), "BTC", np.array([-0.16, 0.16]), 0.0)
    assert _sentence(result, "short put", "curve") == (
        f"A fall hurts: {numbers.money(ends[0], decimals=0)} at −16%, +{numbers.money(ends[1], decimals=0)} at +16%"
    )


def test_heat_map_sentence_names_price_or_vol() -> None:
    of = evaluation()
    (data,) = grid_pictures(of, of.requirements.margin_accounts.index("short put"))
    rows, mid = len(data.moves), len(data.moves) // 2

    def said(price_only: float, vol_only: float) -> str:
        pnl = np.zeros((1, rows, 3))
        pnl[0, 0, 2], pnl[0, 0, 1], pnl[0, mid, 2] = -100.0, price_only, vol_only
        return replace(data, pnl=pnl, worst=(0, 0, 2), worst_pnl=-100.0).finding

    assert said(-10.0, -80.0) == "Vol up is the risk, not price"
    assert said(-90.0, -8.0) == "A fall of 16% is the risk; vol up adds 10%"
    assert said(-50.0, -45.0) == "A fall of 16% and vol up hurt together"
    assert replace(data, worst_pnl=0.0).finding == "No scenario loses"
    assert replace(data, worst=(0,)).finding == "The tail decides: −66%, of which 24.2% counts"


def test_heat_map_outlines_one_cell_and_prints_every_value(result: Evaluation) -> None:
    for data in grid_pictures(result, result.requirements.margin_accounts.index("strangle")):
        picture = charts.heat_map(data, "k").picture
        assert picture.count('class="outline"') == 1
        assert picture.count('class="cell ') == data.pnl.size + len(data.extended)
        assert f">{numbers.money(data.worst_pnl, decimals=0)}<" in picture


def test_a_fine_grid_is_thinned_and_keeps_the_worst_cell() -> None:
    of = evaluation()
    (data,) = grid_pictures(of, of.requirements.margin_accounts.index("short put"))
    moves = np.linspace(-0.16, 0.16, 2001)
    pnl = np.repeat(np.linspace(-1000, 500, 2001)[None, :, None], 3, axis=2)
    pnl[0, 777, 1] = -5000.0
    fine = replace(data, moves=moves, pnl=pnl, worst=(0, 777, 1), worst_pnl=-5000.0)
    chart = charts.heat_map(fine, "k")
    assert ">−5,000<" in chart.picture
    assert "of 2001 price steps are drawn" in chart.note


# Numbers.


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (numbers.requirement(100.001), "100.01"),
        (numbers.requirement(100.0 + 1e-11), "100.00"),
        (numbers.requirement(0.0), "0"),
        (numbers.requirement(1234567.891), "1,234,567.90"),
        (numbers.available(100.009), "100.00"),
        (numbers.available(-0.001), "−0.01"),
        (numbers.money(-1234.5), "−1,234.50"),
        (numbers.money(-0.001), "0"),
        (numbers.money(5.0, signed=True), "+5.00"),
        (numbers.money(float("nan")), "–"),
        (numbers.money(None), "–"),
        (numbers.percent(0.4215), "42.2%"),
        (numbers.percent(float("inf")), "–"),
        (numbers.move(-0.135), "−13.5%"),
        (numbers.move(0.1), "+10%"),
        (numbers.move(0.0), "0%"),
        (numbers.price(63858.345), "63,858"),
        (numbers.price(1.5), "1.50"),
        (numbers.plain(0.8), "0.8"),
        (numbers.quantity("-1000.25"), "−1,000.25"),
        (numbers.signs("BTC -13.5%, vol up"), "BTC −13.5%, vol up"),
        (numbers.signs("BTC-27MAR26-55000-P"), "BTC-27MAR26-55000-P"),
    ],
)
def test_numbers(shown: str, wanted: str) -> None:
    assert shown == wanted


def test_ticks_and_labels() -> None:
    assert ticks(-0.24, 0.24, 6) == pytest.approx([-0.2, -0.1, 0.0, 0.1, 0.2])
    assert ticks(1.0, 1.0) == [1.0]
    placed = spread([10, 11, 12, 300], 15, 0, 100)
    assert all(b - a >= 15 - 1e-9 for a, b in zip(sorted(placed), sorted(placed)[1:], strict=False))
    assert max(placed) <= 100


# Both themes.


def _themes() -> dict[str, dict[str, str]]:
    css = style_sheet()
    blocks = {
        "light": r":root \{(.*?)\}",
        "dark": r':root:not\(\[data-theme="light"\]\) \{(.*?)\}',
        "dark chosen": r':root\[data-theme="dark"\] \{(.*?)\}',
    }
    found = {}
    for theme, pattern in blocks.items():
        block = re.search(pattern, css, flags=re.S)
        assert block is not None, theme
        found[theme] = dict(re.findall(r"--([\w-]+):\s*(#[0-9a-f]{6})", block.group(1)))
    return found


def _luminance(colour: str) -> float:
    channels = [int(colour[k : k + 2], 16) / 255 for k in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2 contrast ratio."""
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


SHADES = [f"{side}{k}" for side in "gl" for k in range(1, 5)]
TEXT = [
    *((ink, ground) for ink in ("ink", "ink-2", "ink-3") for ground in ("paper", "raised", "outside", "band")),
    *((ink, "paper") for ink in ("accent", "later")),
    *(("on", shade) for shade in ["z", *SHADES]),
    ("on5", "g5"),
    ("on5", "l5"),
]
MARKS = [
    *(
        (mark, "paper")
        for mark in ("gain", "loss", "total", "healthy", "warning", "call", "liquidation", "rule-strong")
    ),
    *((mark, ground) for mark in ("accent", "later", "ink") for ground in ("band", "outside")),
]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_contrast(theme: str) -> None:
    colours = _themes()[theme]
    low = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in TEXT}
    assert {pair: ratio for pair, ratio in low.items() if ratio < 4.5} == {}
    marks = {pair: round(contrast(colours[pair[0]], colours[pair[1]]), 2) for pair in MARKS}
    assert {pair: ratio for pair, ratio in marks.items() if ratio < 3.0} == {}


def test_contrast_formula() -> None:
    assert contrast("#ffffff", "#000000") == pytest.approx(21.0)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


def test_themes_state_the_same_colours() -> None:
    themes = _themes()
    assert themes["dark"] == themes["dark chosen"]
    assert themes["dark"].keys() == themes["light"].keys()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_gain_and_loss_are_equally_strong(theme: str) -> None:
    colours = _themes()[theme]
    for k in range(1, 6):
        assert _luminance(colours[f"g{k}"]) == pytest.approx(_luminance(colours[f"l{k}"]), rel=0.08)


def test_a_method_without_a_grid_and_a_market_without_terms_leave_out_what_they_do_not_have() -> None:
    method = listed.method()
    rows = [
        books.row("a", listed.CALL, -2, netting_set="both"),
        books.row("b", listed.FUTURE, 1, netting_set="both"),
        books.row("c", listed.PUT, 3),
    ]
    cash = [{"account": "a", "asset": "INR", "amount": "4000"}]
    inputs = read_inputs(rows, None, cash, methods=(method,))
    evaluation = evaluate(inputs.book, inputs.market, method)
    page = render_report(evaluation)
    assert "initial requirement of 2 accounts, INR" in page
    assert f"The short {listed.CALL} makes 52% of the requirement" in page
    assert "Contributions to 3,100.00 INR" in page
    assert "USD" not in page
    assert all(limit in page for limit in LIMITS_OF_ANY)
    assert not any(limit in page for limit in set(LIMITS) - set(LIMITS_OF_ANY))
    assert grid_pictures(evaluation, 0) == ()
    with pytest.raises(UnsupportedError, match="keeps no pricing inputs"):
        pnl_curve(evaluation, 0, "NIFTY", np.zeros(1), 0.0)


def test_amounts_of_a_picture_are_in_the_currency_of_the_requirement() -> None:
    assert [charts.Money.of([value], "INR").name for value in (12.0, 3e7, 2e10, 1e13)] == [
        "INR",
        "thousand INR",
        "million INR",
        "billion INR",
    ]
