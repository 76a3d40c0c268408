"""Several processes that start at once on a cold cache: none crashes, all agree, and the next one compiles nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import numpy as np
from crossmargin.aggregation import kernels
from crossmargin.aggregation.sweep import Holdings, worst_loss
generator = np.random.default_rng(1)
instrument, quantity = generator.integers(0, 9, 300), generator.normal(size=300)
held = Holdings(offsets=np.arange(0, 301, 3), instrument=instrument, quantity=quantity)
loss, scenario = worst_loss(held, generator.normal(size=(9, 36)))
stats = kernels.worst.stats
print(loss.tobytes().hex(), scenario.tobytes().hex(), sum(stats.cache_hits.values()), sum(stats.cache_misses.values()))
"""


def started(cache: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def finished(process: subprocess.Popen[str]) -> list[str]:
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    return out.split()


def test_several_cold_starts_at_once(tmp_path: Path) -> None:
    answers = [finished(process) for process in [started(tmp_path) for _ in range(4)]]
    assert len({tuple(answer[:2]) for answer in answers}) == 1
    *bits, hits, misses = finished(started(tmp_path))
    assert bits == answers[0][:2]
    assert (hits, misses) == ("1", "0")


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    """A file where the folder should be: numba finds no place, and the kernel is compiled for this process."""
    place = tmp_path / "no-folder"
    place.write_text("")
    assert finished(started(place))[:2] == finished(started(tmp_path / "cache"))[:2]
