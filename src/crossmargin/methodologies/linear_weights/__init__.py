"""Linear weights: every market by a fraction of its notional, every asset by a weight; no scenarios, no netting."""
