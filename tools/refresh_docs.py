"""Write the present output of every console block into README and docs, and the case schema.

    .venv/bin/python -m tools.refresh_docs [PAGE ...]

Read the difference before committing it: a figure that moved belongs into CHANGELOG.md.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from crossmargin.files.case import case_schema
from tests.docs.blocks import PAGES, ROOT, blocks, inside, lay_out, run_console

SCHEMA = ROOT / "docs" / "case.schema.json"


def refreshed(text: str) -> str:
    """The page with today's output in its console blocks; Python blocks run too, for they write what is then read."""
    parts, last = [], 0
    namespace: dict[str, Any] = {"__name__": "page"}
    with tempfile.TemporaryDirectory() as folder:
        lay_out(Path(folder))
        with inside(Path(folder)):
            for block in blocks(text):
                if block.language == "python":
                    exec(compile(block.body, "page", "exec"), namespace)
                else:
                    parts += [text[last : block.start], run_console(block.body)]
                    last = block.end
    return "".join(parts) + text[last:]


def schema_text() -> str:
    """The published JSON Schema of a case."""
    return json.dumps(case_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    for page in [Path(name) for name in sys.argv[1:]] or PAGES:
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")
    SCHEMA.write_text(schema_text(), encoding="utf-8")
