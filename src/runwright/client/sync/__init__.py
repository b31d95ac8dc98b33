"""The client of the API for code that is not asynchronous: `Client`, and what it gives."""
