"""A recording from the history of a Prometheus, for a time in which nobody recorded."""
