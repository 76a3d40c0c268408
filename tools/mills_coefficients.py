"""Find the polynomial behind `crossmargin.revaluation.black._mills` and print its coefficients.

The Mills ratio M(u) = (1 - Phi(u)) / phi(u) falls from sqrt(pi/2) at u = 0 to about 1/u. Multiplied by
(u + POLE) it stays between 1 and 2, and as a function of y = (u - CENTRE) / (u + CENTRE), which maps [0, inf)
to [-1, 1), it is so smooth that one polynomial of degree 23 gives it to about one unit in the last place. The
fit is a Chebyshev interpolation in 40 digits, written out in powers of y: their absolute sum is only 2, so
Horner's rule in float64 loses next to nothing. CENTRE and POLE are round numbers from a small search
(`--search`).

    python tools/mills_coefficients.py      # prints the constants as they stand in black.py, and their error
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from mpmath import cos, erfc, exp, mp, mpf, pi, sqrt

CENTRE = 5.5
POLE = 1.5
DEGREE = 23
NODES = 48

mp.dps = 40


def mills_ratio(u: mpf) -> mpf:
    """M(u) to working precision; the first four terms of the asymptotic series where they suffice."""
    if u > 100_000:
        return 1 / u - 1 / u**3 + 3 / u**5 - 15 / u**7
    return sqrt(pi / 2) * exp(u * u / 2) * erfc(u / sqrt(mpf(2)))


def chebyshev_coefficients(centre: float, pole: float) -> list[mpf]:
    """Coefficients of the Chebyshev interpolation of (u + pole) * M(u) in y."""
    angles = [pi * (j + mpf(1) / 2) / NODES for j in range(NODES)]
    values = []
    for angle in angles:
        u = mpf(centre) * (1 + cos(angle)) / (1 - cos(angle))
        values.append((u + mpf(pole)) * mills_ratio(u))
    coefficients = [2 * sum(v * cos(m * a) for v, a in zip(values, angles, strict=True)) / NODES for m in range(NODES)]
    coefficients[0] /= 2
    return coefficients


def in_powers(chebyshev: Sequence[mpf]) -> list[mpf]:
    """The same polynomial in powers of y, lowest first (T[n+1] = 2 y T[n] - T[n-1])."""
    powers = [mpf(0)] * len(chebyshev)
    previous, current = [mpf(1)], [mpf(0), mpf(1)]
    for order, coefficient in enumerate(chebyshev):
        for power, factor in enumerate(previous):
            powers[power] += coefficient * factor
        if order + 1 < len(chebyshev):
            following = [mpf(0), *(2 * factor for factor in current)]
            for power, factor in enumerate(previous):
                following[power] -= factor
            previous, current = current, following
    return powers


def fit(centre: float = CENTRE, pole: float = POLE, degree: int = DEGREE) -> list[float]:
    """The constants of `black.py`: float64 coefficients, lowest power first."""
    return [float(a) for a in in_powers(chebyshev_coefficients(centre, pole)[: degree + 1])]


def largest_relative_error(coefficients: Sequence[float], centre: float, pole: float) -> float:
    """Of the float64 evaluation, Horner's rule as in `black.py`, on 3,000 points up to u = 1,000."""
    points = [12.0 * i / 2400 for i in range(2400)] + [12.0 * (1000 / 12) ** (i / 599) for i in range(600)]
    worst = 0.0
    for u in points:
        y = (u - centre) / (u + centre)
        total = coefficients[-1]
        for a in reversed(coefficients[:-1]):
            total = total * y + a
        exact = mills_ratio(mpf(u))
        worst = max(worst, abs(float((mpf(total / (u + pole)) - exact) / exact)))
    return worst


def main() -> None:
    """Print the constants, or the search that led to them."""
    parser = argparse.ArgumentParser(description="coefficients of the Mills ratio")
    parser.add_argument("--search", action="store_true", help="error of other centres, poles and degrees")
    if parser.parse_args().search:
        for centre in (4.0, 4.5, 5.0, 5.5, 6.0):
            for pole in (0.75, 1.0, 1.5, 2.0, 3.0):
                for degree in (21, 22, 23):
                    error = largest_relative_error(fit(centre, pole, degree), centre, pole)
                    print(f"centre {centre} pole {pole} degree {degree}: relative error {error:.2e}", flush=True)
        return
    coefficients = fit()
    print("_MILLS_COEFFICIENTS = (")
    for a in coefficients:
        print(f"    {a!r},")
    print(")")
    print(f"# largest relative error {largest_relative_error(coefficients, CENTRE, POLE):.2e}")


if __name__ == "__main__":
    main()
