"""Commands: parse the line, call the same verbs that Python has, print, and say by the exit code how it went.

Everything heavy is imported inside the command that needs it, so that `--help` is instant.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import cyclopts
from cyclopts import Parameter

from crossmargin._version import __version__
from crossmargin.basics.errors import InputError, Problem, raise_problems
from crossmargin.cli.writing import finished, require_places, write_answer, write_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from crossmargin.answers.result import MarginResult
    from crossmargin.engine.evaluate import Evaluation
    from crossmargin.market.policy import MissingPolicy
    from crossmargin.methodologies.protocol import About, Entry, Methodology, ParametersInfo
    from crossmargin.portfolio.quarantine import OnError, Unmargined
    from crossmargin.standing.standing import Standing

ANSWERED, ATTENTION = 0, 1

app = cyclopts.App(
    name="crossmargin",
    help="Margin of a whole derivatives portfolio: what is required, why, and what cross-margining saves.",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,  # `main` says what Ctrl-C left behind
)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What every question starts from.

    Parameters
    ----------
    market
        Market file: a Deribit chain (what snapshot writes, CSV, Parquet or book-summary JSON), a Cboe quote file, or a
        plain market CSV.
        Not needed with a case, nor where --parameters is an exchange's file, which has the prices.
    balances
        CSV or Parquet with account, asset, amount, or JSON as Deribit, Derive or ccxt answer it: adds equity, excess or
        deficit, coverage and state.
    market_format
        deribit-chain, deribit-summary, cboe or plain; recognised from content if left out.
    as_of
        Time of the market, like 2026-01-31T08:00:00Z, for a file that states none or holds several.
    parameters
        Name of a parameter set, or a JSON file; of a methodology that takes it, an exchange's parameter file.
    history
        History of risk factors, for a model-based methodology: CSV or Parquet with a column of dates and one a factor,
        like price:BTC, or date, factor, value.
    across_units
        independent or common: how the underlyings of an account combine.
    gain_share
        With common: fraction of a gain that offsets another underlying's loss, 0 to 1.
    gain_cap
        With common: most that one underlying's gain may offset, US dollars.
    time_step_days
        Repeat the grid after this many days.
    option
        NAME=VALUE: another parameter of the methodology in place of its file's; may be given several times.
    missing
        default, or strict: refuse every missing price or volatility that is used.
    """

    market: Path | None = None
    balances: Path | None = None
    market_format: str | None = None
    as_of: str | None = None
    parameters: str | None = None
    history: Path | None = None
    across_units: str | None = None
    gain_share: str | None = None
    gain_cap: str | None = None
    time_step_days: str | None = None
    option: tuple[str, ...] = ()
    missing: str = "default"


_DEFAULTS = Inputs()


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class SimmInputs:
    """What the methodology simm takes beside a CRIF; nothing else takes it.

    Parameters
    ----------
    version
        Calibration: 2.6, 2.7+2412, 2.8+2506 or 2.8+2512; or a date, for the one in force on it.
    mpor
        Margin period of risk in days: 10 or 1.
    currency
        Calculation currency, in which the margin is.
    fx
        CSV or Parquet with currency and usd: dollars for one unit. Needed where rows have no AmountUSD, and for a
        --currency.
    skip_rejected
        Margin without the rows that are wrong, and say so; else they are all listed and nothing is margined.
    by
        Show contributions in place of levels: by factor, by trade, or by a column of the CRIF, like Bucket or one of
        your own; several with commas between them.
    side
        call, what is collected, or post: whose tree explain shows.
    """

    version: str | None = None
    mpor: int | None = None
    currency: str | None = None
    fx: Path | None = None
    skip_rejected: Annotated[bool | None, Parameter(negative="--strict")] = None
    by: str | None = None
    side: str | None = None

    def refuse(self) -> None:
        """None of it is for another methodology."""
        if self != _NO_SIMM:
            raise InputError(
                Problem(
                    found="--version, --mpor, --currency, --fx, --skip-rejected, --by or --side without "
                    "--methodology simm",
                    needed="They say how a CRIF is margined.",
                )
            )


_NO_SIMM = SimmInputs()


