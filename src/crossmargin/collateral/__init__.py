"""What balances are worth as cover."""
