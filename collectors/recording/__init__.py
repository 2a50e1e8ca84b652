"""What a session at the cockpit leaves: append-only `.tgrec` files, written, read, checked and told about.

The byte layout is documented in `docs/tgrec.md`; `layout`, `codec` and `schema` are its code.
"""
