"""SPAN risk parameter files, whichever form they come in: XML (`.spn`) or positional (`.pa2`), also in gzip or zip.

The form is recognised by content, not by name. A file that was parsed once is kept parsed in the user's cache folder
(`span_cache`), never beside the file. Limits hold before anything is unfolded.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile
import zlib
from pathlib import Path

from crossmargin.basics.errors import FileFormatError, Problem
from crossmargin.files import span_cache
from crossmargin.methodologies.span.parameters import SpanFile

MOST_BYTES = 1 << 30
"""Of a parameter file, unfolded: the largest known are a fifth of it."""
_GZIP, _ZIP = b"\x1f\x8b", b"PK\x03\x04"
_XML_STARTS = (b"<", b"\xef\xbb\xbf<")


def read_span(path: Path, *, cache: bool = True) -> SpanFile:
    """Read a risk parameter file.

    Parameters
    ----------
    path : Path
        The file; gzip and zip are unfolded. A zip holds one parameter file.
    cache : bool
        Whether to take it parsed from the user's cache, and to keep it there.

    Raises
    ------
    FileFormatError, ParameterError, UnsupportedError
        With everything that is wrong, with line or element.
    """
    raw = _bytes_of(path)
    # By what is on disk, so that a known archive need not be unfolded.
    digest = f"sha256:{hashlib.sha256(raw).hexdigest()}"
    if cache and (known := span_cache.load(digest, path.name)) is not None:
        return known
    file = parse_span(_unfolded(raw, path.name), path.name, digest)
    if cache:
        span_cache.keep(file)
    return file


def parse_span(data: bytes, source: str, digest: str) -> SpanFile:
    """Parse an unfolded file in the form that its content shows; errors as `read_span`."""
    start = data[:512].lstrip()
    if start.startswith(_XML_STARTS) or start.replace(b"\x00", b"").lstrip(b"\xff\xfe").startswith(b"<"):
        from crossmargin.files.span_xml import parse_spn

        return parse_spn(data, source, digest)
    from crossmargin.files.span_pa2 import parse_pa2

    return parse_pa2(data, source, digest)


def _refusal(path: str, found: str, needed: str) -> FileFormatError:
    return FileFormatError(Problem(found=found, needed=needed, file=path, kind=FileFormatError))


def _bytes_of(path: Path) -> bytes:
    try:
        if path.is_file() and path.stat().st_size > MOST_BYTES:
            raise _refusal(path.name, f"has more than {MOST_BYTES:,} bytes", "No parameter file is so large.")
        raw = path.read_bytes()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(str(path), f"cannot be read ({reason})", "Name a .spn or .pa2 file.") from None
    if not raw:
        raise _refusal(path.name, "is empty", "Name a .spn or .pa2 file.")
    return raw


def _unfolded(raw: bytes, source: str) -> bytes:
    """What an archive holds, or the bytes themselves."""
    if raw.startswith(_GZIP):
        try:
            with gzip.GzipFile(fileobj=io.BytesIO(raw)) as stream:
                return _limited(stream.read(MOST_BYTES + 1), source)
        except (OSError, EOFError, zlib.error) as error:
            raise _refusal(source, f"is gzip that cannot be unfolded ({error})", "Fetch it again.") from None
    if raw.startswith(_ZIP):
        return _unzipped(raw, source)
    return raw


def _unzipped(raw: bytes, source: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            members = [one for one in archive.infolist() if not one.is_dir()]
            named = [one for one in members if one.filename.lower().endswith((".spn", ".pa2", ".xml"))]
            chosen = named or members
            if len(chosen) != 1:
                names = ", ".join(one.filename[:80] for one in chosen[:5]) or "nothing"
                raise _refusal(source, f"is a zip with {names}", "Give one with one parameter file in it.")
            with archive.open(chosen[0]) as stream:
                return _limited(stream.read(MOST_BYTES + 1), source)
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, RuntimeError, NotImplementedError) as error:
        raise _refusal(source, f"is a zip that cannot be unfolded ({error})", "Fetch it again.") from None


def _limited(data: bytes, source: str) -> bytes:
    if len(data) > MOST_BYTES:
        raise _refusal(source, f"unfolds to more than {MOST_BYTES:,} bytes", "No parameter file is so large.")
    if not data:
        raise _refusal(source, "unfolds to nothing", "Fetch it again.")
    return data
