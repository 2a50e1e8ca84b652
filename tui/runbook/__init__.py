"""Throttles, releases, the log and their control plane from scripts: the same path as the keys."""
