"""What if an account traded this: before, after, and the difference of every component."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from crossmargin.basics.errors import PortfolioError, Problem, QuantityError, raise_problems
from crossmargin.basics.quantities import quantity_steps
from crossmargin.engine.evaluate import Evaluation, evaluate
from crossmargin.instruments.symbols import canonical_name
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WhatIf:
    """One margin account before and after, each a book of that account alone."""

    account: str
    member: str
    trades: tuple[tuple[str, str], ...]
    before: Evaluation
    after: Evaluation

    def components(self) -> list[tuple[str, float, float]]:
        """`(component, before, after)` of the margin account, summed over its units, in calculation order."""
        rows = []
        names = dict.fromkeys((*self.before.requirements.units.components, *self.after.requirements.units.components))
        for name in names:
            rows.append((name, _component(self.before, name), _component(self.after, name)))
        for name in (
            "requirement_initial",
            "requirement_maintenance",
            "requirement_isolated",
            "net_option_value",
        ):
            rows.append(
                (
                    name,
                    float(getattr(self.before.requirements, name)[0]),
                    float(getattr(self.after.requirements, name)[0]),
                )
            )
        if self.before.standing and self.after.standing:
            for name in ("equity", "excess"):
                rows.append(
                    (
                        name,
                        float(getattr(self.before.standing, name)[0]),
                        float(getattr(self.after.standing, name)[0]),
                    )
                )
        return rows


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
        Signed decimal quantities as text, in contracts; the same instrument twice adds up. The premium paid or
        received is not in the balances.
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
        instrument = canonical_name(name)
        problem = market.problem_with(instrument, column="add")
        if problem is not None:
            problems.append(problem)
        try:
            trades.append((member, instrument, quantity_steps(quantity)))
        except QuantityError as error:
            problems += [replace(p, found=f"{p.found}, in '{name}:{quantity}'", column="add") for p in error.problems]
    raise_problems(problems)
    alone = book.select(index)
    return WhatIf(
        account=book.margin_accounts[index],
        member=member,
        trades=tuple((canonical_name(name), quantity) for name, quantity in add),
        before=evaluate(alone, market, method, policy),
        after=evaluate(alone.with_trades(trades), market, method, policy),
    )


def _component(evaluation: Evaluation, name: str) -> float:
    values = evaluation.requirements.units.components.get(name)
    return float(values.sum()) if values is not None else 0.0
