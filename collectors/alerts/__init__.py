"""Alerts: those a Prometheus or an Alertmanager tells, and those that follow from readings."""
