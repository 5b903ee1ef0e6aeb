"""Label the units: by a query over their metrics and by classifiers."""
