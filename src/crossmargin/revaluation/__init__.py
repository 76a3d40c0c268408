"""Instruments under scenarios: unit values, unit P&L, sensitivities, and the pricing models behind them."""
