"""The same book under several methodologies, side by side, like with like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crossmargin.basics.errors import Problem, UnsupportedError, raise_problems
from crossmargin.engine.evaluate import Evaluation, evaluate, own_market
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """One evaluation a methodology, in the order asked; `refused` has the reasons of those that have no rule for it."""

    evaluations: tuple[Evaluation, ...]
    refused: Mapping[str, tuple[Problem, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Methodologies."""
        return tuple(evaluation.methodology.name for evaluation in self.evaluations)

    @property
    def margin_accounts(self) -> tuple[str, ...]:
        """Margin accounts, the same in every evaluation."""
        return self.evaluations[0].requirements.margin_accounts


def compare(
    book: Book, market: Market, methods: Sequence[Methodology], policy: MissingPolicy | None = None
) -> Comparison:
    """Margin `book` under each of `methods`.

    What some methodology has no rule for does not cost the answers of the others: it is refused with its reasons.

    Raises
    ------
    InputError
        If they take their prices from different markets, or from another one than `market`; with what is wrong with
        the book itself, under any of them.
    UnsupportedError
        If all of them refuse it, with all reasons.
    """
    own_market(methods)
    evaluations: list[Evaluation] = []
    refused: dict[str, tuple[Problem, ...]] = {}
    for method in methods:
        try:
            evaluations.append(evaluate(book, market, method, policy))
        except UnsupportedError as error:
            refused[method.name] = error.problems
    if not evaluations:
        raise_problems(list(dict.fromkeys(problem for problems in refused.values() for problem in problems)))
    return Comparison(evaluations=tuple(evaluations), refused=refused)
