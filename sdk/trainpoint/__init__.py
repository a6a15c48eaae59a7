"""Training checkpoints that always resume from something good."""
