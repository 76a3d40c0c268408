"""Venue grids: worst loss over price and volatility, roll charge, minimum for short options."""
