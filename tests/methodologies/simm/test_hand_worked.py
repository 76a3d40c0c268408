"""Whole files by hand, with the numbers of version 2.8+2506 written out: currencies, netting sets, regulations.

No other engine's figures cover these: the reference is in dollars, a netting set at a time, under one set of
regulations. Weights, correlations and thresholds are copied from the published calibration, not read from ours.
"""

from __future__ import annotations

from datetime import date
from math import sqrt
from pathlib import Path

import pytest

import crossmargin as cm
from crossmargin.answers.simm import SimmAnswer
from crossmargin.methodologies.simm.recipe import Side

CALL, POST = Side.CALL, Side.POST
RATES_5Y, RATES_10Y, RATES_5Y_10Y = 61, 60, 0.96
"""Weights of regular currencies, and the correlation of the two tenors."""
FX_REGULAR, FX_CORRELATION = 7.1, 0.5
"""Weight between regular currencies, and their correlation where the calculation currency is a regular one."""
PHI_99, PHI_995 = 2.3263478740408408, 2.5758293035489004


def of_file(path: Path, text: str, **given: object) -> SimmAnswer:
    """The answer of a CRIF with spaces between its cells and dashes for empty ones; `collect` names regulations."""
    text = text.replace(" collect", " collect_regulations").replace(" post", " post_regulations")
    lines = [line.split() for line in text.strip().splitlines()]
    path.write_text("\n".join(",".join(f'"{"" if c == "-" else c}"' for c in cells) for cells in lines) + "\n")
    return cm.simm(path, **given)  # type: ignore[arg-type]


def required(answer: SimmAnswer, side: Side) -> dict[str, float]:
    return dict(zip(answer.portfolios, answer.sides[side].requirement.tolist(), strict=True))


# Another calculation currency


def test_currencies_seen_from_the_euro(tmp_path: Path) -> None:
    """The euro is no risk, the dollar is one; amounts come in three currencies, and the answer in euros."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType Qualifier AmountCurrency Amount
        p           RatesFX      Risk_FX  EUR       EUR             9000
        p           RatesFX      Risk_FX  USD       EUR             1000
        p           RatesFX      Risk_FX  GBP       GBP            -1000
        """,
        currency="EUR",
        fx={"EUR": 1.1, "GBP": 1.3},
    )
    usd, gbp = FX_REGULAR * 1000, FX_REGULAR * -1000 * 1.3 / 1.1
    expected = sqrt(usd**2 + gbp**2 + 2 * FX_CORRELATION * usd * gbp)
    assert expected == pytest.approx(7825.7205, abs=1e-4)
    assert required(answer, CALL) == {"p": pytest.approx(expected, rel=1e-12)}
    assert required(answer, POST) == {"p": pytest.approx(expected, rel=1e-12)}


def test_currencies_seen_from_a_volatile_one(tmp_path: Path) -> None:
    """Weights and correlations seen from the naira: 30.6 to another volatile currency, 18 to a regular one."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType Qualifier AmountCurrency Amount
        p           RatesFX      Risk_FX  USD       USD             1000
        p           RatesFX      Risk_FX  JPY       USD              500
        p           RatesFX      Risk_FX  ARS       USD             -200
        p           RatesFX      Risk_FX  NGN       USD            70000
        """,
        currency="NGN",
        fx={"NGN": 0.000625},
    )
    usd, jpy, ars = 18 * 1000, 18 * 500, 30.6 * -200
    square = usd**2 + jpy**2 + ars**2 + 2 * 0.92 * usd * jpy + 2 * 0.68 * (usd + jpy) * ars
    assert required(answer, CALL) == {"p": pytest.approx(sqrt(square) / 0.000625, rel=1e-12)}


def test_thresholds_are_in_dollars_whatever_the_calculation_currency(tmp_path: Path) -> None:
    """Four times the threshold of 3,100 million dollars for a percent: a concentration of 2."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType Qualifier AmountCurrency Amount
        p           RatesFX      Risk_FX  USD       USD            12400000000
        p           RatesFX      Risk_FX  GBP       USD             3100000000
        """,
        currency="EUR",
        fx={"EUR": 1.1},
    )
    usd, gbp = FX_REGULAR * 12.4e9 * 2, FX_REGULAR * 3.1e9
    expected = sqrt(usd**2 + gbp**2 + 2 * FX_CORRELATION * (1 / 2) * usd * gbp) / 1.1
    assert required(answer, CALL) == {"p": pytest.approx(expected, rel=1e-12)}


