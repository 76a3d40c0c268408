"""What a figure is, how it is measured, and the line that it leaves behind.

A module registers a figure by decorating a function that prepares it:

    @figure("pricing-black76-grid", unit="values/s", budget=">= 5e6 values/s",
            peer="QuantLib blackFormula (loop)", packages=("numpy", "QuantLib"))
    def black76_grid() -> Timed:
        ...prepare the inputs, import the peer, compare one answer with it...
        return Timed(ours=lambda: black76(...), amount=1_000_000, peer=lambda: ..., peer_amount=20_000)

`Timed` leaves the clock to the harness: one warm-up each, then ours and the peer in turn, so that a busy
machine slows both, and medians. A figure that is no time (a memory peak, a 99th percentile) returns `Values`,
measured by itself. Import peers inside the function: a figure that is not asked for costs nothing, and a peer
that is not installed spoils only its own figure.
"""

from __future__ import annotations

import datetime as dt
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

RESULTS = Path(__file__).parent / "results.jsonl"

# Factor from seconds to the unit of a figure that is a time.
TIME_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """Callables for the harness to time.

    Parameters
    ----------
    ours, peer : callable
        One run; what it returns is dropped. No peer: `None`.
    amount, peer_amount : float
        Units of work in one run, for a rate (`values/s`); a slow peer may do a smaller sample. For a time
        (`s`, `ms`, `us`): by how much to divide, such as the number of calls in one run.
    runs : int
        Runs of each that are timed, after one that is not; odd, so that the median is a run.
    """

    ours: Callable[[], object]
    peer: Callable[[], object] | None = None
    amount: float = 1.0
    peer_amount: float = 1.0
    runs: int = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """Figures that the function measured itself, in the unit it declared."""

    value: float
    peer_value: float | None = None
    more: Mapping[str, float] = field(default_factory=dict)
    """What stands beside the figure: other percentiles, shares, counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One registered figure; see `figure`."""

    name: str
    unit: str
    budget: str | None
    peer: str | None
    packages: tuple[str, ...]
    more_is_better: bool
    prepare: Callable[[], Timed | Values]


FIGURES: dict[str, Figure] = {}


def figure(
    name: str,
    *,
    unit: str,
    budget: str | None = None,
    peer: str | None = None,
    packages: tuple[str, ...] = ("numpy",),
    more_is_better: bool | None = None,
) -> Callable[[Callable[[], Timed | Values]], Callable[[], Timed | Values]]:
    """Register the decorated function as a figure.

    Parameters
    ----------
    name : str
        `area-what`, lower case; `--only` selects by prefix.
    unit : str
        A rate (`values/s`), a time (`s`, `ms`, `us`), or anything else for `Values`.
    budget : str, optional
        As the design states it; printed beside the value, not enforced.
    peer : str, optional
        What `peer_value` is.
    packages : tuple of str
        Distributions whose versions belong to the figure.
    more_is_better : bool, optional
        Direction of `ratio`; by default true for rates, false otherwise.
    """

    def register(prepare: Callable[[], Timed | Values]) -> Callable[[], Timed | Values]:
        assert name not in FIGURES, f"two figures are called '{name}'"
        FIGURES[name] = Figure(
            name=name,
            unit=unit,
            budget=budget,
            peer=peer,
            packages=packages,
            more_is_better=unit.endswith("/s") if more_is_better is None else more_is_better,
            prepare=prepare,
        )
        return prepare

    return register


def run(only: str) -> int:
    """Measure every figure whose name begins with `only`; print and record a line each; the exit code."""
    chosen = [entry for name, entry in FIGURES.items() if name.startswith(only)]
    if not chosen:
        print(f"No figure begins with '{only}'; there are: {', '.join(FIGURES)}.", file=sys.stderr)
        return 2
    failed = 0
    for entry in chosen:
        try:
            line = json.dumps(measured(entry))
        except Exception as error:  # one figure that cannot be measured must not cost the others
            print(f"{entry.name}: {type(error).__name__}: {error}", file=sys.stderr)
            failed += 1
            continue
        print(line, flush=True)
        with RESULTS.open("a", encoding="utf-8") as results:
            results.write(line + "\n")
    return 1 if failed else 0


def measured(entry: Figure) -> dict[str, object]:
    """The record of one figure, ready for JSON."""
    outcome = entry.prepare()
    values = timed_values(outcome, entry.unit) if isinstance(outcome, Timed) else outcome
    ratio = None
    if values.peer_value is not None:
        ratio = values.value / values.peer_value
        if not entry.more_is_better:
            ratio = 1.0 / ratio
    return {
        "name": entry.name,
        "value": rounded(values.value),
        "unit": entry.unit,
        "peer": entry.peer,
        "peer_value": rounded(values.peer_value),
        "ratio": rounded(ratio),
        "budget": entry.budget,
        **{name: rounded(value) for name, value in values.more.items()},
        "machine": machine(),
        "versions": versions(entry.packages),
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }


def timed_values(timed: Timed, unit: str) -> Values:
    """Medians of alternating runs, in the figure's unit."""
    assert unit.endswith("/s") or unit in TIME_UNITS, f"'{unit}' is neither a rate nor a time: return Values"
    ours: list[float] = []
    theirs: list[float] = []
    for round_number in range(timed.runs + 1):
        for function, seconds in ((timed.ours, ours), (timed.peer, theirs)):
            if function is None:
                continue
            start = time.perf_counter()
            function()
            elapsed = time.perf_counter() - start
            if round_number:  # the first is the warm-up
                seconds.append(elapsed)

    def in_unit(seconds: list[float], amount: float) -> float:
        median = statistics.median(seconds)
        return amount / median if unit.endswith("/s") else median / amount * TIME_UNITS[unit]

    return Values(
        value=in_unit(ours, timed.amount),
        peer_value=in_unit(theirs, timed.peer_amount) if theirs else None,
    )


def latencies(seconds: list[float], unit: str) -> Values:
    """The 99th percentile of single runs (the smallest that 99% do not exceed), with median and maximum beside it."""
    ordered = sorted(second * TIME_UNITS[unit] for second in seconds)
    last = -(-99 * len(ordered) // 100) - 1
    return Values(
        value=ordered[last],
        more={"p50": statistics.median(ordered), "max": ordered[-1], "runs": len(ordered)},
    )


def rounded(value: float | None) -> float | None:
    """Four significant digits: a run-to-run spread of a few percent makes more of them noise."""
    return None if value is None else float(f"{value:.4g}")


def machine() -> str:
    """CPU model and the cores this process may use, as the operating system tells them."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if line.startswith("model name")]
        if names:
            model = names[0].partition(":")[2].strip()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{model}, {cores} cores, {platform.system()}"


def versions(packages: tuple[str, ...]) -> dict[str, str]:
    """Versions of Python, of crossmargin and of the packages that the figure used."""
    from crossmargin._version import __version__

    found = {"python": platform.python_version(), "crossmargin": __version__}
    return found | {package: importlib.metadata.version(package) for package in packages}
