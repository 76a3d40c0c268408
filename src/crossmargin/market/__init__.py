"""One immutable snapshot of prices and volatilities, and what is missing from it."""
