"""Random books on real chains: every one is margined under both portfolio margins, without a perpetual's price too."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossmargin.methodologies.registry import methodology
from tools.panel_study import METHODS, N_BOOKS, Sample, books_of, chains, maintenance


@pytest.mark.parametrize("name", METHODS)
def test_every_book_of_every_tenth_chain_is_margined(data_dir: Path, name: str) -> None:
    method = methodology(name)
    seen = 0
    for k, market in enumerate(chains(data_dir, every=10)):
        sample = books_of(market, None, 20260000 + k)
        required = maintenance(sample, market, method)
        assert required.shape == (N_BOOKS,)
        assert np.isfinite(required).all()
        assert (required > 0).all()
        seen += 1
    assert seen == 22


def test_books_are_the_same_for_the_same_seed(data_dir: Path) -> None:
    market = next(chains(data_dir))
    one, two = books_of(market, None, 7), books_of(market, None, 7)
    assert isinstance(one, Sample)
    assert one.quantity.tobytes() == two.quantity.tobytes()
    legs = np.count_nonzero(one.quantity, axis=1)
    assert legs.min() >= 5
    assert legs.max() <= 21
