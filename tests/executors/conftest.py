"""The same worlds as the engine's tests: a handler is executed where it will be executed, in an engine."""

from tests.engine.conftest import open_world

__all__ = ["open_world"]
