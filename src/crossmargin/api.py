"""What people import: a handful of verbs on files, frames or our own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from crossmargin.answers.compare import Comparison
from crossmargin.answers.compare import compare as compare_methods
from crossmargin.answers.result import MarginResult
from crossmargin.answers.what_if import WhatIf
from crossmargin.answers.what_if import what_if as what_if_trades
from crossmargin.basics.errors import InputError, Problem
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.threads import using_threads
from crossmargin.engine.figures import Progress
from crossmargin.files.inputs import read_inputs
from crossmargin.files.leverage_tiers import read_leverage_tiers
from crossmargin.files.market import read_market as read_market_file
from crossmargin.files.methodology import read_methodologies, read_methodology
from crossmargin.files.positions import read_balances, read_positions
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.quarantine import OnError

if TYPE_CHECKING:
    from crossmargin.answers.simm import SimmAnswer
    from crossmargin.answers.simm_what_if import SimmWhatIf

__all__ = [
    "compare",
    "explain",
    "margin",
    "read_balances",
    "read_leverage_tiers",
    "read_market",
    "read_positions",
    "simm",
    "simm_what_if",
    "what_if",
]

DEFAULT_METHODOLOGY = "scenario-grid"


def read_market(source: Any, *, market_format: str | None = None, as_of: str | datetime | None = None) -> Market:
    """A market snapshot from a file; see `crossmargin.files.market.read_market`."""
    return read_market_file(source, market_format=market_format, as_of=as_of)


def margin(
    positions: Any,
    market: Any = None,
    *,
    balances: Any = None,
    methodology: str | Methodology = DEFAULT_METHODOLOGY,
    parameters: Any = None,
    policy: MissingPolicy | None = None,
    on_error: str = "refuse",
    threads: int | None = None,
    progress: Progress | None = None,
    **overrides: Any,
) -> MarginResult:
    """What every margin account must hold, and why.

    Parameters
    ----------
    positions
        A file, a frame, records, or a `Book`: `account, instrument, quantity` in signed contracts; or what a venue or
        ccxt answers for an account, as a JSON file or Python objects.
    market
        A file or a `Market`; left out where the parameters are an exchange's file, which has the prices.
    balances
        Likewise `account, asset, amount`; with them the answer has equity, excess and state.
    methodology : str or Methodology
        By name, or made already.
    parameters
        Name of a parameter set that ships, a JSON file, or a document; or an exchange's file, for a methodology that
        takes one.
    policy : MissingPolicy, optional
        What stands in for a missing quote.
    on_error : str
        `refuse` everything if anything is wrong, or `quarantine`: leave out the accounts that it concerns, and list
        them with their reasons in `.unmargined`.
    threads : int, optional
        Threads to calculate on; all processors if left out. No number depends on it.
    progress : callable, optional
        Called with accounts done and accounts in all while a large book is margined.
    **overrides
        Of the parameters, as the methodology has them: `across_units`, `gain_share`, `gain_cap`, `time_step_days`.

    Returns
    -------
    MarginResult
        With `.table()`, `.explain(account)`, `.to_json()`, `.unmargined`.

    Raises
    ------
    InputError, UnsupportedError, ParameterError
        Listing every problem of all inputs.
    """
    handling = _handling(on_error)
    method = _method(methodology, parameters, overrides)
    with using_threads(threads):
        inputs = read_inputs(positions, market, balances, methods=(method,), policy=policy, on_error=handling)
        return MarginResult.of_book(
            inputs.book,
            inputs.market,
            method,
            policy,
            on_error=handling,
            unmargined=inputs.unmargined,
            progress=progress,
        )


def simm(
    crif: Any,
    *,
    version: str | None = None,
    mpor_days: int = 10,
    currency: str = "USD",
    fx: Any = None,
    as_of: date | None = None,
    parameters: Any = None,
    skip_rejected: bool = False,
) -> SimmAnswer:
    """Both sides of every portfolio of a CRIF under ISDA's sensitivity method and the regulatory schedule.

    Parameters
    ----------
    crif
        A file (CSV or Parquet), a frame, columns or records, as `read_crif` takes them.
    version : str, optional
        Calibration, like 2.8+2506, or a date on which it is in force.
    mpor_days : int
        Margin period of risk: 10 or 1.
    currency : str
        Calculation currency.
    fx
        Dollars for one unit of each currency: a mapping, a file or a table.
    as_of : date, optional
        From when maturities count, where trades are under the schedule.
    parameters
        A document, a JSON file, or a calibration of Open Source Risk Engine, in place of a version.
    skip_rejected : bool
        Leave out the rows that are wrong; they stand in `.rejected`.

    Returns
    -------
    SimmAnswer
        With `.table()`, `.report()` in the field's columns, `.to_dict()`.

    Raises
    ------
    InputError, ParameterError
        Listing every row that is wrong.
    """
    from crossmargin.answers.simm import simm_margin
    from crossmargin.files.crif import read_crif
    from crossmargin.files.simm_document import read_simm_parameters

    calibration = read_simm_parameters(version, parameters, mpor_days)
    return simm_margin(
        read_crif(crif, fx=fx, parameters=calibration, skip_rejected=skip_rejected),
        calibration,
        currency=currency,
        as_of=as_of,
        skip_rejected=skip_rejected,
    )


def simm_what_if(
    answer: SimmAnswer, *, remove: str | Sequence[str] = (), add: Any = None, portfolio: str | None = None
) -> SimmWhatIf:
    """The margin of a CRIF before and after a change of trades; only the portfolios that it touches are margined.

    Parameters
    ----------
    answer : SimmAnswer
        What `simm` gave.
    remove : str or sequence of str
        TradeIDs, with all their rows.
    add
        A CRIF of rows to add, as `simm` takes it, at the rates of the answer.
    portfolio : str, optional
        The only one from which trades are removed; every one that has them if left out.

    Returns
    -------
    SimmWhatIf
        With `.before`, `.after`, `.table()`, `.to_dict()`.

    Raises
    ------
    InputError
        Naming trades that are not there, and rows to add that are wrong.
    """
    from crossmargin.answers.simm_what_if import what_if as changed
    from crossmargin.files.crif import read_crif

    rows = None if add is None else read_crif(add, fx=answer.book.fx, parameters=answer.parameters)
    return changed(
        answer, remove=(remove,) if isinstance(remove, str) else tuple(remove), add=rows, portfolio=portfolio
    )


def explain(positions: Any, market: Any = None, account: str = "", **options: Any) -> Explanation:
    """The requirement of one margin account as a tree; options as `margin`.

    `account` has a default only because `market` before it may be left out; nobody is called so.
    """
    return margin(positions, market, **options).explain(account)


def compare(
    positions: Any,
    market: Any = None,
    *,
    methodologies: Sequence[str | Methodology],
    balances: Any = None,
    parameters: Any = None,
    policy: MissingPolicy | None = None,
    **overrides: Any,
) -> Comparison:
    """The same book under several methodologies, all of one market; options as `margin`."""
    named = [one for one in methodologies if isinstance(one, str)]
    made = iter(read_methodologies(named, parameters, **overrides))
    methods = [next(made) if isinstance(one, str) else one for one in methodologies]
    inputs = read_inputs(positions, market, balances, methods=methods, policy=policy)
    return compare_methods(inputs.book, inputs.market, methods, policy)


def what_if(
    positions: Any,
    market: Any = None,
    *,
    account: str,
    add: Mapping[str, Any],
    balances: Any = None,
    methodology: str | Methodology = DEFAULT_METHODOLOGY,
    parameters: Any = None,
    policy: MissingPolicy | None = None,
    **overrides: Any,
) -> WhatIf:
    """One margin account before and after further positions `{instrument: quantity}`; options as `margin`."""
    method = _method(methodology, parameters, overrides)
    inputs = read_inputs(positions, market, balances, methods=(method,), policy=policy)
    trades = [(name, str(quantity)) for name, quantity in add.items()]
    return what_if_trades(inputs.book, inputs.market, method, account, trades, policy)


def _method(methodology: str | Methodology, parameters: Any, overrides: dict[str, Any]) -> Methodology:
    if isinstance(methodology, str):
        return read_methodology(methodology, parameters, **overrides)
    return methodology


def _handling(on_error: str) -> OnError:
    if on_error not in tuple(OnError):
        raise InputError(Problem(found=f"on_error '{on_error}'", needed=f"It is {' or '.join(OnError)}."))
    return OnError(on_error)
