"""The jobs surface (seed 002): jobs, triggers, runs and their records."""
