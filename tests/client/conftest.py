"""What the tests of the client share: they run with the asynchronous client and with the blocking one."""

import pytest

from runwright.client.api import AsyncClient
from tests.client.both import Connect, blocking


@pytest.fixture(params=[AsyncClient, blocking], ids=["async", "sync"])
def connect(request: pytest.FixtureRequest) -> Connect:
    """Make a client; every test that asks for this one runs with both."""
    made: Connect = request.param
    return made
