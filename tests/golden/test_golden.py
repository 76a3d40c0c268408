"""The engine against the golden files of the sample accounts: every figure on the way, to 1e-9."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from crossmargin.answers.result import MarginResult
from crossmargin.api import margin
from crossmargin.sample import sample_market, sample_paths
from tests.oracles.make_golden import GOLDEN, golden, sample_accounts

FILES = sorted(GOLDEN.glob("*.json"))


@cache
def engine(methodology: str = "scenario-grid") -> MarginResult:
    paths = sample_paths()
    return margin(paths.positions, sample_market(), balances=paths.balances, methodology=methodology)


def close(value: Any, scale: float = 0.0) -> Any:
    """To 1e-9; a figure that offsets to almost nothing, to 1e-12 of what offsets."""
    return pytest.approx(value, rel=1e-9, abs=1e-12 * scale)


def test_there_is_one_file_for_each_sample_account() -> None:
    assert [path.stem for path in FILES] == sorted(sample_accounts()[0]) == list(engine().accounts)
    assert len(FILES) == 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_engine_is_golden(path: Path) -> None:
    document = json.loads(path.read_text(encoding="utf-8"))
    figures = document["figures"]
    evaluation = engine().evaluation
    r, s = evaluation.requirements, evaluation.standing
    assert s is not None
    a = r.margin_accounts.index(path.stem)
    for name in ("requirement_initial", "requirement_maintenance", "requirement_isolated", "net_option_value"):
        assert getattr(r, name)[a] == close(figures[name]), name
    for name in ("collateral_value", "equity", "excess"):
        assert getattr(s, name)[a] == close(figures[name], scale=figures["collateral_value"]), name
    breakdown = r.breakdown.breakdown  # type: ignore[attr-defined]
    assert [r.units.names[u] for u in r.units.of(a)] == list(figures["units"])
    for u, (unit_name, unit) in zip(r.units.of(a), figures["units"].items(), strict=True):
        assert breakdown.scenario_worst[u] == unit["scenario"], unit_name
        assert r.units.requirement_initial[u] == close(unit["requirement"])
        for name in ("scan_risk", "roll_charge", "short_option_minimum"):
            assert r.units.components[name][u] == close(unit[name], scale=unit["requirement"]), name
        ledger = breakdown.roll_ledger
        assert ledger.net_delta[ledger.unit == u].tolist() == close(unit["net_delta"], scale=1e6)
        c = r.contributions
        held = [k for k in range(len(c.unit)) if c.unit[k] == u]
        assert [c.instrument_names[int(c.instrument[k])] for k in held] == list(unit["contributions"])
        assert [float(c.contribution[k]) for k in held] == close(list(unit["contributions"].values()))
        assert [float(c.pnl_worst[k]) for k in held] == close(list(unit["pnl_worst"].values()))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_isolated_is_golden_too(path: Path) -> None:
    figures = json.loads(path.read_text(encoding="utf-8"))["figures"]
    assert engine("isolated").requirement_initial(path.stem) == close(figures["requirement_isolated"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_golden_files_are_what_the_oracle_writes(path: Path) -> None:
    """Inputs and parameters exactly; figures to what another platform's `exp` and `erfc` may differ."""
    kept, fresh = json.loads(path.read_text(encoding="utf-8")), json.loads(json.dumps(golden(path.stem)))
    figures_kept, figures_fresh = kept.pop("figures"), fresh.pop("figures")
    assert kept == fresh
    assert flat(figures_kept) == pytest.approx(flat(figures_fresh), rel=1e-11, abs=1e-6)


def flat(node: Any, path: str = "") -> dict[str, float]:
    """Every figure of a document by its path."""
    if isinstance(node, dict):
        return {key: v for name, part in node.items() for key, v in flat(part, f"{path}/{name}").items()}
    if isinstance(node, list):
        return {key: v for k, part in enumerate(node) for key, v in flat(part, f"{path}/{k}").items()}
    return {path: float(node)} if isinstance(node, int | float) else {f"{path}={node}": 0.0}


def test_golden_shows_what_cross_margining_does() -> None:
    """Recognisable hedges: a spread needs less than its legs, and linked accounts less than apart."""
    figures = {path.stem: json.loads(path.read_text(encoding="utf-8"))["figures"] for path in FILES}
    for name in ("covered_call", "vertical", "iron_condor", "calendar", "risk_reversal", "linked_desks"):
        assert figures[name]["requirement_initial"] < figures[name]["requirement_isolated"], name
    assert figures["vertical"]["requirement_initial"] < figures["short_put"]["requirement_initial"]
    assert figures["short_put"]["requirement_initial"] == figures["short_put"]["requirement_isolated"]
    assert figures["calendar"]["requirement_initial"] > 0
