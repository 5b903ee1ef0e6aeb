"""The common reference of a recording's channels."""

MIN_REFERENCE_CHANNELS = 8
"""A unit near a tetrode is seen by all of its channels: a reference over so few takes its spikes away as well."""
