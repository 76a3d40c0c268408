"""Record layouts of the SPAN expanded unpacked format (`U2`, `.pa2`), as tables, and the one reader of their fields.

Columns are 1-based and inclusive, as the documents write them. They are those of CME's "Risk Parameter File Layouts for
the Positional Formats" (expanded format) unless a comment says otherwise, and tried on a genuine record of each kind. A
question that a reader will have: lines may end where only blanks would follow, so a missing text is blank, but a number
of which digits are missing is a problem, since what is left would be another number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias

from crossmargin.basics.errors import FileFormatError, Problem, raise_problems
from crossmargin.files.cells import shown

LONGEST_LINE = 256
"""Columns. The longest record that is laid out anywhere, the 84, has 192."""


class Holds(StrEnum):
    """What the columns of a field hold: text, digits, or digits of which the first may be a minus."""

    TEXT = "text"
    DIGITS = "digits"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record.

    Parameters
    ----------
    name : str
        What the field says; `a.b` stands as `b` within `a` in what `parse_record` gives.
    first, last : int
        Its columns.
    holds : Holds
        What is in them.
    decimals : int
        Digits after the decimal point, which is not written: `9(2)V9(4)` has four.
    sign : int
        Column of `+`, `-` or blank, which is `+`; 0 where the number has none.
    any_sign : bool
        Whether every other sign is `+` too, as some fields are documented.
    step : int
        Columns to the same field of the next repetition.
    needed : bool
        Whether a record without it says nothing.
    """

    name: str
    first: int
    last: int
    holds: Holds = Holds.TEXT
    decimals: int = 0
    sign: int = 0
    any_sign: bool = False
    step: int = 0
    needed: bool = False

    def at(self, repetition: int) -> Field:
        """The field in a repetition, counted from 0."""
        shift = repetition * self.step
        return replace(
            self, first=self.first + shift, last=self.last + shift, sign=self.sign + shift if self.sign else 0
        )


@dataclass(frozen=True, slots=True)
class Repeated:
    """Fields that stand several times in a record, in columns that need not be next to each other.

    Blank repetitions are left out. One field of an empty name makes a list of values, all of which are there.
    """

    name: str
    times: int
    fields: tuple[Field, ...]


Layout: TypeAlias = tuple[Field | Repeated, ...]


def _text(name: str, first: int, last: int, *, needed: bool = False, step: int = 0) -> Field:
    return Field(name, first, last, needed=needed, step=step)


def _digits(
    name: str,
    first: int,
    last: int,
    decimals: int = 0,
    *,
    sign: int = 0,
    any_sign: bool = False,
    step: int = 0,
    needed: bool = False,
) -> Field:
    return Field(name, first, last, Holds.DIGITS, decimals, sign, any_sign, step, needed)


def _signed(name: str, first: int, last: int, decimals: int = 0, *, step: int = 0, needed: bool = False) -> Field:
    return Field(name, first, last, Holds.SIGNED, decimals, step=step, needed=needed)


_CONTRACT: Layout = (
    # The same columns in 81 and 82; what joins the two.
    _text("exchange", 3, 5, needed=True),
    _text("commodity", 6, 15, needed=True),
    _text("underlying", 16, 25),
    _text("type", 26, 28, needed=True),
    _text("right", 29, 29),
    _text("contract_month", 30, 35),
    _text("contract_day", 36, 37),
    _text("option_month", 39, 44),
    _text("option_day", 45, 46),
    _text("strike_raw", 48, 54),
)

