"""Agents: their loop, and the models and tools that it calls."""
