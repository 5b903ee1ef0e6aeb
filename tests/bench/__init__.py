"""Benchmarks: each module prints one table for docs/benchmarks.md; `make bench` runs them all. CI runs none."""
