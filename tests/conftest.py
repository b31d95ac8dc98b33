"""What every test shares: the event loop it runs on."""

import signal

import pytest
from hypothesis import settings

# A busy machine must not fail a test that is right: what is slow is found by the durations, not by a deadline.
settings.register_profile("runwright", deadline=None)
settings.load_profile("runwright")

# Started in the background by a shell, a process ignores SIGINT, and so do its children: some tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, whose primitives the engine uses."""
    return "asyncio"
