"""Every methodology by name."""

from __future__ import annotations

from typing import Any

from crossmargin.basics.errors import InputError, Problem
from crossmargin.methodologies.protocol import About, Entry, Methodology, MethodologyFactory, Traits
from crossmargin.methodologies.venue_grids.scenario_grid.method import isolated, scenario_grid

_VENUE_GRIDS = "crossmargin.methodologies.venue_grids"


def _span(parameters: Any = None, **overrides: Any) -> Methodology:
    # Imported when it is asked for: who margins under another method need not wait for it.
    from crossmargin.methodologies.span.method import span

    return span(parameters, **overrides)


def _derive_pmrm2(parameters: Any = None, **overrides: Any) -> Methodology:
    from crossmargin.methodologies.venue_grids.derive.method import derive_pmrm2

    return derive_pmrm2(parameters, **overrides)


def _derive_pmrm1(parameters: Any = None, **overrides: Any) -> Methodology:
    from crossmargin.methodologies.venue_grids.derive.method import derive_pmrm1

    return derive_pmrm1(parameters, **overrides)


def _okx_pm(parameters: Any = None, **overrides: Any) -> Methodology:
    from crossmargin.methodologies.venue_grids.okx.method import okx_pm

    return okx_pm(parameters, **overrides)


ENTRIES: dict[str, Entry] = {
    "scenario-grid": Entry(factory=scenario_grid, family="scenario-grid", package=f"{_VENUE_GRIDS}.scenario_grid"),
    "isolated": Entry(factory=isolated, family="scenario-grid", package=f"{_VENUE_GRIDS}.scenario_grid"),
    "derive-pmrm2": Entry(factory=_derive_pmrm2, family="derive-portfolio", package=f"{_VENUE_GRIDS}.derive"),
    "derive-pmrm1": Entry(factory=_derive_pmrm1, family="derive-portfolio", package=f"{_VENUE_GRIDS}.derive"),
    "okx-pm": Entry(factory=_okx_pm, family="okx-pm", package=f"{_VENUE_GRIDS}.okx"),
    "span": Entry(
        factory=_span,
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
    name: entry.factory for name, entry in ENTRIES.items() if entry.about is None
}
"""Those that can be made with parameters that ship."""


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
