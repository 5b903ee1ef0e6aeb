"""What is computed of units in more than one stage."""
