"""A recording for other programs: CSV, JSON lines, OpenMetrics, SQLite. None is read back."""