@app.command
def margin(
    positions: Path,
    *,
    inputs: Inputs = _DEFAULTS,
    simm: SimmInputs = _NO_SIMM,
    methodology: str | None = None,
    report: Path | None = None,
    out: Path | None = None,
    rows: int | None = None,
    on_error: str = "refuse",
    threads: int | None = None,
    cluster: str | None = None,
    workers: int | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
    ccxt: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Margin every account of a book.

    Parameters
    ----------
    positions
        CSV or Parquet with account, instrument, quantity (contracts; long is positive) and optionally netting_set,
        segregation, account_type, customer_type, open_buys, open_sells, unrealised_pnl; with symbol, expiry, right,
        strike and so on in place of instrument; or JSON: what Deribit, Derive or ccxt answer for an account, or a case.
        Under simm a CRIF: sensitivities of any number of portfolios.
    methodology
        One of those that `crossmargin methodologies` lists, or simm; scenario-grid if left out.
    report
        Also write a self-contained HTML page to this file.
    out
        Also write every account to this file, .parquet or .csv.
    rows
        Accounts to print, the largest requirements first; if left out, all up to 50, and 20 of a larger book.
    on_error
        refuse everything if anything is wrong, or quarantine: leave out the accounts that it concerns, and list them.
    threads
        Threads to calculate on; all processors if left out. No number depends on it.
    cluster
        Margin on a Ray cluster: its address, or local to start one here. Positions and --out are Parquet files.
    workers
        Tasks at once on the cluster; all of its processors if left out.
    json_
        Print JSON instead of a table.
    ccxt
        Print JSON in the shape of ccxt's positions: a list of accounts, each with a summary and its positions.
    """
    if methodology == "simm":
        from crossmargin.cli.simm import margin_crif

        others = {
            "--report": report,
            "--on-error": None if on_error == "refuse" else on_error,
            "--threads": threads,
            "--cluster": cluster,
            "--workers": workers,
            "--ccxt": ccxt or None,
        }
        return margin_crif(positions, inputs, simm, others, out=out, rows=rows, json_=json_)
    simm.refuse()
    if ccxt and (json_ or cluster is not None):
        raise InputError(Problem(found=f"--ccxt beside {'--json' if json_ else '--cluster'}", needed="Choose one."))
    if cluster is not None:
        handling = _handling(on_error)
        _refuse_beside_cluster(positions, out, report=report, rows=rows, threads=threads)
        assert out is not None
        return _margin_on_cluster(positions, inputs, methodology, handling, cluster, workers, out, json_=json_)
    if workers is not None:
        raise InputError(Problem(found="--workers without --cluster", needed="--threads says how many threads."))
    from crossmargin.answers.result import MarginResult
    from crossmargin.basics.threads import using_threads
    from crossmargin.cli import show
    from crossmargin.cli.progress import progress

    _require_count("--rows", rows, least=0)
    _require_count("--threads", threads, least=1)
    handling = _handling(on_error)
    require_places(table=out, page=report, beside=(positions, inputs.market, inputs.balances))
    with using_threads(threads):  # to the end: JSON and the report of a large book margin its accounts again
        with progress("accounts", quiet=json_ or ccxt) as done:
            loaded = _loaded(positions, inputs, _named(methodology), handling)
            result = MarginResult.of_book(
                loaded.book,
                loaded.market,
                loaded.method,
                loaded.policy,
                on_error=handling,
                unmargined=loaded.unmargined,
                progress=done,
            )
        if out is not None:
            write_answer(out, result)
        if report is not None:
            left_out = {one.account: one.in_words for one in result.unmargined}
            _write_report(result.evaluation, report, account=None, left_out=left_out)
        if json_:
            sys.stdout.writelines(result.json_pieces())
            print()
        elif ccxt:
            _print_json([result.to_ccxt(account) for account in result.accounts])
        else:
            where = f"all are in {out}" if out is not None else "--out FILE writes all"
            print(show.margin_text(result, rows, where=where))
    return ATTENTION if result.unmargined or _anybody_short(result.figures.standing) else ANSWERED


def _refuse_beside_cluster(
    positions: Path, out: Path | None, *, report: Path | None, rows: int | None, threads: int | None
) -> None:
    """What a cluster cannot do, all at once."""
    from crossmargin.files.tables import head, is_parquet

    problems = []
    if not is_parquet(head(positions)):
        problems.append(
            Problem(
                found="positions for a cluster are no Parquet file",
                needed="Workers read them in parts: write them as Parquet.",
                file=positions.name,
            )
        )
    if out is None or out.suffix.lower() != ".parquet":
        problems.append(Problem(found="--cluster writes a Parquet file", needed="Name it with --out FILE.parquet."))
    for name, given in (("--report", report), ("--rows", rows), ("--threads", threads)):
        if given is not None:
            problems.append(Problem(found=f"{name} beside --cluster", needed=f"Leave {name} out."))
    raise_problems(problems)


def _margin_on_cluster(
    positions: Path,
    inputs: Inputs,
    methodology: str | None,
    handling: OnError,
    address: str,
    workers: int | None,
    out: Path,
    *,
    json_: bool,
) -> int:
    from crossmargin.cli import show
    from crossmargin.cli.progress import progress
    from crossmargin.cluster.margin import margin_on_cluster
    from crossmargin.files.inputs import market_of
    from crossmargin.files.methodology import read_methodology

    _require_count("--workers", workers, least=1)
    require_places(table=out, beside=(positions, inputs.market, inputs.balances))
    method = read_methodology(methodology or "scenario-grid", inputs.parameters, **_overrides(inputs))
    if inputs.market is None and method.market is None:
        raise InputError(Problem(found="no market", needed="Give it with --market FILE."))
    market = market_of((method,), inputs.market, market_format=inputs.market_format, as_of=inputs.as_of)
    with progress("rows", quiet=json_) as done:
        report = margin_on_cluster(
            positions,
            market,
            method,
            _policy(inputs.missing),
            out=out,
            balances=inputs.balances,
            on_error=handling,
            address=address,
            workers=workers,
            progress=done,
            written=finished.append,
        )
    if json_:
        _print_json(show.cluster_dict(report))
    else:
        import polars as pl

        table = pl.read_parquet(out, columns=list(report.totals)).drop_nulls()
        print(show.cluster_text(report, market, {name: table[name].to_numpy() for name in table.columns}))
    return ATTENTION if report.unmargined or report.deficits else ANSWERED


@app.command
def explain(
    positions: Path,
    *,
    account: str,
    inputs: Inputs = _DEFAULTS,
    simm: SimmInputs = _NO_SIMM,
    methodology: str | None = None,
    scenarios: Annotated[bool, Parameter(negative="")] = False,
    report: Path | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Explain one account: every figure and what it is made of.

    Parameters
    ----------
    positions
        As for margin.
    account
        A margin account (a netting set, or an account outside of any), or a member of one; a portfolio of a CRIF.
    scenarios
        Also list the P&L of every scenario.
    report
        Also write a self-contained HTML page to this file.
    json_
        Print JSON instead.
    """
    if methodology == "simm":
        from crossmargin.cli.simm import explain_crif

        others = {"--scenarios": scenarios or None, "--report": report}
        return explain_crif(positions, account, inputs, simm, others, json_=json_)
    simm.refuse()
    from crossmargin.cli import show

    require_places(page=report, beside=(positions, inputs.market, inputs.balances))
    result = _result_of(positions, inputs, methodology, account)
    index = result.index(account)
    if report is not None:
        _write_report(result.evaluation, report, account=result.accounts[index])
    if json_:
        document: dict[str, Any] = {
            "account": result.account_dict(index),
            "explanation": result.explain(account).to_dict(),
            "explanation_maintenance": result.explain(account, "maintenance").to_dict(),
            "stand_ins": [fill.to_dict() for fill in result.figures.fills],
            "notes": list(result.prepared.notes),
            "provenance": result.prepared.provenance,
        }
        if result.figures.standing is not None:
            document["collateral"] = result.collateral_items(account)
        if scenarios:
            found = result.scenarios(account)
            document["scenarios"] = [
                {"unit": unit, "scenario": found.words[u][s], "pnl": repr(float(found.pnl[u][s]))}
                for u, unit in enumerate(found.units)
                for s in range(found.pnl.shape[1])
            ]
        _print_json(document)
    else:
        print(show.explain_text(result, account, scenarios=scenarios))
    stands = result.figures.standing
    return ATTENTION if stands is not None and stands.excess[index] < 0 else ANSWERED


@app.command(name="hedge-failure")
def hedge_failure(
    positions: Path,
    *,
    inputs: Inputs = _DEFAULTS,
    methodology: str = "filtered-es",
    offset_cap: float = 0.8,
    break_weight: float = 0.25,
    vol_rise: float = 0.5,
    gap: float = 0.2,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """What every account would be asked for if its hedges failed: other correlations, stressed days, a jump of vols.

    Parameters
    ----------
    positions
        As for margin.
    methodology
        One that takes a --history.
    offset_cap
        Part of the saving between underlyings that is recognised under `capped`.
    break_weight
        Part of what a worse correlation would ask for that the add-on takes.
    vol_rise
        Relative rise of all volatilities in the spike.
    gap
        Relative move of all prices beside it, taken both ways.
    json_
        Print JSON instead of a table.
    """
    from crossmargin.answers.hedge_failure import hedge_failure as of_evaluation
    from crossmargin.answers.hedge_failure import modelled
    from crossmargin.cli import show_dependence
    from crossmargin.engine.evaluate import evaluate
    from crossmargin.methodologies.model_based.hedge_failure import Assumptions

    limits = {
        "--offset-cap": (offset_cap, 1.0),
        "--break-weight": (break_weight, 10.0),
        "--vol-rise": (vol_rise, 100.0),
        "--gap": (gap, 0.99),
    }
    raise_problems(
        [
            Problem(found=f"{name} {value:g}", needed=f"It is from 0 to {most:g}.")
            for name, (value, most) in limits.items()
            if not 0 <= value <= most
        ]
    )
    loaded = _loaded(positions, inputs, [methodology])
    modelled(loaded.method)
    answer = of_evaluation(
        evaluate(loaded.book, loaded.market, loaded.method, loaded.policy),
        Assumptions(offset_cap=offset_cap, break_weight=break_weight, vol_rise=vol_rise, gap=gap),
    )
    if json_:
        _print_json(answer.to_dict())
    else:
        print(show_dependence.hedge_failure_text(answer))
    return ANSWERED


@app.command
def correlations(
    history: Path,
    *,
    factors: str = "",
    observations: int | None = None,
    window: int = 60,
    decay: float = 0.97,
    confidence: float = 0.95,
    stress: tuple[str, ...] = (),
    rows: int = 20,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """How far the correlation of each pair of risk factors can be trusted: band, range through time, value in stress.

    Parameters
    ----------
    history
        As for --history of margin.
    factors
        Names, separated by commas; all of the history if left out.
    observations
        Latest daily changes that are used; all if left out.
    window
        Dates of a rolling correlation.
    decay
        Lambda of the exponentially weighted correlation of now.
    confidence
        Of the band.
    stress
        NAME=FIRST..LAST, a stressed period, like "March 2020=2020-03-09..2020-03-20"; may be given several times. Those
        of filtered-es if left out.
    rows
        Pairs to print; those whose correlation moved about most.
    json_
        Print JSON: every pair.
    """
    from crossmargin.answers.correlations import correlations as of_history
    from crossmargin.answers.correlations import stress_periods
    from crossmargin.cli import show_dependence
    from crossmargin.files.history import read_history

    _require_count("--rows", rows, least=0)
    _require_count("--observations", observations, least=1)
    report = of_history(
        read_history(history),
        factors=[name.strip() for name in factors.split(",") if name.strip()],
        observations=observations,
        window=window,
        decay=decay,
        confidence=confidence,
        periods=stress_periods(stress),
    )
    if json_:
        _print_json(report.to_dict())
    else:
        print(show_dependence.correlations_text(report, rows))
    return ANSWERED


@app.command
def compare(
    positions: Path,
    *,
    methodologies: str = "isolated,scenario-grid",
    inputs: Inputs = _DEFAULTS,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Margin the same book under several methodologies, side by side; those without a rule for it say why.

    Parameters
    ----------
    positions
        As for margin.
    methodologies
        Names, separated by commas.
    json_
        Print JSON instead of tables.
    """
    from crossmargin.answers.compare import compare as compare_methods
    from crossmargin.answers.result import MarginResult
    from crossmargin.cli import show

    names = list(dict.fromkeys(name.strip() for name in methodologies.split(",") if name.strip()))
    if not names:
        raise InputError(Problem(found="no methodology to compare", needed="--methodologies isolated,scenario-grid"))
    loaded = _loaded(positions, inputs, names)
    comparison = compare_methods(loaded.book, loaded.market, loaded.methods, loaded.policy)
    if json_:
        results = [MarginResult.of(e) for e in comparison.evaluations]
        answer: dict[str, Any] = {"methodologies": {r.prepared.methodology.name: r.to_dict() for r in results}}
        if comparison.refused:
            answer["refused"] = {name: [str(one) for one in reasons] for name, reasons in comparison.refused.items()}
        _print_json(answer)
    else:
        print(show.compare_text(comparison))
    short = any(_anybody_short(e.standing) for e in comparison.evaluations)
    return ATTENTION if short or comparison.refused else ANSWERED


@app.command
def whatif(
    positions: Path,
    *,
    account: str | None = None,
    add: tuple[str, ...] = (),
    remove: tuple[str, ...] = (),
    inputs: Inputs = _DEFAULTS,
    simm: SimmInputs = _NO_SIMM,
    methodology: str | None = None,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """Before, after and difference if an account added positions, or a CRIF had other trades.

    Parameters
    ----------
    positions
        As for margin.
    account
        Who trades; under simm the only portfolio from which trades are removed, all that have them if left out.
    add
        INSTRUMENT:QUANTITY, like "BTC-27MAR26-90000-C:-2"; may be given several times. Under simm a CRIF of rows.
    remove
        Under simm: TradeID of a trade that is removed; may be given several times.
    json_
        Print JSON instead of a table.
    """
    if methodology == "simm":
        from crossmargin.cli.simm import what_if_crif

        return what_if_crif(positions, inputs, simm, add=add, remove=remove, portfolio=account, json_=json_)
    simm.refuse()
    missing = [
        Problem(found=f"no {name}", needed=needed)
        for name, given, needed in (
            ("--account", account, "Say who trades."),
            ("--add", add, "Say what: INSTRUMENT:QUANTITY, like BTC-27MAR26-90000-C:-2."),
        )
        if not given
    ]
    if remove:
        missing.append(
            Problem(found="--remove without --methodology simm", needed="Sell with --add INSTRUMENT:-QUANTITY.")
        )
    raise_problems(missing)
    assert account is not None
    from crossmargin.answers.result import MarginResult
    from crossmargin.answers.what_if import what_if
    from crossmargin.cli import show

    problems: list[Problem] = []
    trades = _trades(add, problems)
    loaded = _loaded(positions, inputs, _named(methodology))
    answer = what_if(loaded.book, loaded.market, loaded.method, account, trades, loaded.policy, problems)
    if json_:
        _print_json(
            {
                "account": answer.account,
                "member": answer.member,
                "cash_paid": repr(answer.cash_paid),
                "add": [{"instrument": name, "quantity": quantity} for name, quantity in answer.trades],
                "components": {
                    name: {"before": repr(before), "after": repr(after), "difference": repr(after - before)}
                    for name, before, after in answer.components()
                },
                "before": MarginResult.of(answer.before).account_dict(0),
                "after": MarginResult.of(answer.after).account_dict(0),
                "provenance": answer.after.provenance,
            }
        )
    else:
        print(show.what_if_text(answer))
    return ATTENTION if _anybody_short(answer.after.standing) else ANSWERED


@app.command
def case(
    positions: Path,
    *,
    account: str,
    inputs: Inputs = _DEFAULTS,
    methodology: str | None = None,
    out: Path | None = None,
) -> int:
    """Cut one account out of a book as a self-contained case document.

    Parameters
    ----------
    positions
        As for margin.
    account
        Which account.
    out
        File to write; standard output if left out.
    """
    from crossmargin.files.case import cut_case, write_case

    require_places(page=out, beside=(positions, inputs.market, inputs.balances))
    result = _result_of(positions, inputs, methodology, account)
    text = write_case(cut_case(result.evaluation, result.index(account)))
    if out is None:
        print(text, end="")
    else:
        write_text(out, text)
        print(f"Case of {account}: {out}")
    return ANSWERED


@app.command
def market(
    market_file: Path,
    *,
    market_format: str | None = None,
    as_of: str | None = None,
    rows: int = 10,
    json_: Annotated[bool, Parameter(name="--json", negative="")] = False,
) -> int:
    """What a market file holds, and every row that cannot be margined with its reason.

    Parameters
    ----------
    market_file
        As for margin.
    market_format, as_of
        As for margin.
    rows
        Left-out rows to print.
    json_
        Print JSON: every row that is left out.
    """
    from crossmargin.basics.times import format_utc
    from crossmargin.cli import show
    from crossmargin.files.market import read_market

    _require_count("--rows", rows, least=0)
    snapshot = read_market(market_file, market_format=market_format, as_of=as_of)
    if json_:
        table = snapshot.instruments
        _print_json(
            {
                "as_of": format_utc(snapshot.as_of),
                "source": snapshot.source,
                "instruments": len(table.names),
                "without_vol": [table.names[k] for k in snapshot.without_vol.tolist()],
                "american": [table.names[k] for k in range(len(table.names)) if table.is_american[k]],
                "excluded": [
                    {"row": row.row, "name": row.name, "reason": row.reason.value, "detail": row.detail}
                    for row in snapshot.excluded
                ],
                "notes": list(snapshot.notes),
            }
        )
    else:
        print(show.market_text(snapshot, rows))
    return ANSWERED


@app.command
def span_generate(
    contracts: Path,
    *,
    out: Path,
    as_of: str,
    extreme_multiple: float = 3.0,
    extreme_cover: float = 0.33,
    look_ahead_days: float = 1.0,
    vol_scan: str = "absolute",
    model: str = "black76",
    complex: str = "OWN",
) -> int:
    """Make SPAN risk arrays from prices and ranges, where a venue ships no file.

    Parameters
    ----------
    contracts
        CSV with product, kind (PHY, FUT, OOP, OOF), expiry, price_scan, price; of options also strike, right, vol,
        vol_scan, underlying_price.
    out
        Parameter file to write (.spn), for --methodology span --parameters FILE.
    as_of
        Date of the prices, like 2026-06-25.
    extreme_multiple
        Price scan ranges in scenarios 15 and 16.
    extreme_cover
        Part of the loss in these two that counts.
    look_ahead_days
        Days that pass until the scenario.
    vol_scan
        absolute: added to the volatility; relative: a fraction of it.
    model
        black76, or bachelier where prices may be negative.
    complex
        Code of the exchange complex to write into the file.
    """
    from datetime import date

    from crossmargin.files.span_contracts import generate_span_file
    from crossmargin.files.span_write import write_spn
    from crossmargin.methodologies.span.generate import Model, array_rules

    require_places(page=out, beside=(contracts,))
    problems = []
    if vol_scan not in ("absolute", "relative"):
        problems.append(Problem(found=f"--vol-scan {vol_scan}", needed="absolute or relative."))
    if model not in tuple(Model):
        problems.append(Problem(found=f"--model {model}", needed=f"{' or '.join(Model)}."))
    try:
        business_date = date.fromisoformat(as_of)
    except ValueError:
        problems.append(Problem(found=f"--as-of {as_of}", needed="A date like 2026-06-25."))
    raise_problems(problems)
    rules = array_rules(
        extreme_multiple=extreme_multiple,
        extreme_cover=extreme_cover,
        look_ahead_days=look_ahead_days,
        vol_relative=vol_scan == "relative",
        model=Model(model),
    )
    file = generate_span_file(contracts, business_date=business_date, rules=rules, complex_code=complex)
    write_spn(file, out)
    print(f"{len(file.contracts):,} contracts of {len(file.commodities):,} combined commodities: {out}")
    return ANSWERED


@app.command
def span_file(
    parameters: Path, *, rows: int = 10, json_: Annotated[bool, Parameter(name="--json", negative="")] = False
) -> int:
    """What an exchange's SPAN parameter file holds, what of it is not used, and what in it looks odd.

    Parameters
    ----------
    parameters
        Risk parameter file: .spn or .pa2, also in gzip or zip.
    rows
        Odd things to print of each kind.
    json_
        Print JSON: everything that looks odd.
    """
    from crossmargin.answers.span_file import file_summary
    from crossmargin.cli import show
    from crossmargin.files.span import read_span

    _require_count("--rows", rows, least=0)
    summary = file_summary(read_span(parameters))
    if json_:
        _print_json(summary.to_dict())
    else:
        print(show.span_file_text(summary, rows))
    return ATTENTION if summary.findings else ANSWERED


@app.command
def methodologies(*, json_: Annotated[bool, Parameter(name="--json", negative="")] = False) -> int:
    """List the methodologies, their parameters and the laws they promise.

    Parameters
    ----------
    json_
        Print JSON instead.
    """
    from crossmargin.cli import show
    from crossmargin.methodologies.registry import ENTRIES
    from crossmargin.methodologies.simm.about import ABOUT, NAME
    from crossmargin.methodologies.simm.parameters import load_parameters

    listed = [_Listed.of(name, entry) for name, entry in ENTRIES.items()]
    listed.append(_Listed(name=NAME, about=ABOUT, shipped=load_parameters().info))
    if json_:
        _print_json(
            [
                {
                    "name": one.name,
                    "version": one.about.version,
                    "status": one.about.status,
                    "title": one.about.title,
                    "traits": {name: getattr(one.about.traits, name) for name in one.about.traits.__dataclass_fields__},
                    "parameters": one.about.parameters if one.shipped is None else one.shipped.name,
                    "parameters_hash": None if one.shipped is None else one.shipped.digest,
                }
                for one in listed
            ]
        )
        return ANSWERED
    print(
        show.methodologies_text(
            [
                {
                    "name": one.name,
                    "version": one.about.version,
                    "status": one.about.status,
                    "title": one.about.title,
                    "parameters": one.about.parameters,
                    "traits": ", ".join(one.about.traits.promised()),
                }
                for one in listed
            ]
        )
    )
    return ANSWERED


@dataclass(frozen=True, kw_only=True)
class _Listed:
    """A methodology as the list has it; `shipped` are the parameters that it has without a file."""

    name: str
    about: About
    shipped: ParametersInfo | None

    @classmethod
    def of(cls, name: str, entry: Entry) -> _Listed:
        from crossmargin.methodologies.protocol import About

        if entry.about is not None:
            return cls(name=name, about=entry.about, shipped=None)
        made = entry.factory(None)
        info = made.info
        return cls(
            name=name,
            about=About(
                version=made.version,
                status=made.status,
                title=made.title,
                parameters=f"{info.name}, version {info.version} of {info.date}",
                traits=made.traits,
            ),
            shipped=info,
        )


@app.command
def snapshot(
    venue: str,
    coins: list[str],
    *,
    out: Path,
    url: str | None = None,
    timeout: float = 20.0,
) -> int:
    """Fetch the option chain of today from a venue's public API, as a market file.

    Parameters
    ----------
    venue
        deribit.
    coins
        BTC, ETH, or both.
    out
        JSON file to write: what --market takes.
    url
        Another address of the API, such as https://test.deribit.com.
    timeout
        Seconds for each answer.
    """
    from crossmargin.files.deribit_api import URL, chain_text, fetch_chain

    if venue != "deribit":
        raise InputError(Problem(found=f"no venue '{venue}'", needed="deribit."))
    require_places(page=out)
    document = fetch_chain(coins, url=url or URL, timeout=timeout)
    write_text(out, chain_text(document))
    coins_found = ", ".join(document["index_price"])
    print(f"{len(document['result']):,} contracts of {coins_found}, as of {document['as_of']}: {out}")
    return ANSWERED


@app.command
def demo(*, report: Path = Path("crossmargin-demo.html"), account: str = "linked_desks") -> int:
    """Margin the sample: recognisable portfolios on a real BTC option chain.

    Parameters
    ----------
    report
        Where the HTML page goes.
    account
        The account to explain.
    """
    from crossmargin.api import margin as margin_of
    from crossmargin.cli import show
    from crossmargin.sample import sample_market, sample_paths

    require_places(page=report)
    paths = sample_paths()
    result = margin_of(paths.positions, sample_market(), balances=paths.balances)
    print(show.margin_text(result))
    print("\n")
    print(show.explain_text(result, account, scenarios=False))
    _write_report(result.evaluation, report, account=None)
    print(f"\nReport: {report.resolve()}")
    return ANSWERED


@dataclass(frozen=True, kw_only=True)
class _Loaded:
    book: Any
    market: Any
    methods: Sequence[Methodology]
    policy: MissingPolicy
    unmargined: tuple[Unmargined, ...] = ()

    @property
    def method(self) -> Methodology:
        """The only one, where one is asked for."""
        return self.methods[0]


def _loaded(positions: Path, inputs: Inputs, names: Sequence[str], on_error: OnError | None = None) -> _Loaded:
    """Book, market, methodologies and policy of a command line: from files, or from a case.

    Without `names` the methodology is that of the case, or scenario-grid. `on_error` is what happens to accounts with
    something wrong in them; refused if left out.
    """
    from crossmargin.files.inputs import market_of, read_inputs
    from crossmargin.files.methodology import read_methodologies
    from crossmargin.files.tables import is_json

    policy = _policy(inputs.missing)

    if is_json(positions) and _is_case(positions):
        from crossmargin.files.case import read_case

        _refuse_beside_case(positions, inputs)
        found = read_case(positions)
        methods = [found.method]
        if names or inputs.parameters is not None or _overrides(inputs):
            document = inputs.parameters or found.method.info.document
            methods = read_methodologies(names or (found.method.name,), document, **_overrides(inputs))
        strict = inputs.missing != "default"
        market = market_of(methods, found.market)
        return _Loaded(book=found.book, market=market, methods=methods, policy=policy if strict else found.policy)
    methods = read_methodologies(names or ("scenario-grid",), inputs.parameters, **_overrides(inputs))
    if inputs.market is None and methods[0].market is None:
        raise InputError(
            Problem(found="no market", needed="Give it with --market FILE (a case, CASE.json, holds its own).")
        )
    from crossmargin.portfolio.quarantine import OnError

    read = read_inputs(
        positions,
        inputs.market,
        inputs.balances,
        methods=methods,
        market_format=inputs.market_format,
        as_of=inputs.as_of,
        policy=policy,
        on_error=on_error or OnError.REFUSE,
    )
    return _Loaded(book=read.book, market=read.market, methods=methods, policy=policy, unmargined=read.unmargined)


def _is_case(path: Path) -> bool:
    from crossmargin.files.case import is_case

    return is_case(path)


def _refuse_beside_case(positions: Path, inputs: Inputs) -> None:
    """A case holds its market and its balances: others beside it would be left unread."""
    from crossmargin.basics.errors import raise_problems

    raise_problems(
        [
            Problem(
                found=f"{option} beside a case, which holds its own",
                needed="Leave it out.",
                file=positions.name,
            )
            for option, value in (
                ("--market", inputs.market),
                ("--balances", inputs.balances),
                ("--market-format", inputs.market_format),
                ("--as-of", inputs.as_of),
            )
            if value is not None
        ]
    )


def _result_of(positions: Path, inputs: Inputs, methodology: str | None, account: str) -> MarginResult:
    """The answer for a book that `account` is in; of a large book nobody else is margined."""
    from crossmargin.answers.result import MarginResult
    from crossmargin.engine.evaluate import prepare
    from crossmargin.engine.figures import BLOCK_ACCOUNTS

    loaded = _loaded(positions, inputs, _named(methodology))
    prepared = prepare(loaded.book, loaded.market, loaded.method, loaded.policy)
    index = loaded.book.margin_account_index(account)
    if len(loaded.book.margin_accounts) > BLOCK_ACCOUNTS:
        prepared = prepared.account(index)
    return MarginResult.of_prepared(prepared)


def _named(methodology: str | None) -> Sequence[str]:
    return () if methodology is None else (methodology,)


def _require_count(option: str, value: int | None, *, least: int) -> None:
    if value is not None and value < least:
        raise InputError(Problem(found=f"{option} {value}", needed=f"{least} or more."))


def _overrides(inputs: Inputs) -> dict[str, Any]:
    given = {
        "history": inputs.history,
        "across_units": inputs.across_units,
        "gain_share": inputs.gain_share,
        "gain_cap": inputs.gain_cap,
        "time_step_days": inputs.time_step_days,
    }
    overrides: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    problems: list[Problem] = []
    for text in inputs.option:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if not (name and equals):
            problems.append(Problem(found=f"--option {text}", needed="Write --option NAME=VALUE."))
        elif name in overrides:
            problems.append(Problem(found=f"--option {text}: '{name}' is given twice", needed="Give it once."))
        else:
            overrides[name] = value.strip()
    raise_problems(problems)
    return overrides


def _policy(name: str) -> MissingPolicy:
    from crossmargin.market.policy import STRICT, MissingPolicy

    if name not in ("default", "strict"):
        raise InputError(Problem(found=f"missing policy '{name}'", needed="default or strict."))
    return STRICT if name == "strict" else MissingPolicy()


def _trades(add: Sequence[str], problems: list[Problem]) -> list[tuple[str, str]]:
    """`INSTRUMENT:QUANTITY` arguments as pairs of text; those of another form go to `problems`."""
    pairs = []
    for text in add:
        name, _, quantity = text.rpartition(":")
        if name:
            pairs.append((name, quantity))
        else:
            needed = "Write INSTRUMENT:QUANTITY, like BTC-27MAR26-90000-C:-2."
            problems.append(Problem(found=f"'{text}'", needed=needed, column="add"))
    return pairs


def _anybody_short(stands: Standing | None) -> bool:
    return stands is not None and stands.anybody_short


def _write_report(
    evaluation: Evaluation, path: Path, *, account: str | None, left_out: Mapping[str, str] | None = None
) -> None:
    from crossmargin.reports.html import limits_of, render_report

    not_margined = [f"{name} is not margined, and in no figure: {why}." for name, why in (left_out or {}).items()]
    write_text(path, render_report(evaluation, account=account, limits=(*not_margined, *limits_of(evaluation))))


def _handling(name: str) -> OnError:
    from crossmargin.portfolio.quarantine import OnError

    if name not in tuple(OnError):
        raise InputError(Problem(found=f"--on-error {name}", needed=f"{' or '.join(OnError)}."))
    return OnError(name)


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False))