RECORDS: dict[str, Layout] = {
    # "Type 0 - Expanded and Paris Expanded". Columns 38 and 39 stand the other way round in one public reader; two
    # copies of the layout (CME's, and HKEX's "RPF Descriptions") agree on this order.
    "0": (
        _text("complex", 3, 8, needed=True),
        _text("business_date", 9, 16, needed=True),
        _text("settlement_or_intraday", 17, 17),
        _text("file_identifier", 18, 19),
        _text("business_time", 20, 23),
        _text("created_date", 24, 31),
        _text("created_time", 32, 35),
        _text("format", 36, 37, needed=True),
        _text("gross_net", 38, 38),
        _text("limit_option_value", 39, 39),
        _text("business_function", 40, 44),
        _text("clearing_or_customer", 51, 51),
        _text("account_type", 59, 59),
        _text("maintenance_or_initial", 75, 75),
    ),
    # "Type T Record - Standard and Expanded": the Paris format has the two currencies the other way round.
    "T": (
        _text("from_currency", 3, 5, needed=True),
        _text("from_code", 6, 6),
        _text("to_currency", 7, 9, needed=True),
        _text("to_code", 10, 10),
        _digits("rate", 11, 20, 6, needed=True),
    ),
    # "Type 1 - Expanded and Paris Expanded".
    "1": (_text("exchange", 3, 5, needed=True), _text("code", 8, 9)),
    # "Type P Record - Standard and Expanded". The forward fields 127-143 are of no use here.
    "P": (
        _text("exchange", 3, 5, needed=True),
        _text("commodity", 6, 15, needed=True),
        _text("type", 16, 18, needed=True),
        _text("name", 19, 33),
        _signed("settlement_decimals", 34, 36, needed=True),
        _signed("strike_decimals", 37, 39),
        _text("settlement_alignment", 40, 40),
        _text("strike_alignment", 41, 41),
        _digits("value_factor", 42, 55, 7, needed=True),
        _digits("cabinet_value", 56, 63, 2),
        _digits("quoted_quantity", 64, 65),
        _text("currency", 66, 68),
        _text("currency_code", 69, 69),
        _text("quotation", 70, 72),
        _digits("value_factor_exponent", 74, 75, sign=73, any_sign=True),
        _text("exercise", 76, 79),
        _text("long_name", 80, 114),
        _text("positionable", 115, 115),
        _text("money", 116, 116),
        _text("valuation", 117, 121),
        _text("settlement", 122, 126),
        _text("variable_tick", 161, 161),
        _text("quotation_currency", 162, 164),
    ),
    # "Type 5 - Expanded". Continued by further 5 records.
    "5": (
        _text("group", 3, 5, needed=True),
        Repeated("commodities", 10, (_text("", 13, 18, step=6),)),
    ),
    # "Type 2 - Expanded". Continued by further 2 records of the same combined commodity.
    "2": (
        _text("exchange", 3, 5, needed=True),
        _text("code", 7, 12, needed=True),
        _digits("risk_exponent", 13, 13),
        _text("currency", 14, 16, needed=True),
        _text("currency_code", 17, 17),
        _text("margin_style", 18, 18),
        _text("limit_option_value", 19, 19),
        _text("combination_method", 20, 20),
        Repeated(
            "families",
            6,
            (
                _text("commodity", 23, 32, step=16),
                _text("type", 33, 35, step=16),
                _digits("array_decimals", 36, 36, sign=37, any_sign=True, step=16),
            ),
        ),
    ),
    # "Type S - Expanded Format and Paris Expanded". Continued by further S records of the same method.
    "S": (
        _text("code", 3, 8, needed=True),
        _text("method", 9, 10, needed=True),
        _digits("n_tiers", 11, 12),
        Repeated(
            "tiers",
            5,
            (
                _digits("tier", 13, 14, step=14),
                _text("first_month", 15, 20, step=14),
                _text("last_month", 21, 26, step=14),
                _text("first_day", 84, 85, step=4),
                _text("last_day", 86, 87, step=4),
                _digits("short_option_rate", 104, 110, step=7),
            ),
        ),
        _text("weighted_risk", 83, 83),
    ),
    # "Type 3 - Expanded". Continued by further 3 records.
    "3": (
        _text("code", 3, 8, needed=True),
        _text("method", 9, 10),
        Repeated(
            "tiers",
            4,
            (
                _digits("tier", 11, 12, step=14),
                _text("first_month", 13, 18, step=14),
                _text("last_month", 19, 24, step=14),
                _text("first_day", 81, 82, step=4),
                _text("last_day", 83, 84, step=4),
            ),
        ),
        _digits("initial_ratio_member", 69, 72, 3),
        _digits("initial_ratio_hedger", 73, 76, 3),
        _digits("initial_ratio_speculator", 77, 80, 3),
    ),
    # "Type E Record - Standard" ("the same in both formats"). More than four legs: further E records of that priority.
    "E": (
        _text("code", 3, 8, needed=True),
        _digits("priority", 9, 13, needed=True),
        _digits("charge_rate", 14, 20, needed=True),
        Repeated(
            "legs",
            4,
            (
                _text("month", 21, 24, step=14),
                _text("rest", 25, 27, step=14),
                _digits("ratio", 28, 33, 4, step=14),
                _text("side", 34, 34, step=14),
            ),
        ),
    ),
    # "Type C - Expanded Format and Paris Expanded": as the genuine record has it, room for eight legs in 77 columns.
    "C": (
        _text("code", 3, 8, needed=True),
        _text("method", 9, 10),
        _digits("priority", 11, 12, needed=True),
        _digits("n_legs", 13, 14),
        _digits("charge_rate", 15, 21, needed=True),
        Repeated(
            "legs",
            8,
            (
                _digits("leg", 22, 23, step=7),
                _digits("tier", 24, 25, step=7),
                _digits("ratio", 26, 27, step=7),
                _text("side", 28, 28, step=7),
            ),
        ),
    ),
    # "Type 4 - Expanded", method 10; two months a record, continued by further 4 records. Of method 11, whose columns
    # 11-62 say something else, only the columns from 63 on are used.
    "4": (
        _text("code", 3, 8, needed=True),
        _text("method", 9, 10),
        _digits("n_months", 11, 12),
        Repeated(
            "months",
            2,
            (
                _digits("number", 13, 14, step=22),
                _text("month", 15, 20, step=22),
                _digits("spread_rate", 21, 27, step=22),
                _digits("outright_rate", 28, 34, step=22),
                _text("day", 57, 58, step=2),
            ),
        ),
        _digits("short_option_rate", 63, 69),
        _digits("adjustment_member", 70, 72, 2),
        _digits("adjustment_hedger", 73, 75, 2),
        _digits("adjustment_speculator", 76, 78, 2),
        _text("short_option_method", 79, 79),
    ),
    # "Type B - Expanded".
    "B": (
        _text("exchange", 3, 5, needed=True),
        _text("commodity", 6, 15, needed=True),
        _text("type", 16, 18, needed=True),
        _text("contract_month", 19, 24),
        _text("contract_day", 25, 26),
        _text("option_month", 28, 33),
        _text("option_day", 34, 35),
        _digits("base_vol", 37, 44, 6),
        _digits("vol_scan", 45, 52, 6),
        _digits("price_scan", 53, 57),
        _digits("extreme_multiple", 58, 62, 3),
        _digits("extreme_cover", 63, 67, 4),
        _digits("interest_rate", 68, 72, 4),
        _digits("expiry_years", 73, 79, 6),
        _digits("lookahead_years", 80, 85, 6),
        _digits("delta_scale", 86, 91, 4),
        _text("settlement_date", 92, 99),
        _text("underlying", 100, 109),
        _text("pricing_model", 110, 111),
        _digits("yield", 112, 119, 6),
        _text("reference_price_flag", 120, 120),
        _digits("reference_price", 121, 127, sign=128),
        _digits("value_factor", 129, 142, 7),
        _digits("value_factor_exponent", 143, 144, sign=145),
        _digits("base_vol_exponent", 146, 147, sign=148),
        _digits("vol_scan_exponent", 149, 150, sign=151),
        _digits("discount_factor", 152, 163, 10),
        _text("vol_scan_quotation", 164, 164),
        _text("price_scan_quotation", 165, 165),
        _digits("price_scan_exponent", 166, 167, sign=168),
    ),
    # "Type V - Expanded": daily adjustment rates.
    "V": (
        _text("exchange", 3, 5, needed=True),
        _text("commodity", 6, 15, needed=True),
        _text("contract_month", 16, 21),
        _text("contract_day", 22, 23),
        _text("business_date", 24, 31),
        _digits("long_rate", 32, 44, 8, sign=45),
        _text("long_premium_or_discount", 46, 46),
        _digits("short_rate", 47, 59, 8, sign=60),
        _text("short_premium_or_discount", 61, 61),
        _text("short_rate_flag", 62, 62),
        _digits("long_maintenance", 63, 65, 2),
        _digits("short_maintenance", 66, 68, 2),
        _text("reset_long", 69, 69),
        _digits("reset_long_down", 70, 72, 2),
        _digits("reset_long_up", 73, 75, 2),
        _text("reset_short", 76, 76),
        _digits("reset_short_down", 77, 79, 2),
        _digits("reset_short_up", 80, 82, 2),
        _text("product_class", 83, 88),
    ),
    # "Type X Record - Standard and Expanded": how combinations are margined.
    "X": (
        _text("combination_method", 3, 3),
        _text("commodity", 4, 13, needed=True),
        _digits("price_offset", 14, 20),
    ),
    # "Type Y Record": an option product and the combination product that it is on.
    "Y": (_text("commodity", 3, 12, needed=True), _text("option", 13, 22, needed=True)),
    # "Type Z Record - Standard and Expanded": one leg of one combination.
    "Z": (
        _text("exchange", 3, 5, needed=True),
        _text("commodity", 6, 15, needed=True),
        _text("combination_type", 16, 20),
        _text("contract_month", 21, 26),
        _text("contract_day", 27, 28),
        _digits("leg", 36, 38),
        _text("side", 39, 39),
        _digits("ratio", 40, 42),
        _text("leg_commodity", 43, 52),
        _text("leg_type", 53, 55),
        _text("leg_month", 56, 61),
        _text("leg_day", 62, 63),
        _text("ratio_fraction", 64, 67),
        _text("price_available", 68, 68),
        _text("price_usage", 69, 70),
        _digits("price", 71, 77, sign=78, any_sign=True),
    ),
    # "Type 6 - Expanded". The rate may begin with a minus: a charge. More than four legs: further 6 records.
    "6": (
        _text("group", 3, 5, needed=True),
        _digits("priority", 6, 9, needed=True),
        _signed("credit_rate_percent", 10, 16, 4, needed=True),
        Repeated(
            "legs",
            4,
            (
                _text("exchange", 17, 19, step=18),
                _text("required", 20, 20, step=18),
                _text("code", 21, 26, step=18),
                _digits("ratio", 27, 33, 4, step=18),
                _text("side", 34, 34, step=18),
                _digits("tier", 102, 103, step=2),
                _signed("rate_percent", 123, 129, 4, step=7),
            ),
        ),
        _text("method", 89, 90),
        _text("target.exchange", 91, 93),
        _text("target.required", 94, 94),
        _text("target.code", 95, 100),
        _text("credit_method", 101, 101),
        _text("spread_group", 110, 110),
        _digits("target.ratio", 111, 117, 4),
        _digits("min_legs", 118, 121),
        _text("rate_by_leg", 122, 122),
        _text("regulatory_status", 151, 151),
    ),
    # "Type 8 - Expanded", both records; 81 has values 1-9, 82 has values 10-16 and what else there is. The sign of the
    # high-precision settlement price is that of the other one (CME Clearing advisory 10-147).
    "81": (
        *_CONTRACT,
        Repeated("values_1_to_9", 9, (_digits("", 55, 59, sign=60, step=6, needed=True),)),
        _text("hp_settlement_raw", 109, 122),
        _digits("hp_settlement", 109, 122),
        _text("hp_flag", 123, 123),
    ),
    "82": (
        *_CONTRACT,
        Repeated("values_10_to_16", 7, (_digits("", 55, 59, sign=60, step=6, needed=True),)),
        _digits("delta", 97, 101, 4, sign=102, needed=True),
        _digits("implied_vol", 103, 110, 6),
        _digits("settlement", 111, 117, sign=118),
        _digits("strike", 48, 54, sign=119),
        _digits("current_delta", 120, 124, 4, sign=125),
        _text("current_delta_day", 126, 126),
        _digits("start_of_day_price", 127, 133, sign=134),
        _digits("implied_vol_exponent", 135, 136, sign=137),
        _digits("value_factor", 138, 151, 7),
        _digits("value_factor_exponent", 152, 153, sign=154),
        _digits("strike_value_factor", 155, 168, 7),
        _digits("strike_value_factor_exponent", 169, 170, sign=171),
    ),
}

