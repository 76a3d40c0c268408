"""The answer to "what margin": an evaluation that shows itself as table, JSON and explanation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crossmargin.basics.explanation import Explanation
from crossmargin.basics.quantities import format_quantity
from crossmargin.engine.evaluate import Evaluation
from crossmargin.methodologies.protocol import Level, ScenarioPnl

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class MarginResult:
    """Requirements and standing of every margin account.

    Examples
    --------
    >>> import crossmargin as cm
    >>> from crossmargin.sample import sample_paths, sample_market
    >>> result = cm.margin(sample_paths().positions, sample_market())
    >>> round(result.requirement_initial("vertical") / result.requirement_isolated("vertical"), 1)
    0.4
    """

    evaluation: Evaluation

    @property
    def accounts(self) -> tuple[str, ...]:
        """Margin accounts, in order."""
        return self.evaluation.requirements.margin_accounts

    def index(self, account: str) -> int:
        """Index of a margin account, by its name or a member's."""
        return self.evaluation.book.margin_account_index(account)

    def requirement_initial(self, account: str) -> float:
        """Initial requirement of a margin account."""
        return float(self.evaluation.requirements.requirement_initial[self.index(account)])

    def requirement_isolated(self, account: str) -> float:
        """What the positions would need one by one."""
        return float(self.evaluation.requirements.requirement_isolated[self.index(account)])

    def explain(self, account: str, level: Level = "initial") -> Explanation:
        """The requirement of a margin account as a tree."""
        e = self.evaluation
        tree = e.methodology.explain(e.requirements, self.index(account), level)
        return replace(tree, note="; ".join((*filter(None, (tree.note,)), *e.market.notes)))

    def scenarios(self, account: str) -> ScenarioPnl:
        """P&L of a margin account in every scenario."""
        return self.evaluation.methodology.scenarios(self.evaluation.requirements, self.index(account))

    def columns(self) -> dict[str, list[Any]]:
        """The table by columns: plain floats, `None` where there is no balance."""
        r, s = self.evaluation.requirements, self.evaluation.standing
        columns: dict[str, list[Any]] = {
            "account": list(r.margin_accounts),
            "requirement_initial": r.requirement_initial.tolist(),
            "requirement_maintenance": r.requirement_maintenance.tolist(),
            "requirement_isolated": r.requirement_isolated.tolist(),
            "saving": (r.requirement_isolated - r.requirement_initial).tolist(),
            "saving_ratio": [
                _ratio(isolated - initial, isolated)
                for initial, isolated in zip(
                    r.requirement_initial.tolist(), r.requirement_isolated.tolist(), strict=True
                )
            ],
            "net_option_value": r.net_option_value.tolist(),
        }
        if s is not None:
            columns |= {
                "collateral_value": s.collateral_value.tolist(),
                "equity": s.equity.tolist(),
                "excess": s.excess.tolist(),
                "coverage_ratio": [value if math.isfinite(value) else None for value in s.coverage.tolist()],
                "state": [state.value for state in s.state],
            }
        return columns

    def table(self) -> pl.DataFrame:
        """One row a margin account, as a polars frame."""
        import polars as pl

        return pl.DataFrame(self.columns())

    def __repr__(self) -> str:
        r = self.evaluation.requirements
        total = float(r.requirement_initial.sum())
        return f"<MarginResult of {len(self.accounts)} margin accounts: {total:,.2f} {r.currency}>"

    def _repr_html_(self) -> str:
        return str(self.table()._repr_html_())

    def account_dict(self, a: int) -> dict[str, Any]:
        """One margin account as plain data, decimals as strings."""
        e = self.evaluation
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
                "state": s.state[a].value,
            }
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

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data: accounts, stand-ins, notes, provenance."""
        e = self.evaluation
        return {
            "accounts": [self.account_dict(a) for a in range(len(self.accounts))],
            "stand_ins": [fill.to_dict() for fill in e.fills],
            "notes": list(e.market.notes),
            "provenance": e.provenance,
        }

    def to_json(self) -> str:
        """`to_dict` as JSON text."""
        import json

        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole else None


def _text_or_none(value: float | None) -> str | None:
    return None if value is None else _text(value)


def _text(value: float) -> str:
    """A figure as a decimal string that reads back to the same bits."""
    number = float(value)
    assert math.isfinite(number), number
    return repr(number + 0.0)
