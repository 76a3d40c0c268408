"""Parameter files, mutated by a seeded generator: nothing but a file or a typed error may come out.

    .venv/bin/python -m tools.fuzz_span 100000

Half of the mutants are of a small XML file, half of a small positional one.
"""

from __future__ import annotations

import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor

from crossmargin.basics.errors import CrossmarginError
from crossmargin.files.span import parse_span
from crossmargin.methodologies.span.method import span
from tests.files.fuzz_subjects import subjects

_NASTY = (
    b"NaN",
    b"inf",
    b"-",
    b"",
    b"1e999",
    b"99999999999999999999",
    b"\x00",
    b"\xff",
    b"<",
    b"&x;",
    b"-0",
    b"1e-400",
)


def _flip(data: bytearray, draw: random.Random) -> None:
    data[draw.randrange(len(data))] = draw.randrange(256)


def _cut(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(len(data)) :]


def _drop(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    del data[start : start + draw.randrange(1, 60)]


def _repeat(data: bytearray, draw: random.Random) -> None:
    start = draw.randrange(len(data))
    data[start:start] = data[start : start + draw.randrange(1, 400)]


def _swap(data: bytearray, draw: random.Random) -> None:
    one, other = sorted(draw.randrange(len(data)) for _ in range(2))
    length = draw.randrange(1, 40)
    data[one : one + length], data[other : other + length] = data[other : other + length], data[one : one + length]


def _nasty(data: bytearray, draw: random.Random) -> None:
    """Something that is no number in the place of digits."""
    start = draw.randrange(len(data))
    while start < len(data) and not chr(data[start]).isdigit():
        start += 1
    end = start
    while end < len(data) and chr(data[end]).isdigit():
        end += 1
    data[start:end] = draw.choice(_NASTY)


def _line(data: bytearray, draw: random.Random) -> None:
    """A line twice, or none of it."""
    lines = data.split(b"\n")
    k = draw.randrange(len(lines))
    lines[k : k + 1] = [] if draw.random() < 0.5 else [lines[k], lines[k]]
    data[:] = b"\n".join(lines)


_MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip, _cut, _drop, _repeat, _swap, _nasty, _nasty, _line,
)  # fmt: skip


def mutants(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many mutants, of each subject in turn; the same seed gives the same."""
    draw = random.Random(seed)
    named = list(subjects().items())
    for k in range(count):
        name, original = named[k % len(named)]
        data = bytearray(original)
        for _ in range(draw.choice((1, 1, 1, 2, 3))):
            if data:
                draw.choice(_MUTATIONS)(data, draw)
        yield name, bytes(data)


def fuzz(count: int, seed: int) -> tuple[Counter[str], list[str]]:
    """What came of the mutants, and those that ended in anything else than a file or a typed error."""
    outcomes: Counter[str] = Counter()
    failures = []
    for k, (name, data) in enumerate(mutants(count, seed)):
        try:
            span(parse_span(data, name, "sha256:0"))  # and its rules are numbered
            outcomes[f"{name}: read"] += 1
        except CrossmarginError as error:
            outcomes[f"{name}: {type(error).__name__}"] += 1
        except Exception as error:  # what the run is looking for
            failures.append(f"mutant {k} of seed {seed}, {name}: {type(error).__name__}: {str(error)[:200]}")
    return outcomes, failures


_BATCH = 2_500
_SEED = 20260625


def main() -> int:
    """Run as many mutants as asked for, on all processors; 1 if one of them ended badly."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 2 * _BATCH
    start = time.perf_counter()
    sizes = [min(_BATCH, count - done) for done in range(0, count, _BATCH)]
    outcomes: Counter[str] = Counter()
    failures: list[str] = []
    with ProcessPoolExecutor() as pool:
        for found, failed in pool.map(fuzz, sizes, range(_SEED, _SEED + len(sizes))):
            outcomes += found
            failures += failed
    for outcome, number in sorted(outcomes.items()):
        print(f"{number:8,}  {outcome}")
    for failure in failures[:20]:
        print(failure)
    print(f"{time.perf_counter() - start:.0f} s")
    print(f"{count - len(failures)} passed, {len(failures)} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
