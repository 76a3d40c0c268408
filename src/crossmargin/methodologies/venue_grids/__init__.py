"""Venue grids: the worst of a grid of price and volatility moves, with each venue's order of operations."""
