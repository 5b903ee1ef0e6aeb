"""What the commands of `spikerelay` do, and their table."""
