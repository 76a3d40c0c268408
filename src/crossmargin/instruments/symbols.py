"""Any instrument name to terms: recognises the convention by its form."""

from __future__ import annotations

import re
from decimal import Decimal

from crossmargin.basics.errors import InputError, Problem, SymbolError
from crossmargin.instruments.ccxt import parse_ccxt
from crossmargin.instruments.deribit import parse_deribit
from crossmargin.instruments.derive import DERIVE_NAME, parse_derive
from crossmargin.instruments.occ import OCC_TAIL, canonical_occ, parse_occ
from crossmargin.instruments.terms import Instrument

# A coin and a hyphen, or a pair; in either case of letters, so that Deribit's parser can name the wrong part.
_CCXT_LIKE = re.compile(r"[A-Za-z0-9]+/[A-Za-z0-9]+(?::.*)?")
_DERIBIT_LIKE = re.compile(r"[A-Za-z0-9]+(?:_[A-Za-z0-9]*(?:-.*)?|-.*)")


def parse_symbol(name: str, *, multiplier: Decimal | None = None) -> Instrument:
    """Terms of the instrument that `name` says, in whichever convention it is written.

    Parameters
    ----------
    name : str
        An OCC symbol, compact or padded, a name of Deribit or Derive, or a unified symbol of ccxt.
    multiplier : Decimal or None
        Contract size where the caller knows it.

    Raises
    ------
    SymbolError
        If it is none of these, or malformed.
    UnsupportedError
        If it is a contract whose terms are not known.
    InputError
        If `multiplier` contradicts the known contract size.
    """
    text = name.strip()
    if OCC_TAIL.search(text):
        return parse_occ(text, multiplier=multiplier)
    if _CCXT_LIKE.fullmatch(text):
        return parse_ccxt(text, multiplier=multiplier)
    if DERIVE_NAME.fullmatch(text):
        instrument = parse_derive(text)
        if multiplier is not None and multiplier != instrument.multiplier:
            found = f"'{text}' is stated with multiplier {multiplier}, but Derive counts in units"
            raise InputError(Problem(found=found, needed="Leave it out", column="multiplier"))
        return instrument
    if _DERIBIT_LIKE.fullmatch(text):
        return parse_deribit(text, multiplier=multiplier)
    raise SymbolError(
        Problem(
            found=f"'{name}' is no instrument name that we know",
            needed=(
                "Write an OCC symbol like 'SPXW  230915C04500000' (or SPXW230915C04500000), "
                "a Deribit name like BTC-27MAR26-90000-C, a Derive name like BTC-20260327-90000-C, or a symbol of ccxt "
                "like BTC/USDT:USDT"
            ),
        )
    )


def canonical_name(name: str) -> str:
    """The one spelling of `name`: OCC symbols padded to 21 characters, others without blanks around them.

    Cheap, and no check: what is no instrument name comes back as it is.
    """
    return canonical_occ(name) or name.strip()
