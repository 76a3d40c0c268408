"""Methodologies: from a book and a market to what must be held, and why."""
