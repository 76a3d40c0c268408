"""Arrays of our own beside genuine ones: composite deltas and worst losses of an exchange's index options.

The extract states neither forward, volatility nor ranges. Four numbers for each expiry were fitted to its six or seven
hundred options (the file prices all options of an expiry by one volatility); what is tested is that the model, the two
ranges at 35% of the extreme scenarios and the seven weighted prices of the delta then say the same of every strike.
"""

from __future__ import annotations

import csv
import gzip
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from crossmargin.methodologies.span.generate import array_rules, option_arrays

DAY = date(2025, 8, 8)
# Expiry: forward, volatility, price and volatility scan range, all fitted; then mean errors that are left.
FITTED = {
    "20250930": (56_112.3, 0.13638, 6_259.7, 0.02456, 0.004, 90.0),
    "20251028": (56_401.9, 0.152582, 6_256.3, 0.044942, 0.002, 90.0),
}


@pytest.mark.parametrize("expiry", FITTED)
def test_deltas_and_worst_losses_are_those_of_the_genuine_file(expiry: str, reference_dir: Path) -> None:
    path = reference_dir / "span" / "nse_banknifty_rpf_extract_20250808_i01.csv.gz"
    if not path.is_file():
        pytest.skip("the folder has no extract of a genuine file")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        rows = [row for row in csv.DictReader(lines) if row["expiry_raw"] == expiry]
    assert len(rows) > 600
    forward, vol, price_scan, vol_scan, delta_error, worst_error = FITTED[expiry]
    n = len(rows)
    days = (date(int(expiry[:4]), int(expiry[4:6]), int(expiry[6:])) - DAY).days
    loss, delta = option_arrays(
        underlying=np.full(n, forward),
        strike=np.array([float(row["strike"]) for row in rows]),
        is_call=np.array([row["type"] == "C" for row in rows]),
        vol=np.full(n, vol),
        years=np.full(n, days / 365),
        price=np.full(n, np.nan),
        price_scan=np.full(n, price_scan),
        vol_scan=np.full(n, vol_scan),
        value_factor=np.ones(n),
        rules=array_rules(extreme_multiple=2, extreme_cover=0.35),
    )
    genuine_delta = np.array([float(row["delta_in_rpf"]) for row in rows])
    genuine_worst = np.array([float(row["worst_RA_per_unit"]) for row in rows])  # of a short option
    assert np.abs(delta - genuine_delta).mean() < delta_error
    assert np.abs(delta - genuine_delta).max() < 0.02
    # 90 is 1.4% of the price scan range; the worst single option is off by 4.3% of it.
    assert np.abs((-loss).max(axis=1) - genuine_worst).mean() < worst_error
    assert np.abs((-loss).max(axis=1) - genuine_worst).max() < 0.045 * price_scan


def test_the_extreme_scenario_of_genuine_puts_is_two_ranges_at_35_percent(reference_dir: Path) -> None:
    """Far puts of the front expiry: worst losses rise by 0.35 for each point of strike, which 0.30 could not reach."""
    path = reference_dir / "span" / "nse_banknifty_rpf_extract_20250808_i01.csv.gz"
    if not path.is_file():
        pytest.skip("the folder has no extract of a genuine file")
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        far = {
            float(row["strike"]): float(row["worst_RA_per_unit"])
            for row in csv.DictReader(lines)
            if row["expiry_raw"] == "20250828" and row["type"] == "P" and 45_000 <= float(row["strike"]) <= 48_000
        }
    slope = np.polyfit(list(far), list(far.values()), 1)[0]
    assert len(far) > 20
    assert 0.30 < slope <= 0.351
