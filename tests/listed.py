"""A small methodology whose parameters are a file with contracts, prices and charges: what an exchange's file is.

    2026-02-15T12:00:00Z INR
    NIFTY 2026-02-26 CE 23000,option,12.5,800

A line a contract: name, kind, price, charge. The requirement is the charge of every contract held, long or short;
maintenance is 80% of it. Option value counts whole at initial, and at maintenance only where it is owed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from crossmargin.aggregation.sweep import segment_sum
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import ParameterError, Problem, UnknownInstrumentError, raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import steps_to_float
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import About, Entry, Level, ParametersInfo, ScenarioPnl, Traits
from crossmargin.methodologies.requirements import AccountRequirements, Contributions, Requirements, Units
from crossmargin.portfolio.book import Book

NAME = "charges"
CALL, PUT, FUTURE = "NIFTY 2026-02-26 CE 23000", "NIFTY 2026-02-26 PE 22000", "NIFTY 2026-02-26 FUT"
FILE = f"""2026-02-15T12:00:00Z INR
{CALL},option,12.5,800
{PUT},option,20,900
{FUTURE},future,0,1500
"""
TRAITS = Traits(convex=True, homogeneous=True, subadditive=True, euler=True, exact_integers=False)


@dataclass(frozen=True, kw_only=True)
class Contracts:
    """The file: a `Listing`, with what only the methodology knows to use. Its names are in capitals."""

    as_of: datetime
    currency: str
    price: dict[str, float]
    charge: dict[str, float]
    options: frozenset[str]
    digest: str

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.price)

    def __contains__(self, name: object) -> bool:
        return name in self.price

    def spelled(self, name: str) -> str:
        return " ".join(name.upper().split())

    def problem_with(self, name: str, *, file: str = "", row: int | None = None, column: str = "") -> Problem | None:
        if name in self.price:
            return None
        return Problem(
            found=f"'{name}' is not in the file of charges",
            needed=f"It lists {', '.join(self.names)}.",
            file=file,
            row=row,
            column=column,
            kind=UnknownInstrumentError,
            instrument=name,
        )


def parsed(text: str) -> Contracts:
    """The contracts of a file's text."""
    (moment, currency), *rows = [line.split(",") if "," in line else line.split() for line in text.splitlines()]
    return Contracts(
        as_of=datetime.fromisoformat(moment),
        currency=currency,
        price={name: float(price) for name, _, price, _ in rows},
        charge={name: float(charge) for name, _, _, charge in rows},
        options=frozenset(name for name, kind, _, _ in rows if kind == "option"),
        digest=f"sha256:{hashlib.sha256(text.encode()).hexdigest()}",
    )


def read(path: Path) -> Contracts:
    """The contracts of a file: what stands in `READERS`."""
    return parsed(path.read_text(encoding="utf-8"))


@dataclass(frozen=True, kw_only=True, eq=False)
class Priced:
    """One contract of each instrument."""

    names: tuple[str, ...]
    charge: FloatArray
    option_value: FloatArray
    fills: tuple[()] = ()


@dataclass(frozen=True, kw_only=True, eq=False)
class Arranged:
    """Positions by name: instruments may be priced in another order later."""

    n_accounts: int
    owner: IntArray
    names: tuple[str, ...]
    quantity: FloatArray


