"""Sort the preprocessed traces of one recording into units."""
