"""The same book under several methodologies, side by side, like with like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossmargin.engine.evaluate import Evaluation, evaluate, own_market
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Methodology
from crossmargin.portfolio.book import Book


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Comparison:
    """One evaluation a methodology, in the order asked."""

    evaluations: tuple[Evaluation, ...]

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

    Raises
    ------
    InputError
        If they take their prices from different markets, or from another one than `market`.
    """
    own_market(methods)
    return Comparison(evaluations=tuple(evaluate(book, market, method, policy) for method in methods))
