"""One screen a file; each composes widgets and routes keys."""
