"""Facts come in, commands go out. Nothing here draws: textual and rich are never imported."""
