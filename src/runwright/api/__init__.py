"""Speak HTTP: routes, wire shapes and streams; every rule of the business is downstairs."""
