"""Every methodology by name."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from crossmargin.basics.errors import InputError, Problem
from crossmargin.methodologies.protocol import About, Entry, Methodology, MethodologyFactory, Traits
from crossmargin.methodologies.venue_grids.scenario_grid.method import isolated, scenario_grid

_VENUE_GRIDS = "crossmargin.methodologies.venue_grids"


_LINEAR_WEIGHTS = "crossmargin.methodologies.linear_weights"
_STANDARD = "crossmargin.methodologies.standard_margin"
_SHORTFALL = "crossmargin.methodologies.model_based.expected_shortfall"
_NO_LAW = Traits(convex=False, homogeneous=False, subadditive=False, euler=True, exact_integers=False)


def _later(module: str, name: str) -> MethodologyFactory:
    """A factory that is imported when it is asked for: who margins under another method need not wait for it."""

    def made(parameters: Any = None, **overrides: Any) -> Methodology:
        factory: MethodologyFactory = getattr(import_module(module), name)
        return factory(parameters, **overrides)

    return made


ENTRIES: dict[str, Entry] = {
    "scenario-grid": Entry(factory=scenario_grid, family="scenario-grid", package=f"{_VENUE_GRIDS}.scenario_grid"),
    "isolated": Entry(factory=isolated, family="scenario-grid", package=f"{_VENUE_GRIDS}.scenario_grid"),
    "derive-pmrm2": Entry(
        factory=_later(f"{_VENUE_GRIDS}.derive.method", "derive_pmrm2"),
        family="derive-pmrm2",
        package=f"{_VENUE_GRIDS}.derive",
    ),
    "derive-pmrm1": Entry(
        factory=_later(f"{_VENUE_GRIDS}.derive.method", "derive_pmrm1"),
        family="derive-pmrm1",
        package=f"{_VENUE_GRIDS}.derive",
    ),
    "deribit-pm": Entry(
        factory=_later(f"{_VENUE_GRIDS}.deribit.method", "deribit_pm"),
        family="deribit-pm",
        package=f"{_VENUE_GRIDS}.deribit",
    ),
    "okx-pm": Entry(
        factory=_later(f"{_VENUE_GRIDS}.okx.method", "okx_pm"), family="okx-pm", package=f"{_VENUE_GRIDS}.okx"
    ),
    "dydx-v4": Entry(
        factory=_later(f"{_LINEAR_WEIGHTS}.dydx_method", "dydx_v4"), family="dydx", package=_LINEAR_WEIGHTS
    ),
    "drift-v2": Entry(
        factory=_later(f"{_LINEAR_WEIGHTS}.drift_method", "drift_v2"),
        family="drift",
        package=_LINEAR_WEIGHTS,
        about=About(
            version="1",
            status="published",
            title="Drift v2: weights and ratios that grow with size, worst of resting bids and asks",
            parameters="a parameter file with the venue's markets; drift-v2-example shows the form",
            traits=_NO_LAW,
        ),
    ),
    "mango-v4": Entry(
        factory=_later(f"{_LINEAR_WEIGHTS}.mango_method", "mango_v4"),
        family="mango",
        package=_LINEAR_WEIGHTS,
        about=About(
            version="1",
            status="published",
            title="Mango v4: health of all tokens, perpetuals and spot orders at their weights",
            parameters="a parameter file with the venue's banks and markets; mango-v4-example shows the form",
            traits=_NO_LAW,
        ),
    ),
    "derive-standard": Entry(
        factory=_later(f"{_STANDARD}.method", "derive_standard"), family="standard-margin", package=_STANDARD
    ),
    "deribit-standard": Entry(
        factory=_later(f"{_STANDARD}.method", "deribit_standard"), family="standard-margin", package=_STANDARD
    ),
    **{
        name: Entry(
            factory=_later(f"{_SHORTFALL}.method", name.replace("-", "_")),
            family="expected-shortfall",
            package=_SHORTFALL,
            takes_history=True,
        )
        for name in ("historical-es", "filtered-es", "monte-carlo-es")
    },
    "span": Entry(
        factory=_later("crossmargin.methodologies.span.method", "span"),
        family="span",
        about=About(
            version="1",
            status="published",
            title="risk arrays of an exchange's file, spreads by priority on one delta ledger",
            parameters="an exchange's risk parameter file (.spn or .pa2), with a house policy",
            # With rounded requirements it is not homogeneous either; greedy spreads promise nothing else.
            traits=Traits(convex=False, homogeneous=True, subadditive=False, euler=False, exact_integers=False),
        ),
    ),
}
"""All of them."""

METHODOLOGIES: dict[str, MethodologyFactory] = {
    name: entry.factory for name, entry in ENTRIES.items() if entry.about is None and not entry.takes_history
}
"""Those that margin with parameters that ship, and need nothing else."""


def entry(name: str) -> Entry:
    """The methodology called `name`, not made yet.

    Raises
    ------
    InputError
        If there is none of that name.
    """
    if name not in ENTRIES:
        raise InputError(
            Problem(
                found=f"no methodology '{name}'",
                needed=f"There are {', '.join(ENTRIES)}.",
            )
        )
    return ENTRIES[name]


def methodology(name: str, parameters: Any = None, **overrides: Any) -> Methodology:
    """The methodology called `name` with its parameters, as its factory takes them.

    An exchange's file is not read here: `files.methodology.read_methodology` does.

    Raises
    ------
    InputError
        If there is none of that name.
    ParameterError
        If its parameters are wrong.
    """
    return entry(name).factory(parameters, **overrides)
