"""Deribit's portfolio margin, `deribit-pm`: published in outline, inferred where the outline ends."""
