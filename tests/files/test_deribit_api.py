"""A snapshot against a server on this machine that speaks as Deribit does: whole, wrong, slow and broken answers."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from crossmargin.basics.errors import VenueError
from crossmargin.cli.main import main
from crossmargin.files import https
from crossmargin.files.deribit_api import chain_text, fetch_chain
from crossmargin.files.https import get_json, require_url
from crossmargin.files.market import read_market

STAMP = 1768382520123


def _option(name: str, forward: float, **changes: Any) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "base_currency": name[:3],
        "bid_price": 0.05,
        "ask_price": None,
        "mark_price": 0.055,
        "mark_iv": 50.25,
        "underlying_price": forward,
        "underlying_index": "SYN." + name[: name.index("-", 4)],
        "estimated_delivery_price": forward - 100,
        "creation_timestamp": STAMP,
        "interest_rate": 0.0,
        "open_interest": 2.1,
    } | changes


def answers() -> dict[str, Any]:
    """By coin and kind of question: results as Deribit has them."""
    return {
        "BTC option": [_option("BTC-27MAR26-90000-C", 95_000.25), _option("BTC-27MAR26-90000-P", 95_000.25)],
        "BTC future": [
            {
                "instrument_name": "BTC-PERPETUAL",
                "mark_price": 94_905.13,
                "bid_price": 94_905,
                "ask_price": 94_905.5,
                "estimated_delivery_price": 94_900.11,
                "creation_timestamp": STAMP + 7,
                "funding_8h": 1e-07,
            },
            {"instrument_name": "BTC-27MAR26", "mark_price": 95_010.0, "creation_timestamp": STAMP},
        ],
        "btc_usd": {"index_price": 94_900.12, "estimated_delivery_price": 94_900.12},
        "ETH option": [_option("ETH-27MAR26-3000-C", 3_400.0)],
        "ETH future": [],
        "eth_usd": {"index_price": 3_300},
    }


class Venue(ThreadingHTTPServer):
    """Answers what `reply` makes of the result that was asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.results = answers()
        self.raw: Callable[[BaseHTTPRequestHandler], bool] = lambda handler: False
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Venue)
        server.asked.append(self.path)
        if server.raw(self):
            return
        asked = {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}
        key = asked.get("index_name") or f"{asked['currency']} {asked['kind']}"
        document = {"jsonrpc": "2.0", "result": server.results[key], "usIn": STAMP * 1000, "testnet": False}
        send(self, json.dumps(document).encode())

    def log_message(self, format: str, *args: Any) -> None:
        pass


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, length: int | None = None) -> bool:
    handler.send_response(status)
    handler.send_header("Content-Type", "application/json")
    handler.send_header("Content-Length", str(len(body) if length is None else length))
    handler.end_headers()
    handler.wfile.write(body)
    return True


@pytest.fixture
def venue(monkeypatch: pytest.MonkeyPatch) -> Iterator[Venue]:
    """A server on loopback, reached without a proxy."""
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "*")
    server = Venue()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _snapshot(venue: Venue, out: Path, *arguments: str) -> int:
    with pytest.raises(SystemExit) as exited:
        main(["snapshot", "deribit", *arguments, "--out", str(out), "--url", venue.url])
    assert isinstance(exited.value.code, int)
    return exited.value.code


