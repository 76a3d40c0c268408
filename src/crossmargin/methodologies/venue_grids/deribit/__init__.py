"""Deribit portfolio margin: a risk matrix of each currency pair, roll and delta shock."""
