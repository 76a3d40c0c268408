"""`python -m benchmarks [--only PREFIX]`: a JSON line a figure, also kept in benchmarks/results.jsonl."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys

from benchmarks.harness import FIGURES, run

# In the order of the budgets in the documentation. A module registers its figures when it is imported.
MODULES = (
    "benchmarks.pricing",
    "benchmarks.revaluation",
    "benchmarks.sweep",
    "benchmarks.book",
    "benchmarks.live",
    "benchmarks.cluster",
    "benchmarks.span",
    "benchmarks.venues",
    "benchmarks.model",
    "benchmarks.simm",
    "benchmarks.cli",
)


def main() -> int:
    """Import the modules that exist, measure what was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", default="", metavar="PREFIX", help="figures whose name begins with PREFIX")
    parser.add_argument("--list", action="store_true", help="name the figures and their budgets, measure nothing")
    arguments = parser.parse_args()
    for module in MODULES:
        if importlib.util.find_spec(module) is None:
            print(f"{module} is not there; its figures are left out.", file=sys.stderr)
            continue
        importlib.import_module(module)
    if arguments.list:
        for entry in FIGURES.values():
            print(f"{entry.name:34} {entry.budget or 'no budget'}; peer: {entry.peer or 'none'}")
        return 0
    return run(arguments.only)


if __name__ == "__main__":
    sys.exit(main())
