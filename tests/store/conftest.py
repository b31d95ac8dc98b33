"""Every test of the contract runs once for each backend."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runwright.store.base import Store
from tests.store.backends import BACKENDS, Backend


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """Yield an empty database."""
    with BACKENDS[request.param](tmp_path) as backend:
        yield backend


@pytest.fixture
async def store(backend: Backend) -> AsyncIterator[Store]:
    """Return an open store over the empty database."""
    store = backend.make()
    await store.open()
    yield store
    await store.close()
