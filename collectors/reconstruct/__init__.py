"""A recording made afterwards, from what a Prometheus kept: `tidegate reconstruct`."""
