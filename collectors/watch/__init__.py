"""The live loop: every source asked in its own time, merged into one frame a second."""
