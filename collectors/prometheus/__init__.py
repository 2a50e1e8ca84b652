"""Asking a Prometheus: live over async HTTP, history through its client library."""
