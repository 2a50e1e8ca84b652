"""What to measure, as data, and how names from different exporters come to mean one model."""
