"""Files that others made: read without running anything, and written nowhere but inside the results folder."""
