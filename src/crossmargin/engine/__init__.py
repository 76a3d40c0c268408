"""The whole recipe: book, market and methodology to requirements and standing."""
