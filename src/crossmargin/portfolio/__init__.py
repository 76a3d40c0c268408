"""Who holds what: accounts, netting sets, segregation, exact positions and balances."""
