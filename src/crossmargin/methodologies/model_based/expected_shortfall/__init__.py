"""Expected shortfall, or value at risk, of history, of filtered history and of simulated factors."""
