"""The reference suite: every vector of the folder through the real code, or on the list of what is to come."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reference.loader import OtherFile, Vector, is_default
from tests.reference.vector_table import runner_of, use_of_file, why_not_yet


def test_vector(vector: Vector, reference_dir: Path) -> None:
    run = runner_of(vector.kind)
    if run is not None:
        done = run.runner(vector)
        # Some files call it by another name: what begins with `expected` is a figure by itself then.
        expected = vector.body.get("expected") or [name for name in vector.body if name.startswith("expected")]
        left = set(expected) - done - set(run.not_yet)
        assert done, f"'{vector.id}': the runner of '{vector.kind}' checked nothing"
        assert not left, f"'{vector.id}': neither checked nor listed as not yet: {', '.join(sorted(left))}"
        return
    _listed_or_reported(f"kind '{vector.kind}' (vector '{vector.id}')", why_not_yet(vector.kind), reference_dir)


def test_other_file(other_file: OtherFile, reference_dir: Path) -> None:
    assert not other_file.problem, f"{other_file.id} {other_file.problem}"
    _listed_or_reported(f"file '{other_file.id}'", use_of_file(other_file.id), reference_dir)


def _listed_or_reported(what: str, why: str | None, folder: Path) -> None:
    if why is not None:
        pytest.skip(f"not yet, or not to run: {why}")
    reason = f"{what} is neither run nor listed in tests/reference/vector_table.py"
    if is_default(folder):
        pytest.fail(reason)
    pytest.skip(reason)
