"""A connection to Ray that is safe by default, and gone afterwards.

`local` starts a Ray of our own that listens on the loopback interface only, asks for a token that nobody else has, has
no dashboard and reports nothing to anybody; its files are in a folder that only we can read, and that is removed. Any
other address is a Ray that somebody runs: its ports and its token are theirs, we join and leave.

What a reader might question: Ray's switches for this are environment variables, so they are set while the session
lasts and put back afterwards. `RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0` is the one that keeps Ray on the loopback
interface of every system. Ray reads it once, so the session looks where Ray ended up, and refuses to go on elsewhere.
"""

from __future__ import annotations

import contextlib
import importlib
import ipaddress
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossmargin.basics.errors import InputError, Problem, UnsupportedError
from crossmargin.basics.threads import thread_count

LOCAL = "local"
"""The address that starts a Ray of our own."""
AUTO = "auto"
"""The address of the Ray that runs on this machine."""
OLDEST_RAY = (2, 52)
"""The first with token authentication."""
_CONNECT_SECONDS = 5.0
_LONGEST_TEMPORARY_PATH = 19
"""Ray puts sockets up to 84 characters below, whose paths may have 107 bytes on Linux and 103 on macOS."""
_WORKER_ENVIRONMENT = {"POLARS_MAX_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
"""A task has one core: more threads than that would only stand in each other's way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A Ray to work with.

    Parameters
    ----------
    ray : module
        The connected `ray`.
    workers : int
        How many tasks may run at once.
    is_local : bool
        Whether it is our own.
    """

    ray: Any
    workers: int
    is_local: bool

    def remote(self, function: Any, **options: Any) -> Any:
        """`function` as a task of one core."""
        return self.ray.remote(function).options(num_cpus=1, **options)


@contextmanager
def connected(address: str, workers: int | None = None) -> Iterator[Session]:
    """A session at `address`, closed when the block ends, however it ends.

    Parameters
    ----------
    address : str
        `local` starts a Ray on this machine; `auto` is the one that runs on it; `host:port` is that of a cluster which
        this machine is a node of.
    workers : int, optional
        Tasks at once; all cores of this machine, or of the cluster, if left out.

    Raises
    ------
    InputError
        If nobody answers at the address, the token is not the right one, or `workers` is not positive.
    UnsupportedError
        If Ray is not installed, or older than `OLDEST_RAY`, or was connected or imported by this process in a way that
        cannot be made safe.
    """
    if workers is not None and workers < 1:
        raise InputError(Problem(found=f"{workers} workers", needed="Give 1 or more."))
    is_local = address == LOCAL
    if not is_local:
        _require_reachable(address)
    with _environment(_local_environment() if is_local else {"RAY_USAGE_STATS_ENABLED": "0"}):
        ray = import_ray()
        # Ray prints what happens to workers to standard output, which belongs to our answer.
        with contextlib.redirect_stdout(sys.stderr):
            if is_local:
                with _started(ray, workers or thread_count()) as session:
                    yield session
            else:
                with _joined(ray, address, workers) as session:
                    yield session


def import_ray() -> Any:
    """The module `ray`.

    Raises
    ------
    UnsupportedError
        If it is not installed, or too old.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        raise UnsupportedError(
            Problem(found="Ray is not installed", needed='Install it: pip install "crossmargin[cluster]".')
        ) from None
    version = tuple(int(part) for part in ray.__version__.split(".")[:2])
    if version < OLDEST_RAY:
        needed = ".".join(map(str, OLDEST_RAY))
        raise UnsupportedError(
            Problem(
                found=f"Ray {ray.__version__} has no token authentication",
                needed=f'Install {needed} or newer: pip install --upgrade "crossmargin[cluster]".',
            )
        )
    if ray.is_initialized():
        raise UnsupportedError(
            Problem(
                found="this process is connected to a Ray already",
                needed="Call `ray.shutdown()` first, or margin on a cluster in a process of its own.",
            )
        )
    return ray


@contextmanager
def _started(ray: Any, workers: int) -> Iterator[Session]:
    """Our own Ray; everything that it leaves on disk is in one folder, which goes."""
    with _temporary_folder() as folder:
        try:
            _read_environment_again()
            try:
                ray.init(
                    address=LOCAL,
                    num_cpus=workers,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"env_vars": _WORKER_ENVIRONMENT},
                    _temp_dir=str(folder),
                )
            except Exception as error:  # Ray raises plain ones too, where its own processes die while it starts
                raise UnsupportedError(
                    Problem(
                        found=f"Ray did not start ({_reason(error)})",
                        needed="Margin on a cluster in a process of its own that has not imported Ray before; see that "
                        f"there is memory, and room in {folder.parent.parent}.",
                    )
                ) from error
            _require_loopback(ray)
            yield Session(ray=ray, workers=workers, is_local=True)
        finally:
            with _uninterrupted():
                ray.shutdown()


@contextmanager
def _joined(ray: Any, address: str, workers: int | None) -> Iterator[Session]:
    """Somebody's Ray."""
    try:
        try:
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="ERROR",
                runtime_env={"env_vars": _WORKER_ENVIRONMENT},
            )
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise InputError(
                Problem(
                    found=f"no Ray to be joined at '{address}' ({_reason(error)})",
                    needed="Check the address, that this machine is a node of the cluster, and RAY_AUTH_MODE and "
                    "the token.",
                )
            ) from None
        cores = int(ray.cluster_resources().get("CPU", 1))
        yield Session(ray=ray, workers=min(workers or cores, max(cores, 1)), is_local=False)
    finally:
        with _uninterrupted():
            ray.shutdown()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """A second Ctrl-C waits until Ray has stopped: in the middle of that it would leave processes and files behind."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is interrupted
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _local_environment() -> dict[str, str | None]:
    """What makes a Ray that we start listen to us alone. `None` is a variable that must not be set."""
    environment: dict[str, str | None] = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ADDRESS": None,
        # Ray would give way to everything else that runs here; who asks for margin asks for it now, as without Ray.
        "RAY_worker_niceness": "0",
    }
    if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token":
        # A token of this session alone, which no file holds. Whoever set the mode to something else meant it.
        environment |= {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_AUTH_TOKEN_PATH": None,
        }
    return environment


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _read_environment_again() -> None:
    """Let Ray look at the variables that it reads once, when it is imported or connected first.

    Ray has no public way. Where this one is gone, a first session in a fresh process does not need it, and another one
    fails: a token that is not known is refused, and `_require_loopback` sees the rest.
    """
    with contextlib.suppress(ImportError, AttributeError):
        raylet = importlib.import_module("ray._raylet")
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
    with contextlib.suppress(ImportError):
        constants: Any = importlib.import_module("ray._private.ray_constants")
        constants.ENABLE_RAY_CLUSTER = False


def _require_loopback(ray: Any) -> None:
    address = str(ray.util.get_node_ip_address())
    if not ipaddress.ip_address(address).is_loopback:
        raise UnsupportedError(
            Problem(
                found=f"the Ray that was started listens at {address}, where others can reach it; it was stopped",
                needed="Ray was imported before: set RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER=0 before that, or margin on a "
                "cluster in a process of its own.",
            )
        )


def _require_reachable(address: str) -> None:
    """Refuse what is no address, or where nobody listens: Ray itself would try for minutes."""
    if address == AUTO:
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not host or not port.isdecimal() or not 0 < int(port) < 65_536:
        raise InputError(
            Problem(
                found=f"'{address}' is no address of a cluster",
                needed=f"Write '{LOCAL}', '{AUTO}' or host:port, as `ray start --head` prints it.",
            )
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except OSError as error:
        raise InputError(
            Problem(
                found=f"nobody listens at '{address}' ({error.strerror or error})",
                needed="Start a cluster with `ray start --head` and give the address that it prints.",
            )
        ) from None


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    try:
        _set(values)
        yield
    finally:
        _set(before)


def _set(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


@contextmanager
def _temporary_folder() -> Iterator[Path]:
    """A folder for Ray's sockets, logs and spilled objects that only this user may enter."""
    parent = tempfile.gettempdir()
    if len(parent) > _LONGEST_TEMPORARY_PATH and Path("/tmp").is_dir():
        parent = "/tmp"
    folder = Path(tempfile.mkdtemp(prefix="cm-ray-", dir=parent))
    try:
        # Ray opens its own folder to everybody; the one around it stays ours.
        yield folder / "r"
    finally:
        shutil.rmtree(folder, ignore_errors=True)
