"""Every account's requirement, kept current event by event: only what depends on an event is calculated again.

The figures are, to the bit, those of a full evaluation of the same book in the same market: there is one recipe, and
an account's figures do not depend on who else is in the book. What depends on what:

* a trade or a deposit: its margin account;
* a market move: the instruments of the underlyings whose quotes or index changed, and the accounts that hold some of
  them; everything if the time or a currency's price changed;
* a parameter change: the same for the underlyings whose parameters changed; everything if a common one did, or if the
  parameters are the market themselves, which then changes with them.

What a reader might question: positions as risk units (`Arranged`) are kept, for they depend on no price. Accounts that
traded since are kept beside them, small books of their own, and are folded in when there are many. An event that cannot
be margined (an unknown contract, a missing price) raises and changes nothing.

One writer at a time: a `LiveBook` is not safe to change from several threads.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from crossmargin.aggregation.sweep import compiled_kernels
from crossmargin.basics.arrays import FloatArray, IntArray, read_only
from crossmargin.basics.errors import CrossmarginError, InputError, Problem
from crossmargin.basics.times import format_utc
from crossmargin.collateral.valuation import collateral_value
from crossmargin.engine.evaluate import Evaluation, Prepared, require_market, with_coins
from crossmargin.engine.events import Deposit, Event, MarketMove, ParameterChange, Trade
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Arranged, Methodology, Priced
from crossmargin.methodologies.requirements import AccountRequirements
from crossmargin.portfolio.book import Book
from crossmargin.standing.standing import Standing, Thresholds, standing

FOLD_FROM = 4096
"""Accounts and positions that may have changed beside the arranged book before they are folded into it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Part:
    """Some margin accounts, arranged: which of the live book's they are, and their positions as risk units."""

    accounts: IntArray
    book: Book
    margined: Book
    arranged: Arranged