def test_an_option_on_a_pair_in_yen(tmp_path: Path) -> None:
    """Vega with the ratio of historical volatility, curvature without; the option's writer posts no curvature.

    A file of one option that expires in a year: the amount is the vega, per percentage point.
    """
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType   Qualifier Label1 AmountCurrency Amount
        p           RatesFX      Risk_FXVol USDEUR    1y     JPY            150000
        """,
        currency="JPY",
        fx={"JPY": 0.0064},
    )
    sigma = FX_REGULAR * sqrt(365 / 14) / PHI_99
    vega = 0.34 * 0.68 * sigma * 150_000
    curvature = 0.5 * (14 / 365) * sigma * 150_000
    in_full = curvature + (PHI_995**2 - 1) * curvature
    assert required(answer, CALL) == {"p": pytest.approx(vega + in_full, rel=1e-12)}
    # Of a single negative curvature theta is -1, lambda 1, and the root gives back what the sum takes.
    assert required(answer, POST) == {"p": pytest.approx(vega, rel=1e-12)}


def test_a_fixed_amount_is_converted_and_a_multiplier_is_not(tmp_path: Path) -> None:
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType                     Qualifier Bucket Label1 Label2 AmountCurrency Amount
        p           RatesFX      Risk_IRCurve                 USD       1      5y     OIS    USD            1000
        p           -            Param_ProductClassMultiplier RatesFX   -      -      -      -              1.25
        p           -            Param_AddOnFixedAmount       -         -      -      -      USD            2200
        p           -            Param_AddOnNotionalFactor    Odd       -      -      -      -              2
        p           -            Notional                     Odd       -      -      -      GBP            100000
        """,
        currency="EUR",
        fx={"EUR": 1.1, "GBP": 1.32},
    )
    expected = 1.25 * RATES_5Y * 1000 / 1.1 + 2000 + 0.02 * 100_000 * 1.32 / 1.1
    assert required(answer, CALL) == {"p": pytest.approx(expected, rel=1e-12)}


# Several netting sets at once

NETTING_SETS = """
    PortfolioID ProductClass RiskType     Qualifier Bucket Label1 Label2 AmountUSD
    long        RatesFX      Risk_IRCurve USD       1      5y     OIS    1000
    short       RatesFX      Risk_IRCurve USD       1      5y     OIS    -1000
    hedged      RatesFX      Risk_IRCurve USD       1      5y     OIS    1000
    hedged      RatesFX      Risk_IRCurve USD       1      10y    OIS    -1000
    flat        RatesFX      Risk_IRCurve USD       1      5y     OIS    700
    flat        RatesFX      Risk_IRCurve USD       1      5y     OIS    -700
    apart       RatesFX      Risk_IRCurve USD       1      5y     OIS    1000
    apart       Credit       Risk_IRCurve USD       1      5y     OIS    -1000
"""


def test_netting_sets_do_not_offset(tmp_path: Path) -> None:
    hedged = 1000 * sqrt(RATES_5Y**2 + RATES_10Y**2 - 2 * RATES_5Y_10Y * RATES_5Y * RATES_10Y)
    assert required(of_file(tmp_path / "crif.csv", NETTING_SETS), CALL) == {
        "long": pytest.approx(61_000, rel=1e-12),
        "short": pytest.approx(61_000, rel=1e-12),
        "hedged": pytest.approx(hedged, rel=1e-12),
        "flat": 0.0,
        "apart": pytest.approx(122_000, rel=1e-12),  # product classes do not offset either
    }


# Regulations that differ by row


def test_the_greater_of_two_regulations_on_each_side(tmp_path: Path) -> None:
    """Collected: 400 at five years under ESA, or -600 and 500 under USPR. Posted: 1,000 under USPR alone."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType     Qualifier Bucket Label1 Label2 AmountUSD collect post
        p           RatesFX      Risk_IRCurve USD       1      5y     OIS    1000      ESA                 USPR
        p           RatesFX      Risk_IRCurve USD       1      5y     OIS    -600      ESA,USPR            -
        p           RatesFX      Risk_IRCurve USD       1      10y    OIS    500       USPR                Excluded
        p           Equity       Risk_Equity  X         5      -      -      9000      -                   -
        """,
    )
    five, ten = -600 * RATES_5Y, 500 * RATES_10Y
    uspr = sqrt(five**2 + ten**2 + 2 * RATES_5Y_10Y * five * ten)
    assert required(answer, CALL) == {"p": pytest.approx(24_400, rel=1e-12)}
    assert answer.sides[CALL].regulation == ("ESA",)
    every = answer.report(breakdown=True).filter(SimmSide="Call", ProductClass="All", MarginType="All", Bucket="All")
    assert dict(zip(every["Regulation"], every["InitialMargin"], strict=True)) == {
        "ESA": pytest.approx(24_400, rel=1e-12),
        "USPR": pytest.approx(uspr, rel=1e-12),
    }
    assert required(answer, POST) == {"p": pytest.approx(61_000, rel=1e-12)}
    assert answer.sides[POST].regulation == ("USPR",)
    # The share is under no regulation: it is in neither requirement, and that is said.
    assert "rows under no regulation on the call side, and so in no figure of it: 1" in answer.notices
    assert "rows under no regulation on the post side, and so in no figure of it: 3" in answer.notices


