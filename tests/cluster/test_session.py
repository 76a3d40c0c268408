"""Joining and starting Ray: never by itself, safe by default, and nothing of it stays."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from crossmargin.basics.errors import InputError, UnsupportedError
from crossmargin.cluster import session
from crossmargin.cluster.session import connected, import_ray
from tests.cluster import files
from tests.cluster.test_margin import descendants

ROOT = Path(__file__).parents[2]


def test_ray_is_not_imported_by_anything_that_does_not_need_it() -> None:
    code = "import sys, crossmargin, crossmargin.cluster.margin, crossmargin.cli.main; sys.exit('ray' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_ray_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        UnsupportedError, match=r'Ray is not installed\. Install it: pip install "crossmargin\[cluster\]"'
    ):
        import_ray()


def test_a_ray_without_tokens_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    class OldRay:
        __version__ = "2.51.2"

    monkeypatch.setitem(sys.modules, "ray", OldRay)  # type: ignore[arg-type]
    with pytest.raises(UnsupportedError, match=r"Ray 2\.51\.2 has no token authentication\. Install 2\.52 or newer"):
        import_ray()


@pytest.mark.parametrize("address", ["", "here", "ray://127.0.0.1:10001", "127.0.0.1", "host:port", "host:0", ":6379"])
def test_what_is_no_address_is_refused_at_once(address: str) -> None:
    with pytest.raises(InputError, match="is no address of a cluster"), connected(address):
        pass


def test_an_address_where_nobody_listens_is_refused_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(InputError, match=f"nobody listens at '127.0.0.1:{port}'"), connected(f"127.0.0.1:{port}"):
        pass


def test_no_workers_are_refused() -> None:
    with pytest.raises(InputError, match="0 workers"), connected("local", 0):
        pass


def test_variables_are_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "elsewhere:1")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/of/others")
    before = dict(os.environ)
    inside = session._local_environment()
    with session._environment(inside):
        assert "RAY_ADDRESS" not in os.environ
        assert "RAY_AUTH_TOKEN_PATH" not in os.environ
        assert os.environ["RAY_AUTH_MODE"] == "token"
        assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert dict(os.environ) == before
    assert session._local_environment()["RAY_AUTH_TOKEN"] != inside["RAY_AUTH_TOKEN"]
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert not {"RAY_AUTH_MODE", "RAY_AUTH_TOKEN"} & session._local_environment().keys()


SCRIPT = """
import faulthandler, signal, sys
from pathlib import Path
faulthandler.register(signal.SIGUSR1)
from crossmargin.cluster.margin import margin_on_cluster
from crossmargin.methodologies.registry import methodology
from tests import books
from tests.cluster import traps
folder = Path(sys.argv[1])
trap = traps.WaitsOnce(methodology("scenario-grid"), "x-122", folder)
margin_on_cluster(folder / "positions.parquet", books.market(), trap, out=folder / "out.parquet", workers=1)
"""


def test_ctrl_c_stops_everything_and_leaves_nothing(tmp_path: Path) -> None:
    """To the whole group of processes, as a terminal sends it."""
    files.rows().write_parquet(tmp_path / "positions.parquet")
    temporary = Path(tempfile.mkdtemp(prefix="cm-", dir="/tmp"))  # the paths of sockets are short
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=ROOT,
        env=dict(os.environ) | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        wait_until(lambda: (tmp_path / "pid").exists() or process.poll() is not None, 40)
        assert process.poll() is None, process.communicate()[1]
        started = descendants(process.pid)
        assert int((tmp_path / "pid").read_text()) in started
        (folder,) = temporary.iterdir()
        assert folder.stat().st_mode & 0o777 == 0o700
        assert list(folder.rglob("sockets/*"))
        os.killpg(process.pid, signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            state = f"exit code {process.poll()}, still there {descendants(process.pid)} of {started}"
            process.send_signal(signal.SIGUSR1)  # where it hangs goes to its standard error
            time.sleep(1.0)
            process.kill()
            pytest.fail(f"it did not stop: {state}\n{process.communicate(timeout=10)[1]}")
    finally:
        process.kill()
    assert "KeyboardInterrupt" in err
    assert out == ""
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 10)
    assert {path.name for path in tmp_path.iterdir()} == {"positions.parquet", "pid"}
    temporary.rmdir()  # it is empty


def wait_until(what: object, seconds: float) -> None:
    assert callable(what)
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
