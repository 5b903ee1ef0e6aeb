"""What the `spikerelay` command does, where it is more than a few lines."""
