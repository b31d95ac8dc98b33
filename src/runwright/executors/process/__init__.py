"""Run commands as sandboxed processes: what runs them knows nothing of who keeps their lease."""
