"""What every test shares: the event loop it runs on."""

import pytest


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on asyncio, whose primitives the engine uses."""
    return "asyncio"
