"""Build the sorting analyzer: waveforms, templates, locations, metrics."""
