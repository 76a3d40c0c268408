"""A model like SPAN 2: history and stress mixed, what it costs to close, concentration."""
