"""Sinks for what the core reports, and the signs of life that operators look for."""
