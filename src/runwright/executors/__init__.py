"""The ways of running: each executor takes an attempt to its outcome and knows nothing of the others."""
