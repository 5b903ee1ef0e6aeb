"""The demo: a small session with known units, and the score of its results."""
