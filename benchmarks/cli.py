"""Start-up and one small answer of the command line, as whole processes: what a person waits for."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

import crossmargin
from benchmarks.harness import Timed, figure
from crossmargin.instruments.table import Kind
from crossmargin.sample import sample_market, sample_paths

RUNS = 9
FLOOR = "python -c pass: the interpreter alone, a floor and no competitor"


def command() -> list[str]:
    """The installed script beside this interpreter, or the same call where the package is not installed."""
    script = Path(sys.executable).with_name("crossmargin")
    if script.is_file():
        return [str(script)]
    return [sys.executable, "-c", "from crossmargin.cli.main import main; main()"]


def scratch() -> Path:
    """A temporary folder for this run of the benchmarks."""
    folder = tempfile.TemporaryDirectory(prefix="crossmargin-bench-")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def environment() -> dict[str, str]:
    """Ours, with the package that this process imports first on the path of the child.

    Warm means compiled: with PYTHONDONTWRITEBYTECODE set, as containers often have it, every run would compile a
    source tree again (0.03 to 0.1 s here), which an installed package never does. Bytecode goes to a folder of its own.
    """
    source = str(Path(crossmargin.__file__).resolve().parents[1])
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env["PYTHONPATH"] = os.pathsep.join(filter(None, (source, env.get("PYTHONPATH"))))
    env["PYTHONPYCACHEPREFIX"] = str(scratch())
    return env


def process(line: list[str], says: str) -> Timed:
    """Whole processes: ours must exit with 0 and print `says`."""
    env = environment()
    answer = subprocess.run(line, env=env, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, f"exit code {answer.returncode}: {answer.stderr.strip()}"
    assert says in answer.stdout, f"printed nothing about '{says}'"
    return Timed(
        ours=lambda: subprocess.run(line, env=env, stdout=subprocess.DEVNULL, check=True),
        peer=lambda: subprocess.run([sys.executable, "-c", "pass"], env=env, check=True),
        runs=RUNS,
    )


@figure("cli-help", unit="s", budget="<= 0.40 s", peer=FLOOR, packages=("cyclopts",))
def cli_help() -> Timed:
    """`crossmargin --help`."""
    return process([*command(), "--help"], "margin")


@figure("cli-margin-10-legs", unit="s", budget="<= 0.8 s", peer=FLOOR, packages=("numpy", "cyclopts", "rich"))
def cli_margin() -> Timed:
    """`crossmargin margin` of ten legs of one account on the sample chain."""
    table = sample_market().instruments
    options = np.flatnonzero(table.kind == Kind.OPTION)
    chosen = options[:: len(options) // 10][:10]
    positions = scratch() / "positions.csv"
    legs = [f"fund,{table.names[k]},{(-1) ** n * (n + 1)}\n" for n, k in enumerate(chosen.tolist())]
    positions.write_text("account,instrument,quantity\n" + "".join(legs), encoding="utf-8")
    return process([*command(), "margin", str(positions), "--market", str(sample_paths().market)], "fund")
