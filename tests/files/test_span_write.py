"""Parameter files written and read again, cached and loaded again: the same file, field by field and bit by bit."""

from __future__ import annotations

import gzip
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossmargin.basics.errors import CrossmarginError, FileFormatError
from crossmargin.files import span_cache
from crossmargin.files.span import parse_span, read_span
from crossmargin.files.span_write import write_spn
from crossmargin.methodologies.span.parameters import Across, SpanFile
from crossmargin.sample import span_sample_paths
from tests.span_files import rich_file


def same(one: SpanFile, other: SpanFile, *, but: tuple[str, ...] = ()) -> None:
    for field in fields(SpanFile):
        if field.name in ("contracts", *but):
            continue
        assert getattr(one, field.name) == getattr(other, field.name), field.name
    for column in fields(type(one.contracts)):
        left, right = getattr(one.contracts, column.name), getattr(other.contracts, column.name)
        assert left.dtype == right.dtype, column.name
        assert left.tobytes() == right.tobytes(), column.name


def writable() -> SpanFile:
    """The rich file without what XML has no words for."""
    whole = rich_file()
    return replace(
        whole,
        inter_spreads=tuple(one for one in whole.inter_spreads if one.across is Across.COMMODITY),
        commodities=tuple(replace(one, scan_each_month=False) for one in whole.commodities),
    )


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    written = writable()
    write_spn(written, tmp_path / "made.spn")
    read = read_span(tmp_path / "made.spn", cache=False)
    # Between files only: how it is called, and the legs of a scanning spread, whose target is one of them here.
    same(written, read, but=("digest", "form", "super_spreads", "products"))
    assert [one.key for one in read.products] == [one.key for one in written.products]
    assert [one.rate for one in read.super_spreads] == [one.rate for one in written.super_spreads]


def test_gzip_and_zip_are_unfolded(tmp_path: Path) -> None:
    raw = span_sample_paths().parameters.read_bytes()
    (tmp_path / "a.spn.gz").write_bytes(gzip.compress(raw))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme.txt", "for people")
        archive.writestr("inside/a.spn", raw)
    plain = read_span(span_sample_paths().parameters, cache=False)
    for name in ("a.spn.gz", "a.zip"):
        same(plain, read_span(tmp_path / name, cache=False), but=("digest", "source"))


def _zip_of(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, "<spanFile/>")


def test_what_is_no_parameter_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "broken.gz").write_bytes(gzip.compress(b"<spanFile/>" * 99)[:-9])
    (tmp_path / "broken.zip").write_bytes(b"PK\x03\x04nothing")
    (tmp_path / "nothing.gz").write_bytes(gzip.compress(b""))
    (tmp_path / "text").write_text("account,instrument\n")
    _zip_of(tmp_path / "two.zip", "a.spn", "b.spn")
    for name, why in {
        "absent": "cannot be read",
        ".": "cannot be read",
        "empty": "is empty",
        "broken.gz": "cannot be unfolded",
        "broken.zip": "cannot be unfolded",
        "nothing.gz": "unfolds to nothing",
        "two.zip": "a.spn, b.spn",
        "text": "record",
    }.items():
        with pytest.raises(FileFormatError, match=why):
            read_span(tmp_path / name, cache=False)
    monkeypatch.setattr("crossmargin.files.span.MOST_BYTES", 1_000)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(b"0" * 100_000))
    with pytest.raises(FileFormatError, match="more than 1,000 bytes"):
        read_span(tmp_path / "bomb.gz", cache=False)


BOMBS = {
    "billion laughs": '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]><spanFile>&b;</spanFile>',
    "external entity": '<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]><spanFile>&x;</spanFile>',
    "external DTD": '<!DOCTYPE s SYSTEM "http://example.invalid/x.dtd"><spanFile/>',
    "undeclared entity": "<spanFile><pointInTime>&x;</pointInTime></spanFile>",
    "another root": "<html/>",
    "UTF-32": '<?xml version="1.0" encoding="UTF-32"?><spanFile/>',
    "NUL": "<spanFile>\0</spanFile>",
    "no end": "<spanFile><pointInTime>",
}


@pytest.mark.parametrize("text", BOMBS.values(), ids=BOMBS)
def test_xml_that_could_do_harm_is_refused(text: str) -> None:
    with pytest.raises(CrossmarginError):
        parse_span(text.encode(), "bomb.spn", "sha256:0")


