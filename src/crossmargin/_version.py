"""The version of the engine: the one place it is written; every answer carries it."""

__version__ = "0.1.0"
