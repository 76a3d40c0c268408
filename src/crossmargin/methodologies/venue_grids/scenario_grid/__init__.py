"""Our own venue grid, `scenario-grid`, and its baseline without offsets, `isolated`."""
