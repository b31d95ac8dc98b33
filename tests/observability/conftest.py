"""Worlds as the tests of the engine have them, and servers without a door as those of the surfaces do."""

from pathlib import Path

import pytest

from tests.engine.conftest import kept, open_world, world
from tests.engine.databases import Database, SqliteDatabase

__all__ = ["kept", "open_world", "world"]


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Return an empty file: what is tested here does not reach the store."""
    return SqliteDatabase(tmp_path / "data")
