"""Every test of the contract runs once for each backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from runwright.store.base import Store
from tests.store.backends import BACKENDS, Backend


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Return an empty database."""
    return BACKENDS[request.param](tmp_path)


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """Return an open store over the empty database."""
    store = backend.make()
    await store.open()
    yield store
    await store.close()
