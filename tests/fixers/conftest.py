"""A workspace on this machine, in which fixers run real programs."""

from tests.scanners.conftest import tree

__all__ = ["tree"]
