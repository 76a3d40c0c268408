"""The command line: what it prints, what it refuses, how it exits, and what it does not import."""

from __future__ import annotations

import io
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import crossmargin
from crossmargin.cli.main import main
from crossmargin.sample import sample_paths

PATHS = sample_paths()
SAMPLE = (str(PATHS.positions), "--market", str(PATHS.market))
BALANCED = (*SAMPLE, "--balances", str(PATHS.balances))
PUT = "BTC-26NOV21-58000-P"


class Answer(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Run a command line in this process."""

    def command(*arguments: object) -> Answer:
        with pytest.raises(SystemExit) as exited:
            main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert isinstance(exited.value.code, int)
        return Answer(exited.value.code, captured.out, captured.err)

    return command


Run = Callable[..., Answer]


def _refused(answer: Answer, *expected: str) -> None:
    assert answer.code == 2
    assert answer.out == ""
    assert "Traceback" not in answer.err
    for text in expected:
        assert text in answer.err


# ------------------------------------------------------------------------------------------------ answers


def test_margin_prints_a_table_with_all_accounts(run: Run) -> None:
    answer = run("margin", *BALANCED)
    accounts = json.loads(run("margin", *BALANCED, "--json").out)["accounts"]
    assert answer.code == (1 if any(float(account["deficit"]) > 0 for account in accounts) else 0)
    assert answer.err == ""
    for name in ("calendar", "linked_desks", "short_put", "total", "requirement", "isolated", "state"):
        assert name in answer.out


def test_the_json_of_margin_has_its_published_keys(run: Run) -> None:
    document = json.loads(run("margin", *BALANCED, "--json").out)
    assert len(document["accounts"]) == 8
    for account in document["accounts"]:
        assert {
            "account",
            "members",
            "currency",
            "requirement_initial",
            "requirement_maintenance",
            "net_option_value",
            "requirement_isolated",
            "saving",
            "equity",
            "excess",
            "units",
        } <= set(account)
        for unit in account["units"]:
            assert {"components", "scenario_worst"} <= set(unit)
        isolated, initial = float(account["requirement_isolated"]), float(account["requirement_initial"])
        assert float(account["saving"]) == pytest.approx(isolated - initial)
        assert sum(float(p["contribution"]) for p in account["contributions"]) == pytest.approx(initial, rel=1e-9)
    assert {"methodology", "methodology_version", "parameters_hash", "market_hash", "as_of", "engine_version"} <= set(
        document["provenance"]
    )
    linked = next(a for a in document["accounts"] if a["account"] == "linked_desks")
    assert linked["members"] == ["futures_desk", "options_desk"]


def test_without_balances_there_is_no_equity(run: Run) -> None:
    account = json.loads(run("margin", *SAMPLE, "--json").out)["accounts"][0]
    assert not {"equity", "excess", "coverage_ratio", "state"} & set(account)


def test_a_deficit_is_exit_code_1(run: Run, tmp_path: Path) -> None:
    balances = tmp_path / "b.csv"
    balances.write_text("account,asset,amount\nvertical,USD,1\ncalendar,USD,1e9\n", encoding="utf-8")
    arguments = (*SAMPLE, "--balances", balances)
    answer = run("margin", *arguments, "--json")
    vertical = next(a for a in json.loads(answer.out)["accounts"] if a["account"] == "vertical")
    assert answer.code == 1
    assert float(vertical["deficit"]) > 0
    assert run("explain", *arguments, "--account", "vertical").code == 1
    assert run("explain", *arguments, "--account", "calendar").code == 0
    assert run("whatif", *arguments, "--account", "vertical", "--add", f"{PUT}:1").code == 1
    assert run("compare", *arguments).code == 1


def test_explain_one_account_and_every_scenario(run: Run) -> None:
    text = run("explain", *BALANCED, "--account", "linked_desks", "--scenarios").out
    for part in ("initial requirement", "Worst for BTC", "sum: initial requirement", "member", "scenario of BTC", "*"):
        assert part in text
    document = json.loads(run("explain", *BALANCED, "--account", "options_desk", "--scenarios", "--json").out)
    assert document["account"]["account"] == "linked_desks"
    assert {"explanation", "explanation_maintenance", "stand_ins", "notes", "provenance"} <= set(document)
    losses = [-float(row["pnl"]) for row in document["scenarios"] if row["unit"] == "BTC"]
    scan = float(document["account"]["units"][0]["components"]["scan_risk"])
    assert max(losses) == pytest.approx(scan, rel=1e-12)
    assert "scenarios" not in json.loads(run("explain", *BALANCED, "--account", "vertical", "--json").out)


def test_explain_says_what_the_cover_is_made_of(run: Run) -> None:
    arguments = (*BALANCED, "--account", "linked_desks")
    document = json.loads(run("explain", *arguments, "--json").out)
    items = document["collateral"]
    assert [(item["asset"], item["amount"]) for item in items] == [("BTC", "1.5"), ("USD", "150000.0")]
    assert sum(float(item["value"]) for item in items) == float(document["account"]["collateral_value"])
    text = run("explain", *arguments).out
    assert re.search(r"^BTC +1\.5 .* 0% ", text, re.MULTILINE)
    assert re.search(r"^USD +150,000 +1\.00 +0% +150,000\.00$", text, re.MULTILINE)
    assert "sum: collateral value" in text
    assert "sum: collateral value" not in run("explain", *SAMPLE, "--account", "linked_desks").out
    assert "collateral" not in json.loads(run("explain", *SAMPLE, "--account", "linked_desks", "--json").out)


def test_a_coin_without_parameters_leaves_out_who_has_some_of_it(run: Run, tmp_path: Path) -> None:
    balances = tmp_path / "b.csv"
    balances.write_text("account,asset,amount\ncalendar,ETH,0.1\nvertical,USD,1e6\n", encoding="utf-8")
    _refused(run("margin", *SAMPLE, "--balances", balances), "no spot of ETH", "no dollar price for 'ETH'")
    answer = run("margin", *SAMPLE, "--balances", balances, "--on-error", "quarantine", "--json")
    document = json.loads(answer.out)
    assert answer.code == 1
    assert [one["account"] for one in document["unmargined"]] == ["calendar"]
    assert len(document["accounts"]) == 7


def test_compare_methodologies(run: Run) -> None:
    answer = run("compare", *SAMPLE, "--methodologies", "isolated, scenario-grid,isolated")
    assert answer.code == 0
    assert answer.out.count("isolated") >= 1
    document = json.loads(run("compare", *SAMPLE, "--json").out)["methodologies"]
    assert list(document) == ["isolated", "scenario-grid"]
    pairs = zip(document["isolated"]["accounts"], document["scenario-grid"]["accounts"], strict=True)
    for alone, together in pairs:
        assert float(together["requirement_initial"]) <= float(alone["requirement_initial"])
        assert alone["requirement_initial"] == together["requirement_isolated"]


def test_what_if(run: Run) -> None:
    arguments = ("whatif", *BALANCED, "--account", "options_desk", "--add", f"{PUT}:-2")
    answer = run(*arguments)
    assert answer.code == 0
    for part in ("what if options_desk adds", "before", "after", "difference", "scan risk"):
        assert part in answer.out
    document = json.loads(run(*arguments, "--json").out)
    assert (document["account"], document["member"], document["add"]) == (
        "linked_desks",
        "options_desk",
        [{"instrument": PUT, "quantity": "-2"}],
    )
    for row in document["components"].values():
        assert float(row["difference"]) == pytest.approx(float(row["after"]) - float(row["before"]))
    twice = json.loads(run(*arguments[:-1], f"{PUT}:-1", "--add", f"{PUT}:-1", "--json").out)
    assert twice["after"] == document["after"]
    back = json.loads(run(*arguments[:-1], f"{PUT}:1", "--add", f"{PUT}:-1", "--json").out)
    assert back["after"]["requirement_initial"] == back["before"]["requirement_initial"]


@pytest.mark.parametrize("account", ["short_put", "linked_desks", "iron_condor"])
def test_a_case_answers_as_its_book(run: Run, tmp_path: Path, account: str) -> None:
    out = tmp_path / "a case"  # no suffix: a case is recognised by what it holds
    assert run("case", *BALANCED, "--account", account, "--out", out).code == 0
    assert run("case", *BALANCED, "--account", account).out == out.read_text(encoding="utf-8")
    book = json.loads(run("margin", *BALANCED, "--json").out)
    again = json.loads(run("margin", out, "--json").out)
    assert again["accounts"] == [a for a in book["accounts"] if a["account"] == account]
    assert again["provenance"]["parameters_hash"] == book["provenance"]["parameters_hash"]
    assert account in run("explain", out, "--account", account).out
    assert run("whatif", out, "--account", again["accounts"][0]["members"][0], "--add", f"{PUT}:1").code in (0, 1, 2)
    isolated = json.loads(run("margin", out, "--methodology", "isolated", "--json").out)["accounts"][0]
    assert isolated["requirement_initial"] == again["accounts"][0]["requirement_isolated"]


def test_methodologies_and_markets(run: Run) -> None:
    assert "scenario-grid" in run("methodologies").out
    listed = json.loads(run("methodologies", "--json").out)
    assert {m["name"] for m in listed} >= {"isolated", "scenario-grid", "span"}
    # Of a methodology whose parameters are a file of the user's there is nothing to hash yet.
    hashed = {m["name"]: m["parameters_hash"] for m in listed}
    assert [hashed.pop(name) for name in ("span", "drift-v2", "mango-v4")] == [None] * 3
    assert all(value.startswith("sha256:") for value in hashed.values())
    assert "Index BTC" in run("market", PATHS.market).out
    document = json.loads(run("market", PATHS.market, "--json").out)
    assert document["as_of"] == "2021-10-20T21:24:34Z"
    assert document["excluded"] == []


def test_every_excluded_row_of_a_market_is_listed(run: Run, data_dir: Path) -> None:
    path = data_dir / "cboe_spx_chain_20230914.csv.gz"
    document = json.loads(run("market", path, "--json").out)
    assert document["excluded"]
    assert {row["reason"] for row in document["excluded"]} == {"expired"}
    text = run("market", path, "--rows", "3").out
    assert f"Left out, expired: {len(document['excluded']):,}" in text
    assert f"and {len(document['excluded']) - 3:,} more" in text
    _refused(run("market", path, "--rows", "-1"), "--rows -1. 0 or more")


def test_american_options_are_refused_by_name(run: Run, data_dir: Path, tmp_path: Path) -> None:
    positions = tmp_path / "p.csv"
    positions.write_text("account,instrument,quantity\na,SPY   231215C00450000,1\n", encoding="utf-8")
    answer = run("margin", positions, "--market", data_dir / "cboe_spy_chain_20230914.csv.gz")
    _refused(answer, "'SPY   231215C00450000' is an American option")


def test_negative_oil_end_to_end(run: Run, tmp_path: Path) -> None:
    parameters = json.loads(
        (Path(crossmargin.__file__).parent / "methodologies/venue_grids/scenario_grid/venue-grid-2026.json").read_text(
            "utf-8"
        )
    )
    parameters["underlyings"]["CL"] = parameters["underlyings"]["BTC"]
    (tmp_path / "own.json").write_text(json.dumps(parameters | {"name": "own"}), encoding="utf-8")
    (tmp_path / "m.csv").write_text(
        "as_of,instrument,kind,underlying,multiplier,expiry,strike,option_type,on,index_price,forward_price,vol,"
        "vol_model\n"
        "2020-04-20T18:00:00Z,CL P5,option,CL,1000,2020-05-14T18:30:00Z,5,put,future,-37.63,-10,40,bachelier\n",
        encoding="utf-8",
    )
    (tmp_path / "p.csv").write_text("account,instrument,quantity\na,CL P5,-1\n", encoding="utf-8")
    arguments = ("margin", tmp_path / "p.csv", "--market", tmp_path / "m.csv")
    answer = run(*arguments, "--parameters", tmp_path / "own.json", "--json")
    assert answer.code == 0
    account = json.loads(answer.out)["accounts"][0]
    assert float(account["requirement_initial"]) > 0
    assert float(account["net_option_value"]) < -15_000
    _refused(run(*arguments), "no parameters for underlying 'CL' in 'venue-grid-2026'")


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("margin",), "requires an argument"),
        (("margin", PATHS.positions), "no market. Give it with --market FILE"),
        (("margin", PATHS.positions, "--market"), "requires an argument"),
        (("margin", "no.csv", "--market", "no2.csv"), "no2.csv: there is no such file"),
        (("nope",), "Unknown command"),
        (("margin", *SAMPLE, "--bogus", "1"), "Unknown option"),
        (("explain", *SAMPLE), "--account requires an argument"),
        (("explain", *SAMPLE, "--account", "zz"), "no account 'zz' in this book. It holds calendar, covered_call"),
        (("case", *SAMPLE, "--account", "zz"), "no account 'zz'"),
        (("whatif", *SAMPLE, "--account", "vertical"), "no --add. Say what: INSTRUMENT:QUANTITY"),
        (("whatif", *SAMPLE, "--account", "linked_desks", "--add", f"{PUT}:1"), "Say which member trades"),
        (("margin", *SAMPLE, "--methodology", "zz"), "no methodology 'zz'. There are"),
        (("compare", *SAMPLE, "--methodologies", "isolated,zz"), "no methodology 'zz'"),
        (("compare", *SAMPLE, "--methodologies", ","), "no methodology to compare"),
        (("margin", *SAMPLE, "--missing", "zz"), "missing policy 'zz'. default or strict"),
        (
            ("margin", *SAMPLE, "--across-units", "zz"),
            "column 'across_units.rule': is 'zz'. One of independent, common",
        ),
        (
            ("margin", *SAMPLE, "--across-units", "common", "--gain-share", "nan"),
            "column 'across_units.gain_share': is 'nan'. A number from 0 to 1",
        ),
        (("margin", *SAMPLE, "--across-units", "common", "--gain-cap", "inf"), "gain_cap': is 'inf'"),
        (("margin", *SAMPLE, "--time-step-days", "-1"), "time_step_days': is '-1'. A number from 0 to 365"),
        (("margin", *SAMPLE, "--parameters", "zz"), "no parameter set and no file called 'zz'"),
        (("margin", *SAMPLE, "--as-of", "garbage"), "as-of time: Invalid isoformat string: 'garbage'"),
        (("margin", *SAMPLE, "--as-of", "2030-01-01T00:00:00Z"), "no snapshot of 2030-01-01T00:00:00Z"),
        (("margin", *SAMPLE, "--market-format", "cboe"), "column 'root' is missing"),
        (("market", PATHS.positions), "no market format that we know has the header account, instrument"),
    ],
)
def test_refused_command_lines(run: Run, arguments: tuple[object, ...], message: str) -> None:
    _refused(run(*arguments), message)


@pytest.mark.parametrize(
    ("add", "message"),
    [
        (PUT, "Write INSTRUMENT:QUANTITY, like BTC-27MAR26-90000-C:-2"),
        (":1", "':1'. Write INSTRUMENT:QUANTITY"),
        ("", "Write INSTRUMENT:QUANTITY"),
        (f"{PUT}:", f"column 'add': quantity is empty, in '{PUT}:'"),
        (f"{PUT}:x", "quantity 'x' is not a finite number"),
        (f"{PUT}:nan", "quantity 'NaN' is not a finite number"),
        (f"{PUT}:1e-9", "quantity 1E-9 is finer than 1e-8"),
        (f"{PUT}:1e400", "quantity 1E+400 is out of range"),
        ("NOPE:1", "column 'add': 'NOPE' is no instrument name that we know"),
        ("BTC-1JAN20-58000-P:1", "it expired at 2020-01-01T08:00:00Z"),
        ("BTC-26NOV21-58001-P:1", "The nearest that it lists is 'BTC-26NOV21-58000-P'"),
        ("\x1b[31m:1", r"column 'add': '\x1b[31m' is no instrument name"),
    ],
)
def test_refused_trades(run: Run, add: str, message: str) -> None:
    _refused(run("whatif", *SAMPLE, "--account", "vertical", "--add", add), message)


def test_all_refused_trades_at_once(run: Run) -> None:
    answer = run("whatif", *SAMPLE, "--account", "vertical", "--add", "x", "--add", f"{PUT}:y")
    _refused(answer, "2 problems, nothing was margined", "'x'. Write INSTRUMENT", "quantity 'y'")


def test_a_file_cannot_write_to_the_terminal(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "p\x1b[2J.csv"
    path.write_text("account\x1b[31m,instrument,quantity\na,b,1\n", encoding="utf-8")
    answer = run("margin", path, "--market", PATHS.market)
    _refused(answer, r"p\x1b[2J.csv", r"account\x1b[31m")
    assert "\x1b" not in answer.err


def test_a_case_refuses_what_it_holds_itself(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "c.json"
    run("case", *BALANCED, "--account", "vertical", "--out", out)
    answer = run("margin", out, "--market", PATHS.market, "--balances", PATHS.balances, "--as-of", "x")
    _refused(answer, "--market beside a case", "--balances beside a case", "--as-of beside a case")
    (tmp_path / "d.json").write_text("{}", encoding="utf-8")
    _refused(run("margin", tmp_path / "d.json", "--market", PATHS.market), "d.json: is JSON, but no case")


def _entries(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_report_is_written_whole_or_not_at_all(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tmp_path / "r.html"
    answer = run("margin", *SAMPLE, "--report", report)
    assert answer.code == 0
    assert report.read_text(encoding="utf-8").rstrip().endswith("</html>")
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(report.stat().st_mode) == 0o666 & ~mask
    before = report.read_bytes()
    (tmp_path / "folder").mkdir()
    for place, reason in (
        (tmp_path / "folder", "Is a directory"),
        (tmp_path / "no" / "r.html", "No such file or directory"),
        (tmp_path / "r.html" / "x.html", "Not a directory"),
        (tmp_path / ("x" * 300), "File name too long"),
    ):
        _refused(run("margin", *SAMPLE, "--report", place), f"cannot be written ({reason})")
        _refused(run("case", *SAMPLE, "--account", "vertical", "--out", place), f"cannot be written ({reason})")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    _refused(run("margin", *SAMPLE, "--report", report), "cannot be written (No space left on device)")
    assert report.read_bytes() == before
    assert _entries(tmp_path) == {"r.html", "folder"}
    assert _entries(tmp_path / "folder") == set()


def test_a_refused_book_writes_no_report(run: Run, tmp_path: Path) -> None:
    positions = tmp_path / "p.csv"
    positions.write_text(f"account,instrument,quantity\na,{PUT},x\n", encoding="utf-8")
    _refused(run("margin", positions, "--market", PATHS.market, "--report", tmp_path / "r.html"), "row 2")
    assert _entries(tmp_path) == {"p.csv"}


def test_the_thousandth_problem_is_the_last_one_printed(run: Run, tmp_path: Path) -> None:
    positions = tmp_path / "p.csv"
    positions.write_text("account,instrument,quantity\n" + f"a,{PUT},x\n" * 1500, encoding="utf-8")
    answer = run("margin", positions, "--market", PATHS.market)
    _refused(answer, "1500 problems, nothing was margined", "p.csv, row 1001, ", "and 500 more")
    assert "row 1002," not in answer.err


def test_a_terminal_of_another_encoding_gets_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit) as exited:
        main(["margin", *SAMPLE])
    assert exited.value.code == 0
    assert b"linked_desks" in raw.getvalue()


# ------------------------------------------------------------------------------------------------ start-up

HEAVY = ("rich.progress", "numba", "scipy", "plotly", "pandas", "pydantic", "polars")


@pytest.mark.parametrize("arguments", [("--help",), ("margin", "TEN_LEGS", "--market", str(PATHS.market))])
def test_nothing_heavy_is_imported_for_a_small_book(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    legs = tmp_path / "legs.csv"
    rows = [line for line in PATHS.positions.read_text("utf-8").splitlines() if line]
    legs.write_text("\n".join(rows[:11]) + "\n", encoding="utf-8")
    program = (
        "import sys\n"
        "from crossmargin.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "except SystemExit as exited:\n    assert exited.code == 0, exited.code\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    command = [sys.executable, "-c", program, *(str(legs) if a == "TEN_LEGS" else a for a in arguments)]
    environment: dict[str, Any] = os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "HEAVY []"
    assert done.stderr == ""


def test_compare_says_who_has_no_rule_and_answers_for_the_others(run: Run) -> None:
    """The sample has options and dated futures: no perpetual exchange has a rule for them."""
    shown = run("compare", PATHS.positions, "--market", PATHS.market, "--methodologies", "scenario-grid,dydx-v4")
    assert shown.code == 1
    assert "dydx-v4 has no answer" in shown.out
    assert "is an option" in " ".join(shown.out.split())
    document = json.loads(
        run(
            *("compare", PATHS.positions, "--market", PATHS.market),
            *("--methodologies", "dydx-v4,scenario-grid", "--json"),
        ).out
    )
    assert list(document["methodologies"]) == ["scenario-grid"]
    assert document["refused"]["dydx-v4"]
    _refused(run("compare", PATHS.positions, "--market", PATHS.market, "--methodologies", "dydx-v4"), "is an option")