def test_a_file_cut_anywhere_is_refused_with_its_line() -> None:
    raw = span_sample_paths().parameters.read_bytes()
    for part in range(1, 40):
        with pytest.raises(CrossmarginError):
            parse_span(raw[: len(raw) * part // 40], "cut.spn", "sha256:0")
    with pytest.raises(FileFormatError, match=r"cut\.spn, row \d+: is no well-formed XML"):
        parse_span(raw[: len(raw) // 2], "cut.spn", "sha256:0")


REPLACED = {
    "text for a price": (b"<p>5020</p>", b"<p>5O20</p>", "is '5O20'"),
    "no number": (b"<p>5020</p>", b"<p>NaN</p>", "is 'NaN'"),
    "too large": (b"<p>5020</p>", b"<p>1e999</p>", "is '1e999'"),
    "an array of 15": (b"<a>0</a><a>0</a>", b"<a>0</a>", "has 15 values"),
    "an exponent out of range": (b"<riskExponent>0<", b"<riskExponent>99<", "From -9 to 9"),
    "an unknown method": (b"<wfprMeth>NORMAL<", b"<wfprMeth>ODD<", "is 'ODD'"),
    "an unknown charge": (b"<chargeMeth>F<", b"<chargeMeth>Z<", "is 'Z'"),
    "a leg elsewhere": (b"<tLeg><cc>TEC</cc><tn>0<", b"<tLeg><cc>XYZ</cc><tn>0<", "has a leg in 'XYZ'"),
    "a tier that is not there": (b"<tn>1</tn><rs>A<", b"<tn>7</tn><rs>A<", "is in tier 7"),
    "no date": (b"<date>20260625<", b"<date>20261325<", "is no date"),
    "a period that is none": (b"<pe>20260717<", b"<pe>20261917<", "A period like"),
    "a commodity twice": (b"<cc>TEC</cc><name>", b"<cc>LRG</cc><name>", "defined twice"),
}


@pytest.mark.parametrize(("old", "new", "why"), REPLACED.values(), ids=REPLACED)
def test_what_is_wrong_is_said_with_what_was_found(old: bytes, new: bytes, why: str) -> None:
    raw = span_sample_paths().parameters.read_bytes()
    assert old in raw
    with pytest.raises(CrossmarginError) as error:
        parse_span(raw.replace(old, new, 1), "odd.spn", "sha256:0")
    assert why in str(error.value)
    assert "odd.spn" in str(error.value)


def test_everything_that_is_wrong_is_said_at_once() -> None:
    raw = span_sample_paths().parameters.read_bytes()
    with pytest.raises(CrossmarginError) as error:
        parse_span(raw.replace(b"<p>", b"<p>x"), "odd.spn", "sha256:0")
    assert len(error.value.problems) > 20


# The cache.


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(span_cache.FOLDER, str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_what_is_kept_is_what_was_parsed(cached: Path) -> None:
    whole = replace(rich_file(), digest="sha256:" + "a" * 64)
    span_cache.keep(whole)
    loaded = span_cache.load(whole.digest, whole.source)
    assert loaded is not None
    same(whole, loaded)
    assert not loaded.contracts.loss.flags.writeable


def test_the_second_reading_is_from_the_cache(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = span_sample_paths().parameters
    first = read_span(path)
    monkeypatch.setattr("crossmargin.files.span.parse_span", None)
    same(first, read_span(path))


@pytest.mark.parametrize("damage", ["cut", "flipped", "other", "empty", "pickle"])
def test_a_damaged_cache_is_parsed_anew(cached: Path, damage: str) -> None:
    path = span_sample_paths().parameters
    first = read_span(path)
    kept = next(cached.glob("*.npz"))
    raw = kept.read_bytes()
    match damage:
        case "cut":
            kept.write_bytes(raw[: len(raw) // 2])
        case "flipped":
            kept.write_bytes(raw.replace(b'"form"', b'"farm"'))
        case "other":
            np.savez(kept, document=np.zeros(3))
        case "empty":
            kept.write_bytes(b"")
        case _:
            content: dict[str, Any] = {"document": np.array([{"a": 1}], dtype=object)}
            np.savez(kept, **content)
    same(first, read_span(path))
    assert len(next(cached.glob("*.npz")).read_bytes()) == len(raw)


def test_the_oldest_are_put_out_and_an_unwritable_folder_does_no_harm(
    cached: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for k in range(span_cache.MOST_FILES + 3):
        span_cache.keep(replace(rich_file(), digest=f"sha256:{k:064d}"))
    assert len(list(cached.glob("*.npz"))) == span_cache.MOST_FILES
    (tmp_path / "a file").write_text("")
    monkeypatch.setenv(span_cache.FOLDER, str(tmp_path / "a file" / "below"))
    same(read_span(span_sample_paths().parameters), read_span(span_sample_paths().parameters))
    monkeypatch.setenv(span_cache.FOLDER, "off")
    assert span_cache.cache_folder() is None
