"""What tidegate costs, measured: one command each, JSON and a table."""
