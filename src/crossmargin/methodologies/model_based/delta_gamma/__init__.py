"""Value at risk or shortfall from deltas, gammas and one covariance: no scenario, no revaluation."""
