"""Mutated parameter files: nothing but a file or a typed error comes out. `tools.fuzz_span` runs more of them."""

from __future__ import annotations

from tools.fuzz_span import fuzz


def test_mutated_files_give_a_file_or_a_typed_error() -> None:
    outcomes, failures = fuzz(800, seed=1)
    assert not failures
    assert outcomes["small.spn: read"] > 10
    assert outcomes["small.pa2: read"] > 10
    assert sum(outcomes.values()) == 800
