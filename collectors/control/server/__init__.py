"""The embedded control plane: contract v1 on SQLite."""
