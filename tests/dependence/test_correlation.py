"""Correlation matrices: what is refused, what is nearest, and what estimators keep."""

from __future__ import annotations

import numpy as np
import pytest

from crossmargin.basics.errors import InputError, ShapeError
from crossmargin.dependence.correlation import (
    clipped_correlation,
    correlation_root,
    dcc_filter,
    ewma_covariance,
    nearest_correlation,
    require_positive,
)

NAMES = ["price:A", "price:B", "price:C"]
IMPOSSIBLE = np.array([[1.0, 0.9, 0.1], [0.9, 1.0, 0.9], [0.1, 0.9, 1.0]])
"""A moves with B and B with C, but A not with C: its smallest eigenvalue is below 0."""


def test_a_matrix_that_is_none_is_refused_with_the_pair_that_makes_it_so() -> None:
    with pytest.raises(InputError, match=r"smallest eigenvalue is -0\.2.*'price:[AB]' and 'price:[BC]' at 0\.900"):
        require_positive(IMPOSSIBLE, NAMES)


def test_the_nearest_is_somebodys_decision() -> None:
    near = require_positive(IMPOSSIBLE, NAMES, nearest=True)
    assert np.linalg.eigvalsh(near)[0] >= -1e-10
    np.testing.assert_array_equal(np.diag(near), np.ones(3))


def test_the_nearest_is_nearer_than_the_clipped_and_than_whatever_is_near_it() -> None:
    near, clipped = nearest_correlation(IMPOSSIBLE), clipped_correlation(IMPOSSIBLE)
    distance = np.linalg.norm(near - IMPOSSIBLE)
    assert distance < np.linalg.norm(clipped - IMPOSSIBLE)
    generator = np.random.default_rng(8)
    tried = 0
    for _ in range(2000):
        # Correlations near the nearest: none is nearer to what was asked for.
        root = correlation_root(near) + 0.05 * generator.standard_normal((3, 3))
        other = root @ root.T
        size = np.sqrt(np.diag(other))
        other = other / np.outer(size, size)
        assert np.linalg.norm(other - IMPOSSIBLE) >= distance - 1e-9
        tried += 1
    assert tried == 2000


def test_a_correlation_is_its_own_nearest() -> None:
    own = np.array([[1.0, 0.3, -0.2], [0.3, 1.0, 0.5], [-0.2, 0.5, 1.0]])
    np.testing.assert_allclose(nearest_correlation(own), own, atol=1e-12)
    np.testing.assert_array_equal(require_positive(own, NAMES), own)


def test_rounding_of_zero_is_no_defect() -> None:
    ones = np.ones((4, 4))
    np.testing.assert_array_equal(require_positive(ones, ["a", "b", "c", "d"]), ones)
    root = correlation_root(ones)
    np.testing.assert_allclose(root @ root.T, ones, atol=1e-12)


@pytest.mark.parametrize("matrix", [np.ones((2, 3)), np.array([[1.0, np.nan], [np.nan, 1.0]])])
def test_shapes_and_unknown_cells(matrix: np.ndarray) -> None:
    with pytest.raises(ShapeError):
        nearest_correlation(matrix)


def test_an_asymmetric_matrix_is_no_correlation() -> None:
    with pytest.raises(InputError, match="not symmetric"):
        require_positive(np.array([[1.0, 0.5], [0.4, 1.0]]), NAMES[:2])


def test_unknown_changes_are_refused_by_place() -> None:
    changes = np.random.default_rng(1).standard_normal((20, 2))
    changes[7, 1] = np.nan
    with pytest.raises(InputError, match="row 7 of column 1"):
        ewma_covariance(changes, 0.97, seed_days=5)


def test_dcc_starts_at_its_target_and_stays_a_correlation() -> None:
    standard = np.random.default_rng(2).standard_normal((300, 3))
    target = np.array([[1.0, 0.5, 0.2], [0.5, 1.0, 0.4], [0.2, 0.4, 1.0]])
    path = dcc_filter(standard, 0.04, 0.94, target)
    np.testing.assert_allclose(path[0], target, atol=1e-14)
    for matrix in path:
        np.testing.assert_allclose(np.diag(matrix), 1.0, atol=1e-14)
        assert np.linalg.eigvalsh(matrix)[0] > 0
