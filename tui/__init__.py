"""What is drawn and typed. Reaches the world only through frames, events, intents and a source."""
