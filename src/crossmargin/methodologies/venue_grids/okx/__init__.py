"""OKX portfolio margin: nine named charges of each coin, units summed."""
