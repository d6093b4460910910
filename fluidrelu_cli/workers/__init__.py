"""Many trials, run side by side."""
