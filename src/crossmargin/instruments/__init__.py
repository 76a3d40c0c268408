"""What can be held: contract terms only, no prices.

Names parse to frozen terms (`parse_symbol`). `crossmargin.instruments.table.InstrumentTable` holds many of
them as columns; it is left out here, because it needs numpy and the rest does not.
"""

from crossmargin.instruments.deribit import deribit_symbol, parse_deribit
from crossmargin.instruments.occ import occ_symbol, parse_occ
from crossmargin.instruments.symbols import canonical_name, parse_symbol
from crossmargin.instruments.terms import (
    DatedFuture,
    Delivery,
    Instrument,
    On,
    Payoff,
    Perpetual,
    Right,
    Spot,
    Style,
    VanillaOption,
)

__all__ = [
    "DatedFuture",
    "Delivery",
    "Instrument",
    "On",
    "Payoff",
    "Perpetual",
    "Right",
    "Spot",
    "Style",
    "VanillaOption",
    "canonical_name",
    "deribit_symbol",
    "occ_symbol",
    "parse_deribit",
    "parse_occ",
    "parse_symbol",
]
