"""Where the reference vectors and the market data stand, and one profile for hypothesis."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from crossmargin.files.methodology import READERS
from crossmargin.methodologies import registry
from tests import listed

ROOT = Path(__file__).resolve().parents[1]

os.environ["CROSSMARGIN_CACHE_DIR"] = "off"  # no test leaves parsed files in a user's folder

settings.register_profile("crossmargin", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("crossmargin")


def folder_or_skip(variable: str, default: str) -> Path:
    """The folder that `variable` names; without it skip on a user's machine and fail in CI."""
    folder = Path(os.environ.get(variable) or ROOT / default)
    if folder.is_dir():
        return folder
    reason = f"{variable} names no folder ({folder.name} is absent)"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def reference_dir() -> Path:
    """Folder of reference vectors."""
    return folder_or_skip("CROSSMARGIN_REFERENCE_DIR", "../shared/reference")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of real market data; its files are read, never copied."""
    return folder_or_skip("CROSSMARGIN_DATA_DIR", "../shared/data")


@pytest.fixture
def charges_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of a methodology that is registered for a test: its parameters are its market (`tests.listed`)."""
    monkeypatch.setitem(registry.ENTRIES, listed.NAME, listed.ENTRY)
    monkeypatch.setitem(READERS, listed.NAME, listed.read)
    path = tmp_path / "charges.txt"
    path.write_text(listed.FILE, encoding="utf-8")
    return path
