"""What the pictures show, as data and as the sentence that stands above each.

Everything is arranged from the evaluation; nothing is priced here but the curves (`answers.curves`), and the isolated
figure of every position, which is the same recipe run on the book of that one account. A sentence says what the
figures say, under a stated rule, and nothing where they say nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from crossmargin.answers.curves import unit_curve
from crossmargin.basics.arrays import FloatArray
from crossmargin.basics.quantities import format_quantity
from crossmargin.basics.times import DAYS_PER_YEAR
from crossmargin.engine.evaluate import Evaluation
from crossmargin.instruments.terms import DatedFuture, Instrument, Perpetual, Right, VanillaOption
from crossmargin.methodologies.venue_grids.scenario_grid.method import GridResult
from crossmargin.methodologies.venue_grids.scenario_grid.parameters import AcrossUnits, GridParameters
from crossmargin.reports import numbers
from crossmargin.scenarios.grid import scenario_words

NAMED_OFFSETS = 6
CURVE_REACH = 1.5
"""The curve is drawn to this multiple of the grid's price range on both sides."""
CURVE_POINTS = 121
_SMALL = 0.05
"""Price "hardly matters" where it alone moves less than this fraction of the requirement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extended:
    """A scenario outside of the core grid: its move, the fraction that counts, and the P&L so counted."""

    move: float
    weight: float
    vol: int
    pnl: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GridPicture:
    """P&L of one risk unit in every scenario, as a ladder of price moves.

    Parameters
    ----------
    moves : ndarray of shape (n_moves,)
        Core price moves, ascending.
    times : tuple of str
        `now`, and the time step where there is one.
    pnl : ndarray of shape (n_times, n_moves, 3)
        Volatility down, same, up.
    extended : tuple of Extended
        By move, ascending.
    worst : tuple of int
        `(time, move, vol)` of the scenario that counts, or `(index,)` into `extended`.
    worst_pnl, words : float, str
        Its P&L and its name.
    index : float
        Price of the underlying now.
    common : bool
        Whether that scenario was chosen for the account as a whole.
    """

    account: str
    currency: str
    unit: str
    moves: FloatArray
    times: tuple[str, ...]
    pnl: FloatArray
    extended: tuple[Extended, ...]
    worst: tuple[int, ...]
    worst_pnl: float
    words: str
    index: float
    common: bool

    @property
    def finding(self) -> str:
        """Which of price and volatility hurts, from the P&L of each alone.

        "Not price" (or "not vol") is said where the one alone makes at most 30% of the worst loss and the other alone
        at least 60%.
        """
        if self.worst_pnl >= 0:
            if self.common:
                return "It gains in the account's worst common scenario" if self.worst_pnl else "Nothing to lose here"
            return "No scenario loses"
        if len(self.worst) == 1:
            tail = self.extended[self.worst[0]]
            return f"The tail decides: {numbers.move(tail.move)}, of which {numbers.percent(tail.weight)} counts"
        time, row, column = self.worst
        move, vol = float(self.moves[row]), ("vol down", "", "vol up")[column]
        price = f"A {'fall' if move < 0 else 'rise'} of {numbers.move(abs(move)).lstrip('+')}"
        unchanged = int(np.argmin(np.abs(self.moves)))
        loss = -self.worst_pnl
        by_price = -float(self.pnl[time, row, 1]) / loss
        by_vol = -float(self.pnl[time, unchanged, column]) / loss
        if row == unchanged:
            return f"{vol.capitalize()} at an unchanged price is the worst" if vol else "Time is the risk"
        if not vol:
            return f"{price} with vol unchanged is the worst"
        if by_vol >= 0.6 and by_price <= 0.3:
            return f"{vol.capitalize()} is the risk, not price"
        if by_price >= 0.6 and by_vol <= 0.3:
            added = f"; {vol} adds {numbers.percent(1 - by_price, decimals=0)}" if by_price < 0.995 else ""
            return f"{price} is the risk{added}"
        return f"{price} and {vol} hurt together"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CurvePicture:
    """P&L over price with volatilities unchanged; arrays of shape `(n_points,)`, requirement currency."""

    account: str
    currency: str
    unit: str
    moves: FloatArray
    now: FloatArray
    later: FloatArray
    days: float
    price_range: float
    requirement: float
    index: float
    at_range: tuple[float, float]
    rows: tuple[tuple[float, float, float], ...]
    common: bool
    worst: tuple[float, float, str] | None
    """Move, P&L and words of the scenario that counts, where it lies inside of the grid."""

    @property
    def finding(self) -> str:
        """What the two ends of the grid's range do, volatility unchanged."""
        down, up = self.at_range
        reach = numbers.move(self.price_range).lstrip("+")
        decimals = 0 if max(abs(down), abs(up)) >= 100 else 2
        inside = np.abs(self.now[np.abs(self.moves) <= self.price_range + 1e-12])
        most = float(inside.max(initial=0.0))
        if most <= _SMALL * self.requirement or most < 0.005:
            shown = numbers.money(most, decimals=decimals)
            return f"Price alone hardly matters: at most {shown} either way inside ±{reach}"
        at_down = f"{numbers.money(down, decimals=decimals, signed=True)} at {numbers.MINUS}{reach}"
        at_up = f"{numbers.money(up, decimals=decimals, signed=True)} at +{reach}"
        if down < 0 and up < 0:
            return f"It loses both ways: {at_down}, {at_up}"
        if down >= 0 and up >= 0:
            return f"It gains both ways: {at_down}, {at_up}"
        return f"A fall hurts: {at_down}, {at_up}" if down < 0 else f"A rise hurts: {at_up}, {at_down}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What a position's offsets are worth: `change` is its contribution minus what it needs alone."""

    label: str
    change: float
    isolated: float
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class WaterfallPicture:
    """From the isolated sum to the requirement; `isolated + sum(changes) = requirement`."""

    account: str
    currency: str
    isolated: float
    requirement: float
    steps: tuple[Step, ...]
    all_steps: tuple[Step, ...]

    @property
    def finding(self) -> str:
        """What netting is worth."""
        if self.isolated <= 0:
            return "Nothing is required, with or without offsets"
        saved = 1 - self.requirement / self.isolated
        if saved < 0.0005:
            return "Nothing offsets: together the positions need what they need alone"
        return f"Offsets save {numbers.percent(saved)} against isolated margin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """Share of a position in the requirement; `words` names it in a sentence."""

    label: str
    words: str
    unit: str
    pnl_worst: float
    contribution: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ContributionPicture:
    """Who eats the margin, largest first; they sum to the requirement."""

    account: str
    currency: str
    requirement: float
    items: tuple[Contribution, ...] = field(repr=False)

    @property
    def finding(self) -> str:
        """The largest contribution, and what takes margin back."""
        if self.requirement <= 0 or not self.items:
            return "Nothing is required"
        largest = self.items[0]
        if len(self.items) == 1:
            return f"The {largest.words} is all of it"
        share = largest.contribution / self.requirement
        sentence = f"The {largest.words} makes {numbers.percent(share, decimals=0)} of the requirement"
        back = -math.fsum(item.contribution for item in self.items if item.contribution < 0)
        if back / self.requirement >= 0.005:
            sentence += f"; hedges take back {numbers.percent(back / self.requirement, decimals=0)}"
        return sentence


def grid_pictures(evaluation: Evaluation, account: int) -> tuple[GridPicture, ...]:
    """Every risk unit of an account as a ladder; empty for a methodology without a grid."""
    requirements = evaluation.requirements
    result = requirements.breakdown
    if not isinstance(result, GridResult):
        return ()
    units = requirements.units.of(account)
    pnl = evaluation.methodology.scenarios(requirements, account).pnl
    contracts = result.book.contracts
    pictures = []
    for k, u in enumerate(units):
        underlying = contracts.inputs.instruments.underlyings[int(result.book.unit_underlying[u])]
        grid = contracts.scenarios[underlying]
        core = ~grid.extended
        moves = np.unique(grid.price_move[core])
        times = np.unique(grid.time_step_years[core])
        ladder = np.full((len(times), len(moves), 3), np.nan)
        place = (
            np.searchsorted(times, grid.time_step_years[core]),
            np.searchsorted(moves, grid.price_move[core]),
            grid.vol_direction[core] + 1,
        )
        ladder[place] = pnl[k][core]
        tails = np.flatnonzero(grid.extended)
        tails = tails[np.argsort(grid.price_move[tails], kind="stable")]
        counted = int(result.breakdown.scenario_worst[u])
        if grid.extended[counted]:
            worst: tuple[int, ...] = (int(np.flatnonzero(tails == counted)[0]),)
        else:
            at = int(np.flatnonzero(core).searchsorted(counted))
            worst = (int(place[0][at]), int(place[1][at]), int(place[2][at]))
        row = int(np.flatnonzero(contracts.inputs.instruments.underlying == result.book.unit_underlying[u])[0])
        pictures.append(
            GridPicture(
                account=requirements.margin_accounts[account],
                currency=requirements.currency,
                unit=requirements.units.names[u],
                moves=moves,
                times=tuple(_after(years) for years in times.tolist()),
                pnl=ladder,
                extended=tuple(
                    Extended(
                        move=float(grid.price_move[s]),
                        weight=float(grid.weight[s]),
                        vol=int(grid.vol_direction[s]),
                        pnl=float(pnl[k, s]),
                    )
                    for s in tails.tolist()
                ),
                worst=worst,
                worst_pnl=float(pnl[k, counted]),
                words=numbers.signs(scenario_words(underlying, grid, counted)),
                index=float(contracts.inputs.index[row]),
                common=is_common(evaluation) and len(units) > 1,
            )
        )
    return tuple(pictures)


def curve_picture(evaluation: Evaluation, account: int, unit: int, grid: GridPicture) -> CurvePicture:
    """P&L over price of one risk unit, now and after the method's time step (one day if it has none)."""
    parameters = grid_parameters(evaluation)
    assert parameters is not None
    days = parameters.shape.time_step_days or 1.0
    price_range = float(np.abs(grid.moves).max(initial=0.0))
    reach = CURVE_REACH * price_range
    low = max(-reach, -0.99)
    held = evaluation.requirements.contributions
    of_unit = [held.instrument_names[k] for k in held.instrument[held.unit == unit].tolist()]
    strikes = np.array([float(getattr(held_terms(evaluation).get(name), "strike", np.nan)) for name in of_unit])
    # Close to expiry the curve has its corners at the strikes.
    corners = strikes[np.isfinite(strikes)] / grid.index - 1 if grid.index > 0 else np.zeros(0)
    moves = np.unique(
        np.concatenate(
            (np.linspace(low, reach, CURVE_POINTS), grid.moves, corners[(corners > low) & (corners < reach)])
        )
    )
    coarse = np.unique(np.concatenate(([low, reach], _thinned(grid.moves, 9))))
    now, later = (unit_curve(evaluation, unit, moves, time) for time in (0.0, days))
    rows = [unit_curve(evaluation, unit, coarse, time).tolist() for time in (0.0, days)]
    ends = unit_curve(evaluation, unit, np.array([-price_range, price_range]), 0.0)
    worst = None
    if len(grid.worst) == 3:
        worst = (float(grid.moves[grid.worst[1]]), grid.worst_pnl, grid.words)
    return CurvePicture(
        account=grid.account,
        currency=grid.currency,
        unit=grid.unit,
        moves=moves,
        now=now,
        later=later,
        days=days,
        price_range=price_range,
        requirement=float(evaluation.requirements.units.requirement_initial[unit]),
        index=grid.index,
        at_range=(float(ends[0]), float(ends[1])),
        rows=tuple(zip(coarse.tolist(), rows[0], rows[1], strict=True)),
        common=grid.common,
        worst=worst,
    )


