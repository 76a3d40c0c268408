"""A book on two workers: the bits of one process, whatever happens; nothing half-written, nothing dropped."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crossmargin.answers.result import MarginResult
from crossmargin.basics.errors import CrossmarginError, InputError, UnsupportedError
from crossmargin.cli.show import cluster_dict
from crossmargin.cluster.margin import ATTEMPTS, ClusterReport, margin_in_session
from crossmargin.cluster.session import Session, connected
from crossmargin.cluster.shards import layout_of
from crossmargin.files.inputs import read_inputs
from crossmargin.market.policy import MissingPolicy, MissingVol
from crossmargin.market.snapshot import Market
from crossmargin.methodologies.registry import methodology
from crossmargin.portfolio.quarantine import OnError
from tests import books
from tests.cluster import files, traps

pytest.importorskip("ray")
METHOD = methodology("scenario-grid")
SMALL = {"rows_per_range": 700, "rows_per_shard": 400, "fewest_rows": 1}
"""So that a small book has ranges and shards."""
TRAPPED = "x-122"


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with connected("local", 2) as opened:
        yield opened


@pytest.fixture
def positions(tmp_path: Path) -> Path:
    path = tmp_path / "positions.parquet"
    files.rows().write_parquet(path)
    return path


def margined(
    session: Session, positions: Path, method: Any = METHOD, *, market: Market | None = None, **options: Any
) -> tuple[ClusterReport, Any]:
    out = positions.parent / "requirements.parquet"
    market = market or books.market()
    report = margin_in_session(session, layout_of(positions), market, method, out=out, **(SMALL | options))
    left = {path.name for path in out.parent.iterdir()}
    assert left - {"pid", "balances.csv"} == {positions.name, out.name}
    return report, pl.read_parquet(out)


@pytest.mark.parametrize("with_cash", [False, True])
def test_the_answer_has_the_bits_of_one_process(session: Session, positions: Path, with_cash: bool) -> None:
    balances = files.balances(positions.parent) if with_cash else None
    report, table = margined(session, positions, balances=balances)
    expected, result = files.in_process(positions, METHOD, balances)
    assert table.equals(expected)
    assert report.n_accounts == table.height == len(result.accounts)
    assert (report.lost, report.unmargined, report.retried, report.currency) == ((), (), 0, "USD")
    assert report.n_shards == 8
    assert report.deficits == (expected["excess"] < 0).sum() if with_cash else report.deficits == 0
    assert set(report.fills) == set(result.figures.fills)
    for name, figure in report.totals.items():
        assert figure == pytest.approx(expected[name].sum(), rel=1e-12)


def test_sizes_change_nothing(session: Session, positions: Path) -> None:
    _, few = margined(session, positions, rows_per_shard=2000, rows_per_range=10_000)
    done: list[tuple[int, int]] = []
    report, many = margined(session, positions, rows_per_shard=130, progress=lambda k, n: done.append((k, n)))
    assert few.equals(many)
    assert report.n_shards > 20
    assert done == sorted(done)
    assert done[-1] == (report.n_rows, report.n_rows)


def test_a_killed_worker_is_replaced_and_the_answer_is_the_same(session: Session, positions: Path) -> None:
    told = positions.parent / "pid"

    def kill() -> None:
        end = time.monotonic() + 30
        while not told.exists() and time.monotonic() < end:
            time.sleep(0.01)
        os.kill(int(told.read_text()), signal.SIGKILL)

    killer = threading.Thread(target=kill, daemon=True)
    killer.start()
    report, table = margined(session, positions, traps.WaitsOnce(METHOD, TRAPPED, positions.parent))
    killer.join()
    assert (report.lost, report.retried) == ((), 1)
    assert table.equals(files.in_process(positions, METHOD)[0])


@pytest.mark.parametrize(
    ("trap", "reason", "attempts"),
    [
        (traps.Raises, "its task failed: ZeroDivisionError: a shard", 1),
        (traps.RaisesOddly, "its task failed", 1),
        (traps.Dies, f"its worker died {ATTEMPTS} times: ", ATTEMPTS),
    ],
)
def test_a_shard_that_cannot_be_margined_is_reported_and_the_others_are_right(
    session: Session, positions: Path, trap: type[traps.Trap], reason: str, attempts: int
) -> None:
    report, table = margined(session, positions, trap(METHOD, TRAPPED, positions.parent))
    expected, result = files.in_process(positions, METHOD)
    assert table["account"].to_list() == expected["account"].to_list()

    (lost,) = report.lost
    assert TRAPPED in lost.accounts
    assert lost.attempts == attempts
    assert re.match(reason, lost.reason), lost.reason
    assert tuple(one.account for one in report.unmargined) == lost.accounts
    book = result.prepared.book
    for one in report.unmargined:
        assert one.members == book.members(book.margin_account_index(one.account))
        assert one.problems[0].account == one.account
        assert lost.reason in one.problems[0].found
    is_lost = pl.col("account").is_in(list(lost.accounts))
    assert table.filter(~is_lost).equals(expected.filter(~is_lost))
    assert 0 < len(lost.accounts) < table.height / 3
    without = table.filter(is_lost)
    assert without["state"].to_list() == ["unmargined"] * len(lost.accounts)
    assert all(lost.reason in text for text in without["reasons"].to_list())
    figures = without.drop("account", "state", "reasons")
    assert figures.null_count().row(0) == (len(lost.accounts),) * figures.width
    assert report.n_accounts == table.height - len(lost.accounts)
    assert report.totals["requirement_initial"] == pytest.approx(
        expected.filter(~is_lost)["requirement_initial"].sum(), rel=1e-12
    )


def test_a_lost_shard_names_those_too_that_hold_only_cash(session: Session, positions: Path) -> None:
    balances = files.balances(positions.parent, (f"{TRAPPED} b", "USD", "1"))
    trap = traps.Raises(METHOD, TRAPPED, positions.parent)
    report, table = margined(session, positions, trap, balances=balances)
    assert f"{TRAPPED} b" in report.lost[0].accounts
    assert table["account"].to_list() == files.in_process(positions, METHOD, balances)[0]["account"].to_list()


def wrong_rows(positions: Path) -> None:
    """Two quantities that are none, two instruments that the market does not list, one price that is missing."""
    frame = pl.read_parquet(positions)
    quantity, instrument = [repr(value) for value in frame["quantity"].to_list()], frame["instrument"].to_list()
    quantity[11] = quantity[1999] = "many"
    instrument[99] = instrument[1500] = "BTC-27MAR26-101000-C"
    frame.with_columns(quantity=pl.Series(quantity), instrument=pl.Series(instrument)).write_parquet(positions)


def test_in_quarantine_are_the_accounts_that_one_process_puts_there(session: Session, positions: Path) -> None:
    wrong_rows(positions)
    balances = files.balances(positions.parent, (files.name_of(6), "DOGE", "7"), ("mere cash", "USD", "1,5"))
    # Every line has three cells: the wrong amount is of another kind.
    balances.write_text(balances.read_text().replace("1,5", "much"))
    report, table = margined(session, positions, balances=balances, on_error=OnError.QUARANTINE)
    expected, result = files.in_process(positions, METHOD, balances, OnError.QUARANTINE)
    assert table.equals(expected)
    assert report.unmargined == result.unmargined
    assert len(report.unmargined) >= 4
    assert report.lost == ()


def test_what_cannot_be_priced_is_left_out_likewise(session: Session, positions: Path) -> None:
    market = books.market()
    vol = market.vol.copy()
    vol[market.instruments.names.index("BTC-26JUN26-160000-C")] = np.nan
    market, policy = replace(market, vol=vol), MissingPolicy(vol=MissingVol.ERROR)
    out = positions.parent / "requirements.parquet"
    report = margin_in_session(
        session, layout_of(positions), market, METHOD, policy, out=out, on_error=OnError.QUARANTINE, **SMALL
    )
    inputs = read_inputs(positions, market, policy=policy, on_error=OnError.QUARANTINE)
    result = MarginResult.of_book(inputs.book, market, METHOD, policy, on_error=OnError.QUARANTINE)
    assert report.unmargined == result.unmargined
    assert 10 < len(report.unmargined) < report.n_accounts
    with pytest.raises(InputError) as caught:
        margin_in_session(session, layout_of(positions), market, METHOD, policy, out=out, **SMALL)
    with pytest.raises(InputError) as in_process:
        MarginResult.of_book(inputs.book, market, METHOD, policy)
    assert caught.value.problems == in_process.value.problems


def only_btc() -> Any:
    """A method that covers no other underlying than BTC."""
    document = METHOD.info.document
    return methodology("scenario-grid", {**document, "underlyings": {"BTC": document["underlyings"]["BTC"]}})


@pytest.mark.parametrize("with_cash", [False, True])
def test_what_is_wrong_with_an_underlying_is_said_once(session: Session, positions: Path, with_cash: bool) -> None:
    """Each of its instruments has it, in every shard; in one process it is one problem."""
    balances = files.balances(positions.parent, ("an owner", "ETH", "2")) if with_cash else None
    with pytest.raises(UnsupportedError) as caught:
        margined(session, positions, only_btc(), balances=balances)
    with pytest.raises(UnsupportedError) as in_process:
        files.in_process(positions, only_btc(), balances)
    assert caught.value.problems == in_process.value.problems
    assert [p.found[:26] for p in caught.value.problems] == ["no parameters for underlyi"] * 2  # ETH and SPX
    frame = pl.read_parquet(positions)
    one_each = ["BTC-PERPETUAL", "ETH-PERPETUAL", "ETH-27MAR26-3100-C"]
    few = [one_each[k % 40 if k % 40 < 3 else 0] for k in range(frame.height)]
    frame.with_columns(instrument=pl.Series(few)).sort("account").write_parquet(positions)
    report, table = margined(session, positions, only_btc(), balances=balances, on_error=OnError.QUARANTINE)
    expected, result = files.in_process(positions, only_btc(), balances, OnError.QUARANTINE)
    assert report.unmargined == result.unmargined
    assert table.equals(expected)
    assert {len(one.problems) for one in report.unmargined} == {1}
    assert report.n_accounts > 0


@pytest.mark.parametrize("without", ["parameters", "spot", "price"])
def test_a_coin_that_cannot_be_margined_leaves_out_who_has_it(session: Session, positions: Path, without: str) -> None:
    frame = pl.read_parquet(positions)
    frame.with_columns(instrument=pl.lit("BTC-PERPETUAL")).write_parquet(positions)
    balances = files.balances(positions.parent, (files.name_of(7), "ETH", "0.1"), ("mere coin", "ETH", "-2"))
    method, market = METHOD, books.market()
    if without == "parameters":
        method = only_btc()
    elif without == "spot":
        market = market.subset(["BTC-PERPETUAL", "BTC"])
    else:
        market = replace(market, prices={name: price for name, price in market.prices.items() if name != "ETH"})
    report, table = margined(session, positions, method, market=market, balances=balances, on_error=OnError.QUARANTINE)
    expected, result = files.in_process(positions, method, balances, OnError.QUARANTINE, market)
    assert report.unmargined == result.unmargined
    assert table.equals(expected)
    assert {"mere coin"} < {one.account for one in report.unmargined}
    assert len(report.unmargined) == 2
    assert report.lost == ()
    with pytest.raises(CrossmarginError) as caught:
        margined(session, positions, method, market=market, balances=balances)
    with pytest.raises(CrossmarginError) as in_process:
        files.in_process(positions, method, balances, market=market)
    assert caught.value.problems == in_process.value.problems


def test_the_answer_says_what_it_rests_on(session: Session, positions: Path) -> None:
    market = replace(books.market(), notes=("a note",))
    report, _ = margined(session, positions, market=market)
    out = positions.parent / "requirements.parquet"
    _, result = files.in_process(positions, METHOD, market=market, keep=True)
    assert dict(report.provenance) == result.prepared.provenance
    document = cluster_dict(report)
    assert document["provenance"] == result.prepared.provenance
    assert document["notes"] == ["a note"]
    of_cluster, of_process = (
        pl.read_parquet_metadata(path)["crossmargin"] for path in (out, positions.parent / "in process.parquet")
    )
    assert of_cluster == of_process
    assert json.loads(of_cluster) == {"provenance": result.prepared.provenance, "notes": ["a note"]}


def test_wrong_input_is_refused_whole_with_every_row(session: Session, positions: Path) -> None:
    wrong_rows(positions)
    out = positions.parent / "requirements.parquet"
    with pytest.raises(InputError) as caught:
        margin_in_session(session, layout_of(positions), books.market(), METHOD, out=out, **SMALL)
    assert [problem.row for problem in caught.value.problems] == [12, 100, 1501, 2000]
    assert [path.name for path in positions.parent.iterdir()] == [positions.name]
    with pytest.raises(InputError) as in_process:
        files.in_process(positions, METHOD)
    assert caught.value.problems == in_process.value.problems


def test_an_unread_file_is_an_error_of_its_own(session: Session, positions: Path) -> None:
    layout = layout_of(positions)
    positions.unlink()
    with pytest.raises(InputError, match="Every worker reads the file at the same path"):
        margin_in_session(session, layout, books.market(), METHOD, out=positions.parent / "out.parquet", **SMALL)


@pytest.mark.parametrize("there_before", [False, True])
def test_an_interruption_leaves_the_old_file_and_no_other(
    session: Session, positions: Path, there_before: bool
) -> None:
    out = positions.parent / "requirements.parquet"
    if there_before:
        out.write_bytes(b"of yesterday")

    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        margin_in_session(session, layout_of(positions), books.market(), METHOD, out=out, progress=interrupt, **SMALL)
    assert {path.name for path in positions.parent.iterdir()} == {positions.name} | (
        {out.name} if there_before else set()
    )
    assert not there_before or out.read_bytes() == b"of yesterday"


def test_everything_listens_on_the_loopback_interface(session: Session) -> None:
    """Ray's processes are our children, and theirs: none of their sockets can be reached from elsewhere."""
    session.ray.get([session.remote(traps.pid).remote() for _ in range(4)])  # workers are there
    listening = {inode: address for address, inode in listeners()}
    ours = {}
    for pid in descendants(os.getpid()):
        for inode in socket_inodes(pid) & listening.keys():
            ours.setdefault(listening[inode], []).append(pid)
    assert len({pid for pids in ours.values() for pid in pids}) >= 4  # GCS, raylet, driver, a worker at least
    assert set(ours) <= {"127.0.0.1", "::1"}


def listeners() -> Iterator[tuple[str, str]]:
    """Address and inode of every listening TCP socket of the machine."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state != "0A":
                continue
            # Words of four bytes in the order of the machine.
            raw = bytes.fromhex(local.partition(":")[0])
            raw = b"".join(raw[k : k + 4][::-1] for k in range(0, len(raw), 4))
            address = ipaddress.ip_address(raw)
            if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
                address = address.ipv4_mapped
            yield str(address), rest[5]


def descendants(pid: int) -> set[int]:
    """A process, its children, and theirs."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, ahead = {pid}, [pid]
    while ahead:
        inside = children.get(ahead.pop(), [])
        found.update(inside)
        ahead += inside
    return found


def socket_inodes(pid: int) -> set[str]:
    """Inodes of a process's open sockets."""
    inodes = set()
    for handle in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target = os.readlink(handle)
        except FileNotFoundError:
            continue
        if target.startswith("socket:["):
            inodes.add(target[8:-1])
    return inodes
