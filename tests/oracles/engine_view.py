"""The engine's market and figures as the oracle's plain numbers: a translation, no arithmetic of its own."""

from __future__ import annotations

from decimal import Decimal

from crossmargin.basics.quantities import steps_to_decimal
from crossmargin.instruments.table import Kind
from crossmargin.instruments.terms import VanillaOption
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.requirements import Requirements
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import AcrossUnits, GridParameters
from crossmargin.portfolio.book import Book
from tests.oracles.grid_oracle import Account, Contract, Figures, Rules


def contracts_of(market: Market) -> dict[str, Contract]:
    """Every instrument of a market without gaps, read from its quotes."""
    found = {}
    table = market.instruments
    for k, (name, terms) in enumerate(zip(table.names, table.instruments, strict=True)):
        index = market.index[terms.underlying]
        option = terms if isinstance(terms, VanillaOption) else None
        kind = Kind(int(table.kind[k])).name.lower()
        mark = float(market.mark[k])
        price = float(market.forward[k]) if option else index if kind == "spot" else mark
        expiry = getattr(terms, "expiry", None)
        found[name] = Contract(
            name=name,
            kind=kind,
            underlying=terms.underlying,
            inverse=terms.payoff == "inverse",
            multiplier=float(terms.multiplier),
            index=index,
            price=price,
            quote_usd=market.prices[terms.quote_currency],
            strike=float(option.strike) if option else float("nan"),
            is_call=bool(option and option.right == "call"),
            vol=float(market.vol[k]) if option else 0.0,
            normal=bool(market.vol_normal[k]),
            years=(expiry - market.as_of).total_seconds() / (365 * 86_400) if expiry else float("inf"),
            discount=float(market.discount[k]),
            mark=None if mark != mark else mark,
        )
    return found


def engine_figures(requirements: Requirements) -> dict[str, Figures]:
    """The engine's own contract table."""
    contracts = requirements.breakdown.book.contracts  # type: ignore[attr-defined]
    table = contracts.inputs.instruments
    return {
        name: Figures(
            underlying=table.underlyings[int(table.underlying[k])],
            pnl=contracts.unit_pnl[k].tolist(),
            delta=float(contracts.delta[k]),
            expiry=float(contracts.expiry[k]),
            roll_move=float(contracts.roll_move[contracts.expiry[k]]),
            short_minimum=float(contracts.short_minimum[k]),
            option_value=float(contracts.option_value[k]),
        )
        for k, name in enumerate(table.names)
    }


def accounts_of(book: Book) -> dict[str, Account]:
    """Margin accounts and their members' rows, exact."""
    found = {}
    held = book.member_positions
    for a, margin_account in enumerate(book.margin_accounts):
        members: dict[str, list[tuple[str, Decimal]]] = {}
        for m, member in enumerate(book.accounts):
            if book.margin_account_of[m] == a:
                span = range(int(held.offsets[m]), int(held.offsets[m + 1]))
                members[member] = [
                    (book.instruments[int(held.instrument[k])], steps_to_decimal(int(held.steps[k]))) for k in span
                ]
        found[margin_account] = Account(members=members, gross=bool(book.gross[a]))
    return found


def rules_of(parameters: GridParameters) -> Rules:
    """Across units, and maintenance."""
    return Rules(
        common=parameters.across_units is AcrossUnits.COMMON,
        gain_share=parameters.gain_share,
        gain_cap=parameters.gain_cap,
        maintenance_factor=parameters.maintenance_factor,
    )
