"""No Prometheus? Read the /metrics pages directly and evaluate the same definitions here."""
