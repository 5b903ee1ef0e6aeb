"""Computations on units that several stages share."""
