"""Turn the params file and the command line into one checked set of parameters."""
