"""crossmargin: the margin of a whole derivatives portfolio, with an explanation."""
