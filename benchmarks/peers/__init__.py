"""The peers beside us: each a process in an environment built from a committed lock, never in ours."""
