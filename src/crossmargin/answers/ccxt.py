"""An account's answer in the shape that ccxt gives positions: for programs that read those.

Floats, and `None` where something is unknown, as ccxt has them; amounts are in the currency of the answer (US dollars).
Margin is asked of the account and not of a position, so what stands at a position is its share:

    initialMargin       contribution to the account's initial requirement; negative for a position that hedges
    maintenanceMargin   the same share of the maintenance requirement
    collateral, marginRatio   those of the account, as ccxt has them under cross margin

    marginRatio = maintenance requirement / equity; above 1 the account is liquidated

Shares of positions, of balances that are positions too and what the account is charged beyond them add up to the
account's initial requirement. What one might question: the notional of an option is that of its underlying, and of an
inverse future the dollars that it is on.
"""

from __future__ import annotations

import math
from typing import Any

from crossmargin.basics.quantities import steps_to_decimal, steps_to_float
from crossmargin.basics.times import epoch_seconds, format_utc
from crossmargin.engine.evaluate import Evaluation
from crossmargin.instruments.ccxt import ccxt_symbol
from crossmargin.instruments.terms import DatedFuture, Instrument, Payoff, Perpetual, Spot
from crossmargin.market.policy import STABLECOINS
from crossmargin.market.snapshot import Market

_MILLISECONDS = 1000


def ccxt_account(evaluation: Evaluation, account: int) -> dict[str, Any]:
    """One margin account: `positions`, a list of ccxt's positions, and `account`, the summary.

    Parameters
    ----------
    evaluation : Evaluation
        That the account is in.
    account : int
        Its index there.
    """
    r, c = evaluation.requirements, evaluation.requirements.contributions
    summary = _summary(evaluation, account)
    terms = dict(zip(evaluation.market.instruments.names, evaluation.market.instruments.instruments, strict=True))
    assets = {*evaluation.market.prices, *evaluation.market.index}
    positions: list[dict[str, Any]] = []
    unrealised = _unrealised(evaluation, account)
    for k in range(int(c.account_offsets[account]), int(c.account_offsets[account + 1])):
        name = c.instrument_names[int(c.instrument[k])]
        instrument = terms.get(name)
        share = float(c.contribution[k])
        if (instrument is None and name in assets) or isinstance(instrument, Spot):
            summary["info"]["balances"][name] = summary["info"]["balances"].get(name, 0.0) + share
        elif int(c.steps[k]) or share:
            positions.append(
                _position(evaluation.market, name, instrument, int(c.steps[k]), share, unrealised.get(name), summary)
            )
    charges = {name: float(values[account]) for name, values in r.account_charges.items()}
    summary["info"]["charges"] = charges
    return {"account": summary, "positions": positions}


def _summary(evaluation: Evaluation, account: int) -> dict[str, Any]:
    r, s = evaluation.requirements, evaluation.standing
    maintenance = float(r.requirement_maintenance[account])
    equity: float | None = None
    ratio: float | None = None
    if s is not None:
        equity = float(s.equity[account])
        # What of option value counts may be another at maintenance: that decides on liquidation.
        at_maintenance = float(s.collateral_value[account] + r.credit_maintenance[account])
        ratio = maintenance / at_maintenance if at_maintenance > 0 else None
    return {
        "account": r.margin_accounts[account],
        "currency": r.currency,
        "initialMargin": float(r.requirement_initial[account]),
        "maintenanceMargin": maintenance,
        "marginRatio": ratio,
        "equity": equity,
        "excess": None if s is None else float(s.excess[account]),
        "collateral": None if s is None else float(s.collateral_value[account]),
        "timestamp": int(epoch_seconds(evaluation.market.as_of) * _MILLISECONDS),
        "datetime": format_utc(evaluation.market.as_of),
        "info": {
            "methodology": evaluation.methodology.name,
            "state": None if s is None else s.state_of(account).value,
            "netOptionValue": float(r.net_option_value[account]),
            "balances": {},
        },
    }


def _position(
    market: Market,
    name: str,
    instrument: Instrument | None,
    steps: int,
    share: float,
    unrealised: float | None,
    summary: dict[str, Any],
) -> dict[str, Any]:
    contracts = abs(float(steps_to_decimal(steps)))
    initial = summary["initialMargin"]
    maintenance = share * summary["maintenanceMargin"] / initial if initial else 0.0
    size = None if instrument is None else float(instrument.multiplier)
    mark = _mark(market, name)
    notional = _notional(market, instrument, contracts, mark)
    return {
        "id": None,
        "symbol": name if instrument is None else _symbol(instrument),
        "timestamp": summary["timestamp"],
        "datetime": summary["datetime"],
        "side": None if not steps else "long" if steps > 0 else "short",
        "contracts": contracts,
        "contractSize": size,
        "notional": notional,
        "markPrice": mark,
        "entryPrice": None,
        "unrealizedPnl": unrealised,
        "initialMargin": share,
        "initialMarginPercentage": share / notional if notional else None,
        "maintenanceMargin": maintenance,
        "maintenanceMarginPercentage": maintenance / notional if notional else None,
        "marginRatio": summary["marginRatio"],
        "collateral": summary["collateral"],
        "marginMode": "cross",
        "hedged": False,
        "leverage": None,
        "liquidationPrice": None,
        "percentage": None,
        "info": {"instrument": name},
    }


def _symbol(instrument: Instrument) -> str:
    """ccxt's symbol of what is traded in coins; the name of anything else, such as a share option."""
    is_coin = instrument.settlement_currency in (*STABLECOINS, instrument.underlying)
    return ccxt_symbol(instrument) if is_coin else instrument.name


def _mark(market: Market, name: str) -> float | None:
    """The mark that the market states; `None` where a stand-in was used."""
    if market.listing is not None or name not in market:
        return None
    mark = float(market.mark[int(market.rows((name,))[0])])
    return None if math.isnan(mark) else mark


def _notional(market: Market, instrument: Instrument | None, contracts: float, mark: float | None) -> float | None:
    if instrument is None:
        return None
    quote = instrument.quote_currency
    rate = market.prices.get(quote, 1.0 if quote in STABLECOINS and market.currency == "USD" else None)
    if rate is None:
        return None
    size = contracts * float(instrument.multiplier)
    if isinstance(instrument, DatedFuture | Perpetual) and instrument.payoff is Payoff.INVERSE:
        return size * rate
    price = mark if isinstance(instrument, DatedFuture | Perpetual) else None
    price = market.index.get(instrument.underlying) if price is None else price
    return None if price is None else abs(size * price * rate)


def _unrealised(evaluation: Evaluation, account: int) -> dict[str, float]:
    """Unrealised profit by instrument, settlement currency; only what was stated."""
    carried = evaluation.book.carried
    if carried is None:
        return {}
    found: dict[str, float] = {}
    owner = evaluation.book.margin_account_of[carried.account]
    profit = steps_to_float(carried.unrealised)
    for k in (owner == account).nonzero()[0].tolist():
        name = carried.instruments[int(carried.instrument[k])]
        found[name] = found.get(name, 0.0) + float(profit[k])
    return found
