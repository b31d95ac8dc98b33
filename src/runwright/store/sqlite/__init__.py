"""The embedded store: one SQLite file in a data directory that one server owns."""
