"""What a parameter document may not say."""

from __future__ import annotations

import pytest

from crossmargin.basics.errors import ParameterError
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import load_parameters


def test_an_extended_move_inside_the_range_would_count_more_than_whole() -> None:
    document = load_parameters(None).info.document
    shape = document["shape"] | {"extended_moves": ["-0.66", "0.17"]}
    with pytest.raises(ParameterError, match=r"0\.17 of ETH would count more than whole") as error:
        load_parameters(document | {"shape": shape})
    assert len(error.value.problems) == 1  # 0.17 is outside of the 16% of BTC
