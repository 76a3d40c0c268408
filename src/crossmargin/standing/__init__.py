"""Requirement against collateral: equity, excess or deficit, state."""
