"""SpikeRelay's capsules: each sub-package is one stage of the pipeline with a separate command line."""