def waterfall_picture(evaluation: Evaluation, account: int) -> WaterfallPicture:
    """From what every position needs alone to what they need together, position by position."""
    requirements = evaluation.requirements
    alone = isolated_by_position(evaluation, account)
    together: dict[tuple[str, int], float] = {}
    shown: dict[tuple[str, int], str] = {}
    held = requirements.contributions
    gross = bool(evaluation.margined.gross[account])
    first, last = held.account_offsets[account : account + 2].tolist()
    for k in range(first, last):
        name = held.instrument_names[int(held.instrument[k])]
        steps = int(held.steps[k])
        key = (name, (steps > 0) - (steps < 0) if gross else 0)
        together[key] = together.get(key, 0.0) + float(held.contribution[k])
        shown[key] = f"{numbers.quantity(format_quantity(steps))} {name}"
    found = [
        Step(
            label=shown.get(key, f"{key[0]} (nets between members)"),
            change=together.get(key, 0.0) - need,
            isolated=need,
            contribution=together.get(key, 0.0),
        )
        for key, need in sorted(alone.items())
    ]
    found.sort(key=lambda step: (step.change, step.label))
    noise = 1e-9 * float(requirements.requirement_isolated[account])
    moving = [step for step in found if abs(step.change) > noise]
    # One more than the limit is named as well: "other (1 position)" would take the same line.
    named = moving if len(moving) <= NAMED_OFFSETS + 1 else moving[:NAMED_OFFSETS]
    rest = moving[len(named) :] + [step for step in found if abs(step.change) <= noise]
    steps_shown = list(named)
    if any(abs(step.change) > noise for step in rest):
        steps_shown.append(
            Step(
                label=f"other ({len(rest)} positions)",
                change=math.fsum(step.change for step in rest),
                isolated=math.fsum(step.isolated for step in rest),
                contribution=math.fsum(step.contribution for step in rest),
            )
        )
    return WaterfallPicture(
        account=requirements.margin_accounts[account],
        currency=requirements.currency,
        isolated=float(requirements.requirement_isolated[account]),
        requirement=float(requirements.requirement_initial[account]),
        steps=tuple(steps_shown),
        all_steps=tuple(found),
    )


