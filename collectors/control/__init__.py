"""Control planes: what releases and throttles stand at, and later the way to change them."""
