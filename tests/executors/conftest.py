"""The same worlds as the engine's tests: a handler is executed where it will be executed, in an engine."""

from pathlib import Path

import pytest

from tests.engine.conftest import kept, open_world
from tests.engine.databases import Database, SqliteDatabase

__all__ = ["kept", "open_world"]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Return an empty file: what is tested here does not reach the store."""
    return SqliteDatabase(tmp_path / "data")
