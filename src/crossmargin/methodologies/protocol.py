"""What a methodology is to the rest of the engine, and the laws it promises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.explanation import Explanation
from crossmargin.collateral.valuation import Schedule
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.requirements import AccountRequirements, Requirements
from crossmargin.portfolio.book import Book

Priced: TypeAlias = Any
"""One contract of each instrument: unit P&L and whatever else a method needs. Each method has a type of its own, with
`names` (of the instruments, in order) and `fills` (stand-ins for missing quotes)."""

Arranged: TypeAlias = Any
"""The positions of a book as a method's risk units. Each method has a type of its own."""

Level = Literal["initial", "maintenance"]
"""Which requirement; `maintenance <= initial`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Traits:
    """Laws that a methodology promises; tests, attribution and hedge search read them.

    Parameters
    ----------
    convex : bool
        A mixture of two books never needs more than the mixture of their requirements.
    homogeneous : bool
        `k` times the book needs `k` times the requirement, `k > 0`.
    subadditive : bool
        Two books joined never need more than both apart.
    euler : bool
        Contributions by position sum to the requirement.
    exact_integers : bool
        Computed in whole numbers end to end.
    """

    convex: bool
    homogeneous: bool
    subadditive: bool
    euler: bool
    exact_integers: bool

    def promised(self) -> tuple[str, ...]:
        """Names of the laws that hold."""
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ScenarioPnl:
    """P&L of one margin account, unit by unit, in each scenario.

    `pnl` has shape `(n_units, n_scenarios)` and is weighted as the method counts it; `words` names the scenarios of
    each unit, `counted` says which one set its requirement.
    """

    units: tuple[str, ...]
    words: tuple[tuple[str, ...], ...]
    price_move: FloatArray
    vol_direction: FloatArray
    weight: FloatArray
    pnl: FloatArray
    counted: tuple[int, ...]
    currency: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParametersInfo:
    """Which parameters: name, version, date, hash, and the document itself; of a model also the hash of its history."""

    name: str
    version: str
    date: str
    digest: str
    document: dict[str, Any]
    history: str = ""


class Methodology(Protocol):
    """A methodology: parameters in, then requirements and explanations of any book."""

    @property
    def name(self) -> str:
        """As on the command line."""

    @property
    def version(self) -> str:
        """Changes whenever a number can."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def status(self) -> str:
        """`own` (our rules), `published` (a public rulebook) or `inferred`."""

    @property
    def info(self) -> ParametersInfo:
        """The parameters it holds."""

    @property
    def traits(self) -> Traits:
        """The laws it promises with these parameters."""

    @property
    def market(self) -> Market | None:
        """The market that the parameters themselves are; `None` where prices come from elsewhere.

        An exchange's parameter file is one: it has the parameters, the prices and the list of contracts. Nothing else
        is then to be margined in, and with other parameters everything may be worth something else.
        """

    @property
    def schedule(self) -> Schedule | None:
        """What counts as cover, if the method weighs balances itself; `None` where the engine's own schedule says so.

        Cover then has its whole market value (haircut 0), and what of it does not count is in the requirement:
        `equity - requirement` is the rulebook's own net margin. Balances of `take_part` are also positions, in
        instruments called like the assets, which `price` is then asked for.
        """

    @property
    def net_margin(self) -> bool:
        """Whether the rulebook's figure is a net margin, equity less requirement, which is then reported too."""

    def price(self, instruments: tuple[str, ...], market: Market, policy: MissingPolicy) -> Priced:
        """What one contract of each instrument does: depends on the market, and on nobody's positions.

        Raises
        ------
        InputError, UnsupportedError
            Listing everything that cannot be margined.
        """

    def repriced(self, priced: Priced, part: Priced) -> Priced:
        """`priced` with the rows that `part`, priced in a newer market, has; the rest stays."""

    def changed_underlyings(self, older: Any) -> frozenset[str] | None:
        """Underlyings whose parameters differ from those of `older`, a methodology of the same name.

        `None` if what differs concerns everything. Not asked of a method whose parameters are a market.
        """

    def arrange(self, book: Book, priced: Priced) -> Arranged:
        """Positions as the method's risk units: depends on the book and on terms, and on no price or parameter.

        `priced` holds at least what the book does.
        """

    def account_requirements(self, arranged: Arranged, priced: Priced) -> AccountRequirements:
        """What every margin account is asked for: the method's recipe, and nothing that only explains it."""

    def notes(self, book: Book, priced: Priced) -> tuple[str, ...]:
        """What a reader of any answer about `book` should know: a contract taken as another, an order left out."""

    def requirements(self, book: Book, priced: Priced) -> Requirements:
        """The requirement of every margin account of `book`, with the isolated baseline and all that explains it."""

    def explain(self, requirements: Requirements, account: int, level: Level = "initial") -> Explanation:
        """The requirement of a margin account as a tree, arranged from the kept figures."""

    def scenarios(self, requirements: Requirements, account: int) -> ScenarioPnl:
        """P&L of a margin account in every scenario."""


class MethodologyFactory(Protocol):
    """Makes a methodology from parameters by name, file or document, or from what was read of an exchange's file."""

    def __call__(self, parameters: Any, **overrides: Any) -> Methodology:
        """Load and check the parameters.

        Raises
        ------
        ParameterError
            With everything that is wrong in them, and every override that there is not.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A methodology in words, where it cannot be made to say so itself: its parameters are a file of the user's.

    Fields as those of `Methodology`; `parameters` says which file it takes.
    """

    version: str
    status: str
    title: str
    parameters: str
    traits: Traits


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A methodology in the registry.

    Parameters
    ----------
    factory : MethodologyFactory
        Makes it.
    family : str
        Of parameter documents that it takes.
    package : str
        Where sets of it ship; empty where none do.
    about : About or None
        `None` where parameters ship, so that it can be made without a file.
    takes_history : bool
        Whether its factory takes a `history` of risk factors, without which it margins nothing.
    """

    factory: MethodologyFactory
    family: str
    package: str = ""
    about: About | None = None
    takes_history: bool = False


def notes_on_orders(book: Book, name: str) -> tuple[str, ...]:
    """The note of a method that has no rule for resting orders."""
    carried = book.carried
    if carried is None or not (carried.buys.any() or carried.sells.any()):
        return ()
    return (f"resting orders are not margined under {name}",)
