"""The schedule: the worked example of Open Source Risk Engine, maturities, classes, and the laws of netting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossmargin.basics.errors import InputError, ParameterError
from crossmargin.methodologies.simm.schedule.explain import explain_schedule
from crossmargin.methodologies.simm.schedule.parameters import PRODUCT_CLASSES, load_parameters
from crossmargin.methodologies.simm.schedule.recipe import schedule_requirement
from crossmargin.methodologies.simm.schedule.trades import ScheduleTrades, years_to

PARAMETERS = load_parameters()
AS_OF = np.datetime64("2020-12-28")

# Nine interest-rate trades of one netting set: Engine/Examples/InitialMargin, crif_schedule.csv (modified BSD).
ENDS = ["2022-08-23"] * 3 + ["2023-08-23"] * 3 + ["2024-08-23"] * 3
NOTIONALS = [7074.633745, 1.509747589, 5496.624779, 3414.348921, 12839.43355, 2067.191553]
NOTIONALS += [9638.766217, 12909.46156, 2327.28328]
VALUES = [1190.193238, 1154.13588, -1166.757847, 1219.038239, -923.2585466, -308.7725131]
VALUES += [-1246.215498, 1241.493929, -658.7952834]


def trades_of(rows: list[tuple[str, str, float, float]]) -> ScheduleTrades:
    """Trades of one portfolio: class, end, notional, present value."""
    classes, ends, notionals, values = zip(*rows, strict=True) if rows else ((), (), (), ())
    return ScheduleTrades(
        portfolios=("P",),
        trades=tuple(f"t{k}" for k in range(len(rows))),
        portfolio=np.zeros(len(rows), dtype=np.int64),
        product_class=np.array([PRODUCT_CLASSES.index(one) for one in classes], dtype=np.int64),
        end_date=np.array(ends, dtype="datetime64[D]"),
        notional=np.array(notionals, dtype=float),
        present_value=np.array(values, dtype=float),
    )


EXAMPLE = trades_of([("Rates", *row) for row in zip(ENDS, NOTIONALS, VALUES, strict=True)])


def test_worked_example_collected():
    b = schedule_requirement(EXAMPLE, AS_OF, PARAMETERS, post=False)
    assert [round(float(x[0]), 2) for x in (b.gross, b.gross_current, b.net_current)] == [989.66, 4804.86, 501.06]
    assert round(float(b.net_to_gross[0]), 6) == 0.104282
    assert round(float(b.requirement[0]), 2) == 457.79
    assert [round(x, 2) for x in b.trade_gross.tolist()] == [
        70.75, 0.02, 54.97, 68.29, 256.79, 41.34, 192.78, 258.19, 46.55,
    ]  # fmt: skip
    assert [round(x, 5) for x in b.maturity_years.tolist()[::3]] == [1.65202, 2.65202, 3.65301]


def test_worked_example_posted():
    b = schedule_requirement(EXAMPLE, AS_OF, PARAMETERS, post=True)
    assert [round(float(x[0]), 2) for x in (b.gross, b.gross_current, b.net_current)] == [989.66, 4303.80, 0.0]
    assert b.net_to_gross[0] == 0.0
    assert round(float(b.requirement[0]), 2) == 395.86


@pytest.mark.parametrize("post", [False, True])
def test_explanation_recombines(post: bool):
    b = schedule_requirement(EXAMPLE, AS_OF, PARAMETERS, post=post)
    tree = explain_schedule(EXAMPLE, b, PARAMETERS, 0)
    assert tree.value == b.requirement[0]
    for _, node in tree.walk():
        assert node.recombined() == pytest.approx(node.value, rel=1e-12)


@pytest.mark.parametrize(
    ("product_class", "rates"),
    [
        ("Rates", (0.01, 0.02, 0.04)),
        ("CrossCurrency", (0.01, 0.02, 0.04)),
        ("Credit", (0.02, 0.05, 0.10)),
        ("FX", (0.06, 0.06, 0.06)),
        ("Equity", (0.15, 0.15, 0.15)),
        ("Commodity", (0.15, 0.15, 0.15)),
        ("Other", (0.15, 0.15, 0.15)),
    ],
)
def test_rate_by_class_and_maturity(product_class: str, rates: tuple[float, ...]):
    rows = [(product_class, end, 100.0, 0.0) for end in ("2024-01-01", "2026-06-30", "2040-01-01")]
    b = schedule_requirement(trades_of(rows), np.datetime64("2023-01-01"), PARAMETERS, post=False)
    assert b.rate.tolist() == list(rates)
    assert b.net_to_gross.tolist() == [1.0]  # nothing is worth anything: nothing nets
    assert b.requirement[0] == pytest.approx(100 * sum(rates), rel=1e-15)


def test_a_bound_belongs_to_the_shorter_band():
    rows = [("Rates", end, 100.0, 0.0) for end in ("2025-01-01", "2025-01-02", "2028-01-01", "2028-01-02")]
    b = schedule_requirement(trades_of(rows), np.datetime64("2023-01-01"), PARAMETERS, post=False)
    assert b.maturity_years.tolist()[::2] == [2.0, 5.0]
    assert b.rate.tolist() == [0.01, 0.02, 0.02, 0.04]


def test_years_are_days_over_the_length_of_each_calendar_year():
    ends = np.array(["2020-12-31", "2021-01-01", "2021-07-02"], dtype="datetime64[D]")
    years = years_to(ends, np.datetime64("2020-12-30"))
    assert years == pytest.approx([1 / 366, 2 / 366, 2 / 366 + 182 / 365], abs=1e-12)


def test_the_sign_of_a_notional_says_nothing():
    plus = schedule_requirement(trades_of([("FX", "2024-01-01", 50.0, 3.0)]), AS_OF, PARAMETERS, post=False)
    minus = schedule_requirement(trades_of([("FX", "2024-01-01", -50.0, 3.0)]), AS_OF, PARAMETERS, post=False)
    assert plus.requirement[0] == minus.requirement[0] == 3.0


def test_a_trade_that_has_ended_is_refused_by_name():
    rows = [("FX", "2020-12-27", 50.0, 3.0), ("FX", "2020-12-28", 50.0, 3.0), ("FX", "2020-12-01", 50.0, 3.0)]
    with pytest.raises(InputError, match="trade 't0' ended on 2020-12-27, before 2020-12-28") as caught:
        schedule_requirement(trades_of(rows), AS_OF, PARAMETERS, post=False)
    assert len(caught.value.problems) == 2


def test_no_trades_need_nothing():
    b = schedule_requirement(ScheduleTrades.none(), AS_OF, PARAMETERS, post=False)
    assert b.requirement.shape == (0,)


amounts = st.floats(-1e9, 1e9).map(lambda x: round(x, 2))
books = st.lists(
    st.tuples(st.sampled_from(PRODUCT_CLASSES), st.sampled_from(ENDS), amounts, amounts), min_size=1, max_size=12
)


@given(books, st.booleans())
def test_netting_stays_between_the_shares(rows: list[tuple[str, str, float, float]], post: bool):
    b = schedule_requirement(trades_of(rows), AS_OF, PARAMETERS, post=post)
    gross = float(b.gross[0])
    assert 0.4 * gross * (1 - 1e-12) <= b.requirement[0] <= gross * (1 + 1e-12)


@given(books)
def test_posted_is_what_the_other_side_collects(rows: list[tuple[str, str, float, float]]):
    mirrored = [(one, end, notional, -value) for one, end, notional, value in rows]
    posted = schedule_requirement(trades_of(rows), AS_OF, PARAMETERS, post=True)
    collected = schedule_requirement(trades_of(mirrored), AS_OF, PARAMETERS, post=False)
    assert posted.requirement.tolist() == collected.requirement.tolist()


def test_parameters_say_everything_that_is_wrong():
    document = dict(PARAMETERS.info.document, maturity_years=["5", "2"], gross_share="2")
    document["rates"] = {**document["rates"], "FX": ["0.06"], "Rate": "1"}
    del document["rates"]["Equity"]
    with pytest.raises(ParameterError) as caught:
        load_parameters(document)
    assert sorted(problem.column for problem in caught.value.problems) == [
        "document.gross_share", "maturity_years", "rates.Equity", "rates.FX", "rates.Rate",
    ]  # fmt: skip
