"""Every code block of README and docs runs, and prints what the page says it prints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.docs.blocks import PAGES, ROOT, blocks, inside, lay_out, run_console

RUNNABLE = [page for page in PAGES if blocks(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_run_and_print_what_they_show(page: Path, tmp_path: Path) -> None:
    lay_out(tmp_path)
    namespace: dict[str, Any] = {"__name__": "page"}
    with inside(tmp_path):
        for block in blocks(page.read_text(encoding="utf-8")):
            if block.language == "python":
                exec(compile(block.body, str(page), "exec"), namespace)
            else:
                assert run_console(block.body) == block.body


def test_there_are_pages_with_code() -> None:
    assert ROOT / "README.md" in RUNNABLE
    assert len(RUNNABLE) >= 5
