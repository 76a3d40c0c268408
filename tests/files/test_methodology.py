"""A methodology by name, whatever its parameters are: what ships, or an exchange's file and who reads it."""

from __future__ import annotations

from pathlib import Path

import pytest

from crossmargin.basics.errors import InputError, ParameterError
from crossmargin.files.methodology import READERS, read_methodologies, read_methodology
from crossmargin.methodologies.registry import ENTRIES, METHODOLOGIES
from tests import listed


def test_every_reader_is_of_a_methodology_that_cannot_be_made_without_a_file() -> None:
    assert {name for name, entry in ENTRIES.items() if entry.about is not None and not entry.package} == set(READERS)
    assert METHODOLOGIES.keys() == {
        name for name, entry in ENTRIES.items() if entry.about is None and not entry.takes_history
    }


def test_parameters_that_ship_need_no_file() -> None:
    assert read_methodology("scenario-grid").info.name == "venue-grid-2026"
    assert read_methodology("scenario-grid").market is None
    with pytest.raises(InputError, match="no methodology 'scan'"):
        read_methodology("scan")


def test_a_file_is_read_by_its_reader(charges_file: Path) -> None:
    for parameters in (charges_file, str(charges_file), listed.read(charges_file)):
        method = read_methodology(listed.NAME, parameters)
        assert method.market is not None
        assert method.market.fingerprint == listed.method().market.fingerprint


def test_without_the_file_it_says_which_one_it_takes(charges_file: Path) -> None:
    with pytest.raises(ParameterError, match=r"no parameters for 'charges', which takes a file of charges"):
        read_methodology(listed.NAME)


def test_overrides_go_to_the_factory(charges_file: Path) -> None:
    method = read_methodology(listed.NAME, charges_file, share="0.5")
    assert isinstance(method, listed.Charges)
    assert method.share == 0.5
    with pytest.raises(ParameterError, match="no override 'shares'"):
        read_methodology(listed.NAME, charges_file, shares="0.5")


def test_methodologies_of_different_markets_are_not_read_together(charges_file: Path) -> None:
    with pytest.raises(InputError, match=r"'charges' of the prices in a parameter file, and 'isolated' of a market"):
        read_methodologies((listed.NAME, "isolated"), charges_file)


def test_those_to_compare_have_the_parameters_of_the_first() -> None:
    first, second = read_methodologies(("scenario-grid", "isolated"), gain_share="0.5", across_units="common")
    assert first.info.digest == second.info.digest
    assert read_methodologies(()) == []