_FIELDS: dict[str, dict[str, Field | Repeated]] = {
    kind: {field.name: field for field in layout} for kind, layout in RECORDS.items()
}
_SIGNS = {"-": -1, "+": 1, " ": 1, "": 1}


def record_kind(line: str) -> str:
    """Id of a record: the first two columns, of which most kinds use one."""
    return line[:2].rstrip()


def field_of(kind: str, name: str) -> Field:
    """A field of a layout."""
    field = _FIELDS[kind][name]
    assert isinstance(field, Field)
    return field


def repeated_of(kind: str, name: str) -> Repeated:
    """Repeated fields of a layout."""
    repeated = _FIELDS[kind][name]
    assert isinstance(repeated, Repeated)
    return repeated


class Record:
    """One line, read by the layout of its kind, a field when it is asked for; what is wrong goes on a list.

    Parameters
    ----------
    kind : str
        Key in `RECORDS`.
    line : str
        Without its line end.
    row : int or None
        Its number in the file.
    file : str
        Name for messages.
    problems : list of Problem
        Where problems go.
    """

    __slots__ = ("_fields", "_repetition", "file", "kind", "line", "problems", "row")

    def __init__(self, kind: str, line: str, row: int | None, file: str, problems: list[Problem]) -> None:
        self.kind, self.line, self.row, self.file, self.problems = kind, line, row, file, problems
        self._fields = _FIELDS[kind]
        self._repetition: int | None = None

    def wrong(self, found: str, needed: str, column: str = "") -> None:
        """Put a problem of this line on the list."""
        self.problems.append(
            Problem(found=found, needed=needed, file=self.file, row=self.row, column=column, kind=FileFormatError)
        )

    def text(self, name: str) -> str:
        """A field as text without outer blanks; empty where it is blank."""
        field = self._field(name)
        text = self.line[field.first - 1 : field.last].strip()
        if not text and field.needed:
            self._missing(field)
        elif not text.isprintable():
            self._wrong_field(field, text, "Only characters that can be shown.")
            return ""
        return text

    def units(self, name: str) -> int | None:
        """The digits of a field as a whole number with its sign; `None` where it is blank or wrong."""
        field = self._field(name)
        part = self.line[field.first - 1 : field.last]
        digits = part.lstrip(" ")
        if not digits:
            if field.needed:
                self._missing(field)
            return None
        if len(part) <= field.last - field.first:
            self._wrong_field(field, part, "The line ends inside of them; restore the whole record.")
            return None
        negative = field.holds is Holds.SIGNED and digits.startswith("-")
        if negative:
            digits = digits[1:]
        if not (digits.isascii() and digits.isdecimal()):
            self._wrong_field(field, part, "Digits.")
            return None
        value = -int(digits) if negative else int(digits)
        if field.sign:
            sign = self.line[field.sign - 1 : field.sign]
            if sign not in _SIGNS and not field.any_sign:
                self._wrong_field(field, sign, f"A sign in column {field.sign}: +, - or blank.")
                return None
            value *= _SIGNS.get(sign, 1)
        return value

    def number(self, name: str) -> float | None:
        """A field as the number that it says, exactly rounded; `None` where it is blank or wrong."""
        units = self.units(name)
        return None if units is None else units / 10 ** self._field(name).decimals

    def scaled(self, name: str, exponent: str) -> float | None:
        """A field times 10 to the power that another field states, exactly rounded; a blank power is 0."""
        units, power = self.units(name), self.units(exponent) or 0
        return None if units is None else scaled(units, power - self._field(name).decimals)

    def each(self, name: str) -> Iterator[Record]:
        """The repetitions of repeated fields that are not blank, each as a record of their names."""
        repeated = self._fields[name]
        assert isinstance(repeated, Repeated)
        for repetition in range(repeated.times):
            places = [field.at(repetition) for field in repeated.fields]
            needed = any(field.needed for field in places)
            if needed or any(self.line[place.first - 1 : place.last].strip() for place in places):
                slot = Record(self.kind, self.line, self.row, self.file, self.problems)
                slot._fields = {place.name: place for place in places}
                slot._repetition = repetition
                yield slot

    def _field(self, name: str) -> Field:
        field = self._fields[name]
        assert isinstance(field, Field)
        return field

    def _missing(self, field: Field) -> None:
        end = "" if len(self.line) >= field.last else f"; the line ends at column {len(self.line)}"
        self.wrong(f"record '{self.kind}' is blank in {_columns(field)}{end}", "State it.", self._shown(field))

    def _wrong_field(self, field: Field, found: str, needed: str) -> None:
        self.wrong(f"record '{self.kind}' has '{shown(found)}' in {_columns(field)}", needed, self._shown(field))

    def _shown(self, field: Field) -> str:
        name = field.name.replace("_", " ").replace(".", " ") or "value"
        return name if self._repetition is None else f"{name} {self._repetition + 1}"


