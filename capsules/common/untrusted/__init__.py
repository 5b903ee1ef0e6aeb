"""Files from others: nothing in them is executed, and nothing is written outside the results folder."""
