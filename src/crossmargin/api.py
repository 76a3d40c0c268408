"""What people import: a handful of verbs on files, frames or our own types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from crossmargin.answers.compare import Comparison
from crossmargin.answers.compare import compare as compare_methods
from crossmargin.answers.result import MarginResult
from crossmargin.answers.what_if import WhatIf
from crossmargin.answers.what_if import what_if as what_if_trades
from crossmargin.basics.explanation import Explanation
from crossmargin.engine.evaluate import evaluate
from crossmargin.files.inputs import read_inputs
from crossmargin.files.market import read_market as read_market_file
from crossmargin.files.positions import read_positions
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.methodologies.registry import methodology as method_named

__all__ = ["compare", "explain", "margin", "read_market", "read_positions", "what_if"]

DEFAULT_METHODOLOGY = "scenario-grid"


def read_market(source: Any, *, market_format: str | None = None, as_of: str | datetime | None = None) -> Market:
    """A market snapshot from a file; see `crossmargin.files.market.read_market`."""
    return read_market_file(source, market_format=market_format, as_of=as_of)


def margin(
    positions: Any,
    market: Any,
    *,
    balances: Any = None,
    methodology: str | Methodology = DEFAULT_METHODOLOGY,
    parameters: str | Path | dict[str, Any] | None = None,
    policy: MissingPolicy | None = None,
    **overrides: Any,
) -> MarginResult:
    """What every margin account must hold, and why.

    Parameters
    ----------
    positions
        A file, a frame, records, or a `Book`: `account, instrument, quantity` in signed contracts.
    market
        A file or a `Market`.
    balances
        Likewise `account, asset, amount`; with them the answer has equity, excess and state.
    methodology : str or Methodology
        By name, or made already.
    parameters
        Name of a parameter set that ships, a JSON file, or a document.
    policy : MissingPolicy, optional
        What stands in for a missing quote.
    **overrides
        `across_units`, `gain_share`, `gain_cap`, `time_step_days`.

    Returns
    -------
    MarginResult
        With `.table()`, `.explain(account)`, `.to_json()`.

    Raises
    ------
    InputError, UnsupportedError, ParameterError
        Listing every problem of all inputs.
    """
    inputs = read_inputs(positions, market, balances, policy=policy)
    method = _method(methodology, parameters, overrides)
    return MarginResult(evaluation=evaluate(inputs.book, inputs.market, method, policy))


def explain(positions: Any, market: Any, account: str, **options: Any) -> Explanation:
    """The requirement of one margin account as a tree; options as `margin`."""
    return margin(positions, market, **options).explain(account)


def compare(
    positions: Any,
    market: Any,
    *,
    methodologies: Sequence[str | Methodology],
    balances: Any = None,
    parameters: str | Path | dict[str, Any] | None = None,
    policy: MissingPolicy | None = None,
    **overrides: Any,
) -> Comparison:
    """The same book under several methodologies; options as `margin`."""
    inputs = read_inputs(positions, market, balances, policy=policy)
    methods = [_method(name, parameters, overrides) for name in methodologies]
    return compare_methods(inputs.book, inputs.market, methods, policy)


def what_if(
    positions: Any,
    market: Any,
    *,
    account: str,
    add: Mapping[str, Any],
    balances: Any = None,
    methodology: str | Methodology = DEFAULT_METHODOLOGY,
    parameters: str | Path | dict[str, Any] | None = None,
    policy: MissingPolicy | None = None,
    **overrides: Any,
) -> WhatIf:
    """One margin account before and after further positions `{instrument: quantity}`; options as `margin`."""
    inputs = read_inputs(positions, market, balances, policy=policy)
    method = _method(methodology, parameters, overrides)
    trades = [(name, str(quantity)) for name, quantity in add.items()]
    return what_if_trades(inputs.book, inputs.market, method, account, trades, policy)


def _method(
    methodology: str | Methodology, parameters: str | Path | dict[str, Any] | None, overrides: dict[str, Any]
) -> Methodology:
    if isinstance(methodology, str):
        return method_named(methodology, parameters, **overrides)
    return methodology
