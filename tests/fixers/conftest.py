"""A workspace on this machine, in which fixers run real programs."""

from tests.scanners.conftest import means, tree

__all__ = ["means", "tree"]
