"""A margin like SPAN 2: history and stress, mixed, and what it costs to close what is large."""
