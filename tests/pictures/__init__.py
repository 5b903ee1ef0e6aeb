"""The pictures of the documentation, made by one command: `make pictures`."""
