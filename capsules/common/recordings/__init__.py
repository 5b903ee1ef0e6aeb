"""A recording: its job, how it is read, its clock, its electrodes, its traces and what is detected in them."""