def test_what_is_under_cftc_is_also_under_sec(tmp_path: Path) -> None:
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType     Qualifier Bucket Label1 Label2 AmountUSD collect post
        both        RatesFX      Risk_IRCurve USD       1      5y     OIS    1000      CFTC                CFTC
        both        RatesFX      Risk_IRCurve USD       1      5y     OIS    500       SEC                 CFTC
        one         RatesFX      Risk_IRCurve USD       1      5y     OIS    1000      CFTC                SEC
        """,
    )
    assert required(answer, CALL) == {"both": pytest.approx(91_500), "one": pytest.approx(61_000)}
    assert answer.sides[CALL].regulation == ("SEC", "CFTC")
    assert required(answer, POST) == {"both": pytest.approx(91_500), "one": pytest.approx(61_000)}
    assert answer.sides[POST].regulation == ("CFTC", "SEC")


def test_portfolios_of_one_file_differ_in_their_regulations(tmp_path: Path) -> None:
    """A portfolio without any regulation is margined whole, beside one that has them."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType     Qualifier Bucket Label1 Label2 AmountUSD collect
        free        RatesFX      Risk_IRCurve USD       1      5y     OIS    1000      -
        under       RatesFX      Risk_IRCurve USD       1      5y     OIS    1000      ESA
        under       RatesFX      Risk_IRCurve USD       1      5y     OIS    500       -
        """,
    )
    assert required(answer, CALL) == {"free": pytest.approx(61_000), "under": pytest.approx(61_000)}
    assert answer.sides[CALL].regulation == ("Unspecified", "ESA")
    assert required(answer, POST) == {"free": pytest.approx(61_000), "under": 0.0}  # nobody asks for it


def test_parameters_without_a_regulation_count_under_each(tmp_path: Path) -> None:
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType                     Qualifier Bucket Label1 Label2 AmountUSD Amount collect
        p           RatesFX      Risk_IRCurve                 USD       1      5y     OIS    1000      -      ESA
        p           RatesFX      Risk_IRCurve                 USD       1      5y     OIS    1500      -      USPR
        p           -            Param_ProductClassMultiplier RatesFX   -      -      -      -         1.2    -
        p           -            Param_AddOnFixedAmount       -         -      -      -      50000     -      ESA
        """,
    )
    # ESA: 1.2 x 61,000 and 50,000; USPR: 1.2 x 91,500.
    assert required(answer, CALL) == {"p": pytest.approx(123_200, rel=1e-12)}
    assert answer.sides[CALL].regulation == ("ESA",)


def test_two_multipliers_that_count_under_one_regulation_are_said(tmp_path: Path) -> None:
    """One of the regulation's own and one of the portfolio: each stands once, and both apply."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        PortfolioID ProductClass RiskType                     Qualifier Label1 Label2 AmountUSD Amount collect
        p           RatesFX      Risk_IRCurve                 USD       5y     OIS    1000      -      ESA
        p           -            Param_ProductClassMultiplier RatesFX   -      -      -         1.2    ESA
        p           -            Param_ProductClassMultiplier RatesFX   -      -      -         1.1    -
        """,
    )
    assert required(answer, CALL) == {"p": pytest.approx(1.2 * 61_000, rel=1e-12)}
    assert "Portfolio 'p' states several multipliers or factors of 'RatesFX'; the greatest counts." in answer.notices


def test_sensitivities_and_schedule_each_take_their_greatest(tmp_path: Path) -> None:
    """Sensitivities ask most under ESA, the schedule under USPR, and what is outside the model adds to what is in."""
    answer = of_file(
        tmp_path / "crif.csv",
        """
        TradeID PortfolioID ProductClass RiskType     Qualifier Label1 Label2 AmountUSD IMModel  EndDate    collect
        a       p           RatesFX      Risk_IRCurve USD       5y     OIS    1000      SIMM     -          ESA
        b       p           RatesFX      Risk_IRCurve USD       5y     OIS    100       SIMM     -          USPR
        c       p           Rates        Notional     -         -      -      1000000   Schedule 2030-01-15 USPR
        c       p           Rates        PV           -         -      -      20000     Schedule 2030-01-15 USPR
        d       p           Equity       Notional     -         -      -      500000    Schedule 2027-01-15 USPR
        d       p           Equity       PV           -         -      -      -5000     Schedule 2027-01-15 USPR
        """,
        as_of=date(2026, 1, 15),
    )
    # 2% of a rates notional of two to five years, 15% of an equity notional; 15,000 net of 20,000 gross.
    schedule = (0.4 + 0.6 * 15_000 / 20_000) * (0.02 * 1_000_000 + 0.15 * 500_000)
    assert schedule == pytest.approx(80_750)
    assert required(answer, CALL) == {"p": pytest.approx(61_000 + schedule, rel=1e-12)}
    assert answer.sides[CALL].regulation == ("ESA",)
    assert answer.sides[CALL].schedule_regulation == ("USPR",)
    assert required(answer, POST) == {"p": 0.0}  # nobody asks for it
    assert answer.explain("p", POST).value == 0.0
    assert not answer.allocation().filter(SimmSide="Post").height
