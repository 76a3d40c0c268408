"""Sphinx configuration: Markdown through MyST, built strictly (`make docs`) and without the network.

Dollar signs are money here, not mathematics: formulas stand in code blocks, so no page loads a script
from elsewhere.
"""

import re
from pathlib import Path

_VERSION_FILE = Path(__file__).parents[1] / "src" / "crossmargin" / "_version.py"
_version = re.search(r'^__version__ = "([^"]+)"$', _VERSION_FILE.read_text(encoding="utf-8"), re.MULTILINE)
assert _version is not None, f"no __version__ in {_VERSION_FILE}"

project = "crossmargin"
author = "the crossmargin contributors"
copyright = author
version = release = _version.group(1)

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3  # links such as terminology.md#signs

html_theme = "furo"
html_title = f"{project} {release}"
html_copy_source = False
html_show_sphinx = False
