"""One test id a vector id, and one a file: from the folder of the environment, at collection."""

from __future__ import annotations

import pytest

from tests.reference.loader import find, reference_folder


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, which in (("vector", 0), ("other_file", 1)):
        if name in metafunc.fixturenames:
            folder = reference_folder()
            # Without the folder one test says so: `reference_dir` skips it, or fails it in CI.
            found = find(folder)[which] if folder.is_dir() else [None]
            metafunc.parametrize(name, found, ids=[item.id if item else "no folder" for item in found])
