"""Results as people read them: numbers, pictures, one self-contained HTML page."""
