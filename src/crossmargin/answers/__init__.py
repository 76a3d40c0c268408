"""Questions about a book, answered from an evaluation: curves, what-if, comparison."""
