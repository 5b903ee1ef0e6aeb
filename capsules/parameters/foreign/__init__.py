"""Parameters of other programs, translated into those of a params file; every change is listed."""
