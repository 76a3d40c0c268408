"""The sweep and its relatives: arithmetic that every method shares, in one fixed order."""
