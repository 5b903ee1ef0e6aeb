"""Gather what the stages left into the status, the record of the processing and the report."""
