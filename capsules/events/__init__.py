"""Write the edges of all digital lines of a block, and of analog lines with a threshold, as tables of events."""
