"""Add the curated units of every probe to a block's NWB file."""