def scaled(units: int, power: int) -> float:
    """`units * 10**power`, exactly rounded."""
    return float(units * 10**power) if power >= 0 else units / 10**-power


def _columns(field: Field) -> str:
    return f"column {field.first}" if field.first == field.last else f"columns {field.first}-{field.last}"


def parse_record(line: str) -> dict[str, Any]:
    """What one record says, by the names of its fields.

    Parameters
    ----------
    line : str
        With or without its line end; trailing blanks may be missing.

    Returns
    -------
    dict
        Text as `str`, whole numbers as `int`, numbers with decimals as `float`, `None` where a number is blank.

    Raises
    ------
    FileFormatError
        With every field that cannot be read, or if the layout of this kind of record is not known.

    Examples
    --------
    >>> parse_record("1 CBT  01")
    {'exchange': 'CBT', 'code': '01'}
    """
    line = line.rstrip("\r\n\x1a")
    kind = record_kind(line)
    if kind not in RECORDS:
        raise FileFormatError(
            Problem(
                found=f"the layout of record '{shown(kind)}' is not known",
                needed=f"Records are of the kinds {', '.join(RECORDS)}.",
                kind=FileFormatError,
            )
        )
    problems: list[Problem] = []
    found = _said(Record(kind, line, None, "", problems), RECORDS[kind])
    raise_problems(problems)
    return found


def _said(record: Record, fields: Sequence[Field | Repeated]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for field in fields:
        if isinstance(field, Repeated):
            slots = [_said(slot, field.fields) for slot in record.each(field.name)]
            said[field.name] = [slot.get("", slot) for slot in slots]
            continue
        value: str | int | float | None
        if field.holds is Holds.TEXT:
            value = record.text(field.name)
        elif field.decimals:
            value = record.number(field.name)
        else:
            value = record.units(field.name)
        outer, _, inner = field.name.rpartition(".")
        (said.setdefault(outer, {}) if outer else said)[inner] = value
    return said
