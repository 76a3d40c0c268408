"""Examples of Open Source Risk Engine, from their CRIF files to every line of their reports."""

from __future__ import annotations

import csv
import json
from datetime import date
from pathlib import Path

import pytest

from crossmargin.answers.simm import simm_margin
from crossmargin.files.crif import read_crif
from crossmargin.files.ore_calibration import read_ore_calibration
from crossmargin.files.simm_document import parameter_document
from crossmargin.methodologies.simm.parameters import SimmParameters, load_parameters
from crossmargin.methodologies.simm.recipe import Side

RUNS = ["SIMM2.6_10D", "SIMM2.6_1D", "SIMM2.5A_10D_calibration", "SIMM2.5A_1D_calibration"]
ROUNDED = 1e-6
"""Amounts in the reports have nine decimals."""
KEYS = ("Portfolio", "ProductClass", "RiskClass", "MarginType", "Bucket", "SimmSide", "Regulation")


def examples(folder: Path) -> Path:
    """Where they are."""
    return folder / "simm/ore_examples"


def lines_of(path: Path) -> dict[tuple[str, ...], float]:
    """Amount by everything that names a line; the line over all portfolios is left out, for there is one."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file.read().removeprefix("#").splitlines())
    return {tuple(row[key] for key in KEYS): float(row["InitialMargin"]) for row in rows if row["Portfolio"] != "All"}


def parameters(folder: Path, run: str) -> SimmParameters:
    """A version that ships, or the calibration of the example."""
    mpor_days = 10 if "10D" in run else 1
    if "2.5A" not in run:
        return load_parameters("simm-2.6", mpor_days=mpor_days)
    document = read_ore_calibration(examples(folder) / "simmcalibration_2.5A.xml")
    return load_parameters(parameter_document(document), mpor_days=mpor_days)


@pytest.mark.parametrize("breakdown", [False, True], ids=["winners", "every regulation"])
@pytest.mark.parametrize("run", RUNS)
def test_every_line_of_the_report(reference_dir: Path, run: str, breakdown: bool) -> None:
    book = read_crif(examples(reference_dir) / "crif.csv")
    found = {
        tuple(row[key] for key in KEYS): row["InitialMargin"]
        for row in simm_margin(book, parameters(reference_dir, run)).report(breakdown=breakdown).iter_rows(named=True)
    }
    name = "regulation_breakdown_simm.csv" if breakdown else "simm.csv"
    wanted = lines_of(examples(reference_dir) / run / name)
    assert len(wanted) > 30
    for key, amount in wanted.items():
        assert found[key] == pytest.approx(amount, rel=1e-9, abs=ROUNDED), key
    # We print a curvature of nothing where they leave the line out.
    assert all(found[key] == 0 for key in set(found) - set(wanted))


@pytest.mark.parametrize(("side", "expected"), [(Side.CALL, 457.79), (Side.POST, 395.86)])
def test_the_schedule(reference_dir: Path, side: Side, expected: float) -> None:
    book = read_crif(examples(reference_dir) / "crif_schedule.csv")
    found = simm_margin(book, load_parameters("simm-2.6"), as_of=date(2020, 12, 28)).sides[side]
    assert found.schedule[0] == pytest.approx(expected, abs=0.005)
    assert found.simm[0] == 0
    assert found.requirement[0] == found.schedule[0]


@pytest.mark.parametrize("version", ["2.6", "2.7+2412", "2.8+2506", "2.8+2512"])
def test_calibrations_that_ship_are_those_of_the_reference(reference_dir: Path, version: str) -> None:
    """Number by number; name, date and sources beside them are words."""
    with (reference_dir / f"simm/parameters_{version}.json").open(encoding="utf-8") as file:
        wanted = parameter_document(json.load(file))
    shipped = load_parameters(f"simm-{version}").info.document
    for section, numbers in wanted.items():
        if isinstance(numbers, dict):
            assert shipped[section] == numbers, section
    assert shipped["date"] == wanted["date"]
