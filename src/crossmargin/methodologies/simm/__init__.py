"""Sensitivity-based initial margin: prescribed weights and correlations on the CRIF rows of netting sets."""
