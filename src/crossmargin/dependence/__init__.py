"""Estimates of how risk factors vary and how they depend on each other; only model-based methods need them."""