def test_a_snapshot_is_a_market_file(venue: Venue, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "chain.json"
    assert _snapshot(venue, out, "BTC") == 0
    assert capsys.readouterr().out == f"4 contracts of BTC, as of 2026-01-14T09:22:00.130000Z: {out}\n"
    assert venue.asked == [
        "/api/v2/public/get_book_summary_by_currency?currency=BTC&kind=option",
        "/api/v2/public/get_book_summary_by_currency?currency=BTC&kind=future",
        "/api/v2/public/get_index_price?index_name=btc_usd",
    ]
    market = read_market(out)
    assert market.index == {"BTC": 94_900.12}  # the index that was asked for, not the estimate of some row
    row = {name: k for k, name in enumerate(market.instruments.names)}
    assert market.vol[row["BTC-27MAR26-90000-C"]] == 0.5025  # percent there, a decimal here
    assert market.mark[row["BTC-PERPETUAL"]] == 94_905.13
    assert f"{market.as_of:%H:%M:%S.%f}" == "09:22:00.130000"
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["result"] == [*venue.results["BTC option"], *venue.results["BTC future"]]
    assert [path.name for path in tmp_path.iterdir()] == ["chain.json"]


def test_two_coins_are_one_market(venue: Venue, tmp_path: Path) -> None:
    out = tmp_path / "chain.json"
    assert _snapshot(venue, out, "btc", "ETH") == 0
    assert read_market(out).index == {"BTC": 94_900.12, "ETH": 3_300.0}


def _wrong_coin(venue: Venue) -> None:
    venue.results["BTC option"] = venue.results["ETH option"]


def _status(status: int, body: bytes = b"") -> Callable[[Venue], None]:
    return lambda venue: setattr(venue, "raw", lambda handler: send(handler, body, status))


def _body(body: bytes, length: int | None = None) -> Callable[[Venue], None]:
    return lambda venue: setattr(venue, "raw", lambda handler: send(handler, body, 200, length))


def _change(key: str, value: Any) -> Callable[[Venue], None]:
    return lambda venue: venue.results.__setitem__(key, value)


def _redirect(venue: Venue) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(302)
        handler.send_header("Location", "file:///etc/passwd")
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return True

    venue.raw = answer


def _hang_up(venue: Venue) -> None:
    def answer(handler: BaseHTTPRequestHandler) -> bool:
        handler.wfile.write(b"nonsense")
        return True

    venue.raw = answer


FAULTS: dict[str, tuple[Callable[[Venue], None], str]] = {
    "error reply": (
        _body(b'{"jsonrpc":"2.0","error":{"message":"too_many_requests","code":10028}}'),
        "is an error reply of the venue (10028, too_many_requests)",
    ),
    "error status": (
        _status(400, b'{"error":{"message":"Invalid params","code":-32602}}'),
        "answered with status 400 (-32602: Invalid params)",
    ),
    "status 500": (_status(500, b"<html>"), "answered with status 500. Ask again later"),
    "truncated": (_body(b'{"result":[', 500), "broke off after 11 of 500 bytes"),
    "cut JSON": (_body(b'{"result":[{"instrument_name":"BTC'), "answered with what is no JSON (Unterminated string"),
    "NaN": (_body(b'{"result":[{"mark_price":NaN}]}'), "NaN is no number here"),
    "infinity": (_body(b'{"result":[{"mark_price":-Infinity}]}'), "-Infinity is no number here"),
    "nested": (_body(b"[" * 5000), "is nested more than 64 deep"),
    "binary": (_body(b"\x1f\x8b\x08\x00\xff"), "no UTF-8 text"),
    "announced too large": (_body(b"{}", 10**12), "announces 1,000,000,000,000 bytes"),
    "no answer of ours": (_body(b"[1, 2]"), "is no book summary"),
    "wrong coin": (_wrong_coin, "answered with 1 entries that are not of BTC, such as ETH-27MAR26-3000-C"),
    "no index": (_change("btc_usd", {"index_price": 0}), "answered without an index price above 0"),
    "no rows": (
        lambda venue: venue.results.update({"BTC option": [], "BTC future": []}),
        "is no book summary: its 'result' is no list of objects",
    ),
    "not a price": (
        _change("BTC option", [_option("BTC-27MAR26-90000-C", 95_000.0, mark_price="x")]),
        "answered with no market: answer, row 1, column 'mark_price': 'x' is not a number",
    ),
    "not a time": (
        _change("BTC option", [_option("BTC-27MAR26-90000-C", 95_000.0, creation_timestamp=10**30)]),
        "creation_timestamp 1e+30 is no time in milliseconds",
    ),
    "redirect": (_redirect, "redirects to file:///etc/passwd. Name that address with --url"),
    "no HTTP": (_hang_up, "cannot be fetched (BadStatusLine: nonsense"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_wrong_answer_is_one_error_and_writes_nothing(
    name: str, venue: Venue, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, message = FAULTS[name]
    spoil(venue)
    out = tmp_path / "chain.json"
    out.write_text("what was there", encoding="utf-8")
    assert _snapshot(venue, out, "BTC") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err
    assert "1 problem, nothing" in printed.err
    assert out.read_text(encoding="utf-8") == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == ["chain.json"]


def test_too_much_is_cut_off(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(https, "MOST_BYTES", 100_000)

    def flood(handler: BaseHTTPRequestHandler) -> bool:
        handler.send_response(200)
        handler.end_headers()  # no length: until the connection closes
        try:
            while True:
                handler.wfile.write(b" " * 65_536)
        except OSError:
            return True

    venue.raw = flood
    with pytest.raises(VenueError, match="sends more than 100,000 bytes"):
        get_json(venue.url, timeout=5)


@pytest.mark.parametrize("trickles", [False, True])
def test_a_server_that_does_not_come_to_an_end_is_left(venue: Venue, trickles: bool) -> None:
    def slow(handler: BaseHTTPRequestHandler) -> bool:
        if trickles:
            handler.send_response(200)
            handler.end_headers()
        try:
            for _ in range(200):
                if trickles:
                    handler.wfile.write(b" ")
                    handler.wfile.flush()
                time.sleep(0.02)
        except OSError:
            pass
        return True

    venue.raw = slow
    started = time.monotonic()
    with pytest.raises(VenueError, match=r"did not answer within 0\.3 seconds"):
        get_json(venue.url, timeout=0.3)
    assert time.monotonic() - started < 3


def test_nobody_there(venue: Venue) -> None:
    url = venue.url
    venue.shutdown()
    venue.server_close()
    with pytest.raises(VenueError, match=r"cannot be fetched .ConnectionRefusedError"):
        fetch_chain(["BTC"], url=url)


@pytest.mark.parametrize(
    "url",
    [
        "http://www.deribit.com",
        "http://127.0.0.1.example.com",
        "file:///etc/passwd",
        "ftp://www.deribit.com",
        "www.deribit.com",
        "https://",
        "https://user:secret@www.deribit.com",
        "https://www.deribit.com/?a=b",
        "https://www.deribit.com/#x",
        "https://www.deribit.com:99999",
        "https://[::1",
        "https://www.deribit.com/a b",
        "https://www.deribit.com/\r\nHost: x",
    ],
)
def test_addresses_that_are_not_fetched_from(url: str) -> None:
    with pytest.raises(VenueError):
        require_url(url)


def test_addresses_that_are() -> None:
    assert require_url("https://test.deribit.com/") == "https://test.deribit.com"
    assert require_url("http://[::1]:80") == "http://[::1]:80"
    assert require_url("http://localhost:8080") == "http://localhost:8080"


def test_what_is_asked_wrongly_is_said_at_once() -> None:
    with pytest.raises(VenueError, match=r"'B&X=1' is no coin[\s\S]*a timeout of 0 seconds"):
        fetch_chain(["b&x=1"], timeout=0)
    with pytest.raises(VenueError, match="no coin"):
        fetch_chain([])


def test_numbers_are_written_as_they_came(venue: Venue) -> None:
    text = chain_text(fetch_chain(["BTC"], url=venue.url))
    assert '"funding_8h": 1E-7' in text
    assert '"ask_price": 94905.5' in text
    assert json.loads(text)["result"][2]["funding_8h"] == 1e-07
