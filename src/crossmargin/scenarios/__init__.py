"""Named shifts of risk factors."""
