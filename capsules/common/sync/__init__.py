"""The streams of a session on one clock: sync pulses, their matching, and the map from one clock to another."""