class LiveBook:
    """A book in a market under a methodology, kept current.

    Parameters
    ----------
    book, market, methodology, policy, thresholds
        As `evaluate` takes them.

    Raises
    ------
    InputError, UnsupportedError
        Listing everything that is held and cannot be margined.
    """

    def __init__(
        self,
        book: Book,
        market: Market,
        methodology: Methodology,
        policy: MissingPolicy | None = None,
        thresholds: Thresholds | None = None,
    ) -> None:
        compiled_kernels()
        self._policy = policy or MissingPolicy()
        self._thresholds = thresholds or Thresholds()
        self._rebuild(book, market, methodology)

    # What it says.

    @property
    def market(self) -> Market:
        """The present snapshot."""
        return self._market

    @property
    def methodology(self) -> Methodology:
        """The present methodology and its parameters."""
        return self._methodology

    @property
    def margin_accounts(self) -> tuple[str, ...]:
        """Names, in the order of all figures."""
        return self._base.book.margin_accounts

    @property
    def requirements(self) -> AccountRequirements:
        """What every margin account is asked for, as it stands; later events do not change what was returned."""
        return self._required_of(slice(None))

    @property
    def standing(self) -> Standing | None:
        """Equity and state of every margin account; `None` when the book has no balances."""
        if self._collateral is None:
            return None
        return self._stand(slice(None))

    def standing_of(self, account: int) -> Standing | None:
        """Equity and state of one margin account: arrays of length 1."""
        return None if self._collateral is None else self._stand(slice(account, account + 1))

    def book(self) -> Book:
        """The book as it is now."""
        return self._book_now()

    def evaluation_of(self, account: int) -> Evaluation:
        """Everything about one margin account, explanation included: the same recipe on its book alone."""
        book, margined = self._books_of(account)
        return Prepared(
            book=book,
            margined=margined,
            market=self._market,
            methodology=self._methodology,
            policy=self._policy,
            thresholds=self._thresholds,
            priced=self._priced,
        ).evaluation()

    # What happens.

    def apply(self, event: Event) -> IntArray:
        """Let `event` happen.

        Returns
        -------
        ndarray of shape (n_affected,)
            Margin accounts that were margined again or whose collateral has another value, ascending. All of them for
            a new account, which also renumbers the others, and for a trade in what was not priced before.

        Raises
        ------
        InputError, UnsupportedError
            If the book cannot be margined after it; then nothing has changed.
        """
        match event:
            case Trade() | Deposit():
                return self._change(event)
            case MarketMove():
                return self._move(event.market)
            case ParameterChange():
                return self._change_parameters(event.methodology)
            case _:  # types promise it, callers without a type checker do not
                raise InputError(f"{event!r} is no event")

    def fold(self) -> None:
        """Take the accounts that changed into the arranged book; no figure changes. A good use of a quiet moment."""
        if self._changed:
            self._base = self._arranged(None, self._book_now())
            self._forget_changes()

    # How.

    def _rebuild(self, book: Book, market: Market, methodology: Methodology) -> IntArray:
        """Start over: for a new account, a new listing, another methodology."""
        require_market(methodology, market)
        book = book.held_only()
        margined = with_coins(book, market, methodology.schedule)
        priced = _priced_listing(margined, market, methodology, self._policy)
        arranged = methodology.arrange(margined, priced)
        required = methodology.account_requirements(arranged, priced)
        collateral = self._collateral_of(book, market, methodology)
        # Whatever can fail has been done: from here on the event happens.
        self._market, self._methodology, self._priced = market, methodology, priced
        self._listed = frozenset(priced.names)
        self._names_of = market.by_underlying([name for name in priced.names if name in market])
        self._members = dict(zip(book.accounts, book.margin_account_of.tolist(), strict=True))
        everyone = np.arange(len(book.margin_accounts))
        self._base = _Part(accounts=everyone, book=book, margined=margined, arranged=arranged)
        self._forget_changes()
        self._required = {one.name: np.zeros(len(everyone)) for one in fields(AccountRequirements)}
        self._collateral = None if collateral is None else np.zeros(len(everyone))
        self._note(everyone, required, collateral)
        return everyone

    def _forget_changes(self) -> None:
        self._changed: dict[int, tuple[Book, Book]] = {}
        # Sums, so that what happened since is never longer than what is held.
        self._trades: dict[tuple[str, str, bool], int] = {}
        self._deposits: dict[tuple[str, str, bool], int] = {}
        self._beside: _Part | None = None
        self._holding: dict[frozenset[str], _Part] = {}

    def _note(self, accounts: IntArray, required: AccountRequirements, collateral: FloatArray | None) -> None:
        for name, values in self._required.items():
            values[accounts] = getattr(required, name)
        if self._collateral is not None and collateral is not None:
            self._collateral[accounts] = collateral

    def _change(self, event: Trade | Deposit) -> IntArray:
        """Change one margin account: its book alone is made anew and margined."""
        account = self._members.get(event.account)
        first_deposit = isinstance(event, Deposit) and self._collateral is None
        if account is None or first_deposit:
            return self._rebuild(_after(self._book_now(), event), self._market, self._methodology)
        book = _after(self._books_of(account)[0], event)
        margined = with_coins(book, self._market, self._methodology.schedule).held_only()
        if not self._listed.issuperset(margined.to_price):  # a contract, or a coin, that was not priced ahead
            return self._rebuild(_after(self._book_now(), event), self._market, self._methodology)
        required = self._methodology.account_requirements(
            self._methodology.arrange(margined, self._priced), self._priced
        )
        collateral = self._collateral_of(book, self._market, self._methodology)
        self._changed[account] = (book, margined)
        if isinstance(event, Trade):
            # A gross account keeps what was bought and what was sold apart.
            sold = bool(self._base.book.gross[account]) and event.steps < 0
            _add(self._trades, (event.account, event.instrument, sold), event.steps)
        else:
            _add(self._deposits, (event.account, event.asset, False), event.steps)
        self._beside = None
        accounts = np.array([account])
        self._note(accounts, required, collateral)
        return accounts

    def _move(self, market: Market) -> IntArray:
        if self._methodology.market is not None:
            found = f"a market move under '{self._methodology.name}', whose prices come from its parameter file"
            raise InputError(Problem(found=found, needed="A newer file is a ParameterChange."))
        self._require_no_past(market)
        moved = self._market.moved_underlyings(market)
        if self._methodology.schedule is not None and self._market.prices != market.prices:
            moved = None  # what balances are worth is in its requirements
        if moved is None and market.instruments.instruments != self._market.instruments.instruments:
            return self._rebuild(self._book_now(), market, self._methodology)
        return self._reprice(moved, market, self._methodology)

    def _require_no_past(self, market: Market) -> None:
        if market.as_of < self._market.as_of:
            found = (
                f"a market of {format_utc(market.as_of)}, before the present one of {format_utc(self._market.as_of)}"
            )
            raise InputError(Problem(found=found, needed="Make another LiveBook to look at the past."))

    def _change_parameters(self, methodology: Methodology) -> IntArray:
        if methodology.market is not None:  # other terms too, perhaps: nothing that was arranged need still be right
            self._require_no_past(methodology.market)
            return self._rebuild(self._book_now(), methodology.market, methodology)
        if methodology.name != self._methodology.name:
            return self._rebuild(self._book_now(), self._market, methodology)
        return self._reprice(methodology.changed_underlyings(self._methodology), self._market, methodology)

    def _reprice(self, underlyings: frozenset[str] | None, market: Market, methodology: Methodology) -> IntArray:
        """Price what is of `underlyings` (everything if `None`), and margin whoever holds some of it."""
        if len(self._changed) + len(self._trades) + len(self._deposits) >= FOLD_FROM:
            self.fold()
        names: tuple[str, ...] = self._priced.names
        if underlyings is not None:
            names = tuple(sorted(name for one in underlyings for name in self._names_of.get(one, ())))
        priced, parts = self._priced, []
        if names:
            try:
                part = methodology.price(names, market, self._policy)
            except CrossmarginError:
                # Something can no longer be priced: that matters only if somebody holds it.
                return self._rebuild(self._book_now(), market, methodology)
            priced = part if underlyings is None else methodology.repriced(priced, part)
            parts = [self._base if underlyings is None else self._holders(underlyings, frozenset(names))]
        if self._changed:
            parts.append(self._changed_part())  # last: it is newer than what the first says of the same accounts
        found = [(of.accounts, methodology.account_requirements(of.arranged, priced)) for of in parts]
        collateral = None
        if self._collateral is not None:
            collateral = self._collateral.copy()
            for of in (self._base, *parts[-1:]) if self._changed else (self._base,):
                collateral[of.accounts] = self._collateral_of(of.book, market, methodology)
        revalued = np.zeros(0, dtype=np.int64)
        if collateral is not None and self._collateral is not None:
            revalued = np.flatnonzero(collateral != self._collateral)
        self._market, self._methodology, self._priced, self._collateral = market, methodology, priced, collateral
        for accounts, required in found:
            self._note(accounts, required, None)
        if len(found) == 1 and not len(revalued):
            return found[0][0]
        return np.unique(np.concatenate([revalued, *(accounts for accounts, _ in found)]))

    def _holders(self, underlyings: frozenset[str], names: frozenset[str]) -> _Part:
        """The accounts of the arranged book that hold some of `names`, arranged; kept for the next move."""
        part = self._holding.pop(underlyings, None)
        if part is None:
            held = self._base.margined.positions
            wanted = np.array([name in names for name in self._base.margined.instruments], dtype=np.bool_)
            holds = np.zeros(len(self._base.accounts), dtype=np.bool_)
            holds[held.owner()[wanted[held.instrument]]] = True
            # Of a large part nothing is kept twice: then the few others are margined again too.
            large = 2 * np.count_nonzero(holds) > len(holds)
            part = self._base if large else self._arranged(np.flatnonzero(holds), self._base.book)
        self._holding[underlyings] = part  # the newest last
        while sum(len(kept.accounts) for kept in self._holding.values() if kept is not self._base) > len(
            self._base.accounts
        ):
            del self._holding[next(iter(self._holding))]
        return part

    def _changed_part(self) -> _Part:
        if self._beside is None:
            self._beside = self._arranged(np.array(sorted(self._changed)), self._base.book, changed=True)
        return self._beside

    def _arranged(self, accounts: IntArray | None, book: Book, *, changed: bool = False) -> _Part:
        """Some accounts of `book` (all if `None`) as risk units; with `changed`, after what happened since."""
        if accounts is None:
            accounts = np.arange(len(book.margin_accounts))
        else:
            book = book.only(accounts)
        if changed:
            book = self._with_changes(book)
        margined = with_coins(book, self._market, self._methodology.schedule)
        return _Part(
            accounts=accounts,
            book=book,
            margined=margined,
            arranged=self._methodology.arrange(margined, self._priced),
        )

    def _with_changes(self, book: Book) -> Book:
        if self._trades:
            book = book.with_trades((who, what, steps) for (who, what, _), steps in self._trades.items())
        if self._deposits:
            book = book.with_deposits((who, what, steps) for (who, what, _), steps in self._deposits.items())
        return book

    def _book_now(self) -> Book:
        return self._with_changes(self._base.book).held_only()

    def _books_of(self, account: int) -> tuple[Book, Book]:
        """Book of one margin account as stated, and as it is margined."""
        if account in self._changed:
            return self._changed[account]
        book = self._base.book.select(account)
        return book, book if self._base.margined is self._base.book else self._base.margined.select(account)

    def _collateral_of(self, book: Book, market: Market, methodology: Methodology) -> FloatArray | None:
        if book.balances is None:
            return None
        return collateral_value(book, market, self._policy, methodology.schedule).value

    def _stand(self, accounts: slice) -> Standing:
        assert self._collateral is not None
        return standing(self._collateral[accounts].copy(), self._required_of(accounts), self._thresholds)

    def _required_of(self, accounts: slice) -> AccountRequirements:
        return AccountRequirements(**{name: read_only(v[accounts].copy()) for name, v in self._required.items()})


def _add(sums: dict[tuple[str, str, bool], int], key: tuple[str, str, bool], steps: int) -> None:
    sums[key] = sums.get(key, 0) + steps


def _after(book: Book, event: Trade | Deposit) -> Book:
    if isinstance(event, Trade):
        return book.with_trades([(event.account, event.instrument, event.steps)])
    return book.with_deposits([(event.account, event.asset, event.steps)])


def _priced_listing(margined: Book, market: Market, methodology: Methodology, policy: MissingPolicy) -> Priced:
    """Everything priced that the market quotes and the method can price, so that a trade in it needs no pricing.

    Of what a source only lists, and values itself, there may be far more than anybody holds: of that, what is held.

    Raises
    ------
    InputError, UnsupportedError
        If something that is held cannot be priced.
    """
    held = frozenset(margined.to_price)
    names = held.union(market.instruments.names)
    while True:
        try:
            return methodology.price(tuple(sorted(names)), market, policy)
        except CrossmarginError as error:
            about = {name for problem in error.problems for name in (problem.instrument, *problem.instruments)}
            not_held = about & (names - held)
            if names == held:
                raise
            # A problem that names no instrument may be about one that nobody holds.
            names = names - not_held if not_held else held
