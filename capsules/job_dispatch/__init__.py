"""Find the recordings in a data folder and describe each as a job."""
