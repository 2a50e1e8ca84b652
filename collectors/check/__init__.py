"""What can be seen from here, why the rest can not, and what to do about it: `tidegate check` and its kin."""
