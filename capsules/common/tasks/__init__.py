"""A task: one stage on one recording, sorting, block or run; its command line, its record, its cores and memory."""
