"""The libraries of the extra `research`, imported where they are needed and named where they are missing."""

from __future__ import annotations

import importlib
from typing import Any

from crossmargin.basics.errors import Problem, UnsupportedError


def research(module: str, purpose: str) -> Any:
    """Import `module` of the extra `research`; some of them take seconds, so only what calls them does.

    Raises
    ------
    UnsupportedError
        If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != module.partition(".")[0]:
            raise
        raise UnsupportedError(
            Problem(
                found=f"{purpose} needs the package '{module.partition('.')[0]}', which is not installed",
                needed='Run: pip install "crossmargin[research]".',
            )
        ) from error
