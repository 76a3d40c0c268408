"""A CRIF of a million rows, from its CSV file to the requirement of every portfolio.

Nothing in it is anybody's portfolio: seeded numbers under labels as CRIF has them, 500 portfolios of 2,000 rows.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

TENORS = ("2w", "1m", "3m", "6m", "1y", "2y", "3y", "5y", "10y", "15y", "20y", "30y")
CURRENCIES = ("USD", "EUR", "JPY", "GBP", "AUD", "CHF", "CAD", "BRL", "MXN", "INR", "ZAR", "SEK")
HEADER = "TradeID,PortfolioID,ProductClass,RiskType,Qualifier,Bucket,Label1,Label2,AmountCurrency,Amount,AmountUSD"


def write_crif(path: Path, n_rows: int, n_portfolios: int = 500, seed: int = 7) -> None:
    """Write a CRIF of every kind of delta and vega row; the same call writes the same bytes."""
    random = np.random.default_rng(seed)
    kinds = random.integers(0, 8, n_rows).tolist()
    one, two, three = (random.integers(0, 1 << 30, n_rows).tolist() for _ in range(3))
    owners = random.integers(0, n_portfolios, n_rows).tolist()
    amounts = np.round(random.normal(0.0, 2e4, n_rows), 2).tolist()
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEADER + "\n")
        for k, (kind, a, b, c, owner, amount) in enumerate(zip(kinds, one, two, three, owners, amounts, strict=True)):
            labels = _labels(kind, a, b, c)
            file.write(f"t{k % 9973},desk{owner:04},{labels},USD,{amount},{amount}\n")


def _labels(kind: int, a: int, b: int, c: int) -> str:
    """Product class to Label2 of a row."""
    currency, tenor = CURRENCIES[a % 12], TENORS[b % 12]
    if kind == 0:
        return f"RatesFX,Risk_IRCurve,{currency},{1 if currency != 'JPY' else 2},{tenor},{('OIS', 'Libor3m')[c % 2]}"
    if kind == 1:
        return f"RatesFX,Risk_IRVol,{currency},,{tenor},"
    if kind == 2:
        return f"RatesFX,Risk_FX,{currency},,,"
    if kind == 3:
        return f"RatesFX,Risk_FXVol,{currency}{CURRENCIES[(a + 1 + c % 11) % 12]},,{tenor},"
    if kind == 4:
        return f"Credit,Risk_CreditQ,ISIN:CR{a % 700:04},{1 + a % 700 % 12},{('1y', '3y', '5y')[b % 3]},EUR"
    if kind == 5:
        return f"Equity,Risk_Equity,ISIN:EQ{a % 2000:04},{1 + a % 2000 % 12},,"
    if kind == 6:
        return f"Equity,Risk_EquityVol,ISIN:EQ{a % 2000:04},{1 + a % 2000 % 12},{tenor},"
    return f"Commodity,Risk_Commodity,Good {a % 40},{1 + a % 40 % 17},,"
