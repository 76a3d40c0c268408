"""The method in words, for lists of methods: it takes no positions, so that the registry of those does not make it."""

from __future__ import annotations

from crossmargin.methodologies.protocol import About, Traits

NAME = "simm"
ABOUT = About(
    version="2.8+2506",
    status="published",
    title="ISDA SIMM: sensitivities of a CRIF by risk class, correlated; the regulatory schedule beside it",
    parameters="--version 2.6, 2.7+2412, 2.8+2506 or 2.8+2512, or a date; --parameters a calibration of your own",
    # Concentration factors grow with a position, so that twice the book may need more than twice the margin;
    # contributions hold them, and sum.
    traits=Traits(convex=False, homogeneous=False, subadditive=False, euler=True, exact_integers=False),
)
