"""JSON over HTTPS from a venue's public API: one GET, a deadline, a size limit, and one error for all that can fail.

The standard library is enough. What one might question: no redirect is followed. A venue's API answers where it is
asked; an address that moved is the caller's to name, and nobody is led from HTTPS to another scheme. Plain HTTP is for
loopback alone, where a test or a proxy of one's own listens.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit

from crossmargin._version import __version__
from crossmargin.basics.errors import CrossmarginError, Problem, VenueError
from crossmargin.files.cells import shown
from crossmargin.files.json_text import parse_json

MOST_BYTES = 32 * 1024**2
_CHUNK = 65_536
_SHOWN_ERROR = 2048


def require_url(url: str) -> str:
    """The base of an API as it is used: HTTPS, or HTTP to this machine; without user, query or fragment.

    Raises
    ------
    VenueError
        Saying what is wrong with it.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise VenueError(_problem(url, f"is no address ({error})", "Write it like https://www.deribit.com.")) from None
    is_known = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(host))
    if not is_known or not host or port == 0 or not url.isascii() or not url.isprintable() or " " in url:
        needed = "Write it like https://www.deribit.com; http is for this machine alone."
        raise VenueError(_problem(url, "is no address that is fetched from", needed))
    if parts.username is not None or parts.query or parts.fragment:
        raise VenueError(_problem(url, "has a user, a query or a fragment", "Give scheme, host and path alone."))
    return url.rstrip("/")


def get_json(url: str, *, timeout: float) -> Any:
    """The JSON document at `url`, its numbers as they are written.

    Parameters
    ----------
    url : str
        Whose base `require_url` found right.
    timeout : float
        Seconds for the whole answer.

    Raises
    ------
    VenueError
        If nobody answers in time, or with an error status, a redirect, too much, less than was announced, or no JSON.
    """
    opener = urllib.request.OpenerDirector()  # with what is listed here alone: no file, no FTP, no redirect
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    request = urllib.request.Request(
        url,
        headers={
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"crossmargin/{__version__}",
        },
    )
    deadline = time.monotonic() + timeout
    try:
        with opener.open(request, timeout=timeout) as response:
            raw = _body(response, url, deadline, timeout)
    except urllib.error.HTTPError as error:
        with error:
            if 300 <= error.code < 400:
                where = shown(str(error.headers.get("Location", "elsewhere")), 200)
                raise VenueError(_problem(url, f"redirects to {where}", "Name that address with --url.")) from None
            raise VenueError(
                _problem(url, f"answered with status {error.code}{_said(error)}", "Ask again later.")
            ) from None
    except TimeoutError:
        raise VenueError(_late(url, timeout)) from None
    except (OSError, http.client.HTTPException) as error:  # a URLError is an OSError
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, TimeoutError):
            raise VenueError(_late(url, timeout)) from None
        found = f"cannot be fetched ({type(reason).__name__}: {shown(str(reason), 200)})"
        raise VenueError(_problem(url, found, "Check the network and the address.")) from None
    try:
        return parse_json(raw.decode("utf-8"), "answer", exact=True)
    except UnicodeDecodeError:
        found = "answered with something that is no UTF-8 text"
        raise VenueError(_problem(url, found, "Check the address.")) from None
    except CrossmarginError as error:
        raise VenueError(
            _problem(url, f"answered with what {error.problems[0].found}", "Check the address, and ask again.")
        ) from None


def _body(response: Any, url: str, deadline: float, timeout: float) -> bytes:
    """The whole body; a server that trickles is cut off at the deadline."""
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced[:20]) > MOST_BYTES:
        raise VenueError(_problem(url, f"announces {int(announced[:20]):,} bytes", f"At most {MOST_BYTES:,} are read."))
    body = io.BytesIO()
    while chunk := response.read1(_CHUNK):
        body.write(chunk)
        if body.tell() > MOST_BYTES:
            raise VenueError(_problem(url, f"sends more than {MOST_BYTES:,} bytes", "Check the address."))
        if time.monotonic() > deadline:
            raise VenueError(_late(url, timeout))
    if announced.isdecimal() and body.tell() < int(announced[:20]):
        found = f"broke off after {body.tell():,} of {int(announced[:20]):,} bytes"
        raise VenueError(_problem(url, found, "Ask again."))
    return body.getvalue()


def _said(error: urllib.error.HTTPError) -> str:
    """What an error status came with, where a venue says it as JSON-RPC does."""
    try:
        document = parse_json(error.read(_SHOWN_ERROR).decode("utf-8"), "answer")
        fault = document["error"]
        return f" ({shown(str(fault.get('code', '')))}: {shown(str(fault.get('message', '')))})"
    except (CrossmarginError, ValueError, OSError, http.client.HTTPException, LookupError, TypeError, AttributeError):
        return ""


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _late(url: str, timeout: float) -> Problem:
    return _problem(url, f"did not answer within {timeout:g} seconds", "Ask again, or give it longer with --timeout.")


def _problem(url: str, found: str, needed: str) -> Problem:
    return Problem(found=f"{shown(url, 300)} {found}", needed=needed, kind=VenueError)
