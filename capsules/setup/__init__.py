"""What an installation needs once: Nextflow and compiled code."""