def isolated_by_position(evaluation: Evaluation, account: int) -> dict[tuple[str, int], float]:
    """Requirement of each position of an account alone, members added up; by instrument and, if gross, side.

    The figures that `requirement_isolated` was added up from; none for a methodology that kept none.
    """
    result = evaluation.requirements.breakdown
    if not isinstance(result, GridResult):
        return {}
    alone = result.alone
    gross = bool(alone.gross[account])
    found: dict[tuple[str, int], float] = {}
    for unit in range(*alone.account_offsets[account : account + 2].tolist()):
        steps = int(alone.steps[unit])
        key = (alone.unit_name(unit), (steps > 0) - (steps < 0) if gross else 0)
        found[key] = found.get(key, 0.0) + float(result.isolated[unit])
    return found


def contribution_picture(evaluation: Evaluation, account: int) -> ContributionPicture:
    """Every position's share of the requirement, largest first."""
    requirements = evaluation.requirements
    held = requirements.contributions
    first, last = held.account_offsets[account : account + 2].tolist()
    terms = held_terms(evaluation)
    items = []
    for k in range(first, last):
        name = held.instrument_names[int(held.instrument[k])]
        steps = int(held.steps[k])
        items.append(
            Contribution(
                label=f"{numbers.quantity(format_quantity(steps))} {name}",
                words=position_words(terms.get(name, name), steps),
                unit=requirements.units.names[int(held.unit[k])],
                pnl_worst=float(held.pnl_worst[k]),
                contribution=float(held.contribution[k]),
            )
        )
    items.sort(key=lambda item: (-item.contribution, item.label))
    return ContributionPicture(
        account=requirements.margin_accounts[account],
        currency=requirements.currency,
        requirement=float(requirements.requirement_initial[account]),
        items=tuple(items),
    )


