"""Hold the pure rules of runs: no I/O, no clock, no random number."""
