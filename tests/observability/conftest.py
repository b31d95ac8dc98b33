"""Worlds as the tests of the engine have them, and servers without a door as those of the surfaces do."""

from tests.engine.conftest import open_world, world

__all__ = ["open_world", "world"]
