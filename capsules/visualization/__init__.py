"""Draw the figures of one recording."""
