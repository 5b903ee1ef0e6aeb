"""The names that parameters may hold: settings of libraries, metrics of a query, classifiers' models."""
