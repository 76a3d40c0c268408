"""The world outside: positions, balances, markets and cases from files, and back."""
