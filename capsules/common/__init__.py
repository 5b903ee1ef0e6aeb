"""What every stage shares; nothing here imports a stage."""
