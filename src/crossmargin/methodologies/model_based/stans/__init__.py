"""A model like STANS: simulated losses, what other correlations and the largest underlying alone would ask for."""