def position_words(instrument: Instrument | str, steps: int) -> str:
    """A position as a person says it: `short 58,000 put of 27 Feb 2026`; by its name where the market has no terms."""
    side = "long" if steps > 0 else "short"
    if isinstance(instrument, VanillaOption):
        right = "call" if instrument.right == Right.CALL else "put"
        strike = f"{instrument.strike.normalize():,f}"
        return f"{side} {strike} {right} of {instrument.expiry.day} {instrument.expiry:%b %Y}"
    if isinstance(instrument, DatedFuture):
        return f"{side} future of {instrument.expiry.day} {instrument.expiry:%b %Y}"
    if isinstance(instrument, Perpetual):
        return f"{side} {instrument.underlying} perpetual"
    return f"{side} {instrument if isinstance(instrument, str) else instrument.underlying}"


def grid_parameters(evaluation: Evaluation) -> GridParameters | None:
    """Parameters of the grid family; `None` for another."""
    parameters = getattr(evaluation.methodology, "parameters", None)
    return parameters if isinstance(parameters, GridParameters) else None


def is_common(evaluation: Evaluation) -> bool:
    """Whether one scenario is chosen for all units of an account."""
    parameters = grid_parameters(evaluation)
    return (
        parameters is not None
        and parameters.across_units is AcrossUnits.COMMON
        and evaluation.methodology.name != "isolated"
    )


def unit_underlyings(evaluation: Evaluation) -> tuple[str, ...]:
    """Underlying of every risk unit; the unit's own name for a methodology that does not say."""
    result = evaluation.requirements.breakdown
    if not isinstance(result, GridResult):
        return evaluation.requirements.units.names
    underlyings = result.book.contracts.inputs.instruments.underlyings
    return tuple(underlyings[k] for k in result.book.unit_underlying.tolist())


def held_terms(evaluation: Evaluation) -> Mapping[str, Instrument]:
    """Terms of what is held, by name; what has none (a balance that takes part, a contract of a listing) is absent."""
    market = evaluation.market
    names = [name for name in evaluation.requirements.contributions.instrument_names if name in market]
    if market.listing is not None or not names:
        return {}
    return dict(zip(names, market.instruments.take(market.rows(names)).instruments, strict=True))


def _thinned(values: FloatArray, most: int) -> FloatArray:
    """At most `most` of the values, both ends among them."""
    if len(values) <= most:
        return values
    return values[np.unique(np.linspace(0, len(values) - 1, most).round().astype(np.int64))]


def _after(years: float) -> str:
    if years == 0:
        return "now"
    days = round(years * DAYS_PER_YEAR, 6)
    return f"after {days:g} day{'' if days == 1 else 's'}"
