"""The client of the API for code that is not asynchronous: `Client`, what it gives, and `RunHandle`."""
