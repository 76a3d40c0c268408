"""Small parameter files of both forms, to be mutated."""

from __future__ import annotations

from functools import cache

from benchmarks.span_files import spn
from tests.files import pa2_writer


@cache
def subjects() -> dict[str, bytes]:
    """By name."""
    return {"small.spn": spn(small=True), "small.pa2": pa2_writer.written(pa2_writer.small())}
