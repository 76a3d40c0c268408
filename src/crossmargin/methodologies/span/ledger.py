"""The delta ledger: spreads formed one after the other, each with the delta that those before it have left.

Sequential by nature, so it is written as the rulebook tells it: account by account, stage by stage, a number at a
time. The functions here are plain Python; a large book runs the same functions compiled (`compiled_ledger`), and tests
compare the two to the bit. Hence the style: loops, scalars, arrays that are handed in and written to, no numpy calls on
slices.

What must hold, and is tested: a delta is consumed at most once, so of every month `original = consumed + remaining`; a
spread takes of each leg the same number times the leg's ratio; a spread of which a leg is absent is not formed. Tiers
that overlap stay consistent, since all of them read the months that they are made of.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from crossmargin.basics.arrays import FloatArray, IntArray
from crossmargin.methodologies.span.rules import LedgerRules

# As `rules.Code`: plain numbers, which compile.
FLAT, PER_MONTH, WEIGHTED, FLAT_CREDIT, SCANNING, LIMIT = range(6)
_SAME = 1e-12
"""What differs by less, relative to itself, is the same delta after another order of roundings."""


class LedgerBook(NamedTuple):
    """Positions as the ledger reads them; read-only.

    Parameters
    ----------
    account_units : (n_accounts + 1,)
        Units of each margin account.
    forms_spreads : (n_accounts,)
        0 for a gross account, whose clients hedge nobody.
    unit_commodity, unit_held : (n_units,)
        Combined commodity of each unit, and whether it holds a position (a target of scanning may hold none).
    unit_months : (n_units + 1,)
        Entries of `month` of each unit, ascending by period.
    month : (n_unit_months,)
        Which month of the rules.
    net_delta : (n_unit_months,)
        Sum of quantity times composite delta times delta scale.
    tier_offsets : (n_units + 1,)
        Entries of `tier` of each unit: only of those that inter-commodity spreads name.
    tier, tier_price_risk : (n_unit_tiers,)
        Row of the tier, and the futures price risk of what the unit holds in it.
    """

    account_units: IntArray
    forms_spreads: IntArray
    unit_commodity: IntArray
    unit_held: IntArray
    unit_months: IntArray
    month: IntArray
    net_delta: FloatArray
    tier_offsets: IntArray
    tier: IntArray
    tier_price_risk: FloatArray


class LedgerFigures(NamedTuple):
    """What the ledger writes. On entry `loss` to `price_risk` are those of each unit by itself; the rest is 0.

    Parameters
    ----------
    loss : (n_units, 16)
        Loss in each scenario; of the legs of a scanning-based spread 0 afterwards, of its target that of all.
    scan_risk, time_risk, vol_risk, price_risk : (n_units,)
        As `decompose` says, afterwards likewise.
    scenario : (n_units,)
        The active scenario.
    stands_in : (n_units,)
        The unit that stands for it: itself, or the target that it was scanned into.
    held : (n_units,)
        Whether there is something to scan.
    original_delta : (n_units,)
        Net delta before any spread.
    calendar_charge, spot_charge, super_credit, inter_credit : (n_units,)
        Money.
    original, consumed, remaining : (n_unit_months,)
        Net delta of each month before any spread, what super and calendar spreads took of it (at least 0), and what no
        spread took.
    n_recorded : (2,)
        Spreads formed and entries made, also those for which there was no room.
    formed_account, formed_spread, formed_side, formed_count, formed_money : (room,)
        A spread that was formed: whose, its number, 1 where leg A is long and -1 where it is short, how many, and what
        it costs (a credit is negative).
    entry_formed, entry_month, entry_delta, entry_money : (room,)
        What it took of which month of a unit, signed, and that month's part of the money.
    """

    loss: FloatArray
    scan_risk: FloatArray
    time_risk: FloatArray
    vol_risk: FloatArray
    price_risk: FloatArray
    scenario: IntArray
    stands_in: IntArray
    held: IntArray
    original_delta: FloatArray
    calendar_charge: FloatArray
    spot_charge: FloatArray
    super_credit: FloatArray
    inter_credit: FloatArray
    original: FloatArray
    consumed: FloatArray
    remaining: FloatArray
    n_recorded: IntArray
    formed_account: IntArray
    formed_spread: IntArray
    formed_side: IntArray
    formed_count: FloatArray
    formed_money: FloatArray
    entry_formed: IntArray
    entry_month: IntArray
    entry_delta: FloatArray
    entry_money: FloatArray


def decompose(loss: FloatArray, row: int, paired: IntArray) -> tuple[float, int, float, float, float]:
    """Scan risk of one array of losses, and what of it is due to time, volatility and price.

    Returns
    -------
    scan_risk : float
        Largest loss, at least 0.
    scenario : int
        The lowest that attains the largest loss.
    time_risk, vol_risk, price_risk : float
        Mean of the two scenarios without a price move; half the difference that volatility makes in the active
        scenario; what is left of scan risk, at least 0.

    References
    ----------
    ice-span: section 2.5, "Intercommodity spread credit"
    """
    scenario = 0
    for s in range(1, loss.shape[1]):
        if loss[row, s] > loss[row, scenario]:
            scenario = s
    worst = loss[row, scenario]
    time_risk = (loss[row, 0] + loss[row, 1]) / 2
    if worst < 0:  # a gain in every scenario: there is no scan risk, and nothing to pair
        vol_risk = (loss[row, 0] - loss[row, 1]) / 2
        return 0.0, scenario, time_risk, vol_risk, max(0.0, -time_risk - vol_risk)
    vol_risk = (worst - loss[row, paired[scenario]]) / 2
    return worst + 0.0, scenario, time_risk, vol_risk, max(0.0, worst - time_risk - vol_risk)


def decompose_all(
    loss: FloatArray,
    paired: IntArray,
    first: int,
    last: int,
    scan_risk: FloatArray,
    scenario: IntArray,
    time_risk: FloatArray,
    vol_risk: FloatArray,
    price_risk: FloatArray,
) -> None:
    """`decompose` of the rows `first` to `last` of `loss`, half open."""
    for row in range(first, last):
        scan, active, of_time, of_vol, of_price = decompose(loss, row, paired)
        scan_risk[row] = scan
        scenario[row] = active
        time_risk[row] = of_time
        vol_risk[row] = of_vol
        price_risk[row] = of_price


def settle(
    rules: LedgerRules, paired: IntArray, book: LedgerBook, figures: LedgerFigures, first: int, last: int
) -> None:
    """Form the spreads of the margin accounts `first` to `last`, half open, in the order of the rulebook.

    Super spreads, calendar spreads, the delivery-month charge, inter-commodity and inter-clearing spreads.
    """
    unit_of = np.full(len(rules.weighted_risk), -1, dtype=np.int64)
    waiting = np.empty(len(rules.super_spread) + len(rules.inter_spread), dtype=np.int64)
    for account in range(first, last):
        start, end = book.account_units[account], book.account_units[account + 1]
        for unit in range(start, end):
            _open(book, figures, unit)
        spreads = book.forms_spreads[account] == 1
        if spreads:
            for unit in range(start, end):
                unit_of[book.unit_commodity[unit]] = unit
            _between(rules, paired, book, figures, account, unit_of, waiting, True)
            for unit in range(start, end):
                _calendars(rules, book, figures, account, unit)
        for unit in range(start, end):
            _spot_charge(rules, book, figures, unit)
        if spreads:
            _between(rules, paired, book, figures, account, unit_of, waiting, False)
            for unit in range(start, end):
                unit_of[book.unit_commodity[unit]] = -1


def _open(book: LedgerBook, figures: LedgerFigures, unit: int) -> None:
    """Enter the net deltas of a unit."""
    figures.stands_in[unit] = unit
    figures.held[unit] = book.unit_held[unit]
    total = 0.0
    for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
        figures.original[k] = book.net_delta[k]
        figures.remaining[k] = book.net_delta[k]
        total += book.net_delta[k]
    figures.original_delta[unit] = total


def _available(
    rules: LedgerRules, book: LedgerBook, figures: LedgerFigures, leg: int, unit: int, sign: int, netted: bool
) -> float:
    """Delta that is left for a leg on one side of the market, at least 0.

    `netted`: long and short months of the leg offset first, as between commodities; otherwise only the months on that
    side count, as within one.
    """
    total = 0.0
    for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
        if rules.leg_first[leg] <= book.month[k] and book.month[k] < rules.leg_last[leg]:
            value = sign * figures.remaining[k]
            if netted or value > 0.0:
                total += value
    return max(total, 0.0)


def _consume(
    rules: LedgerRules,
    book: LedgerBook,
    figures: LedgerFigures,
    leg: int,
    unit: int,
    sign: int,
    delta: float,
    money: float,
    before_spot: bool,
) -> None:
    """Take `delta` out of the months of a leg, the earliest first, and note each with its part of the money."""
    formed = figures.n_recorded[0] - 1
    if formed < len(figures.formed_money):
        figures.formed_money[formed] += money
    left = delta
    for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
        if left <= 0.0:
            break
        if rules.leg_first[leg] <= book.month[k] and book.month[k] < rules.leg_last[leg]:
            value = sign * figures.remaining[k]
            if value <= 0.0:
                continue
            if value - left <= _SAME * value:
                taken = value
                figures.remaining[k] = 0.0
            else:
                taken = left
                figures.remaining[k] -= sign * taken
            if before_spot:
                figures.consumed[k] += taken
            _enter(figures, k, sign * taken, money * (taken / delta))
            left -= taken


def _enter(figures: LedgerFigures, month: int, delta: float, money: float) -> None:
    """Note what the spread formed last took of a month."""
    entry = figures.n_recorded[1]
    if entry < len(figures.entry_month):
        figures.entry_formed[entry] = figures.n_recorded[0] - 1
        figures.entry_month[entry] = month
        figures.entry_delta[entry] = delta
        figures.entry_money[entry] = money
    figures.n_recorded[1] = entry + 1


def _form(figures: LedgerFigures, account: int, spread: int, side: int, count: float) -> None:
    """Note a spread; its entries, and the money of each leg, follow."""
    number = figures.n_recorded[0]
    if number < len(figures.formed_spread):
        figures.formed_account[number] = account
        figures.formed_spread[number] = spread
        figures.formed_side[number] = side
        figures.formed_count[number] = count
        figures.formed_money[number] = 0.0
    figures.n_recorded[0] = number + 1


def _calendars(rules: LedgerRules, book: LedgerBook, figures: LedgerFigures, account: int, unit: int) -> None:
    """Calendar spreads of one combined commodity, by priority: A long against B short, then the other way round."""
    commodity = book.unit_commodity[unit]
    if book.unit_months[unit + 1] - book.unit_months[unit] < 2:
        return  # a single month has one net delta, on one side
    for spread in range(rules.calendar_offsets[commodity], rules.calendar_offsets[commodity + 1]):
        for side in (1, -1):
            count = np.inf
            for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
                sign = side if rules.leg_side[leg] == 0 else -side
                count = min(count, _available(rules, book, figures, leg, unit, sign, False) / rules.leg_ratio[leg])
            if count <= 0.0:
                continue
            n_legs = rules.leg_offsets[spread + 1] - rules.leg_offsets[spread]
            charge = 0.0
            if rules.code[spread] == FLAT:
                charge = count * rules.rate[spread]
            elif rules.code[spread] == PER_MONTH:
                months = _months_between(rules, spread)
                charge = count * (rules.rate[spread] + rules.rate_per_month[spread] * months)
            else:
                for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
                    charge -= _credit(rules, book, figures, leg, unit, count, False)
            _form(figures, account, spread, side, count)
            for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
                sign = side if rules.leg_side[leg] == 0 else -side
                of_leg = charge / n_legs
                _consume(rules, book, figures, leg, unit, sign, count * rules.leg_ratio[leg], of_leg, True)
            figures.calendar_charge[unit] += charge


def _months_between(rules: LedgerRules, spread: int) -> int:
    """Months from the earliest leg of a spread to the latest, each at the first month that is listed of it."""
    earliest, latest = 2**62, -(2**62)
    for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
        if rules.leg_first[leg] < rules.leg_last[leg]:
            number = rules.month_number[rules.leg_first[leg]]
            earliest, latest = min(earliest, number), max(latest, number)
    return max(latest - earliest, 0)


def _spot_charge(rules: LedgerRules, book: LedgerBook, figures: LedgerFigures, unit: int) -> None:
    """Delivery-month charge: one rate for the delta of a month that spreads took, one for what is outright."""
    charge = 0.0
    for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
        month = book.month[k]
        charge += figures.consumed[k] * rules.spot_spread_rate[month]
        charge += abs(figures.remaining[k]) * rules.spot_outright_rate[month]
    figures.spot_charge[unit] = charge


def _between(
    rules: LedgerRules,
    paired: IntArray,
    book: LedgerBook,
    figures: LedgerFigures,
    account: int,
    unit_of: IntArray,
    waiting: IntArray,
    is_super: bool,
) -> None:
    """Spreads between combined commodities, by priority."""
    offsets, spreads = rules.inter_offsets, rules.inter_spread
    if is_super:
        offsets, spreads = rules.super_offsets, rules.super_spread
    n_waiting = 0
    for unit in range(book.account_units[account], book.account_units[account + 1]):
        commodity = book.unit_commodity[unit]
        for k in range(offsets[commodity], offsets[commodity + 1]):
            # In order of number, which is that of priority; a spread that several legs brought stands once.
            place = n_waiting
            while place > 0 and waiting[place - 1] > spreads[k]:
                place -= 1
            if place > 0 and waiting[place - 1] == spreads[k]:
                continue
            for j in range(n_waiting, place, -1):
                waiting[j] = waiting[j - 1]
            waiting[place] = spreads[k]
            n_waiting += 1
    limit = np.inf
    for k in range(n_waiting):
        spread = waiting[k]
        if rules.code[spread] == SCANNING:
            _scan_together(rules, paired, book, figures, account, unit_of, spread)
        elif rules.code[spread] == LIMIT:
            limit = max(
                _count(rules, book, figures, unit_of, spread, 1), _count(rules, book, figures, unit_of, spread, -1)
            )
        else:
            for side in (1, -1):
                count = _count(rules, book, figures, unit_of, spread, side)
                if rules.limited[spread] == 1:
                    count = min(count, limit)
                    limit -= count
                if count > 0.0:
                    _credit_spread(rules, book, figures, account, unit_of, spread, side, count, is_super)


def _count(
    rules: LedgerRules, book: LedgerBook, figures: LedgerFigures, unit_of: IntArray, spread: int, side: int
) -> float:
    """How many spreads the remaining net deltas of all legs allow; 0 if a leg is absent or on the wrong side."""
    count = np.inf
    for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
        unit = unit_of[rules.leg_commodity[leg]]
        if unit < 0:
            return 0.0
        sign = side if rules.leg_side[leg] == 0 else -side
        count = min(count, _available(rules, book, figures, leg, unit, sign, True) / rules.leg_ratio[leg])
        if count <= 0.0:
            return 0.0
    return count


def _credit_spread(
    rules: LedgerRules,
    book: LedgerBook,
    figures: LedgerFigures,
    account: int,
    unit_of: IntArray,
    spread: int,
    side: int,
    count: float,
    is_super: bool,
) -> None:
    """Give each leg of a spread its credit and take its delta."""
    n_legs = rules.leg_offsets[spread + 1] - rules.leg_offsets[spread]
    _form(figures, account, spread, side, count)
    for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
        unit = unit_of[rules.leg_commodity[leg]]
        credit = _leg_credit(rules, book, figures, leg, unit, spread, count, n_legs, is_super)
        if is_super:
            figures.super_credit[unit] += credit
        else:
            figures.inter_credit[unit] += credit
        sign = side if rules.leg_side[leg] == 0 else -side
        _consume(rules, book, figures, leg, unit, sign, count * rules.leg_ratio[leg], -credit, is_super)


def _leg_credit(
    rules: LedgerRules,
    book: LedgerBook,
    figures: LedgerFigures,
    leg: int,
    unit: int,
    spread: int,
    count: float,
    n_legs: int,
    is_super: bool,
) -> float:
    """Credit of one leg for `count` spreads between commodities."""
    if rules.code[spread] == FLAT_CREDIT:
        return float(count * rules.rate[spread] / n_legs)
    if rules.code[spread] == FLAT:
        return float(-count * rules.rate[spread] / n_legs)
    if rules.code[spread] == PER_MONTH:
        months = _months_between(rules, spread)
        return float(-count * (rules.rate[spread] + rules.rate_per_month[spread] * months) / n_legs)
    return _credit(rules, book, figures, leg, unit, count, is_super)


def _credit(
    rules: LedgerRules,
    book: LedgerBook,
    figures: LedgerFigures,
    leg: int,
    unit: int,
    count: float,
    is_super: bool,
) -> float:
    """Weighted price risk of the delta that `count` spreads take of a leg, times the rate of the leg."""
    of_delta = _weighted_price_risk(rules, book, figures, leg, unit, is_super)
    return float(of_delta * (count * rules.leg_ratio[leg]) * rules.leg_rate[leg])


def _weighted_price_risk(
    rules: LedgerRules, book: LedgerBook, figures: LedgerFigures, leg: int, unit: int, is_super: bool
) -> float:
    """Futures price risk for each delta of a leg.

    By the net delta *before* any spread, not by what is left: a delta is worth the same to every spread. Capped at, or
    replaced by, the price scan range where the file says so; in a super spread also capped at scan risk for each delta.
    """
    delta, risk = figures.original_delta[unit], figures.price_risk[unit]
    if rules.leg_tier[leg] >= 0:
        delta, risk = 0.0, 0.0
        for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
            if rules.leg_first[leg] <= book.month[k] and book.month[k] < rules.leg_last[leg]:
                delta += figures.original[k]
        for k in range(book.tier_offsets[unit], book.tier_offsets[unit + 1]):
            if book.tier[k] == rules.leg_tier[leg]:
                risk = book.tier_price_risk[k]
    of_delta = 0.0
    if delta != 0.0:
        of_delta = risk / abs(delta)
    kind = rules.weighted_risk[book.unit_commodity[unit]]
    if kind > 0:
        # The near month: the earliest that the unit holds something in.
        for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
            scan_range = rules.month_range[book.month[k]]
            if figures.original[k] != 0.0 and scan_range > 0.0:  # an unknown range is no number, and not above 0
                of_delta = min(of_delta, scan_range) if kind == 1 else scan_range
                break
    if is_super and figures.original_delta[unit] != 0.0:
        of_delta = min(of_delta, figures.scan_risk[unit] / abs(figures.original_delta[unit]))
    return of_delta


def _scan_together(
    rules: LedgerRules,
    paired: IntArray,
    book: LedgerBook,
    figures: LedgerFigures,
    account: int,
    unit_of: IntArray,
    spread: int,
) -> None:
    """A spread based on scanning: the legs' arrays are added up in a target, their gains by a fraction only.

    The target then stands for its legs: with the scan risk of the sum, and with their deltas in its own months. Its own
    positions are a leg like the others.
    """
    target = unit_of[rules.target[spread]]
    if target < 0:
        return
    n_here = figures.held[target]
    if rules.target_required[spread] == 1 and n_here == 0:
        return
    for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
        unit = unit_of[rules.leg_commodity[leg]]
        is_here = unit >= 0 and figures.held[unit] == 1
        if rules.leg_required[leg] == 1 and not is_here:
            return
        if is_here and unit != target:
            n_here += 1
    if n_here < rules.minimum_legs[spread]:
        return
    _form(figures, account, spread, 1, 1.0)
    gain = rules.rate[spread]
    for s in range(figures.loss.shape[1]):
        figures.loss[target, s] = _counted(figures.loss[target, s], gain)
    for leg in range(rules.leg_offsets[spread], rules.leg_offsets[spread + 1]):
        unit = unit_of[rules.leg_commodity[leg]]
        if unit < 0 or unit == target or figures.held[unit] == 0:
            continue
        for s in range(figures.loss.shape[1]):
            figures.loss[target, s] += _counted(figures.loss[unit, s], gain)
            figures.loss[unit, s] = 0.0
        _move_delta(rules, book, figures, unit, target, rules.target_ratio[spread] / rules.leg_ratio[leg])
        figures.held[unit] = 0
        figures.scan_risk[unit] = 0.0
        figures.time_risk[unit] = 0.0
        figures.vol_risk[unit] = 0.0
        figures.price_risk[unit] = 0.0
        figures.original_delta[unit] = 0.0
        # Units that were scanned into this one before go along.
        for other in range(book.account_units[account], book.account_units[account + 1]):
            if figures.stands_in[other] == unit:
                figures.stands_in[other] = target
    figures.held[target] = 1
    total = 0.0
    for k in range(book.unit_months[target], book.unit_months[target + 1]):
        total += figures.original[k]
    figures.original_delta[target] = total
    scan, scenario, of_time, of_vol, of_price = decompose(figures.loss, target, paired)
    figures.scan_risk[target] = scan
    figures.scenario[target] = scenario
    figures.time_risk[target] = of_time
    figures.vol_risk[target] = of_vol
    figures.price_risk[target] = of_price


def _counted(loss: float, gain: float) -> float:
    """A loss as it is, a gain by its fraction."""
    return loss if loss > 0.0 else gain * loss


def _move_delta(
    rules: LedgerRules, book: LedgerBook, figures: LedgerFigures, unit: int, target: int, ratio: float
) -> None:
    """Move what is left of a leg's deltas to its target: to the same period, else the next listed, else the last."""
    for k in range(book.unit_months[unit], book.unit_months[unit + 1]):
        delta = figures.remaining[k]
        if delta == 0.0:
            continue
        place = book.unit_months[target + 1] - 1
        for j in range(book.unit_months[target], book.unit_months[target + 1]):
            if rules.month_key[book.month[j]] >= rules.month_key[book.month[k]]:
                place = j
                break
        _enter(figures, k, delta, 0.0)
        figures.remaining[k] = 0.0
        figures.original[place] += delta * ratio
        figures.remaining[place] += delta * ratio
