"""Histories of risk factors: what was observed when, and the changes between observations.

Only model-based methods need them.
"""
