"""The answer to "what margin": an evaluation that shows itself as table, JSON and explanation."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.aggregation.sweep import blocks
from crossmargin.answers.account_table import account_table
from crossmargin.answers.ccxt import ccxt_account
from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.errors import raise_problems
from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.engine.evaluate import Evaluation, Prepared, prepare
from crossmargin.engine.figures import (
    BLOCK_ACCOUNTS,
    AccountFigures,
    Progress,
    account_figures,
    prepare_in_quarantine,
)
from crossmargin.market.policy import MissingPolicy
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.protocol import Level, Methodology, ScenarioPnl
from crossmargin.methodologies.requirements import Requirements
from crossmargin.portfolio.book import Book
from crossmargin.portfolio.quarantine import OnError, Unmargined
from crossmargin.standing.standing import STATES, Standing

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)  # no slots: who is left out is looked up by name
class MarginResult:
    """Requirements and standing of every margin account.

    Parameters
    ----------
    prepared : Prepared
        What was asked, of whom, at which prices.
    figures : AccountFigures
        The answer as columns.
    unmargined : tuple of Unmargined
        Accounts that were left out, by name, with their reasons: they are in no figure, and none is 0.
    whole : Evaluation, optional
        All that explains the figures, kept where the book is small.

    Examples
    --------
    >>> import crossmargin as cm
    >>> from crossmargin.sample import sample_paths, sample_market
    >>> result = cm.margin(sample_paths().positions, sample_market())
    >>> round(result.requirement_initial("vertical") / result.requirement_isolated("vertical"), 1)
    0.4
    """

    prepared: Prepared
    figures: AccountFigures
    unmargined: tuple[Unmargined, ...] = ()
    whole: Evaluation | None = None

    @classmethod
    def of(cls, evaluation: Evaluation, unmargined: tuple[Unmargined, ...] = ()) -> MarginResult:
        """The answer that an evaluation holds."""
        return cls(
            prepared=evaluation.prepared,
            figures=AccountFigures.of(evaluation),
            unmargined=unmargined,
            whole=evaluation,
        )

    @classmethod
    def of_prepared(
        cls, prepared: Prepared, unmargined: tuple[Unmargined, ...] = (), progress: Progress | None = None
    ) -> MarginResult:
        """Margin a prepared book: all at once if it is small, else in blocks of accounts of which figures are kept.

        `unmargined` may be in any order.
        """
        unmargined = tuple(sorted(unmargined, key=lambda one: one.account))
        if len(prepared.book.margin_accounts) <= BLOCK_ACCOUNTS:
            return cls.of(prepared.evaluation(), unmargined)
        return cls(prepared=prepared, figures=account_figures(prepared, progress), unmargined=unmargined)

    @classmethod
    def of_book(
        cls,
        book: Book,
        market: Market,
        methodology: Methodology,
        policy: MissingPolicy | None = None,
        *,
        on_error: OnError = OnError.REFUSE,
        unmargined: tuple[Unmargined, ...] = (),
        progress: Progress | None = None,
    ) -> MarginResult:
        """Price and margin `book`; `unmargined` are accounts that its reader left out already."""
        if on_error is OnError.QUARANTINE:
            prepared, more = prepare_in_quarantine(book, market, methodology, policy)
        else:
            prepared, more = prepare(book, market, methodology, policy), ()
        return cls.of_prepared(prepared, (*unmargined, *more), progress)

    @property
    def evaluation(self) -> Evaluation:
        """Everything about every account; of a large book it is made anew, and takes the memory."""
        return self.whole or self.prepared.evaluation()

    def of_account(self, index: int) -> tuple[Evaluation, int]:
        """An evaluation that a margin account is in, and its index there: the same bits, large book or small."""
        if self.whole is not None:
            return self.whole, index
        return self.prepared.account(index).evaluation(), 0

    @property
    def accounts(self) -> tuple[str, ...]:
        """Margin accounts, in order."""
        return self.figures.margin_accounts

    def index(self, account: str) -> int:
        """Index of a margin account, by its name or a member's.

        Raises
        ------
        CrossmarginError
            Why it was left out; or that nobody is called so.
        """
        if (left_out := self._left_out.get(account)) is not None:
            raise_problems(left_out.problems)
        return self.prepared.book.margin_account_index(account)

    @cached_property
    def _left_out(self) -> Mapping[str, Unmargined]:
        """Who is left out, by the names of the margin account and its members."""
        return {name: one for one in reversed(self.unmargined) for name in (one.account, *one.members)}

    def requirement_initial(self, account: str) -> float:
        """Initial requirement of a margin account."""
        return float(self.figures.requirement_initial[self.index(account)])

    def requirement_isolated(self, account: str) -> float:
        """What the positions would need one by one."""
        return float(self.figures.requirement_isolated[self.index(account)])

    def explain(self, account: str, level: Level = "initial") -> Explanation:
        """The requirement of a margin account as a tree."""
        e, index = self.of_account(self.index(account))
        tree = e.methodology.explain(e.requirements, index, level)
        return replace(tree, note="; ".join((*filter(None, (tree.note,)), *e.notes)))

    def scenarios(self, account: str) -> ScenarioPnl:
        """P&L of a margin account in every scenario."""
        e, index = self.of_account(self.index(account))
        return e.methodology.scenarios(e.requirements, index)

    def columns(self) -> dict[str, list[Any]]:
        """The table by columns: plain floats, `None` where there is no balance."""
        f, s = self.figures, self.figures.standing
        columns: dict[str, list[Any]] = {
            "account": list(f.margin_accounts),
            "requirement_initial": f.requirement_initial.tolist(),
            "requirement_maintenance": f.requirement_maintenance.tolist(),
            "requirement_isolated": f.requirement_isolated.tolist(),
            "saving": (f.requirement_isolated - f.requirement_initial).tolist(),
            "saving_ratio": [
                _ratio(isolated - initial, isolated)
                for initial, isolated in zip(
                    f.requirement_initial.tolist(), f.requirement_isolated.tolist(), strict=True
                )
            ],
            "net_option_value": f.net_option_value.tolist(),
            "total_initial": f.total_initial.tolist(),
            "total_maintenance": f.total_maintenance.tolist(),
        }
        if s is not None:
            columns |= {
                "collateral_value": s.collateral_value.tolist(),
                "equity": s.equity.tolist(),
                "excess": s.excess.tolist(),
                "coverage_ratio": [value if math.isfinite(value) else None for value in s.coverage.tolist()],
                "state": [STATES[code].value for code in s.state_code.tolist()],
            }
            if self.prepared.methodology.net_margin:
                columns |= {f"margin_net_{level}": net.tolist() for level, net in _net_margins(s, f).items()}
        return columns

    def table(self) -> pl.DataFrame:
        """One row a margin account, as a polars frame."""
        import polars as pl

        return pl.DataFrame(self.columns())

    def account_table(self) -> pl.DataFrame:
        """One row for every margin account, those without figures too: the table that files have."""
        reasons = {one.account: one.in_words for one in self.unmargined}
        return account_table(self.columns(), reasons, has_balances=self.figures.standing is not None)

    def __repr__(self) -> str:
        f = self.figures
        total = float(f.requirement_initial.sum())
        left_out = f", {len(self.unmargined)} not margined" if self.unmargined else ""
        return f"<MarginResult of {len(self.accounts)} margin accounts: {total:,.2f} {f.currency}{left_out}>"

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())

    def account_dict(self, a: int) -> dict[str, Any]:
        """One margin account as plain data, decimals as strings."""
        e, a = self.of_account(a)
        r, s, units = e.requirements, e.standing, e.requirements.units
        initial, isolated = float(r.requirement_initial[a]), float(r.requirement_isolated[a])
        answer: dict[str, Any] = {
            "account": r.margin_accounts[a],
            "members": list(e.book.members(a)),
            "currency": r.currency,
            "requirement_initial": _text(initial),
            "requirement_maintenance": _text(r.requirement_maintenance[a]),
            "net_option_value": _text(r.net_option_value[a]),
            "total_initial": _text(r.total_initial[a]),
            "total_maintenance": _text(r.total_maintenance[a]),
            "requirement_isolated": _text(isolated),
            "saving": _text(isolated - initial),
            "saving_ratio": _text_or_none(_ratio(isolated - initial, isolated)),
        }
        if s is not None:
            answer |= {
                "collateral_value": _text(s.collateral_value[a]),
                "equity": _text(s.equity[a]),
                "excess": _text(s.excess[a]),
                "deficit": _text(s.deficit[a]),
                "coverage_ratio": _text(s.coverage[a]) if np.isfinite(s.coverage[a]) else None,
                "state": s.state_of(a).value,
            }
            if e.methodology.net_margin:
                answer |= {f"margin_net_{level}": _text(net[a]) for level, net in _net_margins(s, r).items()}
        if r.account_charges:
            answer["account_charges"] = {name: _text(values[a]) for name, values in r.account_charges.items()}
        answer["units"] = [
            {
                "unit": units.names[u],
                "requirement_initial": _text(units.requirement_initial[u]),
                "requirement_isolated": _text(units.requirement_isolated[u]),
                "saving": _text(units.requirement_isolated[u] - units.requirement_initial[u]),
                "saving_ratio": _text_or_none(
                    _ratio(
                        float(units.requirement_isolated[u] - units.requirement_initial[u]),
                        float(units.requirement_isolated[u]),
                    )
                ),
                "net_option_value": _text(units.net_option_value[u]),
                "components": {name: _text(values[u]) for name, values in units.components.items()},
                "scenario_worst": units.scenario_worst[u],
            }
            for u in units.of(a)
        ]
        c = r.contributions
        answer["contributions"] = [
            {
                "unit": units.names[int(c.unit[k])],
                "instrument": c.instrument_names[int(c.instrument[k])],
                "quantity": format_quantity(int(c.steps[k])),
                "pnl_worst": _text(c.pnl_worst[k]),
                "contribution": _text(c.contribution[k]),
            }
            for k in range(int(c.account_offsets[a]), int(c.account_offsets[a + 1]))
        ]
        answer["member_contributions"] = {
            e.book.accounts[m]: _text(c.member[m]) for m in np.flatnonzero(e.book.margin_account_of == a).tolist()
        }
        return answer

    def to_ccxt(self, account: str) -> dict[str, Any]:
        """One margin account in ccxt's shape: `positions`, a list of ccxt's positions, and `account`, its summary.

        Floats, `None` where something is unknown; see `crossmargin.answers.ccxt` for what each means.
        """
        return ccxt_account(*self.of_account(self.index(account)))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: accounts, those not margined, stand-ins, notes, provenance."""
        return {"accounts": list(self._account_dicts()), **self._about()}

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        return "".join(self.json_pieces())

    def json_pieces(self) -> Iterator[str]:
        """`to_json` piece by piece, account by account: a large book need not fit in memory as text."""
        import json

        def text(value: object) -> str:
            return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False).replace("\n", "\n  ")

        yield '{\n  "accounts": ['
        separator = "\n    "
        for account in self._account_dicts():
            yield separator + text(account).replace("\n", "\n  ")
            separator = ",\n    "
        yield "]" if not self.accounts else "\n  ]"
        for name, value in self._about().items():
            yield f',\n  "{name}": {text(value)}'
        yield "\n}"

    def _account_dicts(self) -> Iterator[dict[str, Any]]:
        if self.whole is not None:
            yield from map(self.account_dict, range(len(self.accounts)))
            return
        for first, last in blocks(len(self.accounts), BLOCK_ACCOUNTS):
            block = MarginResult.of(self.prepared.block(first, last).evaluation())
            yield from map(block.account_dict, range(last - first))

    def collateral_items(self, account: str) -> list[dict[str, str]]:
        """What the cover of a margin account is made of, as plain data, decimals as strings; empty without balances."""
        e, index = self.of_account(self.index(account))
        return [] if e.collateral is None else [item.to_dict() for item in e.collateral.items_of(index)]

    def _about(self) -> dict[str, Any]:
        return {
            "unmargined": [left_out.to_dict() for left_out in self.unmargined],
            "stand_ins": [fill.to_dict() for fill in self.figures.fills],
            "notes": list(self.prepared.notes),
            "provenance": self.prepared.provenance,
        }


def _net_margins(stands: Standing, required: AccountFigures | Requirements) -> dict[str, FloatArray]:
    """Equity less the requirement of each level: the figure of rulebooks that state no requirement."""
    return {
        "initial": stands.equity - required.requirement_initial,
        "maintenance": stands.equity - required.requirement_maintenance,
    }


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _text_or_none(value: float | None) -> str | None:
    return None if value is None else _text(value)


def _text(value: float) -> str:
    """A figure as a decimal string that reads back to the same bits."""
    number = float(value)
    assert math.isfinite(number), number
    return repr(number + 0.0)