class Charges:
    """The methodology."""

    name, version, status, title = NAME, "1", "own", "a charge for every contract"
    traits = TRAITS
    schedule, net_margin = None, False

    def notes(self, book: Any, priced: Any) -> tuple[str, ...]:
        return ()

    def __init__(self, contracts: Contracts, share: float = 0.8) -> None:
        self.contracts = contracts
        self.share = share
        self._market = Market.of_listing(
            contracts, as_of=contracts.as_of, source="charges.txt", currency=contracts.currency
        )

    @property
    def info(self) -> ParametersInfo:
        return ParametersInfo(
            name="charges.txt", version="1", date="2026-02-15", digest=self.contracts.digest, document={}
        )

    @property
    def market(self) -> Market:
        return self._market

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> Priced:
        raise_problems([p for name in instruments if (p := self.contracts.problem_with(name)) is not None])
        value = [self.contracts.price[name] if name in self.contracts.options else 0.0 for name in instruments]
        return Priced(
            names=instruments,
            charge=read_only(np.array([self.contracts.charge[name] for name in instruments], dtype=np.float64)),
            option_value=read_only(np.array(value, dtype=np.float64)),
        )

    def repriced(self, priced: Priced, part: Priced) -> Priced:
        raise AssertionError("a market of a listing moves as a whole")

    def changed_underlyings(self, older: Any) -> frozenset[str] | None:
        raise AssertionError("not asked of a method whose parameters are a market")

    def arrange(self, book: Book, priced: Priced) -> Arranged:
        held = book.positions
        return Arranged(
            n_accounts=len(book.margin_accounts),
            owner=held.owner(),
            names=tuple(book.instruments[k] for k in held.instrument.tolist()),
            quantity=steps_to_float(held.steps),
        )

    def account_requirements(self, arranged: Arranged, priced: Priced) -> AccountRequirements:
        row = np.array([priced.names.index(name) for name in arranged.names], dtype=np.int64)
        charge = segment_sum(np.abs(arranged.quantity) * priced.charge[row], arranged.owner, arranged.n_accounts)
        value = segment_sum(arranged.quantity * priced.option_value[row], arranged.owner, arranged.n_accounts)
        return AccountRequirements(
            requirement_initial=read_only(charge),
            requirement_maintenance=read_only(charge * self.share),
            net_option_value=read_only(value),
            credit_initial=read_only(value),
            credit_maintenance=read_only(np.minimum(value, 0.0)),
        )

    def requirements(self, book: Book, priced: Priced) -> Requirements:
        arranged = self.arrange(book, priced)
        r = self.account_requirements(arranged, priced)
        n, held = len(book.margin_accounts), book.positions
        row = np.array([priced.names.index(name) for name in book.instruments], dtype=np.int64)
        contribution = np.abs(arranged.quantity) * priced.charge[row[held.instrument]]
        return Requirements(
            margin_accounts=book.margin_accounts,
            currency=self.contracts.currency,
            requirement_initial=r.requirement_initial,
            requirement_maintenance=r.requirement_maintenance,
            requirement_isolated=r.requirement_initial,
            net_option_value=r.net_option_value,
            credit_initial=r.credit_initial,
            credit_maintenance=r.credit_maintenance,
            units=Units(
                account_offsets=np.arange(n + 1),
                name_all=lambda: ("NIFTY",) * n,
                scenario_all=lambda: ("",) * n,
                components={"charge": r.requirement_initial},
                requirement_initial=r.requirement_initial,
                requirement_isolated=r.requirement_initial,
                net_option_value=r.net_option_value,
            ),
            contribution_all=lambda: Contributions(
                account_offsets=held.offsets,
                unit=arranged.owner,
                instrument=held.instrument,
                steps=held.steps,
                pnl_worst=-contribution,
                contribution=contribution,
                member=segment_sum(contribution, book.margin_account_of[arranged.owner], len(book.accounts)),
                instrument_names=book.instruments,
            ),
            fills=(),
            breakdown=None,
        )

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        figures = getattr(requirements, f"requirement_{level}")
        return Explanation(label="charges", value=float(figures[account]), unit=requirements.currency)

    def scenarios(self, requirements: Requirements, account: int) -> ScenarioPnl:
        raise AssertionError("has no scenarios")


def charges(parameters: Any = None, **overrides: Any) -> Charges:
    """The factory: takes what `read` made, and the override `share`."""
    assert isinstance(parameters, Contracts)
    share = overrides.pop("share", 0.8)
    raise_problems(
        [Problem(found=f"no override '{name}'", needed="There is share.", kind=ParameterError) for name in overrides]
    )
    return Charges(parameters, float(share))


ENTRY = Entry(
    family="charges",
    factory=charges,
    about=About(
        version="1",
        status="own",
        title=Charges.title,
        parameters="a file of charges",
        traits=TRAITS,
    ),
)


def method(text: str = FILE, **overrides: Any) -> Charges:
    """The methodology of a file's text."""
    return charges(parsed(text), **overrides)
