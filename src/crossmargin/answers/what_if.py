"""What if an account traded this: before, after, and the difference of every component."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crossmargin.basics.errors import PortfolioError, Problem, QuantityError, raise_problems
from crossmargin.basics.quantities import STEPS_PER_UNIT, quantity_steps
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.market.policy import STABLECOINS, MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Book
from crossmargin.standing.standing import standing


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhatIf:
    """One margin account before and after, each a book of that account alone.

    `cash_paid` is what the trades cost at their marks, market currency, negative for what they bring in: `after` has it
    taken from the collateral, where there are balances.
    """

    account: str
    member: str
    trades: tuple[tuple[str, str], ...]
    before: Evaluation
    after: Evaluation
    cash_paid: float

    def components(self) -> list[tuple[str, float, float]]:
        """`(component, before, after)` of the margin account, summed over its units, in calculation order."""
        rows = []
        both = (self.before.requirements, self.after.requirements)
        names = dict.fromkeys(name for r in both for name in (*r.units.components, *r.account_charges))
        for name in names:
            rows.append((name, _component(self.before, name), _component(self.after, name)))
        figures = (
            "requirement_initial",
            "requirement_maintenance",
            "requirement_isolated",
            "net_option_value",
            "total_initial",
        )
        rows += [(name, *self._both("requirements", name)) for name in figures]
        if self.before.standing and self.after.standing:
            rows += [(name, *self._both("standing", name)) for name in ("collateral_value", "equity", "excess")]
        return rows

    def _both(self, part: str, name: str) -> tuple[float, float]:
        before, after = (getattr(getattr(e, part), name)[0] for e in (self.before, self.after))
        return float(before), float(after)


def what_if(
    book: Book,
    market: Market,
    method: Methodology,
    account: str,
    add: Iterable[tuple[str, str]],
    policy: MissingPolicy | None = None,
    problems: Iterable[Problem] = (),
) -> WhatIf:
    """Margin an account before and after further positions.

    Parameters
    ----------
    account : str
        A margin account with one member, or a member of one.
    add : iterable of (instrument, quantity)
        Signed decimal quantities as text, in contracts; the same instrument twice adds up. Options and spot are paid
        for at their marks; futures and perpetuals cost nothing.
    problems : iterable of Problem
        Found already by the caller: raised together with what is found here.

    Raises
    ------
    PortfolioError
        If `account` is a netting set of several members: say which one trades.
    InputError
        With everything that is wrong with `add`.
    """
    index = book.margin_account_index(account)
    members = book.members(index)
    member = account if account in book.accounts else members[0]
    if account not in book.accounts and len(members) > 1:
        raise PortfolioError(
            Problem(
                found=f"'{account}' is a netting set of {', '.join(members)}",
                needed="Say which member trades.",
                kind=PortfolioError,
            )
        )
    problems = list(problems)
    trades = []
    add = list(add)
    for name, quantity in add:
        instrument = market.spelled(name)
        problem = market.problem_with(instrument, column="add")
        if problem is not None:
            problems.append(problem)
        try:
            trades.append((member, instrument, quantity_steps(quantity)))
        except QuantityError as error:
            problems += [replace(p, found=f"{p.found}, in '{name}:{quantity}'", column="add") for p in error.problems]
    raise_problems(problems)
    alone = book.select(index)
    before = evaluate(alone, market, method, policy)
    traded = alone.with_trades(trades)
    after, cash_paid = _paid(before, evaluate(traded, market, method, policy))
    if before.collateral is not None and (asset := _weighed_cash(method, market)) is not None:
        # Cash that the method weighs is a balance: what was paid is in the requirement too.
        paid = round(cash_paid / market.prices.get(asset, 1.0) * STEPS_PER_UNIT)
        after = evaluate(traded.with_deposits([(member, asset, -paid)]), market, method, policy)
    return WhatIf(
        account=book.margin_accounts[index],
        member=member,
        trades=tuple((market.spelled(name), quantity) for name, quantity in add),
        before=before,
        after=after,
        cash_paid=cash_paid,
    )


def _weighed_cash(method: Methodology, market: Market) -> str | None:
    """The asset that trades are settled in where the method weighs it; `None` where cash is cash."""
    schedule = method.schedule
    if schedule is None or market.currency in schedule.haircuts:
        return None
    return next((asset for asset in STABLECOINS if asset in schedule.haircuts), None)


def _paid(before: Evaluation, after: Evaluation) -> tuple[Evaluation, float]:
    """`after` with the trades paid for at their marks, and how much that is."""
    cash = float(after.requirements.net_option_value[0] - before.requirements.net_option_value[0])
    if before.collateral is None or after.collateral is None:
        return after, cash
    cash += float(after.collateral.value[0] - before.collateral.value[0])  # spot that was bought
    collateral = after.collateral.with_cash(0, -cash, after.market.currency)
    stands = standing(collateral.value, after.requirements, after.thresholds)
    return replace(after, collateral=collateral, standing=stands), cash


def _component(evaluation: Evaluation, name: str) -> float:
    r = evaluation.requirements
    values = r.units.components.get(name, r.account_charges.get(name))
    return float(values.sum()) if values is not None else 0.0
